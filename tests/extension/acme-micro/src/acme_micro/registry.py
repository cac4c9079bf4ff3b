"""Registry ``acme:/path/to/file``: one JSON file that all processes of a machine share."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import IO, Any

from micro_rt.errors import FailedPrecondition, Unavailable
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.registry.base import LEASE_TTL, Lease, LeaseLost, Registration, Registry, Watch, Watches, check_ttl

__all__ = ["AcmeRegistry"]

POLL = 0.05
"""Seconds between two looks at the file."""

Entries = dict[str, dict[str, Any]]


class AcmeRegistry(Registry):
    """Lists nodes in a file.

    Args:
        address: ``"acme:/path/to/file"``, or ``"acme:"`` for a file in a folder of this user's among the temporary files.
    """

    loopback = True
    propagation = 2 * POLL

    def __init__(self, address: str = "acme:") -> None:
        scheme, _, path = address.partition(":")
        if scheme != "acme" or (path and not path.startswith("/")):
            raise ValueError(f"registry address {address!r} is not acme: or acme:/path/to/file")
        self._own_folder = not path
        self._file = Path(path or f"{gettempdir()}/acme-micro-{os.getuid()}/registry.json")
        self._watches = Watches()
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begins to look at the file."""
        if self._own_folder:
            _make_private(self._file.parent)
        if not self._file.parent.is_dir():
            raise Unavailable(f"registry acme: there is no folder {self._file.parent}; make it")
        self._looking = asyncio.create_task(self._look(), name="acme registry")

    async def close(self) -> None:
        """Ends every watch."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait((looking,))
            self._watches.close(self)

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node."""
        check_ttl(ttl)
        self._check_open()
        lease = _AcmeLease(self, registration.node.id, ttl)
        with self._changing() as entries:
            fields = asdict(registration.node) | {"services": sorted(registration.node.services)}
            fields["registered"] = 1 + max((entry["node"]["registered"] for entry in entries.values()), default=0)
            entries[registration.node.id] = {
                "token": lease.token,
                "expires": time.time() + ttl,
                "names": registration.names,
                "node": fields,
            }
        return lease

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name."""
        return (await self.names()).get(name, ())

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        self._check_open()
        return self._watches.open(name, self.resolve, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        self._check_open()
        return self._nodes()

    def renew(self, id: str, token: str, ttl: float) -> None:
        """Starts the time to live of a lease anew."""
        self._check_open()
        with self._changing() as entries:
            if id not in entries or entries[id]["token"] != token:
                raise LeaseLost(f"the lease of {id} ran out, or another replaced it")
            entries[id]["expires"] = time.time() + ttl

    def revoke(self, id: str, token: str) -> None:
        """Removes a registration."""
        self._check_open()
        with self._changing() as entries:
            if id in entries and entries[id]["token"] == token:
                del entries[id]

    def _nodes(self) -> dict[str, tuple[Node, ...]]:
        names: dict[str, list[Node]] = {}
        for _, entry in sorted(self._read().items()):
            node = _node(entry["node"])
            for name in dict.fromkeys(entry["names"]):
                names.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in names.items()}

    async def _look(self) -> None:
        known: Mapping[str, tuple[Node, ...]] = {}
        while True:
            nodes = self._nodes() if len(self._watches) else {}
            self._watches.changed([name for name in nodes.keys() | known.keys() if nodes.get(name) != known.get(name)])
            known = nodes
            await asyncio.sleep(POLL)

    def _read(self) -> Entries:
        """Returns the entries that have not run out."""
        try:
            with _opened(self._file, os.O_RDONLY) as file:
                entries: dict[str, Any] = json.loads(file.read())
        except FileNotFoundError:
            return {}
        now = time.time()
        return {id: entry for id, entry in entries.items() if _is_readable(entry) and entry["expires"] > now}

    @contextmanager
    def _changing(self) -> Iterator[Entries]:
        """Gives the entries to change, and writes them; no other process changes them meanwhile."""
        with _opened(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._read()
            yield entries
            fresh = self._file.with_suffix(f".{uuid.uuid4().hex}")
            with _opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                file.write(json.dumps(entries))
            fresh.replace(self._file)

    def _check_open(self) -> None:
        if self._looking is None:
            raise FailedPrecondition("registry acme is not open")


class _AcmeLease(Lease):
    def __init__(self, registry: AcmeRegistry, id: str, ttl: float) -> None:
        self._registry = registry
        self._id = id
        self._ttl = ttl
        self.token = uuid.uuid4().hex

    async def renew(self) -> None:
        self._registry.renew(self._id, self.token, self._ttl)

    async def revoke(self) -> None:
        with suppress(FailedPrecondition):
            self._registry.revoke(self._id, self.token)


def _make_private(folder: Path) -> None:
    """Makes a folder for this user, and refuses one that another user could have made or can change.

    Everybody can write to the folder for temporary files, and so can make a folder or a link of a known name first.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise FailedPrecondition(
            f"registry acme: {folder} is not a folder of this user's alone; remove it, or name a file"
        )


def _opened(path: Path, flags: int) -> IO[str]:
    """Opens a file for this user alone, and never through a link, which another user may have put there."""
    try:
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FailedPrecondition(f"registry acme: {path} is a link; remove it") from None
        raise
    return os.fdopen(opened, "r" if flags & os.O_ACCMODE == os.O_RDONLY else "w")


def _is_readable(entry: Any) -> bool:
    """Returns whether an entry holds a node: whoever can write the file can write anything."""
    try:
        node = _node(entry["node"])
        texts = [node.id, node.address, node.transport, node.version, *entry["names"], entry["token"]]
        return all(isinstance(text, str) for text in texts) and entry["expires"] + node.registered > 0
    except Exception:
        return False


def _node(fields: dict[str, Any]) -> Node:
    endpoints = tuple(_endpoint(each) for each in fields["endpoints"])
    return Node(**(fields | {"services": frozenset(fields["services"]), "endpoints": endpoints}))


def _endpoint(fields: dict[str, Any]) -> EndpointInfo:
    request, response = (_value(fields[name]) for name in ("request", "response"))
    return EndpointInfo(fields["name"], request, response, fields["metadata"])


def _value(fields: dict[str, Any] | None) -> ValueInfo | None:
    if fields is None:
        return None
    values = (_value(each) for each in fields["values"])
    return ValueInfo(fields["name"], fields["type"], tuple(each for each in values if each is not None))
