import random
import sqlite3
from collections import Counter
from itertools import count

import pytest

from micro_rt.backends.local.log import SCHEMA, Topics, append, make, read, tidy, untidy
from micro_rt.broker.base import OutgoingRecord, Partition, Position, partition_of
from micro_rt.broker.groups.base import balance


def test_keys_go_where_kafka_puts_them() -> None:
    # From Kafka's own tests, UtilsTest.testMurmur2.
    assert partition_of(b"foobar", 1 << 31) == -790332482 & 0x7FFFFFFF
    assert partition_of(b"21", 1 << 31) == -973932308 & 0x7FFFFFFF
    assert partition_of(b"abc", 1 << 31) == 479470107
    assert partition_of(b"a-little-bit-long-string", 1 << 31) == -985981536 & 0x7FFFFFFF
    assert partition_of(b"a-little-bit-longer-string", 1 << 31) == -1486304829 & 0x7FFFFFFF
    assert partition_of(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 1 << 31) == -58897971 & 0x7FFFFFFF


@pytest.mark.parametrize("seed", range(200))
def test_partitions_are_shared_evenly_and_few_are_moved(seed: int) -> None:
    chance = random.Random(seed)
    topics = {f"t{number}": chance.randint(1, 12) for number in range(chance.randint(1, 5))}
    names = count()
    members: dict[int, list[str]] = {}
    owners: dict[Partition, int] = {}
    for _ in range(20):
        if members and chance.random() < 0.4:
            gone = chance.choice(list(members))
            del members[gone]
            owners = {partition: member for partition, member in owners.items() if member != gone}
        else:
            members[next(names)] = chance.sample(sorted(topics), chance.randint(1, len(topics)))
        found = balance(topics, members, owners)
        assert found.keys() == {
            Partition(topic, number)
            for topic, partitions in topics.items()
            if any(topic in read for read in members.values())
            for number in range(partitions)
        }
        for topic in topics:
            held = Counter({member: 0 for member, read in members.items() if topic in read})
            held.update(member for partition, member in found.items() if partition.topic == topic)
            assert all(topic in members[member] for member in held)
            if held:
                assert max(held.values()) - min(held.values()) <= 1
        assert balance(topics, members, found) == found, "moved although nothing changed"
        owners = found


def test_all_that_read_the_same_have_as_much() -> None:
    topics = {f"t{number}": 1 for number in range(10)}
    members = {name: list(topics) for name in "abcd"}
    assert sorted(Counter(balance(topics, members, {}).values()).values()) == [2, 2, 3, 3]


def test_who_joins_moves_no_more_than_its_share() -> None:
    topics = {"t": 12}
    before = balance(topics, {"a": ["t"], "b": ["t"]}, {})
    after = balance(topics, {"a": ["t"], "b": ["t"], "c": ["t"]}, before)
    moved = [partition for partition in before if before[partition] != after[partition]]
    assert len(moved) == 4
    assert {after[partition] for partition in moved} == {"c"}


def new_log() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for version in SCHEMA:
        for statement in version:
            connection.execute(statement)
    return connection


def test_a_record_is_kept_as_long_as_it_is_to_be_from_its_acceptance_on() -> None:
    connection = new_log()
    (id,) = make(connection, "t", 1, 100.0)
    topics = Topics({})
    chance = random.Random(1)
    published: list[float] = []
    now = 1_000_000.0
    for _ in range(500):
        now += chance.uniform(0, 20)
        if chance.random() < 0.6:  # Sometimes there is nothing new for long.
            messages = [OutgoingRecord("t", b"")] * chance.randint(1, 30)
            for result in append(connection, topics, messages, now):
                assert result == Position("t", 0, len(published))
                published.append(now)
        due, shortest = untidy(connection, now)
        assert shortest == 100.0
        if due:
            assert due == [id]
            while tidy(connection, id, now, 2000):
                pass
            assert untidy(connection, now)[0] == [], "there is always something to do"
        found = read(connection, {Partition("t", 0): 0}, {Partition("t", 0): id}, 1_000_000)
        offsets = [record.offset for record in found.get(Partition("t", 0), [])]
        first = len(published) - len(offsets)
        assert offsets == list(range(first, len(published)))
        assert all(at <= now - 100.0 for at in published[:first]), "deleted too early"
        assert all(at > now - 150.0 for at in published[first:]), "kept for much too long"
    assert len(published) > 1000
    connection.close()


def test_many_records_are_deleted_some_at_a_time() -> None:
    connection = new_log()
    (id,) = make(connection, "t", 1, 100.0)
    append(connection, Topics({}), [OutgoingRecord("t", b"")] * 10_000, 0.0)
    assert not tidy(connection, id, 1.0, 2000)
    assert untidy(connection, 102.0)[0] == [id]
    rounds = 0
    while tidy(connection, id, 102.0, 2000):
        rounds += 1
    assert rounds >= 3
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM ages").fetchone() == (0,)
    assert untidy(connection, 500.0)[0] == []
    connection.close()


def test_a_file_of_an_earlier_version_keeps_its_records_and_takes_tombstones() -> None:
    connection = sqlite3.connect(":memory:")
    for statement in SCHEMA[0]:
        connection.execute(statement)
    topics = Topics({})
    (id,) = make(connection, "t", 1, 60.0)
    connection.execute("INSERT INTO records VALUES (?, 1.5, ?, ?, ?)", (id << 40, b"k", b"", '["name","value"]'))
    connection.execute("UPDATE partitions SET next = 1 WHERE id = ?", (id,))
    for version in SCHEMA[1:]:
        for statement in version:
            connection.execute(statement)
    append(connection, topics, [OutgoingRecord("t", b"", b"k", tombstone=True)], 2.5)
    partition = Partition("t", 0)
    (records,) = read(connection, {partition: 0}, {partition: id}, 10).values()
    assert [(each.offset, each.timestamp, each.value, each.headers, each.tombstone) for each in records] == [
        (0, 1.5, b"", (("name", b"value"),), False),
        (1, 2.5, b"", (), True),
    ]
    connection.close()


@pytest.mark.parametrize("seed", range(50))
def test_a_topic_goes_only_to_members_that_handle_all_its_types(seed: int) -> None:
    chance = random.Random(seed)
    topics = {"t": 4, "u": 3}
    types = {
        number: {topic: chance.sample("abc", chance.randrange(4)) for topic in topics}
        for number in range(chance.randint(1, 5))
    }
    members = {number: chance.sample(["t", "u"], chance.randint(1, 2)) for number in types}
    owners: dict[Partition, int] = {}
    for _ in range(3):
        owners = balance(topics, members, owners, types)
        for topic, partitions in topics.items():
            said = {number: set(types[number][topic]) for number, names in members.items() if topic in names}
            readers = {owner for partition, owner in owners.items() if partition.topic == topic}
            every = set[str]().union(*said.values())
            able = {number for number, names in said.items() if not names or names == every}
            assert readers <= (able or {number for number in said if len(said[number]) == max(map(len, said.values()))})
            assert sum(partition.topic == topic for partition in owners) == (partitions if said else 0)
