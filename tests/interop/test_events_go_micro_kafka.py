"""go-micro's events on Kafka: what its clients and its broker publish is handled here, and what we publish in its envelope there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

import micro_rt as micro
from micro_rt.broker.base import TopicOptions
from tests.helpers.mesh import SETTLE, go_program
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import CHANNEL_PHONE, OrderPaid, OrderPlaced, Ping
from tests.servers.server import Server

ORDER = OrderPlaced(order_id="☃", total_cents=1 << 60, channel=CHANNEL_PHONE)
ORDER.lines.add(article="a", count=2)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Go:
    """Starts the program in ``go_micro_events``; it ends with the test."""

    def __init__(self, program: Path, address: str, folder: Path, stack: AsyncExitStack) -> None:
        self._program = program
        self._address = address
        self._folder = folder
        self._stack = stack

    async def publisher(self, client: str = "grpc", content_type: str = "") -> GoPublisher:
        """Something of go-micro's that publishes."""
        return GoPublisher(await self._start("publish", "-with", client, "-content-type", content_type))

    async def subscriber(
        self,
        topic: str,
        server: str = "grpc",
        *,
        queue: str = "",
        start: str = "oldest",
        type: str = "OrderPlaced",
        retention: str = "24h",
    ) -> GoSubscriber:
        """Something of go-micro's that consumes.

        Args:
            retention: of what it commits. Kafka 4 refuses every commit of the plugin's default, 0s, and closes the connection: the
                plugin then begins again, and its handlers see events twice.
        """
        more = ["-queue", queue, "-from", start, "-type", type, "-retention", retention]
        subscriber = GoSubscriber(await self._start("subscribe", "-with", server, "-topic", topic, *more))
        self._stack.push_async_callback(subscriber.close)
        return subscriber

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        with (self._folder / f"go-{uuid.uuid4().hex[:8]}.err").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(self._program),
                *arguments,
                "-broker",
                self._address,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 24,
                env={key: value for key, value in os.environ.items() if not key.startswith("MICRO_")},
            )
        self._stack.push_async_callback(_end, process)
        return process

    def said(self) -> str:
        """What the programs wrote to standard error."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("go-*.err")))


class GoPublisher:
    """go-micro publishing."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def publish(self, topic: str, event: Any, **header: str) -> None:
        """Publishes an event, with metadata."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"topic": topic, "type": event.DESCRIPTOR.full_name, "event": MessageToDict(event), "header": header}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(SETTLE):
            line = await self._process.stdout.readline()
        assert json.loads(line or b'{"error": "it ended"}') == {}


class GoSubscriber:
    """go-micro consuming: at least once, so a test counts what is distinct."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.seen: list[dict[str, Any]] = []
        """Header and event, or header and body, of each message."""
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @property
    def orders(self) -> list[str]:
        return [each["event"]["orderId"] for each in self.seen]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.seen.append(json.loads(line))

    def kill(self) -> None:
        self._process.kill()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait((self._reading,))


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()


@pytest.fixture(scope="session")
def program() -> Path:
    return go_program(Path(__file__).with_name("go_micro_events"))


@pytest.fixture
async def go(program: Path, kafka: Server, tmp_path: Path) -> AsyncIterator[Go]:
    async with AsyncExitStack() as stack:
        yield Go(program, kafka.address, tmp_path, stack)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(kafka: Server, shop: Shop) -> AsyncIterator[Publishes]:
    """Publishes in go-micro's envelope; the topics are there."""
    broker = f"{kafka.url}?envelope=micro"
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        options = TopicOptions(partitions=4)
        await (await service.broker()).prepare({shop.topic("orders"): options, shop.topic("pings"): options})
        yield Publishes(shop, service)


@pytest.mark.parametrize(
    ("client", "content_type", "written"),
    [
        ("grpc", "", "application/grpc+proto"),
        ("grpc", "application/protobuf", "application/protobuf"),
        ("grpc", "application/json", "application/json"),
        ("grpc", "application/grpc+json", "application/grpc+json"),
        ("mucp", "", "application/json"),
        ("mucp", "application/protobuf", "application/protobuf"),
        ("broker", "application/protobuf", "application/protobuf"),
        ("broker", "", None),
    ],
)
async def test_what_go_micro_publishes_is_handled(
    kafka: Server, go: Go, shop: Shop, client: str, content_type: str, written: str | None
) -> None:
    log = Log()
    async with subscribed(kafka.url, shop.subscriber(order_placed=log), group=shop.topic("billing")):
        publisher = await go.publisher(client, content_type)
        await publisher.publish(shop.topic("orders"), ORDER, Zone="eu", Traceparent=TRACEPARENT)
        await publisher.publish(shop.topic("orders"), OrderPlaced())
        await eventually(lambda: len(log) == 2)
    first, second = (0, 1) if log.events[0] == ORDER else (1, 0)  # it publishes without keys, so in no order
    assert (log.events[first], log.events[second]) == (ORDER, OrderPlaced())
    context = log.contexts[first]
    assert context.headers["zone"] == b"eu"
    assert context.headers.get("content-type") == (written and written.encode())
    assert dict(context.trace) == {"traceparent": TRACEPARENT}
    assert (context.key, context.id, context.topic) == (None, "", shop.topic("orders"))
    if client != "broker":
        assert context.headers["micro-topic"] == shop.topic("orders").encode()


async def test_on_a_topic_of_several_types_go_micro_says_the_type_in_its_metadata(
    kafka: Server, go: Go, shop: Shop
) -> None:
    log = Log()
    subscriber = shop.subscriber(order_placed=log, order_paid=log)
    async with subscribed(kafka.url, subscriber, group=shop.topic("billing")) as (service, _):
        publisher = await go.publisher()
        await publisher.publish(shop.topic("orders"), OrderPlaced(order_id="nothing said"))
        paid = OrderPaid(order_id="1", paid_cents=7)
        await publisher.publish(shop.topic("orders"), paid, ce_type="shop.OrderPaid", ce_id="go-1", ce_source="till")
        await publisher.publish(shop.topic("orders"), OrderPlaced(order_id="2"), ce_type="shop.OrderPlaced")
        await eventually(lambda: len(log) == 2)
        (letter,) = await read_all(service, f"{shop.topic('orders')}.{shop.topic('billing')}.dead")
    assert {event.order_id: type(event) for event in log.events} == {"1": OrderPaid, "2": OrderPlaced}
    (context,) = [context for event, context in zip(log.events, log.contexts, strict=True) if event == paid]
    assert (context.id, context.source, context.event.name) == ("go-1", "till", "shop.OrderPaid")
    assert b"does not say its type (header ce_type)" in dict(letter.headers)["micro-dead-reason"]


async def test_json_of_go_micro_s_default_client_is_not_protobuf_s_where_there_is_a_time(
    kafka: Server, go: Go, shop: Shop
) -> None:
    log = Log()
    order = OrderPlaced(order_id="1")
    order.placed_at.GetCurrentTime()
    async with subscribed(kafka.url, shop.subscriber(order_placed=log), group=shop.topic("billing")) as (service, _):
        await (await go.publisher("mucp")).publish(shop.topic("orders"), order)
        (letter,) = await read_all(service, f"{shop.topic('orders')}.{shop.topic('billing')}.dead")
        assert b"not the JSON of a OrderPlaced" in dict(letter.headers)["micro-dead-reason"]
        await (await go.publisher("mucp", "application/protobuf")).publish(shop.topic("orders"), order)
        await (await go.publisher("grpc", "application/json")).publish(shop.topic("orders"), order)
        await eventually(lambda: len(log) == 2)
    assert log.events == [order, order]


@pytest.mark.parametrize("server", ["grpc", "mucp"])
async def test_go_micro_s_handlers_are_given_what_we_publish(
    go: Go, shop: Shop, publish: Publishes, server: str
) -> None:
    subscriber = await go.subscriber(shop.topic("orders"), server, queue=shop.topic("billing"))
    published = await publish.placed("☃", 1 << 60, headers={"Zone": "eu", "traceparent": TRACEPARENT}, key="k")
    await eventually(lambda: subscriber.seen, "go-micro handles it")
    seen = subscriber.seen[0]
    assert ParseDict(seen["event"], OrderPlaced()) == OrderPlaced(order_id="☃", total_cents=1 << 60)
    header = seen["header"]
    assert header["Zone"] == "eu"
    assert header["Traceparent"] == TRACEPARENT
    assert header["Micro-Topic"] == shop.topic("orders")
    assert (header["Ce_type"], header["Ce_id"], header["Ce_source"]) == ("shop.OrderPlaced", published.id, "publisher")


async def test_a_handler_of_go_micro_s_takes_every_event_of_its_topic_and_can_ask_which_it_is(
    go: Go, shop: Shop, publish: Publishes
) -> None:
    subscriber = await go.subscriber(shop.topic("orders"), queue=shop.topic("billing"))
    await publish.paid("1", 7)
    await publish.placed("1", 8)
    await eventually(lambda: len({each["header"]["Ce_id"] for each in subscriber.seen}) == 2)
    found = list(dict.fromkeys((each["header"]["Ce_type"], each["event"]["totalCents"]) for each in subscriber.seen))
    assert found == [("shop.OrderPaid", "7"), ("shop.OrderPlaced", "8")]


async def test_go_micro_s_broker_is_given_what_we_publish_in_order_of_the_key(
    go: Go, shop: Shop, publish: Publishes
) -> None:
    subscriber = await go.subscriber(shop.topic("orders"), "broker", queue=shop.topic("billing"))
    events = [OrderPlaced(order_id=str(number % 5), total_cents=number) for number in range(100)]
    await publish.many(events)
    await publish.paid("0", 100)
    await eventually(
        lambda: len({each["header"]["ce_id"] for each in subscriber.seen}) == 101, "it handles all of them"
    )
    found = {str(key): [] for key in range(5)}
    for seen in subscriber.seen:
        assert seen["header"]["Content-Type"] == "application/protobuf"
        event_type = {"shop.OrderPlaced": OrderPlaced, "shop.OrderPaid": OrderPaid}[seen["header"]["ce_type"]]
        event = event_type.FromString(b64decode(seen["body"]))
        found[event.order_id].append(event.total_cents if isinstance(event, OrderPlaced) else event.paid_cents)
    found = {key: list(dict.fromkeys(each)) for key, each in found.items()}
    expected = {str(key): list(range(key, 100, 5)) for key in range(5)}
    expected["0"].append(100)
    assert found == expected


async def test_go_micro_s_queue_is_a_group_and_without_one_everybody_is_given_everything(
    go: Go, shop: Shop, publish: Publishes
) -> None:
    together = [await go.subscriber(shop.topic("orders"), queue=shop.topic("billing")) for _ in range(2)]
    alone = [await go.subscriber(shop.topic("orders")) for _ in range(2)]
    everything = {str(number) for number in range(50)}
    await publish.many([OrderPlaced(order_id=order) for order in everything])

    def given() -> list[set[str]]:
        """Returns what the group has been given, and each subscriber without one."""
        return [{*together[0].orders, *together[1].orders}, *({*each.orders} for each in alone)]

    await eventually(given, equals=[everything] * 3)
    assert len(together[0].orders) + len(together[1].orders) < 2 * len(everything), "the group shares the events"


async def test_a_new_group_of_go_micro_s_begins_at_the_end(go: Go, shop: Shop, publish: Publishes) -> None:
    for number in range(20):
        await publish.ping(f"before {number}")
    subscriber = await go.subscriber(shop.topic("pings"), queue=shop.topic("new"), start="", type="Ping")
    number = 0
    async with asyncio.timeout(SETTLE):
        while not subscriber.seen:  # nobody can see when it has begun
            number += 1
            await publish.ping(f"after {number}")
            await asyncio.sleep(0.1)
    assert all(each["event"]["text"].startswith("after") for each in subscriber.seen)


async def test_go_micro_passes_over_what_is_not_in_its_envelope(
    kafka: Server, go: Go, shop: Shop, publish: Publishes
) -> None:
    subscriber = await go.subscriber(shop.topic("orders"), queue=shop.topic("billing"))
    async with micro.Service("native", registry="memory:", broker=kafka.url) as service:
        await Publishes(shop, service).placed("1", 5)
    await publish.placed("1", 6)
    await eventually(lambda: subscriber.seen)
    assert {each["event"]["totalCents"] for each in subscriber.seen} == {"6"}
    await eventually(lambda: "failed to unmarshal" in go.said())


async def test_both_sides_share_a_topic(kafka: Server, go: Go, shop: Shop, publish: Publishes) -> None:
    log = Log()
    there = await go.subscriber(shop.topic("pings"), queue=shop.topic("there"), type="Ping")
    publisher = await go.publisher()
    async with subscribed(kafka.url, shop.subscriber(ping=log), group="here"):
        for number in range(20):
            await publish.ping(f"ours {number}")
            await publisher.publish(shop.topic("pings"), Ping(text=f"theirs {number}"))
        everything = {f"{whose} {number}" for whose in ("ours", "theirs") for number in range(20)}
        await eventually(lambda: {each["event"]["text"] for each in there.seen}, equals=everything)
        await eventually(lambda: len(log) >= 40)
    assert Counter(event.text for event in log.events) == Counter(everything)


async def test_members_of_both_sides_share_a_group_that_divides_by_range(
    kafka: Server, go: Go, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    there = await go.subscriber(shop.topic("orders"), queue=shop.topic("billing"))
    broker = f"{kafka.url}?assignor=range"
    async with subscribed(broker, shop.subscriber(order_placed=log), group=shop.topic("billing")) as (_, here):
        await eventually(lambda: len(here.status()) == 2, "each has half of the partitions")
        await publish.many([OrderPlaced(order_id=str(number)) for number in range(100)])
        await eventually(lambda: {*log.orders, *there.orders}, equals={str(number) for number in range(100)})
        assert log.orders
        assert there.orders
        assert len({*log.orders}) < 100
        assert len({*there.orders}) < 100


@pytest.mark.parametrize(("retention", "commits"), [("0s", False), ("24h", True)])
async def test_a_group_goes_on_where_go_micro_has_come_to_if_kafka_takes_its_commits(
    kafka: Server, go: Go, shop: Shop, publish: Publishes, retention: str, commits: bool
) -> None:
    topic, group, log = shop.topic("orders"), shop.topic("billing"), Log()
    there = await go.subscriber(topic, queue=group, retention=retention)
    published = await publish.many([OrderPlaced(order_id=f"go {number}") for number in range(40)])
    ends = {each.partition: each.offset + 1 for each in published}
    await eventually(lambda: len({*there.orders}) == 40)
    if commits:
        async with aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.address, group_id=group) as consumer:

            async def committed() -> dict[int, int | None]:
                return {each: await consumer.committed(aiokafka.TopicPartition(topic, each)) for each in ends}

            await eventually(committed, equals=ends)
    else:
        await asyncio.sleep(3.0)  # it commits each second, and Kafka 4 does not take what it sends then
    there.kill()
    await publish.many([OrderPlaced(order_id=f"python {number}") for number in range(40)])
    expected = [f"{whose} {number}" for whose in (("python",) if commits else ("go", "python")) for number in range(40)]
    async with subscribed(kafka.url, shop.subscriber(order_placed=log), group=group):
        await eventually(lambda: len(log) >= len(expected))
    assert Counter(log.orders) == Counter(expected)
