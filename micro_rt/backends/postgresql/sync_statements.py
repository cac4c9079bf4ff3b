"""The SQL of sync: one row for each seat of a lock. PostgreSQL and CockroachDB share it, but for what says that the history is a new one.

- A row stays when its seat is released, so that the next holder needs no new one. ``holder`` is the id of a claim, NULL if nobody has
  the seat. No two seats have the same holder, so a claim has one seat at most, however often its request arrives.
- ``token`` comes from a sequence: it is greater than every token before it, also if the row was deleted by hand or swept meanwhile. A
  counter for each lock would need a row for each name that was ever used. The sequence is asked again where the row is locked, because
  what was drawn before may be older than the row. Should somebody set the sequence back, the token of the row still grows.
- ``beat`` grows with each renewal. Whoever takes a seat from a holder that has died names the token and the beat that it has seen, and
  gets nothing if either has changed.
- ``seen_by`` and ``seen_at`` say on which machine the row was seen as it is now, and when that machine's boot clock had it. So processes
  that try once and end learn from each other that a holder has died.
- ``changed`` is the server's time of the last change. It says which rows are worth a look by the sweeper, and nothing else: no lock
  depends on it.
- Each grant takes the epoch along. It is that of ``sync_state``, and there is none while that row is of another history.
- No parameter is an array: asyncpg asks the server for the type of an array first, on each connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from micro_rt.backends.postgresql.address import quoted
from micro_rt.backends.postgresql.statements import text_of

__all__ = ["HOLDERS", "LOCKS", "SyncStatements"]

LOCKS = (1, 8, 64)
"""How many locks the statements look at that look at several."""
HOLDERS = (1, 8, 64, 512)
"""How many holders the statements ask for that ask for several."""

_SERVER_TIMELINE = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"


@dataclass(frozen=True, slots=True)
class SyncStatements:
    """The statements of one dialect."""

    tables: Sequence[str]
    """Make all that is missing."""
    version: str
    set_version: str
    """Version, epoch: writes both, unless they are there."""
    epoch: str
    """The epoch; no row if it is one of another history."""
    new_epoch: str
    """Epoch: begins a new history, with this epoch or a greater one."""
    take: str
    """Name, seats, seat, holder, value, ttl, token, beat: epoch and token, if the seat was free or as told."""
    find: str
    """Holder: seat, epoch and token."""
    look: Mapping[int, str]
    """Names, each with its seats: all seats that were ever taken; by the number of names."""
    observe: str
    """Name: who has the lock with one seat."""
    remember: str
    """Name, seats, seat, token, beat, machine, its time: notes when a row was seen as it is."""
    renew: str
    """Holder, token: the token, if it still has the seat."""
    release: str
    """Holder: the token, if it had a seat."""
    holders: Mapping[int, str]
    """Holders: those that have a seat, with the token; by their number."""
    old: str
    """Seconds, limit: seats that nobody has changed for so long, as the server's clock has it."""
    forget: str
    """Name, seats, seat, token, beat: drops the row if it is as told."""

    @classmethod
    def postgresql(cls, schema: str, *, timeline: bool) -> SyncStatements:
        """Makes the statements of PostgreSQL.

        A table that came out of a dump has a row whose ``xmin`` is not the ``x`` in it, and a standby that took over has another
        timeline: both may have lost tokens that were handed out.

        Args:
            schema: its name.
            timeline: whether the server tells its timeline.
        """
        s, place = quoted(schema), _SERVER_TIMELINE if timeline else "''"
        xid = "pg_current_xact_id()::text::bigint"
        return cls._of(
            schema,
            tables=(
                f"CREATE SEQUENCE {s}.sync_tokens",
                f"""
CREATE TABLE {s}.sync_seats (
  name bytea NOT NULL, seats bigint NOT NULL, seat bigint NOT NULL, holder text UNIQUE, value bytea NOT NULL, epoch bigint NOT NULL,
  token bigint NOT NULL, beat bigint NOT NULL, ttl float8 NOT NULL, changed timestamptz NOT NULL, seen_by text, seen_at float8,
  PRIMARY KEY (name, seats, seat)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)""",
                f"""
CREATE TABLE {s}.sync_state (
  id bigint PRIMARY KEY, version bigint NOT NULL, epoch bigint NOT NULL, x bigint NOT NULL, timeline text NOT NULL
)""",
            ),
            set_version=f"""
INSERT INTO {s}.sync_state (id, version, epoch, x, timeline) VALUES (0, $1::bigint, $2::bigint, {xid}, {place}) ON CONFLICT (id) DO NOTHING""",
            valid=f"x % 4294967296 = xmin::text::bigint AND timeline = {place}",
            new_epoch=f"""
UPDATE {s}.sync_state SET epoch = greatest(epoch + 1, $1::bigint), x = {xid}, timeline = {place} WHERE id = 0""",
        )

    @classmethod
    def cockroach(cls, schema: str) -> SyncStatements:
        """Makes the statements of CockroachDB, which PostgreSQL takes, too.

        ``tests/unit/test_cockroach_sql.py`` knows what CockroachDB's documentation has.

        Args:
            schema: its name.
        """
        s = quoted(schema)
        return cls._of(
            schema,
            tables=(
                f"CREATE SCHEMA IF NOT EXISTS {s}",
                f"CREATE SEQUENCE IF NOT EXISTS {s}.sync_tokens",
                f"""
CREATE TABLE IF NOT EXISTS {s}.sync_seats (
  name BYTEA NOT NULL, seats INT8 NOT NULL, seat INT8 NOT NULL, holder TEXT UNIQUE, value BYTEA NOT NULL, epoch INT8 NOT NULL,
  token INT8 NOT NULL, beat INT8 NOT NULL, ttl FLOAT8 NOT NULL, changed TIMESTAMPTZ NOT NULL, seen_by TEXT, seen_at FLOAT8,
  PRIMARY KEY (name, seats, seat)
)""",
                f"CREATE TABLE IF NOT EXISTS {s}.sync_state (id INT8 PRIMARY KEY, version INT8 NOT NULL, epoch INT8 NOT NULL)",
            ),
            set_version=f"""
INSERT INTO {s}.sync_state (id, version, epoch) VALUES (0, $1::INT8, $2::INT8) ON CONFLICT (id) DO NOTHING""",
            valid="TRUE",
            new_epoch=f"UPDATE {s}.sync_state SET epoch = greatest(epoch + 1, $1::INT8) WHERE id = 0",
        )

    @classmethod
    def _of(cls, schema: str, *, tables: Sequence[str], set_version: str, valid: str, new_epoch: str) -> SyncStatements:
        s = quoted(schema)
        token = f"nextval({text_of(f'{s}.sync_tokens')})"
        epoch = f"SELECT epoch FROM {s}.sync_state WHERE id = 0 AND {valid}"
        row = "name, seats, seat, holder, token, beat, ttl, seen_by, seen_at"
        return cls(
            tables=tables,
            version=f"SELECT version FROM {s}.sync_state WHERE id = 0",
            set_version=set_version,
            epoch=epoch,
            new_epoch=new_epoch,
            take=f"""
INSERT INTO {s}.sync_seats AS r (name, seats, seat, holder, value, epoch, token, beat, ttl, changed)
SELECT $1::BYTEA, $2::INT8, $3::INT8, $4::TEXT, $5::BYTEA, e.epoch, {token}, 0, $6::FLOAT8, clock_timestamp()
FROM ({epoch}) AS e
ON CONFLICT (name, seats, seat) DO UPDATE SET holder = excluded.holder, value = excluded.value, epoch = excluded.epoch,
  token = greatest({token}, r.token + 1), beat = 0, ttl = excluded.ttl, changed = excluded.changed, seen_by = NULL
WHERE r.holder IS NULL OR (r.token = $7::INT8 AND r.beat = $8::INT8)
RETURNING epoch, token""",
            find=f"SELECT seat, epoch, token FROM {s}.sync_seats WHERE holder = $1::TEXT",
            look={
                size: f"SELECT {row} FROM {s}.sync_seats WHERE (name, seats) IN ({_pairs(size)}) ORDER BY seat"
                for size in LOCKS
            },
            observe=f"""
SELECT {row}, value, epoch FROM {s}.sync_seats WHERE name = $1::BYTEA AND seats = 1 AND seat = 0""",
            remember=f"""
UPDATE {s}.sync_seats SET seen_by = $6::TEXT, seen_at = $7::FLOAT8
WHERE name = $1::BYTEA AND seats = $2::INT8 AND seat = $3::INT8 AND token = $4::INT8 AND beat = $5::INT8 AND holder IS NOT NULL
  AND (seen_by IS NULL OR seen_by <> $6::TEXT)""",
            renew=f"""
UPDATE {s}.sync_seats SET beat = beat + 1, changed = clock_timestamp(), seen_by = NULL
WHERE holder = $1::TEXT AND token = $2::INT8 RETURNING token""",
            release=f"""
UPDATE {s}.sync_seats SET holder = NULL, value = ''::BYTEA, changed = clock_timestamp(), seen_by = NULL
WHERE holder = $1::TEXT RETURNING token""",
            holders={
                size: f"SELECT holder, token FROM {s}.sync_seats WHERE holder IN ({_texts(size)})" for size in HOLDERS
            },
            old=f"""
SELECT {row} FROM {s}.sync_seats WHERE changed < statement_timestamp() - $1::FLOAT8 * INTERVAL '1 second'
ORDER BY changed LIMIT $2::INT8""",
            forget=f"""
DELETE FROM {s}.sync_seats
WHERE name = $1::BYTEA AND seats = $2::INT8 AND seat = $3::INT8 AND token = $4::INT8 AND beat = $5::INT8 RETURNING token""",
        )


def _pairs(count: int) -> str:
    return ", ".join(f"(${2 * number + 1}::BYTEA, ${2 * number + 2}::INT8)" for number in range(count))


def _texts(count: int) -> str:
    return ", ".join(f"${number + 1}::TEXT" for number in range(count))
