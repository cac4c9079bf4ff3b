"""Watching names in Consul: one blocking query for each of a few names, one for each group of many.

A blocking query holds a connection, and Consul takes 200 from one machine. So only the first ``SINGLES`` names have
a query of their own, which brings their nodes. Further names are watched in groups: the query of a group brings their
health checks, which say whose nodes are to be read anew. What has no checks shows only in a sweep, every ``SWEEP`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from micro_rt.engines.consul import Consul
from micro_rt.engines.consul_http import Answer
from micro_rt.errors import Error, Unavailable
from micro_rt.node import Node
from micro_rt.registry.consul_entries import EntryReader, check_visible, one_of, path_of

__all__ = ["Feeds"]

SINGLES = 32
"""Names with a blocking query of their own."""
GROUP = 256
"""Names that share one."""
SWEEP = 60.0
"""Seconds between two looks for changes that no check tells."""
FULL_SWEEP = 5
"""Every which sweep looks at all names of the groups."""
STALE = 10.0
"""Seconds; what a server says that heard from its leader longer ago is asked of the leader instead."""
GATHER = 0.05
"""Seconds in which names that come to a group are gathered before its query is made anew."""

_log = logging.getLogger("micro_rt.registry")

_Nodes = tuple[Node, ...]
_Checks = frozenset[tuple[Any, ...]]


class Feeds:
    """The watched names of one Consul, and their present nodes.

    Args:
        consul: open.
        reader: reads its answers.
        stale: whether any server may answer, not only the leader.
        changed: called with a name whose nodes are others now.
    """

    def __init__(self, consul: Consul, reader: EntryReader, *, stale: bool, changed: Callable[[str], None]) -> None:
        self.consul = consul
        self.stale = stale
        self._reader = reader
        self._changed = changed
        self._feeds: dict[str, _Feed] = {}
        self._groups: list[_Group] = []
        self._singles = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def subscribe(self) -> Callable[[str], Any]:
        """Returns the read function of one watch; what the watch holds is let go when that is."""
        return _Subscription(self)

    async def close(self) -> None:
        """Ends every query."""
        for feed in list(self._feeds.values()):
            self._drop(feed)
        if self._sweeper is not None:
            self._end(self._sweeper)
        if self._ending:
            await asyncio.wait(self._ending)

    # For subscriptions

    def join(self, name: str) -> _Feed:
        """Watches a name for one more watch."""
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = _Feed(name)
            if self._singles < SINGLES:
                self._singles += 1
                feed.task = asyncio.create_task(self._follow(feed), name=f"watch {name} in Consul")
            else:
                self._group(feed)
        feed.users += 1
        return feed

    def leave(self, feed: _Feed) -> None:
        """Watches a name for one watch less."""
        feed.users -= 1
        if not feed.users and self._feeds.get(feed.name) is feed:
            self._drop(feed)

    async def read(self, feed: _Feed) -> _Nodes:
        """Reads the present nodes of a name, and waits for Consul to answer if it does not."""
        failures = 0
        while True:
            try:
                answer = await self._ask(feed.name)
            except Unavailable:
                failures += 1
                await self._pause(failures)
                continue
            self._take(feed, answer, fresh=False)
            return feed.nodes

    # One name

    async def _follow(self, feed: _Feed) -> None:
        loop = asyncio.get_running_loop()
        index, failures = 0, 0
        consistent = True  # At first, and when something seems wrong, the leader is asked.
        while True:
            params = () if consistent or not self.stale else (("stale", ""),)
            try:
                answer = await self.consul.block(path_of(feed.name), params, index)
                check_visible(feed.name, answer.data, answer.filtered)
            except Unavailable:
                # What was missed cannot be waited for: an index that Consul has not reached yet, because it lost its
                # data, would wait for a long time.
                index, consistent, failures = 0, True, failures + 1
                await self._pause(failures)
                continue
            except Error as error:
                index, consistent, failures = 0, True, failures + 1
                feed.fail(error)
                self._changed(feed.name)
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(10.0, 0.5 * 2 ** min(failures, 16)))
                continue
            if answer.index < index:
                index, consistent = 0, True
                continue
            if params and (not answer.known_leader or answer.age > STALE):
                consistent = True
                continue
            failures = 0
            begun = loop.time()
            self._take(feed, answer, fresh=not index)
            index, consistent = max(1, answer.index), False
            # A name that changes all the time is read a few times a second, and the less often the more nodes it has.
            await asyncio.sleep(min(0.5, 0.02 + 4 * (loop.time() - begun)))

    def _take(self, feed: _Feed, answer: Answer, *, fresh: bool) -> None:
        """Takes the nodes that an answer tells, unless newer ones are known.

        Args:
            feed: whose nodes.
            answer: to a question for them.
            fresh: whether an index before the known one means that Consul began anew, not that a server lags behind.
        """
        if answer.index < feed.index and not fresh:
            return
        nodes = self._reader.nodes(answer.data or ())
        feed.index = answer.index
        feed.hosts = frozenset(entry["Node"]["Node"] for entry in answer.data or ())
        feed.unchecked = any(all(not check["ServiceID"] for check in entry["Checks"]) for entry in answer.data or ())
        feed.error = None
        if not feed.ready.is_set() or nodes != feed.nodes:
            feed.nodes = nodes
            feed.ready.set()
            self._changed(feed.name)

    async def _ask(self, name: str, *, stale: bool = False) -> Answer:
        answer = await self.consul.get(path_of(name), (("stale", ""),) if stale else ())
        check_visible(name, answer.data, answer.filtered)
        return answer

    async def _pause(self, failures: int) -> None:
        await self.consul.recovered()
        await asyncio.sleep(random.uniform(0, min(5.0, 0.05 * 2 ** min(failures, 16))))

    # Groups

    def _group(self, feed: _Feed) -> None:
        for group in self._groups:
            if len(group.members) < GROUP:
                break
        else:
            group = _Group()
            group.task = asyncio.create_task(self._follow_group(group), name="watch a group of names in Consul")
            self._groups.append(group)
        group.members[feed.name] = feed
        feed.group = group
        group.come.set()
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="sweep of Consul")

    async def _follow_group(self, group: _Group) -> None:
        loop = asyncio.get_running_loop()
        index, failures = 0, 0
        consistent = True
        while True:
            if group.come.is_set():
                await asyncio.sleep(GATHER)
                group.come.clear()
                group.filter = f'ServiceName == "" or {one_of("ServiceName", group.members)}'
                index = 0
            params = [("filter", group.filter), *([] if consistent or not self.stale else [("stale", "")])]
            try:
                answer = await self._unless_joined(group, self.consul.block("/v1/health/state/any", params, index))
                if answer is None:
                    continue
            except Error as error:
                if not isinstance(error, Unavailable) and not failures:
                    _log.warning("cannot watch %d names in Consul: %s", len(group.members), error)
                index, consistent, failures = 0, True, failures + 1
                await self._pause(failures)
                continue
            if answer.index < index:
                index, consistent = 0, True
                continue
            if not consistent and self.stale and (not answer.known_leader or answer.age > STALE):
                consistent = True
                continue
            begun = loop.time()
            changed = group.changed(answer.data or ())
            if failures:
                changed = list(group.members.values())  # Consul may have begun anew: what is known is worth nothing.
            failures = 0
            await self._refresh(changed, fresh=not index)
            index, consistent = max(1, answer.index), False
            # Every change of any check in the datacenter ends the query.
            await asyncio.sleep(min(0.5, 0.1 + 4 * (loop.time() - begun)))

    async def _unless_joined(self, group: _Group, query: Any) -> Answer | None:
        """Awaits a query; returns None if names come to the group meanwhile."""
        asking = asyncio.ensure_future(query)
        joined = asyncio.ensure_future(group.come.wait())
        try:
            await asyncio.wait((asking, joined), return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            for task in (asking, joined):
                task.cancel()
            await asyncio.wait((asking, joined))

    async def _refresh(self, feeds: list[_Feed], *, fresh: bool) -> None:
        """Reads the nodes of names anew; the engine bounds how many at once."""

        async def refresh(feed: _Feed) -> None:
            failures = 0
            while self._feeds.get(feed.name) is feed:
                try:
                    answer = await self._ask(feed.name)
                except Unavailable:
                    failures += 1
                    await self._pause(failures)
                except Error as error:
                    feed.fail(error)
                    self._changed(feed.name)
                    return
                else:
                    self._take(feed, answer, fresh=fresh)
                    return

        for outcome in await asyncio.gather(*map(refresh, feeds), return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _sweep(self) -> None:
        """Looks for what no check tells: services without checks, and changes that leave checks as they are."""
        round = 0
        while True:
            await asyncio.sleep(SWEEP * random.uniform(0.8, 1.0))
            round += 1
            try:
                answer = await self.consul.get("/v1/catalog/services", (("stale", ""),) if self.stale else ())
            except Error as error:
                _log.debug("a sweep of Consul is left out: %s", error)
                continue
            present = set[str](answer.data or ())
            due: list[_Feed] = []
            for group in self._groups:
                for name, feed in group.members.items():
                    if name not in present:
                        wanted = bool(feed.nodes)
                    else:
                        wanted = feed.error is not None or feed.unchecked or name not in group.seen
                    if wanted or (name in present and round % FULL_SWEEP == 0):
                        due.append(feed)
            await self._refresh(due, fresh=False)

    # Ending

    def _drop(self, feed: _Feed) -> None:
        del self._feeds[feed.name]
        if feed.task is not None:
            self._singles -= 1
            self._end(feed.task)
        group = feed.group
        if group is not None:
            del group.members[feed.name]
            group.seen.pop(feed.name, None)
            if not group.members:
                self._groups.remove(group)
                if group.task is not None:
                    self._end(group.task)

    def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Feed:
    """What is known of a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.users = 0
        self.nodes: _Nodes = ()
        self.index = 0
        self.ready = asyncio.Event()
        """Set when the nodes were read for the first time, or could not be."""
        self.error: Error | None = None
        self.hosts: frozenset[str] = frozenset()
        """Names of the agents that list it; their health is its health."""
        self.unchecked = False
        """Whether it has nodes without a check of their own."""
        self.task: asyncio.Task[None] | None = None
        self.group: _Group | None = None

    def fail(self, error: Error) -> None:
        """It cannot be read, and waiting will not help."""
        self.error = error
        self.ready.set()


class _Group:
    """Names that share a query."""

    def __init__(self) -> None:
        self.members: dict[str, _Feed] = {}
        self.come = asyncio.Event()
        self.filter = ""
        self.seen: dict[str, _Checks] = {}
        """The checks of each name, as last seen; only of names that have some."""
        self._agents: dict[str, _Checks] = {}
        self.task: asyncio.Task[None] | None = None

    def changed(self, checks: Iterable[Mapping[str, Any]]) -> list[_Feed]:
        """Takes the present checks; returns the names whose nodes may be others now."""
        services: dict[str, set[tuple[Any, ...]]] = {}
        agents: dict[str, set[tuple[Any, ...]]] = {}
        for check in checks:
            told = (check["Node"], check["ServiceID"], check["CheckID"], check["Status"], *(check["ServiceTags"] or ()))
            if check["ServiceName"]:
                services.setdefault(check["ServiceName"], set()).add(told)
            else:
                agents.setdefault(check["Node"], set()).add(told)
        seen = {name: frozenset(told) for name, told in services.items() if name in self.members}
        health = {agent: frozenset(told) for agent, told in agents.items()}
        ill = {agent for agent in health.keys() | self._agents.keys() if health.get(agent) != self._agents.get(agent)}
        changed = [
            feed
            for name, feed in self.members.items()
            if not feed.ready.is_set() or seen.get(name) != self.seen.get(name) or (ill and ill & feed.hosts)
        ]
        self.seen, self._agents = seen, health
        return changed


class _Subscription:
    """Reads the nodes of a name for one watch: the first time from Consul, then what the feed brought."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._feed: _Feed | None = None
        self._begun = False

    async def __call__(self, name: str) -> _Nodes:
        feed = self._feed
        if feed is None:
            feed = self._feed = self._feeds.join(name)
            loop = asyncio.get_running_loop()
            let_go = partial(_leave, loop, self._feeds, feed)
            weakref.finalize(self, let_go).atexit = False
            begins = feed.users == 1
        else:
            begins = False
        if not self._begun and not begins:
            # What the feed knows may be a moment old.
            nodes = await self._feeds.read(feed)
            self._begun = True
            return nodes
        await feed.ready.wait()
        self._begun = True
        if feed.error is not None:
            raise feed.error
        return feed.nodes


def _leave(loop: asyncio.AbstractEventLoop, feeds: Feeds, feed: _Feed) -> None:
    # The collector may run in any thread, and also when the loop is gone.
    if not loop.is_closed():
        loop.call_soon_threadsafe(feeds.leave, feed)
