"""The nodes that registry ``mdns:`` knows: those of this process, and those that others announced."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from micro_rt.backends.mdns.records import NO_STAMP, Domain, HeardInstance, OwnInstance, Question, Stamp
from micro_rt.kit.chance import between
from micro_rt.kit.ordered import OrderedSet
from micro_rt.logs import logger
from micro_rt.node import Node
from micro_rt.registry.base import Lease, Registration

__all__ = ["Keeper", "MdnsLease", "OtherNodes", "OwnNodes"]

REFRESH = (0.8, 0.87, 0.94)
"""Parts of the time that a node holds after which the others are asked whether it is still there."""
MAX_TTL = 4500
"""Seconds; nobody is believed for longer."""
MAX_HEARD = 10_000
"""Nodes of others, of all names together: who floods the network fills no more memory than this."""
LATE = 10.0
"""Seconds by which an announcement may come later than the goodbye."""

_log = logger("micro_rt.registry")


class Keeper(Protocol):
    """What keeps a lease."""

    async def renew(self, lease: MdnsLease) -> None:
        """Keeps it alive, or raises."""

    def remove(self, lease: MdnsLease) -> None:
        """Ends it."""


class MdnsLease(Lease):
    """A registration of this process.

    Args:
        keeper: returns what keeps it, or raises if that is not open any more.
        registration: the node and its names.
        ttl: seconds that it stays listed without being renewed.
        domain: where.
        ip: the address of the node's host.
        stamp: which registration it is.
    """

    def __init__(
        self,
        keeper: Callable[[], Keeper],
        registration: Registration,
        ttl: float,
        domain: Domain,
        ip: str,
        stamp: Stamp,
    ) -> None:
        self._keeper = keeper
        self.id = registration.node.id
        node = dataclasses.replace(registration.node, registered=stamp[0])
        self.own = {name: OwnInstance.of(domain, name, node, ip, stamp) for name in registration.names}
        self.stamp = stamp
        self.ttl = ttl
        self.expires = 0.0
        self.announced = 0.0
        self.again = math.inf
        """When to announce it once more, for those who did not hear the first time."""

    async def renew(self) -> None:
        """Starts the time to live anew, and says so to everybody."""
        await self._keeper().renew(self)

    async def revoke(self) -> None:
        """Says goodbye."""
        self._keeper().remove(self)


class OwnNodes:
    """The nodes of this process, by their names, and by what is asked for them in DNS, which knows no upper case.

    Args:
        domain: where.
    """

    def __init__(self, domain: Domain) -> None:
        self.leases: dict[str, MdnsLease] = {}
        """By the ids of their nodes."""
        self.by_name: dict[str, dict[str, OwnInstance]] = {}
        self._domain = domain
        self._services: dict[str, OrderedSet[str]] = {}
        self._instances: dict[str, dict[str, OwnInstance]] = {}

    def add(self, lease: MdnsLease) -> None:
        """Lists a node of which there is none with this id."""
        self.leases[lease.id] = lease
        for name, own in lease.own.items():
            self.by_name.setdefault(name, {})[lease.id] = own
            self._services.setdefault(self._domain.service(name).lower(), OrderedSet()).add(name)
            self._instances.setdefault(self._domain.instance(name, lease.id).lower(), {})[name] = own

    def remove(self, lease: MdnsLease) -> None:
        """Lists a node no more."""
        del self.leases[lease.id]
        for name in lease.own:
            instance = self._domain.instance(name, lease.id).lower()
            del self._instances[instance][name]
            if not self._instances[instance]:
                del self._instances[instance]
            del self.by_name[name][lease.id]
            if not self.by_name[name]:
                del self.by_name[name]
                service = self._domain.service(name).lower()
                self._services[service].discard(name)
                if not self._services[service]:
                    del self._services[service]

    def instances_for(self, question: Question) -> Iterator[OwnInstance]:
        """Gives the nodes that a question asks for."""
        name = question.name.lower()
        if question.is_for_nodes:
            for service in self._services.get(name, ()):
                yield from self.by_name[service].values()
        if question.is_for_a_node:
            yield from self._instances.get(name, {}).values()

    def one_of_each_name(self, question: Question) -> Iterator[OwnInstance]:
        """Gives a node of each name, if that is what a question asks for."""
        if question.is_for_nodes and question.name.lower() == self._domain.services.lower():
            for owns in self.by_name.values():
                yield next(iter(owns.values()))


@dataclass(slots=True)
class _Entry:
    node: Node
    stamp: Stamp
    ttl: float
    expires: float
    refresh: float
    """When to ask whether it is still there."""
    until: float
    """Until when it was announced as it is; it may have been announced with another zone for longer."""
    refreshed: int = 0


class OtherNodes:
    """The nodes that others announced, for as long as they said.

    Args:
        now: the clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.by_name: dict[str, dict[str, _Entry]] = {}
        self.next = math.inf
        """When there is something to do, as far as it is known; ``look_after`` finds it out anew."""
        self._now = now
        self._size = 0
        self._full = False
        self._gone: dict[tuple[str, str], tuple[Stamp, float]] = {}

    def hear(self, heard: HeardInstance) -> bool:
        """Takes in what somebody says of a node; returns whether it changes anything for those who look."""
        name, id, now = heard.name, heard.node.id, self._now()
        entry = self.by_name.get(name, {}).get(id)
        if heard.stamp != NO_STAMP:
            gone, _ = self._gone.get((name, id), (NO_STAMP, 0.0))
            if heard.stamp <= gone or (entry is not None and heard.stamp < entry.stamp):
                return False
        if not heard.ttl:
            if heard.stamp != NO_STAMP and len(self._gone) < MAX_HEARD:
                self._gone[name, id] = heard.stamp, now + LATE
                self.next = min(self.next, now + LATE)
            return self._forget(name, id)
        if entry is None:
            if self._size >= MAX_HEARD:
                if not self._full:
                    self._full = True
                    _log.warning("mdns: more than %d nodes are announced; the others are left out", MAX_HEARD)
                return False
            self._size += 1
        node, until = heard.node, now + min(heard.ttl, MAX_TTL)
        if entry is not None and node != entry.node and heard.stamp == entry.stamp != NO_STAMP and now < entry.until:
            # The same registration, heard on another interface as well: there, a link-local address has another zone.
            node, until = entry.node, entry.until
        anew = entry is None or entry.node != node or entry.node.registered != node.registered
        ttl = min(heard.ttl, MAX_TTL)
        refresh = now + ttl * (REFRESH[0] + between(0, 0.02))
        self.by_name.setdefault(name, {})[id] = _Entry(node, heard.stamp, ttl, now + ttl, refresh, until)
        self.next = min(self.next, refresh)
        return anew

    def forget(self, id: str) -> list[str]:
        """Drops a node that is our own now; returns the names that it had."""
        names = [name for name, entries in self.by_name.items() if id in entries]
        for name in names:
            self._forget(name, id)
        return names

    def stamp(self, id: str) -> Stamp:
        """Returns the stamp of the latest registration of an id."""
        stamps = (entries[id].stamp for entries in self.by_name.values() if id in entries)
        return max(stamps, default=NO_STAMP)

    def look_after(self) -> tuple[list[str], list[str]]:
        """Drops what ran out; returns its names, and those of nodes that will run out unless they say something."""
        now = self._now()
        lost: list[tuple[str, str]] = []
        stale: OrderedSet[str] = OrderedSet()
        for name, entries in self.by_name.items():
            for id, entry in entries.items():
                if entry.expires <= now:
                    lost.append((name, id))
                elif entry.refresh <= now:
                    entry.refreshed += 1
                    rest = REFRESH[entry.refreshed :]
                    entry.refresh = entry.expires - entry.ttl * (1 - rest[0]) if rest else math.inf
                    stale.add(name)
        for name, id in lost:
            self._forget(name, id)
        self._gone = {key: (stamp, until) for key, (stamp, until) in self._gone.items() if now < until}
        self.next = min(
            (
                *(min(entry.expires, entry.refresh) for entries in self.by_name.values() for entry in entries.values()),
                *(until for _, until in self._gone.values()),
            ),
            default=math.inf,
        )
        return list(dict.fromkeys(name for name, _ in lost)), list(stale)

    def _forget(self, name: str, id: str) -> bool:
        entries = self.by_name.get(name, {})
        if entries.pop(id, None) is None:
            return False
        self._size -= 1
        if not entries:
            del self.by_name[name]
        return True
