"""The clock that ``local:`` measures retention with: it counts no time that has not passed, whatever the other clocks do."""

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local.log import SCHEMA, Topics, append, make, tidy, untidy
from micro_rt.backends.local.log_time import LogTime
from micro_rt.backends.local.sqlite_file import SQLiteFile
from micro_rt.broker.base import OutgoingRecord
from micro_rt.kit.clock import Clock

DAY = 86400.0
WEEK = 7 * DAY


class Machine:
    """A machine with a wall clock that anybody may set, and a file; ``time`` is the right time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.time = 1_000_000.0
        self.running = 0.0
        self.ahead = 0.0
        self.connection = connection
        self._boots = 0
        self._booted = 0.0
        self.boot()

    def boot(self) -> None:
        self._boots += 1
        self._booted = self.time

    def run(self, seconds: float) -> None:
        self.time += seconds
        self.running += seconds

    def off(self, seconds: float) -> None:
        self.time += seconds
        self.boot()

    def process(self) -> LogTime:
        return LogTime(Clock(lambda: self.time - self._booted, f"boot-{self._boots}", from_boot=True))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    connection = SQLiteFile(tmp_path / "broker.db", SCHEMA).connect()
    made = Machine(connection)
    monkeypatch.setattr(time, "time", lambda: made.time + made.ahead)
    yield made
    connection.close()


@pytest.mark.parametrize("seed", range(8))
def test_no_record_is_deleted_early_and_none_is_kept_for_much_too_long(machine: Machine, seed: int) -> None:
    chance = random.Random(seed)
    connection = machine.connection
    (id,) = make(connection, "t", 1, WEEK)
    topics = Topics({})
    accepted: list[tuple[float, float]] = []  # The right time, and for how long the machine had run.
    lost = 0.0  # What may not have been counted.
    processes = [machine.process() for _ in range(3)]
    for _ in range(1500):
        what = chance.random()
        if what < 0.05:
            machine.ahead = chance.choice((0.0, -machine.time, 8 * DAY, 365 * DAY, -20 * DAY))
        elif what < 0.06:
            before = machine.time
            machine.off(chance.choice((60.0, 3 * DAY, 60 * DAY)))
            machine.ahead = chance.choice((0.0, -machine.time, 8 * DAY, 365 * DAY))
            processes = [machine.process() for _ in range(3)]
            lost += 2 * 3600.0 + 600.0
            assert machine.time > before
        elif what < 0.4:
            append(connection, topics, [OutgoingRecord("t", b"")] * chance.randint(1, 3), machine.time)
            (next,) = connection.execute("SELECT next FROM partitions").fetchone()
            accepted += [(machine.time, machine.running)] * (next - len(accepted))
        machine.run(chance.uniform(0.0, 2 * 3600.0))
        process = chance.choice(processes)
        if process.due(connection):
            process.advance(connection)
        due, _ = untidy(connection, process.now(connection))
        while due and tidy(connection, id, process.advance(connection), 2000):
            pass
        (first,) = connection.execute("SELECT first FROM partitions").fetchone()
        assert all(at <= machine.time - WEEK for at, _ in accepted[:first]), "deleted too early"
        late = machine.running - WEEK * 17 / 16 - 4 * 3600.0 - lost
        assert all(ran > late for _, ran in accepted[first:]), "kept for much too long"
    (first,) = connection.execute("SELECT first FROM partitions").fetchone()
    assert first > 100


def test_it_counts_while_no_process_has_the_file_open(machine: Machine) -> None:
    make(machine.connection, "t", 1, WEEK)
    before = machine.process().advance(machine.connection)
    machine.run(3 * DAY)
    assert machine.process().now(machine.connection) - before == 3 * DAY


def test_after_a_reboot_the_time_since_then_counts_and_the_time_before_does_not(machine: Machine) -> None:
    before = machine.process().advance(machine.connection)
    machine.off(3 * DAY)
    machine.run(3600.0)
    process = machine.process()
    assert process.now(machine.connection) == before
    assert process.advance(machine.connection) - before == 3600.0


@pytest.mark.parametrize("ahead", [-30 * DAY, 30 * DAY])
def test_a_wall_clock_that_is_wrong_after_a_reboot_does_not_count(machine: Machine, ahead: float) -> None:
    before = machine.process().advance(machine.connection)
    machine.off(60.0)
    machine.ahead = ahead
    assert machine.process().advance(machine.connection) == before


def test_a_file_of_another_machine_does_not_age_by_what_this_one_has_run(machine: Machine) -> None:
    other = LogTime(Clock(lambda: 5.0, "other", from_boot=True))
    machine.run(200 * DAY)
    before = other.advance(machine.connection)
    machine.run(60.0)
    assert machine.process().advance(machine.connection) - before == 60.0


def test_processes_whose_clocks_cannot_be_compared_count_together(machine: Machine) -> None:
    one = LogTime(Clock(lambda: machine.time + 5000.0, "boot time:[1]"))
    two = LogTime(Clock(lambda: machine.time, "boot time:[2]"))
    before = one.advance(machine.connection)
    assert two.advance(machine.connection) == before
    for _ in range(10):
        machine.run(30.0)
        one.advance(machine.connection)
        machine.run(30.0)
        two.advance(machine.connection)
    assert two.now(machine.connection) - before == 600.0
    machine.ahead = 8 * DAY
    one.advance(machine.connection)
    assert two.advance(machine.connection) - before <= 600.0 + 60.0
    machine.run(10 * DAY)  # Both are stopped, and the wall clock jumps once more.
    now = one.advance(machine.connection)
    machine.ahead += 8 * DAY
    assert two.advance(machine.connection) - now <= 120.0


@pytest.mark.parametrize(
    "clock",
    [Clock(lambda: 5.0, "boot-1 time:[2]"), Clock(lambda: 5.0, "wall", jumps=True)],
    ids=["namespace", "process"],
)
def test_a_clock_of_the_same_boot_that_cannot_be_compared_counts_nothing_alone(machine: Machine, clock: Clock) -> None:
    machine.run(DAY)
    before = LogTime(clock).advance(machine.connection)
    machine.ahead = 8 * DAY
    assert machine.process().advance(machine.connection) == before


def test_a_file_in_which_nothing_is_kept_is_not_written(machine: Machine) -> None:
    (id,) = make(machine.connection, "t", 1, WEEK)
    process = machine.process()
    assert not process.due(machine.connection)
    append(machine.connection, Topics({}), [OutgoingRecord("t", b"")], machine.time)
    assert process.due(machine.connection)
    process.advance(machine.connection)
    machine.run(599.0)
    assert not process.due(machine.connection)
    machine.run(2.0)
    assert process.due(machine.connection)
    assert machine.process().advance(machine.connection) > 600.0
    assert not process.due(machine.connection), "another process has just done it"
    assert untidy(machine.connection, process.now(machine.connection))[0] == [id]


def test_a_file_of_an_earlier_version_keeps_what_it_has_for_its_retention(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    connection = SQLiteFile(path, SCHEMA[:4]).connect()
    (id,) = make(connection, "t", 1, WEEK)
    append(connection, Topics({}), [OutgoingRecord("t", b"")] * 30, time.time())
    for at, next in ((1000.0, 10), (time.time() - DAY, 20), (time.time() + 365 * DAY, 30)):
        connection.execute("INSERT INTO marks VALUES (?, ?, ?)", (id, at, next))
    connection.close()

    connection = SQLiteFile(path, SCHEMA).connect()
    now = 50.0
    process = LogTime(Clock(lambda: now, "boot", from_boot=True))
    process.advance(connection)
    assert not tidy(connection, id, process.now(connection), 2000)
    now += WEEK - 1.0
    assert not tidy(connection, id, process.now(connection), 2000)
    assert connection.execute("SELECT first, next FROM partitions").fetchone() == (0, 30)
    now += 2.0
    assert untidy(connection, process.now(connection))[0] == [id]
    assert not tidy(connection, id, process.now(connection), 2000)
    assert connection.execute("SELECT first, next FROM partitions").fetchone() == (30, 30)
    connection.close()
