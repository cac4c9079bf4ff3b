"""Connections to one database, shared by all that a part does there.

Rules, each with the fault that it avoids (all were seen with asyncpg 0.32 and its own pool):

- The time of a call includes the wait for a connection. asyncpg's ``pool.fetch(timeout=…)`` bounds the statement alone, and waits
  for a connection for ever.
- A connection whose statement did not end, for whatever reason, is aborted at once and never used again. asyncpg asks the server to
  cancel the statement and waits for the answer, which a server that is frozen never gives.
- A cancellation stays a cancellation. With a timeout of its own, asyncpg's release turns it into a ``TimeoutError``.
- A statement that was cancelled or cut off may have been committed: its error says so. One that was provably not sent says that, too.
- A connection that a cancelled call waited for goes to the next one that waits; a connection that is being made is closed.
- No statement changes a session, so nothing is reset between two uses: CockroachDB lacks half of what asyncpg's reset consists of.
- Closing takes bounded time, also if the server does not answer.
- Nothing but ``micro.Error`` and ``CancelledError`` leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from micro_rt.backends.postgresql.address import PostgreSQLAddress
from micro_rt.backends.postgresql.connecting import Connection, Connector
from micro_rt.backends.postgresql.failures import RAW, is_transient, running
from micro_rt.errors import DeadlineExceeded, Error, FailedPrecondition, ResourceExhausted, Unavailable
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet

__all__ = ["NO_LIMIT", "Connection", "Pool", "transaction"]

CLOSE = 1.0
"""Seconds that closing waits for a server to say goodbye."""
RETRY = (0.005, 0.5)
"""Seconds until a statement that lost against a concurrent one is sent again: after the first time, and at most."""
NO_LIMIT = math.inf
"""Seconds that something may take whose caller bounds it by cancelling it."""
FREE = 0.9
"""Part of the time of a call that it waits for a connection, so that its error can still say that none was free."""

T = TypeVar("T")


class Pool:
    """The connections of one part to one database; opened before use, in the loop that uses it.

    Args:
        address: of the database.
        part: what it is for, in errors: ``"store"``.
    """

    def __init__(self, address: PostgreSQLAddress, *, part: str = "store") -> None:
        self.address = address
        self.problem = ""
        """Why the last statement was not answered; empty if it was."""
        self._part = part
        self._connector = Connector(address, part)
        self._opened = False
        self._size = 0
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        """Those that wait: each gets a connection, or None if it may make one."""
        self._closing: TaskSet[None] = TaskSet()

    @property
    def size(self) -> int:
        """How many connections there are, or are being made."""
        return self._size

    @property
    def idle(self) -> int:
        """How many of them nobody uses."""
        return len(self._idle)

    async def open(self) -> None:
        """Connects once, so that an address that is wrong is found out now.

        Raises:
            Error: it cannot be connected to; the message says where, why, and what to do.
        """
        self._opened = True
        try:
            await self.run(_nothing)
        except BaseException:
            self._opened = False
            raise

    async def close(self) -> None:
        """Closes every connection. Statements that run are cut off, and those who wait for a connection get an error."""
        self._opened = False
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(self._not_open())
        idle, self._idle = self._idle, []
        self._size -= len(idle)
        for connection in idle:
            self._closing.start(_say_goodbye(connection))
        for connection in list(self._used):
            connection.terminate()
        try:
            await self._closing.wait()
        finally:
            for connection in idle:
                connection.terminate()

    async def rows(
        self, sql: str, *args: object, repeat: bool = False, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Returns the rows that one statement returns.

        Args:
            sql: the statement.
            args: of its parameters.
            repeat: whether it may be sent again after a connection was lost: it reads, or doing it twice does no harm.
            timeout: see ``run``.

        Raises:
            Error: it failed; ``may_have_run`` is False if it was provably not done.
        """
        return await self.run(lambda connection: connection.fetch(sql, *args), repeat=repeat, timeout=timeout)

    async def many(
        self, sql: str, args: Sequence[Sequence[object]], *, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Returns the rows of one statement that is executed for each of several rows of arguments, in one transaction."""
        return await self.run(lambda connection: connection.fetchmany(sql, args), timeout=timeout)

    async def run(
        self, work: Callable[[Connection], Awaitable[T]], *, repeat: bool = False, timeout: float | None = None
    ) -> T:
        """Does something with a connection. A statement that lost against a concurrent one is done again, within the deadline.

        Args:
            work: gets the connection. It does all that it does again if that lost against another; so it is one statement, or one
                transaction.
            repeat: whether it may be done again after a connection was lost.
            timeout: seconds that it may take, with the wait for a connection; None for those of the address. With ``NO_LIMIT``,
                the wait for a connection alone is bounded.

        Raises:
            Error: it failed; ``may_have_run`` is False if it was provably not done.
        """
        deadline = NO_LIMIT if timeout == NO_LIMIT else loop_time() + (timeout or self.address.timeout)
        opened, lost = self._opened, 0
        backoff: Backoff | None = None
        while True:
            try:
                result = await self._once(work, deadline)
            except Error as error:
                if opened and not self._opened:
                    raise self._closed(error) from None
                again = is_transient(error)
                if repeat and isinstance(error, Unavailable) and error.may_have_run:
                    # Every connection that was idle may be lost for the same reason.
                    lost += 1
                    again = lost <= self.address.pool + 1
                backoff = backoff or Backoff(*RETRY)
                wait = backoff.failed()
                if not again or loop_time() + wait >= deadline:
                    self.problem = error.message
                    raise
                await asyncio.sleep(wait)
            else:
                self.problem = ""
                return result

    async def connect(self) -> Connection:
        """Makes a connection of the caller's own, beside the pool; it ends it with ``terminate()``.

        Raises:
            Error: it cannot be made; the message says where, why, and what to do.
        """
        return await self._connector.connect(loop_time() + self.address.timeout)

    async def _once(self, work: Callable[[Connection], Awaitable[T]], deadline: float) -> T:
        connection = self._idle_one() if self._opened else None
        if connection is None:
            connection = await self._wait(deadline)
        try:
            if deadline == NO_LIMIT:
                return await self._use(connection, work)
            limit = asyncio.timeout_at(deadline)
            try:
                async with limit:
                    return await self._use(connection, work)
            except TimeoutError:
                if not limit.expired():
                    raise
            raise DeadlineExceeded(
                f"{self._part}: {self.address.place} did not answer in time; whether the statement was done is unknown",
                unanswered=True,
            )
        except Error:
            raise  # Some are errors of Python as well.
        except RAW as error:
            raise running(error, self.address, self._part) from None

    async def _use(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await work(connection)
        except (asyncpg.PostgresError, Error):
            if not connection.is_closed() and connection.is_in_transaction():
                connection.terminate()
            raise
        except BaseException:
            connection.terminate()
            raise
        finally:
            self._release(connection)

    async def _wait(self, deadline: float) -> Connection:
        """Returns a connection that the caller releases, for which it may have to wait.

        Raises:
            Error: none became free, or none could be made.
        """
        waits = self._size >= self.address.pool
        seconds = min(FREE * self.address.timeout, deadline - loop_time())
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._acquire(loop_time() + seconds)
        except Error:
            raise
        except TimeoutError:
            if waits:
                raise ResourceExhausted(self._full(), id="micro.postgresql_pool_full", may_have_run=False) from None
            raise self._connector.unreachable(seconds) from None

    def _idle_one(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                self._used.add(connection)
                return connection
            self._size -= 1
        return None

    async def _acquire(self, deadline: float) -> Connection:
        """Returns a connection that the caller releases.

        Raises:
            Error: it cannot be made.
        """
        if not self._opened:
            raise self._not_open()
        idle = self._idle_one()
        if idle is not None:
            return idle
        if self._size < self.address.pool:
            self._size += 1
        else:
            waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                given = await waiter
            except asyncio.CancelledError:
                self.problem = self._full()
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self._pass_on(waiter.result())
                raise
            if given is not None:
                self._used.add(given)
                return given
        try:
            connection = await self._connector.connect(deadline)
        except BaseException:
            self._pass_on(None)
            raise
        if not self._opened:
            connection.terminate()
            self._size -= 1
            raise self._not_open()
        self._used.add(connection)
        return connection

    def _release(self, connection: Connection) -> None:
        self._used.discard(connection)
        if connection.is_closed() or not self._opened:
            connection.terminate()
            self._pass_on(None)
        else:
            self._pass_on(connection)

    def _pass_on(self, given: Connection | None) -> None:
        """Gives a connection, or the right to make one, to the one that has waited longest; keeps it if nobody waits."""
        if given is not None and (given.is_closed() or not self._opened):
            given.terminate()
            given = None
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(given)
                return
        if given is None:
            self._size -= 1
        else:
            self._used.discard(given)
            self._idle.append(given)

    def _full(self) -> str:
        return (
            f"{self._part}: {self.address.place}: no connection of the pool became free in time: all {self.address.pool} are in use; "
            "make pool= of the address larger"
        )

    def _closed(self, error: Error) -> Error:
        message = f"{self._part}: {self.address.place} was closed meanwhile"
        return Unavailable(message, may_have_run=error.may_have_run, unanswered=error.unanswered)

    def _not_open(self) -> Error:
        return FailedPrecondition(f"{self._part}: {self.address.place} is not open", may_have_run=False)


async def transaction(connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Does something in a transaction, and commits it.

    A statement that fails rolls it back. Whatever else ends it makes the pool abort the connection, which rolls it back as well.
    """
    await connection.execute("BEGIN")
    try:
        result = await work(connection)
        await connection.execute("COMMIT")
    except (asyncpg.PostgresError, Error):
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    return result


async def _nothing(connection: Connection) -> None:
    """Uses a connection for nothing."""


async def _say_goodbye(connection: Connection) -> None:
    with contextlib.suppress(Exception):
        await connection.close(timeout=CLOSE)
