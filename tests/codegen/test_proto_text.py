"""A file written as .proto again has the same types: compiled, it gives the same descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from protoc_gen_micro.asyncapi.proto_text import imports_of, proto_text
from tests.codegen.test_messages import BUNDLED, GOOGLEAPIS, GRPC_TOOLS
from tests.codegen.tools import NAMES, PROTOS, PURELIB, ROOT, request, write


@pytest.mark.parametrize(
    ("roots", "names"),
    [([PROTOS, ROOT], NAMES), ([PURELIB, GRPC_TOOLS], [*GOOGLEAPIS, *BUNDLED])],
    ids=["of the tests", "public"],
)
def test_compiled_again_it_is_the_same(roots: list[Path], names: list[str], tmp_path: Path) -> None:
    names = [name for name in dict.fromkeys(names) if not name.startswith("google/protobuf/")]
    files = {file.name: file for file in request(roots, names).proto_file}
    write(tmp_path, {name: proto_text(files[name], files) for name in names})
    again = {file.name: file for file in request([tmp_path, ROOT, GRPC_TOOLS], names).proto_file}
    for name in names:
        assert _types(again[name]) == _types(files[name]), name
        assert set(imports_of(files[name], files)) == set(again[name].dependency)
    assert len(names) >= 25


def test_what_it_looks_like() -> None:
    files = {file.name: file for file in request([PROTOS, ROOT], ["torture/events_old.proto"]).proto_file}
    text = proto_text(files["torture/events_old.proto"], files)
    assert text.startswith(
        '// Events of the old kind.\nsyntax = "proto2";\n\npackage torture.events_old;\n\nmessage Old {\n'
    )
    for line in (
        "  required .torture.events_old.Id id = 1;\n",
        '  optional string name = 2 [default = "a \\"quoted\\"\\012name\\\\"];\n',
        "  // A group.\n  repeated group Part = 7 {\n    required string text = 1;\n    optional group Inner = 2 {\n",
        "  oneof choice {\n    string first = 8;\n    group Second = 9 {\n",
        "  map<string, .torture.events_old.Id> by_name = 10;\n  extensions 100 to 199;\n  extensions 500 to max;\n",
        '  COLOR_BLUE = 2 [deprecated = true];\n  reserved 5 to 7, 10 to max;\n  reserved "COLOR_GREEN";\n',
    ):
        assert line in text
    assert "micro" not in text


def _types(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Returns what the text keeps of a file."""
    kept = descriptor_pb2.FileDescriptorProto(name=file.name, package=file.package, syntax=file.syntax)
    kept.edition = file.edition
    kept.message_type.extend(file.message_type)
    kept.enum_type.extend(file.enum_type)
    _keep(file.options, kept.options, ())
    _plain_messages(kept.message_type)
    _plain_enums(kept.enum_type)
    return kept


def _plain_messages(messages: Iterable[descriptor_pb2.DescriptorProto]) -> None:
    for message in messages:
        del message.extension[:]
        _only(message, ("deprecated", "message_set_wire_format", "map_entry", "no_standard_descriptor_accessor"))
        for field in message.field:
            _only(field, ("packed", "deprecated"))
        for oneof in message.oneof_decl:
            _only(oneof, ())
        for extensions in message.extension_range:
            extensions.ClearField("options")
        message.nested_type.sort(key=lambda nested: nested.name)
        _plain_messages(message.nested_type)
        _plain_enums(message.enum_type)


def _plain_enums(enums: Iterable[descriptor_pb2.EnumDescriptorProto]) -> None:
    for enum in enums:
        _only(enum, ("allow_alias", "deprecated"))
        for value in enum.value:
            _only(value, ("deprecated",))


def _only(thing: Any, names: tuple[str, ...]) -> None:
    if thing.HasField("options"):
        kept = type(thing.options)()
        _keep(thing.options, kept, names)
        thing.ClearField("options")
        if kept.ByteSize():
            thing.options.CopyFrom(kept)


def _keep(options: Any, kept: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if options.HasField(name) and (getattr(options, name) or name == "packed"):
            setattr(kept, name, getattr(options, name))
    for feature, value in options.features.ListFields():
        if not feature.is_extension:
            setattr(kept.features, feature.name, value)
