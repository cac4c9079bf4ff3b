"""The SQL of the store: what PostgreSQL and CockroachDB share, and what is for PostgreSQL alone.

Rules that both keep:

- Keys are bytes, so that their order is the same everywhere, whatever collation a database has.
- A prefix is a range of keys: ``LIKE`` would use an index with some collations only, and ``%`` in a key would match anything.
- Of a page, the limit counts what passed every condition. Values are cut off behind the number of bytes that is asked for.
- A record whose time has passed is absent in every statement. Reads compare with the time at which the statement began, which an
  index can be searched with. Writes compare with the time at which they have the row, which may be later if they waited for it.
- No parameter is an array: asyncpg asks the server for the type of an array first, on each connection.
- A write without a fence does not name the columns of fences: it leaves what is there, and costs what it did before there were fences.
  The name of a lock is bytes, since PostgreSQL's text does not hold every character.

Rules of PostgreSQL:

- Each write is one statement that commits itself. Its version is drawn where the row is set: an update that waited for another one
  draws again, so that the versions of a row only grow.
- ``x`` is the number of the transaction that wrote the row. Transactions become visible in another order than numbers are drawn, so
  a watch reads up to the oldest transaction that is still open, in the order of (x, n).
- The row of ``epoch`` holds the number of its own transaction. It has another one in ``xmin`` if it came out of a dump: then the
  numbers in ``x`` are those of another server, and the history begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from micro_rt.backends.postgresql.address import quoted

__all__ = [
    "CHANGED",
    "CUT",
    "FENCE",
    "GET_SIZES",
    "LATEST",
    "LIVE",
    "PostgreSQLStatements",
    "ROW",
    "Range",
    "Reading",
    "places",
    "range_of",
    "text_of",
]

GET_SIZES = (1, 8, 64, 512)
"""How many keys the statements ask for that read several."""
LATEST = (1 << 63) - 1
"""Above every version."""

FENCE = "fence_lock, fence_epoch, fence_token"
"""The columns of the newest fence that a record, or the mark that is left of it, has seen; NULL if it has seen none."""
LIVE = "(r.kind = 0 AND (r.expires IS NULL OR r.expires > {clock}()))"
ROW = "k, {position}, kind, v, m, expires"
CHANGED = """k, {position}, CASE WHEN expires <= statement_timestamp() THEN 2 ELSE kind END AS kind,
  CASE WHEN expires <= statement_timestamp() THEN NULL ELSE v END AS v, m, expires"""
"""The columns of a change: a record whose time has passed counts as expired, also if it is not marked so yet."""
CUT = """
SELECT {row}, found FROM (
  SELECT {row}, count(*) OVER () AS found,
    sum(length(v)) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM ({page}) AS page
) AS sized WHERE before IS NULL OR before < {most}"""
"""Of a page, the rows in front of that many bytes of values, with the number of rows that the page has."""


class Range(NamedTuple):
    """The keys from one, and up to and without another."""

    first: bytes
    end: bytes


def range_of(prefix: str) -> Range:
    """Returns the keys with a prefix."""
    first = prefix.encode()
    # The last byte of UTF-8 is never 0xFF, and no byte of a key is.
    return Range(first, first[:-1] + bytes([first[-1] + 1]) if first else b"\xff")


def places(count: int) -> str:
    """Returns the list of so many parameters that are keys."""
    return ", ".join(f"${number}::BYTEA" for number in range(1, count + 1))


def text_of(literal: str) -> str:
    """Returns a literal of SQL for a text."""
    return "'" + literal.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Reading:
    """What reads records in both dialects."""

    get: Mapping[int, str]
    """Keys: the records of these keys; by the number of keys."""
    scan: str
    """First, end, after, suffix in hexadecimal digits, limit, bytes, whether values are read: records in the order of their keys."""
    last: str
    """Key: version, id, fence and whether there is a record now."""

    @classmethod
    def of(cls, s: str, position: str) -> Reading:
        """Makes the statements.

        Args:
            s: the schema, quoted.
            position: the columns of the place of a row among the changes.
        """
        row = ROW.format(position=position)
        live = LIVE.format(clock="statement_timestamp")
        page = f"""
SELECT k, {position}, kind, CASE WHEN $7::BOOL THEN v END AS v, m, expires FROM {s}.records AS r
WHERE k >= $1::BYTEA AND k < $2::BYTEA AND k > $3::BYTEA
  AND ($4::TEXT = '' OR right(encode(k, 'hex'), length($4::TEXT)) = $4::TEXT) AND {live}
ORDER BY k LIMIT $5::INT8"""
        return cls(
            get={
                size: f"SELECT {row} FROM {s}.records AS r WHERE k IN ({places(size)}) AND {live}" for size in GET_SIZES
            },
            scan=CUT.format(row=row, order="k", page=page, most="$6::INT8") + " ORDER BY k",
            last=f"SELECT k, n, w, {FENCE}, {LIVE.format(clock='clock_timestamp')} AS live FROM {s}.records AS r WHERE k = $1::BYTEA",
        )


class _FenceParameters(NamedTuple):
    """What a statement has beyond that without a fence."""

    columns: str
    values: str
    sets: str
    newest: str


def _fence(first: int) -> _FenceParameters:
    """Returns what a statement has beyond that without a fence.

    Args:
        first: the number of the parameter that is the lock; the epoch and the token follow it.
    """
    lock, epoch, token = f"${first}::bytea", f"${first + 1}::bigint", f"${first + 2}::bigint"
    return _FenceParameters(
        columns=f", {FENCE}",
        values=f", {lock}, {epoch}, {token}",
        sets=f",\n  fence_lock = {lock}, fence_epoch = {epoch}, fence_token = {token}",
        newest=f"""
  AND (r.fence_lock IS NULL OR (r.fence_lock = {lock} AND (r.fence_epoch, r.fence_token) <= ({epoch}, {token})))""",
    )


@dataclass(frozen=True, slots=True)
class PostgreSQLStatements:
    """The statements of PostgreSQL."""

    reading: Reading
    tables: Sequence[str]
    """Make all tables."""
    upgrade: Sequence[str]
    """Bring the tables of version 1 to the present one."""
    put: str
    """Key, value, metadata or NULL to keep it, seconds to live or NULL, whether the expiry is kept, id: key and version."""
    create: str
    """The same, if there is no record."""
    replace: str
    """The same, and a version that the record must have."""
    delete: str
    """Key, id, version or NULL: key and version."""
    fenced_put: str
    """As ``put``, and the lock, epoch and token of a fence, which must not be older than that of the row. So are the next three."""
    fenced_create: str
    fenced_replace: str
    fenced_delete: str
    changes: str
    """Transaction, version, first, end, limit, bytes: the state, with each of the rows behind it."""
    state: str
    """Where the end of the changes is."""
    sweep: str
    """Limit: turns records whose time has passed into marks; returns a row for each."""
    forget: str
    """Seconds, limit: drops marks that are older, and raises the floor; returns how many."""
    version: str
    set_version: str
    """Version, epoch: writes both, and the floor."""
    raise_version: str
    """Version."""
    renew: Sequence[str]
    """Epoch: begins a new history."""

    @classmethod
    def of(cls, schema: str, *, timeline: bool) -> PostgreSQLStatements:
        """Makes the statements for a schema.

        Args:
            schema: its name.
            timeline: whether the server tells its timeline, which changes when a standby takes over.
        """
        s = quoted(schema)
        version = f"nextval({text_of(f'{s}.versions')})"
        xid = "pg_current_xact_id()::text::bigint"
        horizon = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        live = LIVE.format(clock="clock_timestamp")
        until = "clock_timestamp() + $4::float8 * interval '1 second'"

        def put(fence: _FenceParameters | None = None) -> str:
            columns, values, sets, newest = ("", "", "", "") if fence is None else fence
            return f"""
INSERT INTO {s}.records AS r (k, n, x, kind, v, m, expires, w, changed{columns})
VALUES ($1::bytea, {version}, {xid}, 0, $2::bytea, coalesce($3::text, '{{}}'), {until}, $6::text, clock_timestamp(){values})
ON CONFLICT (k) DO UPDATE SET n = {version}, x = {xid}, kind = 0, v = excluded.v, w = excluded.w, changed = clock_timestamp(),
  m = CASE WHEN $3::text IS NULL AND {live} THEN r.m ELSE excluded.m END,
  expires = CASE WHEN $5::bool AND {live} THEN r.expires ELSE excluded.expires END{sets}
WHERE r.w <> excluded.w{newest}"""

        def replace(fence: _FenceParameters | None = None) -> str:
            _, _, sets, newest = ("", "", "", "") if fence is None else fence
            return f"""
UPDATE {s}.records AS r SET n = {version}, x = {xid}, v = $2::bytea, m = coalesce($3::text, r.m),
  expires = CASE WHEN $5::bool THEN r.expires ELSE {until} END, w = $6::text, changed = clock_timestamp(){sets}
WHERE k = $1::bytea AND n = $7::bigint AND {live}{newest} RETURNING k, n"""

        def delete(fence: _FenceParameters | None = None) -> str:
            _, _, sets, newest = ("", "", "", "") if fence is None else fence
            return f"""
UPDATE {s}.records AS r SET n = {version}, x = {xid}, kind = 1, v = '', m = '{{}}', expires = NULL, w = $2::text,
  changed = clock_timestamp(){sets}
WHERE k = $1::bytea AND ($3::bigint IS NULL OR n = $3) AND {live}{newest} RETURNING k, n"""

        state = f"""
SELECT e.epoch || {"'.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)" if timeline else "''"} AS epoch, valid, f.x AS floor_x, f.n AS floor_n, {horizon} AS horizon,
  pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS top,
  EXISTS (SELECT FROM {s}.records WHERE x >= {horizon}) AS hidden
FROM (SELECT epoch, x % 4294967296 = xmin::text::bigint AS valid FROM {s}.epoch LIMIT 1) AS e,
  (SELECT x, n FROM {s}.floor LIMIT 1) AS f"""
        row = ROW.format(position="x, n")
        page = f"""
SELECT {CHANGED.format(position="x, n")} FROM {s}.records AS r
WHERE (x, n) > ($1::bigint, $2::bigint) AND x < {horizon} AND k >= $3::bytea AND k < $4::bytea
ORDER BY x, n LIMIT $5::bigint"""
        changes = CUT.format(row=row, order="x, n", page=page, most="$6::bigint")
        return cls(
            reading=Reading.of(s, "x, n"),
            tables=(
                f"CREATE SEQUENCE {s}.versions",
                f"""
CREATE TABLE {s}.records (
  k bytea PRIMARY KEY, n bigint NOT NULL, x bigint NOT NULL, kind smallint NOT NULL, v bytea NOT NULL, m text NOT NULL,
  expires timestamptz, w text NOT NULL, changed timestamptz NOT NULL,
  fence_lock bytea, fence_epoch bigint, fence_token bigint
) WITH (autovacuum_vacuum_scale_factor = 0.05)""",
                f"CREATE UNIQUE INDEX records_changes ON {s}.records (x, n)",
                f"CREATE INDEX records_expires ON {s}.records (expires) WHERE expires IS NOT NULL",
                f"CREATE INDEX records_marks ON {s}.records (changed) WHERE kind <> 0",
                f"CREATE TABLE {s}.epoch (epoch text NOT NULL, x bigint NOT NULL)",
                f"CREATE TABLE {s}.floor (x bigint NOT NULL, n bigint NOT NULL)",
                f"CREATE TABLE {s}.version (version bigint NOT NULL)",
            ),
            upgrade=(
                f"ALTER TABLE {s}.records ADD COLUMN fence_lock bytea, ADD COLUMN fence_epoch bigint, ADD COLUMN fence_token bigint",
            ),
            put=f"{put()} RETURNING k, n",
            create=f"{put()} AND NOT {live} RETURNING k, n",
            replace=replace(),
            delete=delete(),
            fenced_put=f"{put(_fence(7))} RETURNING k, n",
            fenced_create=f"{put(_fence(7))} AND NOT {live} RETURNING k, n",
            fenced_replace=replace(_fence(8)),
            fenced_delete=delete(_fence(4)),
            changes=f"""
SELECT state.*, c.* FROM ({state}) AS state LEFT JOIN ({changes}) AS c ON true ORDER BY c.x, c.n""",
            state=state,
            sweep=f"""
UPDATE {s}.records AS r SET n = {version}, x = {xid}, kind = 2, v = '', m = '{{}}', expires = NULL, w = '',
  changed = clock_timestamp()
WHERE k IN (
  SELECT k FROM {s}.records WHERE expires <= statement_timestamp() ORDER BY expires LIMIT $1::bigint FOR UPDATE SKIP LOCKED
) AND kind = 0 AND expires <= clock_timestamp() RETURNING 1""",
            forget=f"""
WITH gone AS (
  DELETE FROM {s}.records WHERE k IN (
    SELECT k FROM {s}.records WHERE kind <> 0 AND changed < statement_timestamp() - $1::float8 * interval '1 second'
    ORDER BY changed LIMIT $2::bigint FOR UPDATE SKIP LOCKED
  ) AND kind <> 0 RETURNING x, n
), highest AS (SELECT x, n FROM gone ORDER BY x DESC, n DESC LIMIT 1), raised AS (
  UPDATE {s}.floor AS f SET x = h.x, n = h.n FROM highest AS h WHERE (f.x, f.n) < (h.x, h.n)
) SELECT count(*) FROM gone""",
            version=f"SELECT version FROM {s}.version",
            set_version=f"""
WITH e AS (INSERT INTO {s}.epoch VALUES ($2::text, {xid})), f AS (INSERT INTO {s}.floor VALUES (0, 0))
INSERT INTO {s}.version VALUES ($1::bigint)""",
            raise_version=f"UPDATE {s}.version SET version = $1::bigint",
            renew=(
                f"UPDATE {s}.epoch SET epoch = $1::text, x = {xid}",
                f"UPDATE {s}.floor SET x = 0, n = 0",
                f"UPDATE {s}.records SET x = {xid}",
                f"SELECT setval({text_of(f'{s}.versions')}, greatest(nextval({text_of(f'{s}.versions')}), (SELECT max(n) FROM {s}.records)))",
            ),
        )
