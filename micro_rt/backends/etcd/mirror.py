"""What is under a prefix in etcd, kept up to date: read once, then followed by its changes.

The rules that mirrors keep, and why:

- All mirrors of a client share one stream to one member, which carries a watch for each. A stream for each name would
  cost etcd and this process a connection's worth of state for each.
- A watch starts at the revision that the mirror knows, so no change is missed between reading and watching, or while a
  stream is lost. A change that the mirror knows already is ignored, by its revision.
- Reads are linearizable. An answer that is older than what was known when the read began comes from another store; one
  that is older than what came meanwhile is late, and is ignored.
- A mirror that has missed changes that the store no longer knows (they were compacted) is read again, as a whole.
- After a stream was lost, each mirror looks at one key at an old revision. If that is not what it knew, the store is
  another one (restored, or replaced), and the mirror is read again: revisions of two stores say nothing about each
  other.
- A mirror that is being read again is not watched meanwhile. Its watch begins at the revision of that read, and a read
  that spans the loss of a stream does not count.
- A stream that is silent for ``QUIET`` seconds is asked for a sign. A member that does not answer is left for another:
  TCP alone would notice a dead machine only after minutes.
- A lost stream is made again with back-off, whatever the error was: a client that stops watching goes on calling nodes
  that are gone. A loss is logged once, and its end once; ``problem`` says why meanwhile, and mirrors keep what they
  know.
- A token that has expired is replaced at once, without back-off, but only once in a row: a wrong password must not
  hammer the cluster.
- At most ``READERS`` mirrors are read at a time when a stream comes back, so that a thousand names do not arrive at
  once.
- An item is decoded once: a key whose revision and lease are as before keeps its item.
- The watches of mirrors begin in the order in which the mirrors were added.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from micro_rt.backends.etcd.client import EtcdClient, is_stale, prefix_end
from micro_rt.backends.etcd.messages_pb2 import (
    Event,
    KeyValue,
    RangeRequest,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from micro_rt.context import CallInfo, detached
from micro_rt.errors import EndOfStream, Error, OutOfRange, Unavailable
from micro_rt.kit import backoff
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger

__all__ = ["Mirror", "Mirrors"]

T = TypeVar("T")

QUIET = 10.0
"""Seconds that the stream may be silent before the server is asked whether it is still there."""
BACKOFF = (0.1, 5.0)
"""Seconds between two tries to make the stream again: the first and the longest wait, of which a random part is taken."""
READERS = 8
"""How many mirrors are read at once when the stream is back."""

_log = logger("micro_rt.etcd")


class Mirror(Generic[T]):
    """The keys under a prefix, as last seen.

    Args:
        client: reads them.
        prefix: what the keys begin with.
        decode: makes an item of a key and its value.
        changed: called when items may be others than before.
        keys_only: whether reading it leaves out the values, which ``decode`` does not need.
        end: the first key after those that are meant, if they are not all that begin with the prefix.
    """

    def __init__(
        self,
        client: EtcdClient,
        prefix: bytes,
        decode: Callable[[KeyValue], T],
        changed: Callable[[], None],
        *,
        keys_only: bool = False,
        end: bytes = b"",
    ) -> None:
        self.prefix = prefix
        self.end = end or prefix_end(prefix)
        self.revision = 0
        """Up to which the store's changes are in it."""
        self._client = client
        self.changed = changed
        """Called when items may be others than before."""
        self._decode = decode
        self._keys_only = keys_only
        self._seen: dict[bytes, _Seen[T]] = {}

    @property
    def items(self) -> Iterable[T]:
        """What the keys say."""
        return [seen.item for seen in self._seen.values()]

    async def read(self, *, anew: bool = False) -> None:
        """Brings it up to date.

        Args:
            anew: whether what it knows is from a store that is another one now.
        """
        before = 0 if anew else self.revision
        reply = await self._client.range(RangeRequest(key=self.prefix, range_end=self.end, keys_only=self._keys_only))
        revision = reply.header.revision
        # Reads are linearizable: one that is older than what was known when it began comes from another store. One that is
        # older than what came meanwhile is late.
        if anew or revision >= self.revision or revision < before:
            self.know(reply.kvs, revision)

    def know(self, kvs: Iterable[KeyValue], revision: int) -> None:
        """Takes what somebody has read: all keys that it has, at a revision."""
        self._seen = {bytes(kv.key): self._look(kv) for kv in kvs}
        self.revision = revision

    def apply(self, events: Iterable[Event]) -> None:
        """Takes the changes of the store that it does not know yet."""
        base = self.revision
        for event in events:
            kv = event.kv
            if kv.mod_revision <= base:
                continue
            if event.type == Event.DELETE:
                self._seen.pop(kv.key, None)
            else:
                self._seen[kv.key] = self._look(kv)
            self.revision = kv.mod_revision
        if self.revision != base:
            self.changed()

    async def same_store(self, revision: int) -> bool:
        """Whether the store still is the one that it was read from, as far as a look at one key tells.

        Args:
            revision: up to which it knew the store when the stream was lost.
        """
        known = [(key, seen) for key, seen in self._seen.items() if seen.mod_revision <= revision]
        if not known:
            return False
        key, seen = max(known, key=lambda item: item[1].mod_revision)
        try:
            reply = await self._client.range(RangeRequest(key=key, revision=revision, keys_only=True))
        except OutOfRange:
            return False  # Compacted, or not there yet.
        return [(kv.mod_revision, kv.lease) for kv in reply.kvs] == [(seen.mod_revision, seen.lease)]

    def _look(self, kv: KeyValue) -> _Seen[T]:
        seen = self._seen.get(kv.key)
        if seen is not None and (seen.mod_revision, seen.lease) == (kv.mod_revision, kv.lease):
            return seen
        return _Seen(kv.mod_revision, kv.lease, self._decode(kv))


@dataclass(frozen=True, slots=True)
class _Seen(Generic[T]):
    mod_revision: int
    lease: int
    item: T


class Mirrors:
    """Keeps mirrors up to date, over one stream.

    A loss of the stream is logged once, and its end once.

    Args:
        client: of the cluster.
    """

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._mirrors: OrderedSet[Mirror[Any]] = OrderedSet()
        self._reading: OrderedSet[Mirror[Any]] = OrderedSet()
        self._checking: OrderedSet[Mirror[Any]] = OrderedSet()
        self._ids: dict[Mirror[Any], int] = {}
        self._by_id: dict[int, Mirror[Any]] = {}
        self._begun = deque[int]()
        self._last_id = 0
        self._streams = 0
        self._to_send: asyncio.Queue[WatchRequest] | None = None
        self._task: asyncio.Task[None] | None = None
        self._readers = TaskSet[None]()
        self._gate = asyncio.Semaphore(READERS)
        self._failures = 0
        self._expired = False
        self._renewed = False
        self._closed = False
        self._lost = ""
        self._unread: dict[Mirror[Any], str] = {}

    @property
    def problem(self) -> str:
        """What keeps mirrors from being up to date; empty if nothing does."""
        reason = self._lost or next(iter(self._unread.values()), "")
        return f"changes are not seen: {reason}" if reason else ""

    def add(self, mirror: Mirror[Any]) -> None:
        """Keeps a mirror up to date that has just been read; does nothing if it is kept so already."""
        if mirror in self._mirrors or self._closed:
            return
        self._mirrors.add(mirror)
        if self._task is None:
            with detached():
                self._task = asyncio.create_task(self._run(), name=f"watch {self._client.address}")
        else:
            self._begin(mirror)

    def remove(self, mirror: Mirror[Any]) -> None:
        """Lets a mirror go."""
        if mirror in self._mirrors:
            self._mirrors.remove(mirror)
            self._end(mirror)

    async def close(self) -> None:
        """Ends the stream."""
        self._closed = True
        self._mirrors.clear()
        tasks = [*self._readers, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        lost = False
        while True:
            try:
                await self._carry(lost)
            except Error as error:
                self._failed(self._client.explained(error).message)
            except Exception as error:
                # Whatever it is: who stops watching goes on calling nodes that are gone.
                self._failed(f"{type(error).__name__}: {error}")
            finally:
                self._to_send = None
                self._ids.clear()
                self._begun.clear()
                self._by_id.clear()
            lost = True
            expired, self._expired = self._expired, False
            if expired and not self._renewed:
                self._renewed = True
                continue  # With another token it works, most likely; if not, there is a wait before the next.
            await asyncio.sleep(backoff.delay(self._failures, 2 * BACKOFF[0], BACKOFF[1]))

    async def _carry(self, lost: bool) -> None:
        """Carries the watches until the stream is lost."""
        info = CallInfo()
        self._streams += 1
        self._to_send = to_send = asyncio.Queue[WatchRequest]()
        token, call = await self._client.watch(_requests(to_send), info)
        async with call:
            for mirror in self._mirrors:
                if mirror not in self._ids:  # else it was added while the call began
                    self._begin(mirror)
                if lost and mirror not in self._checking:
                    self._checking.add(mirror)
                    self._start(mirror, self._check(mirror, mirror.revision))
            if not self._mirrors:
                self._ask_for_a_sign()
            while True:
                try:
                    reply = await self._receive(call.receive, info)
                except EndOfStream:
                    raise Unavailable("the stream of the watches was ended") from None
                except Error as error:
                    if is_stale(error.message):
                        self._expire(token)
                    raise
                self._take(reply, token)
                self._worked()

    async def _receive(
        self, receive: Callable[[], Coroutine[Any, Any, WatchResponse]], info: CallInfo
    ) -> WatchResponse:
        try:
            async with asyncio.timeout(QUIET):
                return await receive()
        except TimeoutError:
            self._ask_for_a_sign()
        timeout = self._client.address.timeout
        try:
            async with asyncio.timeout(timeout):
                return await receive()
        except TimeoutError:
            self._client.drop(info.node)
            raise Unavailable(f"{info.peer} has not answered for {QUIET + timeout:g} s") from None

    def _ask_for_a_sign(self) -> None:
        if self._to_send is not None:
            self._to_send.put_nowait(WatchRequest(progress_request=WatchProgressRequest()))

    def _begin(self, mirror: Mirror[Any]) -> None:
        if self._to_send is None or mirror in self._reading:
            return  # It begins with the next stream, or when it was read.
        self._last_id += 1
        self._ids[mirror] = self._last_id
        self._by_id[self._last_id] = mirror
        self._begun.append(self._last_id)
        # From the revision that is known: while a watch waits for one to come, etcd gives no sign on the whole stream.
        create = WatchCreateRequest(
            key=mirror.prefix, range_end=mirror.end, start_revision=mirror.revision, watch_id=self._last_id
        )
        self._to_send.put_nowait(WatchRequest(create_request=create))

    def _end(self, mirror: Mirror[Any]) -> None:
        id = self._ids.pop(mirror, None)
        if id is not None and self._by_id.pop(id, None) is not None and self._to_send is not None:
            self._to_send.put_nowait(WatchRequest(cancel_request=WatchCancelRequest(watch_id=id)))

    def _take(self, reply: WatchResponse, token: str) -> None:
        id = reply.watch_id
        if reply.created:
            # One that is refused may come without its number; they are answered in the order in which they were asked for.
            if id < 0:
                id = self._begun.popleft()
            else:
                self._begun.remove(id)
        mirror = self._by_id.get(id)
        if reply.canceled and not reply.compact_revision and is_stale(reply.cancel_reason):
            self._expire(token)
            raise Unavailable(f"a watch was refused: {reply.cancel_reason}")
        if mirror is None:
            return
        if reply.canceled:
            del self._by_id[id], self._ids[mirror]
            if not reply.compact_revision:
                _log.warning("%s ended a watch, which is begun anew: %s", self._client.address, reply.cancel_reason)
            self._read_anew(mirror, 0.0 if reply.compact_revision else BACKOFF[1])
        elif reply.created and reply.header.revision < mirror.revision:
            self._read_anew(mirror)  # The store is another one, and has not come as far.
        else:
            mirror.apply(reply.events)

    def _expire(self, token: str) -> None:
        self._expired = True
        self._client.expired(token)

    def _read_anew(self, mirror: Mirror[Any], delay: float = 0.0) -> None:
        if mirror in self._mirrors and mirror not in self._reading:
            self._end(mirror)
            self._reading.add(mirror)
            self._start(mirror, self._read(mirror, delay))

    def _start(self, mirror: Mirror[Any], work: Coroutine[Any, Any, None]) -> None:
        self._readers.start(work, name=f"read {mirror.prefix!r}")

    async def _check(self, mirror: Mirror[Any], revision: int) -> None:
        """Reads a mirror anew if the store is another one, which the watch alone does not tell once that has come as far."""
        stream = self._streams
        try:
            async with self._gate:
                same = await mirror.same_store(revision)
        except Error:
            same = False  # What can be known of it, reading it will show.
        finally:
            self._checking.discard(mirror)
        if not same or stream != self._streams:
            self._read_anew(mirror)

    async def _read(self, mirror: Mirror[Any], delay: float) -> None:
        retry = Backoff(*BACKOFF, jitter=0.5)
        try:
            await asyncio.sleep(delay)
            while mirror in self._mirrors:
                stream = self._streams
                try:
                    async with self._gate:
                        await mirror.read(anew=True)
                    if stream == self._streams:
                        break
                    continue  # The last that a store said that is another one now, perhaps.
                except Error as error:
                    if not self._unread:
                        _log.warning("cannot read %r, and will try again: %s", mirror.prefix.decode(), error.message)
                    self._unread[mirror] = error.message
                await asyncio.sleep(retry.failed())
        finally:
            self._reading.discard(mirror)
            if self._unread.pop(mirror, "") and not self._unread:
                _log.info("reading from %s works again", self._client.address)
        if mirror in self._mirrors:
            mirror.changed()
            self._begin(mirror)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._lost = reason
        if self._failures == 1:
            _log.warning(
                "the watch of %s was lost, and will be made again; what was known last stands: %s",
                self._client.address,
                reason,
            )

    def _worked(self) -> None:
        if self._failures:
            _log.info("the watch of %s works again after %d failures", self._client.address, self._failures)
            self._failures = 0
        self._renewed = False
        self._lost = self._client.problem = ""


async def _requests(to_send: asyncio.Queue[WatchRequest]) -> AsyncIterator[WatchRequest]:
    while True:
        yield await to_send.get()
