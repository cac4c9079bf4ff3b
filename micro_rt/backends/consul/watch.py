"""Watching names in Consul: one blocking query for each of a few names, one for each group of many.

The rules that it keeps, and why:

- A blocking query holds a connection, and Consul accepts 200 of them from one machine. So only the first ``SINGLES``
  names have a query of their own, which brings their nodes; further names are watched in groups, one query for each
  group.
- No query is answered from Consul's streams. Consul 1.14 publishes a change before it commits it: a stream that begins in
  between gets neither the change nor a state that contains it, and hides that node until it changes again. A query that
  asks for an order (``near``) is answered by a server from its state.
- A name that was watched alone stays so until nobody watches it. Names in groups do not move: a change of query could
  miss a change of nodes.
- Watches of one name share one feed. It begins with the first watch and ends with the last.
- A watch's first state is read from Consul when the watch begins, even if the feed has one: what was brought for others
  may be a moment old, and ``watch`` promises the present state first.
- Answers may overtake each other. A feed keeps the index of the newest one and ignores older ones, until Consul itself
  begins anew: then its indexes start again, and every answer counts.
- An outage is waited out here, not reported to watches: they keep the nodes that they have. An error that waiting would
  not mend, such as a missing permission, reaches every watch of the name.
- The nodes of a group's names are read anew only where a check or an agent changed. What no check shows is found by
  going through all names from time to time; ``groups`` has the details.
- A watch that is dropped without being closed leaves its feed too: a finalizer does it, in the loop's thread, because
  the garbage collector may run in any thread and after the loop has ended.
- A watch that is ended while it reads returns at once, and its read is cancelled: closing a registry must not wait for
  Consul.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.entries import EntryReader, check_visible, path_of
from micro_rt.backends.consul.feed import Feed
from micro_rt.backends.consul.groups import Groups
from micro_rt.backends.consul.query import BlockingQuery, Retries
from micro_rt.errors import Error, ResourceExhausted, Unavailable
from micro_rt.kit.tasks import TaskSet, unless
from micro_rt.node import Node

__all__ = ["Feeds", "FeedReader"]

SINGLES = 16
"""Names with a blocking query of their own."""

_UNSTREAMED = (("near", "_agent"),)
_Nodes = tuple[Node, ...]


class Feeds:
    """The watched names of one Consul, and their present nodes.

    Args:
        consul: open.
        reader: reads its answers.
        stale: whether any server may answer, not only the leader.
        changed: called with a name whose nodes are others now.
    """

    def __init__(self, consul: Consul, reader: EntryReader, *, stale: bool, changed: Callable[[str], None]) -> None:
        self._consul = consul
        self._reader = reader
        self._stale = stale
        self._changed = changed
        self._feeds: dict[str, Feed] = {}
        self._singles = 0
        self._groups = Groups(consul, stale=stale, refresh=self.refresh)
        self._ending = TaskSet[None]()

    async def close(self) -> None:
        """Ends every query."""
        for feed in list(self._feeds.values()):
            self._drop(feed)
        await self._groups.close()
        await self._ending.wait()

    def join(self, name: str) -> Feed:
        """Watches a name for one more watch."""
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name)
            if self._singles < SINGLES:
                self._singles += 1
                feed.task = asyncio.create_task(self._follow(feed), name=f"watch {name} in Consul")
            else:
                self._groups.add(feed)
        feed.users += 1
        return feed

    def leave(self, feed: Feed) -> None:
        """Watches a name for one watch less."""
        feed.users -= 1
        if not feed.users and self._feeds.get(feed.name) is feed:
            self._drop(feed)

    async def read(self, feed: Feed) -> None:
        """Reads the present nodes of a name; waits for Consul to answer, if it does not.

        Raises:
            micro.Error: they cannot be read, and waiting would not help.
        """
        retries = Retries(self._consul, f"reading the nodes of {feed.name!r} in Consul")
        while True:
            try:
                answer = await self._consul.get(path_of(feed.name))
            except (ResourceExhausted, Unavailable) as error:
                await retries.failed(error)
            else:
                retries.worked()
                check_visible(feed.name, answer.data, answer.filtered)
                with self._consul.understood():
                    changed = feed.take(answer, self._reader)
                if changed:
                    self._changed(feed.name)
                return

    async def refresh(self, feeds: list[Feed]) -> None:
        """Reads the nodes of names anew; the engine bounds how many at once."""

        async def refresh(feed: Feed) -> None:
            try:
                await self.read(feed)
            except Error as error:
                self._fail(feed, error)

        async with asyncio.TaskGroup() as group:
            for feed in feeds:
                group.create_task(refresh(feed))

    async def _follow(self, feed: Feed) -> None:
        query = BlockingQuery(self._consul, path_of(feed.name), stale=self._stale)
        while True:
            try:
                answer = await query.answer(_UNSTREAMED)
                check_visible(feed.name, answer.data, answer.filtered)
                if query.anew:
                    feed.begin_anew()
                with self._consul.understood():
                    changed = feed.take(answer, self._reader)
            except Error as error:
                self._fail(feed, error)
                await query.pause(error)
                continue
            if changed:
                self._changed(feed.name)

    def _fail(self, feed: Feed, error: Error) -> None:
        feed.fail(error)
        self._changed(feed.name)

    def _drop(self, feed: Feed) -> None:
        del self._feeds[feed.name]
        if feed.task is None:
            self._groups.discard(feed)
            return
        self._singles -= 1
        feed.task.cancel()
        self._ending.add(feed.task)


class FeedReader:
    """Reads the nodes of a name for one watch: at first from Consul, then what was brought since.

    What it holds is let go with ``end``, or with itself.

    Args:
        feeds: of the Consul.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._feed: Feed | None = None
        self._begun = False
        self._ended = asyncio.Event()
        self._leave: Callable[[], object] | None = None

    async def __call__(self, name: str) -> _Nodes:
        """Returns the nodes; nothing if it ends meanwhile."""
        feed = self._feed
        if feed is None:
            feed = self._feed = self._feeds.join(name)
            self._leave = finalizer = weakref.finalize(self, _leave, asyncio.get_running_loop(), self._feeds, feed)
            finalizer.atexit = False
            if feed.users == 1:
                await self._unless_ended(feed.ready.wait())
                self._begun = True
        if not self._begun:
            # What was brought for others may be a moment old.
            await self._unless_ended(self._feeds.read(feed))
            self._begun = True
        if feed.error is not None:
            raise feed.error
        return feed.nodes

    def end(self) -> None:
        """Ends it; whoever reads gets an answer at once."""
        self._ended.set()
        if self._leave is not None:
            self._leave()

    async def _unless_ended(self, reading: Coroutine[Any, Any, Any]) -> None:
        read = await unless(self._ended.wait(), reading)
        if not read.cancelled():
            read.result()


def _leave(loop: asyncio.AbstractEventLoop, feeds: Feeds, feed: Feed) -> None:
    # The garbage collector may run in any thread, and also when the loop is gone.
    if not loop.is_closed():
        loop.call_soon_threadsafe(feeds.leave, feed)
