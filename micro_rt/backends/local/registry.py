"""Registry ``local:``: for all processes on this machine, in one SQLite file in the state folder; the default."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TypeVar

from micro_rt.backends.local.registry_file import LocalLease, RegistryFile
from micro_rt.backends.local.state import Sync, options_of, read_owner_option, read_sync, state_owner, state_path
from micro_rt.errors import FailedPrecondition
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.ownership import Owner
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.logs import logger
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, Registration, Registry, check_ttl
from micro_rt.registry.watch import Watch

__all__ = ["LocalRegistry"]

_log = logger("micro_rt.registry")
T = TypeVar("T")


class LocalRegistry(Registry):
    """Lists nodes in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (what is written survives a loss of power, not only a kill) and
            ``owner`` (the number of a user whose state folder is accepted too, or ``any``).
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what leases are measured with.
    """

    loopback = True
    propagation = 0.25  # Twice the time between two looks at the file, and a little.

    def __init__(
        self,
        address: str = "local:",
        *,
        home: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options_of(address)
        self._sync: Sync = read_sync(options)
        self._owner: Owner = read_owner_option(options)
        options.end()
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[RegistryFile] | None = None
        self._file: RegistryFile | None = None

    @property
    def problem(self) -> str:
        """Why nodes cannot be listed, or their leases cannot be renewed, as far as it knows; empty if they can."""
        return "" if self._file is None else self._file.problem

    async def open(self) -> None:
        """Opens the file, making it if there is none.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        path = state_path("registry", self._home, self._namespace)
        clock = self._clock or boot_clock()
        owner = state_owner(self._owner)
        self._shared = Shared(
            ("registry", path, self._sync, owner, clock), lambda: RegistryFile(path, self._sync, owner, clock)
        )
        self._file = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every watch and gives the file back; leases stay until they run out."""
        if self._file is not None and self._shared is not None:
            self._file.watches.close(self)
            self._file = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node.

        Raises:
            ResourceExhausted: the disk is full; a node that is listed can be registered again all the same.
        """
        check_ttl(ttl)
        file = self._open_file()
        lease = LocalLease(self._open_file, registration.node.id, ttl)
        try:
            await file.add(lease, registration)
        except asyncio.CancelledError:
            # Nobody will have the lease; it goes behind what was asked for, if that still happens.
            file.revoke_later(lease)
            raise
        file.sweep_later()
        return lease

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return await self._open_file().nodes(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        return self._open_file().watch(name, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        return await self._open_file().names()

    def _open_file(self) -> RegistryFile:
        if self._file is None:
            raise FailedPrecondition(f"registry {without_secrets(self._address)} is not open")
        return self._file
