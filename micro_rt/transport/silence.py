"""Finds out whether the other side of a connection is still there when it says nothing while calls wait for it.

A process that is stopped, or a network that drops everything, leaves the connection open. Without this a call without a
deadline would wait for ever.

The rules that it keeps, and why:

- Only a connection with calls in flight is watched. Others cost nothing: no timer, no PING.
- A connection is silent when no HEADERS and no DATA came for ``PING_AFTER`` seconds. Then it is sent a PING.
- At most ``PINGS`` are sent until HEADERS or DATA come again. grpc-go and gRPC's core count the PINGs that they get
  before they have sent one of these, and close the connection after the third, with every call on it (gRFC A8,
  https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md).
- After them, one PING may be sent every ``PING_AGAIN`` seconds, which both servers allow at any time. So a call is not
  left waiting for ever because another one on its connection is an idle stream.
- A PING that is answered within ``PING_TIMEOUT`` seconds says that the other side is there: a handler may take its
  time. The last PING is kept for later, in case the other side stops meanwhile.
- A PING without an answer is followed by another one at once, if there may be one. Then the connection is cut. A PING
  that was not answered while one call waited counts for the next call too.
- A connection is not silent while the other side sends WINDOW_UPDATE or PING frames, or takes what is written. On a
  slow link a PING waits behind megabytes of requests, and so does its answer. These frames do not allow for more PINGs.
- A timer that runs late says nothing of the other side: this event loop was blocked, and may not have read the answer
  yet.
- A server that asks for fewer PINGs (GOAWAY ``too_many_pings``) gets the first one after twice the time from then on
  (A8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Pace", "Silence"]

PING_AFTER = 10.0
"""Seconds of silence after which a PING is sent."""
PING_TIMEOUT = 10.0
"""Seconds within which a PING is answered."""
LOOKS = (1, 3)
"""Looks in a row at which nothing had come, before the first PING and before the second one if the first was
answered."""
PINGS = 2
"""PINGs that are sent at most until the other side sends something else; ``LOOKS`` has a number for each."""
PING_AGAIN = 310.0
"""Seconds from the last PING until another one may be sent although nothing else has come. Servers allow one in five
minutes."""
LATE = 1.0
"""Seconds; a timer that runs later than this shows that this event loop was blocked."""
LONGEST = 3600.0
"""Seconds; a server that asks for fewer PINGs again and again does not make the time longer than this."""


class Pace:
    """How long the connections to one address wait until they send a PING."""

    __slots__ = ("after",)

    def __init__(self) -> None:
        self.after = PING_AFTER

    def slow_down(self) -> None:
        """Waits twice as long from now on."""
        self.after = min(2 * self.after, LONGEST)


class Silence:
    """Watches one connection.

    Args:
        pace: how long to wait.
        busy: returns whether calls wait for the other side.
        heard: returns a number that grows with what comes, answers to PINGs not counted.
        ping: sends a PING.
        cut: ends the connection, with the reason.
        moved: returns a number that changes with other signs of life.
    """

    __slots__ = (
        "_busy",
        "_cut",
        "_due",
        "_heard",
        "_last",
        "_moved",
        "_pace",
        "_ping",
        "_pings",
        "_quiet",
        "_seen",
        "_seen_moved",
        "_waiting",
        "timer",
    )

    def __init__(
        self,
        pace: Pace,
        *,
        busy: Callable[[], bool],
        heard: Callable[[], int],
        ping: Callable[[], None],
        cut: Callable[[str], None],
        moved: Callable[[], int] = int,
    ) -> None:
        self._pace = pace
        self._busy = busy
        self._heard = heard
        self._ping = ping
        self._cut = cut
        self._moved = moved
        self._seen = 0
        self._seen_moved = 0
        self._pings = 0
        self._last = 0.0
        """When the last PING was sent."""
        self._quiet = 0
        """Times in a row that nothing had come."""
        self._waiting = False
        """Whether a PING is not answered yet."""
        self._due = 0.0
        self.timer: asyncio.TimerHandle | None = None
        """Set while the connection is watched."""

    def watch(self) -> None:
        """Begins to watch: a call is waiting."""
        if self.timer is None:
            self._heard_more()
            self._has_moved()
            self._quiet = 0
            self._look_in(self._pace.after)

    def answered(self) -> None:
        """Notes that a PING was answered."""
        self._waiting = False

    def end(self) -> None:
        """Stops watching."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _heard_more(self) -> bool:
        heard = self._heard()
        if heard == self._seen:
            return False
        self._seen, self._pings, self._quiet, self._waiting = heard, 0, 0, False
        return True

    def _has_moved(self) -> bool:
        moved = self._moved()
        if moved == self._seen_moved:
            return False
        self._seen_moved = moved
        return True

    def _look_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self.timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self.timer = None
        if not self._busy():
            return
        moved = self._has_moved()
        if self._heard_more():
            self._look_in(self._pace.after)
            return
        if moved:
            self._look_in(PING_TIMEOUT if self._waiting else self._pace.after)
            return
        self._quiet += 1
        now = asyncio.get_running_loop().time()
        if now > self._due + LATE:
            self._look_in(PING_TIMEOUT)
        elif self._pings < PINGS and (self._waiting or self._quiet >= LOOKS[self._pings]):
            self._pings += 1
            self._send(now, PING_TIMEOUT)
        elif not self._waiting and self._pings >= PINGS and now >= self._last + PING_AGAIN:
            self._send(now, PINGS * PING_TIMEOUT)  # There is no second one that could follow.
        elif self._waiting:
            self._cut(f"it said nothing, and did not answer a PING within {PING_TIMEOUT:g} s")
        else:
            self._look_in(self._pace.after)

    def _send(self, now: float, patience: float) -> None:
        self._last = now
        self._waiting = True
        self._ping()
        self._look_in(patience)
