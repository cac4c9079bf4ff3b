"""Turns: how handlers of events share an event loop with everything else, and which handler keeps it for itself.

The rules that these classes keep, and why:

- All subscriptions of an event loop share one budget: in each turn of the loop, handlers run for ``BUDGET`` seconds, and the one
  that is running then finishes its step. A step is what a handler does between two places at which it waits. So calls,
  heartbeats and timers wait for one step at most, however many subscriptions, partitions and workers there are.
- Steps that find the budget used up wait in line. Each turn of the loop lets the first one go on.
- A step that took much longer than the budget has blocked the loop. After it, no step begins for a twentieth of that time: a
  heartbeat needs several turns of the loop, an answer needs time on the network, and what is done needs a commit before the
  next step blocks the loop.
- Time is read from the monotonic clock: the clock of a loop may stand still while the loop is blocked, as that of uvloop does.
- A worker is measured step by step from outside, so that a handler runs as it would without that.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, NamedTuple

from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger

__all__ = ["BLOCKED", "BUDGET", "Block", "Blocks", "LoopTurns", "Steps"]

BUDGET = 0.005
"""Seconds that handlers run in one turn of the loop, before everything else gets its turn."""
PAUSE = 0.05
"""The part of the time that a step blocked the loop for which no other step begins after it."""
LONGEST_PAUSE = 1.0
"""Seconds that such a pause takes at most."""
BLOCKED = 0.1
"""Seconds after which a step is reported."""
REPORT_EVERY = 60.0
"""Seconds between two reports of one event's handler."""

_log = logger("micro_rt.events")


class LoopTurns:
    """The time that the handlers of one event loop share; one for each loop."""

    __slots__ = ("_owed", "_scheduled", "_used", "_waiting", "until")

    def __init__(self) -> None:
        self.until = 0.0
        """When the budget of the present turn is used up, on the monotonic clock."""
        self._used = False
        """Whether the present turn has its budget already, used up or not."""
        self._scheduled = False
        self._owed = 0.0
        """Seconds for which the longest step since the last turn blocked the loop."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    def has_time(self) -> bool:
        """Returns whether a step may begin now; otherwise it awaits ``wait`` first."""
        now = monotonic()
        if now < self.until:
            return True
        if self._used:
            return False
        self._used = True
        self.until = now + BUDGET
        self._schedule()
        return True

    def wait(self) -> Generator[Any, None, None]:
        """Waits in line until a step may begin."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._schedule()
        yield from turn
        self.until = monotonic() + BUDGET

    def blocked(self, seconds: float) -> None:
        """Takes note that a step took that long."""
        if seconds > 2 * BUDGET and seconds > self._owed:
            self._owed = seconds
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Runs at the next turn of the loop: lets the first one in line go on."""
        if self._owed:
            pause, self._owed = min(self._owed * PAUSE, LONGEST_PAUSE), 0.0
            self._used = True  # Nothing begins meanwhile.
            self.until = 0.0
            asyncio.get_running_loop().call_later(pause, self._next)
            return
        self._used = self._scheduled = False
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # It may have been cancelled.
                turn.set_result(None)
                self._used = True
                self._schedule()
                return


class Steps(ABC):
    """Runs a coroutine step by step, each when the loop has time for it, and reports steps that take long.

    Args:
        turns: the time that it shares.
    """

    __slots__ = ("_turns",)

    def __init__(self, turns: LoopTurns) -> None:
        self._turns = turns

    @abstractmethod
    def work(self) -> Coroutine[Any, Any, None]:
        """Returns what is run."""

    @abstractmethod
    def blocked(self, seconds: float) -> None:
        """Called after a step that took longer than ``BLOCKED``."""

    async def run(self) -> None:
        """Runs it."""
        await self

    def __await__(self) -> Generator[Any, None, None]:
        turns, work = self._turns, self.work()
        failure: BaseException | None = None
        try:
            while True:
                began = monotonic()
                if began >= turns.until and failure is None and not turns.has_time():
                    try:
                        yield from turns.wait()
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # It was cancelled: what is run is to know.
                        failure = error
                    began = monotonic()
                try:
                    if failure is None:
                        awaited = work.send(None)
                    else:
                        thrown, failure = failure, None
                        awaited = work.throw(thrown)
                except StopIteration:
                    return
                finally:
                    took = monotonic() - began
                    if took > 2 * BUDGET:
                        turns.blocked(took)
                        if took > BLOCKED:
                            self.blocked(took)
                try:
                    yield awaited
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failure = error
        finally:
            work.close()


class Block(NamedTuple):
    """A handler that blocked its event loop."""

    at: float
    """When it ended, on the monotonic clock."""
    seconds: float
    name: str
    """The event that it handled, and where that is."""


class Blocks:
    """The handlers of a group that blocked the event loop: logs them, each at most once a minute, and remembers the longest.

    Args:
        group: whose handlers.
    """

    __slots__ = ("_group", "_longest", "_since")

    def __init__(self, group: str) -> None:
        self._group = group
        self._longest: Block | None = None
        self._since: dict[str, tuple[float, int, float]] = {}
        """By event: when it was logged last, and how many blocks there were since then, for how many seconds at most."""

    def note(self, event: str, place: str, seconds: float) -> None:
        """Takes note of a handler that blocked the loop.

        Args:
            event: the name of the event that it handled.
            place: where the record is.
            seconds: for how long.
        """
        now = monotonic()
        longest = self._longest
        if longest is None or seconds >= longest.seconds or now - longest.at > REPORT_EVERY:
            self._longest = Block(now, seconds, f"{event} at {place}")
        logged, more, most = self._since.get(event, (0.0, 0, 0.0))
        if event in self._since and now - logged < REPORT_EVERY:
            self._since[event] = (logged, more + 1, max(most, seconds))
            return
        before = f" (and {more} times since the last such message, for at most {most:.2f} s)" if more else ""
        _log.warning(
            "group %s: the handler of %s at %s blocked the event loop for %.2f s%s. Meanwhile this process answers no calls, "
            "handles no other events and sends no heartbeats. Run blocking code in a thread: await asyncio.to_thread(…)",
            self._group,
            event,
            place,
            seconds,
            before,
        )
        self._since[event] = (now, 0, 0.0)

    def recent(self) -> Block | None:
        """Returns the longest block of the last minute; None if nothing blocked the loop."""
        longest = self._longest
        return None if longest is None or monotonic() - longest.at > REPORT_EVERY else longest
