"""Groups without members on ``local:``: when they are forgotten, that none is forgotten too early, and what they cost."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from micro_rt.backends.local import groups, idle, log
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Partition, Position, TopicOptions, partition_of
from micro_rt.errors import NotFound
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.waiting import PATIENCE, eventually

VERSION = next(number for number, statements in enumerate(log.SCHEMA) if "TABLE idle" in statements[0])
"""How many versions of the schema were before notes of idle groups."""


class File:
    """The groups and topics of a broker's file, in memory, without the records: of these it knows when they were accepted."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        for statements in log.SCHEMA:
            for statement in statements:
                self.connection.execute(statement)
        self.topics = log.Topics({})
        self.now = 0.0
        self._lifetimes = groups.Lifetimes("boot", 1e9)
        self._accepted: list[tuple[float, str, int, int]] = []
        self._members = 0

    def close(self) -> None:
        self.connection.close()

    def make(self, topic: str, retention: float, partitions: int = 2) -> None:
        log.make(self.connection, topic, partitions, retention)

    def publish(self, topic: str, key: bytes = b"k") -> None:
        ids = log.partitions_of(self.connection, topic)
        id = ids[partition_of(key, len(ids))]
        (offset,) = self.connection.execute("SELECT next FROM partitions WHERE id = ?", (id,)).fetchone()
        self.connection.execute("UPDATE partitions SET next = next + 1 WHERE id = ?", (id,))
        self._accepted.append((self.now, topic, id, offset))

    def tidy(self) -> None:
        """Deletes what has run out, and forgets groups, as brokers do in the background."""
        retention = log.retention(self.connection, {topic for _, topic, _, _ in self._accepted})
        kept: list[tuple[float, str, int, int]] = []
        for at, topic, id, offset in self._accepted:
            if self.now - at > retention[topic]:
                self.connection.execute("UPDATE partitions SET first = ? WHERE id = ?", (offset + 1, id))
            else:
                kept.append((at, topic, id, offset))
        self._accepted = kept
        for id in idle.outlived(self.connection):
            while idle.forget(self.connection, id):
                pass
        assert idle.outlived(self.connection) == [], "there is always something to do"

    def join(self, group: str, *topics: str) -> tuple[int, groups.Joined]:
        self._members += 1
        joined = groups.join(
            self.connection, self.topics, self._lifetimes, self._members, group, dict.fromkeys(topics, ()), 0.0
        )
        return self._members, joined

    def claim(self, member: int, joined: groups.Joined, start: str | int) -> dict[int, int]:
        return groups.claim(self.connection, member, joined.group, joined.ids.values(), start, {})  # type: ignore[arg-type]

    def read_all(self, group: str, *topics: str, start: str | int = "earliest") -> dict[int, tuple[int, int]]:
        """Has a member read and commit all that is there, and leave; returns where each partition began and ended."""
        member, joined = self.join(group, *topics)
        taken = self.claim(member, joined, start)
        ends = dict(self.connection.execute("SELECT id, next FROM partitions").fetchall())
        assert groups.commit(self.connection, member, joined.group, {id: (ends[id], "") for id in taken}) == []
        groups.leave(self.connection, member, joined.group)
        return {id: (begin, ends[id]) for id, begin in taken.items()}

    def known(self) -> set[str]:
        return {name for (name,) in self.connection.execute("SELECT name FROM groups")}

    def left_over(self) -> dict[str, int]:
        """Returns how many rows of groups that are not known there are."""
        tables = ("positions", "starts", "idle", "owners", "targets")
        count = "SELECT count(*) FROM {} WHERE grp NOT IN (SELECT id FROM groups)"
        return {table: self.connection.execute(count.format(table)).fetchone()[0] for table in tables}


@pytest.fixture
def file() -> Iterator[File]:
    with closing(File()) as file:
        yield file


def test_a_group_is_forgotten_when_a_record_accepted_after_it_left_has_run_out(file: File) -> None:
    file.make("t", 100.0)
    file.publish("t")
    file.read_all("g", "t")
    file.now = 50.0
    file.publish("t")
    for file.now in (60.0, 120.0, 150.0):
        file.tidy()
        assert file.known() == {"g"}
    file.now = 151.0
    file.tidy()
    assert file.known() == set()
    assert set(file.left_over().values()) == {0}


def test_a_group_on_a_topic_that_has_run_empty_misses_nothing(file: File) -> None:
    file.make("t", 100.0)
    file.publish("t")
    file.read_all("g", "t", start="latest")
    file.now = 1000.0
    file.tidy()
    file.publish("t")  # While the service restarts.
    file.now = 1001.0
    file.tidy()
    assert sum(end - begin for begin, end in file.read_all("g", "t", start="latest").values()) == 1


def test_the_topic_with_the_longest_retention_decides(file: File) -> None:
    file.make("short", 10.0)
    file.make("long", 1000.0)
    file.read_all("both", "short", "long")
    file.read_all("one", "short")
    for file.now in range(1, 1002, 5):
        file.publish("short")
        file.publish("long")
        file.tidy()
        assert ("one" in file.known()) == (file.now <= 11), file.now
        assert "both" in file.known(), file.now
    file.now = 1002.0
    file.tidy()
    assert file.known() == set()


def test_a_group_with_a_member_is_not_forgotten(file: File) -> None:
    file.make("t", 10.0)
    file.read_all("g", "t")
    member, joined = file.join("g", "t")
    for file.now in range(1, 100):
        file.publish("t")
        file.tidy()
        assert file.known() == {"g"}
    groups.leave(file.connection, member, joined.group)
    for file.now in range(100, 112):
        file.publish("t")
        file.tidy()
        assert ("g" in file.known()) == (file.now <= 110), file.now


def test_a_group_whose_members_have_died_is_forgotten_too(file: File) -> None:
    file.make("t", 10.0)
    member, joined = file.join("g", "t")
    file.claim(member, joined, "earliest")
    groups.Lifetimes("another boot", 1.0).remove_dead(file.connection, 0.0)
    assert file.known() == {"g"}, "it began somewhere, and is still needed"
    for file.now in (1, 20):
        file.publish("t")
        file.tidy()
    assert file.known() == set()


def test_a_group_that_remembers_nothing_is_forgotten_at_once(file: File) -> None:
    file.make("t", 10.0)
    member, joined = file.join("g", "t")
    file.claim(member, joined, "earliest")
    groups.leave(file.connection, member, joined.group)
    assert file.known() == set()
    assert set(file.left_over().values()) == {0}
    groups.leave(file.connection, member, joined.group)  # Of a group that is not there any more.
    assert set(file.left_over().values()) == {0}


def test_a_group_that_a_member_of_an_earlier_version_has_visited_waits_anew(file: File) -> None:
    file.make("t", 10.0)
    file.publish("t")
    file.read_all("g", "t")
    note = file.connection.execute("SELECT * FROM idle").fetchall()
    file.now = 1.0
    file.publish("t")
    file.read_all("g", "t")
    file.connection.execute(
        "DELETE FROM idle"
    )  # An earlier version knows nothing of notes: the first one is still there.
    file.connection.executemany("INSERT INTO idle VALUES (?, ?, ?, ?)", note)
    file.now = 12.0
    file.tidy()
    assert file.known() == {"g"}
    for file.now in (13.0, 24.0):
        file.publish("t")
        file.tidy()
    assert file.known() == set()


def test_a_group_whose_position_is_beyond_what_has_run_out_is_kept(file: File) -> None:
    file.make("t", 10.0)
    file.make("late", 10.0)
    file.publish("late")
    file.read_all("g", "t", "late")
    file.publish("t")
    file._accepted = [each for each in file._accepted if each[1] == "t"]  # Nobody deletes those of "late" for now.
    file.now = 11.0
    file.tidy()
    assert file.known() == {"g"}, "it would read a record again"
    assert {id for id, (begin, end) in file.read_all("g", "late").items() if begin != end} == set()


def test_ids_of_groups_are_not_used_again(file: File) -> None:
    file.make("t", 10.0)
    ids = [file.join(f"g{number}", "t")[1].group for number in range(3)]
    assert max(ids) > 1 << 32
    member, joined = file.join("g", "t")
    groups.leave(file.connection, member, joined.group)
    assert file.join("g", "t")[1].group != joined.group


def test_many_groups_are_forgotten_some_at_a_time(file: File) -> None:
    file.make("t", 10.0, partitions=1)
    for number in range(500):
        file.read_all(f"g{number}", "t")
    for file.now in (1, 20):
        file.publish("t")
    file.connection.execute("UPDATE partitions SET first = 1")
    (topic,) = idle.outlived(file.connection)
    rounds = 1
    while idle.forget(file.connection, topic):
        rounds += 1
    assert rounds == 3
    assert file.known() == set()


@pytest.mark.parametrize("seed", range(60))
def test_no_group_is_forgotten_while_it_may_have_something_to_read_and_every_other_one_is(
    file: File, seed: int
) -> None:
    chance = random.Random(seed)
    retentions = {"a": 20.0, "b": 20.0, "c": 70.0}
    for topic, retention in retentions.items():
        file.make(topic, retention)
    left: dict[str, float] = {}
    reads: dict[str, list[str]] = {}
    ends: dict[str, dict[int, int]] = {}
    for _ in range(150):
        file.now += chance.uniform(0.0, 6.0)
        for topic in retentions:
            if chance.random() < 0.5:
                file.publish(topic, b"%d" % chance.randrange(10))
        if chance.random() < 0.3:
            group = f"g{chance.randrange(6)}"
            topics = reads.setdefault(group, chance.sample(sorted(retentions), chance.randint(1, 3)))
            known = group in file.known()
            firsts = dict(file.connection.execute("SELECT id, first FROM partitions").fetchall())
            read = file.read_all(group, *topics, start="latest" if known else "earliest")
            for id, (begin, end) in read.items():
                # What the group had not read is read now, unless it has run out, and nothing is read twice.
                expected = ends.get(group, {}).get(id, 0)
                assert max(begin, firsts[id]) == max(expected, firsts[id])
                ends.setdefault(group, {})[id] = end
            left[group] = file.now
        file.tidy()
        for group, at in left.items():
            longest = max(retentions[topic] for topic in reads[group])
            if group not in file.known():
                assert file.now - at > longest, "forgotten too early"
            assert group not in file.known() or file.now - at < longest + 100.0, "kept for much too long"
    assert set(file.left_over().values()) == {0}


# Files of earlier versions


async def test_groups_of_an_earlier_version_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "default" / "broker.db"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statements in log.SCHEMA[:VERSION]:
            for statement in statements:
                connection.execute(statement)
        connection.executescript(
            f"""PRAGMA user_version = {VERSION};
            INSERT INTO topics VALUES (1, 't', 1.0), (2, 'u', 5000.0);
            INSERT INTO partitions (id, topic, number, first, next) VALUES (1, 1, 0, 2, 5), (2, 1, 1, 0, 7), (3, 2, 0, 1, 1);
            INSERT INTO groups VALUES (1, 'empty', 3), (2, 'away', 4), (3, 'began', 5), (4, 'reads', 6);
            INSERT INTO positions (grp, partition, position) VALUES (2, 1, 5), (2, 2, 7), (4, 1, 1);
            INSERT INTO starts VALUES (3, 3, 'latest', 1), (3, 1, 'latest', 5);
            INSERT INTO members VALUES (77, 4, 'boot', 1e18); INSERT INTO member_topics VALUES (77, 1, NULL);"""  # noqa: S608  # made of a number
        )
    path.chmod(0o600)
    broker = LocalBroker(home=tmp_path)
    await broker.open()
    await broker.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM groups ORDER BY id").fetchall() == [
            ("away",),
            ("began",),
            ("reads",),
        ]
        notes = connection.execute("SELECT grp, topic, accepted, revision FROM idle ORDER BY grp, topic").fetchall()
        assert notes == [(2, 1, 12, 4), (3, 1, 12, 5), (3, 2, 1, 5)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# Brokers


async def test_a_broker_forgets_groups_in_the_background(tmp_path: Path) -> None:
    broker = LocalBroker(home=tmp_path)
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=1, retention=0.5)})

    async def publish() -> None:
        (result,) = await broker.publish([OutgoingRecord("t", b"value")])
        assert isinstance(result, Position)

    async def visit() -> None:
        member = broker.subscribe(["t"], "g", "earliest", Recorder())
        async with asyncio.timeout(PATIENCE):
            while not (found := await member.fetch(10, 0.1)):
                await publish()  # On a busy machine, a record may run out before it is read.
        await member.commit({each: records[-1].offset + 1 for each, records in found.items()})
        await member.close()

    async def forgotten() -> bool:
        await publish()
        try:
            await broker.offsets("g")
        except NotFound:
            return True
        return False

    await visit()
    await eventually(forgotten)
    await visit()
    assert (await broker.offsets("g"))[Partition("t", 0)].committed is not None
    await broker.close()
