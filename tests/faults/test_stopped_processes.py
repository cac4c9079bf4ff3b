"""A process that is stopped (Ctrl-Z, a debugger, ``docker pause``) in the middle of a write, and the others that write meanwhile."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local import sqlite_file, turns
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.event_file import _DEATHS
from micro_rt.backends.local.holders import LOCKS, holder, remedy, writer
from micro_rt.backends.local.turns import Turns
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.errors import Unavailable
from micro_rt.kit.clock import pause_thread
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.waiting import eventually, soon

WORKER = Path(__file__).with_name("stopped_worker.py")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="these tests see in /proc whether a process is stopped"
)
lists_locks = pytest.mark.skipif(not LOCKS.exists(), reason="this system does not list the locks of processes")


class Pauses:
    """Counts the pauses of those who wait for a turn."""

    def __init__(self) -> None:
        self.count = 0

    def pause(self, seconds: float) -> None:
        self.count += 1
        pause_thread(seconds)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    found = Pauses()
    monkeypatch.setattr(turns, "pause_thread", found.pause)
    monkeypatch.setattr(turns, "_ALONE", 3600.0)  # A slow machine must not queue twice while a test runs.
    return found


@contextlib.asynccontextmanager
async def opened(home: Path, address: str = "local:") -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(address, home=home)
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=1)})
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.contextmanager
def stopped(moment: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Gives a process that will stop, or has; resumes it at the end if it still runs, and expects that it ends well."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, str(WORKER), moment, str(home)], env=environment)
    try:
        yield process
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) in (0, -signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


async def until_stopped(process: subprocess.Popen[bytes]) -> None:
    def state() -> str:
        assert process.poll() is None, "it has ended"
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    await eventually(state, equals="T")


async def publish(broker: LocalBroker, value: bytes) -> Position | Exception:
    (result,) = await soon(broker.publish([OutgoingRecord("t", value, b"k")]))
    return result


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "did not get the turn to write" in text]


async def test_a_process_stopped_while_it_has_the_turn_slows_no_other_down(
    tmp_path: Path, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as broker:
        with stopped("turn", tmp_path) as process:
            await until_stopped(process)
            assert isinstance(await publish(broker, b"0"), Position)
            waited = pauses.count
            assert waited > 0, "nobody waited: the worker does not have the turn"
            for number in range(1, 21):
                assert isinstance(await publish(broker, b"%d" % number), Position)
                assert pauses.count == waited, "waited for its turn again"
            if LOCKS.exists():
                (text,) = named(caplog)
                assert f"process {process.pid} " in text and "is stopped" in text
                assert f"kill -CONT {process.pid}" in text and "broker.db" in text
        # It has given the turn back, so there is nobody to wait for.
        waited = pauses.count
        assert isinstance(await publish(broker, b"21"), Position)
        assert pauses.count == waited


async def test_who_has_waited_in_vain_takes_turns_again_when_the_turn_is_free(tmp_path: Path, pauses: Pauses) -> None:
    path = tmp_path / "default" / "broker.db"
    async with opened(tmp_path):
        queue = Turns(path.with_name("broker.db-turns"))
        with stopped("turn", tmp_path) as process:
            await until_stopped(process)
            assert not queue.wait()
            waited = pauses.count
            assert not queue.wait()
            assert pauses.count == waited
        assert queue.wait(), "does not take turns again"
        queue.done()
        with stopped("turn", tmp_path) as process:
            await until_stopped(process)
            assert not queue.wait()
            assert pauses.count > waited, "no longer waits for others"
        queue.close()


@pytest.mark.parametrize("moment", ["lock", "write"])
async def test_a_process_stopped_while_it_writes_is_named_by_the_error(
    tmp_path: Path, moment: str, pauses: Pauses, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 0.3)
    async with opened(tmp_path, "local:?session=1") as broker:
        member = broker.subscribe(["t"], "g", "earliest", Recorder())
        assert isinstance(await publish(broker, b"before"), Position)
        assert [each.value for found in (await soon(member.fetch(1, 60.0))).values() for each in found] == [b"before"]
        with stopped(moment, tmp_path) as process:
            await until_stopped(process)
            error = await publish(broker, b"meanwhile")
            assert isinstance(error, Unavailable), error
            assert "broker.db was kept locked" in error.message
            await soon(member.fetch(1, 0.0))  # Reading needs no lock.
            await eventually(lambda: "kept locked" in broker.problem, "a problem that names the lock")
            if LOCKS.exists():
                cure = f"resume it with `kill -CONT {process.pid}`, or end it with `kill -KILL {process.pid}`"
                for text in (error.message, broker.problem):
                    assert f"process {process.pid} " in text and cure in text
                for text in named(caplog):
                    assert cure in text, "the log names a process that waits itself"
        assert isinstance(await publish(broker, b"after"), Position)
        await eventually(lambda: broker.problem, equals="")
        await member.close()


async def test_a_member_that_was_taken_for_dead_and_lives_is_no_problem_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path, "local:?session=1") as broker:
        member = broker.subscribe(["t"], "g", "earliest", Recorder())
        assert isinstance(await publish(broker, b"before"), Position)
        await soon(member.fetch(1, 60.0))
        # It could not be removed in time, and has said since that it lives: nobody is there to be removed.
        assert broker._file is not None
        broker._file._trouble(_DEATHS, Unavailable("kept locked"))
        assert "kept locked" in broker.problem
        await eventually(lambda: broker.problem, equals="")
        await member.close()


async def test_a_process_stopped_while_it_has_the_file_for_itself_is_named_by_who_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 0.3)
    async with opened(tmp_path):
        pass
    with stopped("exclusive", tmp_path) as process:
        await until_stopped(process)
        with pytest.raises(Unavailable, match="was kept locked") as caught:
            await soon(LocalBroker(home=tmp_path).open())
        if LOCKS.exists():
            assert f"kill -CONT {process.pid}" in caught.value.message
    async with opened(tmp_path) as broker:
        assert isinstance(await publish(broker, b"after"), Position)


@pytest.mark.parametrize("moment", ["turn", "lock", "write"])
async def test_a_process_that_is_killed_while_it_is_stopped_holds_nothing(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 60.0)
    async with opened(tmp_path) as broker:
        with stopped(moment, tmp_path) as process:
            await until_stopped(process)
            process.kill()
            assert isinstance(await publish(broker, b"after"), Position)


async def test_a_process_stopped_after_it_wrote_keeps_nobody_waiting(tmp_path: Path, pauses: Pauses) -> None:
    async with opened(tmp_path) as broker:
        with stopped("commit", tmp_path) as process:
            await until_stopped(process)
            assert isinstance(await publish(broker, b"after"), Position)
            assert pauses.count == 0
            assert writer(tmp_path / "default" / "broker.db") is None


@lists_locks
async def test_the_log_names_the_process_that_others_wait_for_and_names_it_once(
    tmp_path: Path, pauses: Pauses, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_ALONE", 0.0)
    queue = tmp_path / "default" / "broker.db-turns"
    waits, other = Turns(queue), Turns(queue)
    async with opened(tmp_path):
        with stopped("write", tmp_path) as process:
            await until_stopped(process)
            assert waits.wait()  # As a process does that has the turn, and waits for SQLite's lock.
            assert not other.wait()
            assert not other.wait()
            assert [f"process {process.pid} " in text for text in named(caplog)] == [True]
            waits.done()
            assert other.wait()
            other.done()
            assert waits.wait()
            assert not other.wait()
            assert len(named(caplog)) == 2, "another time is not logged"
        waits.close()
        other.close()


# Which process holds a lock


@lists_locks
async def test_the_holders_of_locks_are_found(tmp_path: Path) -> None:
    path = tmp_path / "default" / "broker.db"
    queue = path.with_name("broker.db-turns")
    async with opened(tmp_path):
        assert holder(queue) is None
        assert writer(path) is None
        with stopped("lock", tmp_path) as process:
            await until_stopped(process)
            assert holder(queue) == process.pid
            assert writer(path) == process.pid
            assert holder(tmp_path / "missing") is None


@lists_locks
async def test_a_file_system_that_lists_another_device_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "default" / "broker.db"
    table = tmp_path / "locks"
    async with opened(tmp_path):
        with stopped("write", tmp_path) as process:
            await until_stopped(process)
            lines = [line.split() for line in LOCKS.read_text().splitlines()]
            for fields in lines:
                if len(fields) == 8:
                    fields[5] = f"00:7f:{fields[5].rpartition(':')[2]}"
            table.write_text("\n".join(" ".join(fields) for fields in lines))
            assert writer(path, table) == process.pid
            # A process that does not have the file open has locked another one with the same number.
            table.write_text(
                f"1: POSIX ADVISORY WRITE {os.getppid()} 00:7f:{path.with_name('broker.db-shm').stat().st_ino} 120 120\n"
            )
            assert writer(path, table) is None


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "nonsense", "1: POSIX ADVISORY WRITE x y z w\n" * 3, "1: -> FLOCK ADVISORY WRITE 1 00:00:1 0 EOF"],
)
def test_a_list_of_locks_that_cannot_be_read_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "locks").write_text(text)
    assert writer(tmp_path / "locks", tmp_path / "locks") is None
    assert holder(tmp_path / "locks", tmp_path / "locks") is None


def test_what_to_do_about_a_process() -> None:
    assert "lsof /a/broker.db" in remedy(None, Path("/a/broker.db"))
    assert "this process" in remedy(os.getpid(), Path("/a/broker.db"))
    assert f"kill {os.getppid()}`" in remedy(os.getppid(), Path("/a/broker.db"))


def test_without_a_list_of_locks_the_process_with_the_turn_notes_its_id(
    tmp_path: Path, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    missing = tmp_path / "no list"
    one, two = Turns(tmp_path / "part.db-turns", missing), Turns(tmp_path / "part.db-turns", missing)
    assert one.wait()
    assert not two.wait()
    (text,) = named(caplog)
    assert f"this process ({os.getpid()})" in text
    assert str(tmp_path / "part.db") in text
    one.close()
    two.close()


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"-1", b"0", b"9" * 5000, b"1\n2", b"\x00" * 10, b"12 34"])
def test_the_lock_file_may_contain_anything(
    tmp_path: Path, content: bytes, pauses: Pauses, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_PATIENCE", 0.01)
    path = tmp_path / "part.db-turns"
    one, two = Turns(path, tmp_path / "no list"), Turns(path, tmp_path / "no list")
    assert one.wait()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert not two.wait()
    (text,) = named(caplog)
    assert "look for a process" in text
    assert not two.wait()
    one.done()
    assert two.wait()
    one.close()
    two.close()
