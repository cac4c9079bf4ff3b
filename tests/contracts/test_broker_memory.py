import uuid

import pytest

from micro_rt.backends.memory.broker import MemoryBroker
from micro_rt.broker.base import Broker, OutgoingRecord, TopicOptions
from micro_rt.kit.clock import Clock
from micro_rt.testing.contracts import BrokerContract
from micro_rt.testing.contracts.broker.members import Recorder


class TestMemoryBroker(BrokerContract):
    async def make(self) -> Broker:
        return MemoryBroker("memory:?session=1")


class TestNamedMemoryBroker(BrokerContract):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.address = f"memory:{uuid.uuid4()}?partitions=3&session=1"

    async def make(self) -> Broker:
        return MemoryBroker(self.address)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "memory:?speed=3",
            "there is no option 'speed'; known: envelope, framing, max_message, partitions, retention, session",
        ),
        ("memory:?session=0", "above 0"),
        ("memory:?partitions=0", "above 0"),
        ("memory:?partitions=1.5", "whole"),
        ("memory:?retention=nan", "above 0"),
        ("memory:?retention=1&retention=2", "twice"),
        ("memory:?envelope=xml", "cloudevents or micro"),
        ("memory://host", "is not memory: or memory:NAME"),
        ("local:", "is not memory: or memory:NAME"),
    ],
)
def test_an_address_that_is_wrong_says_why(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        MemoryBroker(address)


def test_the_envelope_is_that_of_the_address() -> None:
    assert MemoryBroker("memory:").envelope == "cloudevents"
    assert MemoryBroker("memory:x?envelope=micro").envelope == "micro"


async def test_names_are_apart_and_parameters_are_not() -> None:
    one, same, other = (MemoryBroker(address) for address in ("memory:a", "memory:a?retention=9", "memory:b"))
    for broker in (one, same, other):
        await broker.open()
    await one.prepare({"t": TopicOptions()})
    (position,) = await same.publish([OutgoingRecord("t", b"")])
    assert isinstance(position, tuple)
    (error,) = await other.publish([OutgoingRecord("t", b"")])
    assert isinstance(error, Exception)
    for broker in (one, same, other):
        await broker.close()


async def test_records_are_dropped_when_they_run_out_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    broker = MemoryBroker("memory:retention", clock=Clock(lambda: now, "test"))
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=1, retention=100.0)})

    async def publish(value: bytes) -> None:
        # That its event is old makes no difference.
        await broker.publish([OutgoingRecord("t", value, headers=(("ce_time", b"1970-01-01T00:00:05Z"),))])

    async def all_values() -> list[bytes]:
        subscription = broker.subscribe(["t"], uuid.uuid4().hex, "earliest", Recorder())
        found = await subscription.fetch(100, 0.0)
        await subscription.close()
        return [record.value for records in found.values() for record in records]

    slow = broker.subscribe(["t"], "slow", "earliest", Recorder())
    await slow.fetch(1, 0.0)
    for number in range(40):
        await publish(b"%d" % number)
        now += 10.0
        values = await all_values()
        assert values[-1] == b"%d" % number
        kept = len(values)
        assert kept >= min(number + 1, 10), "dropped too early"
        assert kept <= 20, "kept for much too long"
    assert not caplog.records
    ((first, *_),) = (await slow.fetch(100, 0.0)).values()
    assert first.value == (await all_values())[0]
    assert "ran out before they were read" in caplog.text
    await broker.close()
