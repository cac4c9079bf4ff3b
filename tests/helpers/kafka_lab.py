"""Events on Kafka while something goes wrong, all of them counted: published, handled, lost, repeated, out of order."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping

import aiokafka.admin

from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import Broker, OutgoingRecord, Partition, Position, Record, Subscription, TopicOptions
from micro_rt.errors import Aborted, Unavailable
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.waiting import eventually, soon
from tests.servers.kafka import Kafka
from tests.servers.server import Server

__all__ = ["Flow", "Member", "broker", "grow", "make_topic", "name", "proxied"]


def name(text: str) -> str:
    return f"{text}-{uuid.uuid4().hex[:10]}"


async def make_topic(
    server: Server, config: Mapping[str, str], partitions: int = 1, *, named: str = "", replicas: int = 1
) -> str:
    """Makes a topic as somebody else makes it."""
    topic = named or name("t")
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=server.address)
    await admin.start()
    try:
        await admin.create_topics([aiokafka.admin.NewTopic(topic, partitions, replicas, topic_configs=dict(config))])
    finally:
        await admin.close()
    return topic


async def grow(url: str, topic: str, partitions: int) -> None:
    """Gives a topic more partitions, and returns when they can be used."""
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=url.partition("://")[2].partition("/")[0])
    await admin.start()
    try:
        await admin.create_partitions({topic: aiokafka.admin.NewPartitions(partitions)})

        async def leaders() -> int:
            (described,) = await admin.describe_topics([topic])
            return sum(each["leader"] >= 0 for each in described["partitions"])

        await eventually(leaders, equals=partitions)
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def proxied(server: Kafka) -> AsyncGenerator[FaultProxy]:
    """Gives a server that does not run yet one more listener, which is known to its clients by the proxy's address."""
    port = server._ports.take()
    async with FaultProxy(f"127.0.0.1:{port}") as proxy:
        more = {
            "listeners": f",FAULTY://127.0.0.1:{port}",
            "advertised.listeners": f",FAULTY://{proxy.address}",
            "listener.security.protocol.map": ",FAULTY:PLAINTEXT",
        }
        text = server._properties.read_text()
        for key, value in more.items():
            text = re.sub(
                rf"^({re.escape(key)}=.*)$", lambda found, value=value: found[1] + value, text, flags=re.MULTILINE
            )
        server._properties.write_text(text)
        yield proxy


@contextlib.asynccontextmanager
async def broker(address: str) -> AsyncGenerator[KafkaBroker]:
    made = KafkaBroker(address)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


class Member:
    """Handles what it reads at once, and commits it after that, as the events of micro_rt do."""

    def __init__(self, flow: Flow, broker: Broker) -> None:
        self.partitions: set[Partition] = set()
        self.lost_partitions = 0
        self.failures: Counter[str] = Counter()
        self.handled = 0
        self._flow = flow
        self._done: dict[Partition, int] = {}
        self._going = True
        self.subscription: Subscription = broker.subscribe([flow.topic], flow.group, "earliest", self)
        self.task = asyncio.create_task(self._run())

    async def assigned(self, partitions: Collection[Partition]) -> None:
        self.partitions.update(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        await self._commit(partitions)
        self._forget(partitions)

    async def lost(self, partitions: Collection[Partition]) -> None:
        self.lost_partitions += len(partitions)
        self._forget(partitions)

    async def stop(self) -> None:
        self._going = False
        await self.task

    async def _run(self) -> None:
        try:
            while self._going:
                try:
                    found = await self.subscription.fetch(200, 0.2)
                except Unavailable:
                    self.failures["fetch"] += 1
                    continue
                for partition, records in found.items():
                    assert partition in self.partitions, "records of a partition that is another's"
                    for record in records:
                        self._flow.handle(record)
                    self.handled += len(records)
                    self._done[partition] = records[-1].offset + 1
                await self._commit(found)
        finally:
            await self.subscription.close()

    async def _commit(self, partitions: Collection[Partition]) -> None:
        positions = {each: self._done[each] for each in partitions if each in self._done}
        try:
            await self.subscription.commit(positions)
        except (Aborted, Unavailable) as error:
            self.failures[f"commit: {type(error).__name__}"] += 1

    def _forget(self, partitions: Collection[Partition]) -> None:
        for each in partitions:
            self.partitions.discard(each)
            self._done.pop(each, None)


class Flow:
    """Numbers that are published in order for each key, each tried until it is accepted, and what is read of them."""

    def __init__(self, keys: int = 8) -> None:
        self.topic = name("flow")
        self.group = name("group")
        self.keys = keys
        self.accepted: set[tuple[bytes, int]] = set()
        self.failures: Counter[str] = Counter()
        self.perhaps: set[tuple[bytes, int]] = set()
        """What was said to be there perhaps, and was published again."""
        self._read: dict[bytes, list[int]] = {}
        self._missing: set[tuple[bytes, int]] = set()
        self._seen: set[tuple[bytes, int]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._going = True

    async def prepare(self, broker: Broker, partitions: int = 4) -> None:
        await broker.prepare({self.topic: TopicOptions(partitions=partitions)})

    def publish(self, broker: Broker, pause: float = 0.01) -> None:
        """Starts publishing."""
        self._tasks += [asyncio.create_task(self._publish(broker, b"key-%d" % key, pause)) for key in range(self.keys)]

    async def stop_publishing(self) -> None:
        """Ends when all that was begun is accepted."""
        self._going = False
        await soon(asyncio.gather(*self._tasks))

    def handle(self, record: Record) -> None:
        assert record.key is not None
        number = int(record.value)
        self._read.setdefault(record.key, []).append(number)
        self._seen.add((record.key, number))
        self._missing.discard((record.key, number))

    def missing(self) -> set[tuple[bytes, int]]:
        return self._missing

    async def until_all_is_handled(self) -> None:
        """Waits as long as more is handled: how much is left depends on what the faults have held up."""
        while left := len(self._missing):
            with contextlib.suppress(TimeoutError):
                await eventually(lambda left=left: len(self._missing) < left)
            if len(self._missing) >= left:
                break
        assert not self.missing(), f"{len(self.missing())} of {len(self.accepted)} are lost: {self.report()}"

    async def until_more(self, count: int = 100) -> None:
        """Waits until as many more are accepted and as many are handled."""
        accepted, handled = len(self.accepted), self.handled
        await eventually(
            lambda: len(self.accepted) >= accepted + count and self.handled >= handled + count,
            lambda: f"stuck: {self.report()}",
        )

    @property
    def handled(self) -> int:
        return sum(map(len, self._read.values()))

    def expect_order(self) -> None:
        """That each number of a key is handled after those before it; what is handled again does not count."""
        for key, numbers in self._read.items():
            first = list(dict.fromkeys(numbers))
            assert first == sorted(first), f"{key!r} was handled out of order: {first}"

    def counts(self) -> dict[str, int]:
        return {
            "published": len(self.accepted),
            "handled": self.handled,
            "lost": len(self.missing()),
            "repeated": self.handled - len({(key, each) for key, numbers in self._read.items() for each in numbers}),
            "published again": len(self.perhaps),
            "failures": self.failures.total(),
        }

    def report(self) -> str:
        return f"{self.counts()}, failures {dict(self.failures)}"

    async def _publish(self, broker: Broker, key: bytes, pause: float) -> None:
        number = 0
        while self._going:
            numbers = list(range(number, number + 5))
            while numbers:
                results = await broker.publish([OutgoingRecord(self.topic, b"%d" % each, key) for each in numbers])
                failed: list[int] = []
                for each, result in zip(numbers, results, strict=True):
                    if isinstance(result, Position):
                        self.accepted.add((key, each))
                        if (key, each) not in self._seen:
                            self._missing.add((key, each))
                        continue
                    assert isinstance(result, Unavailable), result
                    self.failures[type(result).__name__] += 1
                    if result.may_have_run:
                        self.perhaps.add((key, each))
                    failed.append(each)
                numbers = failed
            number += 5
            await asyncio.sleep(pause)
