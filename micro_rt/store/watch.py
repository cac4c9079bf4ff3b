"""One watch of a store, whatever its engine.

The rules that it keeps, and why:

- It has a place among the changes, and asks the engine for what is behind it. So what the consumer has not taken yet costs no memory,
  however much changes: a record that changed several times is delivered once.
- Its place is taken before the first record is read, so that nothing is missed between the two. A record that changes while all
  records are read is delivered by the reading, and not again at its change.
- A place that the engine does not know any more makes it start over: RESYNC, then all records, then SYNCED.
- An engine that cannot be reached does not end it. It logs that once, and tries again until the engine answers.
- It has one consumer. A read that is cancelled loses nothing: the next one asks from the same place.
- It ends with its block, or when the store is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from micro_rt.errors import DeadlineExceeded, Error, Unavailable
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import loop_time
from micro_rt.logs import logger
from micro_rt.store.base import Change, ChangeKind, Changes, Cursor, Entry, Scan, StoreEngine, Wakeups
from micro_rt.store.bounds import bounded, deadline_in
from micro_rt.store.calls import persistently
from micro_rt.store.cursors import position_of, read_position

__all__ = ["StoreWatch"]

_AT_ONCE = 256
"""Records that are asked for at once."""
_BYTES = 1 << 20
"""Bytes of values that are asked for at once, and one value more."""
_BACKOFF = (0.05, 2.0)
"""Seconds until an engine that cannot be reached is asked again: at first, and at most."""

_log = logger("micro_rt.store")


class StoreWatch(AsyncIterator[Change]):
    """The changes of the records under a prefix: ``async with store.watch("orders/") as changes: async for change in changes: …``.

    Args:
        opened: returns the engine, open.
        prefix: of the keys.
        since: the ``position`` of the last change that is known; empty to start over; None to begin now.
        initial: whether to deliver all records first.
    """

    def __init__(
        self, opened: Callable[[], Awaitable[StoreEngine]], prefix: str, since: str | None, *, initial: bool
    ) -> None:
        self._opened = opened
        self._prefix = prefix
        self._cursor = read_position(since) if since else Cursor("", ())
        """Empty until the watch begins."""
        self._starts_over = since == ""
        self._reading = initial
        self._after = ""
        """The key up to which all records were read."""
        self._ahead: dict[str, int] = {}
        """The versions of records that were delivered before the watch came to their changes."""
        self._buffer: deque[Change] = deque()
        self._engine: StoreEngine | None = None
        self._wakeups = Wakeups()
        """Those of the engine as it was opened when the watch began: an engine that is opened again has others."""
        self._backoff = Backoff(*_BACKOFF)
        self._busy = False
        self._ended = False

    async def __aenter__(self) -> Self:
        if self._engine is not None or self._ended:
            raise RuntimeError("a watch is entered once: open another")
        begun = loop_time()
        engine = await persistently(None, self._opened, deadline_in(None))
        wakeups = engine.wakeups
        if not self._cursor.position:
            self._cursor = await persistently(engine, engine.end, deadline_in(None, engine.timeout, begun))
            if self._starts_over:
                self._start_over()
        self._engine, self._wakeups = engine, wakeups
        wakeups.join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        if self._engine is not None:
            self._engine = None
            self._wakeups.leave()
            if self._busy:
                self._wakeups.ring()  # So that whoever still waits in it leaves.

    async def __anext__(self) -> Change:
        if self._busy:
            raise RuntimeError("the watch has a consumer already; open another")
        if self._engine is None and not self._ended:
            raise RuntimeError("a watch is used inside `async with store.watch(…) as changes`")
        self._busy = True
        try:
            while not self._buffer:
                engine = self._engine
                if engine is None or self._wakeups.closed:
                    raise StopAsyncIteration
                await self._fill(engine)
            return self._buffer.popleft()
        finally:
            self._busy = False

    async def _fill(self, engine: StoreEngine) -> None:
        wakeups = self._wakeups
        seen = wakeups.count
        try:
            step = self._read_some(engine) if self._reading else self._follow(engine)
            waits = await bounded(engine, step, loop_time() + engine.timeout)
        except Error as error:
            if wakeups.closed or self._engine is None:
                return
            if not isinstance(error, Unavailable | DeadlineExceeded):
                raise
            if not self._backoff.failures:
                _log.warning("cannot watch %s, and will try again: %s", engine.name, error)
            await wakeups.wait(wakeups.count, self._backoff.failed())
            return
        if self._backoff.succeeded():
            _log.info("watching %s works again", engine.name)
        if waits:
            await wakeups.wait(seen, engine.capabilities.watch_interval)

    def _start_over(self) -> None:
        """Delivers all records again; the place behind which their changes are is taken already."""
        self._ahead.clear()
        self._reading = True
        self._buffer.append(Change(ChangeKind.RESYNC))

    async def _read_some(self, engine: StoreEngine) -> bool:
        """Reads some of all records; returns whether there is nothing to do for now."""
        found: Scan = await engine.scan(
            self._prefix, self._after, suffix="", limit=_AT_ONCE, max_bytes=_BYTES, values=True
        )
        for entry in found.entries:
            if entry.position > self._cursor.position:
                self._ahead[entry.record.key] = entry.record.version
            self._buffer.append(_change(entry, ""))
        if found.entries:
            self._after = found.entries[-1].record.key
        if not found.more:
            self._reading = False
            self._after = ""
            self._buffer.append(Change(ChangeKind.SYNCED, position=position_of(self._cursor)))
        return False

    async def _follow(self, engine: StoreEngine) -> bool:
        """Reads what has changed; returns whether there is nothing to do for now."""
        found: Changes | None = await engine.changes(self._prefix, self._cursor, limit=_AT_ONCE, max_bytes=_BYTES)
        if found is None:
            self._cursor = await engine.end()
            self._start_over()
            return False
        for entry in found.entries:
            ahead = self._ahead.pop(entry.record.key, None)
            if entry.kind is not ChangeKind.PUT or ahead != entry.record.version:
                self._buffer.append(_change(entry, position_of(Cursor(found.cursor.epoch, entry.position))))
        self._cursor = found.cursor
        return not found.more and not found.entries


def _change(entry: Entry, position: str) -> Change:
    record = entry.record
    kept = record if entry.kind is ChangeKind.PUT else None
    return Change(entry.kind, record.key, kept, record.version, position)
