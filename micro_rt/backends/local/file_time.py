"""The time that retention and expiry are measured with: a clock in a file of ``local:`` that no change of a wall clock moves.

The rules that it keeps, and why:

- The file has one row with the seconds that have passed on its clock, and the reading of a boot clock at which this was so.
  A process of the same boot adds what has passed on that clock since: all of them read the same time, and all of it has
  passed.
- The wall clock alone adds nothing. A machine without a battery clock starts in 1970 and jumps when it reaches a time
  server, and any clock may be wrong for a moment; that must not delete what nobody has read.
- After a reboot, the time from the start of the machine until now has passed: the boot clock says so, as long as the wall
  clock agrees that as much has passed since the row was written. If it does not agree, the file may come from another machine.
- The time for which the machine was off does not count. Nothing could confirm it, and nothing was published either: the file
  does not become larger by it.
- Where two clocks cannot be compared (the system has no boot clock, or processes of two machines use the file), each process
  adds what it has measured itself since it last did, as long as the wall clock agrees that as much has passed since another
  process did.
- So no more time passes on it than has passed, whatever the clocks do: what is kept for a time is kept for that time at least.
- The row is written every ten minutes, or more often where times are short: a reboot loses the time since then.
"""

from __future__ import annotations

from sqlite3 import Connection

from micro_rt.kit.clock import Clock, boot_of, monotonic, wall_time
from micro_rt.kit.ids import new_id

__all__ = ["FileTime"]

_STORE = (10.0, 600.0)
"""Seconds after which the time is written again: the 64th part of the shortest time, within these bounds. A reboot loses them."""
_PROCESS = "process "
"""How the epoch of a clock begins that only one process reads."""
_OWN = 120.0
"""Seconds that a process confirms at most since it last did; it looks twice in that time, unless it did not run."""


class FileTime:
    """Reads and advances the clock of a file, for one process.

    Args:
        clock: the boot clock; one that jumps is replaced by the process's own monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = Clock(monotonic, f"{_PROCESS}{new_id()}") if clock.jumps else clock
        self._own: tuple[int, float] | None = None
        """The file, and when this process last advanced its clock."""

    def now(self, connection: Connection) -> float:
        """Returns the seconds on the clock of the file: exact if it was advanced in this boot, else no more than there are."""
        seconds, epoch, at = connection.execute("SELECT seconds, epoch, at FROM clock").fetchone()
        return float(seconds) + (max(0.0, self._clock.now() - at) if epoch == self._clock.epoch else 0.0)

    def now_to_write(self, connection: Connection) -> float:
        """Returns the seconds on the clock of the file, within a write: exact, also if it was not advanced in this boot yet."""
        seconds, epoch, at = connection.execute("SELECT seconds, epoch, at FROM clock").fetchone()
        if epoch != self._clock.epoch:
            return self.advance(connection)
        return float(seconds + max(0.0, self._clock.now() - at))

    def is_exact(self, connection: Connection) -> bool:
        """Returns whether ``now`` is exact: the clock was advanced in this boot."""
        (epoch,) = connection.execute("SELECT epoch FROM clock").fetchone()
        return bool(epoch == self._clock.epoch)

    def outdated(self, connection: Connection, shortest: float) -> bool:
        """Returns whether the clock is to be advanced, because time would be lost or not be counted.

        Args:
            connection: to the file.
            shortest: seconds of the shortest time that is measured with it.
        """
        seconds, epoch = connection.execute("SELECT seconds, epoch FROM clock").fetchone()
        store = min(max(_STORE[0], shortest / 64), _STORE[1])
        return bool(epoch != self._clock.epoch or self.now(connection) - seconds >= store)

    def advance(self, connection: Connection) -> float:
        """Adds the time that has passed, within a write; returns the seconds on the clock of the file."""
        file, seconds, epoch, at, wall = connection.execute(
            "SELECT file, seconds, epoch, at, wall FROM clock"
        ).fetchone()
        now, today = self._clock.now(), wall_time()
        passed = now - at if epoch == self._clock.epoch else min(self._confirmed(file, epoch, now), today - wall)
        seconds += max(0.0, passed)
        self._own = (file, now)
        connection.execute(
            "UPDATE clock SET seconds = ?, epoch = ?, at = ?, wall = ?", (seconds, self._clock.epoch, now, today)
        )
        return float(seconds)

    def _confirmed(self, file: int, epoch: str, now: float) -> float:
        """Returns the seconds that have passed, by this clock alone, since a clock that cannot be compared advanced the file's."""
        if self._own is not None and self._own[0] == file:
            return min(now - self._own[1], _OWN)
        another_boot = epoch and not epoch.startswith(_PROCESS) and boot_of(epoch) != boot_of(self._clock.epoch)
        return now if another_boot and self._clock.from_boot else 0.0
