"""The time that the retention of events is measured with: the clock of their file.

A record is kept for its retention at least, whatever the clocks do: see ``file_time``. The row is written only while records are
kept: a file without any is not written.
"""

from __future__ import annotations

from sqlite3 import Connection

from micro_rt.backends.local.file_time import FileTime

__all__ = ["LogTime"]


class LogTime(FileTime):
    """Reads and advances the clock of a file of events, for one process.

    Args:
        clock: the boot clock; one that jumps is replaced by the process's own monotonic clock.
    """

    def due(self, connection: Connection) -> bool:
        """Returns whether the clock is to be advanced: records are kept, and time would be lost or not be counted."""
        (shortest,) = connection.execute(
            "SELECT min(retention) FROM topics WHERE EXISTS (SELECT 1 FROM partitions WHERE next > first)"
        ).fetchone()
        return shortest is not None and self.outdated(connection, shortest)
