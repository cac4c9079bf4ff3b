"""What the store and the locks send to ``cockroachdb://`` is SQL that CockroachDB's documentation has. CockroachDB itself was not run.

The tables are closed. A statement with a word, a function, an operator or a setting that is not in them fails: look it up in the
documentation (https://www.cockroachlabs.com/docs/stable/), and add it with the name of its page.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator, Mapping

import asyncpg
import pytest

from micro_rt.backends.postgresql import connecting
from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.cockroach_statements import CockroachStatements
from micro_rt.backends.postgresql.connecting import settings_of
from micro_rt.backends.postgresql.statements import PostgreSQLStatements
from micro_rt.backends.postgresql.sync_statements import SyncStatements
from micro_rt.fence import Fence
from micro_rt.store.store import Store
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
from tests.helpers.waiting import soon
from tests.servers.server import Server

SCHEMA = "a_schema"

BEGINNINGS: Mapping[str, str] = {
    "BEGIN": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
    "SELECT": "SELECT (Selection Queries)",
    "INSERT INTO": "INSERT",
    "UPDATE": "UPDATE",
    "DELETE FROM": "DELETE",
    "CREATE SCHEMA IF NOT EXISTS": "CREATE SCHEMA",
    "CREATE TABLE IF NOT EXISTS": "CREATE TABLE",
    "CREATE SEQUENCE IF NOT EXISTS": "CREATE SEQUENCE",
    "CREATE INDEX IF NOT EXISTS": "CREATE INDEX",
    "CREATE UNIQUE INDEX IF NOT EXISTS": "CREATE INDEX",
    "ALTER TABLE": "ALTER TABLE",
}
WORDS: Mapping[str, str] = {
    "SELECT": "Simple SELECT Clause",
    "FROM": "Simple SELECT Clause",
    "WHERE": "Simple SELECT Clause",
    "AS": "Simple SELECT Clause",
    "LEFT JOIN": "Join Expressions",
    "ON": "Join Expressions; CREATE INDEX",
    "ORDER BY": "ORDER BY",
    "LIMIT": "Limit Query Results",
    "OVER": "Window Functions",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND": "Window Functions",
    "PRECEDING": "Window Functions",
    "AND": "Scalar Expressions",
    "OR": "Scalar Expressions",
    "IN": "Scalar Expressions",
    "IS NULL": "NULL Handling",
    "IS NOT NULL": "NULL Handling",
    "NULL": "NULL Handling",
    "CASE": "Scalar Expressions",
    "WHEN": "Scalar Expressions",
    "THEN": "Scalar Expressions",
    "ELSE": "Scalar Expressions",
    "END": "Scalar Expressions",
    "TRUE": "BOOL",
    "INSERT INTO": "INSERT",
    "VALUES": "INSERT",
    "ON CONFLICT": "INSERT",
    "DO UPDATE SET": "INSERT",
    "DO NOTHING": "INSERT",
    "EXCLUDED": "INSERT",
    "RETURNING": "INSERT; UPDATE",
    "UPDATE": "UPDATE",
    "SET": "UPDATE",
    "DELETE FROM": "DELETE",
    "BEGIN": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
    "CREATE SCHEMA IF NOT EXISTS": "CREATE SCHEMA",
    "CREATE TABLE IF NOT EXISTS": "CREATE TABLE",
    "CREATE SEQUENCE IF NOT EXISTS": "CREATE SEQUENCE",
    "CREATE INDEX IF NOT EXISTS": "CREATE INDEX",
    "CREATE UNIQUE INDEX IF NOT EXISTS": "CREATE INDEX; Partial Indexes",
    "ALTER TABLE": "ALTER TABLE",
    "ADD COLUMN IF NOT EXISTS": "ALTER TABLE, ADD COLUMN",
    "PRIMARY KEY": "Primary Key Constraint",
    "UNIQUE": "UNIQUE Constraint",
    "NOT NULL": "Not Null Constraint",
    "INTERVAL": "INTERVAL",
    "BYTEA": "BYTES",
    "INT8": "INT",
    "TEXT": "STRING",
    "BOOL": "BOOL",
    "FLOAT8": "FLOAT",
    "TIMESTAMPTZ": "TIMESTAMP",
}
FUNCTIONS: Mapping[str, str] = {
    "clock_timestamp": "Functions and Operators, date and time",
    "statement_timestamp": "Functions and Operators, date and time",
    "length": "Functions and Operators, string and byte",
    "right": "Functions and Operators, string and byte",
    "encode": "Functions and Operators, string and byte",
    "greatest": "Functions and Operators, comparison",
    "coalesce": "Scalar Expressions",
    "nextval": "CREATE SEQUENCE; Functions and Operators, sequence",
    "count": "Functions and Operators, aggregate",
    "sum": "Functions and Operators, aggregate",
}
OPERATORS: Mapping[str, str] = {
    "=": "Functions and Operators, operators",
    "<": "Functions and Operators, operators",
    ">": "Functions and Operators, operators",
    "<=": "Functions and Operators, operators",
    ">=": "Functions and Operators, operators",
    "<>": "Functions and Operators, operators",
    "+": "Functions and Operators, operators",
    "-": "Functions and Operators, operators",
    "*": "Functions and Operators, operators",
    "::": "Scalar Expressions, explicit type coercions",
    "(": "Scalar Expressions",
    ")": "Scalar Expressions",
    ",": "Scalar Expressions",
    ".": "Name Resolution",
}
COLUMNS = (
    "k",
    "n",
    "kind",
    "v",
    "m",
    "expires",
    "w",
    "changed",
    "id",
    "version",
    "epoch",
    "top",
    "low",
    "found",
    "before",
    "live",
    "fence_lock",
    "fence_epoch",
    "fence_token",
    "name",
    "seats",
    "seat",
    "holder",
    "value",
    "token",
    "beat",
    "ttl",
    "seen_by",
    "seen_at",
)
TABLES = (
    *("records", "state", "page", "sized", "c", "r", "records_changes", "records_expires", "records_marks"),
    *("sync_seats", "sync_state", "sync_tokens", "e"),
)
"""With aliases and indexes."""
NAMES = frozenset((*COLUMNS, *TABLES))
"""Names of ours; none of them is reserved (page "Keywords & Identifiers")."""
SETTINGS: Mapping[str, str] = {
    "application_name": "Session Variables",
    "statement_timeout": "Session Variables",
    "idle_in_transaction_session_timeout": "Session Variables",
}

TOKEN = re.compile(
    r"""\s+ | (?P<quoted>"(?:[^"]|"")*") | (?P<text>'(?:[^']|'')*') | (?P<parameter>\$\d+) | (?P<number>\d+)
    | (?P<word>[A-Za-z_][A-Za-z_0-9]*) | (?P<operator>::|<=|>=|<>|[-+*=<>(),.])""",
    re.VERBOSE,
)


def unknown(sql: str) -> Iterator[str]:
    """Yields what of a statement the tables do not have."""
    words: list[str] = []
    position = 0
    while position < len(sql):
        token = TOKEN.match(sql, position)
        if token is None:
            yield sql[position : position + 10]
            return
        position = token.end()
        if token["word"]:
            words.append(token["word"])
        elif token["operator"]:
            if token["operator"] not in OPERATORS:
                yield token["operator"]
            words.append(token["operator"])
        elif token["quoted"]:
            if token["quoted"] != f'"{SCHEMA}"':
                yield token["quoted"]
            words.append(".name")
        elif token["text"] or token["number"] or token["parameter"]:
            words.append(".value")
    longest = sorted({**WORDS}, key=lambda phrase: -len(phrase.split()))
    beginning = " ".join(words).upper()
    if not any(re.match(rf"{each}\b", beginning) for each in BEGINNINGS):
        yield f"begins with {beginning[:30]}"
    index = 0
    while index < len(words):
        word = words[index]
        if not word[0].isalpha() and word[0] != "_":
            index += 1
            continue
        if words[index + 1 : index + 2] == ["("] and word.lower() in FUNCTIONS and not word.isupper():
            index += 1
            continue
        rest = " ".join(words[index:]).upper()
        phrase = next((each for each in longest if re.match(rf"{each}(?!\w)", rest)), None)
        if phrase is not None:
            index += len(phrase.split())
        elif word in NAMES:
            index += 1
        else:
            yield word
            index += 1


def statements() -> Iterator[tuple[str, str]]:
    yield from statements_of(CockroachStatements.of(SCHEMA))
    yield from ((f"sync {name}", each) for name, each in statements_of(SyncStatements.cockroach(SCHEMA)))


def statements_of(sql: CockroachStatements | SyncStatements) -> Iterator[tuple[str, str]]:
    for name in sql.__dataclass_fields__:
        value = getattr(sql, name)
        if name == "reading":
            yield "scan", value.scan
            yield "last", value.last
            yield from ((f"get {size}", each) for size, each in value.get.items())
        elif isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((f"{name} {size}", each) for size, each in value.items())
        else:
            yield from ((f"{name} {number}", each) for number, each in enumerate(value))


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in statements()])
def test_each_statement_is_documented(sql: str) -> None:
    assert list(unknown(sql)) == []


def test_each_setting_of_a_session_is_documented() -> None:
    address = parse_postgresql_address("cockroachdb://me@a/db", "cockroachdb", {})
    assert settings_of(address).keys() <= SETTINGS.keys()


@pytest.mark.parametrize(
    "sql",
    [
        "LISTEN c",
        "SELECT pg_advisory_xact_lock($1)",
        "SELECT pg_snapshot_xmin(pg_current_snapshot())",
        "SELECT setval('versions', 1)",
        "SELECT k FROM records WHERE k ~ $1",
        "SELECT k FROM records FOR UPDATE SKIP LOCKED",
        "SELECT xmin FROM records",
        "WITH a AS (SELECT 1) SELECT 1",
        "SELECT k FROM records LEFT JOIN LATERAL (SELECT 1) AS c ON true",
        'SELECT k FROM "other".records',
        "VACUUM records",
        "ALTER TABLE records ALTER COLUMN k TYPE TEXT",
    ],
)
def test_what_is_not_in_the_tables_is_found(sql: str) -> None:
    assert list(unknown(sql))


def test_the_statements_of_postgresql_are_others() -> None:
    sql = PostgreSQLStatements.of(SCHEMA, timeline=True)
    for statement in (sql.put, sql.changes, sql.sweep, *sql.renew):
        assert list(unknown(statement))
    locks = SyncStatements.postgresql(SCHEMA, timeline=True)
    for statement in (locks.epoch, locks.new_epoch, locks.take):
        assert list(unknown(statement))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The statements that are sent."""
    sent: set[str] = set()
    connect = asyncpg.connect

    async def logged(**options: object) -> object:
        connection = await connect(**options)  # type: ignore[call-overload]
        connection.add_query_logger(lambda query: sent.add(query.query))
        return connection

    monkeypatch.setattr(connecting.asyncpg, "connect", logged)
    return sent


async def test_nothing_else_is_sent(postgresql: Server, sent: set[str]) -> None:
    """What a store sends while it is opened, used, swept and closed, is among the statements that are checked."""
    schema = f"sql_{uuid.uuid4().hex[:12]}"
    engine = CockroachStore(f"cockroachdb://postgres@{postgresql.address}/postgres?schema={schema}")
    async with Store.over(engine) as store, store.watch(initial=True) as watch:
        await store.write_many({f"{number}": b"" for number in range(20)}, ttl=0.01)
        version = await store.write("a", b"1", ttl=100)
        await store.write("a", b"2", if_version=version, ttl=10)
        await store.write("a", b"3", fence=Fence("run", 1, 1))
        await store.delete("a", fence=Fence("run", 1, 2))
        await store.delete("b")
        await store.read_many(["1", "2"])
        await engine.last("a")
        await store.page("", suffix="1")
        for _ in range(3):
            await soon(anext(watch))
        await asyncio.sleep(0.02)
        await engine.expire(5)
        await engine.forget(0, 500)
    known = {sql.replace(f'"{SCHEMA}"', f'"{schema}"') for _, sql in statements()}
    assert sent - known == set()
    assert len(sent) > 15
    async with Store.over(engine):
        await engine.pool.rows(f"DROP SCHEMA {schema} CASCADE")


async def test_nothing_else_is_sent_for_locks(postgresql: Server, sent: set[str]) -> None:
    """What an engine of locks sends is among the statements that are checked, too."""
    schema = f"sql_{uuid.uuid4().hex[:12]}"
    engine = sync_engines.sql(f"cockroachdb://postgres@{postgresql.address}/postgres?schema={schema}")
    async with Sync.over(engine) as sync:
        async with sync.leader("a", ttl=0.5, timeout=60.0):
            await soon(anext(sync.observe("a")))
            await asyncio.sleep(0.7)  # It is renewed, and looked at.
            assert await sync.try_lock("leader of a") is None
        async with sync.semaphore("b", 3, timeout=60.0):
            pass
        gone = engine.claim("c", seats=1, ttl=10.0, value=b"", id="1")
        assert await gone.acquire()
        assert await gone.acquire()
        await engine.begin_history()
        await engine.pool.rows(engine.sql.new_epoch, 5)
        assert await engine.sweeper.sweep(engine.sql, 0.0)
    known = {sql.replace(f'"{SCHEMA}"', f'"{schema}"') for _, sql in statements()}
    assert sent - known == set()
    assert len(sent) > 15
    async with Sync.over(engine):
        await engine.pool.rows(f"DROP SCHEMA {schema} CASCADE")
