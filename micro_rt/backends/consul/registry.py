"""Registry ``consul://host:8500``: nodes as services of HashiCorp Consul, written and read as go-micro does.

Each name of a registration is a service of its own in Consul, with a check that the lease keeps passing. Who
registered it is told by a token, in the service's Meta and in the id of its check, because Consul knows no leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from micro_rt.backends.consul.address import ConsulAddress, parse_consul_address
from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.entries import EntryReader, check_visible, path_of
from micro_rt.backends.consul.http import list_of
from micro_rt.backends.consul.leases import REAPER, Checks, Leases
from micro_rt.backends.consul.watch import FeedReader, Feeds
from micro_rt.errors import FailedPrecondition, Unavailable
from micro_rt.kit.address import Options, flag, seconds
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.shared import Shared
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, Registration, Registry, check_ttl
from micro_rt.registry.watch import Watch, Watches

__all__ = ["ConsulRegistry"]

FEW = 16
"""Names that are read one by one when all are, without looking for a shorter way."""


class ConsulRegistry(Registry):
    """Lists nodes in Consul.

    Args:
        address: ``"consul://host:port/?option=value"``; docs/consul.md has the options. Without a host, that in
            ``CONSUL_HTTP_ADDR``, else 127.0.0.1:8500.
        clock: what leases are measured with.

    Raises:
        ValueError: the address is none, or has an option that does not exist.
    """

    propagation = 1.0

    def __init__(self, address: str = "consul://", *, clock: Clock | None = None) -> None:
        self._address, options = parse_consul_address(address)
        checks = _checks(options)
        stale = options.read("stale", flag, True)
        options.end()
        used = clock or boot_clock()
        key = ("registry", self._address, checks, stale, used)
        self._shared = Shared(key, lambda: _ConsulDirectory(self._address, checks, stale, used))
        self._directory: _ConsulDirectory | None = None

    @property
    def problem(self) -> str:
        """What keeps Consul from telling the present state; empty if nothing does."""
        return "" if self._directory is None else self._directory.consul.problem

    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: Consul does not answer, or has no leader; the message says where it was looked for.
            Unauthenticated: it does not know the token.
            FailedPrecondition: it has no such datacenter or no namespaces, or a TLS file cannot be used.
        """
        directory = await self._shared.acquire()
        if directory.consul.problem:
            # Others had it open already; who comes now is told what whoever comes first is told.
            await self._shared.release()
            raise Unavailable(directory.consul.problem, id="micro.consul_unavailable")
        self._directory = directory
        # Not the address that is given: an agent on loopback is what a machine of a large mesh has.
        self.loopback = directory.consul.on_loopback

    async def close(self) -> None:
        """Ends every watch and disconnects; leases stay until they run out."""
        if self._directory is not None:
            self._directory.watches.close(self)
            self._directory = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node; returns when others find it.

        With ``check=grpc`` the node stays listed as long as it answers Consul, whatever ``ttl`` is.

        Raises:
            Unavailable: Consul does not answer, or does not show the node in time.
            PermissionDenied: the token may not do this; the message says which permission it needs.
            FailedPrecondition: the node cannot be checked as the address asks for.
        """
        check_ttl(ttl)
        return await self._open_directory().leases.register(lambda: self._open_directory().leases, registration, ttl)

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return await self._open_directory().nodes(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        directory = self._open_directory()
        reader = FeedReader(directory.feeds)
        return directory.watches.open(name, reader, self, reader.end)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes, but for ``consul``: those are Consul's own servers."""
        return await self._open_directory().all_nodes()

    def _open_directory(self) -> _ConsulDirectory:
        if self._directory is None:
            raise FailedPrecondition(f"the registry in Consul at {self._address.place} is not open")
        return self._directory


class _ConsulDirectory:
    """What the registries of one address share."""

    def __init__(self, address: ConsulAddress, checks: Checks, stale: bool, clock: Clock) -> None:
        self.watches = Watches()
        self._checks = checks
        self._stale = stale
        self._clock = clock
        self._shared = Shared(("consul", address), lambda: Consul(address))
        self._reader = EntryReader()

    async def open(self) -> None:
        self.consul = await self._shared.acquire()
        self.leases = Leases(self.consul, self._checks, self._clock)
        self.feeds = Feeds(
            self.consul, self._reader, stale=self._stale, changed=lambda name: self.watches.changed((name,))
        )

    async def close(self) -> None:
        try:
            await self.feeds.close()
            await self.leases.close()
        finally:
            await self._shared.release()

    async def nodes(self, name: str) -> tuple[Node, ...]:
        answer = await self.consul.get(path_of(name))
        check_visible(name, answer.data, answer.filtered)
        with self.consul.understood():
            return self._reader.nodes(list_of(answer.data))

    async def all_nodes(self) -> dict[str, tuple[Node, ...]]:
        listing = await self.consul.get("/v1/catalog/services")
        with self.consul.understood():
            names = sorted(dict[str, Any](listing.data or {}).keys() - {"consul"})
            paths = [path_of(name) for name in names]
        if len(names) > FEW:
            # There is no question for all nodes of all names; but the agents may be fewer than the names.
            everywhere = await self.consul.get("/v1/catalog/nodes")
            with self.consul.understood():
                agents = [str(agent["Node"]) for agent in list_of(everywhere.data)]
                places = [f"/v1/catalog/node-services/{quote(agent, safe='')}" for agent in agents]
            if len(agents) < len(names):
                return await self._nodes_of_agents(agents, places)
        answers = await asyncio.gather(*map(self.consul.get, paths))
        with self.consul.understood():
            found = {
                name: self._reader.nodes(list_of(answer.data)) for name, answer in zip(names, answers, strict=True)
            }
        return {name: nodes for name, nodes in found.items() if nodes}

    async def _nodes_of_agents(self, agents: list[str], paths: list[str]) -> dict[str, tuple[Node, ...]]:
        failing = await self.consul.get("/v1/health/state/critical")
        answers = await asyncio.gather(*map(self.consul.get, paths))
        with self.consul.understood():
            entries = _entries_of(failing.data, agents, [answer.data for answer in answers])
        entries.pop("consul", None)
        found = {name: self._reader.nodes(entries[name]) for name in sorted(entries)}
        return {name: nodes for name, nodes in found.items() if nodes}


def _entries_of(failing: Any, agents: list[str], answers: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """Returns the entries of each name, formed as ``/v1/health/service/NAME`` forms them.

    Args:
        failing: the critical checks of all agents.
        agents: the agents.
        answers: what each of them has.
    """
    critical: dict[tuple[str, str], list[Any]] = {}
    for check in list_of(failing):
        critical.setdefault((check["Node"], check["ServiceID"]), []).append(check)
    entries: dict[str, list[dict[str, Any]]] = {}
    for agent, answer in zip(agents, answers, strict=True):
        listed: dict[str, Any] = answer or {}
        for service in list_of(listed.get("Services")):
            checks = critical.get((agent, ""), []) + critical.get((agent, service["ID"]), [])
            entry = {"Node": listed["Node"], "Service": service, "Checks": checks}
            entries.setdefault(str(service["Service"]), []).append(entry)
    return entries


def _checks(options: Options) -> Checks:
    kind = options.one_of("check", ("ttl", "grpc"), "ttl")
    interval = options.read("interval", seconds, None)
    if interval is not None and kind != "grpc":
        raise ValueError("interval= is of use with check=grpc only; heartbeats come every third of the lease")
    deregister_after = options.read("deregister_after", seconds, None)
    if deregister_after is not None and deregister_after < REAPER:
        raise ValueError(f"deregister_after={deregister_after:g}: Consul takes no less than a minute")
    return Checks(kind, 10.0 if interval is None else interval, deregister_after)
