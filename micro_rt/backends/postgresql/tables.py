"""How the parts make their tables, each its own, in a schema that they share.

- On PostgreSQL, one process makes them, in a transaction under a lock of the schema, and the others wait for it.
- CockroachDB has no such lock: there, every process may execute every statement, and does so again if another one was at it.
- Tables that a newer version of micro-rt has made are refused.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

import asyncpg

from micro_rt.backends.postgresql.address import PostgreSQLAddress, quoted
from micro_rt.backends.postgresql.pool import Connection, Pool
from micro_rt.errors import FailedPrecondition, PermissionDenied, Unavailable

__all__ = ["has_timeline", "lock_schema", "make_again", "make_tables", "newer", "upgrade_tables", "version_of"]

_OLDEST = 13
_MISSING = ("42P01", "3F000")
_EXISTS_NOW = frozenset({"23505", "42P07", "42P06", "42701", "42710", "40001", "55000", "XX000"})
"""Codes of a statement that makes what another process has just made, or makes now."""
_TRIES = 100


async def version_of(pool: Pool, sql: str) -> int | None:
    """Returns the version of tables; None if they are missing.

    Args:
        pool: the connections.
        sql: the statement that reads it.
    """

    async def ask(connection: Connection) -> int | None:
        try:
            version: int | None = await connection.fetchval(sql)
        except asyncpg.PostgresError as error:
            if error.sqlstate in _MISSING:
                return None
            raise
        return version

    return await pool.run(ask, repeat=True)


async def has_timeline(connection: Connection, name: str, part: str) -> bool:
    """Returns whether a PostgreSQL server tells its timeline, which changes when a standby takes over.

    Args:
        connection: to the server.
        name: of what uses it, for errors: ``"store PostgreSQL at …"``.
        part: that it is: ``"store"``.

    Raises:
        FailedPrecondition: the server is too old, or something else.
    """
    if hasattr(connection.get_settings(), "crdb_version"):
        raise FailedPrecondition(f"{name} is CockroachDB: write cockroachdb:// in the address", may_have_run=False)
    version = connection.get_server_version()
    if version.major < _OLDEST:
        raise FailedPrecondition(
            f"{name} is version {version.major}, and the {part} needs {_OLDEST} or newer", may_have_run=False
        )
    try:
        await connection.fetch("SELECT pg_walfile_name(pg_current_wal_lsn())")
    except asyncpg.PostgresError:  # A server that stores elsewhere has no log of writes.
        return False
    return True


async def lock_schema(connection: Connection, address: PostgreSQLAddress) -> None:
    """Waits until nobody else makes tables in the schema, until the end of the transaction; PostgreSQL alone."""
    await connection.fetch("SELECT pg_advisory_xact_lock($1::bigint)", zlib.crc32(address.schema.encode()))


async def make_tables(
    connection: Connection, address: PostgreSQLAddress, name: str, statements: Sequence[str], known: str
) -> bool:
    """Makes the tables of a part on PostgreSQL, in a transaction; returns whether another process was not faster.

    Args:
        connection: in a transaction.
        address: with the schema.
        name: of what uses them, for errors.
        statements: that make the tables.
        known: the name of one of the tables, which is there if all are.

    Raises:
        PermissionDenied: the user may not; the message says what an administrator is to do.
    """
    await lock_schema(connection, address)
    schema, user = quoted(address.schema), quoted(address.user)
    there = await connection.fetchval(
        "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1::text", address.schema
    )
    try:
        if not there:
            await connection.execute(f"CREATE SCHEMA {schema}")
        elif await connection.fetchval("SELECT to_regclass($1::text) IS NOT NULL", f"{schema}.{known}"):
            return False
        for statement in statements:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        remedy = f"run CREATE SCHEMA {schema} AUTHORIZATION {user} as an administrator"
        if there:
            remedy = f"run GRANT CREATE ON SCHEMA {schema} TO {user} as its owner, or open it once as its owner"
        raise PermissionDenied(
            f"{name}: user {address.user!r} may not make the tables ({error.args[0]}); {remedy}", may_have_run=False
        ) from None
    return True


async def upgrade_tables(
    connection: Connection, address: PostgreSQLAddress, name: str, statements: Sequence[str], patience: float
) -> None:
    """Brings the tables of a part on PostgreSQL to the present version, in a transaction that has locked the schema.

    Args:
        connection: in a transaction.
        address: with the schema.
        name: of what uses them, for errors.
        statements: that change the tables.
        patience: seconds to wait for transactions that use the tables.

    Raises:
        PermissionDenied: the user may not.
        Unavailable: a transaction uses the tables for longer.
    """
    # Who waits for the table makes all others wait, also those that only read it.
    await connection.execute(f"SET LOCAL lock_timeout = {int(1000 * patience)}")
    try:
        for statement in statements:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise PermissionDenied(
            f"{name}: user {address.user!r} may not change the tables ({error.args[0]}), which an earlier version of "
            "micro-rt has made: open the store once as their owner, or as an administrator",
            may_have_run=False,
        ) from None
    except asyncpg.LockNotAvailableError:
        raise Unavailable(
            f"{name}: the tables, which an earlier version of micro-rt has made, cannot be changed while a transaction uses "
            "them: end it, or wait for it (pg_stat_activity lists it)",
            may_have_run=False,
        ) from None


async def make_again(statement: str, connection: Connection) -> None:
    """Makes a table, a column or an index that may be there; again, if another process makes it at the same time."""
    for _ in range(_TRIES):
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            if error.sqlstate not in _EXISTS_NOW:
                raise
            await asyncio.sleep(0.05)
        else:
            return
    await connection.execute(statement)


def newer(name: str, schema: str, version: int, known: int) -> FailedPrecondition:
    """Returns the error of tables that a newer version of micro-rt has made.

    Args:
        name: of what uses them.
        schema: that they are in.
        version: of them.
        known: the latest version that is known here.
    """
    return FailedPrecondition(
        f"{name}: the tables in the schema {schema!r} have version {version}, and this version of micro-rt knows versions up to "
        f"{known}: update micro-rt, or name another schema with schema=",
        may_have_run=False,
    )
