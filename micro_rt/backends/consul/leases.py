"""Leases in Consul, which has none: services whose checks are kept passing, and which know who registered them.

The rules that they keep, and why:

- Each name of a registration is a service of its own, whose id is the node's, with the name behind it for all but the
  first. Consul's API knows one name per service.
- A lease has a random token, in the service's Meta and in the id of its check. Only the holder of the token can renew
  or remove what it registered: an older process with the same node id must not keep a newer one alive, or remove it.
- Registering replaces the checks of an earlier lease, and removes names that the node no longer has, so nothing of the
  earlier registration stays.
- Operations on one node id wait for each other, in order: of two registrations, the later one must win, also when
  Consul takes its time with the first.
- ``register`` returns when the catalog shows the services, and ``revoke`` when it no longer does: others find, or no
  longer find, the node when the call returns. Reads of the catalog are bundled, because Consul reads a whole name for
  each of them.
- A registration whose caller gives up is seen through and then taken back. Consul would carry out a request that is
  under way in any case, and a node that nobody renews would stay listed.
- A registration that fails half-way removes what it did.
- A lease that ran out by this process's own clock is lost, although Consul would revive its check: others have seen it
  go, and may have acted on it. The clock is the boot clock, which goes on while the machine is suspended.
- Several agents may answer at one address, and only one of them has the service. It is found through the catalog, and
  renewed and removed there, if the address allows that agent: ``agents.py`` says why. Where that agent is gone, the
  catalog's entry is removed itself.
- Consul deregisters a critical service after a minute at the earliest. So a dead node disappears from answers when its
  check fails, after its time to live, and from the catalog later.
- An agent tells its servers of a service with the token that registered the service. So after that token was replaced,
  renewing registers the service again. With the old token the agent could not report that the check fails.
- With ``check=grpc`` Consul asks the node, and renewing only looks whether the registration is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from micro_rt.backends.consul.agents import UNTRUSTED
from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.entries import LEASE, NODE, go_duration, literal, one_of, path_of, service_of
from micro_rt.backends.consul.http import list_of
from micro_rt.errors import Error, FailedPrecondition, PermissionDenied, Unavailable
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import Clock
from micro_rt.kit.ids import new_id
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.node import Node
from micro_rt.registry.base import Lease, LeaseLost, Registration

__all__ = ["REAPER", "Checks", "ConsulLease", "Leases"]

REAPER = 60.0
"""Seconds; the least that Consul waits before it deregisters a dead service, whatever it is told."""
SHOWN = 20.0
"""Seconds within which the catalog shows what its agent was told. Usually it is a few milliseconds; but an agent that could not
reach its servers tries again after 15 s."""
LOOKED_UP = 200
"""Services that one look at the catalog is for."""

_log = logger("micro_rt.registry")

T = TypeVar("T")
_Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checks:
    """How Consul finds out whether a node is alive."""

    kind: str = "ttl"
    """``"ttl"``: the node says so; ``"grpc"``: Consul asks it."""
    interval: float = 10.0
    """Seconds between two questions."""
    deregister_after: float | None = None
    """Seconds after which Consul forgets a node that is dead; None: as go-micro has it."""


@dataclass(slots=True)
class _Listing:
    """One name of a registration: a service in Consul."""

    name: str
    id: str
    check: str
    host: str = ""
    """The agent that has it, if that is not the one that answers at the address."""


@dataclass(slots=True, eq=False)
class ConsulLease(Lease):
    """The services of one registration."""

    leases: Callable[[], Leases]
    node: Node
    ttl: float
    token: str = field(default_factory=lambda: new_id(12))
    listings: list[_Listing] = field(default_factory=list[_Listing])
    alive_at: float = 0.0
    revoked: bool = False
    token_changes: int = 0
    """Those of Consul's token, when it was registered last."""

    async def renew(self) -> None:
        """See ``Lease``."""
        await self.leases().renew(self)

    async def revoke(self) -> None:
        """See ``Lease``."""
        await self.leases().revoke(self)


class Leases:
    """Registers nodes, and renews and revokes what it registered.

    Args:
        consul: open.
        checks: what every service gets.
        clock: what leases are measured with.
    """

    def __init__(self, consul: Consul, checks: Checks, clock: Clock) -> None:
        self._consul = consul
        self._checks = checks
        self._now = clock.now
        self._catalog = _Catalog(consul)
        self._tasks = TaskSet[None]()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._tasks.wait()
        await self._catalog.close()

    async def register(self, leases: Callable[[], Leases], registration: Registration, ttl: float) -> ConsulLease:
        """Lists a node; returns when others find it.

        Args:
            leases: returns what the lease is to be renewed and revoked with.
            registration: the node and its names.
            ttl: seconds.
        """
        if self._checks.kind == "grpc" and registration.node.transport != "grpc":
            node = registration.node
            raise FailedPrecondition(f"check=grpc is for nodes that speak gRPC; {node.id} speaks {node.transport}")
        lease = ConsulLease(leases, registration.node, ttl)
        # Whoever gives up waiting leaves the request under way, and Consul would still do what it says. So that is
        # seen through, and then taken back.
        task = self._start(self._add(lease, tuple(dict.fromkeys(registration.names))))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            lease.revoked = True
            self._start(self._take_back(lease, task))
            raise
        return lease

    async def renew(self, lease: ConsulLease) -> None:
        """Starts the time to live anew."""
        now = self._now()
        if lease.revoked:
            raise LeaseLost(f"the lease of {lease.node.id} was revoked")
        if self._checks.kind == "ttl":
            # Consul would revive it; but others have seen it go.
            if now - lease.alive_at >= lease.ttl:
                raise LeaseLost(f"the lease of {lease.node.id} ran out")
            kept = await _all(self._pass(lease, listing) for listing in lease.listings)
        else:
            kept = await _all(self._has(lease, listing) for listing in lease.listings)
        if not all(kept):
            raise LeaseLost(f"Consul does not have the lease of {lease.node.id} any more, or another replaced it")
        lease.alive_at = max(lease.alive_at, now)
        if lease.token_changes != self._consul.token_changes:
            async with self._turn(lease.node.id):
                if not lease.revoked:
                    await self._put(lease)

    async def revoke(self, lease: ConsulLease) -> None:
        """Removes what a lease registered; returns when others do not find it any more."""
        lease.revoked = True
        async with self._turn(lease.node.id):
            await self._remove_all(lease)

    # Registering

    async def _add(self, lease: ConsulLease, names: tuple[str, ...]) -> None:
        node = lease.node
        for number, name in enumerate(names):
            id = f"{node.id}:{name}" if number else node.id
            lease.listings.append(_Listing(name, id, f"service:{id}:{lease.token}"))
        # Of two registrations of one id the later one is to win, also when Consul takes its time.
        async with self._turn(node.id):
            if lease.revoked:
                return
            before = await self._registered(node.id)
            lease.alive_at = self._now()
            try:
                await self._put(lease)
                kept = {listing.id for listing in lease.listings}
                await _all(self._consul.deregister(id) for id in before if id not in kept)
                await _all(self._shown(lease, listing) for listing in lease.listings)
            except Exception:
                await self._undo(lease)
                raise

    async def _put(self, lease: ConsulLease) -> None:
        changes = self._consul.token_changes
        for listing in lease.listings:
            service = service_of(lease.node, listing.name, listing.id, lease.token)
            body = {**service, "Checks": [self._check(lease, listing)]}
            # Without this, the check of an earlier lease would stay beside that of this one.
            replacing = (("replace-existing-checks", "true"),)
            await self._consul.put("/v1/agent/service/register", body, replacing, host=listing.host)
        lease.token_changes = changes

    async def _registered(self, id: str) -> list[str]:
        """Returns the services that the agent has of a node."""
        # The first one's id is the node's; to look through all that an agent has costs much more.
        if not (await self._consul.get(f"/v1/agent/service/{quote(id, safe='')}")).found:
            return []
        found = await self._consul.get("/v1/agent/services", (("filter", f'Meta["{NODE}"] == {literal(id)}'),))
        with self._consul.understood():
            return [str(each) for each in dict[str, Any](found.data or {})]

    def _check(self, lease: ConsulLease, listing: _Listing) -> dict[str, Any]:
        after = self._checks.deregister_after or max(lease.ttl, REAPER) + 5
        check: dict[str, Any] = {
            "CheckID": listing.check,
            "Name": f"{listing.name} is alive",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": go_duration(after),
        }
        if self._checks.kind == "grpc":
            interval = go_duration(self._checks.interval)
            return {**check, "GRPC": lease.node.address, "Interval": interval, "Timeout": interval}
        return {**check, "TTL": go_duration(lease.ttl)}

    async def _shown(self, lease: ConsulLease, listing: _Listing) -> None:
        """Waits until others find it."""

        async def shown() -> bool:
            entry = await self._catalog.entry(listing.name, listing.id)
            return _is_of(entry, lease) and _passes(entry, listing)

        await self._until(shown, f"Consul took {lease.node.id}, but does not show it under {listing.name!r}")

    async def _take_back(self, lease: ConsulLease, registering: asyncio.Task[None]) -> None:
        await asyncio.wait((registering,))
        if not registering.cancelled() and registering.exception() is None:
            async with self._turn(lease.node.id):
                await self._undo(lease)

    async def _undo(self, lease: ConsulLease) -> None:
        try:
            await self._remove_all(lease)
        except Error as error:
            _log.debug("what is left of the registration of %s runs out: %s", lease.node.id, error)

    def _turn(self, id: str) -> asyncio.Lock:
        """Returns what makes registrations of one id wait for each other."""
        lock = self._turns.get(id)
        if lock is None:
            lock = self._turns[id] = asyncio.Lock()
        return lock

    # Renewing and revoking

    async def _pass(self, lease: ConsulLease, listing: _Listing) -> bool:
        return await self._at_its_agent(lease, listing, lambda host: self._consul.pass_check(listing.check, host))

    async def _has(self, lease: ConsulLease, listing: _Listing) -> bool:
        return _is_of(await self._catalog.entry(listing.name, listing.id), lease)

    async def _remove_all(self, lease: ConsulLease) -> None:
        await _all(self._remove(lease, listing) for listing in lease.listings)

    async def _remove(self, lease: ConsulLease, listing: _Listing) -> None:
        known = (await self._consul.get(f"/v1/agent/service/{quote(listing.id, safe='')}")).data
        if known is not None:
            with self._consul.understood():
                token = _lease_of(known)
            if token != lease.token:
                return
            await self._consul.deregister(listing.id)
        else:
            entry = await self._catalog.entry(listing.name, listing.id)
            if entry is None or not _is_of(entry, lease):
                return
            try:
                removed = await self._at_agent_of(
                    entry, listing, lambda host: self._consul.deregister(listing.id, host)
                )
            except FailedPrecondition as error:
                if error.id != UNTRUSTED:
                    raise
                # Its agent may list it again, until the lease runs out.
                _log.warning("%s is removed from the catalog alone: %s", lease.node.id, error.message)
                removed = False
            if not removed:
                # The agent that had it is gone, and what it left stays.
                await self._consul.remove(entry["Node"]["Node"], listing.id)

        async def gone() -> bool:
            return not _is_of(await self._catalog.entry(listing.name, listing.id), lease)

        with contextlib.suppress(PermissionDenied):  # Who may not see it cannot wait for it either.
            await self._until(gone, f"Consul removed {lease.node.id}, but still shows it under {listing.name!r}")

    async def _at_its_agent(
        self, lease: ConsulLease, listing: _Listing, request: Callable[[str], Coroutine[Any, Any, bool]]
    ) -> bool:
        """Makes a request to the agent that has a service; returns False if none that can be reached has it.

        Behind one address may be several agents, and only the one that was asked to register knows the service.
        """
        try:
            if await request(listing.host):
                return True
        except Unavailable:
            if not listing.host:
                raise
        entry = await self._catalog.entry(listing.name, listing.id)
        if entry is None or not _is_of(entry, lease):
            return False
        return await self._at_agent_of(entry, listing, request)

    async def _at_agent_of(
        self, entry: _Entry, listing: _Listing, request: Callable[[str], Coroutine[Any, Any, bool]]
    ) -> bool:
        """Makes a request to the agent that the catalog names."""
        host = str(entry["Node"]["Address"])
        try:
            found = await request(host)
        except Unavailable as error:
            _log.debug("the agent of %s does not answer: %s", listing.id, error)
            return False
        if found:
            listing.host = host
        return found

    async def _until(self, condition: Callable[[], Coroutine[Any, Any, bool]], problem: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHOWN
        retry = Backoff(0.002, 0.2, jitter=0.5)
        while not await condition():
            if loop.time() > deadline:
                reason = "is its agent cut off from its servers?"
                if self._consul.address.dc:
                    reason = f"is {self._consul.address.dc} its agent's own datacenter? Nodes are registered in that"
                raise Unavailable(f"{problem} within {SHOWN:g} s: {reason}")
            await asyncio.sleep(retry.failed())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.start(work)


class _Catalog:
    """Looks single services up, those of one name together: for any of them, Consul reads all that the name has."""

    def __init__(self, consul: Consul) -> None:
        self._consul = consul
        self._due: dict[str, dict[asyncio.Future[_Entry | None], str]] = {}
        self._tasks = TaskSet[None]()

    async def close(self) -> None:
        await self._tasks.wait()

    async def entry(self, name: str, id: str) -> _Entry | None:
        """Returns what the catalog has of a service now, the newest if there are several."""
        future: asyncio.Future[_Entry | None] = asyncio.get_running_loop().create_future()
        due = self._due.get(name)
        if due is None:
            due = self._due[name] = {}
            self._tasks.start(self._read(name))
        due[future] = id
        return await future

    async def _read(self, name: str) -> None:
        while due := self._due[name]:
            batch = dict(list(due.items())[:LOOKED_UP])
            for future in batch:
                del due[future]
            try:
                found = await self._ask(name, dict.fromkeys(batch.values()))
            except Exception as error:
                for future in batch:
                    if not future.done():
                        future.set_exception(copy.copy(error))
            else:
                for future, id in batch.items():
                    if not future.done():
                        future.set_result(found.get(id))
        del self._due[name]

    async def _ask(self, name: str, ids: Iterable[str]) -> dict[str, _Entry]:
        answer = await self._consul.get(path_of(name), (("filter", one_of("Service.ID", ids)),))
        if answer.filtered and not answer.data:
            raise PermissionDenied(
                "Consul takes registrations from this token, and hides them from it: it needs node:read, and "
                f'service:read on "{name}"'
            )
        newest: dict[str, _Entry] = {}
        with self._consul.understood():
            for entry in list_of(answer.data):
                _check_form(entry)
                id = entry["Service"]["ID"]
                if id not in newest or newest[id]["Service"]["ModifyIndex"] < entry["Service"]["ModifyIndex"]:
                    newest[id] = entry
        return newest


def _check_form(entry: _Entry) -> None:
    """Reads what is read of an entry later.

    Raises:
        AttributeError, KeyError, TypeError: it is not formed as Consul forms it.
    """
    _lease_of(entry["Service"])
    for check in entry["Checks"]:
        check["CheckID"].startswith(check["Status"])
    for text in (entry["Node"]["Node"], entry["Node"]["Address"]):
        if not isinstance(text, str):
            raise TypeError("the name or the address of an agent is not text")


def _is_of(entry: _Entry | None, lease: ConsulLease) -> bool:
    return entry is not None and _lease_of(entry["Service"]) == lease.token


def _lease_of(service: Mapping[str, Any]) -> str | None:
    meta: dict[str, str] = service["Meta"] or {}
    return meta.get(LEASE)


def _passes(entry: _Entry | None, listing: _Listing) -> bool:
    """Whether the check of the lease is there, and none of another."""
    if entry is None:
        return False
    own = [check for check in entry["Checks"] if check["CheckID"].startswith(f"service:{listing.id}:")]
    return [check["CheckID"] for check in own] == [listing.check] and own[0]["Status"] == "passing"


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Makes calls at once; returns their results, or raises what the first to fail raised when all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
