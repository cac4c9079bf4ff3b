"""Connections of tests to PostgreSQL, beside those of the code under test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from micro_rt.backends.postgresql.pool import Connection
from tests.servers.postgresql import PostgreSQL

__all__ = ["connect", "end_sessions", "looking"]


async def connect(address: str, database: str = "postgres") -> Connection:
    host, _, port = address.rpartition(":")
    connection: Connection = await asyncpg.connect(
        host=host, port=int(port), user="postgres", password="", database=database, ssl=False
    )
    return connection


@contextlib.asynccontextmanager
async def looking(address: str, database: str = "postgres") -> AsyncIterator[Connection]:
    """A connection of the test's own."""
    connection = await connect(address, database)
    try:
        yield connection
    finally:
        connection.terminate()


async def end_sessions(server: PostgreSQL) -> None:
    """Ends every connection of micro-rt to a server.

    It takes a server that the test has made: on the shared one, it would end the connections of tests that run beside it.
    """
    async with looking(server.address) as own:
        await own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'micro-rt'")
