"""What a state file may hold that nothing of micro-rt wrote into it: operations on it raise ``DataLoss``, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from micro_rt.backends.local.open_files import Connection
from micro_rt.errors import DataLoss

__all__ = ["Damaged", "guarded"]

T = TypeVar("T")


class Damaged(Exception):  # noqa: N818 - a signal within this backend
    """The file holds what micro-rt does not write; the message says what, without values."""


def guarded(path: Path, part: str, largest: int, operation: Callable[[Connection], T], connection: Connection) -> T:
    """Runs an operation.

    Args:
        path: of the file.
        part: that writes it, for the error: ``"store"``.
        largest: bytes of a row; nothing larger is read.
        operation: what to run.
        connection: to the file.

    Raises:
        DataLoss: the file holds what this part does not write.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, largest)
    try:
        return operation(connection)
    except Damaged as error:
        raise _lost(path, part, str(error)) from None
    except (TypeError, ValueError, OverflowError) as error:  # Their messages may hold what is stored.
        raise _lost(path, part, type(error).__name__) from error
    except sqlite3.DataError as error:
        raise _lost(path, part, str(error)) from None
    except sqlite3.OperationalError as error:
        # Such as a table or a column that is missing, or text that is not UTF-8, which has no code.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise
        raise _lost(path, part, str(error)) from None


def _lost(path: Path, part: str, why: str) -> DataLoss:
    return DataLoss(
        f"{path} holds what no {part} of micro-rt writes ({why}): stop what uses it, move it away with its -wal "
        "and -shm, and restore a backup, or begin with a new one"
    )
