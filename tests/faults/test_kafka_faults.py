"""Kafka that dies, is cut off, is silent; consumers that die, sleep, come and go: what was accepted is handled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
from collections.abc import AsyncGenerator, Callable

import aiokafka
import pytest

from micro_rt.broker.base import OutgoingRecord, Partition, Record, Subscription
from micro_rt.events.position_note import decode_note
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.kafka_lab import Flow, Member, broker, make_topic, proxied
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.servers.kafka import Kafka
from tests.servers.server import Server


async def end(flow: Flow, figures: Figures, *members: Member) -> None:
    await flow.stop_publishing()
    await flow.until_all_is_handled()
    for member in members:
        await member.stop()
    for what, count in flow.counts().items():
        figures.add(what, count)
    flow.expect_order()


@pytest.mark.verify("events")
async def test_a_broker_that_is_killed_loses_nothing(own_kafka: Kafka, size: Size, figures: Figures) -> None:
    server = own_kafka
    async with (
        broker(f"{server.url}/?session=6&timeout={size(5, ci=2)}") as one,
        broker(f"{server.url}/?session=6") as two,
    ):
        flow = Flow()
        await flow.prepare(one)
        members = [Member(flow, each) for each in (one, two)]
        flow.publish(one)
        await flow.until_more()
        # Longer than timeout=, too: publishing fails then, and is tried again.
        for rest in size((0.0, 6.0, 20.0), ci=(3.0,)):
            await server.kill()
            await asyncio.sleep(rest)
            await server.start()
            await flow.until_more()
        await end(flow, figures, *members)
        assert one.problem == two.problem == ""


@pytest.mark.verify("events")
async def test_a_broker_that_is_stopped_and_started_loses_nothing(own_kafka: Kafka, figures: Figures) -> None:
    server = own_kafka
    # However long a busy machine takes to stop and start it, publishing has the time.
    async with broker(f"{server.url}/?session=6&timeout={server.stop_limit + server.start_limit + 60:g}") as one:
        flow = Flow()
        await flow.prepare(one)
        member = Member(flow, one)
        flow.publish(one)
        await flow.until_more()
        await server.stop()
        await server.start()
        await flow.until_more()
        await end(flow, figures, member)
        assert not flow.failures, "timeout= was long enough"


@pytest.mark.verify("events")
async def test_connections_that_are_cut_lose_nothing(
    make_kafka: Callable[..., Kafka], size: Size, figures: Figures
) -> None:
    server = make_kafka()
    async with proxied(server) as proxy:
        await server.start()
        async with broker(f"kafka://{proxy.address}/?session=6&timeout={size(5, ci=2)}") as one:
            flow = Flow()
            await flow.prepare(one)
            member = Member(flow, one)
            flow.publish(one)
            await flow.until_more()
            for rest in size((0.0, 0.5, 2.0, 8.0, 20.0), ci=(0.0, 0.5, 3.0)):
                await proxy.cut()
                await asyncio.sleep(rest)
                await proxy.restore()
                await flow.until_more()
            await end(flow, figures, member)


@pytest.mark.verify("events")
@pytest.mark.parametrize("seconds", [3.0, 12.0])  # Less than the session, and more.
async def test_silence_loses_nothing(make_kafka: Callable[..., Kafka], seconds: float, figures: Figures) -> None:
    server = make_kafka()
    async with proxied(server) as proxy:
        await server.start()
        async with (
            broker(f"kafka://{proxy.address}/?session=6&timeout=5") as far,
            broker(f"{server.url}/?session=6") as near,
        ):
            flow = Flow()
            await flow.prepare(far)
            members = [Member(flow, each) for each in (far, near)]
            await eventually(lambda: all(len(member.partitions) == 2 for member in members), "not shared")
            flow.publish(far)
            await flow.until_more()
            await proxy.black_hole()
            if seconds > 6.0:
                # Those of the member that is not heard go to the other one.
                await eventually(lambda: len(members[1].partitions) == 4, "not taken over")
                await eventually(lambda: far.problem != "", "it says that nothing is wrong")
            else:
                await asyncio.sleep(seconds)
            await proxy.restore()
            await flow.until_more()
            await eventually(lambda: all(len(member.partitions) == 2 for member in members), "not shared again")
            await end(flow, figures, *members)
            assert far.problem == ""


_CONSUMER = """
import asyncio, json, sys
from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.errors import Aborted, Unavailable

class Listener:
    done = {}
    async def assigned(self, partitions):
        pass
    async def revoked(self, partitions):
        for each in partitions:
            self.done.pop(each, None)
    lost = revoked

async def main(address, topic, group):
    broker = KafkaBroker(address)
    await broker.open()
    listener = Listener()
    subscription = broker.subscribe([topic], group, "earliest", listener)
    while True:
        try:
            for partition, records in (await subscription.fetch(20, 0.5)).items():
                for record in records:
                    print(json.dumps([*record[:4], record.key.decode(), record.value.decode()]), flush=True)
                    await asyncio.sleep(0.001)
                listener.done[partition] = records[-1].offset + 1
            await subscription.commit(listener.done)
        except (Aborted, Unavailable) as error:
            print(error, file=sys.stderr)

asyncio.run(main(*sys.argv[1:]))
"""


class Consumer:
    """A member in a process of its own."""

    def __init__(self, flow: Flow, process: asyncio.subprocess.Process) -> None:
        self.handled = 0
        self._flow = flow
        self.process = process
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, flow: Flow, address: str) -> AsyncGenerator[Consumer]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _CONSUMER, address, flow.topic, flow.group), stdout=asyncio.subprocess.PIPE
        )
        consumer = cls(flow, process)
        try:
            yield consumer
        finally:
            await consumer.kill()

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                topic, partition, offset, timestamp, key, value = json.loads(line)
                self._flow.handle(Record(topic, partition, offset, timestamp, key.encode(), value.encode(), ()))
                self.handled += 1


@pytest.mark.verify("events")
async def test_consumers_that_are_killed_lose_nothing(kafka: Server, size: Size, figures: Figures) -> None:
    address = f"{kafka.url}/?session=6"
    async with broker(address) as one, contextlib.AsyncExitStack() as stack:
        flow = Flow()
        await flow.prepare(one)
        flow.publish(one)
        for _ in range(size(20, ci=1)):
            consumer = await stack.enter_async_context(Consumer.run(flow, address))
            await eventually(lambda: consumer.handled > 200)  # noqa: B023 - used at once
            await consumer.kill()
        member = Member(flow, one)
        await end(flow, figures, member)
        assert member.handled, "the killed ones had not handled everything"


async def test_a_consumer_that_was_asleep_longer_than_its_session_loses_nothing(
    kafka: Server, figures: Figures
) -> None:
    address = f"{kafka.url}/?session=6"
    async with broker(address) as one, contextlib.AsyncExitStack() as stack:
        flow = Flow()
        await flow.prepare(one)
        consumer = await stack.enter_async_context(Consumer.run(flow, address))
        member = Member(flow, one)
        flow.publish(one)
        await eventually(lambda: consumer.handled > 100 and len(member.partitions) == 2)
        consumer.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: len(member.partitions) == 4, "its partitions are not taken over")
        await flow.until_more()
        consumer.process.send_signal(signal.SIGCONT)
        await eventually(lambda: len(member.partitions) == 2, "it did not come back")
        before = consumer.handled
        await eventually(lambda: consumer.handled > before + 50, "it reads nothing")
        await end(flow, figures, member)


@pytest.mark.verify("events")
async def test_members_that_come_and_go_lose_nothing(kafka: Server, size: Size, figures: Figures) -> None:
    address = f"{kafka.url}/?session=6"
    dice = random.Random(7)
    loop = asyncio.get_running_loop()
    async with broker(address) as one, broker(address) as two:
        flow = Flow(keys=16)
        await flow.prepare(one, partitions=8)
        flow.publish(two)
        members = [Member(flow, one)]
        gone: list[Member] = []
        until = loop.time() + size(60.0, ci=5.0)
        while loop.time() < until:
            await asyncio.sleep(1.0)
            if len(members) < 2 or (len(members) < 6 and dice.random() < 0.5):
                members.append(Member(flow, dice.choice((one, two))))
            else:
                leaver = members.pop(dice.randrange(len(members)))
                await leaver.stop()
                gone.append(leaver)
        await flow.until_more()
        await eventually(lambda: sum(len(member.partitions) for member in members) == 8, "not all are read")
        await end(flow, figures, *members)
        figures.add("left", len(gone))
        for member in (*members, *gone):
            assert not member.lost_partitions, "nobody was silent, so nothing may be taken away"


async def test_brokers_that_store_no_notes_are_committed_to_all_the_same(
    make_kafka: Callable[..., Kafka], caplog: pytest.LogCaptureFixture
) -> None:
    server = make_kafka(properties={"offset.metadata.max.bytes": "10"})
    await server.start()
    topic = await make_topic(server, {}, 2)
    one, two = Partition(topic, 0), Partition(topic, 1)
    async with broker(server.url) as kafka:
        recorder = Recorder()
        member = kafka.subscribe([topic], "g", "earliest", recorder)
        await eventually(lambda: _assigned(member, recorder, 2))
        await member.commit({one: 0, two: 0}, {one: "short"})
        assert await member.notes([one, two]) == {one: "short", two: ""}
        for _ in range(2):
            await member.commit({one: 0, two: 0}, {one: "x" * 11})
        assert await member.notes([one, two]) == {one: "", two: ""}
    assert caplog.text.count("offset.metadata.max.bytes") == 1


async def test_what_other_programs_store_beside_an_offset_says_nothing(kafka: Server) -> None:
    topic = await make_topic(kafka, {}, 1)
    partition = Partition(topic, 0)
    text = '{"host": "worker-1"} ' + "\u00e4" * 1900
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.address, group_id=topic, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([aiokafka.TopicPartition(topic, 0)])
    await consumer.commit({aiokafka.TopicPartition(topic, 0): (1, text)})
    await consumer.stop()
    async with broker(kafka.url) as made:
        await made.publish([OutgoingRecord(topic, b"%d" % number) for number in range(3)])
        recorder = Recorder()
        member = made.subscribe([topic], topic, "earliest", recorder)
        await eventually(lambda: _assigned(member, recorder, 1))
        assert await member.notes([partition]) == {partition: text}
    assert decode_note(text) is None


async def _assigned(member: Subscription, recorder: Recorder, count: int) -> bool:
    await member.fetch(1, 0.1)
    return len(recorder.partitions) == count
