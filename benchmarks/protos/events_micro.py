"""Events of events.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import micro_rt as _micro

from .events_pb2 import Happened

__all__ = ["EventsPublisher", "EventsSubscriberBase"]

_HAPPENED = _micro.Event("bench.events.Happened", "happened", "bench", Happened, key="key", partitions=4)
_EVENTS_EVENTS = _micro.EventsInfo("events.proto", (_HAPPENED,))


class EventsPublisher(_micro.Publisher):
    """Publishes the events of events.proto."""

    _info_ = _EVENTS_EVENTS

    async def happened(
        self,
        event: Happened,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Something that happened."""
        return await self._publish(_HAPPENED, event, key, headers, time, timeout)

    async def publish_all(
        self, events: Iterable[Happened], *, headers: _micro.HeadersLike | None = None, timeout: float | None = None
    ) -> list[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class EventsSubscriberBase(_micro.Subscriber):
    """Handles the events of events.proto; a method that is left out is not subscribed."""

    _info_ = _EVENTS_EVENTS

    async def happened(self, event: Happened, context: _micro.EventContext) -> None:
        """Something that happened."""
        raise self._not_subscribed(_HAPPENED)
