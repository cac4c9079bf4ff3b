"""Sync ``etcd:``: locks as keys that go with a lease, in the order in which they were made.

The rules that it keeps, and why:

- A claim is a key of its own in the folder of its lock, with a lease of its own. It has a seat if fewer claims than there are seats are
  older. The revision at which its key was made is its token: the store only counts up, whatever happens to its servers.
- The id of the lease is chosen here. So a request whose answer was lost can be sent again, and whatever came of it can be given up.
- A key is made once. A claim whose key or lease is gone is gone for good, also if it still waits: it would come in front of others.
  (https://github.com/etcd-io/etcd/issues/11456: a lock was had although its lease had died while it waited.)
- A key with a lease that has ended cannot be made, so a request that arrives after its claim was given up does nothing.
- Renewing looks at the key, too: somebody may have deleted it, and the lease lives on. A lease that is gone is a time of 0 in an answer
  that is no error.
- Who waits for a lock watches the claim before its own alone. Who holds one watches its own key: servers end leases early, and
  operators delete keys. Neither costs a request, and a lock that is held for a moment only is not watched at all.
- The epoch (epoch.py) is read together with the claims: revisions start again in a store that has lost its data.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final
from urllib.parse import quote

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, new_lease_id, prefix_end
from micro_rt.backends.etcd.engine import EtcdEngine, shared_engine
from micro_rt.backends.etcd.epoch import Epoch, found
from micro_rt.backends.etcd.messages_pb2 import (
    Compare,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from micro_rt.backends.etcd.waits import following, wait_for_key, wait_for_seat, wait_until_gone
from micro_rt.errors import FailedPrecondition, NotFound
from micro_rt.kit.tasks import wait_for_event
from micro_rt.sync.base import MAX_VALUE, Capabilities, Claim, Grant, Holder, Observed, SyncEngine

__all__ = ["EtcdSync"]

PREFIX = "/micro/sync/"
"""Where locks are kept."""
UNWATCHED = 0.1
"""Seconds that a lock is held before its key is watched."""


class EtcdSync(SyncEngine):
    """Keeps locks on an etcd cluster.

    Args:
        address: ``"etcd://host:2379,host2:2379"``, with a user before the hosts and options after them; docs/etcd.md lists
            them. Without a user, ``ETCD_USERNAME`` and ``ETCD_PASSWORD`` say who asks.

    Raises:
        ValueError: the address is not valid.
    """

    min_ttl: float = 10.0
    """Seconds: the shortest time for which it grants a seat. etcd itself makes 2 seconds of what is less."""

    def __init__(self, address: str = "etcd://127.0.0.1:2379") -> None:
        self._address = EtcdAddress.parse(address, options=("prefix",))
        prefix = dict(self._address.options).get("prefix", PREFIX)
        if not prefix.endswith("/") or not prefix.strip("/"):
            raise ValueError(f"{self._address}: prefix={prefix!r} must end with a slash, and have something before it")
        self._prefix = prefix.encode()
        self.timeout = 2 * self._address.timeout  # A claim takes two requests.
        self.epoch = Epoch(self._prefix + b"epoch")
        self._shared = shared_engine(self._address)
        self._engine: EtcdEngine | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Locks of 10 s and more, granted in order, with tokens that only grow."""
        return Capabilities(min_ttl=self.min_ttl, margin=1.0, fair=True, shared=True, durable=True)

    @property
    def name(self) -> str:
        """Where the cluster is, without user and options."""
        return f"sync etcd://{','.join(self._address.endpoints)}"

    @property
    def problem(self) -> str:
        """What keeps it from seeing the present state, as far as it knows; empty if nothing does."""
        return self._engine.problem if self._engine is not None else ""

    async def open(self) -> None:
        """Connects, and looks whether it may read and write its keys.

        Raises:
            Unavailable: no member can be reached.
            Unauthenticated: the user is not known, or there must be one.
            PermissionDenied: the user may not read or write the keys.
            FailedPrecondition: TLS cannot be set up.
        """
        engine = await self._shared.acquire()
        try:
            before = self.epoch.seen
            reply = await engine.client.txn(TxnRequest(success=[self.epoch.read]))
            await self.epoch.of(engine.client, reply.header, found(reply, 0).kvs, before)
        except BaseException:
            await self._shared.release()
            raise
        self._engine = engine

    async def close(self) -> None:
        """Disconnects; claims that were not released end with their ttl."""
        if self._engine is not None:
            self._engine = None
            await self._shared.release()

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim."""
        self.opened()
        folder = self._folder(name, seats)
        return _EtcdClaim(self, folder, folder + quote(id, safe="").encode(), seats, math.ceil(ttl), value)

    async def observe(self, name: str) -> Observed:
        """Returns who has a lock."""
        client = self.opened().client
        folder = self._folder(name, 1)
        first = RangeRequest(
            key=folder,
            range_end=prefix_end(folder),
            sort_order=RangeRequest.ASCEND,
            sort_target=RangeRequest.CREATE,
            limit=1,
        )
        before = self.epoch.seen
        reply = await client.txn(TxnRequest(success=[RequestOp(request_range=first), self.epoch.read]))
        epoch = await self.epoch.of(client, reply.header, found(reply, 1).kvs, before)
        revision = reply.header.revision
        for kv in found(reply, 0).kvs:
            # Others may write keys, too.
            return Observed(Holder(bytes(kv.value[:MAX_VALUE]), epoch, kv.create_revision), (kv, revision))
        return Observed(None, (None, revision))

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until the lock may have another holder."""
        kv, revision = position
        if kv is None:
            await wait_for_key(self.opened(), self._folder(name, 1), revision, seconds)
        else:
            await wait_until_gone(self.opened(), kv, revision, seconds)

    def opened(self) -> EtcdEngine:
        """Returns what it is connected with.

        Raises:
            FailedPrecondition: it is not open.
        """
        if self._engine is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._engine

    def _folder(self, name: str, seats: int) -> bytes:
        """Returns what the keys of a lock begin with, and no others do: a name has no slash once it is escaped."""
        return self._prefix + f"{quote(name, safe='')}/{seats}/".encode()


class _EtcdClaim(Claim):
    def __init__(self, sync: EtcdSync, folder: bytes, key: bytes, seats: int, ttl: int, value: bytes) -> None:
        self._sync = sync
        self._folder = folder
        self._key = key
        self._seats = seats
        self._ttl = ttl
        self._lease: Final = new_lease_id()
        self._value = value
        self._asked = False
        self._leased = False
        self._own = KeyValue()
        """The key, once it is known to be made."""
        self._waits = True
        """Whether older claims had all seats when it looked last."""
        self._ahead: tuple[KeyValue, int] | None = None
        """The newest of the older claims, and the revision at which it was there."""
        self._revision = 0
        """At which the key was last seen."""
        self._grant: Grant | None = None
        self._gone = ""
        """Why the claim has ended; empty until it ends."""
        self._over = asyncio.Event()
        """Set when it is none."""
        self._held = False
        """Whether it had a seat when it was released."""
        self._revoked = False

    async def acquire(self) -> Grant | None:
        if self._gone:
            return None
        client = self._sync.opened().client
        self._asked = True
        if not self._leased:
            await client.grant(self._lease, self._ttl)
            self._leased = True
        if not self._own.create_revision:
            epoch = await self._enter(client)
        else:
            epoch = await self._look(client)
        if not epoch or self._waits:
            return None
        self._grant = self._grant or Grant(epoch, self._own.create_revision)
        return self._grant

    async def changed(self, seconds: float) -> None:
        if self._gone:
            await asyncio.sleep(seconds)  # A claim that has ended is never granted; the next ``renew`` says so.
        elif not self._waits or self._ahead is None:
            return
        elif self._seats > 1:
            created = self._own.create_revision
            await wait_for_seat(self._sync.opened(), self._folder, created, self._seats, seconds)
        elif await wait_until_gone(self._sync.opened(), *self._ahead, seconds):
            self._ahead = None

    async def renew(self) -> bool:
        if self._gone or not self._asked:
            return False
        client = self._sync.opened().client
        if await client.keep_alive(self._lease) <= 0:
            self._end("its lease has ended")
        elif self._own.create_revision:
            reply = await client.range(RangeRequest(key=self._key))
            self._see(reply.kvs[0] if reply.kvs else KeyValue(), reply.header.revision)
        return not self._gone

    async def lost(self) -> str:
        # From the revision at which it was read, so nothing is missed; and most locks are not held for so long.
        if not await wait_for_event(self._over, UNWATCHED) and self._own.create_revision:
            with following(self._sync.opened(), self._own, self._revision, self._deleted):
                await self._over.wait()
        await self._over.wait()
        return self._gone

    async def release(self) -> bool:
        if self._revoked:
            return False
        if not self._gone:
            self._held = self._grant is not None
            self._end("it was released")
        # Also if no answer has come yet: what is still on its way finds no lease.
        had = self._asked and await self._sync.opened().client.revoke(self._lease)
        self._revoked = True
        return had and self._held

    async def _enter(self, client: EtcdClient) -> int:
        """Makes the key, unless an earlier try has, whose answer was lost; returns the epoch, 0 if the claim is gone."""
        epoch = self._sync.epoch
        before = epoch.seen
        # The newest two: this one, and the one before it.
        newest = RequestOp(request_range=_newest(self._folder, 2))
        put = RequestOp(request_put=PutRequest(key=self._key, value=self._value, lease=self._lease))
        request = TxnRequest(
            compare=[Compare(key=self._key, target=Compare.CREATE, create_revision=0)],
            success=[put, newest, epoch.read],
            failure=[RequestOp(request_range=RangeRequest(key=self._key))],
        )
        try:
            reply = await client.txn(request)
        except NotFound:
            self._end("its lease has ended")
            return 0
        if not reply.succeeded:
            self._own = _first(reply)
            return await self._look(client)
        made = reply.header.revision
        self._own = KeyValue(key=self._key, create_revision=made, mod_revision=made, version=1, lease=self._lease)
        self._revision = made
        older = found(reply, 1)
        self._stand(older.count > self._seats, [kv for kv in older.kvs if kv.create_revision < made], made)
        return await epoch.of(client, reply.header, found(reply, 2).kvs, before)

    async def _look(self, client: EtcdClient) -> int:
        """Looks at the key and the older claims; returns the epoch, 0 if the claim is gone."""
        epoch = self._sync.epoch
        before = epoch.seen
        older = _newest(self._folder, self._seats)
        older.max_create_revision = self._own.create_revision - 1
        own = RequestOp(request_range=RangeRequest(key=self._key))
        reply = await client.txn(TxnRequest(success=[own, RequestOp(request_range=older), epoch.read]))
        self._see(_first(reply), reply.header.revision)
        if self._gone:
            return 0
        kvs = list(found(reply, 1).kvs)
        self._stand(len(kvs) >= self._seats, kvs, reply.header.revision)
        return await epoch.of(client, reply.header, found(reply, 2).kvs, before)

    def _stand(self, waits: bool, older: list[KeyValue], revision: int) -> None:
        """Takes its place: whether it waits, and behind whom."""
        self._waits = waits
        self._ahead = (older[0], revision) if older else None

    def _see(self, kv: KeyValue, revision: int) -> None:
        """Takes what was read of the key."""
        if (kv.create_revision, kv.lease) == (self._own.create_revision, self._lease):
            self._revision = max(self._revision, revision)
        else:
            self._deleted()

    def _deleted(self) -> None:
        self._end("its key was deleted, or its lease has ended")

    def _end(self, why: str) -> None:
        self._gone = self._gone or why
        self._over.set()


def _newest(folder: bytes, limit: int) -> RangeRequest:
    """Returns what reads the newest claims of a lock, the newest first."""
    return RangeRequest(
        key=folder,
        range_end=prefix_end(folder),
        sort_order=RangeRequest.DESCEND,
        sort_target=RangeRequest.CREATE,
        limit=limit,
        keys_only=True,
    )


def _first(reply: TxnResponse) -> KeyValue:
    """Returns the key that the first operation of a transaction has read; an empty one if it read nothing."""
    kvs = found(reply, 0).kvs
    return kvs[0] if kvs else KeyValue()
