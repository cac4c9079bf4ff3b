"""The SQL of the store on CockroachDB. PostgreSQL takes it as well, which is how it is tested.

- Only what CockroachDB's documentation has is used; ``tests/unit/test_cockroach_sql.py`` knows what that is.
- There are no numbers of transactions in the order in which they become visible. So versions come from a counter, whose row each
  transaction locks first: transactions commit in the order of their versions, and a watch that reads up to a version misses none.
- Because that row is locked until the commit, writes that are made at the same time share one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from micro_rt.backends.postgresql.address import quoted
from micro_rt.backends.postgresql.statements import CHANGED, CUT, FENCE, GET_SIZES, LIVE, ROW, Reading, places

__all__ = ["CockroachStatements"]


@dataclass(frozen=True, slots=True)
class CockroachStatements:
    """The statements of CockroachDB; PostgreSQL takes them, too."""

    reading: Reading
    tables: Sequence[str]
    """Make all that is missing, as version 1 has it."""
    upgrade: Sequence[str]
    """Bring the tables of version 1 to the present one."""
    begin: str
    commit: str
    rollback: str
    count: str
    """How many: takes so many versions, and returns the last one."""
    look: Mapping[int, str]
    """Keys: what is known of each; by the number of keys."""
    write: str
    """Key, version, kind, value, metadata, seconds to live or NULL, expiry that is kept or NULL, id: makes the row."""
    fenced_write: str
    """The same, and the lock, the epoch and the token of a fence."""
    changes: str
    """Version, first, end, limit, bytes: the state, with each of the rows behind it."""
    state: str
    expired: str
    """Limit: keys and versions of records whose time has passed."""
    expire: str
    """Key, its version, new version: turns the record into a mark."""
    old: str
    """Seconds, limit: keys and versions of marks that are older."""
    forget: str
    """Key, version: drops a mark."""
    raise_floor: str
    """Version."""
    version: str
    set_version: str
    """Version, epoch: writes both, unless they are there."""
    raise_version: str
    """Version."""

    @classmethod
    def of(cls, schema: str) -> CockroachStatements:
        """Makes the statements for a schema."""
        s = quoted(schema)
        row = ROW.format(position="n")
        page = f"""
SELECT {CHANGED.format(position="n")} FROM {s}.records
WHERE n > $1::INT8 AND k >= $2::BYTEA AND k < $3::BYTEA
ORDER BY n LIMIT $4::INT8"""
        changes = CUT.format(row=row, order="n", page=page, most="$5::INT8")
        state = f"SELECT epoch, low, top FROM {s}.state WHERE id = 0"
        live = LIVE.format(clock="clock_timestamp")

        def write(columns: str = "", values: str = "", sets: str = "") -> str:
            return f"""
INSERT INTO {s}.records (k, n, kind, v, m, expires, w, changed{columns})
VALUES ($1::BYTEA, $2::INT8, $3::INT8, $4::BYTEA, $5::TEXT,
  coalesce($7::TIMESTAMPTZ, clock_timestamp() + $6::FLOAT8 * INTERVAL '1 second'), $8::TEXT, clock_timestamp(){values})
ON CONFLICT (k) DO UPDATE SET n = excluded.n, kind = excluded.kind, v = excluded.v, m = excluded.m,
  expires = excluded.expires, w = excluded.w, changed = excluded.changed{sets}"""

        return cls(
            reading=Reading.of(s, "n"),
            tables=(
                f"CREATE SCHEMA IF NOT EXISTS {s}",
                f"""
CREATE TABLE IF NOT EXISTS {s}.records (
  k BYTEA PRIMARY KEY, n INT8 NOT NULL, kind INT8 NOT NULL, v BYTEA NOT NULL, m TEXT NOT NULL, expires TIMESTAMPTZ,
  w TEXT NOT NULL, changed TIMESTAMPTZ NOT NULL
)""",
                f"CREATE UNIQUE INDEX IF NOT EXISTS records_changes ON {s}.records (n)",
                f"CREATE INDEX IF NOT EXISTS records_expires ON {s}.records (expires) WHERE expires IS NOT NULL",
                f"CREATE INDEX IF NOT EXISTS records_marks ON {s}.records (changed) WHERE kind <> 0",
                f"""
CREATE TABLE IF NOT EXISTS {s}.state (
  id INT8 PRIMARY KEY, version INT8 NOT NULL, epoch TEXT NOT NULL, top INT8 NOT NULL, low INT8 NOT NULL
)""",
            ),
            # One statement for each: the columns may be there already, or be added by another process meanwhile.
            upgrade=tuple(
                f"ALTER TABLE {s}.records ADD COLUMN IF NOT EXISTS {column} {type}"
                for column, type in zip(FENCE.split(", "), ("BYTEA", "INT8", "INT8"), strict=True)
            ),
            begin="BEGIN",
            commit="COMMIT",
            rollback="ROLLBACK",
            count=f"UPDATE {s}.state SET top = top + $1::INT8 WHERE id = 0 RETURNING top",
            look={
                size: f"SELECT k, n, w, m, expires, {FENCE}, {live} AS live FROM {s}.records AS r WHERE k IN ({places(size)})"
                for size in GET_SIZES
            },
            write=write(),
            fenced_write=write(
                f", {FENCE}",
                ", $9::BYTEA, $10::INT8, $11::INT8",
                ",\n  " + ", ".join(f"{column} = excluded.{column}" for column in FENCE.split(", ")),
            ),
            changes=f"""
SELECT state.*, c.* FROM ({state}) AS state LEFT JOIN ({changes}) AS c ON true ORDER BY c.n""",
            state=state,
            expired=f"""
SELECT k, n FROM {s}.records WHERE expires <= statement_timestamp() ORDER BY expires LIMIT $1::INT8""",
            expire=f"""
UPDATE {s}.records SET n = $3::INT8, kind = 2, v = ''::BYTEA, m = '{{}}', expires = NULL, w = '', changed = clock_timestamp()
WHERE k = $1::BYTEA AND n = $2::INT8""",
            old=f"""
SELECT k, n FROM {s}.records
WHERE kind <> 0 AND changed < statement_timestamp() - $1::FLOAT8 * INTERVAL '1 second' ORDER BY changed LIMIT $2::INT8""",
            forget=f"DELETE FROM {s}.records WHERE k = $1::BYTEA AND n = $2::INT8",
            raise_floor=f"UPDATE {s}.state SET low = greatest(low, $1::INT8) WHERE id = 0",
            version=f"SELECT version FROM {s}.state WHERE id = 0",
            set_version=f"""
INSERT INTO {s}.state (id, version, epoch, top, low) VALUES (0, $1::INT8, $2::TEXT, 0, 0) ON CONFLICT (id) DO NOTHING""",
            raise_version=f"UPDATE {s}.state SET version = greatest(version, $1::INT8) WHERE id = 0",
        )
