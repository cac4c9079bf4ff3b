"""What users hold of a store: it checks what they pass, bounds the time of each call, tries again where that is safe, and pages.

Rules:

- What is wrong with an argument is said before anything is sent: ``TypeError`` for a wrong type, ``InvalidArgument`` for a value.
- Each call ends within its timeout, and no later than the call or event that the current task handles. What cannot be reached is
  tried again until then, with back-off.
- ``calls`` says which calls are tried again.
- Lists ask the engine for some records at a time. Between two such pages, nothing is held open anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import overload

from micro_rt.errors import Error, InvalidArgument, NotFound
from micro_rt.fence import Fence, Fenced
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import loop_time, wall_time
from micro_rt.kit.ids import NumberedIds
from micro_rt.store.base import KEEP, Capabilities, Keep, NotAllWritten, Record, StoreEngine, VersionConflict, Write
from micro_rt.store.bounds import bounded, deadline_in
from micro_rt.store.calls import check_fences, check_write, chunks, outcome_after, persistently, settled
from micro_rt.store.checks import (
    check_key,
    check_text,
    checked_fence,
    checked_metadata,
    checked_ttl,
    checked_value,
    checked_version,
    not_text,
)
from micro_rt.store.cursors import page_cursor, read_page_cursor
from micro_rt.store.watch import StoreWatch

__all__ = ["Page", "Store"]

Metadata = Mapping[str, str] | Keep | None
Ttl = float | Keep | None

_AT_ONCE = 512
"""Records that are read at once, and keys that are asked for."""
_BYTES = 4 << 20
"""Bytes of values that are read at once, and one value more."""
_PAGE = 1000
"""Records of a page at most."""
_PAGE_BYTES = 16 << 20
"""Bytes of the values of a page, and one value more."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of a list, and where the next page begins."""

    records: tuple[Record, ...]
    cursor: str
    """What to pass for the next page; empty if this is the last one."""


class Store:
    """Records with a version, metadata and an expiry: ``service.store``.

        await service.store.write("session/42", b"…", ttl=60)
        record = await service.store.read("session/42")
        await service.store.write("session/42", b"new", if_version=record.version)

    Each method takes ``timeout``: the seconds that it may take; else that of the store's address, 10 s by default. A call that a
    handler makes ends with the handler's own deadline at the latest. Beside what is said with each method, all of them raise
    ``DeadlineExceeded`` when time is up, ``Unavailable`` when the engine could not be reached in that time, and
    ``InvalidArgument`` for a key that cannot be one.

    Args:
        opened: opens the engine, and returns it; called as long as ``ready`` returns None.
        ready: returns the engine, or None if it is not open yet.
    """

    def __init__(
        self, opened: Callable[[], Awaitable[StoreEngine]], ready: Callable[[], StoreEngine | None] = lambda: None
    ) -> None:
        self._opened = opened
        self._ready = ready
        self._ids = NumberedIds()

    @classmethod
    @asynccontextmanager
    async def over(cls, engine: StoreEngine) -> AsyncGenerator[Store]:
        """Opens an engine, gives a store of it, and closes the engine afterwards; for programs without a service.

        Args:
            engine: unopened.
        """

        async def opened() -> StoreEngine:
            return engine

        await engine.open()
        try:
            yield cls(opened, lambda: engine)
        finally:
            await engine.close()

    async def capabilities(self) -> Capabilities:
        """Returns what the engine can do where engines differ."""
        engine, _ = await self._begin(None)
        return engine.capabilities

    # Reading

    async def read(self, key: str, *, timeout: float | None = None) -> Record:
        """Returns a record.

        Raises:
            NotFound: no record has this key, or it has expired.
        """
        check_key(key)
        engine, deadline = await self._begin(timeout)
        (record,) = await persistently(engine, partial(engine.get, (key,)), deadline)
        if record is None:
            raise NotFound(f"no record {key!r}", id="micro.no_record")
        return record

    async def read_many(self, keys: Iterable[str], *, timeout: float | None = None) -> dict[str, Record]:
        """Returns the records of several keys by key, without those that do not exist."""
        wanted = list(dict.fromkeys(check_key(key) for key in not_text(keys)))
        engine, deadline = await self._begin(timeout)
        found: dict[str, Record] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            records = await persistently(engine, partial(engine.get, some), deadline)
            found.update((record.key, record) for record in records if record is not None)
        return found

    async def list(
        self,
        prefix: str = "",
        *,
        suffix: str = "",
        after: str = "",
        values: bool = True,
        timeout: float | None = None,
    ) -> AsyncGenerator[Record]:
        """Yields records in the order of their keys, in constant memory; ``async for record in store.list("orders/")``.

        Records that are written meanwhile may be among them or not. Each key comes once.

        Args:
            prefix: of their keys.
            suffix: of their keys. All keys with the prefix are looked at, so this takes as long as listing them all.
            after: the key behind which it begins; empty for the first.
            values: whether to read values; otherwise they are empty.
            timeout: seconds that reading some of the records may take; the whole list may take longer.
        """
        check_text(prefix, "prefix")
        check_text(suffix, "suffix")
        check_text(after, "after")
        more = True
        while more:
            engine, deadline = await self._begin(timeout)
            found = await persistently(
                engine,
                partial(engine.scan, prefix, after, suffix=suffix, limit=_AT_ONCE, max_bytes=_BYTES, values=values),
                deadline,
            )
            for entry in found.entries:
                yield entry.record
            more = found.more and bool(found.entries)
            if more:
                after = found.entries[-1].record.key

    async def page(
        self,
        prefix: str = "",
        *,
        suffix: str = "",
        cursor: str = "",
        limit: int = 100,
        values: bool = True,
        timeout: float | None = None,
    ) -> Page:
        """Returns some records in the order of their keys, and the cursor of the next page.

        Args:
            prefix: of their keys.
            suffix: of their keys; see ``list``.
            cursor: of the page before, for the same prefix and suffix; empty for the first page.
            limit: how many records at most, 1 to 1,000. A page ends early once its values have 16 MiB together.
            values: whether to read values; otherwise they are empty.
            timeout: seconds that it may take.

        Raises:
            InvalidArgument: the cursor is that of another list or none, or the limit is out of range.
        """
        check_text(prefix, "prefix")
        check_text(suffix, "suffix")
        if type(limit) is not int:
            raise TypeError(f"limit is an int, not {type(limit).__name__}")
        if not 1 <= limit <= _PAGE:
            raise InvalidArgument(f"limit={limit}: a page has 1 to {_PAGE} records")
        after = read_page_cursor(cursor, prefix, suffix) if cursor else ""
        engine, deadline = await self._begin(timeout)
        found = await persistently(
            engine,
            partial(engine.scan, prefix, after, suffix=suffix, limit=limit, max_bytes=_PAGE_BYTES, values=values),
            deadline,
        )
        records = tuple(entry.record for entry in found.entries)
        return Page(records, page_cursor(prefix, suffix, records[-1].key) if found.more and records else "")

    def watch(self, prefix: str = "", *, since: str | None = None, initial: bool = False) -> StoreWatch:
        """Watches the records under a prefix: ``async with store.watch("orders/") as changes: async for change in changes: …``.

        What is committed after the block was entered is delivered: of each key at least the latest version, deletion or expiry.
        A change may be delivered twice. A server that cannot be reached does not end the watch.

        Args:
            prefix: of the keys.
            since: the ``position`` of a change, to continue behind it; it begins now if not given. If it is empty, or the engine does
                not know any more what changed since then, RESYNC comes first, then all records, then SYNCED.
            initial: whether all records are delivered first, then SYNCED.

        Raises:
            InvalidArgument: ``since`` is not the position of a change.
            ValueError: ``since`` and ``initial`` are both given.
        """
        check_text(prefix, "prefix")
        if since is not None and initial:
            raise ValueError("since= continues a watch and initial= begins one: pass one of them")
        return StoreWatch(self._opened, prefix, since, initial=initial)

    # Writing

    async def write(
        self,
        key: str,
        value: bytes | bytearray | memoryview,
        *,
        metadata: Metadata = None,
        ttl: Ttl = None,
        if_version: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int:
        """Writes a record, and returns its new version.

        Args:
            key: of the record: text of at most 1,024 bytes in UTF-8.
            value: as large as the engine takes; see ``capabilities``.
            metadata: names and values, at most 16 KiB together; ``KEEP`` leaves what the record has; none otherwise.
            ttl: seconds until it expires; ``KEEP`` leaves the record's expiry as it is; it does not expire otherwise.
            if_version: the version that the record must have; 0 if there must be no record.
            fence: of the lock under which it is written, or the lock itself; the record keeps it, and refuses older ones. Without
                it, the record keeps what it has, and refuses nothing.
            timeout: seconds that it may take.

        Raises:
            VersionConflict: the record does not have that version; ``current`` says which one it has. Nothing was written.
            Stale: the record has seen a newer fence, or is written under another lock. Nothing was written.
            LockLost: the lock is not held any more. Nothing was sent.
            InvalidArgument: the value is too large, or the key, the metadata, the time, the version or the fence cannot be.
            Unimplemented: the engine keeps no fences. Nothing was sent.
        """
        write = self._write(key, value, metadata, ttl, if_version, checked_fence(fence))
        engine, deadline = await self._begin(timeout)
        return await settled(engine, write, deadline)

    async def write_many(
        self,
        values: Mapping[str, bytes | bytearray | memoryview],
        *,
        metadata: Metadata = None,
        ttl: Ttl = None,
        if_versions: Mapping[str, int] | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> dict[str, int]:
        """Writes several records, each for itself, in few commits; returns their new versions.

        Args:
            values: by key.
            metadata: of each of them.
            ttl: seconds until they expire.
            if_versions: by key, the versions that some of the records must have; 0 if there must be no record.
            fence: of the lock under which they are written, or the lock itself; see ``write``.
            timeout: seconds that it may take.

        Raises:
            NotAllWritten: some were written and some were not, or none; ``outcomes`` has the version or the error of each.
            LockLost: the lock is not held any more. Nothing was sent.
            InvalidArgument: a key, a value or another argument cannot be. Nothing was written.
            Unimplemented: the engine keeps no fences. Nothing was sent.
        """
        versions = dict(if_versions or {})
        if unknown := [key for key in versions if key not in values]:
            raise InvalidArgument(f"if_versions has {unknown[0]!r}, which is not among the values")
        shown = checked_fence(fence)
        writes = [self._write(key, value, metadata, ttl, versions.get(key), shown) for key, value in values.items()]
        engine, deadline = await self._begin(timeout)
        for write in writes:
            check_write(engine, write)
        outcomes: dict[str, int | Error] = {}
        for some in chunks(writes):
            try:
                made: Sequence[int | Error] = await bounded(engine, engine.apply(some), deadline)
            except Error as error:
                made = [await outcome_after(engine, write, deadline, error) for write in some]
            outcomes.update(zip((write.key for write in some), made, strict=True))
        written = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, int)}
        if len(written) < len(outcomes):
            raise NotAllWritten.of_outcomes(outcomes)
        return written

    async def delete(
        self,
        key: str,
        *,
        if_version: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Deletes a record; returns whether there was one.

        Args:
            key: of the record.
            if_version: the version that it must have.
            fence: of the lock under which it is deleted, or the lock itself; see ``write``. What is left of the record keeps it for
                as long as watches can learn of the deletion; a record that is made after that starts without one.
            timeout: seconds that it may take.

        Raises:
            VersionConflict: the record does not have that version, or does not exist. Nothing was deleted.
            Stale: the record has seen a newer fence, or is written under another lock. Nothing was deleted.
            LockLost: the lock is not held any more. Nothing was sent.
            Unimplemented: the engine keeps no fences. Nothing was sent.
        """
        check_key(key)
        if if_version is not None and not checked_version(if_version):
            raise InvalidArgument("if_version=0 says that there must be no record, and then there is nothing to delete")
        write = Write(key, None, {}, None, if_version, self._ids.take(1)[0], checked_fence(fence))
        engine, deadline = await self._begin(timeout)
        return await settled(engine, write, deadline) > 0

    @overload
    async def update(
        self,
        key: str,
        change: Callable[[Record | None], bytes],
        *,
        metadata: Metadata = KEEP,
        ttl: Ttl = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> Record: ...
    @overload
    async def update(
        self,
        key: str,
        change: Callable[[Record | None], bytes | None],
        *,
        metadata: Metadata = KEEP,
        ttl: Ttl = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> Record | None: ...
    async def update(
        self,
        key: str,
        change: Callable[[Record | None], bytes | None],
        *,
        metadata: Metadata = KEEP,
        ttl: Ttl = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> Record | None:
        """Reads a record, changes it, and writes it unless somebody else has written it meanwhile; then it starts over.

        Args:
            key: of the record.
            change: takes the record, or None if it does not exist, and returns the new value, or None to leave all as it is. It may be
                called several times, and must have no other effects.
            metadata: of the new record; what it has already, by default.
            ttl: seconds until it expires; its expiry stays as it is, by default.
            fence: of the lock under which it is written, or the lock itself, which is asked once; see ``write``.
            attempts: how many times it is tried at most.
            timeout: seconds that all attempts may take together.

        Returns:
            The record as this call wrote it. Where ``change`` returned None: the record as it is, or None if it does not exist.

        Raises:
            VersionConflict: others wrote the record before each of the attempts, or until the time was over.
            Stale: the record has seen a newer fence, or is written under another lock. Nothing was written.
            LockLost: the lock is not held any more. Nothing was sent.
            Unimplemented: the engine keeps no fences. Nothing was sent.
            Unavailable: the answer to a write was lost, and it is unknown whether it was made.
        """
        check_key(key)
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts!r}")
        shown = checked_fence(fence)
        engine, deadline = await self._begin(timeout)
        check_fences(engine, shown)
        backoff = Backoff(0.005, 0.2)
        while True:
            (record,) = await persistently(engine, partial(engine.get, (key,)), deadline)
            value = change(record)
            if value is None:
                return record
            write = self._write(key, value, metadata, ttl, record.version if record else 0, shown)
            try:
                return _written(write, await settled(engine, write, deadline), record)
            except VersionConflict:
                pause = backoff.failed()
                if backoff.failures >= attempts or loop_time() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)

    async def _begin(self, timeout: float | None) -> tuple[StoreEngine, float]:
        """Returns the engine, open, and when the call must be over."""
        if (engine := self._ready()) is not None:
            return engine, deadline_in(timeout, engine.timeout)
        begun = loop_time()
        try:
            engine = await persistently(None, self._opened, deadline_in(timeout))
        except Error as error:
            error.may_have_run = False  # Nothing was asked of the engine yet.
            raise
        return engine, deadline_in(timeout, engine.timeout, begun)

    def _write(
        self, key: str, value: object, metadata: object, ttl: object, if_version: int | None, fence: Fence | None
    ) -> Write:
        version = None if if_version is None else checked_version(if_version)
        made = checked_value(value), checked_metadata(metadata), checked_ttl(ttl), version
        return Write(check_key(key), *made, self._ids.take(1)[0], fence)


def _written(write: Write, version: int, before: Record | None) -> Record:
    """Returns the record that a write has made of the one before it."""
    kept: Mapping[str, str] = before.metadata if before else {}
    expires = None
    if isinstance(write.ttl, Keep):
        expires = before.expires if before else None
    elif write.ttl is not None:
        expires = datetime.fromtimestamp(wall_time() + write.ttl, UTC)
    return Record(
        write.key, write.value or b"", version, kept if isinstance(write.metadata, Keep) else write.metadata, expires
    )
