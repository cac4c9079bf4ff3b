"""A subscription: a subscriber's place in a group, for as long as its service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from micro_rt.broker.base import Broker, Partition
from micro_rt.codec.base import Codec
from micro_rt.events.delivery import Delivery, PartitionStatus
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.publisher import options_of
from micro_rt.events.sharing import LoopShare
from micro_rt.events.subscriber import Subscriber, left_out_of, routes_of, tombstone_routes_of, types_of
from micro_rt.interceptor import ServerSide
from micro_rt.kit.shared import Shared
from micro_rt.logs import logger

__all__ = ["EventSubscription"]

_log = logger("micro_rt.events")


class EventSubscription:
    """What ``service.subscribe`` returns.

    Args:
        subscriber: handles the events.
        options: how.
        codec: how messages are encoded.
        interceptors: run around the handling of each event.

    Raises:
        TypeError: the subscriber defines none of its methods.
    """

    def __init__(
        self, subscriber: Subscriber, options: DeliveryOptions, codec: Codec, interceptors: Sequence[ServerSide]
    ) -> None:
        self.options = options
        self._name = type(subscriber).__name__
        self._routes = routes_of(subscriber, codec, interceptors)
        self._tombstones = tombstone_routes_of(subscriber, self.topics, interceptors)
        self._left_out = left_out_of(subscriber, self._routes)
        self._delivery: Delivery | None = None
        self._task: asyncio.Task[None] | None = None
        self._share: Shared[LoopShare] | None = None
        self._paused = False
        self.exits: Callable[[BaseException], None] | None = None
        """Called with the ``SystemExit`` or ``KeyboardInterrupt`` of a handler."""

    def __repr__(self) -> str:
        return f"<EventSubscription of {self._name} in group {self.options.group!r}>"

    @property
    def topics(self) -> tuple[str, ...]:
        """What it reads."""
        return tuple(dict.fromkeys(route.event.topic for route in self._routes))

    @property
    def problem(self) -> str:
        """What is wrong with it; empty if nothing is."""
        return "" if self._delivery is None else self._delivery.trouble

    def check_beside(self, other: EventSubscription) -> None:
        """Checks that another subscription may be in the same group: of different ones, one would get nothing of their topic.

        Raises:
            ValueError: they handle different events of one topic.
        """
        for topic in self.topics:
            if topic in other.topics and (mine := self._events_of(topic)) != (theirs := other._events_of(topic)):
                raise ValueError(
                    f"{self._name} and {other._name} are both in group {self.options.group!r}, and of topic {topic} one handles "
                    f"{', '.join(sorted(mine))} and the other {', '.join(sorted(theirs))}: a group gives a topic to those of its "
                    "members that handle most of it. Give them different groups (group=), or put the methods into one class"
                )

    def _events_of(self, topic: str) -> set[str]:
        return set(types_of(self._routes, self._tombstones).get(topic, ()))

    def pause(self) -> None:
        """Reads no more until ``resume``; it stays in its group, and what is read already is handled."""
        self._paused = True
        if self._delivery is not None:
            self._delivery.pause()

    def resume(self) -> None:
        """Reads again."""
        self._paused = False
        if self._delivery is not None:
            self._delivery.resume()

    def status(self) -> list[PartitionStatus]:
        """Returns how far each of its partitions is; none while its service does not run."""
        return [] if self._delivery is None else self._delivery.status()

    # For the service that it is of

    async def unhandled(self) -> Mapping[Partition, int]:
        """Commits what is done, and returns how many records of each of its partitions are not done; for tests.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        return {} if self._delivery is None else await self._delivery.unhandled()

    async def start(self, broker: Broker, grace: float, max_memory: int) -> None:
        """Joins the group.

        Args:
            broker: open.
            grace: seconds that running handlers get when it stops.
            max_memory: bytes of events that may be in flight in the process.

        Raises:
            Error: its topics cannot be had.
        """
        await broker.prepare(options_of(route.event for route in self._routes))
        self._share = Shared(("events",), LoopShare)
        share = await self._share.acquire()
        self._delivery = delivery = Delivery(
            broker,
            self._routes,
            self.options,
            exits=self.exits,
            tombstones=self._tombstones,
            share=share,
            max_memory=max_memory,
            left_out=self._left_out,
        )
        if self._paused:
            delivery.pause()
        self._task = asyncio.create_task(delivery.run(grace), name=f"group {self.options.group}")
        self._task.add_done_callback(self._ended)

    def begin_to_stop(self) -> None:
        """Begins nothing more, and begins to leave the group: its handlers have their grace from now on."""
        if self._delivery is not None:
            self._delivery.stop()

    async def stop(self) -> None:
        """Lets handlers finish, commits, and leaves the group: within the grace and a few seconds."""
        task, self._task = self._task, None
        if task is None or self._delivery is None:
            return
        self._delivery.stop()
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
            await asyncio.wait((task,))
            self._delivery = None
            if self._share is not None:
                await self._share.release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("%r has ended", self, exc_info=error)
            if self._delivery is not None:
                self._delivery.problem = f"group {self.options.group} has ended: {error!r}"
