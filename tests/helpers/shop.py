"""The events of shop.proto with topics of one test's own, and what tests of events have in common."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import micro_rt as micro
from micro_rt.broker.base import Partition, Record, TopicOptions
from micro_rt.event import Event, EventsInfo
from tests.protos import shop_micro
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced, Ping

if TYPE_CHECKING:
    import pytest

SETTLE = 30.0
"""Seconds within which something must happen, however busy the machine is."""


class Shop:
    """The generated stubs of shop.proto, with topics of one test's own.

    Args:
        mark: what the topics end with.
        types: the types that travel, of events that have another than their name, by Python name.
    """

    def __init__(self, mark: str = "", types: Mapping[str, str] | None = None) -> None:
        self.mark = mark or uuid.uuid4().hex[:8]
        self._types = types or {}
        self.info = EventsInfo("shop.proto", tuple(self._own(event) for event in shop_micro._SHOP_EVENTS.events))
        self.events = {event.python_name: event for event in self.info.events}
        self.Publisher = type("Publisher", (micro.Publisher,), {"_info_": self.info})
        self.Base = type(
            "Base",
            (micro.Subscriber,),
            {"_info_": self.info, **{event.python_name: _left_out for event in self.info.events}},
        )

    def _own(self, event: Event[Any]) -> Event[Any]:
        return Event(
            event.name,
            event.python_name,
            f"{event.topic}-{self.mark}",
            event.message_type,
            event.key,
            event.version,
            event.retention,
            4,
            self._types.get(event.python_name, event.type),
        )

    def topic(self, name: str) -> str:
        return f"{name}-{self.mark}"

    def subscriber(self, **methods: Callable[[Any, micro.EventContext], Awaitable[None]]) -> micro.Subscriber:
        """A subscriber with these methods."""

        def bound(method: Callable[[Any, micro.EventContext], Awaitable[None]]) -> Any:
            async def handle(_: Any, event: Any, context: micro.EventContext) -> None:
                await method(event, context)

            return handle

        made: micro.Subscriber = type("Handles", (self.Base,), {name: bound(each) for name, each in methods.items()})()
        return made


async def _left_out(self: Any, event: Any, context: micro.EventContext) -> None:
    raise AssertionError("a method that is left out is not called")


class Publishes:
    """Publishes events of a shop, for tests that do not test how."""

    def __init__(self, shop: Shop, service: micro.Service) -> None:
        self._shop = shop
        self.publisher: Any = shop.Publisher(service)

    async def placed(self, order: str, cents: int = 0, **options: Any) -> micro.Published:
        event = OrderPlaced(order_id=order, total_cents=cents)
        return await self._one("order_placed", event, **options)

    async def paid(self, order: str, cents: int = 0, **options: Any) -> micro.Published:
        return await self._one("order_paid", OrderPaid(order_id=order, paid_cents=cents), **options)

    async def ping(self, text: str, **options: Any) -> micro.Published:
        return await self._one("ping", Ping(text=text), **options)

    async def many(self, events: list[Any]) -> list[micro.Published]:
        published: list[micro.Published] = await self.publisher._publish_all(events, None, None)
        return published

    async def _one(
        self, name: str, event: Any, *, key: Any = None, headers: Any = None, time: Any = None, timeout: Any = None
    ) -> micro.Published:
        published: micro.Published = await self.publisher._publish(
            self._shop.events[name], event, key, headers, time, timeout
        )
        return published


@asynccontextmanager
async def subscribed(
    broker: str, subscriber: micro.Subscriber, *, grace: float = 10.0, **options: Any
) -> AsyncIterator[tuple[micro.Service, micro.EventSubscription]]:
    """A service of its own with one subscription."""
    service = micro.Service("subscriber", registry=f"memory:{uuid.uuid4()}", broker=broker, grace=grace)
    subscription = service.subscribe(subscriber, **options)
    async with service:
        yield service, subscription


def broker_address(request: pytest.FixtureRequest, *, local: str = "", kafka: str = "") -> str:
    """Returns the address of the broker that the parameter of a fixture names: ``"memory"``, ``"local"`` or ``"kafka"``.

    Args:
        request: of the fixture.
        local: the options of ``local:``, as ``"?session=1"``.
        kafka: those of Kafka, as ``"/?session=6"``.
    """
    if request.param == "memory":
        return f"memory:{uuid.uuid4()}"
    if request.param == "kafka":
        return f"{request.getfixturevalue('kafka').url}{kafka}"
    request.getfixturevalue("monkeypatch").setenv("MICRO_HOME", str(request.getfixturevalue("tmp_path")))
    return f"local:{local}"


class Log:
    """What was handled, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.contexts: list[micro.EventContext] = []

    async def __call__(self, event: Any, context: micro.EventContext) -> None:
        self.events.append(event)
        self.contexts.append(context)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def orders(self) -> list[str]:
        return [event.order_id for event in self.events]


async def read_all(service: micro.Service, topic: str, expected: int = 1) -> list[Record]:
    """Reads a topic by a group of its own until what is expected is there."""
    broker = await service.broker()
    await broker.prepare({topic: TopicOptions(partitions=1)})
    member = broker.subscribe([topic], "reads-all", "earliest", Ignores())
    records: list[Record] = []
    try:
        async with asyncio.timeout(SETTLE):
            while len(records) < expected:
                for found in (await member.fetch(100, 0.2)).values():
                    records += found
    finally:
        await member.close()
    return records


class Ignores:
    async def assigned(self, partitions: Collection[Partition]) -> None: ...
    async def revoked(self, partitions: Collection[Partition]) -> None: ...
    async def lost(self, partitions: Collection[Partition]) -> None: ...
