"""The interface of a registry, and what every registry promises.

- A node is registered under several names with one lease, and every name appears and goes with it.
- A lease that is not renewed within its time to live runs out, and its node goes from every name: a process
  that is killed does not stay listed.
- A renewal that did not reach the registry is not a success, also right after one that failed: else its process believes that
  it is listed, and says so in its log and its health.
- ``watch`` gives the present nodes first, then the nodes after each change; nothing is missed for good, and
  the same state is not given twice in a row, also when the registry was out of reach meanwhile.
- ``resolve`` and ``watch`` never cache: what is registered is found at once. An unknown name has no nodes.
- The nodes of a name come in the order of their ids, however they are asked for.
- What is registered by one process is seen by every other that uses the same address.
- Everything about a node comes back as it was registered, whatever characters it holds.
- A registration of the same node id replaces the one before it; the older lease can neither renew nor remove the newer one.
- Of two nodes at one address, the one that was registered later has the larger ``Node.registered``. The older one stays
  listed until its lease ends: clients leave it out, because what listens there is the newer one.
- A registry can be opened again after it was closed, and closed twice. Closing it does not end its leases.

The address of a registry is the only argument of its class: ``Service(registry="acme://host")`` calls the entry point ``acme`` with
``"acme://host"``. A ``ValueError`` says what is wrong with an address.

``micro_rt.testing.contracts.RegistryContract`` checks these promises.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from micro_rt.node import Node
from micro_rt.registry.watch import Watch, Watches

__all__ = ["LEASE_TTL", "Lease", "LeaseLost", "Registration", "Registry", "Watch", "Watches", "check_ttl"]

LEASE_TTL = 30.0
"""Seconds that a node stays listed without a heartbeat; heartbeats come every third of it."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A node and the names under which it is to be found."""

    node: Node
    names: tuple[str, ...]


class LeaseLost(Exception):  # noqa: N818 - the field's word, like the errors in micro_rt.errors
    """The lease ran out, or the registry lost it: register again."""


class Lease(ABC):
    """A registration that lives as long as it is renewed."""

    @abstractmethod
    async def renew(self) -> None:
        """Starts the time to live anew.

        Raises:
            LeaseLost: there is nothing left to renew.
            Unavailable: the registry cannot be reached, or nothing could be sent; the lease may still be there.
        """

    @abstractmethod
    async def revoke(self) -> None:
        """Removes the registration; does nothing if it is gone."""


class Registry(ABC):
    """Who serves what; found by the scheme of its address in the entry points ``micro_rt.registry``.

    A registry is opened before use and closed after it, in the loop that uses it.
    """

    loopback: bool = False
    """Whether only processes on this machine can see it, so that a loopback address is good enough."""
    propagation: float = 1.0
    """Seconds until every watcher has seen a change."""

    @property
    def problem(self) -> str:
        """What keeps it from seeing the present state, as far as it knows; empty if nothing does."""
        return ""

    @abstractmethod
    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: it cannot be reached; the message says where it was looked for and what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Ends every watch and disconnects; leases stay until they run out."""

    @abstractmethod
    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node, replacing what it registered before under the same id.

        Args:
            registration: the node and its names.
            ttl: seconds that it stays listed without being renewed; ``check_ttl`` says which are refused.

        Raises:
            Unavailable: the registry cannot be reached.
            ValueError: ``ttl`` is not a finite number above 0.
        """

    @abstractmethod
    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids; none if nobody serves it."""

    @abstractmethod
    def watch(self, name: str) -> AsyncIterator[tuple[Node, ...]]:
        """Gives the nodes of a name now, and again after each change; ends when the registry is closed.

        A consumer that is slower than the changes gets the newest state, not all of them. What it returns is for
        one consumer; it has an ``aclose()``, and leaves nothing behind when it is dropped without. ``Watches`` makes such
        iterators for any engine that can say which names have changed.
        """

    @abstractmethod
    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""


def check_ttl(ttl: float) -> None:
    """Checks the time to live of a lease.

    Args:
        ttl: seconds.

    Raises:
        ValueError: it is not a finite number above 0.
    """
    if not 0 < ttl < math.inf:
        raise ValueError(f"ttl must be a number of seconds greater than 0, not {ttl!r}")
