"""What an event knows about itself, in its handler and in an interceptor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal

from micro_rt.broker.base import Record
from micro_rt.context import Scope
from micro_rt.event import Event
from micro_rt.events.envelope import Envelope, event_time, open_envelope
from micro_rt.metadata import EMPTY, Metadata

__all__ = ["EventContext", "Publishing"]


class EventContext(Scope):
    """An event being handled.

    Attributes:
        event: what the .proto says of it. Of a tombstone that does not say its type, or says one that the .proto does not
            have, the name is empty.
        group: whose member handles it.
        attempt: how many times this member has begun to handle it; 1 the first time.
        deadline: when the handler must be done, on the clock of ``loop.time()``, or None; bounds the calls made there.
        record: the record that it came in.
    """

    __slots__ = ("_opened", "attempt", "event", "group", "record")

    side: Literal["subscriber"] = "subscriber"

    def __init__(
        self,
        event: Event[Any],
        group: str,
        attempt: int,
        deadline: float | None,
        record: Record,
    ) -> None:
        self.deadline = deadline
        self.event = event
        self.group = group
        self.attempt = attempt
        self.record = record
        self._opened: Envelope | None = None

    @property
    def id(self) -> str:
        """What its publisher calls it, unique together with ``source``; empty if the record does not say."""
        return self._envelope.text("ce_id")

    @property
    def source(self) -> str:
        """Who published it; empty if the record does not say."""
        return self._envelope.text("ce_source")

    @property
    def time(self) -> datetime:
        """When it happened, as its publisher says, or else when it was published; the same for a replayed event."""
        return event_time(self._envelope, self.record)

    @property
    def topic(self) -> str:
        """Where it was published."""
        return self.record.topic

    @property
    def partition(self) -> int:
        """The partition of the topic."""
        return self.record.partition

    @property
    def offset(self) -> int:
        """The position in the partition."""
        return self.record.offset

    @property
    def key(self) -> bytes | None:
        """What orders it among others; None if nothing does."""
        return self.record.key

    @property
    def headers(self) -> Mapping[str, bytes]:
        """The headers, by lower-case name, those of its envelope too."""
        return self._envelope.headers

    @property
    def tombstone(self) -> bool:
        """Whether it is a tombstone: it has no message, and says that what was published with its key is deleted."""
        return self.record.tombstone

    def flowing(self, keys: Collection[str]) -> Metadata:
        """Returns the headers that have one of these names, as metadata.

        Args:
            keys: in lower case.
        """
        headers = self._envelope.headers
        found = [(key, headers[key]) for key in sorted(keys) if key in headers]
        if not found:
            return EMPTY
        return Metadata.received(
            (key, value if key.endswith("-bin") else value.decode(errors="replace")) for key, value in found
        )

    @property
    def _envelope(self) -> Envelope:
        if self._opened is None:
            self._opened = open_envelope(self.record)
        return self._opened


class Publishing:
    """An event on its way out, as interceptors see it.

    Attributes:
        event: what the .proto says of it.
        key: what orders it, or None.
        headers: that go with it; assign to change them.
        tombstone: whether it is a tombstone, which has no message.
    """

    __slots__ = ("event", "headers", "key", "tombstone")

    side: Literal["publisher"] = "publisher"

    def __init__(
        self, event: Event[Any], key: bytes | None, headers: tuple[tuple[str, bytes], ...], tombstone: bool = False
    ) -> None:
        self.event = event
        self.key = key
        self.headers = headers
        self.tombstone = tombstone
