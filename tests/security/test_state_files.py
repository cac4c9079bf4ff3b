"""The files of ``local:``: no links, nobody else's, not another program's, and closed to other users."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local import log
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.turns import Turns
from micro_rt.broker.base import OutgoingRecord, TopicOptions
from micro_rt.errors import FailedPrecondition
from micro_rt.kit import ownership
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.security.other_user import OTHER, give, needs_root, open_folder, run_as_other

__all__ = ["open_folder"]  # A fixture.

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither user ids nor modes")

BANK = Registration(Node("bank-1", "127.0.0.1:1"), ("bank",))
SUFFIXES = ("", "-wal", "-shm", "-journal", "-turns", "-reserve")
APPLICATION_ID = 0x6D696372


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "default").mkdir(parents=True)
    for folder in (tmp_path / "home", tmp_path / "home" / "default"):
        folder.chmod(0o755)
    return tmp_path / "home"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@contextlib.asynccontextmanager
async def both(home: Path) -> AsyncIterator[tuple[LocalRegistry, LocalBroker]]:
    registry, broker = LocalRegistry(home=home), LocalBroker(home=home)
    await registry.open()
    await broker.open()
    try:
        yield registry, broker
    finally:
        await broker.close()
        await registry.close()


async def use(registry: LocalRegistry, broker: LocalBroker) -> None:
    await registry.register(BANK)
    await broker.prepare({"t": TopicOptions(partitions=1)})
    await broker.publish([OutgoingRecord("t", b"secret")])


def modes(home: Path) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.lstat().st_mode):04o}" for path in (home / "default").iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def foreign(path: Path, version: int = 0, number: int = 0) -> bytes:
    """Makes the database of another program, and returns its bytes."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript(
            f"CREATE TABLE mails (text); INSERT INTO mails VALUES ('hello'); PRAGMA user_version = {version}; "  # noqa: S608  # made of numbers
            f"PRAGMA application_id = {number};"
        )
    path.chmod(0o600)
    return path.read_bytes()


# Links, and files of other users


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_a_link_in_place_of_a_file_is_refused(home: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "mails.db"
    before = foreign(target)
    link = home / "default" / f"registry.db{suffix}"
    link.symlink_to(target)
    with pytest.raises(FailedPrecondition, match="is a symbolic link") as caught:
        await LocalRegistry(home=home).open()
    assert f"{link} is a symbolic link: run `rm {link}`" in caught.value.message
    assert target.read_bytes() == before
    assert names(home / "default") == [link.name]


async def test_a_link_that_leads_nowhere_creates_nothing_there(home: Path, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (home / "default" / f"broker.db{suffix}").symlink_to(tmp_path / f"elsewhere{suffix}")
    with pytest.raises(FailedPrecondition, match="is a symbolic link"):
        await LocalBroker(home=home).open()
    assert names(tmp_path) == ["home"]


async def test_a_pipe_in_place_of_a_file_is_refused(home: Path) -> None:
    for suffix in SUFFIXES:
        path = home / "default" / f"registry.db{suffix}"
        os.mkfifo(path)
        with pytest.raises(FailedPrecondition, match=rf"registry.db{suffix} is not a regular file"):
            await LocalRegistry(home=home).open()
        path.unlink()


@needs_root
@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_a_file_of_another_user_is_refused(home: Path, suffix: str) -> None:
    path = home / "default" / f"broker.db{suffix}"
    path.touch(0o600)
    give(path)
    with pytest.raises(FailedPrecondition) as caught:
        await LocalBroker(home=home).open()
    assert f"{path} belongs to another user (uid {OTHER}): run `chown 0 {path}`" in caught.value.message
    broker = LocalBroker(f"local:?owner={OTHER}", home=home)
    await broker.open()
    await broker.close()


async def test_a_link_that_appears_later_is_refused_too(home: Path, tmp_path: Path) -> None:
    async with both(home) as (registry, _):
        await registry.register(BANK)
        path = home / "default" / "registry.db"
        path.rename(tmp_path / "moved.db")
        path.symlink_to(tmp_path / "moved.db")
        with pytest.raises(FailedPrecondition, match="is a symbolic link"):
            await registry.resolve("bank")
        path.unlink()
        assert await registry.resolve("bank") == ()  # A new file.


def test_the_file_of_turns_is_not_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "turns").symlink_to(tmp_path / "elsewhere")
    turns = Turns(tmp_path / "turns")
    turns.wait()
    turns.done()
    turns.close()
    assert not (tmp_path / "elsewhere").exists()


# Other programs' databases


@pytest.mark.parametrize(
    ("version", "number"), [(0, 0), (1, 0), (2, 0), (3, 0), (2, 1234), (2, APPLICATION_ID + 1), (0, -5)]
)
@pytest.mark.parametrize("part", [LocalRegistry, LocalBroker])
async def test_a_database_of_another_program_is_not_changed(
    home: Path, part: type[LocalRegistry | LocalBroker], version: int, number: int
) -> None:
    path = home / "default" / ("registry.db" if part is LocalRegistry else "broker.db")
    before = foreign(path, version, number)
    with pytest.raises(FailedPrecondition, match="is the database of another program") as caught:
        await part(home=home).open()
    assert str(path) in caught.value.message
    assert "MICRO_HOME" in caught.value.message
    assert path.read_bytes() == before
    assert names(home / "default") == [path.name]


async def test_a_database_that_only_some_of_our_tables_are_in_is_not_changed(home: Path) -> None:
    path = home / "default" / "broker.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript("CREATE TABLE topics (a); CREATE TABLE records (b); PRAGMA user_version = 1")
    before = path.read_bytes()
    with pytest.raises(FailedPrecondition, match="is the database of another program"):
        await LocalBroker(home=home).open()
    assert path.read_bytes() == before


async def test_our_files_carry_our_number(home: Path) -> None:
    async with both(home):
        pass
    for name in ("registry.db", "broker.db"):
        with contextlib.closing(sqlite3.connect(home / "default" / name)) as file:
            assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


@pytest.mark.parametrize("version", range(1, len(log.SCHEMA) + 1))
async def test_a_file_of_an_earlier_version_without_the_number_is_adopted(home: Path, version: int) -> None:
    path = home / "default" / "broker.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        for statements in log.SCHEMA[:version]:
            old.executescript(";".join(statements))
        old.executescript(
            f"PRAGMA user_version = {version}; CREATE TABLE of_the_user (x); ANALYZE; "  # noqa: S608  # made of a number
            "INSERT INTO topics (name, retention) VALUES ('t', 77.0)"
        )
    broker = LocalBroker(home=home)
    await broker.open()
    assert await broker.retention(["t"]) == {"t": 77.0}
    await broker.close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert file.execute("PRAGMA user_version").fetchone() == (len(log.SCHEMA),)


async def test_an_empty_file_becomes_ours(home: Path) -> None:
    (home / "default" / "registry.db").touch()
    async with both(home) as (registry, broker):
        await use(registry, broker)


# Rights


@pytest.mark.usefixtures("umask")
async def test_new_files_are_for_this_user_only(home: Path) -> None:
    async with both(home) as (registry, broker):
        await use(registry, broker)
        found = modes(home)
        assert {
            "registry.db-wal",
            "registry.db-shm",
            "broker.db-wal",
            "broker.db-shm",
            "broker.db-turns",
            "broker.db-reserve",
            "registry.db-reserve",
        } < found.keys()
        assert set(found.values()) == {"0600"}


async def test_a_file_is_closed_to_others_from_its_first_moment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(path: Path, **options: object) -> None:
        seen.append(modes(home))
        raise sqlite3.OperationalError("enough seen")

    seen: list[dict[str, str]] = []
    before = os.umask(0)
    try:
        with monkeypatch.context() as patch, pytest.raises(Exception, match="enough seen"):
            patch.setattr(sqlite3, "connect", connect)
            await LocalRegistry(home=home).open()
    finally:
        os.umask(before)
    assert seen == [{"registry.db": "0600"}]


async def test_files_of_earlier_versions_are_closed_to_others(home: Path) -> None:
    async with both(home) as (registry, broker):
        await use(registry, broker)
        for path in (home / "default").iterdir():  # As if an earlier version ran beside this one.
            path.chmod(0o666)
        async with both_in_another_loop(home):
            pass
        assert set(modes(home).values()) == {"0600"}
        await use(registry, broker)


@contextlib.asynccontextmanager
async def both_in_another_loop(home: Path) -> AsyncIterator[None]:
    """Opens both anew: in one event loop, they would share what is open."""

    async def opened() -> None:
        async with both(home):
            pass

    await asyncio.to_thread(asyncio.run, opened())
    yield


async def test_where_there_are_no_hard_links_files_are_for_this_user_only_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object, **options: object) -> None:
        tried.append(target)
        raise PermissionError(1, "Operation not permitted")

    tried: list[object] = []
    monkeypatch.setattr(os, "link", link)
    before = os.umask(0)
    try:
        async with both(home) as (registry, broker):
            await use(registry, broker)
            assert set(modes(home).values()) == {"0600"}
    finally:
        os.umask(before)
    assert len(tried) == 2
    kept = ["broker.db", "broker.db-reserve", "broker.db-turns", "registry.db", "registry.db-reserve"]
    assert sorted(modes(home)) == kept  # No draft is left.


async def test_creating_a_file_takes_no_locks_of_this_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that closes a file loses its locks on it, so nothing may open one that SQLite has open."""
    async with both(home) as (registry, _):
        await registry.register(BANK)
        path = home / "default" / "registry.db"
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        ownership.create_file(path)
        ownership.check_file(path)
        ownership.check_file(path.with_name("registry.db-shm"))
        program = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None); "
            "c.execute('BEGIN IMMEDIATE')"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
        assert "locked" in done.stderr
        holder.execute("ROLLBACK")
        holder.close()


@needs_root
async def test_another_user_reads_nothing_and_stops_no_writer(open_folder: Path) -> None:
    home = open_folder / "state"
    (home / "default").mkdir(parents=True)  # Open to be read, as systemd makes it for StateDirectory=.
    before = os.umask(0o022)
    try:
        async with both(home) as (registry, broker):
            await use(registry, broker)
            said = await asyncio.to_thread(run_as_other, TRIES, home / "default")
            assert re.findall(r"\w+Error", said) == ["PermissionError"] * len(modes(home))
            assert len(modes(home)) == 9
            await use(registry, broker)
    finally:
        os.umask(before)


TRIES = """
import fcntl

for name in sorted(os.listdir(sys.argv[1])):
    try:
        file = os.open(os.path.join(sys.argv[1], name), os.O_RDONLY)
    except OSError as error:
        print(name, type(error).__name__)
    else:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        print(name, "is open, and locked")
"""


async def test_many_threads_create_one_file(tmp_path: Path) -> None:
    def opened(number: int) -> None:
        async def main() -> None:
            registry = LocalRegistry(home=tmp_path / "home")
            await registry.open()
            await registry.register(Registration(Node(f"n{number}", "127.0.0.1:1"), ("bank",)))
            await registry.close()

        asyncio.run(main())

    await asyncio.gather(*(asyncio.to_thread(opened, number) for number in range(8)))
    registry = LocalRegistry(home=tmp_path / "home")
    await registry.open()
    assert len(await registry.resolve("bank")) == 8
    await registry.close()
    assert names(tmp_path / "home" / "default") == ["registry.db", "registry.db-reserve"]
