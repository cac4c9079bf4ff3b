"""Damaged and random requests: an error in the response or code that compiles, never a traceback, never a hang."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protoc_gen_micro.run.generate import answer
from tests.codegen.tools import NAMES, PROTOS, ROOT, request
from tests.helpers.sizes import Size

REQUESTS = [request([PROTOS, ROOT], [name]) for name in NAMES]
FUZZED = settings(deadline=None, suppress_health_check=list(HealthCheck))

PARAMETERS = st.sampled_from(
    ["", "", "", "messages=none", "messages=betterproto", "package=a.b", "map=shop=x", "?", "\0"]
)
# fmt: off
STRINGS = st.text(max_size=8) | st.sampled_from([
    "x", ".x", ".a.b", "class", "import", "None", "self", "__init__", "DESCRIPTOR", "_typing", "a/b.proto", "../x.proto",
    "/x.proto", "x" * 300, ".google.protobuf.Empty", "google.protobuf.Any", ".nested.Outer", ".nested.Outer.Inner.Kind",
    ".nested.Outer.ByNameEntry", "a b", "1a", 'a"b', "{{x}}",
])
# fmt: on
NUMBERS = st.sampled_from([0, 1, 2, 5, 100, -1, 2**31 - 1, -(2**31)])


@pytest.mark.verify("codegen")
def test_damaged_bytes(size: Size) -> None:
    settings(FUZZED, max_examples=size(5000, ci=100))(_damaged_bytes)()


@given(st.sampled_from(REQUESTS), st.data())
def _damaged_bytes(original: plugin_pb2.CodeGeneratorRequest, data: st.DataObject) -> None:
    damaged = bytearray(original.SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        length = data.draw(st.integers(0, 4))
        damaged[place : place + length] = data.draw(st.binary(max_size=4))
    _check(bytes(damaged))


@pytest.mark.verify("codegen")
def test_descriptors_that_say_something_else(size: Size) -> None:
    settings(FUZZED, max_examples=size(20_000, ci=150))(_descriptors_that_say_something_else)()


@given(st.sampled_from(REQUESTS), PARAMETERS, st.data())
def _descriptors_that_say_something_else(
    original: plugin_pb2.CodeGeneratorRequest, parameter: str, data: st.DataObject
) -> None:
    changed = plugin_pb2.CodeGeneratorRequest()
    changed.CopyFrom(original)
    changed.parameter = parameter
    messages = [message for file in changed.proto_file if "/protobuf/" not in file.name for message in _walk(file)]
    for _ in range(data.draw(st.integers(1, 4))):
        message = data.draw(st.sampled_from(messages))
        _change(message, data.draw(st.sampled_from(list(message.DESCRIPTOR.fields))), data)
    _check(changed.SerializePartialToString())


@pytest.mark.verify("codegen")
def test_random_bytes(size: Size) -> None:
    settings(FUZZED, max_examples=size(20_000, ci=200))(_random_bytes)()


@given(st.binary(max_size=200))
def _random_bytes(data: bytes) -> None:
    _check(data)


def _check(data: bytes) -> None:
    response = plugin_pb2.CodeGeneratorResponse.FromString(answer(data))
    assert "this is a bug" not in response.error
    if response.error or not _consistent(data):
        return
    for file in response.file:
        compile(file.content, file.name, "exec")


def _consistent(data: bytes) -> bool:
    """Whether protobuf itself finds nothing wrong with the files of a request."""
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in plugin_pb2.CodeGeneratorRequest.FromString(data).proto_file:
            pool.AddSerializedFile(file.SerializePartialToString())
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _walk(message: Message) -> list[Message]:
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.name != "SourceCodeInfo":
            for item in value if field.is_repeated else [value]:
                found += _walk(item)
    return found


def _change(message: Message, field: FieldDescriptor, data: st.DataObject) -> None:
    """Sets a field to something else, or takes it away, or gives it an item more or less."""
    held: Any = getattr(message, field.name)
    if data.draw(st.booleans()):
        message.ClearField(field.name)
    elif field.message_type is not None:
        if not field.is_repeated:
            held.SetInParent()
        elif len(held) and data.draw(st.booleans()):
            held.append(held[data.draw(st.integers(0, len(held) - 1))])
        else:
            held.add()
    else:
        value = data.draw(_values(field))
        if not field.is_repeated:
            setattr(message, field.name, value)
        elif len(held):
            held[data.draw(st.integers(0, len(held) - 1))] = value
        else:
            held.append(value)


def _values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=4)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return STRINGS
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return st.integers(0, 9)
    return NUMBERS
