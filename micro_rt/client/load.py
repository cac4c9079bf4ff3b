"""What the calls to a node tell of it: how long they take, and how often they fail.

The rules that it keeps, and why:

- The latency is a mean in which each reply counts ``WEIGHT``, and more if the last one is long ago. Old knowledge fades, so that a node
  that was slow gets a call now and then, and returns as soon as it is fast.
- It does not fade while calls are in flight: one call at a time finds out, and not all that come before its reply.
- Streams count as calls in flight. How long they last is no latency, because that is up to both sides.
- An error that is an answer, such as ``NotFound``, counts as a reply. One that speaks against the node counts as a failure, and not as a
  reply: a node that fails fast is not fast.
- Latencies are measured only if a selector asks for loads: each connection is wrapped then. Without such a selector, a call
  that goes well does not read the clock.
- Time is read from the monotonic clock, because uvloop's clock has milliseconds only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from micro_rt.context import CallInfo
from micro_rt.errors import Code, Error
from micro_rt.kit.clock import monotonic
from micro_rt.kit.fading import faded
from micro_rt.metadata import Metadata
from micro_rt.transport.base import ClientStream, Connection
from micro_rt.transport.limits import MessageRules

__all__ = ["CallRecord", "MeasuredConnection"]

HALF_LIFE = 5.0
"""Seconds in which the latency and the failures of a node fade to a half."""
FORGOTTEN = 10 * HALF_LIFE
"""Seconds after the last reply from which on the latency of a node counts as unknown."""
WEIGHT = 0.2
"""The part of the mean that a reply decides, if another one came just before."""
MAX_FAILURES = 10.0
"""Failures that count at most: a node that has failed for long returns as soon as one that has just begun."""

_FAULTS = frozenset(
    {
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    }
)
"""Errors that speak against the node; all others are about what the caller asked for."""


class CallRecord:
    """The latency and the failures of one node.

    Args:
        clock: returns the time in seconds.
    """

    __slots__ = ("_clock", "_failed_at", "_failures", "_latency", "_replied_at")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._latency = 0.0
        self._replied_at: float | None = None
        self._failures = 0.0
        self._failed_at = 0.0

    def latency(self, in_flight: int) -> float | None:
        """Returns the mean latency in seconds; None if it is not known.

        Args:
            in_flight: calls that the node has; if it has some, the latency does not fade.
        """
        if self._replied_at is None:
            return None
        passed = self._clock() - self._replied_at
        if passed > FORGOTTEN:
            return None
        return self._latency if in_flight else self._latency * faded(passed, HALF_LIFE)

    @property
    def failures(self) -> float:
        """The failures, those of a half-life ago as halves."""
        return self._failures * faded(self._clock() - self._failed_at, HALF_LIFE) if self._failures else 0.0

    def took(self, seconds: float) -> None:
        """Notes how long a unary call took."""
        now = self._clock()
        if self._replied_at is None:
            self._latency = seconds
        else:
            left = faded(now - self._replied_at, HALF_LIFE)
            self._latency = seconds + (self._latency * left - seconds) * (1.0 - WEIGHT) * left
        self._replied_at = now

    def noted(self, error: Error) -> None:
        """Notes how an attempt failed; errors that say nothing of the node do not count."""
        if error.code in _FAULTS:
            self._failures = min(self.failures + 1.0, MAX_FAILURES)
            self._failed_at = self._clock()


class MeasuredConnection(Connection):
    """A connection whose unary calls are measured.

    Args:
        connection: what carries the calls.
        record: of its node.
    """

    def __init__(self, connection: Connection, record: CallRecord) -> None:
        self._connection: Any = connection  # Only one that takes sizes is given some.
        self._record = record
        self.takes_sizes = connection.takes_sizes
        self.compresses = connection.compresses

    async def connect(self) -> None:
        """Connects now, if not connected."""
        await self._connection.connect()

    async def open(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        *rules: MessageRules,
    ) -> ClientStream:
        """Starts a call."""
        stream: ClientStream = await self._connection.open(path, content_subtype, metadata, deadline, info, *rules)
        return stream

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
        *rules: MessageRules,
    ) -> bytes:
        """Makes a whole unary call, and notes how long it took if the node answered it."""
        began = monotonic()
        try:
            reply: bytes = await self._connection.unary(
                path, content_subtype, metadata, deadline, info, message, *rules
            )
        except Error as error:
            if error.may_have_run and error.code not in _FAULTS:
                self._record.took(monotonic() - began)
            raise
        self._record.took(monotonic() - began)
        return reply

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()
