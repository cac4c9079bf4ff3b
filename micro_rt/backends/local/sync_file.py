"""What the ``local:`` locks of one file share in one process: its threads, and who waits for what.

The rules that it keeps, and why:

- Another process is noticed by polling. The reader's thread looks at the number that SQLite gives to the state of the file, and
  reads only if that has changed, or a claim has ended. It looks every ``LOOK`` seconds while somebody waits for a lock or observes
  one, every ``HELD`` seconds while locks are held and nobody waits, and not at all otherwise. What this process commits is looked at
  at once.
- A hand-over wakes the claim that was granted, and no other. Whoever finds a seat that is free grants it, also to claims of
  other processes: a holder that somebody deletes by hand grants nothing.
- What a look has found may be older than what a write of this process has returned. So each claim remembers the change with
  which it was granted, and no earlier look counts against it.
- Claims that a look finds to have ended are lost at once, also if the file cannot be written just now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from micro_rt.backends.local.damage import guarded
from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.sqlite import Connection, Database
from micro_rt.backends.local.sqlite_file import roll_back
from micro_rt.backends.local.state import Sync
from micro_rt.backends.local.sync_claims import SCHEMA, History, Lock, Request, Standing, SyncClaims, View
from micro_rt.errors import Error, FailedPrecondition, ResourceExhausted
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import Clock
from micro_rt.kit.ownership import Owner
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.sync.base import Holder

__all__ = ["HELD", "LOOK", "Seat", "SyncFile"]

LOOK = 0.02
"""Seconds between two looks at the file for what other processes did, while somebody waits for it."""
HELD = 0.25
"""Seconds between two looks while locks are held, and nobody waits."""
_LARGEST = 1 << 20
"""Bytes of a row at most; a claim has far less."""
_TROUBLED = (0.5, 10.0)
"""Seconds until it is tried again to write, where that failed: at first, and at most."""

T = TypeVar("T")


class Seat:
    """A claim of this process, as the file sees it."""

    __slots__ = ("change", "ended", "epoch", "gone", "request", "told", "token", "until", "woken")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.epoch = 0
        """Of the file that it is in; 0 as long as that is not known."""
        self.change = 0
        """What was seen last when it was granted."""
        self.token = 0
        """Above 0 once it was granted."""
        self.told = False
        """Whether ``acquire`` has returned the grant."""
        self.until = 0.0
        """When its time has passed at the earliest, on the clock."""
        self.gone = ""
        """Why the claim has ended; empty until it ends."""
        self.woken = asyncio.Event()
        """Set when it was granted, or is gone."""
        self.ended = asyncio.Event()
        """Set when it is gone."""


class SyncFile:
    """What the locks of one file share in one process.

    Args:
        path: of the file.
        sync: what survives.
        owner: whose folder and file are accepted too.
        clock: what the time of claims is measured with.
    """

    def __init__(self, path: Path, sync: Sync, owner: Owner, clock: Clock) -> None:
        self.database = Database(
            path,
            SCHEMA,
            sync=sync,
            poll=partial(self._guarded, self._poll),
            deliver=self._found,
            interval=LOOK,
            turns=True,
            disk=Disk(path, refused="locks that are not held yet are refused"),
            owner=owner,
        )
        self._claims = SyncClaims(clock, self.database.disk.check)
        self._seats: dict[Lock, dict[str, Seat]] = {}
        """The claims of this process that wait or have seats, by their ids, in the order in which they came."""
        self._observers: dict[Lock, set[asyncio.Event]] = {}
        self._waiting = 0
        self._holding = 0
        self._pace = 0.0
        """Seconds between two looks; 0 if there are none."""
        self._slowly: asyncio.TimerHandle | None = None
        self._free: set[Lock] = set()
        """Locks that may have a free seat which somebody waits for."""
        self._sweeping = False
        self._tasks = TaskSet[None]()
        self._trouble = ""
        self._closed = False
        # What the reader's thread saw last.
        self._seen: tuple[Connection, int] | None = None
        self._change: int | None = None
        self._next = 0.0

    @property
    def durable(self) -> bool:
        """Whether a loss of power makes no token be given twice."""
        return self._claims.durable

    @property
    def problem(self) -> str:
        """What does not work; empty if everything does, as far as it knows."""
        return self.database.disk.problem or self._trouble

    async def open(self) -> None:
        """Opens the file."""
        await self.database.open()
        try:
            if await self.database.read(partial(self._guarded, self._claims.check)):
                with contextlib.suppress(Error):  # Each write does it before anything else.
                    await self._write(self._claims.sweep)
        except BaseException:
            await self.database.close()
            raise

    async def close(self) -> None:
        """Finishes what was asked for, and closes the file."""
        self._closed = True
        if self._slowly is not None:
            self._slowly.cancel()
        await self.database.close()
        await self._tasks.end()

    # Claims

    async def enter(self, seat: Seat) -> bool:
        """Puts a claim into the queue, or looks what became of it; returns whether it has a seat."""
        if seat.token and self._claims.now() < seat.until:
            seat.told = True
            return True
        request, asked, known = seat.request, self._claims.now(), seat.epoch
        self._seats.setdefault(request.lock, {})[request.id] = seat
        if not seat.token:  # Before it is asked for: what is granted after that wakes it.
            seat.woken.clear()
        standing: Standing = await self._write(lambda it: self._claims.enter(it, request, seat.told))
        if not standing.exists:
            self._end(seat, "its ttl has passed, or it was deleted")
        if seat.gone:
            return False
        history = standing.history
        seat.epoch = history.epoch
        if history.epoch != known:
            seat.until = asked + request.ttl
        if standing.token is not None and not seat.token:
            seat.token, seat.change = standing.token, history.change
            seat.woken.set()
        seat.told = standing.token is not None
        return seat.told

    async def renew(self, seat: Seat) -> bool:
        """Starts the time of a claim anew; returns False if it is gone."""
        asked = self._claims.now()
        if not await self._write(lambda it: self._claims.renew(it, seat.request)):
            self._end(seat, "its ttl has passed, or it was deleted")
        seat.until = asked + seat.request.ttl
        return not seat.gone

    async def leave(self, seat: Seat) -> bool:
        """Removes a claim; returns whether it had a seat."""
        self.forget(seat)
        return await self._write(lambda it: self._claims.leave(it, seat.request))

    def forget(self, seat: Seat) -> None:
        """Notes that a claim is given up."""
        self._end(seat, "it was released")

    def _lose(self, seat: Seat, why: str) -> None:
        """Notes that a claim is not in the file any more. One that nobody knows to be granted enters the queue again."""
        if seat.told:
            self._end(seat, "its ttl has passed" if self._claims.now() >= seat.until else why)
        else:
            seat.epoch = seat.token = 0
            seat.woken.set()

    def _end(self, seat: Seat, why: str) -> None:
        lock, id = seat.request.lock, seat.request.id
        seats = self._seats.get(lock, {})
        if seats.pop(id, None) is not None and not seats:
            del self._seats[lock]
        seat.gone = seat.gone or why
        seat.woken.set()
        seat.ended.set()

    async def wait(self, seat: Seat, seconds: float) -> None:
        """Waits until a claim may have been granted."""
        self._waiting += 1
        self._set_pace()
        try:
            await wait_for_event(seat.woken, seconds)
        finally:
            self._waiting -= 1
            self._set_pace()

    async def ended(self, seat: Seat) -> str:
        """Waits until a claim is gone; returns why."""
        self._holding += 1
        self._set_pace()
        try:
            await seat.ended.wait()
        finally:
            self._holding -= 1
            self._set_pace()
        return seat.gone

    # Observing

    async def holder(self, name: str) -> tuple[Holder | None, int]:
        """Returns who has a lock with one seat, and the epoch of the file."""

        def read(connection: Connection) -> tuple[Holder | None, int]:
            with _snapshot(connection):
                return self._claims.holder(connection, name)

        return await self.database.read(partial(self._guarded, read))

    @contextlib.contextmanager
    def observed(self, name: str) -> Generator[asyncio.Event]:
        """Gives an event that is set when a lock with one seat may have another holder."""
        lock, event = Lock(name, 1), asyncio.Event()
        self._observers.setdefault(lock, set()).add(event)
        self._waiting += 1
        self._set_pace()
        try:
            yield event
        finally:
            observers = self._observers[lock]
            observers.discard(event)
            if not observers:
                del self._observers[lock]
            self._waiting -= 1
            self._set_pace()

    # Looking at the file

    def _set_pace(self) -> None:
        if self._waiting:
            pace = LOOK
        elif self._holding:
            pace = HELD
        else:
            pace = 0.0
        if pace != HELD and self._slowly is not None:
            self._slowly.cancel()
            self._slowly = None
        if pace == self._pace:
            return
        if pace == HELD and not self._pace:  # Most locks are not held for as long as this.
            if self._slowly is None:
                self._slowly = asyncio.get_running_loop().call_later(HELD, self._look_slowly)
            return
        self._pace = pace
        if pace:
            self.database.poll_soon(pace)
        else:
            self.database.stop_polling()

    def _look_slowly(self) -> None:
        self._slowly = None
        self._pace = HELD
        self.database.poll_soon(HELD)

    def _poll(self, connection: Connection) -> View | None:
        """Looks what changed since the last time; runs in the reader's thread."""
        (state,) = connection.execute("PRAGMA data_version").fetchone()
        known = self._seen is not None and self._seen[0] is connection
        if known and self._seen == (connection, state) and self._claims.now() < self._next:
            return None
        with _snapshot(connection):
            view = self._claims.look(connection, self._change if known else None, self._wanted)
        self._seen, self._change, self._next = (connection, state), view.history.change, view.next
        return view if view.sweep or view.holders else None

    def _wanted(self) -> list[Lock]:
        return list({*list(self._seats), *list(self._observers)})  # Lists first: the loop changes them meanwhile.

    def _found(self, view: View) -> None:
        if self._closed:
            return
        for id, lock in view.ended:
            seat = self._seats.get(lock, {}).get(id)
            if seat is not None:
                self._lose(seat, "its ttl has passed")
            self._ring(lock)
        if not view.outdated:
            for lock, holders in view.holders.items():
                self._compare(lock, holders, view.history)
                self._ring(lock)
            self._seen_committed(view.history)
        if view.sweep or self._free:
            self._sweep_soon()

    def _compare(self, lock: Lock, holders: Mapping[str, int], history: History) -> None:
        """Tells the claims of a lock that were granted, and those that were deleted."""
        seats = self._seats.get(lock, {})
        for id, token in holders.items():
            granted = seats.get(id)
            if granted is not None and not granted.token:
                if granted.epoch == history.epoch:  # Else it is not known yet that it is there.
                    granted.token, granted.change = token, history.change
                granted.woken.set()
        waits = False
        for seat in list(seats.values()):
            if not seat.token:
                waits = waits or seat.epoch > 0
            elif seat.request.id not in holders and (seat.epoch, seat.change) <= (history.epoch, history.change):
                self._lose(seat, "it was taken away: somebody has deleted it")
        if waits and len(holders) < lock.seats:
            self._free.add(lock)

    def _seen_committed(self, history: History) -> None:
        """Notes what was committed, and tells the claims that are in a file of before."""
        last, epoch = self._claims.last, history.epoch
        self._claims.last = max(last, history)
        if epoch <= last.epoch:
            return
        for seats in list(self._seats.values()):
            for seat in list(seats.values()):
                if 0 < seat.epoch < epoch:
                    self._lose(seat, "the file of locks was replaced")
        for lock in list(self._observers):
            self._ring(lock)

    def _ring(self, lock: Lock) -> None:
        for event in self._observers.get(lock, ()):
            event.set()

    def _sweep_soon(self) -> None:
        if not self._sweeping and not self._closed:
            self._sweeping = True
            self._tasks.start(self._sweep(), name="micro-rt sweeps locks")

    async def _sweep(self) -> None:
        """Removes what has ended, and grants what is free; tries it until the file can be written."""
        backoff = Backoff(*_TROUBLED)
        try:
            while True:
                locks, self._free = self._free, set()
                try:
                    await self._write(lambda it: self._claims.sweep(it, locks))  # noqa: B023 - it is awaited here
                except Error:
                    if self._closed:
                        return
                    self._free |= locks
                    await asyncio.sleep(backoff.failed())
                else:
                    backoff.succeeded()
                    if not self._free:
                        return
        finally:
            self._sweeping = False

    # Writing

    async def _write(self, operation: Callable[[Connection], T]) -> T:
        try:
            result = await self.database.write(partial(self._guarded, operation))
        except Error as error:
            if not self._closed and not isinstance(error, ResourceExhausted):  # The disk tells of that itself.
                self._trouble = error.message
                if not isinstance(error, FailedPrecondition):
                    self._sweep_soon()  # So that it is known when it works again.
            raise
        self._trouble = ""
        if isinstance(result, History | Standing):
            self._seen_committed(result if isinstance(result, History) else result.history)
        return result

    def _guarded(self, operation: Callable[[Connection], T], connection: Connection) -> T:
        return guarded(self.database.path, "locks", _LARGEST, operation, connection)


@contextlib.contextmanager
def _snapshot(connection: Connection) -> Generator[None]:
    """Has all that is read be of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        roll_back(connection)
