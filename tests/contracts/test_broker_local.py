import asyncio
import sqlite3
from pathlib import Path

import pytest

from micro_rt.backends.local import log
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import Broker, OutgoingRecord, Partition, Position, TopicOptions
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.testing.contracts import BrokerContract, OtherProcess
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually


@pytest.mark.verify("events", tests=["test_many_messages_in_one_call", "test_more_than_can_be_on_its_way_waits"])
class TestLocalBroker(BrokerContract):
    session = 3.0

    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.bulk = size((20_000, 64 << 20), ci=(2_000, 16 << 20))

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> Broker:
        return LocalBroker("local:?session=3", home=self.folder)

    def other_process(self) -> OtherProcess:
        return OtherProcess(
            "micro_rt.backends.local.broker:LocalBroker",
            "local:?session=3",
            {"MICRO_HOME": str(self.folder), "MICRO_NAMESPACE": "default"},
        )


class TestLocalBrokerOfTwoEngines(TestLocalBroker):
    """Each broker has threads and connections of its own, as if it were in another process."""

    async def make(self) -> Broker:
        # Brokers share an engine if they share a clock.
        now = boot_clock()
        return LocalBroker("local:?session=3", home=self.folder, clock=Clock(lambda: now.now(), now.epoch))


class TestLocalBrokerWithFullSync(TestLocalBroker):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.bulk = size((5_000, 64 << 20), ci=(500, 8 << 20))

    async def make(self) -> Broker:
        return LocalBroker("local:?session=3&sync=full", home=self.folder)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "local:?speed=3",
            "there is no option 'speed'; known: envelope, framing, max_message, owner, partitions, retention, session, sync",
        ),
        ("local:?session=0", "above 0"),
        ("local:?session=soon", "above 0"),
        ("local:?sync=never", "normal or full"),
        ("local:?sync=full&sync=full", "twice"),
        ("local:?envelope=xml", "cloudevents or micro"),
        ("local://host", "MICRO_HOME"),
        ("memory:", "not a local: address"),
    ],
)
def test_an_address_that_is_wrong_says_why(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LocalBroker(address)


async def test_the_address_says_how_topics_are_made(tmp_path: Path) -> None:
    broker = LocalBroker("local:?partitions=3&retention=77&max_message=10&envelope=micro", home=tmp_path)
    assert broker.envelope == "micro"
    await broker.open()
    await broker.prepare({"a": TopicOptions(), "b": TopicOptions(partitions=5, retention=99.0)})
    large, good = await broker.publish([OutgoingRecord("a", b"12345678901"), OutgoingRecord("a", b"1234567890")])
    assert "max_message=10" in str(large)
    assert isinstance(good, Position)
    await broker.close()
    connection = sqlite3.connect(tmp_path / "default" / "broker.db")
    rows = connection.execute(
        "SELECT name, count(*), retention FROM topics JOIN partitions ON topic = topics.id GROUP BY name ORDER BY name"
    ).fetchall()
    connection.close()
    assert rows == [("a", 3, 77.0), ("b", 5, 99.0)]


async def test_a_file_of_the_format_without_notes_is_brought_forward(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    connection = sqlite3.connect(tmp_path / "default" / "broker.db")
    for statement in log.SCHEMA[0]:
        connection.execute(statement)
    connection.executescript(
        """PRAGMA user_version = 1; INSERT INTO topics VALUES (1, 't', 1000.0);
        INSERT INTO partitions (id, topic, number) VALUES (1, 1, 0);
        INSERT INTO groups (id, name) VALUES (1, 'g'); INSERT INTO positions VALUES (1, 1, 2);"""
    )
    connection.close()
    broker = LocalBroker(home=tmp_path)
    await broker.open()
    await broker.publish([OutgoingRecord("t", b"%d" % number) for number in range(4)])
    member = broker.subscribe(["t"], "g", "earliest", Recorder())
    ((_, records),) = (await member.fetch(10, 10.0)).items()
    assert [record.value for record in records] == [b"2", b"3"]
    partition = Partition("t", 0)
    assert await member.notes([partition]) == {partition: ""}
    await member.commit({partition: 3}, {partition: "a note"})
    assert await member.notes([partition]) == {partition: "a note"}
    await broker.close()


async def test_records_that_ran_out_are_deleted_in_the_background(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = LocalBroker(home=tmp_path)
    await broker.open()
    await broker.prepare({"short": TopicOptions(partitions=2, retention=1.0), "long": TopicOptions(partitions=1)})
    slow = broker.subscribe(["short"], "slow", "earliest", Recorder())
    await slow.fetch(1, 0.0)
    await broker.publish(
        [OutgoingRecord(topic, b"%d" % number) for number in range(5000) for topic in ("short", "long")]
    )
    connection = sqlite3.connect(tmp_path / "default" / "broker.db")

    def kept(topic: str) -> int:
        query = "SELECT sum(next - first) FROM topics JOIN partitions ON topic = topics.id WHERE name = ?"
        return int(connection.execute(query, (topic,)).fetchone()[0])

    await eventually(lambda: kept("short") == 0)
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (5000,)
    assert kept("long") == 5000
    (position,) = await broker.publish([OutgoingRecord("short", b"new")])
    assert isinstance(position, Position)
    assert position.offset == 2500, "offsets go on where they were"
    async with asyncio.timeout(60.0):
        while not (found := await slow.fetch(10, 1.0)):
            pass
    assert [record.value for records in found.values() for record in records] == [b"new"]
    assert "2500 records of short" in caplog.text
    connection.close()
    await broker.close()
