"""No descriptor set and no option of a .proto ends a command or the generator with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from google.protobuf import descriptor_pb2

from micro_rt.cli.main import main
from protoc_gen_micro.asyncapi.document import _version
from protoc_gen_micro.compatibility.check import compare
from protoc_gen_micro.compatibility.comparable import SchemaSet
from protoc_gen_micro.schema.model import Event
from tests.codegen.tools import generate

_Field = descriptor_pb2.FieldDescriptorProto
_File = descriptor_pb2.FileDescriptorProto


def _schema(default: str = "", type: _Field.Type.ValueType = _Field.TYPE_INT32) -> _File:
    """Returns a file with one message, whose field may have a default."""
    made = _File(name="p.proto", package="p")
    message = made.message_type.add(name="M")
    message.field.add(name="a", number=1, type=type, label=_Field.LABEL_OPTIONAL)
    if default:
        message.field[0].default_value = default
    return made


def _oneof(file: _File) -> None:
    file.message_type[0].field[0].oneof_index = 7


def _map_without_value(file: _File) -> None:
    entry = file.message_type[0].nested_type.add(name="E")
    entry.options.map_entry = True
    file.message_type[0].field.add(
        name="map", number=2, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_REPEATED, type_name=".p.M.E"
    )


def _map_of_itself(file: _File) -> None:
    _map_without_value(file)
    entry = file.message_type[0].nested_type[0]
    entry.field.add(name="key", number=1, type=_Field.TYPE_INT32, label=_Field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_REPEATED, type_name=".p.M.E")


def _unknown_type(file: _File) -> None:
    file.message_type[0].field.add(
        name="b", number=2, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_OPTIONAL, type_name=".p.\x1b[2J"
    )


def _itself(file: _File) -> None:
    file.dependency.append("p.proto")


def _edition(file: _File) -> None:
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_99999_TEST_ONLY


@pytest.mark.parametrize("which", ["OLD", "NEW"])
@pytest.mark.parametrize("spoil", [_oneof, _map_without_value, _map_of_itself, _unknown_type, _itself, _edition])
def test_a_descriptor_set_that_is_no_schema_is_refused(
    spoil: Callable[[_File], None], which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _schema()
    spoil(bad)
    _check_refuses(which, [bad], tmp_path, capsys)


@pytest.mark.parametrize("which", ["OLD", "NEW"])
@pytest.mark.parametrize("default", ["x", "9" * 5000, "1_0", "٣", "\x1b[2J", "1" * 30])
@pytest.mark.parametrize("type", [_Field.TYPE_INT32, _Field.TYPE_UINT64, _Field.TYPE_BOOL, _Field.TYPE_ENUM])
def test_a_default_that_is_no_value_of_its_field_is_refused(
    type: _Field.Type.ValueType, default: str, which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _schema(default, type)
    if type == _Field.TYPE_ENUM:
        bad.enum_type.add(name="E").value.add(name="A", number=0)
        bad.message_type[0].field[0].type_name = ".p.E"
    _check_refuses(which, [bad], tmp_path, capsys)


@pytest.mark.parametrize("which", ["OLD", "NEW"])
@pytest.mark.parametrize("default", ["x", "9" * 5000, "1_0", "٣"])
def test_a_default_that_is_no_number_of_a_float_is_refused(
    default: str, which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _check_refuses(which, [_schema(default, _Field.TYPE_DOUBLE)], tmp_path, capsys)


def test_files_that_import_each_other_in_a_circle_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [_File(name=f"{number}.proto", dependency=[f"{(number + 1) % 3}.proto"]) for number in range(3)]
    _check_refuses("OLD", files, tmp_path, capsys)
    _check_refuses("NEW", [_schema(), _schema()], tmp_path, capsys)


def _check_refuses(which: str, bad: list[_File], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.bin").write_bytes(descriptor_pb2.FileDescriptorSet(file=[_schema()]).SerializeToString())
    (tmp_path / "bad.bin").write_bytes(descriptor_pb2.FileDescriptorSet(file=bad).SerializeToString())
    names = ["bad.bin", "good.bin"] if which == "OLD" else ["good.bin", "bad.bin"]
    assert main(["events", "check", "--all", *(str(tmp_path / name) for name in names)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"micro-rt events check: {which} ({tmp_path}/bad.bin) is not a valid schema: ")
    line = captured.err.removesuffix("\n")
    assert line.isprintable()
    assert len(line) < 600 + len(str(tmp_path))
    tail = ["events", "tail", "orders", "--broker", "memory:", "--descriptors", str(tmp_path / "bad.bin")]
    assert main(tail) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"micro-rt events tail: --descriptors {tmp_path}/bad.bin is not a valid schema: ")
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 600 + len(str(tmp_path))


def test_many_missing_files_are_not_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _File(name="p.proto", dependency=[f"{number}.proto" for number in range(100_000)])
    (tmp_path / "bad.bin").write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    bad = str(tmp_path / "bad.bin")
    for command in (["check", bad, bad], ["tail", "orders", "--broker", "memory:", "--descriptors", bad]):
        assert main(["events", *command]) == 2
        error = capsys.readouterr().err
        assert "bad.bin) lacks 0.proto, 1.proto" in error or "bad.bin lacks 0.proto, 1.proto" in error
        assert "--include_imports" in error
        assert len(error) < 700 + len(bad)


@pytest.mark.parametrize("default", ["0x10", "x", "9" * 5000, " 1", "1_0"])
@pytest.mark.parametrize("type", [_Field.TYPE_INT32, _Field.TYPE_DOUBLE])
def test_a_default_that_no_compiler_writes_is_compared_as_text(type: _Field.Type.ValueType, default: str) -> None:
    def schemas(text: str) -> SchemaSet:
        return SchemaSet([_schema(text, type)], ["p.proto"])

    assert compare(schemas(default), schemas(default), everything=True) == []
    (found,) = compare(schemas("7"), schemas(default), everything=True)
    assert found.message.startswith("default changed 7 -> ")


def test_valid_files_in_any_order_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also many that import each other in a chain."""
    files = [_File(name=f"{number}.proto", dependency=[f"{number + 1}.proto"]) for number in range(3000)]
    files.append(_File(name="3000.proto"))
    (tmp_path / "one.bin").write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString())
    assert main(["events", "check", "--all", str(tmp_path / "one.bin"), str(tmp_path / "one.bin")]) == 0
    assert "no changes" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["9" * 5000, f"1.{'9' * 5000}", "٣", "²", "1..2", "x\x1b"])
def test_any_version_of_an_event_is_generated(version: str, tmp_path: Path) -> None:
    escaped = "".join(f"\\x{byte:02x}" for byte in version.encode())
    source = 'syntax = "proto3"; package p; import "micro_rt/annotations.proto"; '
    source += f'message M {{ option (micro.event) = {{topic: "t" version: "{escaped}"}}; }}'
    response = generate(tmp_path, {"p.proto": source})
    assert response.error == ""
    assert response.file


def test_the_highest_version_is_found_whatever_its_length() -> None:
    def highest(*versions: str) -> str:
        return _version([cast("Event", SimpleNamespace(version=version)) for version in versions])

    long = "9" * 5000
    assert highest("1.9", "1.10.0") == "1.10.0"
    assert highest("1.x", "1.0") == "1.0"
    assert highest("1.09", "1.8") == "1.09"
    assert highest("2", long, "x") == long
    assert highest("0" * 5000, "1") == "1"
