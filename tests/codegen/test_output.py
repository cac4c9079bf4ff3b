"""What is written: the same bytes by every route, every time, as the snapshots show."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_snapshot.plugin import Snapshot

from micro_rt.cli.generate import generate
from micro_rt.cli.main import main
from tests.codegen.tools import HERE, NAMES, PROTOS, ROOT, protoc, run, tree, write
from tests.codegen.tools import generate as generate_here
from tests.generated import without_version
from tests.helpers.sizes import Size


def test_snapshots(generated: Path, snapshot: Snapshot) -> None:
    snapshot.snapshot_dir = HERE / "snapshots"
    snapshot.assert_match_dir(_nested(tree(generated)), "protos")


@pytest.mark.parametrize("strategy", ["directory", "all"])
def test_buf_writes_what_protoc_writes(strategy: str, generated: Path, tmp_path: Path) -> None:
    shutil.copytree(PROTOS, tmp_path / "protos")
    assert main(["proto", "export", str(tmp_path / "third_party")]) == 0
    plugin = f"  - local: protoc-gen-micro\n    out: out\n    strategy: {strategy}\n"
    write(
        tmp_path,
        {
            "buf.yaml": "version: v2\nmodules:\n  - path: protos\n  - path: third_party\n",
            "buf.gen.yaml": f"version: v2\nplugins:\n{plugin}",
        },
    )
    run("buf", "generate", cwd=tmp_path)
    assert tree(tmp_path / "out") == tree(generated)


def test_our_own_protos_satisfy_buf() -> None:
    run("buf", "lint", cwd=ROOT)
    run("buf", "build", "-o", "/dev/null", cwd=ROOT)


def test_micro_rt_generate_writes_what_protoc_writes(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(PROTOS)
    assert main(["generate", "--out", str(tmp_path), *NAMES]) == 0
    assert tree(tmp_path) == tree(generated)
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(str(tmp_path / name) for name in tree(generated))


@pytest.mark.verify("codegen")
def test_order_and_company_change_nothing(generated: Path, tmp_path: Path, size: Size) -> None:
    protoc(tmp_path / "reversed", [PROTOS, ROOT], NAMES[::-1])
    assert tree(tmp_path / "reversed") == tree(generated)
    names = NAMES[:: size(1, ci=10)]
    for name in names:
        protoc(tmp_path / "alone", [PROTOS, ROOT], [name])
    alone, together = tree(tmp_path / "alone"), tree(generated)
    assert len(alone) >= len(names)
    assert alone == {path: together[path] for path in (together if names == NAMES else alone)}


def test_output_is_formatted(generated: Path) -> None:
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", generated)


def test_long_names_alone_in_a_tuple_are_formatted(tmp_path: Path) -> None:
    lengths = range(95, 125)
    head = 'syntax = "proto3";\nimport "micro_rt/annotations.proto";\nmessage M {}\n'
    services = "".join(
        f"service S{length} {{\n  rpc {'X' * length}(M) returns (M) "
        f'{{ option (micro.method) = {{auth: {{scopes: "{"x" * (length - 20)}"}}}}; }}\n}}\n'
        for length in lengths
    )
    sources = {"rpcs.proto": head + services}
    for length in lengths:
        event = f'message {"X" * length} {{ option (micro.event) = {{topic: "t"}}; }}\n'
        sources[f"event{length}.proto"] = f"{head.replace('message M {}', f'package p{length};')}{event}"
    response = generate_here(tmp_path / "protos", sources)
    assert not response.error
    stubs = {file.name: file.content for file in response.file if file.name.endswith("_micro.py")}
    assert sum("    (\n" in text for text in stubs.values()) > 1
    assert "scopes=(\n" in stubs["rpcs_micro.py"]
    write(tmp_path / "out", stubs)
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path / "out")


def test_entries_of_maps_are_formatted_at_any_depth(tmp_path: Path) -> None:
    # The bodies of entries of the same types are written once: not so where one of them is further to the right.
    lengths = range(10, 60)
    values = "".join(f"message {'X' * length} {{}}\n" for length in lengths)
    fields = "".join(f"map<string, {'X' * length}> f{length} = {length};\n" for length in lengths)
    nested = f"message Outer {{ message Inner {{ message Inmost {{\n{fields}}}\n{fields}}}\n{fields}}}\n"
    response = generate_here(tmp_path / "protos", {"maps.proto": f'syntax = "proto3";\n{values}{nested}'})
    assert not response.error
    write(tmp_path / "out", {file.name: file.content for file in response.file})
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path / "out")


def test_one_empty_line_is_between_imports(generated: Path, tmp_path: Path) -> None:
    stubs = [text for name, text in tree(generated).items() if name.endswith("_micro.py")]
    response = generate_here(tmp_path, {"empty.proto": 'syntax = "proto3"; service Empty {}'})
    stubs += [file.content for file in response.file if file.name.endswith("_micro.py")]
    assert any("import annotations\n\nimport micro_rt as" in text for text in stubs)
    assert not any(re.search(r"^(?:import|from) .*\n\n\n+(?:import|from) ", text, re.MULTILINE) for text in stubs)


def test_a_file_without_services_has_no_stubs(generated: Path) -> None:
    assert "presence_pb2.py" in tree(generated)
    assert "presence_micro.py" not in tree(generated)


def test_the_runtime_has_its_own_modules_and_nobody_writes_them_again(tmp_path: Path) -> None:
    protoc(tmp_path / "protoc", [ROOT], ["micro_rt/annotations.proto", "micro_rt/status.proto"])
    assert tree(tmp_path / "protoc") == {}
    protos = sorted((ROOT / "micro_rt").glob("*.proto"))
    written = generate(protos, [ROOT], tmp_path / "own", runtime=True)
    assert len(written) == 2 * len(protos) >= 4
    for path in written:
        name = path.relative_to(tmp_path / "own")
        committed = without_version((ROOT / name).read_text())
        assert without_version(path.read_text()) == committed, f"generate {name} again"


def _nested(files: dict[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path, content in files.items():
        *folders, name = path.split("/")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = without_version(content)
    return result
