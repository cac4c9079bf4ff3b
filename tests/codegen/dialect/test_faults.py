"""A message with a value of a wrong type: the error names the message, the field and the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from betterproto.lib.google import protobuf

from tests.codegen.dialect.conftest import Modules

lib: Any = protobuf
WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a float for an int": (
        lambda m: m.Scalars(an_int32=1.5),
        "in everything.Scalars.an_int32: an int is needed, not 1.5",
    ),
    "a str for an int": (
        lambda m: m.Scalars(a_fixed64="x"),
        "in everything.Scalars.a_fixed64: an int is needed, not 'x'",
    ),
    "a str for an enum": (lambda m: m.Scalars(color="RED"), "in everything.Scalars.color: an int is needed, not 'RED'"),
    "a str for a float": (
        lambda m: m.Scalars(a_double="x"),
        "in everything.Scalars.a_double: a float is needed, not 'x'",
    ),
    "an int for a str": (lambda m: m.Scalars(a_string=5), "in everything.Scalars.a_string: a str is needed, not 5"),
    "a str for bytes": (
        lambda m: m.Scalars(some_bytes="x"),
        "in everything.Scalars.some_bytes: bytes is needed, not 'x'",
    ),
    "an int for a datetime": (lambda m: m.Known(moment=5), "in everything.Known.moment: a datetime is needed, not 5"),
    "a float for a wrapper": (
        lambda m: m.Known(an_int32=0.5),
        "in everything.Known.an_int32: an int is needed, not 0.5",
    ),
    "a dict for a message": (lambda m: m.Outer(money={}), "in everything.Outer.money: a Money is needed, not {}"),
    "a dict for a known type": (
        lambda m: m.Known(struct={"a": 1}),
        "in everything.Known.struct: a Struct is needed, not {'a': 1}",
    ),
    "an item of a list": (
        lambda m: m.Lists(messages=[m.Scalars(), m.Scalars(an_int64=0.5)]),
        "in everything.Scalars.an_int64: an int is needed, not 0.5",
    ),
    "a member of a oneof": (lambda m: m.Oneofs(number="x"), "in everything.Oneofs.number: an int is needed, not 'x'"),
    "no list": (lambda m: m.Lists(messages=5), "in everything.Lists.messages: a list is needed, not 5"),
    "no message in a list": (
        lambda m: m.Lists(messages=[5]),
        "in everything.Lists.messages[0]: a Scalars is needed, not 5",
    ),
    "no dict": (lambda m: m.Maps(messages=5), "in everything.Maps.messages: a dict is needed, not 5"),
    "no message in a map": (
        lambda m: m.Maps(messages={"k": 5}),
        "in everything.Maps.messages['k']: a Scalars is needed, not 5",
    ),
    "a wrong key of a map": (
        lambda m: m.Maps(messages={5: m.Scalars()}),
        "in everything.Maps.messages, a key: a str is needed, not 5",
    ),
    "deep inside": (
        lambda m: m.Maps(messages={"k": m.Scalars(a_string=b"x")}),
        "in everything.Scalars.a_string: a str is needed, not b'x'",
    ),
    "a str for a bool": (
        lambda m: m.Scalars(a_bool="yes"),
        "in everything.Scalars.a_bool: a bool is needed, not 'yes'",
    ),
    "an empty str for an optional bool": (
        lambda m: m.Optionals(a_bool=""),
        "in everything.Optionals.a_bool: a bool is needed, not ''",
    ),
    "a str in a list of bools": (
        lambda m: m.Lists(bools=[True, "no"]),
        "in everything.Lists.bools[1]: a bool is needed, not 'no'",
    ),
    "a str in a map of bools": (
        lambda m: m.Maps(bools={7: "no"}),
        "in everything.Maps.bools[7]: a bool is needed, not 'no'",
    ),
    "a str for a wrapper of a bool": (
        lambda m: m.Known(a_bool="no"),
        "in everything.Known.a_bool: a bool is needed, not 'no'",
    ),
}
MESSAGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an int for a known type": (lambda m: m.Known(anything=3), "in everything.Known.anything: an Any is needed, not 3"),
    "an int for an Empty": (lambda m: m.Known(nothing=3), "in everything.Known.nothing: an Empty is needed, not 3"),
    "a list for a ListValue": (lambda m: m.Known(list=[1]), "in everything.Known.list: a ListValue is needed, not [1]"),
    "a message that is not packed": (
        lambda m: m.Known(anything=m.Scalars(an_int32=3)),
        "in everything.Known.anything: an Any is needed, not Scalars(an_int32=3)",
    ),
    "a message for an Empty": (
        lambda m: m.Known(nothing=m.Scalars(an_int32=3)),
        "in everything.Known.nothing: an Empty is needed, not Scalars(an_int32=3)",
    ),
    "a known type for another": (
        lambda m: m.Known(struct=lib.Value(number_value=1)),
        "in everything.Known.struct: a Struct is needed, not Value(number_value=1)",
    ),
    "a message for another": (
        lambda m: m.Outer(money=m.Scalars(an_int32=1)),
        "in everything.Outer.money: a Money is needed, not Scalars(an_int32=1)",
    ),
    "a message for another in a list": (
        lambda m: m.Lists(messages=[m.Known()]),
        "in everything.Lists.messages[0]: a Scalars is needed, not Known()",
    ),
    "a message for another in a map": (
        lambda m: m.Maps(messages={"k": m.Known()}),
        "in everything.Maps.messages['k']: a Scalars is needed, not Known()",
    ),
    "a message for another in a oneof": (
        lambda m: m.Oneofs(scalars=m.Known()),
        "in everything.Oneofs.scalars: a Scalars is needed, not Known()",
    ),
    "a known type for a message": (
        lambda m: m.Lists(messages=[lib.Empty()]),
        "in everything.Lists.messages[0]: a Scalars is needed, not Empty()",
    ),
    "a dict in a list": (
        lambda m: m.Lists(messages=[m.Scalars(), {"an_int32": 1}]),
        "in everything.Lists.messages[1]: a Scalars is needed, not {'an_int32': 1}",
    ),
    "a dict in a map": (
        lambda m: m.Maps(messages={"k": {"an_int32": 1}}),
        "in everything.Maps.messages['k']: a Scalars is needed, not {'an_int32': 1}",
    ),
    "a message in a list of known types": (
        lambda m: m.Lists(values=[m.Scalars()]),
        "in everything.Lists.values[0]: a Value is needed, not Scalars()",
    ),
    "a value in a Struct": (
        lambda m: m.Known(struct=lib.Struct(fields={"a": 5})),
        "in google.protobuf.Struct.fields['a']: a Value is needed, not 5",
    ),
    "a known type in a oneof": (
        lambda m: m.Oneofs(dynamic=lib.Struct(fields={"a": lib.Empty()})),
        "in google.protobuf.Struct.fields['a']: a Value is needed, not Empty()",
    ),
    "a Value for the Struct in a Value": (
        lambda m: m.Known(value=lib.Value(struct_value=lib.Value(number_value=1))),
        "in google.protobuf.Value.struct_value: a Struct is needed, not Value(number_value=1)",
    ),
    "deep in a known type": (
        lambda m: m.Maps(structs={1: lib.Struct(fields={"a": lib.Value(list_value=lib.ListValue(values=["x"]))})}),
        "in google.protobuf.ListValue.values[0]: a Value is needed, not 'x'",
    ),
}
INSIDE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a str for a number": (
        lambda m: m.Known(value=lib.Value(number_value="x")),
        "in google.protobuf.Value.number_value: a float is needed, not 'x'",
    ),
    "an int for a str": (
        lambda m: m.Known(value=lib.Value(string_value=5)),
        "in google.protobuf.Value.string_value: a str is needed, not 5",
    ),
    "a str for a bool": (
        lambda m: m.Known(value=lib.Value(bool_value="x")),
        "in google.protobuf.Value.bool_value: a bool is needed, not 'x'",
    ),
    "an item of a list": (
        lambda m: m.Known(mask=lib.FieldMask(paths=["a", 1])),
        "in google.protobuf.FieldMask.paths[1]: a str is needed, not 1",
    ),
    "a str for bytes": (
        lambda m: m.Known(anything=lib.Any(type_url="/everything.Scalars", value="x")),
        "in google.protobuf.Any.value: bytes is needed, not 'x'",
    ),
}
"""Scalars of a wrong type in betterproto's own classes."""
ALL = WRONG | MESSAGES | {f"{name} inside": case for name, case in INSIDE.items()}


@pytest.mark.parametrize(("make", "said"), ALL.values(), ids=ALL)
def test_a_wrong_type_is_named(make: Callable[[Any], Any], said: str, everything: Modules) -> None:
    message = make(everything.ours)
    for encode in (bytes, len, message.__class__.SerializeToString):
        with pytest.raises(TypeError) as raised:
            encode(message)
        assert str(raised.value) == said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"an_int32": 2**31}, "in everything.Scalars.an_int32: 2147483648 is out of the range of int32"),
        ({"a_fixed32": -1}, "in everything.Scalars.a_fixed32: "),
        ({"a_string": "\ud800"}, "in everything.Scalars.a_string: 'utf-8' codec can't encode"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_named(values: dict[str, Any], said: str, everything: Modules) -> None:
    with pytest.raises(ValueError) as raised:
        bytes(everything.ours.Scalars(**values))
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(("make", "said"), ALL.values(), ids=ALL)
def test_json_names_a_wrong_type(make: Callable[[Any], Any], said: str, everything: Modules) -> None:
    message = make(everything.ours)
    for write in (message.to_dict, message.to_json):
        with pytest.raises(TypeError) as raised:
            write()
        assert str(raised.value) == said


PYDICT = {
    "a dict for a known type",
    "a dict for a message",
    "no list",
    "no message in a list",
    "no dict",
} | MESSAGES.keys()


@pytest.mark.parametrize(("make", "said"), [ALL[name] for name in sorted(PYDICT)], ids=sorted(PYDICT))
def test_a_pydict_names_what_is_no_message(make: Callable[[Any], Any], said: str, everything: Modules) -> None:
    with pytest.raises(TypeError) as raised:
        make(everything.ours).to_pydict()
    assert str(raised.value) == said


@pytest.mark.parametrize(("make", "said"), ALL.values(), ids=ALL)
def test_a_message_with_a_wrong_type_can_be_shown(make: Callable[[Any], Any], said: str, everything: Modules) -> None:
    message = make(everything.ours)
    assert repr(message).startswith(type(message).__name__)
    assert message == message
    assert message


@pytest.mark.parametrize("value", [True, 1, 2, -1], ids=str)
def test_a_number_is_true(value: Any, everything: Modules) -> None:
    m, google = everything
    true = google.Scalars(a_bool=True)
    assert bytes(m.Scalars(a_bool=value)) == true.SerializeToString()
    lists = google.Lists.FromString(bytes(m.Lists(bools=[value, 0, False])))
    assert list(lists.bools) == [True, False, False]
    assert google.Optionals.FromString(bytes(m.Optionals(a_bool=value))).a_bool is True
    assert bytes(m.Optionals(a_bool=0)) == google.Optionals(a_bool=False).SerializeToString()


def test_a_message_of_a_subclass_is_encoded(everything: Modules) -> None:
    m = everything.ours

    class Ours(m.Scalars):  # type: ignore[misc, name-defined]
        """Has methods of its own."""

    assert bytes(m.Lists(messages=[Ours(an_int32=1)])) == bytes(m.Lists(messages=[m.Scalars(an_int32=1)]))


def test_a_value_in_a_known_type_that_does_not_fit_is_named(everything: Modules) -> None:
    message = everything.ours.Known(anything=lib.Any(type_url="\ud800"))
    with pytest.raises(ValueError, match=r"in google\.protobuf\.Any\.type_url: 'utf-8' codec can't encode"):
        bytes(message)


def test_json_names_what_has_no_json(everything: Modules) -> None:
    with pytest.raises(ValueError, match=r"in everything\.Known\.span: a duration of"):
        everything.ours.Known(span=timedelta.max).to_dict()


def test_a_long_value_is_cut(everything: Modules) -> None:
    with pytest.raises(TypeError) as raised:
        bytes(everything.ours.Scalars(an_int32="x" * 10_000))
    assert len(str(raised.value)) < 200


def test_what_else_is_wrong_is_still_said(everything: Modules) -> None:
    deep = everything.ours.Oneofs()
    deep._unknown_fields = "not bytes"
    with pytest.raises(TypeError, match=r"not a valid everything\.Oneofs: sequence item 0"):
        bytes(deep)
