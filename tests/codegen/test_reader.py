"""The schema says of fields what protobuf's own runtime says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

from protoc_gen_micro.schema.model import Field, Message
from protoc_gen_micro.schema.reader import Reader
from tests.codegen.test_messages import BUNDLED, GOOGLEAPIS, GRPC_TOOLS
from tests.codegen.tools import NAMES, PROTOS, PURELIB, ROOT, request


@pytest.mark.parametrize(
    ("roots", "names", "floor"),
    [([PROTOS, ROOT], NAMES, 60), ([PURELIB, GRPC_TOOLS], sorted({*GOOGLEAPIS, *BUNDLED}), 700)],
    ids=["ours", "public"],
)
def test_fields(roots: list[Path], names: list[str], floor: int) -> None:
    files = request(roots, names).proto_file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    reader = Reader(files)
    seen = 0
    for name in names:
        for message in _walk(reader.read(name).messages):
            descriptor = pool.FindMessageTypeByName(message.type_name.full_name)
            assert [field.name for field in message.fields] == [field.name for field in descriptor.fields]
            for field in message.fields:
                assert _said(field) == _known(descriptor.fields_by_name[field.name]), field
                seen += 1
            real = [oneof for oneof in descriptor.oneofs if oneof.fields[0].name != oneof.name.removeprefix("_")]
            assert [oneof.name for oneof in message.oneofs] == [oneof.name for oneof in real]
    assert seen > floor


def _said(field: Field) -> dict[str, object]:
    return {
        "number": field.number,
        "type": field.type,
        "type_name": field.type_name.full_name if field.type_name else "",
        "repeated": field.repeated,
        "map_key": field.map_key,
        "has_presence": field.has_presence,
    }


def _known(field: FieldDescriptor) -> dict[str, object]:
    entry = field.message_type if field.message_type and field.message_type.GetOptions().map_entry else None
    value = entry.fields_by_name["value"] if entry else field
    target = value.message_type or value.enum_type
    return {
        "number": field.number,
        "type": _TYPES[value.type],
        "type_name": target.full_name if target else "",
        "repeated": field.is_repeated and not entry,
        "map_key": _TYPES[entry.fields_by_name["key"].type] if entry else "",
        "has_presence": field.has_presence,
    }


_TYPES = {
    value: name.removeprefix("TYPE_").lower().replace("group", "message")
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def _walk(messages: tuple[Message, ...]) -> Iterator[Message]:
    for message in messages:
        yield message
        yield from _walk(message.messages)
