"""A message with a value of a wrong type: the error names the message, the field and the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.codegen.dialect.conftest import Modules

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
}


@pytest.mark.parametrize(("make", "said"), WRONG.values(), ids=WRONG)
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


JSON: dict[str, tuple[Callable[[Any], Any], str]] = {
    name: WRONG[name]
    for name in (
        "a float for an int",
        "a str for an int",
        "a str for an enum",
        "a str for a float",
        "an int for a str",
        "a str for bytes",
        "an int for a datetime",
        "a float for a wrapper",
        "a member of a oneof",
        "an item of a list",
        "deep inside",
    )
}


@pytest.mark.parametrize(("make", "said"), JSON.values(), ids=JSON)
def test_json_names_a_wrong_type(make: Callable[[Any], Any], said: str, everything: Modules) -> None:
    with pytest.raises(TypeError) as raised:
        make(everything.ours).to_dict()
    assert str(raised.value) == said


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
