"""Store ``memory:``: for one process and its event loop; for tests, and for what may be lost."""

from __future__ import annotations

import asyncio
import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from micro_rt.errors import Error, FailedPrecondition
from micro_rt.fence import Fence
from micro_rt.kit.clock import Clock, boot_clock, wall_time
from micro_rt.kit.ids import new_id
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.store.base import (
    KEEP,
    Capabilities,
    ChangeKind,
    Changes,
    Cursor,
    Entry,
    Last,
    Record,
    Scan,
    StoreEngine,
    VersionConflict,
    Wakeups,
    Write,
)
from micro_rt.store.fences import kept, refused

__all__ = ["MemoryStore"]

_MAX_VALUE = 64 << 20
_TOMBSTONES = 10_000
"""Deletions and expiries that are kept for watches."""
_OVERWRITTEN = 1000
"""Times of expiry that are kept beyond two for each record, although their records were overwritten."""


class MemoryStore(StoreEngine):
    """Keeps records in the memory of this process, as long as any store with this address is open.

    Args:
        address: ``"memory:"``, or ``"memory:NAME"`` for a place of its own; each event loop has its own of either.
        clock: what expiry is measured with.
    """

    def __init__(self, address: str = "memory:", *, clock: Clock | None = None) -> None:
        name, _, query = address.removeprefix("memory:").partition("?")
        if not address.startswith("memory:") or name.startswith("//") or query or "#" in address:
            raise ValueError("the address is not memory: or memory:NAME, which take no parameters")
        self._address = address
        used = clock or boot_clock()
        self._shared = Shared(("store", address), lambda: _Records(used))
        self._records: _Records | None = None
        self._wakeups = Wakeups()

    @property
    def capabilities(self) -> Capabilities:
        """Values of 64 MiB; a watch sees a write at once; no other process sees it."""
        return Capabilities(max_value=_MAX_VALUE, watch_delay=0.01, watch_interval=60.0, shared=False, fences=True)

    @property
    def wakeups(self) -> Wakeups:
        """What wakes watches of this store."""
        return self._wakeups

    @property
    def name(self) -> str:
        """The address."""
        return f"store {without_secrets(self._address)}"

    async def open(self) -> None:
        """Joins the other stores with this address in this event loop."""
        self._records = await self._shared.acquire()
        self._wakeups = Wakeups()
        self._records.stores.append(self._wakeups)

    async def close(self) -> None:
        """Ends every watch; the last one to leave drops the records."""
        if self._records is not None:
            self._records.stores.remove(self._wakeups)
            self._wakeups.close()
            self._records = None
            await self._shared.release()

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Returns the records of keys."""
        records = self._open_records()
        return [records.record(key) for key in keys]

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions."""
        records = self._open_records()
        outcomes = [records.apply(write) for write in writes]
        records.ring()
        return outcomes

    async def last(self, key: str) -> Last | None:
        """Returns the last write of a key."""
        item = self._open_records().items.get(key)
        return None if item is None else Last(item.version, item.id)

    async def scan(self, prefix: str, after: str, *, suffix: str, limit: int, max_bytes: int, values: bool) -> Scan:
        """Returns records in the order of their keys."""
        return self._open_records().scan(prefix, after, suffix, limit, max_bytes, values=values)

    async def end(self) -> Cursor:
        """Returns the place behind the last change."""
        return self._open_records().end

    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since."""
        return self._open_records().changes(prefix, cursor, limit, max_bytes)

    def _open_records(self) -> _Records:
        if self._records is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._records


class _Item(NamedTuple):
    """A record, or what is left of one."""

    kind: ChangeKind
    value: bytes
    version: int
    metadata: Mapping[str, str]
    expires: float | None
    """On the boot clock."""
    id: str
    fence: Fence | None
    """The newest that it has seen."""


class _Records:
    """The records of one address in one event loop.

    Both orders, that of keys and that of versions, are sorted lists, so that a page needs no sorting.
    """

    def __init__(self, clock: Clock) -> None:
        self.items: dict[str, _Item] = {}
        self.stores: list[Wakeups] = []
        self._clock = clock
        self._epoch = new_id()
        self._version = 0
        self._forgotten = 0
        """The version up to which deletions are not known any more."""
        self._keys: list[tuple[bytes, str]] = []
        """Of all items, in the order of their bytes."""
        self._versions: list[tuple[int, str]] = []
        """Of all items, in their order."""
        self._tombstones: list[tuple[int, str]] = []
        """Of deletions and expiries, in their order; some of them were written again since."""
        self._expiries: list[tuple[float, int, str]] = []
        """A heap of the times at which versions of records expire; some of them were overwritten since."""
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Does nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Stops waiting for records to expire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def end(self) -> Cursor:
        """The place behind the last change."""
        return Cursor(self._epoch, (self._version,))

    def ring(self) -> None:
        """Wakes the watches of all stores."""
        for wakeups in self.stores:
            wakeups.ring()

    def record(self, key: str) -> Record | None:
        """Returns a record; None if it does not exist or has expired."""
        item = self.items.get(key)
        return None if item is None or self._kind_of(item) is not ChangeKind.PUT else self._record(key, item)

    def apply(self, write: Write) -> int | Error:
        """Makes a write; returns its version, or why it is refused."""
        item = self.items.get(write.key)
        if item is not None and item.id == write.id:
            return item.version
        known = item.fence if item is not None else None
        if (stale := refused(write, known)) is not None:
            return stale
        live = item if item is not None and self._kind_of(item) is ChangeKind.PUT else None
        if write.if_version is not None and write.if_version != (live.version if live else 0):
            return VersionConflict.of_key(write.key, write.if_version, live.version if live else 0)
        if write.value is None:
            return 0 if live is None else self._put(write.key, ChangeKind.DELETED, write.id, kept(write, known))
        metadata = write.metadata
        if metadata is KEEP:
            metadata = live.metadata if live else dict[str, str]()
        if write.ttl is KEEP:
            expires = live.expires if live else None
        else:
            expires = None if write.ttl is None else self._clock.now() + write.ttl
        return self._put(write.key, ChangeKind.PUT, write.id, kept(write, known), write.value, metadata, expires)

    def scan(self, prefix: str, after: str, suffix: str, limit: int, max_bytes: int, *, values: bool) -> Scan:
        """Returns records in the order of their keys."""
        first = prefix.encode()
        start = max(
            bisect_left(self._keys, (first,)), bisect_right(self._keys, (after.encode(), after)) if after else 0
        )
        found: list[Entry] = []
        size = 0
        for index in range(start, len(self._keys)):
            data, key = self._keys[index]
            if not data.startswith(first):
                break
            item = self.items[key]
            if not key.endswith(suffix) or self._kind_of(item) is not ChangeKind.PUT:
                continue
            if len(found) >= limit or size >= max_bytes:
                return Scan(found, more=True)
            record = self._record(key, item) if values else self._record(key, item._replace(value=b""))
            size += len(record.value)
            found.append(Entry(ChangeKind.PUT, record, (item.version,)))
        return Scan(found, more=False)

    def changes(self, prefix: str, cursor: Cursor, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since; None if that is not known any more."""
        (since,) = cursor.position if len(cursor.position) == 1 else (0,)
        if cursor.epoch != self._epoch or not self._forgotten <= since <= self._version:
            return None
        found: list[Entry] = []
        size = 0
        for index in range(bisect_right(self._versions, (since, "\U0010ffff")), len(self._versions)):
            version, key = self._versions[index]
            if not key.startswith(prefix):
                continue
            if len(found) >= limit or size >= max_bytes:
                return Changes(found, Cursor(self._epoch, found[-1].position), more=True)
            item = self.items[key]
            kind = self._kind_of(item)
            if kind is ChangeKind.PUT:
                entry = Entry(ChangeKind.PUT, self._record(key, item), (version,))
            elif kind is ChangeKind.DELETED:
                entry = Entry(ChangeKind.DELETED, Record(key, b"", version), (version,))
            else:
                entry = Entry(ChangeKind.EXPIRED, Record(key, b"", version), (version,))
            size += len(entry.record.value)
            found.append(entry)
        return Changes(found, self.end, more=False)

    def _kind_of(self, item: _Item) -> ChangeKind:
        expired = item.expires is not None and item.expires <= self._clock.now()
        return ChangeKind.EXPIRED if expired else item.kind

    def _record(self, key: str, item: _Item) -> Record:
        expires = None
        if item.expires is not None:
            expires = datetime.fromtimestamp(wall_time() + item.expires - self._clock.now(), UTC)
        return Record(key, item.value, item.version, dict(item.metadata), expires)

    def _put(
        self,
        key: str,
        kind: ChangeKind,
        id: str,
        fence: Fence | None,
        value: bytes = b"",
        metadata: Mapping[str, str] | None = None,
        expires: float | None = None,
    ) -> int:
        before = self.items.get(key)
        if before is None:
            insort(self._keys, (key.encode(), key))
        else:
            del self._versions[bisect_left(self._versions, (before.version, key))]
        self._version += 1
        self.items[key] = _Item(kind, value, self._version, metadata or {}, expires, id, fence)
        self._versions.append((self._version, key))
        if kind is not ChangeKind.PUT:
            self._tombstones.append((self._version, key))
            self._forget()
        if expires is not None:
            self._expires_at(expires, self._version, key)
        return self._version

    def _forget(self) -> None:
        """Drops the oldest deletions, once there are many."""
        if len(self._tombstones) <= 2 * _TOMBSTONES:
            return
        old, self._tombstones = self._tombstones[:_TOMBSTONES], self._tombstones[_TOMBSTONES:]
        gone = {key: version for version, key in old if self.items[key].version == version}
        self._forgotten = max(gone.values(), default=self._forgotten)
        for key in gone:
            del self.items[key]
        self._keys = [each for each in self._keys if each[1] not in gone]
        self._versions = [each for each in self._versions if each[1] not in gone]

    def _expires_at(self, at: float, version: int, key: str) -> None:
        """Notes when a version expires; what was overwritten goes, once that is most of it."""
        heapq.heappush(self._expiries, (at, version, key))
        if len(self._expiries) > 2 * len(self.items) + _OVERWRITTEN:
            self._expiries = [
                (item.expires, item.version, key) for key, item in self.items.items() if item.expires is not None
            ]
            heapq.heapify(self._expiries)
        self._wait_for_expiry()

    def _wait_for_expiry(self) -> None:
        """Has what expires next replaced by a mark, which watches deliver."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._expiries:
            wait = max(0.0, self._expiries[0][0] - self._clock.now())
            # The boot clock goes on while the machine is suspended, the loop's does not: so it looks once a minute.
            self._timer = asyncio.get_running_loop().call_later(min(wait, 60.0), self._expire)

    def _expire(self) -> None:
        self._timer = None
        expired = False
        while self._expiries and self._expiries[0][0] <= self._clock.now():
            _, version, key = heapq.heappop(self._expiries)
            item = self.items.get(key)
            if item is not None and item.version == version and item.kind is ChangeKind.PUT:
                self._put(key, ChangeKind.EXPIRED, "", item.fence)
                expired = True
        self._wait_for_expiry()
        if expired:
            self.ring()
