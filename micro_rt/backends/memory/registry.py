"""Registry ``memory:``: for one process and its event loop; for tests, and for services that share a process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, LeaseLost, Registration, Registry, check_ttl
from micro_rt.registry.watch import Watch, Watches

__all__ = ["MemoryRegistry"]


class MemoryRegistry(Registry):
    """Lists nodes in the memory of this process, as long as any registry with this address is open.

    Args:
        address: ``"memory:"``, or ``"memory:NAME"`` for a place of its own; each event loop has its own of either.
        clock: what leases are measured with.
    """

    loopback = True
    propagation = 0.01

    def __init__(self, address: str = "memory:", *, clock: Clock | None = None) -> None:
        name, _, query = address.removeprefix("memory:").partition("?")
        if not address.startswith("memory:") or name.startswith("//") or query or "#" in address:
            raise ValueError("the address is not memory: or memory:NAME, which take no parameters")
        self._address = address
        used = clock or boot_clock()
        self._shared = Shared(("registry", address), lambda: _RegistryState(used))
        self._state: _RegistryState | None = None

    async def open(self) -> None:
        """Joins the other registries with this address in this event loop."""
        self._state = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every watch; the last one to leave drops what is registered."""
        if self._state is not None:
            self._state.watches.close(self)
            self._state = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node."""
        check_ttl(ttl)
        lease = _MemoryLease(self._open_state, registration, ttl)
        self._open_state().add(lease)
        return lease

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return self._open_state().nodes(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        state = self._open_state()
        return state.watches.open(name, state.read, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        return self._open_state().all_nodes()

    def _open_state(self) -> _RegistryState:
        if self._state is None:
            raise FailedPrecondition(f"registry {without_secrets(self._address)} is not open")
        return self._state


class _MemoryLease(Lease):
    def __init__(self, state: Callable[[], _RegistryState], registration: Registration, ttl: float) -> None:
        self._state = state
        self.registration = registration
        self.ttl = ttl
        self.expires = 0.0

    async def renew(self) -> None:
        self._state().renew(self)

    async def revoke(self) -> None:
        self._state().remove(self)


class _RegistryState:
    """What the registries of one address share."""

    def __init__(self, clock: Clock) -> None:
        self.watches = Watches()
        self._now = clock.now
        self._leases: dict[str, _MemoryLease] = {}
        self._listings: dict[str, dict[str, Node]] = {}
        self._sorted: dict[str, tuple[Node, ...]] = {}
        self._registered = 0
        self._next_expiry = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, lease: _MemoryLease) -> None:
        node = lease.registration.node
        before = self._leases.get(node.id)
        if before is not None:
            self.remove(before)
        self._leases[node.id] = lease
        self._registered += 1
        listed = dataclasses.replace(node, registered=self._registered)
        for name in lease.registration.names:
            self._listings.setdefault(name, {})[node.id] = listed
        self._changed(lease.registration.names)
        lease.expires = self._now() + lease.ttl
        self._wait_for(lease.expires)

    def renew(self, lease: _MemoryLease) -> None:
        self._expire()
        if self._leases.get(lease.registration.node.id) is not lease:
            raise LeaseLost(f"the lease of {lease.registration.node.id} ran out, or another replaced it")
        lease.expires = self._now() + lease.ttl

    def remove(self, lease: _MemoryLease) -> None:
        node = lease.registration.node
        if self._leases.get(node.id) is not lease:
            return
        del self._leases[node.id]
        for name in dict.fromkeys(lease.registration.names):
            del self._listings[name][node.id]
            if not self._listings[name]:
                del self._listings[name]
        self._changed(lease.registration.names)

    def nodes(self, name: str) -> tuple[Node, ...]:
        self._expire()
        nodes = self._sorted.get(name)
        if nodes is None:
            listed = self._listings.get(name)
            if listed is None:
                return ()
            nodes = self._sorted[name] = tuple(listed[id] for id in sorted(listed))
        return nodes

    async def read(self, name: str) -> tuple[Node, ...]:
        return self.nodes(name)

    def all_nodes(self) -> dict[str, tuple[Node, ...]]:
        self._expire()
        return {name: self.nodes(name) for name in sorted(self._listings)}

    def _changed(self, names: Iterable[str]) -> None:
        for name in names:
            self._sorted.pop(name, None)
        self.watches.changed(names)

    def _expire(self) -> None:
        """Drops what ran out; costs one look at the clock as long as nothing can have."""
        now = self._now()
        if now < self._next_expiry:
            return
        self._next_expiry = float("inf")
        for lease in [lease for lease in self._leases.values() if lease.expires <= now]:
            self.remove(lease)
        if self._leases:
            self._wait_for(min(lease.expires for lease in self._leases.values()))

    def _wait_for(self, expiry: float) -> None:
        # Renewing moves no timer: it fires, finds later expiries, and waits for the first of them.
        if expiry < self._next_expiry:
            self._next_expiry = expiry
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, self._next_expiry - self._now())
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._expire()
        if self._leases and self._timer is None:  # The loop's clock is not the leases': this was too early.
            self._set_timer()
