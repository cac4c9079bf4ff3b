"""Many names with few connections: a group of names shares one blocking query, for their health checks.

The checks say whose nodes are to be read anew. What has no checks of its own shows only when the names are gone
through, every ``SWEEP`` seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.entries import one_of
from micro_rt.backends.consul.feed import Feed
from micro_rt.backends.consul.http import Answer, list_of
from micro_rt.backends.consul.query import BlockingQuery
from micro_rt.errors import Error
from micro_rt.kit.chance import spread
from micro_rt.kit.tasks import TaskSet, unless
from micro_rt.logs import logger

__all__ = ["Groups"]

GROUP = 256
"""Names that share a query."""
SWEEP = 60.0
"""Seconds between two looks for changes that no check tells."""
FULL_SWEEP = 5
"""Every which sweep reads all names of the groups."""
GATHER = 0.05
"""Seconds in which names that come to a group are gathered before its query is made anew."""
REST = (0.1, 0.0001, 0.5)
"""Seconds between two answers at least, since every change of any check in the datacenter is one: the least, what is added
for each check, and the most."""

_log = logger("micro_rt.registry")

_Checks = frozenset[tuple[Any, ...]]
_Refresh = Callable[[list[Feed]], Awaitable[None]]


class Groups:
    """The names that are watched in groups.

    Args:
        consul: open.
        stale: whether any server may answer, not only the leader.
        refresh: reads the nodes of names anew.
    """

    def __init__(self, consul: Consul, *, stale: bool, refresh: _Refresh) -> None:
        self._consul = consul
        self._stale = stale
        self._refresh = refresh
        self._groups: list[_Group] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._ending = TaskSet[None]()

    def add(self, feed: Feed) -> None:
        """Watches a name."""
        group = next((group for group in self._groups if len(group.members) < GROUP), None)
        if group is None:
            group = _Group(self._consul, self._stale, self._refresh)
            self._groups.append(group)
        group.members[feed.name] = feed
        group.come.set()
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="go through the names in Consul")

    def discard(self, feed: Feed) -> bool:
        """Watches a name no longer; returns False if it is not among them."""
        for group in self._groups:
            if group.members.get(feed.name) is feed:
                del group.members[feed.name]
                group.seen.pop(feed.name, None)
                if not group.members:
                    self._groups.remove(group)
                    self._end(group.task)
                return True
        return False

    async def close(self) -> None:
        """Ends every query."""
        for group in self._groups:
            self._end(group.task)
        self._groups.clear()
        if self._sweeper is not None:
            self._end(self._sweeper)
            self._sweeper = None
        await self._ending.wait()

    def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._ending.add(task)

    async def _sweep(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(spread(SWEEP, 0.2))
            count += 1
            try:
                answer = await self._consul.get("/v1/catalog/services", (("stale", ""),) if self._stale else ())
                with self._consul.understood():
                    present = set[str](answer.data or ())
            except Error as error:
                _log.debug("the names in Consul are gone through later: %s", error)
                continue
            due = [
                feed
                for group in self._groups
                for name, feed in group.members.items()
                if (
                    feed.error is not None or feed.unchecked or name not in group.seen or count % FULL_SWEEP == 0
                    if name in present
                    else feed.nodes
                )
            ]
            await self._refresh(due)


class _Group:
    """Names that share a query."""

    def __init__(self, consul: Consul, stale: bool, refresh: _Refresh) -> None:
        self.members: dict[str, Feed] = {}
        self.come = asyncio.Event()
        """Set when names have come."""
        self.seen: dict[str, _Checks] = {}
        """The checks of each name, as last seen; only of names that have some."""
        self._agents: dict[str, _Checks] = {}
        self._consul = consul
        self._query = BlockingQuery(consul, "/v1/health/state/any", stale=stale)
        self._refresh = refresh
        self.task = asyncio.create_task(self._follow(), name="watch a group of names in Consul")

    async def _follow(self) -> None:
        filter = ""
        while True:
            if self.come.is_set():
                await asyncio.sleep(GATHER)
                self.come.clear()
                filter = f'ServiceName == "" or {one_of("ServiceName", self.members)}'
                self._query.restart()
            try:
                answer = await self._unless_joined((("filter", filter),))
                if answer is None:
                    continue
                with self._consul.understood():
                    checks = list_of(answer.data)
                    changed = self._changed(checks)
            except Error as error:
                await self._query.pause(error)
                continue
            if self._query.anew:
                changed = list(self.members.values())
                for feed in changed:
                    feed.begin_anew()
            await self._refresh(changed)
            least, each, most = REST
            self._query.rest = min(most, least + each * len(checks))

    async def _unless_joined(self, params: tuple[tuple[str, str], ...]) -> Answer | None:
        """Awaits the next answer; returns None if names come meanwhile."""
        asked = await unless(self.come.wait(), self._query.answer(params))
        return None if asked.cancelled() else asked.result()

    def _changed(self, checks: Iterable[Mapping[str, Any]]) -> list[Feed]:
        """Takes the present checks; returns the names whose nodes may be others now."""
        services: dict[str, set[tuple[Any, ...]]] = {}
        agents: dict[str, set[tuple[Any, ...]]] = {}
        for check in checks:
            state = (
                check["Node"],
                check["ServiceID"],
                check["CheckID"],
                check["Status"],
                *(check["ServiceTags"] or ()),
            )
            if check["ServiceName"]:
                services.setdefault(check["ServiceName"], set()).add(state)
            else:
                agents.setdefault(check["Node"], set()).add(state)
        seen = {name: frozenset(states) for name, states in services.items() if name in self.members}
        health = {agent: frozenset(states) for agent, states in agents.items()}
        other = {agent for agent in health.keys() | self._agents.keys() if health.get(agent) != self._agents.get(agent)}
        changed = [
            feed
            for name, feed in self.members.items()
            if not feed.ready.is_set() or seen.get(name) != self.seen.get(name) or other & feed.hosts
        ]
        self.seen, self._agents = seen, health
        return changed
