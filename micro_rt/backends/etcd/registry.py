"""Registry ``etcd:``: on an etcd cluster, in the keys that go-micro uses, so that both find each other.

Each name of a node is a key ``/micro/registry/NAME/ID`` with the node as go-micro's JSON. One lease of etcd holds all keys of a
registration, which one transaction writes. A key of our own beside them, ``/micro/registry-nodes/ID``, says which names a
node has: who registers the same node again finds there what to delete.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, new_lease_id, prefix_end
from micro_rt.backends.etcd.engine import EtcdEngine, shared_engine
from micro_rt.backends.etcd.messages_pb2 import (
    Compare,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from micro_rt.backends.etcd.mirror import Mirror
from micro_rt.errors import Aborted, Error, FailedPrecondition, NotFound, Unavailable
from micro_rt.go_micro.nodes import decode_service, encode_service
from micro_rt.kit.foreign import read_json
from micro_rt.kit.ordered import WeakOrderedSet
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import TaskSet, observed
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, LeaseLost, Registration, Registry, check_ttl
from micro_rt.registry.unreadable import Unreadable, checked
from micro_rt.registry.watch import Watch, Watches

__all__ = ["EtcdRegistry"]

PREFIX = "/micro/registry/"
"""Where go-micro lists nodes."""
ATTEMPTS = 10
"""How often a registration is tried that others of the same node come before, or whose lease goes before it is used."""
REVOKE_TIMEOUT = 2.0
"""Seconds that leases that nobody has get to be revoked when the registry is closed."""


class EtcdRegistry(Registry):
    """Lists nodes in etcd.

    Args:
        address: ``"etcd://host:2379,host2:2379"``, with a user before the hosts and options after them; docs/etcd.md lists
            them. Without a user, ``ETCD_USERNAME`` and ``ETCD_PASSWORD`` say who asks.
    """

    def __init__(self, address: str = "etcd://127.0.0.1:2379") -> None:
        self._address = EtcdAddress.parse(address, options=("prefix",))
        prefix = dict(self._address.options).get("prefix", PREFIX)
        if not prefix.endswith("/") or not prefix.strip("/"):
            raise ValueError(f"{self._address}: prefix={prefix!r} must end with a slash, and have something before it")
        self._shared = Shared(("registry", self._address), lambda: _EtcdDirectory(self._address, prefix))
        self._directory: _EtcdDirectory | None = None

    @property
    def problem(self) -> str:
        """What keeps it from seeing the present state, as far as it knows; empty if nothing does."""
        return self._directory.engine.problem if self._directory is not None else ""

    async def open(self) -> None:
        """Connects, and looks whether it may read.

        Raises:
            Unavailable: no member can be reached.
            Unauthenticated: the user is not known, or there must be one.
            PermissionDenied: the user may not read the keys.
            FailedPrecondition: TLS cannot be set up.
        """
        self._directory = await self._shared.acquire()
        self.loopback = self._directory.loopback

    async def close(self) -> None:
        """Ends every watch and disconnects; leases stay until they run out."""
        if self._directory is not None:
            self._directory.watches.close(self)
            self._directory = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node, replacing what it registered before under the same id.

        Args:
            registration: the node and its names.
            ttl: seconds that it stays listed without being renewed; etcd counts in whole ones, and raises what is too short
                for it.
        """
        check_ttl(ttl)
        directory = self._open_directory()
        id = new_lease_id()
        adding = asyncio.create_task(
            directory.add(registration, id, math.ceil(ttl)), name=f"register {registration.node.id}"
        )
        observed(adding)
        try:
            keys = await asyncio.shield(adding)
        except BaseException:
            directory.undo(adding, id)  # Whatever of it has happened, nobody will have the lease.
            raise
        return _EtcdLease(self._open_directory, registration.node.id, id, keys)

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids."""
        return await self._open_directory().resolve(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        return self._open_directory().watch(name, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        return await self._open_directory().names()

    def _open_directory(self) -> _EtcdDirectory:
        if self._directory is None:
            raise FailedPrecondition(f"the registry on {self._address} is not open")
        return self._directory


class _EtcdLease(Lease):
    def __init__(self, directory: Callable[[], _EtcdDirectory], node: str, id: int, keys: Iterable[bytes]) -> None:
        self._directory = directory
        self._node = node
        self._id = id
        self._present = TxnRequest(
            compare=[Compare(key=key, target=Compare.LEASE, lease=id, result=Compare.EQUAL) for key in keys]
        )

    async def renew(self) -> None:
        client = self._directory().client
        if await client.keep_alive(self._id) <= 0:
            raise LeaseLost(f"the lease of {self._node} ran out, or another replaced it")
        # A lease can live on without its keys: others have taken them, or somebody has deleted them.
        if not (await client.txn(self._present)).succeeded:
            raise LeaseLost(f"another registration replaced that of {self._node}, or its keys were deleted")

    async def revoke(self) -> None:
        await self._directory().client.revoke(self._id)


class _EtcdDirectory:
    """What the registries of one address share in one event loop."""

    def __init__(self, address: EtcdAddress, prefix: str) -> None:
        self.watches = Watches()
        self._prefix = prefix.encode()
        self._nodes_prefix = prefix.rstrip("/").encode() + b"-nodes/"
        self.loopback = False
        self._shared = shared_engine(address)
        self._engine: EtcdEngine | None = None
        self._views: dict[str, _View] = {}
        self._revoking = TaskSet[None]()
        self._unreadable = Unreadable()

    @property
    def engine(self) -> EtcdEngine:
        assert self._engine is not None  # noqa: S101  # for type checkers: used only while it is open
        return self._engine

    @property
    def client(self) -> EtcdClient:
        return self.engine.client

    async def open(self) -> None:
        self._engine = await self._shared.acquire()
        try:
            await self.client.range(self._all(limit=1, keys_only=True))
            self.loopback = await self.client.on_loopback()
        except BaseException:
            await self._shared.release()
            raise

    async def close(self) -> None:
        for view in list(self._views.values()):
            self._drop(view)
        if await self._revoking.wait(REVOKE_TIMEOUT):
            await self._revoking.end()
        await self._shared.release()

    async def resolve(self, name: str) -> tuple[Node, ...]:
        prefix = self.prefix_of(name)
        reply = await self.client.range(RangeRequest(key=prefix, range_end=prefix_end(prefix)))
        return _in_order(self._decode(kv)[1] for kv in reply.kvs)

    async def names(self) -> dict[str, tuple[Node, ...]]:
        reply = await self.client.range(self._all())
        found: dict[str, list[list[Node]]] = {}
        for kv in reply.kvs:
            name, nodes = self._decode(kv)
            if nodes:
                found.setdefault(name, []).append(nodes)
        return {name: _in_order(found[name]) for name in sorted(found)}

    def watch(self, name: str, owner: EtcdRegistry) -> Watch:
        for idle in [view for view in self._views.values() if not view.users]:
            self._drop(idle)
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _View(self, name)
        watch = self.watches.open(name, _Reader(view), owner)
        view.users.add(watch)
        return watch

    def changed(self, view: _View) -> None:
        if view.users:
            self.watches.changed((view.name,))
        else:
            self._drop(view)

    async def add(self, registration: Registration, lease: int, ttl: int) -> list[bytes]:
        """Makes the lease of a registration and writes its keys, which it returns."""
        for _ in range(ATTEMPTS):
            await self.client.grant(lease, ttl)
            try:
                return await self._write(registration, lease)
            except NotFound:
                continue  # The lease went at once: the store is another one now, or too slow for this one.
        raise Unavailable(f"{self.client.address} loses every lease for {registration.node.id} as soon as it is made")

    async def _write(self, registration: Registration, lease: int) -> list[bytes]:
        node = registration.node
        texts = {
            self._key(name, node.id): encode_service(name, node, "etcd").encode()
            for name in dict.fromkeys(registration.names)
        }
        own = self._nodes_prefix + _segment(node.id)
        texts[own] = json.dumps({"names": list(dict.fromkeys(registration.names))}).encode()
        puts = [RequestOp(request_put=PutRequest(key=key, value=text, lease=lease)) for key, text in texts.items()]
        before: KeyValue | None = None
        for _ in range(ATTEMPTS):
            gone = [] if before is None else [key for key in self._keys_of(before, node.id) if key not in texts]
            reply = await self.client.txn(
                TxnRequest(
                    compare=[
                        Compare(key=own, target=Compare.MOD, mod_revision=0 if before is None else before.mod_revision)
                    ],
                    success=[
                        *puts,
                        *(RequestOp(request_delete_range=DeleteRangeRequest(key=key)) for key in gone),
                    ],
                    failure=[RequestOp(request_range=RangeRequest(key=own))],
                )
            )
            if reply.succeeded:
                if before is not None and before.lease:
                    self._start(self._revoke(before.lease))  # None of its keys are left to it.
                return list(texts)
            found = reply.responses[0].response_range.kvs
            before = found[0] if found else None
            if before is not None and before.lease == lease:
                return list(texts)  # It has run, and its answer was lost.
        raise Aborted(f"node {node.id} is registered by others again and again; node ids must be unique")

    def undo(self, adding: asyncio.Task[list[bytes]], lease: int) -> None:
        """Takes back what a registration has done that nobody waits for any more."""

        async def undo() -> None:
            # What is asked for is waited for, or it might happen after its lease was revoked in vain.
            try:
                await asyncio.wait((adding,))
            finally:
                adding.cancel()
            await self._revoke(lease)

        self._start(undo())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._revoking.start(work, name="revoke lease")

    async def _revoke(self, lease: int) -> None:
        with contextlib.suppress(Error):  # It runs out, then.
            await self.client.revoke(lease)

    def decode_nodes(self, kv: KeyValue) -> list[Node]:
        return self._decode(kv)[1]

    def _decode(self, kv: KeyValue) -> tuple[str, list[Node]]:
        """Reads the name and the nodes of a key; no nodes if they cannot be read, which is logged once."""
        try:
            text = kv.value.decode()
            # A key is written when its node is registered, and not when its lease is renewed.
            nodes = [checked(dataclasses.replace(node, registered=kv.mod_revision)) for node in decode_service(text)]
            return self._name(kv.key, text), nodes
        except Exception as error:
            self._unreadable.note(f"what {kv.key.decode(errors='replace')!r} holds", error)
            return "", []

    def _name(self, key: bytes, text: str) -> str:
        """Returns the name that a key stands for: its segment, unless the value has one that is written like that."""
        segment = key.removeprefix(self._prefix).rpartition(b"/")[0].decode(errors="replace")
        if "-" not in segment:
            return segment
        name: Any = read_json(text).get("name")
        return name if isinstance(name, str) and _segment(name).decode() == segment else segment

    def _keys_of(self, kv: KeyValue, node: str) -> list[bytes]:
        try:
            names: list[object] = read_json(kv.value)["names"]
            return [self._key(str(name), node) for name in names]
        except (ValueError, KeyError, TypeError, RecursionError):
            return []

    def _drop(self, view: _View) -> None:
        self.engine.mirrors.remove(view.mirror)
        if self._views.get(view.name) is view:
            del self._views[view.name]

    def _all(self, *, limit: int = 0, keys_only: bool = False) -> RangeRequest:
        return RangeRequest(key=self._prefix, range_end=prefix_end(self._prefix), limit=limit, keys_only=keys_only)

    def prefix_of(self, name: str) -> bytes:
        return self._prefix + _segment(name) + b"/"

    def _key(self, name: str, node: str) -> bytes:
        return self.prefix_of(name) + _segment(node)


class _View:
    """The nodes of one name that somebody watches."""

    def __init__(self, directory: _EtcdDirectory, name: str) -> None:
        self.name = name
        self.users = WeakOrderedSet[Watch]()
        self._directory = directory
        self.mirror = Mirror[list[Node]](
            directory.client, directory.prefix_of(name), directory.decode_nodes, lambda: directory.changed(self)
        )

    async def read(self, *, first: bool) -> tuple[Node, ...]:
        if first:
            await self.mirror.read()
            self._directory.engine.mirrors.add(self.mirror)
        return _in_order(self.mirror.items)


class _Reader:
    """Reads for one watch: what is registered when it begins, it must not miss, and later its view follows the changes."""

    def __init__(self, view: _View) -> None:
        self._view = view
        self._first = True

    async def __call__(self, name: str) -> tuple[Node, ...]:
        nodes = await self._view.read(first=self._first)
        self._first = False
        return nodes


def _segment(text: str) -> bytes:
    """Returns a name or an id as go-micro puts it in a key."""
    return text.replace("/", "-").encode()


def _in_order(found: Iterable[list[Node]]) -> tuple[Node, ...]:
    return tuple(sorted((node for nodes in found for node in nodes), key=lambda node: node.id))
