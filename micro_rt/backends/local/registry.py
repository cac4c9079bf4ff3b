"""Registry ``local:``: for all processes on this machine, in one SQLite file in the state folder; the default."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro_rt.backends.local.pauses import HEARTBEAT, Pauses
from micro_rt.backends.local.sqlite import Connection, Database
from micro_rt.backends.local.state import Sync, options_of, read_owner_option, read_sync, state_owner, state_path
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.go_micro.nodes import decode_endpoints, endpoints_json
from micro_rt.kit.chance import between
from micro_rt.kit.clock import Clock, boot_clock, boot_of
from micro_rt.kit.foreign import read_json
from micro_rt.kit.ids import new_id
from micro_rt.kit.ownership import Owner
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import TaskSet
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, LeaseLost, Registration, Registry, check_ttl
from micro_rt.registry.unreadable import Unreadable, checked
from micro_rt.registry.watch import Watch, Watches

__all__ = ["LocalRegistry"]


class LocalRegistry(Registry):
    """Lists nodes in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (what is written survives a loss of power, not only a kill) and
            ``owner`` (the number of a user whose state folder is accepted too, or ``any``).
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what leases are measured with.
    """

    loopback = True
    propagation = 0.25  # Twice the time between two looks at the file, and a little.

    def __init__(
        self,
        address: str = "local:",
        *,
        home: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options_of(address)
        self._sync: Sync = read_sync(options)
        self._owner: Owner = read_owner_option(options)
        options.end()
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[_RegistryFile] | None = None
        self._file: _RegistryFile | None = None

    async def open(self) -> None:
        """Opens the file, making it if there is none.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        path = state_path("registry", self._home, self._namespace)
        clock = self._clock or boot_clock()
        owner = state_owner(self._owner)
        self._shared = Shared(
            ("registry", path, self._sync, owner, clock), lambda: _RegistryFile(path, self._sync, owner, clock)
        )
        self._file = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every watch and gives the file back; leases stay until they run out."""
        if self._file is not None and self._shared is not None:
            self._file.watches.close(self)
            self._file = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node."""
        check_ttl(ttl)
        file = self._open_file()
        lease = _LocalLease(self._open_file, registration.node.id, ttl)
        try:
            await file.database.write(lambda connection: file.add(connection, lease, registration))
        except asyncio.CancelledError:
            # Nobody will have the lease; it goes behind what was asked for, if that still happens.
            file.revoke_later(lease)
            raise
        file.sweep_later()
        return lease

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return await self._open_file().nodes(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        return self._open_file().watch(name, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        file = self._open_file()
        return await file.database.read(file.select_all)

    def _open_file(self) -> _RegistryFile:
        if self._file is None:
            raise FailedPrecondition(f"registry {without_secrets(self._address)} is not open")
        return self._file


class _LocalLease(Lease):
    def __init__(self, file: Callable[[], _RegistryFile], id: str, ttl: float) -> None:
        self._file = file
        self.id = id
        self.token = new_id()
        self.ttl = ttl

    async def renew(self) -> None:
        file = self._file()
        if not await file.database.write(lambda connection: file.renew(connection, self)):
            raise LeaseLost(f"the lease of {self.id} ran out, or another replaced it")

    async def revoke(self) -> None:
        file = self._file()
        await file.database.write(lambda connection: file.remove(connection, self))


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


class _RegistryFile:
    """What the registries of one file share in one process.

    Methods that take a connection run in a thread of the database.
    """

    def __init__(self, path: Path, sync: Sync, owner: Owner, clock: Clock) -> None:
        self.watches = Watches()
        self.database = Database(path, _SCHEMA, sync=sync, poll=self._poll, deliver=self._changed, owner=owner)
        self._clock = clock
        self._pauses = Pauses(clock)
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
        await self.database.open()

    async def close(self) -> None:
        await self.database.close()
        for sweep in (self._sweep, self._late_sweep):
            if sweep is not None:
                sweep.cancel()
        await self._tasks.wait()

    def watch(self, name: str, owner: LocalRegistry) -> Watch:
        watch = self.watches.open(name, self.nodes, owner)
        self.database.poll_soon()
        return watch

    async def nodes(self, name: str) -> tuple[Node, ...]:
        return await self.database.read(lambda connection: self._select(connection, name))

    def revoke_later(self, lease: _LocalLease) -> None:
        self._start_write(lambda connection: self.remove(connection, lease))

    def sweep_later(self) -> None:
        """Deletes what has run out by now and is not renewed within a heartbeat.

        After a pause, a process that watches no names may be the first to run, and must not delete the leases of the others.
        """
        if self._late_sweep is None:
            over = self._pauses.end_of_leases()
            self._late_sweep = asyncio.get_running_loop().call_later(HEARTBEAT, self._start_late_sweep, over)

    def add(self, connection: Connection, lease: _LocalLease, registration: Registration) -> None:
        self._delete(connection, self._of_earlier_boots(connection))
        self._touch_names_of(connection, lease.id)
        connection.execute("DELETE FROM leases WHERE id = ?", (lease.id,))
        # Each registration raises the revision, so the later one of two has the larger number.
        (registered,) = connection.execute("SELECT coalesce(max(revision), 0) + 1 FROM changes").fetchone()
        expires = self._clock.now() + lease.ttl
        connection.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)",
            (lease.id, lease.token, _dump(registration.node), self._clock.epoch, expires, registered),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO listings VALUES (?, ?)", [(name, lease.id) for name in registration.names]
        )
        self._touch_names_of(connection, lease.id)

    def renew(self, connection: Connection, lease: _LocalLease) -> bool:
        over = self._pauses.end_of_leases()
        return bool(
            connection.execute(
                "UPDATE leases SET expires = ? WHERE id = ? AND token = ? AND epoch = ? AND expires > ?",
                (self._clock.now() + lease.ttl, lease.id, lease.token, self._clock.epoch, over),
            ).rowcount
        )

    def remove(self, connection: Connection, lease: _LocalLease) -> None:
        if connection.execute("SELECT 1 FROM leases WHERE id = ? AND token = ?", (lease.id, lease.token)).fetchone():
            self._touch_names_of(connection, lease.id)
            connection.execute("DELETE FROM leases WHERE id = ?", (lease.id,))

    def select_all(self, connection: Connection) -> dict[str, tuple[Node, ...]]:
        rows = connection.execute(
            "SELECT name, id, token, node, registered FROM listings JOIN leases USING (id) WHERE epoch = ? AND expires > ? "
            "ORDER BY name, id",
            (self._clock.epoch, self._pauses.end_of_leases()),
        )
        found: dict[str, list[Node]] = {}
        for name, *row in rows:
            if (node := self._parse(*row)) is not None:
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def _select(self, connection: Connection, name: str) -> tuple[Node, ...]:
        rows = connection.execute(
            "SELECT id, token, node, registered FROM listings JOIN leases USING (id) "
            "WHERE name = ? AND epoch = ? AND expires > ? ORDER BY id",
            (name, self._clock.epoch, self._pauses.end_of_leases()),
        )
        return tuple([node for row in rows if (node := self._parse(*row)) is not None])

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
            # They are invisible by now; whoever polls deletes them, but not all who poll at once.
            self._sweep = asyncio.get_running_loop().call_later(between(0, 1), self._start_sweep)

    def _start_sweep(self) -> None:
        self._sweep = None
        self._start_write(lambda connection: self._delete_expired(connection, self._pauses.end_of_leases()))

    def _start_late_sweep(self, over: float) -> None:
        self._late_sweep = None
        self._start_write(lambda connection: self._delete_expired(connection, over))

    def _start_write(self, operation: Callable[[Connection], None]) -> None:
        async def write() -> None:
            with contextlib.suppress(
                Error
            ):  # It is housekeeping: leases run out all the same, and others who look will do it.
                await self.database.write(operation)

        self._tasks.start(write())

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
