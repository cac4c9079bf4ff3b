"""What the ``local:`` registries of one file share in one process: its threads, its watches, and what is known of leases.

Rules:

- A renewal changes one row of leases and nothing else, so that heartbeats wake no watch.
- ``expiry`` says when a lease that ended has run out, where nobody could write; ``pauses``, where the machine was paused.
- A process that reads deletes what has run out. One that registers does so only after a heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.expiry import LONG, Expiry
from micro_rt.backends.local.pauses import HEARTBEAT, Pauses
from micro_rt.backends.local.sqlite import Connection, Database
from micro_rt.backends.local.state import Sync
from micro_rt.errors import Error
from micro_rt.go_micro.nodes import decode_endpoints, endpoints_json
from micro_rt.kit.chance import between
from micro_rt.kit.clock import Clock, boot_of
from micro_rt.kit.foreign import read_json
from micro_rt.kit.ids import new_id
from micro_rt.kit.ownership import Owner
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.node import Node
from micro_rt.registry.base import Lease, LeaseLost, Registration
from micro_rt.registry.unreadable import Unreadable, checked
from micro_rt.registry.watch import Watch, Watches

__all__ = ["LocalLease", "RegistryFile"]

_log = logger("micro_rt.registry")
T = TypeVar("T")


class LocalLease(Lease):
    """A lease on a row of the file.

    Args:
        file: returns the file, as long as the registry is open.
        id: of the node.
        ttl: seconds.
    """

    def __init__(self, file: Callable[[], RegistryFile], id: str, ttl: float) -> None:
        self._file = file
        self.id = id
        self.token = new_id()
        self.ttl = ttl

    async def renew(self) -> None:
        """Starts its time anew."""
        file = self._file()
        if not await file.write(lambda connection: file.renew(connection, self)):
            raise LeaseLost(f"the lease of {self.id} ran out, or another replaced it")

    async def revoke(self) -> None:
        """Removes what it lists."""
        file = self._file()
        await file.write(lambda connection: file.remove(connection, self))


# A renewal changes one row of leases and nothing else, so that heartbeats wake no watch: ``changes`` says when the nodes of a
# name changed last, on a counter over all names.
_SCHEMA = (
    (
        """CREATE TABLE leases (
            id TEXT PRIMARY KEY, token TEXT NOT NULL, node TEXT NOT NULL, epoch TEXT NOT NULL, expires REAL NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX leases_by_expiry ON leases (epoch, expires)",
        """CREATE TABLE listings (
            name TEXT NOT NULL, id TEXT NOT NULL REFERENCES leases ON DELETE CASCADE, PRIMARY KEY (name, id)
        ) WITHOUT ROWID""",
        "CREATE INDEX listings_by_id ON listings (id)",
        "CREATE TABLE changes (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE INDEX changes_by_revision ON changes (revision)",
    ),
    ("ALTER TABLE leases ADD COLUMN registered INTEGER NOT NULL DEFAULT 0",),
)
_REMEMBERED = 10_000
"""How many changes ago a name without nodes may be forgotten; who looks more rarely looks at all names."""


class RegistryFile:
    """What the registries of one file share in one process.

    Methods that take a connection run in a thread of the database.
    """

    def __init__(self, path: Path, sync: Sync, owner: Owner, clock: Clock) -> None:
        self.watches = Watches()
        disk = Disk(path, refused="only nodes that are listed already can register")
        self.database = Database(
            path, _SCHEMA, sync=sync, poll=self._poll, deliver=self._changed, disk=disk, owner=owner
        )
        self._clock = clock
        self._pauses = Pauses(clock)
        self._expiry = Expiry(clock.now, self._pauses.end_of_leases)
        self._trouble = ""
        self._closed = False
        self._confirming: asyncio.Task[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._late_sweep: asyncio.TimerHandle | None = None
        self._tasks = TaskSet[None]()
        # What the reader's thread saw last.
        self._seen: tuple[Connection, int] | None = None
        self._revision = 0
        self._next_expiry = 0.0
        self._parsed: dict[str, Node] = {}
        self._unreadable = Unreadable()

    async def open(self) -> None:
        """Opens the file, which is created if it does not exist."""
        await self.database.open()

    @property
    def problem(self) -> str:
        """Why the file cannot be written; empty if it can, as far as is known."""
        return self.database.disk.problem or self._trouble

    async def close(self) -> None:
        """Finishes what was asked for before, and closes the file."""
        self._closed = True
        if self._confirming is not None:
            self._confirming.cancel()
        await self.database.close()
        for sweep in (self._sweep, self._late_sweep):
            if sweep is not None:
                sweep.cancel()
        await self._tasks.wait()

    def watch(self, name: str, owner: object) -> Watch:
        """Gives the nodes of a name now, and again after each change; ``owner`` ends it."""
        watch = self.watches.open(name, self.nodes, owner)
        self.database.poll_soon()
        return watch

    async def nodes(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return await self._confirmed(lambda connection: self._select(connection, name))

    async def names(self) -> dict[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        return await self._confirmed(self._select_all)

    async def add(self, lease: LocalLease, registration: Registration) -> None:
        """Lists a node, in place of what is listed under its id."""
        asked = self._clock.now()
        await self.database.write(lambda connection: self._add(connection, lease, registration))
        self._wrote(asked)

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Writes, and notes whether that is possible."""
        asked = self._clock.now()
        try:
            result = await self.database.write(operation)
        except Error as error:
            if self._closed:
                raise
            self._expiry.failed()
            if not self._trouble:
                _log.warning(
                    "%s cannot be written, and leases that run out are kept meanwhile: %s", self.database.path, error
                )
            self._trouble = error.message
            raise
        except asyncio.CancelledError:
            if self._clock.now() - asked > LONG:
                self._expiry.failed()
            raise
        self._wrote(asked)
        return result

    def _wrote(self, asked: float) -> None:
        self._expiry.wrote(asked)
        if self._trouble:
            self._trouble = ""
            _log.info("%s can be written again", self.database.path)

    async def _confirmed(self, select: Callable[[Connection], tuple[T, bool]]) -> T:
        """Reads nodes, and if leases among theirs have ended, leaves those out once it is clear that their owners could write."""
        found, ended = await self.database.read(select)
        if not ended:
            return found
        if self._confirming is None:
            self._confirming = self._tasks.start(self._confirm())
        if self._expiry.in_doubt:
            return found
        await asyncio.wait((self._confirming,), timeout=LONG)
        found, _ = await self.database.read(select)
        return found

    async def _confirm(self) -> None:
        """Deletes leases that ended, as soon as it is clear that their owners could write."""
        doubted = False
        try:
            while True:
                with contextlib.suppress(Error):
                    await self._sweep_now()
                if not self._expiry.in_doubt:
                    break
                doubted = True
                await asyncio.sleep(self._expiry.pause or between(0.5, 1.5))
        finally:
            self._confirming = None
        if doubted:
            self.watches.all_changed()

    async def _sweep_now(self, over: float = float("inf")) -> None:
        """Deletes leases that have run out, of those that ended by a time."""
        asked = self._clock.now()
        await self.write(lambda connection: self._delete_expired(connection, min(over, self._expiry.limit(asked))))

    def revoke_later(self, lease: LocalLease) -> None:
        """Removes what a lease lists, behind what was asked for before."""
        self._start(self.write(lambda connection: self.remove(connection, lease)))

    def sweep_later(self) -> None:
        """Deletes what has run out by now and is not renewed within a heartbeat.

        After a pause, a process that watches no names may be the first to run, and must not delete the leases of the others.
        """
        if self._late_sweep is None:
            over = self._pauses.end_of_leases()
            self._late_sweep = asyncio.get_running_loop().call_later(HEARTBEAT, self._start_late_sweep, over)

    def _add(self, connection: Connection, lease: LocalLease, registration: Registration) -> None:
        self._delete(connection, self._of_earlier_boots(connection))
        node = _dump(registration.node)
        if connection.execute("SELECT 1 FROM leases WHERE id = ?", (lease.id,)).fetchone() is None:
            size = len(node) + sum(map(len, registration.names))
            self.database.disk.check(connection, size, 1 + len(registration.names))
        self._touch_names_of(connection, lease.id)
        connection.execute("DELETE FROM leases WHERE id = ?", (lease.id,))
        # Each registration raises the revision, so the later one of two has the larger number.
        (registered,) = connection.execute("SELECT coalesce(max(revision), 0) + 1 FROM changes").fetchone()
        expires = self._clock.now() + lease.ttl
        connection.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)",
            (lease.id, lease.token, node, self._clock.epoch, expires, registered),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO listings VALUES (?, ?)", [(name, lease.id) for name in registration.names]
        )
        self._touch_names_of(connection, lease.id)

    def renew(self, connection: Connection, lease: LocalLease) -> bool:
        """Starts the time of a lease anew; returns False if it has run out, or another replaced it."""
        over = self._pauses.end_of_leases()
        return bool(
            connection.execute(
                "UPDATE leases SET expires = ? WHERE id = ? AND token = ? AND epoch = ? AND expires > ?",
                (self._clock.now() + lease.ttl, lease.id, lease.token, self._clock.epoch, over),
            ).rowcount
        )

    def remove(self, connection: Connection, lease: LocalLease) -> None:
        """Removes what a lease lists, unless another replaced it."""
        if connection.execute("SELECT 1 FROM leases WHERE id = ? AND token = ?", (lease.id, lease.token)).fetchone():
            self._touch_names_of(connection, lease.id)
            connection.execute("DELETE FROM leases WHERE id = ?", (lease.id,))

    def _select_all(self, connection: Connection) -> tuple[dict[str, tuple[Node, ...]], bool]:
        rows = connection.execute(
            "SELECT name, expires, id, token, node, registered FROM listings JOIN leases USING (id) "
            "WHERE epoch = ? AND expires > ? ORDER BY name, id",
            (self._clock.epoch, self._expiry.until),
        ).fetchall()
        found: dict[str, list[Node]] = {}
        for name, _, *row in rows:
            if (node := self._parse(*row)) is not None:
                found.setdefault(name, []).append(node)
        over = self._pauses.end_of_leases()
        return {name: tuple(nodes) for name, nodes in found.items()}, any(row[1] <= over for row in rows)

    def _select(self, connection: Connection, name: str) -> tuple[tuple[Node, ...], bool]:
        """Returns the nodes of a name, and whether leases of some have ended, so that a write is to show who is gone."""
        rows = connection.execute(
            "SELECT expires, id, token, node, registered FROM listings JOIN leases USING (id) "
            "WHERE name = ? AND epoch = ? AND expires > ? ORDER BY id",
            (name, self._clock.epoch, self._expiry.until),
        ).fetchall()
        over = self._pauses.end_of_leases()
        nodes = [node for _, *row in rows if (node := self._parse(*row)) is not None]
        return tuple(nodes), any(row[0] <= over for row in rows)

    def _poll(self, connection: Connection) -> _Found | None:
        """Looks what changed since the last time; costs two reads of shared memory if nothing did."""
        if not self.watches:
            self.database.stop_polling()
            self._pauses.end_of_leases(regular=False)
            if not self.watches:
                return None
            self.database.poll_soon()  # One came just now.
        # The version counts the commits of others, as this connection sees them; a new connection begins anew.
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        seen = (connection, version)
        over = self._pauses.end_of_leases(regular=True)
        if seen == self._seen and over < self._next_expiry:
            return None
        (revision,) = connection.execute("SELECT coalesce(max(revision), 0) FROM changes").fetchone()
        names: dict[str, None] | None = None
        known = self._seen is not None and self._seen[0] is connection
        if known and self._revision <= revision < self._revision + _REMEMBERED:
            rows = connection.execute(
                "SELECT name FROM changes WHERE revision > ? ORDER BY revision, name", (self._revision,)
            )
            names = dict.fromkeys(name for (name,) in rows)
        epoch = self._clock.epoch
        rows = connection.execute(
            "SELECT DISTINCT name FROM leases JOIN listings USING (id) WHERE epoch = ? AND expires <= ? ORDER BY name",
            (epoch, over),
        )
        expired = dict.fromkeys(name for (name,) in rows)
        (expiry,) = connection.execute(
            "SELECT min(expires) FROM leases WHERE epoch = ? AND expires > ?", (epoch, over)
        ).fetchone()
        self._seen, self._revision, self._next_expiry = seen, revision, float("inf") if expiry is None else expiry
        return _Found(None if names is None else names | expired, bool(expired))

    def _changed(self, found: _Found) -> None:
        if found.names is None:
            self.watches.all_changed()
        else:
            self.watches.changed(found.names)
        if found.expired and self._sweep is None:
            # Whoever reads their names deletes them. Who watches other names does so too, but not all at once.
            self._sweep = asyncio.get_running_loop().call_later(between(0, 1), self._start_sweep)

    def _start_sweep(self) -> None:
        self._sweep = None
        self._start(self._sweep_now())

    def _start_late_sweep(self, over: float) -> None:
        self._late_sweep = None
        self._start(self._sweep_now(over))

    def _start(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            with contextlib.suppress(
                Error
            ):  # It is housekeeping: leases run out all the same, and others who look will do it.
                await work

        self._tasks.start(run())

    def _delete_expired(self, connection: Connection, over: float) -> None:
        dead = connection.execute(
            "SELECT id FROM leases WHERE epoch = ? AND expires <= ?", (self._clock.epoch, over)
        ).fetchall()
        self._delete(connection, [*(id for (id,) in dead), *self._of_earlier_boots(connection)])

    def _of_earlier_boots(self, connection: Connection) -> list[str]:
        epoch = self._clock.epoch
        rows = connection.execute(
            "SELECT id, epoch FROM leases WHERE epoch < ? UNION ALL SELECT id, epoch FROM leases WHERE epoch > ?",
            (epoch, epoch),
        )
        # Leases of this boot in a time namespace whose clock cannot be compared may be valid there.
        return [id for id, other in rows if boot_of(other) != boot_of(epoch)]

    def _delete(self, connection: Connection, ids: Iterable[str]) -> None:
        for id in ids:
            self._touch_names_of(connection, id)
            connection.execute("DELETE FROM leases WHERE id = ?", (id,))

    def _touch_names_of(self, connection: Connection, id: str) -> None:
        (revision,) = connection.execute("SELECT coalesce(max(revision), 0) + 1 FROM changes").fetchone()
        connection.execute(
            "INSERT INTO changes SELECT name, ? FROM listings WHERE id = ? "
            "ON CONFLICT (name) DO UPDATE SET revision = excluded.revision",
            (revision, id),
        )
        if revision % 1000 == 0:
            connection.execute(
                "DELETE FROM changes WHERE revision <= ? "
                "AND NOT EXISTS (SELECT 1 FROM listings WHERE listings.name = changes.name)",
                (revision - _REMEMBERED,),
            )

    def _parse(self, id: str, token: str, text: str, registered: int) -> Node | None:
        """Reads a node, or remembers it: a token never stands for another. Returns None for what cannot be read."""
        node = self._parsed.get(token)
        if node is None:
            if len(self._parsed) >= _REMEMBERED:
                self._parsed.clear()
            try:
                node = self._parsed[token] = _load(id, text, registered)
            except Exception as error:
                self._unreadable.note(f"the entry {id!r} in {self.database.path}", error)
        return node


@dataclass(frozen=True, slots=True)
class _Found:
    """What a poll found."""

    names: Collection[str] | None
    """Whose nodes may be others; None if those of any name may be."""
    expired: bool
    """Whether there are leases to delete."""


def _dump(node: Node) -> str:
    return json.dumps(
        {
            "address": node.address,
            "transport": node.transport,
            "version": node.version,
            "services": sorted(node.services),
            "metadata": dict(node.metadata),
            "endpoints": endpoints_json(node.endpoints),
        }
    )


def _load(id: str, text: str, registered: int) -> Node:
    fields: dict[str, Any] = read_json(text)
    return checked(
        Node(
            id=id,
            address=fields["address"],
            transport=fields["transport"],
            version=fields["version"],
            services=frozenset(fields["services"]),
            metadata=dict(fields["metadata"]),
            endpoints=decode_endpoints(fields.get("endpoints")),
            registered=registered,
        )
    )
