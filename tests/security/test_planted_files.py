"""What others put where we write or look: links in the place of drafts, and programs in the cache of the test servers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from micro_rt.cli import drafts
from micro_rt.cli.main import main
from tests.security.other_user import OTHER, give, needs_root
from tests.servers.cache import Unobtainable, kept
from tests.servers.process import Ports

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


# The cache of programs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRO_SERVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_program(work: Path) -> Path:
    (work / "tools").mkdir()
    for path in (work / "tools", work / "tools" / "program"):
        path.touch()
        path.chmod(0o777)  # As a umask of 000 has it.
    return work / "tools"


def obtain() -> Path:
    return kept("tools-1", make_program, print)[0]


def test_a_program_in_the_cache_is_found_again(cache: Path) -> None:
    tools = obtain()
    assert tools == cache / "tools-1"
    assert kept("tools-1", lambda work: work, print) == (tools, False)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, tools, tools / "program")] == [0o700, 0o755, 0o755]


@needs_root
@pytest.mark.parametrize("name", ["", "tools-1", "tools-1/program"])
def test_a_cache_with_something_of_another_user_is_not_used(cache: Path, name: str) -> None:
    obtain()
    give(cache / name)
    with pytest.raises(Unobtainable) as caught:
        obtain()
    assert f"{cache / name} belongs to another user (uid {OTHER}): run `" in str(caught.value)
    assert "MICRO_SERVER_CACHE" in str(caught.value)


@pytest.mark.parametrize("name", ["", "tools-1", "tools-1/program"])
@pytest.mark.parametrize("rights", [0o777, 0o775, 0o757])
def test_a_cache_with_something_that_others_can_write_is_not_used(cache: Path, name: str, rights: int) -> None:
    obtain()
    (cache / name).chmod(rights)
    with pytest.raises(Unobtainable) as caught:
        obtain()
    assert f"{cache / name} can be written by other users (mode {rights:04o}): run `" in str(caught.value)


def test_the_lock_of_the_cache_is_not_opened_through_a_link(cache: Path, tmp_path: Path) -> None:
    cache.mkdir(mode=0o700)
    (cache / ".tools-1.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unobtainable, match="symbolic links"):
        obtain()
    assert not (tmp_path / "elsewhere").exists()


def test_the_locks_of_ports_are_not_in_a_folder_that_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ports = Ports()
    ports.take()
    ports.close()
    (folder,) = tmp_path.glob("micro-rt-ports-*")
    folder.chmod(0o777)
    with pytest.raises(Exception, match="can be written by other users"):
        Ports()
