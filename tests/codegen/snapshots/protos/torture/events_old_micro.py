"""Events of torture/events_old.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import micro_rt as _micro

from .events_old_pb2 import Old

__all__ = ["EventsOldPublisher", "EventsOldSubscriberBase"]

_OLD = _micro.Event("torture.events_old.Old", "old", "torture.old", Old, key="id.number")
_EVENTS_OLD_EVENTS = _micro.EventsInfo("torture/events_old.proto", (_OLD,))


class EventsOldPublisher(_micro.Publisher):
    """Publishes the events of torture/events_old.proto."""

    _info_ = _EVENTS_OLD_EVENTS

    async def old(
        self,
        event: Old,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_OLD, event, key, headers, time, timeout)

    async def publish_all(
        self, events: Iterable[Old], *, headers: _micro.HeadersLike | None = None, timeout: float | None = None
    ) -> list[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class EventsOldSubscriberBase(_micro.Subscriber):
    """Handles the events of torture/events_old.proto; a method that is left out is not subscribed."""

    _info_ = _EVENTS_OLD_EVENTS

    async def old(self, event: Old, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_OLD)
