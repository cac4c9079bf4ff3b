"""Random messages, built by the official runtime: what ours makes of them is what the official one makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codegen.dialect.conftest import Modules

NAMES = ["Scalars", "Optionals", "Lists", "Maps", "Oneofs", "Known", "Outer", "Names"]
QUIET = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

F = FieldDescriptor
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES: dict[int, st.SearchStrategy[Any]] = {
    F.TYPE_DOUBLE: st.floats(),
    # The official runtime writes the largest one as JSON that it does not read.
    F.TYPE_FLOAT: st.floats(width=32).filter(lambda number: abs(number) != 3.4028234663852886e38),
    F.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_UINT64: st.integers(0, 2**64 - 1),
    F.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    F.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_STRING: TEXT,
    F.TYPE_BYTES: st.binary(max_size=12),
    F.TYPE_UINT32: st.integers(0, 2**32 - 1),
    F.TYPE_ENUM: st.sampled_from([0, 1, 2, -1, 77, -(2**31)]),
    F.TYPE_SFIXED32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_SINT64: st.integers(-(2**63), 2**63 - 1),
}
SMALL = st.integers(-130, 300)


def fill(data: st.DataObject, message: Any, depth: int = 0) -> Any:
    """Sets a few fields of a message of the official runtime."""
    descriptor: Descriptor = message.DESCRIPTOR
    name = descriptor.full_name
    if name == "google.protobuf.Timestamp":
        message.seconds = data.draw(st.integers(-62135596800, 253402300799))
        message.nanos = data.draw(st.one_of(st.just(0), st.integers(0, 999_999_999)))
        return message
    if name == "google.protobuf.Duration":
        sign = data.draw(st.sampled_from([1, -1]))
        message.seconds = sign * data.draw(st.integers(0, 315_576_000_000 - 1))
        message.nanos = sign * data.draw(st.one_of(st.just(0), st.integers(0, 999_999_999)))
        return message
    if name == "google.protobuf.Any":
        inner = data.draw(st.sampled_from(["", "everything.Scalars", "google.protobuf.Duration"]))
        if inner:
            message.Pack(fill(data, make(inner), depth + 1))
        return message
    if name == "google.protobuf.FieldMask":
        message.paths.extend(data.draw(st.lists(st.sampled_from(["a", "a_b.c", "foo.bar_baz"]), max_size=3)))
        return message
    if name == "google.protobuf.Value":
        return value(data, message, depth)
    fields = list(descriptor.fields)
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=6, unique=True)) if fields else []:
        put(data, message, field, depth)
    return message


def value(data: st.DataObject, message: Any, depth: int) -> Any:
    kind = data.draw(st.sampled_from(["null", "number", "string", "bool"] + (["struct", "list"] if depth < 3 else [])))
    match kind:
        case "null":
            message.null_value = 0
        case "number":
            message.number_value = data.draw(st.floats(allow_nan=False, allow_infinity=False))
        case "string":
            message.string_value = data.draw(TEXT)
        case "bool":
            message.bool_value = data.draw(st.booleans())
        case "struct":
            message.struct_value.SetInParent()
            fill(data, message.struct_value, depth + 1)
        case _:
            message.list_value.SetInParent()
            fill(data, message.list_value, depth + 1)
    return message


def put(data: st.DataObject, message: Any, field: FieldDescriptor, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, item = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for chosen in data.draw(st.lists(VALUES[key.type], max_size=3)):
            if item.message_type:
                fill(data, target[chosen], depth + 1)
            else:
                target[chosen] = data.draw(VALUES[item.type])
    elif field.is_repeated:
        if field.message_type:
            for _ in range(data.draw(st.integers(0, 3)) if depth < 3 else 0):
                fill(data, target.add(), depth + 1)
        else:
            usual = field.type in (F.TYPE_INT32, F.TYPE_INT64, F.TYPE_SINT32, F.TYPE_SINT64)
            values = st.one_of(VALUES[field.type], SMALL) if usual else VALUES[field.type]
            target.extend(data.draw(st.lists(values, max_size=5)))
    elif field.message_type:
        target.SetInParent()
        if depth < 3:
            fill(data, target, depth + 1)
    else:
        setattr(message, field.name, data.draw(VALUES[field.type]))


def make(name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()


def same(one: Any, other: Any) -> bool:
    """Compares by deterministic bytes: NaN is what makes messages unequal to themselves."""
    return bool(one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True))


@pytest.mark.parametrize("name", NAMES)
@QUIET
@given(data=st.data())
def test_bytes(name: str, everything: Modules, data: st.DataObject) -> None:
    google = fill(data, getattr(everything.google, name)())
    ours = getattr(everything.ours, name).FromString(google.SerializeToString())
    again = type(google).FromString(bytes(ours))
    assert same(again, google)
    assert getattr(everything.ours, name).FromString(bytes(ours)) == ours
    assert len(ours) == len(bytes(ours))


@pytest.mark.parametrize("name", NAMES)
@QUIET
@given(data=st.data())
def test_json(name: str, everything: Modules, data: st.DataObject) -> None:
    google = fill(data, getattr(everything.google, name)())
    kind = getattr(everything.ours, name)
    ours = kind.FromString(google.SerializeToString())
    theirs = json_format.MessageToJson(google)
    assert same(json_format.Parse(ours.to_json(), type(google)()), json_format.Parse(theirs, type(google)()))
    assert same(type(google).FromString(bytes(kind().from_json(theirs))), json_format.Parse(theirs, type(google)()))
    assert same(
        type(google).FromString(bytes(kind.from_dict(json.loads(theirs)))), json_format.Parse(theirs, type(google)())
    )


@pytest.mark.parametrize("name", NAMES)
@QUIET
@given(data=st.data())
def test_merging(name: str, everything: Modules, data: st.DataObject) -> None:
    """Two messages behind each other are one message, in which the second goes over the first."""
    first, second = (fill(data, getattr(everything.google, name)()) for _ in range(2))
    both = first.SerializeToString() + second.SerializeToString()
    kind = getattr(everything.ours, name)
    google = type(first).FromString(both)
    assert same(type(first).FromString(bytes(kind.FromString(both))), google)
    merged = kind.FromString(first.SerializeToString()).parse(second.SerializeToString())
    assert same(type(first).FromString(bytes(merged)), google)


@pytest.mark.parametrize("name", NAMES)
@QUIET
@given(data=st.data())
def test_unknown_fields_are_kept(name: str, everything: Modules, data: st.DataObject) -> None:
    google = fill(data, getattr(everything.google, name)())
    stranger = everything.ours.HttpRequest.FromString(google.SerializeToString())
    assert same(type(google).FromString(bytes(stranger)), google)


@QUIET
@given(noise=st.binary(max_size=60))
@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes(name: str, everything: Modules, noise: bytes) -> None:
    """What the official runtime refuses, ours refuses with a ValueError, and takes what it takes."""
    kind, google = getattr(everything.ours, name), getattr(everything.google, name)
    try:
        theirs = google.FromString(noise)
    except Exception:
        with pytest.raises(ValueError):
            kind.FromString(noise)
    else:
        assert same(google.FromString(bytes(kind.FromString(noise))), theirs)
