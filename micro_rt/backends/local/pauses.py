"""Leases and sessions after a pause of the machine: which have run out, and which only could not be renewed.

The rules that it keeps, and why:

- When the machine is suspended, a virtual machine is paused or all processes are stopped, no owner can renew its lease. A process
  that then compares leases with the clock would take every service of the machine for gone.
- A process sees a pause in two ways. The boot clock ran ahead of the monotonic clock, which stands still in a suspend. Or the
  process itself, which looks many times a second while it watches, did not look for more than a second.
- A lease that was valid when the pause began stays valid for one heartbeat after it, so that its owner can renew it. A lease that
  had run out before stays run out: the pause makes no difference to it.
- That time counts while this process runs: another pause does not shorten it. Yet each pause takes a second of it, and a lease gets
  it once, so that a process that always waits for the processor does not keep dead nodes.
- A process that neither watches nor was suspended cannot tell a pause from having nothing to do, and takes leases as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from micro_rt.kit.clock import Clock, monotonic
from micro_rt.registry.base import LEASE_TTL

__all__ = ["HEARTBEAT", "Pauses"]

HEARTBEAT = LEASE_TTL / 3
"""Seconds that leases of the registry have to be renewed after a pause."""
_PAUSE = 1.0
"""Seconds; what is shorter is no pause: a lease outlives it."""


class Pauses:
    """Says until when leases are taken to have run out; may be called from any thread.

    Args:
        clock: what leases are measured with.
        heartbeat: seconds that leases have to be renewed after a pause.
        awake: returns the seconds on a clock that stands still while the machine is suspended.
    """

    def __init__(self, clock: Clock, heartbeat: float = HEARTBEAT, awake: Callable[[], float] = monotonic) -> None:
        self._now = clock.now
        self._heartbeat = heartbeat
        self._awake = awake
        self._lock = threading.Lock()
        self._last = (self._now(), self._awake())
        self._regular = False
        self._pauses: list[tuple[float, float]] = []
        """When each pause began, and until when the leases that were valid then have time."""

    def end_of_leases(self, regular: bool | None = None) -> float:
        """Returns the time on the clock of leases: those that ran out by then are over, the others are valid.

        Args:
            regular: whether it will be called again within a fraction of a second; None if this call changes nothing in that.
        """
        with self._lock:
            now, awake = self._now(), self._awake()
            last, was_awake = self._last
            passed = now - last
            if passed > _PAUSE and (self._regular or passed - (awake - was_awake) > _PAUSE):
                self._pauses = [(began, until + passed - _PAUSE) for began, until in self._pauses]
                self._pauses.append((last, now + self._heartbeat))
            self._pauses = [pause for pause in self._pauses if pause[1] > now]
            self._last = (now, awake)
            if regular is not None:
                self._regular = regular
            return min((began for began, _ in self._pauses), default=now)
