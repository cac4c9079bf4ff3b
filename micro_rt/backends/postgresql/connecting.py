"""Connecting to the server: which one, how long, and with what settings.

- Everything is given to asyncpg, so that no variable ``PG…`` and no file of the user changes it.
- Of several servers, the one that was reached last is tried first. Each gets its part of the time.
- What a connection leaves behind on the server that was cut off ends by itself.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from micro_rt.backends.postgresql.address import PostgreSQLAddress
from micro_rt.backends.postgresql.failures import RAW, connecting
from micro_rt.errors import Error, Unavailable
from micro_rt.kit.clock import loop_time
from micro_rt.kit.net import split

__all__ = ["Connection", "Connector", "settings_of"]

ORPHAN = 60.0
"""Seconds after which the server ends a statement, at the earliest: nobody may wait for it any more."""
IDLE_TRANSACTION = 10.0
"""Seconds after which the server ends a session that has begun a transaction and is silent."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Connector:
    """Makes connections to one database.

    Args:
        address: of the database.
        part: what they are for, in errors: ``"store"``.
    """

    def __init__(self, address: PostgreSQLAddress, part: str) -> None:
        self.address = address
        self._part = part
        self._tls: ssl.SSLContext | None = None
        self._first = 0
        """The number of the server that was reached last."""

    async def connect(self, deadline: float) -> Connection:
        """Connects to the first server that can be reached, beginning with the one that was reached last.

        Raises:
            Error: none can be, or a file of the address cannot be used for TLS.
        """
        if self._tls is None:
            self._tls = self.address.tls_context()
        servers = self.address.servers
        problem: Error = self.unreachable(self.address.timeout)
        for turn in range(len(servers)):
            number = (self._first + turn) % len(servers)
            # Each that is still to be tried gets its part of the time.
            seconds = (deadline - loop_time()) / (len(servers) - turn)
            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    connection = await self._connect_to(servers[number])
            except RAW as error:
                if isinstance(error, TimeoutError) and limit.expired():
                    problem = self.unreachable(seconds)
                else:
                    problem = connecting(error, self.address, self._part)
            else:
                self._first = number
                return connection
        raise problem

    async def _connect_to(self, server: str) -> Connection:
        address = self.address
        host, port = split(server)
        several = len(address.servers) > 1 and not address.cockroach
        return await asyncpg.connect(
            host=host,
            port=port,
            user=address.user,
            password=address.password,
            database=address.database,
            ssl=self._tls if self._tls is not None else False,
            direct_tls=False,
            timeout=address.timeout,  # The caller bounds it, too.
            # Without a cache, asyncpg uses unnamed statements only: in transaction mode, the next statement may go to another server.
            statement_cache_size=0 if address.pgbouncer == "transaction" else 100,
            server_settings=settings_of(address),
            target_session_attrs=SessionAttribute.read_write if several else SessionAttribute.any,
        )

    def unreachable(self, seconds: float) -> Error:
        """Returns the error of a server that does not answer in time."""
        return Unavailable(
            f"{self._part}: {self.address.place} did not accept a connection within {round(seconds, 2):g} s; is it running there, and is "
            "the address right?",
            id="micro.postgresql_unreachable",
            may_have_run=False,
        )


def settings_of(address: PostgreSQLAddress) -> dict[str, str]:
    """Returns the settings of a session."""
    settings = {"application_name": "micro-rt"}
    if not address.pgbouncer:  # It refuses these.
        # What a connection leaves behind that was cut ends by itself. Both are in milliseconds.
        settings["statement_timeout"] = f"{round(max(ORPHAN, 2 * address.timeout) * 1000)}"
        settings["idle_in_transaction_session_timeout"] = f"{round(IDLE_TRANSACTION * 1000)}"
        if not address.cockroach:
            settings["jit"] = "off"  # It takes longer than any statement of ours.
    return settings
