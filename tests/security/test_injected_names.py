"""No name in a request, not even that of a file, becomes code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.run.generate import respond

PLUGIN = Path(sys.executable).with_name("protoc-gen-micro")
CODE = 'x\nopen("PLANTED", "w")\n#'
PATHS = (
    f"google/protobuf/{CODE}.proto",
    f"micro_rt/{CODE}.proto",
    f"shop/{CODE}.proto",
    f"{CODE}.proto",
    "google/protobuf/a b.proto",
    "google/protobuf/a;b.proto",
    "google/protobuf/a\u2028b.proto",
    "google/protobuf//a.proto",
    "micro_rt/../a.proto",
)
NAMES = (CODE, "", "a b", "a-b", "a;b", "1a", "a\u00e9", 'a"', "a\\", "a\n")


def request(path: str = "other.proto", messages: str = "protobuf", more: str = "") -> plugin_pb2.CodeGeneratorRequest:
    """Returns a request for a file that imports another one, and uses its message."""
    made = plugin_pb2.CodeGeneratorRequest(parameter=f"messages={messages}{more}", file_to_generate=["shop.proto"])
    other = made.proto_file.add(name=path, package="other", syntax="proto3")
    other.message_type.add(name="Other")
    shop = made.proto_file.add(name="shop.proto", package="shop", syntax="proto3", dependency=[path])
    message = shop.message_type.add(name="Basket")
    field = message.field.add(name="other", number=1, type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE)
    field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    field.type_name = ".other.Other"
    shop.service.add(name="Shop").method.add(name="Buy", input_type=".other.Other", output_type=".shop.Basket")
    return made


@pytest.mark.parametrize("messages", ["protobuf", "betterproto", "none"])
@pytest.mark.parametrize("path", PATHS)
def test_the_name_of_an_import_becomes_no_code(path: str, messages: str) -> None:
    response = respond(request(path, messages))
    assert not response.file
    assert "rename it" in response.error
    assert response.error.isprintable()
    assert "this is a bug" not in response.error


@pytest.mark.parametrize("mapping", ["vendor", "vendor=x.y", "vendor/pb=json", "google=x", "micro_rt=x"])
@pytest.mark.parametrize("messages", ["protobuf", "betterproto", "none"])
@pytest.mark.parametrize("path", ["decoder; open('PLANTED', 'w') #.proto", "class.proto/a b.proto", *PATHS])
def test_the_name_of_an_import_below_a_mapped_folder_becomes_no_code(path: str, messages: str, mapping: str) -> None:
    folder = mapping.partition("=")[0]
    path = path if path.startswith(f"{folder}/") else f"{folder}/{path}"
    response = respond(request(path, messages, f",map={mapping}"))
    assert not response.file
    assert "rename it" in response.error
    assert response.error.isprintable()


@pytest.mark.parametrize("messages", ["protobuf", "betterproto"])
def test_a_mapped_folder_may_have_names_that_a_module_can_be_made_of(messages: str) -> None:
    for path in ("vendor/other.proto", "vendor/a-b/other.proto", "vendor/v1.0/3d.proto", "vendor/class/other.proto"):
        written = respond(request(path, messages, ",map=vendor=x.y")).file
        assert written, path
        for file in written:
            ast.parse(file.content)


def test_the_name_of_an_installed_module_becomes_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may have a file of any name: one that no import can be written for counts as not installed."""
    folder = tmp_path / "site-packages"
    (folder / "vendor").mkdir(parents=True)
    (folder / "vendor" / "a; b_pb2.py").write_text("")
    (folder / "vendor" / "class_pb2.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    assert "rename it" in respond(request("vendor/a; b.proto")).error
    assert respond(request("vendor/class.proto")).file


@pytest.mark.parametrize("messages", ["protobuf", "betterproto"])
def test_names_that_are_allowed_are_generated(messages: str) -> None:
    for path in ("other.proto", "a-b/other.proto", "v1/other.proto", "google/protobuf/class.d/a.proto"):
        written = respond(request(path, messages)).file
        assert written, path
        for file in written:
            ast.parse(file.content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "place", ["package", "message", "field", "oneof", "enum", "value", "service", "method", "extension", "type"]
)
def test_a_name_that_is_not_an_identifier_is_refused(place: str, name: str) -> None:
    made = request()
    shop = made.proto_file[1]
    message = shop.message_type[0]
    if place == "package":
        shop.package = name or "."
    elif place == "message":
        message.nested_type.add().name = name
    elif place == "field":
        message.field[0].name = name
    elif place == "oneof":
        message.oneof_decl.add().name = name
    elif place == "enum":
        message.enum_type.add().name = name
    elif place == "value":
        shop.enum_type.add(name="Colour").value.add().name = name
    elif place == "service":
        shop.service[0].name = name
    elif place == "method":
        shop.service[0].method[0].name = name
    elif place == "extension":
        shop.extension.add(number=1, extendee=".shop.Basket").name = name
    else:
        message.field[0].type_name = f".other.{name}"
    response = respond(made)
    assert not response.file
    assert "is not an identifier" in response.error
    assert response.error.isprintable()


@pytest.mark.parametrize(
    ("path", "option"),
    [(f"micro_rt/{CODE}.proto", ""), ("vendor/pb/decoder; open('PLANTED', 'w') #.proto", "map=vendor/pb=json")],
)
@pytest.mark.parametrize("command", ["plugin", "micro-rt"])
def test_a_hostile_proto_file_runs_nothing(command: str, path: str, option: str, tmp_path: Path) -> None:
    """As the fault was seen: the names pass protoc, and the code ran when the generated module was imported."""
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text('syntax = "proto3"; package other; message Other {}\n')
    escaped = path.replace("\n", "\\n").replace('"', '\\"')
    (tmp_path / "shop.proto").write_text(
        f'syntax = "proto3"; package shop; import "{escaped}"; message Basket {{ other.Other other = 1; }}\n'
    )
    out = tmp_path / "out"
    out.mkdir()
    tool = (
        ["micro_rt", "generate", "-I", str(tmp_path), "--out", str(out), *(["--opt", option] if option else [])]
        if command == "micro-rt"
        else [
            "grpc_tools.protoc",
            f"-I{tmp_path}",
            f"--plugin=protoc-gen-micro={PLUGIN}",
            f"--micro_out={option}:{out}",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-m", *tool, str(tmp_path / "shop.proto")],
        cwd=out,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "rename it" in done.stderr
    assert not list(out.glob("**/*.py"))
    assert not (out / "PLANTED").exists()
