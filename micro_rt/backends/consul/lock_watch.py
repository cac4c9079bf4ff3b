"""Watching the keys of locks in Consul, for those who hold them, wait for them and observe them.

The rules that it keeps, and why:

- A blocking query holds a connection. Consul accepts 200 of them from one machine, and counts one whose client has left until the query's
  time is over. So the claims of a lock share one query. It lasts no longer than the lock has been watched: many locks that
  are held for a moment do not use up the connections.
- Who stops watching a lock, and goes on a moment later, finds the query that was there.
- Only the first ``SINGLES`` locks have a query of their own. The keys of all others are read together, twice a second.
- What a query brings is a hint. A moment later it may be otherwise, and a server that has just lost its leadership may say what was. Whoever
  loses something by it reads the key himself.
- An outage is waited out here. Other errors reach those who wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.http import list_of
from micro_rt.backends.consul.lock_keys import ROOT, Entry, entries_of
from micro_rt.backends.consul.query import BlockingQuery, Retries
from micro_rt.errors import Error, FailedPrecondition, ResourceExhausted, Unavailable
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet

__all__ = ["Feed", "LockWatches"]

SINGLES = 16
"""Locks with a query of their own."""
POLL = 0.5
"""Seconds between two readings of the keys of all other locks; more where it takes long, so that it is a fifth of the time."""
LINGER = 1.0
"""Seconds that a lock is watched on when nobody does."""
YOUNG = 1.0
"""Seconds that the first queries of a lock last at most."""

_RECURSE = (("recurse", ""),)


class Feed:
    """The keys of one lock.

    Args:
        folder: what they begin with.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.version = 0
        """Grows with each change; 0 until the keys are known."""
        self.entries: Mapping[str, Entry] = {}
        self.users = 0
        self.task: asyncio.Task[None] | None = None
        """What reads them; None if they are read with those of other locks."""
        self.leaving: asyncio.TimerHandle | None = None
        self._error: Error | None = None
        self._changed = asyncio.Event()

    async def newer(self, version: int) -> int:
        """Waits until the keys are others than in a version; returns the present one.

        Raises:
            micro.Error: they cannot be read, and waiting would not help.
        """
        while self._error is None and self.version <= version:
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        return self.version

    def take(self, entries: Mapping[str, Entry]) -> None:
        """Takes what was read."""
        self._error = None
        if not self.version or entries != self.entries:
            self.entries = entries
            self.version += 1
            self._ring()

    def fail(self, error: Error) -> None:
        """Has those who wait know that the keys cannot be read."""
        self._error = error
        self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class LockWatches:
    """The locks that one engine watches.

    Args:
        consul: open.
    """

    def __init__(self, consul: Consul) -> None:
        self._consul = consul
        self._feeds: dict[str, Feed] = {}
        self._singles = 0
        self._poll: asyncio.Task[None] | None = None
        self._tasks = TaskSet[None]()
        self._closed = False

    async def close(self) -> None:
        """Ends every query."""
        self._closed = True
        for feed in list(self._feeds.values()):
            self._drop(feed)
            feed.fail(FailedPrecondition(f"the connection to Consul at {self._consul.address.place} is closed"))
        await self._tasks.end()

    @asynccontextmanager
    async def watch(self, folder: str) -> AsyncGenerator[Feed]:
        """Watches a lock while it is entered."""
        feed = self._feeds.get(folder)
        if feed is None:
            feed = self._start(folder)
        feed.users += 1
        if feed.leaving is not None:
            feed.leaving.cancel()
            feed.leaving = None
        try:
            yield feed
        finally:
            feed.users -= 1
            if not feed.users and self._feeds.get(folder) is feed:
                feed.leaving = asyncio.get_running_loop().call_later(LINGER, self._drop, feed)

    def _start(self, folder: str) -> Feed:
        if self._closed:
            raise FailedPrecondition(f"the connection to Consul at {self._consul.address.place} is closed")
        feed = self._feeds[folder] = Feed(folder)
        if self._singles < SINGLES:
            self._singles += 1
            feed.task = self._tasks.start(self._follow(feed), name=f"watch {folder} in Consul")
        elif self._poll is None:
            self._poll = self._tasks.start(self._read_all(), name=f"watch {ROOT} in Consul")
        return feed

    def _drop(self, feed: Feed) -> None:
        del self._feeds[feed.folder]
        if feed.leaving is not None:
            feed.leaving.cancel()
        if feed.task is not None:
            self._singles -= 1
            feed.task.cancel()

    async def _follow(self, feed: Feed) -> None:
        query = BlockingQuery(self._consul, f"/v1/kv/{quote(feed.folder)}", stale=False)
        begun = loop_time()
        while True:
            query.longest = max(YOUNG, loop_time() - begun)
            try:
                answer = await query.answer(_RECURSE)
                with self._consul.understood():
                    entries = entries_of(list_of(answer.data), feed.folder)
            except Error as error:
                feed.fail(error)
                await query.pause(error)
            else:
                feed.take(entries)

    async def _read_all(self) -> None:
        retries = Retries(self._consul, f"watching {ROOT}")
        try:
            while feeds := [feed for feed in self._feeds.values() if feed.task is None]:
                begun = loop_time()
                try:
                    answer = await self._consul.get(f"/v1/kv/{ROOT}", _RECURSE)
                    with self._consul.understood():
                        entries = entries_of(list_of(answer.data))
                except Error as error:
                    if not isinstance(error, (Unavailable, ResourceExhausted)):
                        for feed in feeds:
                            feed.fail(error)
                    await retries.failed(error)
                    continue
                retries.worked()
                folders: dict[str, dict[str, Entry]] = {feed.folder: {} for feed in feeds}
                for key, entry in entries.items():
                    folder = key[: key.rfind("/") + 1]
                    if folder in folders:
                        folders[folder][key] = entry
                for feed in feeds:
                    feed.take(folders[feed.folder])
                await asyncio.sleep(max(POLL, 4 * (loop_time() - begun)))
        finally:
            self._poll = None
