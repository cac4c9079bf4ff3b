"""Sync ``local:``, the default: locks for all processes on this machine, in one SQLite file in the state folder.

They have a file of their own, ``sync.db``, and not tables in that of the registry: each renewal is a commit, which would wake whoever
watches nodes; the registry may be deleted at any time, and tokens must not begin anew with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from micro_rt.backends.local.state import Sync, options_of, read_owner_option, read_sync, state_owner, state_path
from micro_rt.backends.local.sync_claims import Lock, Request
from micro_rt.backends.local.sync_file import Seat, SyncFile
from micro_rt.errors import FailedPrecondition
from micro_rt.kit.address import seconds
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.ownership import Owner
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import wait_for_event
from micro_rt.sync.base import TIMEOUT, Capabilities, Claim, Grant, Observed, SyncEngine

__all__ = ["LocalSync"]


class LocalSync(SyncEngine):
    """Keeps locks in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (each commit waits for the disk), ``timeout`` (seconds that a request may
            take, 10 if not given) and ``owner`` (the number of a user whose state folder is accepted too, or ``any``).
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what the ttl is measured with.
    """

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
        self.timeout = options.read("timeout", seconds, TIMEOUT)
        options.end()
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[SyncFile] | None = None
        self._file: SyncFile | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Locks of 0.5 s and more, granted in order to the processes of this machine; all of them read one clock."""
        durable = self._sync == "full" or self._file is None or self._file.durable
        return Capabilities(min_ttl=0.5, margin=0.0, fair=True, shared=True, durable=durable)

    @property
    def name(self) -> str:
        """The address."""
        return f"sync {without_secrets(self._address)}"

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        return "" if self._file is None else self._file.problem

    async def open(self) -> None:
        """Opens the file, and creates it if it is missing.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        if self._file is not None:
            raise RuntimeError(f"{self.name} is open already")
        path = state_path("sync", self._home, self._namespace)
        clock = self._clock or boot_clock()
        owner = state_owner(self._owner)
        self._shared = Shared(
            ("sync", path, self._sync, owner, clock), lambda: SyncFile(path, self._sync, owner, clock)
        )
        self._file = await self._shared.acquire()

    async def close(self) -> None:
        """Gives the file back; claims that were not released end with their ttl."""
        if self._file is not None and self._shared is not None:
            self._file = None
            await self._shared.release()

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim."""
        self._opened()
        return _LocalClaim(self._opened, Request(Lock(name, seats), id, ttl, value))

    async def observe(self, name: str) -> Observed:
        """Returns who has a lock.

        Raises:
            DataLoss: the file is damaged.
            Unavailable: it cannot be read for another reason.
        """
        holder, epoch = await self._opened().holder(name)
        return Observed(holder, (epoch, 0 if holder is None else holder.token))

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until the lock may have another holder."""
        with self._opened().observed(name) as event:
            if (await self.observe(name)).position == position:
                await wait_for_event(event, seconds)

    def _opened(self) -> SyncFile:
        if self._file is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._file


class _LocalClaim(Claim):
    """A claim.

    Args:
        file: returns the file, as long as the engine is open.
        request: what it asks for.
    """

    def __init__(self, file: Callable[[], SyncFile], request: Request) -> None:
        self._file = file
        self._seat = Seat(request)
        self._asked = False
        """Whether the file may have it."""
        self._left = False
        """Whether the file has it no more."""

    async def acquire(self) -> Grant | None:
        """Asks for the seat.

        Raises:
            ResourceExhausted: the disk is full; what is held stays held.
            Unavailable: the file cannot be written.
        """
        seat = self._seat
        if seat.gone:
            return None
        file = self._file()
        self._asked = True
        return Grant(seat.epoch, seat.token) if await file.enter(seat) else None

    async def changed(self, seconds: float) -> None:
        """Waits until it may have been granted."""
        seat = self._seat
        if seat.gone:
            await asyncio.sleep(min(seconds, 0.1))  # Whoever asks again and again must not keep the loop.
        elif not seat.token:
            await self._file().wait(seat, seconds)

    async def renew(self) -> bool:
        """Starts its time anew; returns False if it is gone."""
        if self._seat.gone or not self._asked:
            return False
        return await self._file().renew(self._seat)

    async def lost(self) -> str:
        """Waits until it is gone."""
        return await self._file().ended(self._seat)

    async def release(self) -> bool:
        """Gives it up."""
        file = self._file()
        if self._left or not self._asked:
            file.forget(self._seat)
            self._left = True
            return False
        held = await file.leave(self._seat)
        self._left = True
        return held
