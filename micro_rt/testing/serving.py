"""A service, its clients and its events in one process, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias, cast

from micro_rt.broker.base import Broker, Partition
from micro_rt.config.base import AnySource, Source
from micro_rt.config.config import Config
from micro_rt.events.subscriber import Subscriber
from micro_rt.events.subscription import EventSubscription
from micro_rt.handler import Handler
from micro_rt.interceptor import ClientSide, ServerSide
from micro_rt.kit.ids import new_id
from micro_rt.service.parts import part_at
from micro_rt.service.service import Lifespan, Service
from micro_rt.testing.events import PublishedEvent, PublishingRecorder, RecordingBroker

__all__ = ["MakesHandlers", "MakesSubscriber", "TestService", "serve"]

LOOK_EVERY = 0.005
"""Seconds between two looks at what is not handled yet."""


class TestService(Service):
    """A service that runs in a test; ``serve`` makes it.

    Attributes:
        published: the events that its publishers have published, in order.
    """

    __test__ = False  # pytest takes every other class of such a name for tests.

    def __init__(self, name: str, *, client_interceptors: Sequence[ClientSide] = (), **options: Any) -> None:
        recorder = PublishingRecorder()
        place = new_id()
        self._recording = RecordingBroker(cast("Broker", part_at("broker", f"memory:{place}", "broker")))
        super().__init__(
            name,
            registry=f"memory:{place}",
            broker=self._recording,
            store=f"memory:{place}",
            sync=f"memory:{place}",
            transport="memory",
            client_interceptors=(*client_interceptors, recorder),
            **options,
        )
        self.published: list[PublishedEvent] = recorder.published

    async def settled(self, *, timeout: float = 10.0) -> None:
        """Waits until every event that was published is handled, and every event that its handler has published.

        An event is handled when its handler has returned, or when it is a dead letter.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: events are not handled by then; the message says which, and what they wait for.
            RuntimeError: a subscription has stopped, or is in trouble.
        """
        left: dict[str, int] = {}
        try:
            async with asyncio.timeout(timeout):
                while True:
                    before = self._recording.records
                    left = await self._unhandled()
                    if not left and before == self._recording.records:
                        return
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            waiting = [status.waiting_for for each in self._subscriptions for status in each.status()]
            problem = ", ".join(f"{count} of {where}" for where, count in left.items())
            reasons = "; ".join(dict.fromkeys(filter(None, waiting)))
            raise TimeoutError(
                f"events are not handled after {timeout:g} s: {problem}{f' ({reasons})' if reasons else ''}"
            ) from None

    async def _unhandled(self) -> dict[str, int]:
        """Returns how many events are not handled, by group and topic."""
        groups: dict[str, list[EventSubscription]] = {}
        for subscription in self._subscriptions:
            groups.setdefault(subscription.options.group, []).append(subscription)
        left: dict[str, int] = {}
        for group, subscriptions in groups.items():
            behind: dict[Partition, int] = {}
            for subscription in subscriptions:
                behind.update(await subscription.unhandled())
                if subscription.problem:
                    raise RuntimeError(f"{subscription!r} does not handle its events: {subscription.problem}")
            topics = {topic for subscription in subscriptions for topic in subscription.topics}
            for partition in self._recording.partitions:
                # A partition that nobody of the group reads yet holds at least one event.
                if partition.topic in topics and (count := behind.get(partition, 1)):
                    where = f"{partition.topic} in group {group}"
                    left[where] = left.get(where, 0) + count
        return left


MakesHandlers: TypeAlias = Callable[[TestService], Handler | Iterable[Handler]]
"""Makes handlers that need the service, for their clients and publishers."""
MakesSubscriber: TypeAlias = Callable[[TestService], Subscriber]
"""Makes a subscriber that needs the service."""


@asynccontextmanager
async def serve(
    *handlers: Handler | MakesHandlers,
    subscribers: Sequence[Subscriber | MakesSubscriber] = (),
    name: str = "test",
    interceptors: Sequence[ServerSide] = (),
    client_interceptors: Sequence[ClientSide] = (),
    auth: Literal["off"] | None = None,
    lifespan: Lifespan | None = None,
    config: Config | Sequence[Source | AnySource | Mapping[str, Any]] = (),
) -> AsyncGenerator[TestService]:
    """Serves handlers in this process, without a port or a file, and gives the service to make clients from.

        async with micro_rt.testing.serve(Greeter()) as service:
            reply = await GreeterClient(service).say_hello(HelloRequest(name="Ada"))

    What needs the service is made by a function, which is called before the service starts:

        async with micro_rt.testing.serve(lambda service: [Orders(service)], subscribers=[Billing()]) as service:
            await OrdersClient(service).place(Order(id="42"))
            await service.settled()
            assert [event.message for event in service.published] == [OrderPlaced(order_id="42")]

    Each one is a world of its own: it sees no other service, and no other sees it. Its events and records are kept in memory.

    Args:
        handlers: what to serve, or functions that make it.
        subscribers: what handles events, or functions that make it. A function that serves handlers may subscribe too, if the
            subscription needs other options: ``service.subscribe(Billing(), attempts=1)``.
        name: of the service.
        interceptors: run around every call that is served, and every event that is handled.
        client_interceptors: run around every call that clients of the service make, and every event that it publishes.
        auth: ``"off"`` to serve methods whose ``auth`` policy no interceptor enforces.
        lifespan: runs around the life of the service.
        config: the sources of ``service.config``, or a config; ``MICRO_CONFIG`` does not count.
    """
    service = TestService(
        name,
        interceptors=interceptors,
        client_interceptors=client_interceptors,
        auth=auth,
        lifespan=lifespan,
        config=config,
        grace=1.0,
    )
    for handler in handlers:
        made = handler if isinstance(handler, Handler) else _called(handler, service)
        for each in (made,) if isinstance(made, Handler) else made:
            service.handle(each)
    for subscriber in subscribers:
        service.subscribe(subscriber if isinstance(subscriber, Subscriber) else _called(subscriber, service))
    async with service:
        yield service


def _called(make: Callable[[TestService], Any], service: TestService) -> Any:
    if not callable(make):
        raise TypeError(
            f"serve() takes handlers and subscribers, or functions that make them from the service, not {make!r}"
        )
    return make(service)
