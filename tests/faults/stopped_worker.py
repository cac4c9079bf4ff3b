"""The process that ``test_stopped_processes`` stops: it stops itself at a moment of a write, and ends when it is resumed.

The moments: ``turn`` (it has the turn, and not SQLite's lock yet), ``lock`` (it has both), ``write`` (it has SQLite's lock, within a
transaction), ``exclusive`` (it keeps others from opening the file), and ``commit`` (right after its commit).
"""

import asyncio
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.sqlite import Connection
from micro_rt.backends.local.turns import Turns
from micro_rt.broker.base import OutgoingRecord


def stop() -> None:
    """Stops the process. The signal goes to this thread, so that it is the first to stop: others may run a little longer."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def with_a_turn(path: Path, then_lock: bool) -> None:
    turns = Turns(path.with_name(f"{path.name}-turns"))
    assert turns.wait()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if then_lock:
            connection.execute("BEGIN IMMEDIATE")
        stop()
        turns.done()
        if then_lock:
            connection.execute("COMMIT")
    turns.close()


def with_the_file_for_itself(path: Path) -> None:
    """Does what SQLite does when the last connection of a file is closed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        stop()
        connection.execute("COMMIT")


async def while_it_writes(home: str) -> None:
    def write(connection: Connection) -> None:
        connection.execute("UPDATE groups SET revision = revision + 1")
        stop()

    broker = LocalBroker(home=home)
    await broker.open()
    assert broker._file is not None  # pyright: ignore[reportPrivateUsage]  # Nothing public stops in the middle of a write.
    await broker._file.database.write(write)  # pyright: ignore[reportPrivateUsage]
    await broker.close()


async def after_it_wrote(home: str) -> None:
    broker = LocalBroker(home=home)
    await broker.open()
    await broker.publish([OutgoingRecord("t", b"of the worker", b"k")])
    stop()
    await broker.close()


def main(moment: str, home: str) -> None:
    path = Path(home, "default", "broker.db")
    if moment in ("turn", "lock"):
        with_a_turn(path, moment == "lock")
    elif moment == "exclusive":
        with_the_file_for_itself(path)
    elif moment == "write":
        asyncio.run(while_it_writes(home))
    else:
        asyncio.run(after_it_wrote(home))


if __name__ == "__main__":
    main(*sys.argv[1:])
