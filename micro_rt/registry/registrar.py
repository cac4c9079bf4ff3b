"""The registrar: keeps a process listed for as long as it serves, whatever happens to the registry.

The rules that it keeps, and why:

- ``start`` registers once and raises what the registry raises: a service that cannot be found must not seem to have
  started. From then on, no error ends the registrar.
- Heartbeats come every third of the time to live, so that two may fail before the lease runs out. They are spread by a
  tenth, so that processes that were started together do not beat together.
- One attempt gets at most the time between two heartbeats: an attempt that hangs must leave time for others.
- During an outage, attempts follow each other with back-off, up to the usual interval. The outage is logged once when
  it begins and once when it is over, and ``problem`` says why meanwhile.
- A lease that the registry has lost is registered anew at once, under the same id.
- ``replace`` registers another node under the same id at once. Until the registry has taken it, the older lease is kept, and
  not renewed: ``stop`` can still revoke it, and what it lists must not outlive its time.
- A lease that is older than its time to live, by this process's own clock, is registered anew and not renewed: some
  registries would accept the renewal and have dropped what it is for. That happens after a loop was blocked or a
  machine slept.
- The age of a lease counts from the moment before its renewal was sent. The registry may have started its time later,
  never earlier, so this process never believes longer than the registry.
- The clock is the boot clock: it goes on while the machine is suspended, as the registry's does, and setting the time
  of day does not move it. The timers of a loop stand still in a suspend, so the registrar looks at the boot clock every
  two seconds: after a suspend, a heartbeat that is due comes at once, and not after the rest of its wait.
- ``stop`` waits for a registration that is under way. If it were cancelled, a lease could remain that nobody holds.
- ``stop`` has a time limit, because a service must be able to end without its registry: then the lease runs out by
  itself.
"""

from __future__ import annotations

import asyncio

from micro_rt.errors import FailedPrecondition
from micro_rt.kit import backoff
from micro_rt.kit.chance import spread
from micro_rt.kit.clock import boot_clock, loop_time
from micro_rt.kit.tasks import wait_for_event
from micro_rt.logs import logger
from micro_rt.registry.base import LEASE_TTL, Lease, LeaseLost, Registration, Registry

__all__ = ["Registrar"]

_FIRST_RETRY = 0.2
"""Seconds; the bound of the first random wait in an outage, doubled each time up to the time between heartbeats."""
_LOOK = 2.0
"""Seconds between two looks at the boot clock; less costs an idle process more."""
_log = logger("micro_rt.registry")


class Registrar:
    """Keeps one registration alive: registers it, renews its lease, and registers it anew when the lease is lost.

    An outage of the registry is logged once when it begins and once when it is over.

    Args:
        registry: open for as long as this is started.
        registration: what to list.
        ttl: seconds that it stays listed without a heartbeat; heartbeats come every third of it.
    """

    def __init__(self, registry: Registry, registration: Registration, *, ttl: float = LEASE_TTL) -> None:
        self._registry = registry
        self._registration = registration
        self._ttl = ttl
        self._interval = ttl / 3
        self._now = boot_clock().now
        self._lease: Lease | None = None
        self._listed: Registration | None = None
        """What the lease is for."""
        self._alive_at = 0.0
        self._failures = 0
        self._failure = ""
        self._stopping = False
        self._due = asyncio.Event()
        """Set when there is something to do before the next heartbeat."""
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """Why the lease cannot be renewed now; empty if it can."""
        return f"the lease of {self._id} cannot be renewed: {self._failure}" if self._failures else ""

    async def start(self) -> None:
        """Registers, and keeps it so until ``stop``.

        Raises:
            micro.Error: the registry did not take the registration; nothing goes on in the background then.
        """
        if self._task is not None:
            raise FailedPrecondition("the registrar is started already")
        self._stopping = False
        self._due.clear()
        await self._register()
        self._task = asyncio.create_task(self._keep(), name=f"registrar of {self._registration.node.id}")

    def replace(self, registration: Registration) -> None:
        """Lists another registration in place of the present one, as soon as the registry takes it.

        Args:
            registration: of a node with the same id.

        Raises:
            ValueError: the node has another id, so both would be listed.
        """
        if registration.node.id != self._id:
            raise ValueError(f"{registration.node.id} cannot take the place of {self._id}: the ids differ")
        self._registration = registration
        self._due.set()

    async def stop(self, timeout: float = 5.0) -> None:
        """Removes the registration; does nothing if it is not started.

        Args:
            timeout: seconds that the registry has for it; after them the lease is left to run out.
        """
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        self._due.set()
        try:
            async with asyncio.timeout(timeout):
                # A registration under way is waited for: cancelled, it would leave a lease that nobody holds.
                await asyncio.wait((task,))
                if self._lease is not None:
                    await self._lease.revoke()
        except Exception as error:
            _log.warning("%s stays listed until its lease runs out: %s", self._registration.node.id, _text(error))
        finally:
            self._lease = None
            task.cancel()
            await asyncio.wait((task,))

    async def _keep(self) -> None:
        while True:
            await self._wait(self._pause())
            if self._stopping:
                return
            self._due.clear()
            try:
                # An attempt that hangs must leave time for others before the lease runs out.
                async with asyncio.timeout(self._interval):
                    await self._beat()
            except Exception as error:
                # Whatever a registry raises: a server that goes on serving must not vanish from it.
                self._failures += 1
                self._failure = _text(error)
                if self._failures == 1:
                    _log.warning("cannot renew the lease of %s, and will go on trying: %s", self._id, _text(error))
                continue
            if self._failures:
                _log.info("the lease of %s is renewed again after %d failures", self._id, self._failures)
                self._failures = 0

    async def _wait(self, seconds: float) -> None:
        """Waits for that long on the boot clock or the loop's, whichever is over first, or until something is due at once."""
        due, due_in_loop = self._now() + seconds, loop_time() + seconds
        while True:
            left = min(due - self._now(), due_in_loop - loop_time())
            if await wait_for_event(self._due, min(left, _LOOK)) or left <= _LOOK:
                return

    async def _beat(self) -> None:
        if self._lease is not None and self._is_current():
            sent_at = self._now()
            try:
                await self._lease.renew()
            except LeaseLost as lost:
                _log.info("%s is registered anew: %s", self._id, lost)
            else:
                self._alive_at = sent_at
                return
        # Also after a loop that was blocked, or a machine that slept, for longer than the lease: some registries would
        # take the renewal, and yet have dropped what it is for.
        await self._register()

    def _is_current(self) -> bool:
        return self._listed is self._registration and self._now() - self._alive_at < self._ttl

    async def _register(self) -> None:
        sent_at = self._now()
        registration = self._registration  # It may be replaced meanwhile.
        self._lease = await self._registry.register(registration, ttl=self._ttl)
        self._listed = registration
        self._alive_at = sent_at

    def _pause(self) -> float:
        """Seconds until the next attempt, spread so that processes started together do not beat together."""
        if self._failures:
            return backoff.delay(self._failures, _FIRST_RETRY, self._interval)
        return spread(self._interval, 0.1)

    @property
    def _id(self) -> str:
        return self._registration.node.id


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
