"""Looks after one connection of a server: ends those whose clients say nothing, ask too often, or have been there long.

Rules kept here, and why:

- A client that does not begin with HTTP/2 in time is cut off: it would keep a place among the connections.
- A client that sends PINGs more often than allowed gets GOAWAY ``too_many_pings`` and loses the connection (gRFC A8): PINGs
  keep processors and radios awake. PINGs that follow replies are free, since clients measure the path with them.
- A connection that is idle or old ends gently (gRFC A9): the client opens another one, perhaps to another node.
- A client that was silent for long gets a PING, and is cut off if it says nothing then (gRFC A8). The kernel finds out
  earlier that a machine is gone, but not that a process has stopped.
- A look that is late says nothing about the client: this event loop was blocked, and has not read what came.
- A connection on which nothing happens costs no time: one timer looks after all of a listener.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from micro_rt.backends.grpc.deadlines import Slot
from micro_rt.kit.chance import between
from micro_rt.logs import logger, sparsely

if TYPE_CHECKING:
    from micro_rt.backends.grpc.server_link import ServerLink

__all__ = ["DRAIN_TIMEOUT", "Watch"]

DRAIN_TIMEOUT: Final = 5.0
"""Seconds that a client gets to answer the first GOAWAY, which is sent with a PING."""
PING_WITHOUT_CALLS: Final = 7200.0
"""Seconds that a client must leave between two PINGs while it has no call (gRFC A8)."""
_LATE: Final = 1.0
"""Seconds; a look that is later than this shows that this event loop was blocked."""
_NEVER: Final = float("inf")
_KEEPALIVE: Final = b"\0silent\0"

_log = logger("micro_rt.backends.grpc")


class Watch:
    """The times of one connection.

    Args:
        link: the connection.
    """

    __slots__ = ("_asked", "_due", "_last_ping", "_leave_at", "_left_at", "_link", "_slot", "_strikes", "idle_since")

    def __init__(self, link: ServerLink) -> None:
        self._link = link
        now = link.loop.time()
        age = link.limits.age
        self._leave_at = _NEVER if age is None else now + between(age, 1.1 * age)
        self._left_at = _NEVER
        """When the server announced the end of the connection."""
        self._asked = _NEVER
        """When the client was asked whether it is there, if it has said nothing since."""
        self._last_ping = -_NEVER
        self._strikes = 0
        self.idle_since = now
        """Since when there is no call; without meaning while there is one."""
        self._due = _NEVER
        self._slot: Slot | None = None
        self._look_at(now + link.limits.handshake)

    def established(self) -> None:
        """Notes that the client speaks HTTP/2."""
        self._plan()

    def left(self) -> None:
        """Notes that the server has announced the end of the connection."""
        if self._left_at == _NEVER:
            self._left_at = self._link.loop.time()
            if self._link.http2.established:
                self._plan()

    def pinged(self, replied: bool) -> bool:
        """Counts a PING of the client (gRFC A8).

        Args:
            replied: whether replies were sent since the last one.

        Returns:
            Whether it is one too many.
        """
        limits = self._link.limits
        last, self._last_ping = self._last_ping, self._link.loop.time()
        if replied:
            self._strikes = 0
            return False
        allowed = limits.ping_interval
        if not self._link.http2.streams and not limits.pings_without_calls:
            allowed = PING_WITHOUT_CALLS
        if self._last_ping < last + allowed:
            self._strikes += 1
        return self._strikes > limits.ping_strikes

    def end(self) -> None:
        """Stops looking: the connection is lost."""
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None

    def expire(self) -> None:
        """Looks whether something is due."""
        self._slot = None
        link = self._link
        now = link.loop.time()
        if now > self._due + _LATE:
            self._look_at(now + _LATE)
        elif not link.http2.established:
            self._cut("it did not begin with HTTP/2 in time")
        elif self._is_silent(now):
            self._cut("it did not answer a PING in time")
        else:
            self._leave_or_end(now)
            self._plan()

    # Helpers

    def _is_silent(self, now: float) -> bool:
        """Returns whether the client has not answered in time; asks it whether it is there, if it is time for that."""
        link, limits = self._link, self._link.limits
        if link.heard >= self._asked:
            self._asked = _NEVER
        if self._asked != _NEVER:
            return now >= self._asked + limits.keepalive_timeout
        if limits.keepalive is not None and now >= link.heard + limits.keepalive:
            self._asked = now
            link.http2.ping(_KEEPALIVE)
            link.flush()
        return False

    def _leave_or_end(self, now: float) -> None:
        """Takes the next step to the end of a connection that is old, or idle, or whose end is announced."""
        link, limits = self._link, self._link.limits
        if self._left_at == _NEVER:
            idle = limits.idle is not None and not link.calls and now >= self.idle_since + limits.idle
            if idle or now >= self._leave_at:
                link.leave()
            return
        if now >= self._left_at + DRAIN_TIMEOUT:
            link.http2.close()  # Also if the client has not answered.
            link.flush()
        if now >= self._grace_ends and link.http2.streams:
            link.close()

    @property
    def _grace_ends(self) -> float:
        grace = self._link.limits.age_grace
        return _NEVER if grace is None or self._leave_at == _NEVER else self._left_at + max(grace, DRAIN_TIMEOUT)

    def _plan(self) -> None:
        """Looks again when the next thing may be due."""
        link, limits = self._link, self._link.limits
        now = link.loop.time()
        if self._left_at == _NEVER:
            due = self._leave_at
            if limits.idle is not None:
                due = min(due, (now if link.calls else self.idle_since) + limits.idle)
        elif now < self._left_at + DRAIN_TIMEOUT:
            due = self._left_at + DRAIN_TIMEOUT
        else:
            due = self._grace_ends
        if self._asked != _NEVER:
            due = min(due, self._asked + limits.keepalive_timeout)
        elif limits.keepalive is not None:
            due = min(due, link.heard + limits.keepalive)
        self._look_at(due)

    def _look_at(self, when: float) -> None:
        self.end()
        self._due = when
        if when != _NEVER and not self._link.lost:
            self._slot = self._link.serving.deadlines.add(self, when)

    def _cut(self, problem: str) -> None:
        _log.warning("the connection of %s is cut: %s", self._link.peer, problem, extra=sparsely(problem))
        self._link.cut(problem)
