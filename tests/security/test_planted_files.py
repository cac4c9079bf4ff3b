"""What others put where we write: links in the place of drafts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from micro_rt.cli import drafts
from micro_rt.cli.main import main

PROTO = 'syntax = "proto3"; package shop; message Order {}\n'


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("of the victim")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "shop.proto").write_text(PROTO)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def generate(out: Path) -> int:
    return main(["generate", "-I", str(out.parent), "--out", str(out), str(out.parent / "shop.proto")])


def export(out: Path) -> int:
    return main(["proto", "export", str(out)])


COMMANDS = [(generate, "shop_pb2.py"), (export, "micro_rt/annotations.proto")]
both = pytest.mark.parametrize(("command", "name"), COMMANDS)


@both
def test_a_link_with_the_name_that_drafts_had_is_not_written_through(
    out: Path, victim: Path, command: Callable[[Path], int], name: str
) -> None:
    target = out / name
    target.parent.mkdir(exist_ok=True)
    link = target.with_name(f".{target.name}.{os.getpid()}")
    link.symlink_to(victim)
    assert command(out) == 0
    assert victim.read_text() == "of the victim"
    assert target.is_file()
    assert not target.is_symlink()


@both
def test_a_draft_is_not_opened_if_something_has_its_name(
    out: Path,
    victim: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Callable[[Path], int],
    name: str,
) -> None:
    target = out / name
    target.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(drafts, "new_id", lambda: "guessed")
    link = target.with_name(".micro-rt-guessed")
    for leads_to in (victim, out / "nowhere"):
        link.symlink_to(leads_to)
        assert command(out) == 1
        assert f"cannot write {link}: File exists" in capsys.readouterr().err
        assert link.is_symlink()  # Not ours to remove.
        link.unlink()
    assert victim.read_text() == "of the victim"
    assert not (out / "nowhere").exists()
    assert not target.exists()


@both
def test_a_link_in_the_place_of_a_target_is_replaced(
    out: Path, victim: Path, command: Callable[[Path], int], name: str
) -> None:
    target = out / name
    target.parent.mkdir(exist_ok=True)
    target.symlink_to(victim)
    assert command(out) == 0
    assert victim.read_text() == "of the victim"
    assert not target.is_symlink()
    assert not [path for path in out.rglob(".*") if path.name.startswith(".micro-rt-")]


@both
def test_written_files_have_the_rights_of_the_umask(out: Path, command: Callable[[Path], int], name: str) -> None:
    before = os.umask(0o027)
    try:
        assert command(out) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((out / name).stat().st_mode) == 0o640
