"""Notifications of PostgreSQL, which wake watches in other processes. They are no more than that: a watch also looks by itself.

- A notification is sent after a write, not with it, and 50 ms apart: it takes a lock of the whole server when it is committed.
- The listener has a connection of its own. When that is lost, it connects again, and then has every watch look.
- Whether notifications arrive at all is tried out, because a pooler may be in between. If they do not, watches look more often.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from micro_rt.backends.postgresql.failures import RAW
from micro_rt.backends.postgresql.pool import Connection, Pool
from micro_rt.errors import Error
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.logs import logger

__all__ = ["Listener", "Notifier"]

APART = 0.05
"""Seconds between two notifications of a store."""
CHECK = 10.0
"""Seconds after which the connection of the listener is tried out."""
ANSWER = 5.0
"""Seconds that an answer on it may take."""
_BACKOFF = (0.1, 5.0)

_log = logger("micro_rt.store")


class Notifier:
    """Tells other processes that something has changed.

    Args:
        pool: the connections.
        channel: the name of the notifications.
        tasks: of the store.
    """

    def __init__(self, pool: Pool, channel: str, tasks: TaskSet[None]) -> None:
        self._pool = pool
        self._channel = channel
        self._tasks = tasks
        self._sent = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def notify(self) -> None:
        """Sends a notification, now or soon."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._sent + APART), self._start)

    def close(self) -> None:
        """Sends nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = None
        self._sent = loop_time()
        self._tasks.start(self._send(), name="store notification")

    async def _send(self) -> None:
        with contextlib.suppress(Error):  # The watches look by themselves.
            await self._pool.rows("SELECT pg_notify($1::text, '')", self._channel)


class Listener:
    """Hears the notifications of other processes.

    Args:
        pool: makes the connection.
        channel: the name of the notifications.
        ring: called when something may have changed.
    """

    def __init__(self, pool: Pool, channel: str, ring: Callable[[], None]) -> None:
        self._pool = pool
        self._channel = channel
        self._ring = ring
        self._tasks: TaskSet[None] = TaskSet()
        self.hears = False
        """Whether notifications arrive."""
        self.connection: Connection | None = None
        """Its own; None while it has none."""

    def start(self) -> None:
        """Begins to listen."""
        if not len(self._tasks):
            self._tasks.start(self._run(), name="store listener")

    async def stop(self) -> None:
        """Ends listening."""
        await self._tasks.end()

    async def _run(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            try:
                self.connection = await self._pool.connect()
                await self._listen(self.connection, backoff)
            except Error as error:
                _log.debug("the store hears no notifications: %s", error)
            except RAW as error:
                _log.debug("the store hears no notifications any more: %s", error)
            finally:
                self.hears = False
                connection, self.connection = self.connection, None
                if connection is not None:
                    connection.terminate()
            self._ring()  # So that the watches look more often from now on.
            await asyncio.sleep(backoff.failed())

    async def _listen(self, connection: Connection, backoff: Backoff) -> None:
        """Listens until the connection is lost, or does not answer."""
        lost, heard = asyncio.Event(), asyncio.Event()

        def hear(*_: object) -> None:
            heard.set()
            self._ring()

        connection.add_termination_listener(lambda _: lost.set())
        async with asyncio.timeout(ANSWER):
            await connection.add_listener(self._channel, hear)
        while not lost.is_set():
            heard.clear()
            async with asyncio.timeout(ANSWER):
                await connection.execute("SELECT pg_notify($1::text, '')", self._channel)
            hears = await wait_for_event(heard, ANSWER)
            if hears and not self.hears:
                backoff.succeeded()
            self.hears = hears
            await wait_for_event(lost, CHECK)
