"""Careful handling: after a process has ended without a word, finds the record whose handler ends it.

A handler can end its process: it uses too much memory, calls a library that crashes, or calls ``os._exit``. The member that takes over
reads the same record and ends as well, and so does every member after it. Many records are handled at once, so afterwards nothing shows
which of them it was.

The rules that it keeps, and why:

- A record that may have been running when a process ended is suspected (``recollection``). All others are handled as usual.
- Suspected records begin one at a time, and alone: no handler of any subscription in this process runs meanwhile. Before one begins, a
  commit says so. If the process ends then, the next member knows that it was this record and no other, and counts it.
- A record that was alone so often (``crash_attempts``) when its process ended becomes a dead letter, or the subscription stops in
  front of it, without its handler. No other record is counted, so none becomes a dead letter because of its neighbours.
- A record whose handler has returned, or raised, is not suspected any more.
- Being careful must not hold up everything else for long. A record that was named, because it was running when a process ended, is
  alone for ``NAMED_FOR`` seconds at most. Any other one is alone for ``ALONE_FOR`` seconds at most, and all of them for
  ``ALONE_IN_ALL``. After that, suspected records begin side by side. A commit still names them before they begin. So if the process
  ends once more, the next member knows them by name.
- A member that loses its partition because it does not answer in time looks like one whose process has ended. So a record is counted
  with the names of the processes. When a process reads a partition again that it had lost, it removes its own name.
- A record that cannot be alone, because another handler does not end within ``QUIET_WITHIN`` seconds, runs beside it and is not counted.
- The commits of this module are extra ones. There are none unless a process has ended without a word.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from micro_rt.events.progress import PendingRecord
from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_token
from micro_rt.kit.ordered import OrderedSet

__all__ = ["CarefulWork", "ProcessGate"]

NAMED_FOR = 60.0
"""Seconds that a suspected record that was named is alone at most."""
ALONE_FOR = 10.0
"""Seconds that a suspected record that nobody has named is alone at most."""
ALONE_IN_ALL = 15.0
"""Seconds that those records are alone at most, all together."""
ANNOUNCED_WITHIN = 5.0
"""Seconds that others wait for a commit at most."""
QUIET_WITHIN = 5.0
"""Seconds to wait until no other handler runs."""
_LOOK = 0.005
"""Seconds between two looks whether other handlers run."""
_AGAIN = 0.1
"""Seconds before a record is announced again after a commit was refused; longer, if that took longer."""


class Worker(Protocol):
    """The handling of one subscription of this process."""

    @property
    def busy(self) -> bool:
        """Whether handlers run."""
        ...

    def go_on(self) -> None:
        """Begins in the usual way what is ready, if the gate is open."""
        ...


class ProcessGate:
    """What the subscriptions of one process share: while suspected records are handled, nothing else begins."""

    def __init__(self) -> None:
        self.token = new_token(4)
        """Names this process in the notes of positions."""
        self.closed = False
        """Whether nothing begins in the usual way."""
        self.turn = asyncio.Lock()
        """Held by the careful work that handles a suspected record alone."""
        self._workers: OrderedSet[Worker] = OrderedSet()
        self._careful: OrderedSet[CarefulWork] = OrderedSet()

    async def open(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""

    def join(self, worker: Worker) -> None:
        """Adds the handling of one subscription."""
        self._workers.add(worker)

    def leave(self, worker: Worker) -> None:
        """Removes it."""
        self._workers.discard(worker)

    def begin(self, work: CarefulWork) -> None:
        """Closes the gate, for as long as there is careful work."""
        self._careful.add(work)
        self.closed = True

    def end(self, work: CarefulWork) -> None:
        """Opens the gate if this was the last careful work."""
        self._careful.discard(work)
        if self.closed and not self._careful:
            self.closed = False
            for worker in self._workers:
                worker.go_on()

    async def quiet(self, within: float) -> bool:
        """Waits until no handler runs in this process; returns whether that is so."""
        until = loop_time() + within
        while any(worker.busy for worker in self._workers):
            if loop_time() >= until:
                return False
            await asyncio.sleep(_LOOK)
        return True


class CarefulWork:
    """The suspected records of one subscription.

    Args:
        most: how many are handled at once, when they need not be alone.
        start: begins to handle a record, in a task.
        announce: commits what is known of suspected records now; returns False if that was refused, and raises nothing.
        give_up: called with a record that is not to be handled any more, instead of ``start``.
        crash_attempts: how many processes may end while a record is alone.
    """

    def __init__(
        self,
        most: int,
        start: Callable[[PendingRecord], asyncio.Task[None]],
        announce: Callable[[], Awaitable[bool]],
        give_up: Callable[[PendingRecord], asyncio.Task[None]],
        crash_attempts: int,
    ) -> None:
        self.gate = ProcessGate()
        self._most = most
        self._start = start
        self._announce = announce
        self._give_up = give_up
        self._crash_attempts = crash_attempts
        self._ready: deque[PendingRecord] = deque()
        self._running: OrderedSet[asyncio.Task[None]] = OrderedSet()
        self._left = ALONE_IN_ALL
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether there are suspected records to handle."""
        return self._task is not None

    def add(self, pending: PendingRecord) -> None:
        """Adds a suspected record that may be handled."""
        self._ready.append(pending)
        if self._task is None:
            self._start_work()

    def renew(self) -> None:
        """Gives suspected records their time alone again: another process has ended."""
        self._left = ALONE_IN_ALL

    async def close(self) -> None:
        """Begins nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def _start_work(self) -> None:
        self.gate.begin(self)
        self._task = asyncio.get_running_loop().create_task(self._work(), name="suspected events")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self.gate.end(self)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "careful handling failed", "exception": error})
        elif self._ready:  # One came when the task had looked for the last time.
            self._start_work()

    async def _work(self) -> None:
        while self._ready:
            if len(self._running) >= self._most:
                # These may take as long as they like, and no note says that one of them is alone.
                self.gate.end(self)
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                self.gate.begin(self)
            async with self.gate.turn:
                began = loop_time()
                committed = await self._next()
            if committed and not self._ready:
                committed = await self._announced()  # From now on, no note says that one of them is alone.
            if not committed and self._ready:
                # The broker has a problem. Others, which may use another broker, get at least half of the time meanwhile.
                self.gate.end(self)
                await asyncio.sleep(max(_AGAIN, loop_time() - began))
                self.gate.begin(self)

    async def _next(self) -> bool:
        """Handles the next record, or the next ones if they need not be alone; returns False if a commit was refused."""
        began = loop_time()
        pending = self._ready.popleft()
        suspicion = pending.suspicion
        if pending.progress.released or suspicion is None:
            return True
        if len(suspicion.deaths) >= self._crash_attempts:
            await asyncio.wait((self._give_up(pending),))
            return True
        limit = NAMED_FOR if suspicion.named else min(ALONE_FOR, self._left)
        alone = limit > 0 and await self.gate.quiet(QUIET_WITHIN)
        together = [pending] if limit > 0 else [pending, *self._more()]
        for each in together:
            each.progress.begin_alone(each, alone=alone)
        if not await self._announced():
            for each in together:
                each.progress.cut_short(each)
            self._ready.extendleft(reversed(together))
            return False
        tasks = [self._begin(each) for each in together if not each.progress.released]
        if alone and tasks:
            await asyncio.wait(tasks, timeout=limit)
        if not suspicion.named:
            self._left -= loop_time() - began
        if not alone or all(task.done() for task in tasks):
            return True
        # Nothing begins beside it before the note does not say any more that it is alone.
        pending.progress.not_alone(pending)
        return await self._announced()

    def _more(self) -> list[PendingRecord]:
        """Takes more records that need not be alone, as many as may run."""
        found: list[PendingRecord] = []
        while self._ready and len(self._running) + len(found) + 1 < self._most:
            suspicion = self._ready[0].suspicion
            if suspicion is None or suspicion.named or suspicion.deaths:
                break
            found.append(self._ready.popleft())
        return found

    def _begin(self, pending: PendingRecord) -> asyncio.Task[None]:
        task = self._start(pending)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _announced(self) -> bool:
        """Commits what is known of suspected records; returns False if that was refused, or takes too long."""
        try:
            async with asyncio.timeout(ANNOUNCED_WITHIN):
                return await self._announce()
        except TimeoutError:
            return False
