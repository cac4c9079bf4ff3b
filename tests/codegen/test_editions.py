"""Files of edition 2026, and files of editions that nobody here knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.python.header import protobuf_guard, protobuf_needed
from protoc_gen_micro.run import files
from protoc_gen_micro.run.generate import respond
from tests.codegen.tools import PURELIB, ROOT, SCRIPTS, protoc, run, tree, write
from tests.codegen.tools import generate as generate_sources

PAGE = """\
edition = "2026";
package page;
import option "google/protobuf/json_enumvalue_options.proto";
message Page { int32 number = 1; string title = 2 [features.field_presence = IMPLICIT]; repeated int32 lines = 3; State state = 4; }
enum State { STATE_UNSPECIFIED = 0; STATE_DONE = 1 [(pb.enumvalue.json).string = "done"]; }
service Pages { rpc Get(Page) returns (Page); }
"""


def _new(edition: int) -> plugin_pb2.CodeGeneratorRequest:
    file = descriptor_pb2.FileDescriptorProto(name="new.proto", syntax="editions", edition=edition)  # type: ignore[arg-type]
    return plugin_pb2.CodeGeneratorRequest(file_to_generate=["new.proto"], proto_file=[file])


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_edition_2026_is_accepted(dialect: str, tmp_path: Path) -> None:
    write(tmp_path, {"page.proto": PAGE})
    out = tmp_path / "out"
    assert protoc(out, [tmp_path], ["page.proto"], f"--micro_opt=messages={dialect}") == ""
    suffix = "_pb" if dialect == "betterproto" else "_pb2"
    script = (
        f"from page{suffix} import Page\n"
        "import page_micro\n"
        "page = Page(number=0, lines=[1, 2])\n"
        "assert page.SerializeToString() == bytes([8, 0, 26, 2, 1, 2]), page.SerializeToString()\n"
        "assert Page.FromString(page.SerializeToString()) == page\n"
    )
    run(sys.executable, "-W", "error", "-c", script, cwd=out)


def test_what_a_module_hands_on_does_not_hide_what_its_check_of_the_runtime_calls(tmp_path: Path) -> None:
    sources = {
        "names.proto": 'edition = "2023"; message int {} message map {} message tuple {} message ImportError {}',
        "page.proto": 'edition = "2024"; import public "names.proto"; message Page { map page = 1; }',
    }
    response = generate_sources(tmp_path, sources)
    assert response.error == ""
    write(tmp_path, {file.name: file.content for file in response.file})
    run(sys.executable, "-c", "from page_pb2 import Page, tuple; Page()", cwd=tmp_path)


def test_a_runtime_that_is_too_old_for_edition_2026_says_so(tmp_path: Path, floor: Path) -> None:
    response = generate_sources(tmp_path, {"page.proto": PAGE})
    assert response.error == ""
    write(tmp_path / "out", {file.name: file.content for file in response.file})
    command = [str(floor), "-c", "import sys; sys.path += sys.argv[1:]; import page_pb2"]
    command += [str(tmp_path / "out"), str(ROOT), str(PURELIB)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    problem = result.stderr.splitlines()[-1]
    assert problem.startswith("ImportError: page.proto is of edition 2026, which ")
    assert "update protobuf" in problem or "pip install" in problem


@pytest.mark.parametrize("path", ["shop.proto", f"{'deep/' * 12}shop.proto", "{1 / 0}.proto", '"quoted".proto'])
@pytest.mark.parametrize("edition", ["2024", "2026"])
def test_the_guard_of_an_edition_is_formatted_and_says_what_to_do(path: str, edition: str, tmp_path: Path) -> None:
    guard = protobuf_guard(path, edition)
    write(tmp_path, {"guard.py": f"{guard}\n"})
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path)
    assert max(map(len, guard.splitlines())) <= 120
    needed = protobuf_needed(edition)
    exec(guard, {"_version": f"{needed}.0"})
    with pytest.raises(ImportError) as raised:
        exec(guard, {"_version": "6.1.0"})
    assert str(raised.value) == (
        f"{path} is of edition {edition}, which needs protobuf {needed} or newer, and protobuf 6.1.0 is installed: "
        f'pip install --upgrade "protobuf>={needed}"'
    )


@pytest.mark.parametrize("compiler", ["protoc", "buf"])
def test_an_edition_that_is_too_new_is_one_line(compiler: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "protos/new.proto": 'edition = "2026"; message A {}',
            "protos/newer.proto": 'edition = "2026"; message B {}',
            "buf.yaml": "version: v2\nmodules: [{path: protos}]\n",
            "buf.gen.yaml": "version: v2\nplugins: [{local: [sh, plugin], out: out}]\n",
            # The plugin as it is where protobuf does not know this edition.
            "plugin": f'exec "{sys.executable}" -c "{PLUGIN}"\n',
            "protoc-gen-micro": f'#!/bin/sh\nexec "{sys.executable}" -c "{PLUGIN}"\n',
        },
    )
    (tmp_path / "protoc-gen-micro").chmod(0o755)
    (tmp_path / "out").mkdir()
    if compiler == "buf":
        result = run(SCRIPTS / "buf", "generate", cwd=tmp_path, check=False)
    else:
        plugin = f"--plugin={tmp_path / 'protoc-gen-micro'}"
        command = [SCRIPTS / "protoc", plugin, "-Iprotos", "--micro_out=out", "new.proto", "newer.proto"]
        result = run(*command, cwd=tmp_path, check=False)
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert "new.proto: its edition is newer than 2024, the newest one known: update protobuf, which is " in line
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("edition", ["2026", "2099"])
def test_the_command_says_what_to_do_with_an_edition_that_its_compiler_does_not_know(
    edition: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from micro_rt.cli.main import main

    write(
        tmp_path, {"new.proto": f'edition = "{edition}"; message A {{}}', "typo.proto": 'edition = "x"; message B {}'}
    )
    assert main(["generate", "-I", str(tmp_path), "--out", str(tmp_path / "out"), str(tmp_path / "new.proto")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    cure = ": the compiler of grpcio-tools does not know it; run protoc-gen-micro with a protoc or buf that does"
    assert "new.proto:1:" in line
    assert edition in line
    assert line.endswith(cure)
    assert f".{cure}" not in line
    assert main(["generate", "-I", str(tmp_path), "--out", str(tmp_path / "out"), str(tmp_path / "typo.proto")]) == 1
    assert cure not in capfd.readouterr().err


PLUGIN = (
    "from protoc_gen_micro.run import files; files.MAXIMUM_EDITION = 1001; "
    "from protoc_gen_micro.__main__ import main; main([])"
)


def test_an_edition_that_nobody_knows() -> None:
    response = respond(_new(descriptor_pb2.EDITION_MAX))
    assert response.error == "new.proto: its edition is newer than 2026, the newest one known: update micro-rt"
    assert not response.file
    assert respond(_new(descriptor_pb2.EDITION_UNKNOWN)).error == response.error


def test_the_newest_edition_is_the_newest_that_this_protobuf_has() -> None:
    stable = [number for number in descriptor_pb2.Edition.values() if 998 <= number < 9999]
    assert max(stable) == files.MAXIMUM_EDITION
