"""Sync ``consul://``: locks as keys of Consul's KV that belong to sessions.

The rules that it keeps, and why:

- A claim has a session of its own, with its ttl and without health checks: a check that fails says nothing of a holder. Locking a key again
  with the session that has it succeeds, so two claims must not share one.
- A seat is a key. It is locked by a transaction, whose answer has the token: the key's ``ModifyIndex``, which is that of Consul's log and
  only grows, whatever is deleted. ``LockIndex`` begins anew with the key, and is not a token. The same transaction reads the epoch.
- A transaction whose answer was lost may have been done, and may be done later. Locking a key again that the session has is no harm. Where
  there are several seats, the claim looks for a key of its session before it tries another one. In the end it gives up all keys of its
  session, and destroys the session last: what comes later is refused, because the session is gone.
- A session whose creation was not answered holds nothing, since nobody knows its id. It is found by its name when the claim is released, or
  ends with its ttl.
- A key of the session is the proof that a claim has its seat; the session alone proves nothing: an operator can delete or release a key.
  Before a claim counts as gone, the key is read from a leader that has asked the others (``consistent``).
- A seat that is given up is deleted, if it is still the claim's, in one transaction; a session that ends deletes its key
  (``Behavior=delete``). Locks with names of their own would fill Consul otherwise. No token depends on what is deleted.
- When a session ends by itself or is destroyed, Consul refuses its key for the lock delay, a second, and tells nobody when it is over: the
  waiters try again a few times.
- Consul knows no order of those who wait.
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any, Literal, NamedTuple

from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.http import list_of
from micro_rt.backends.consul.lock_keys import Entry, LockKeys, entries_of, folder_of, said_in, value_of
from micro_rt.backends.consul.lock_watch import LockWatches
from micro_rt.errors import FailedPrecondition, PermissionDenied, Unauthenticated
from micro_rt.kit.chance import shuffle, spread
from micro_rt.kit.clock import loop_time
from micro_rt.kit.shared import Shared
from micro_rt.sync.base import Capabilities, Claim, Grant, Holder, Observed, SyncEngine

__all__ = ["ConsulSync"]

MIN_TTL = 10.0
"""Seconds: Consul refuses sessions with less."""
LOCK_DELAY = "1s"
"""For how long Consul refuses the key of a session that has ended. Its own is 15 s; the deadline of the holder does the work here."""
AGAIN = 0.25
"""Seconds until a seat that looks free and was refused is tried again: the lock delay may last."""
BEGIN = 0.25
"""Seconds after a grant when its key begins to be watched: many locks are released before."""
TRIES = 3
"""Seats that are tried in one request for a seat."""

_ID = re.compile("[0-9A-Za-z-]{1,64}")
"""The id of a session, which becomes a part of paths."""


class ConsulSync(SyncEngine):
    """Keeps locks in Consul.

    Args:
        address: ``"consul://host:8500/"``, with the options in docs/consul.md. Without a host, that in ``CONSUL_HTTP_ADDR``, else
            127.0.0.1:8500.

    Raises:
        ValueError: the address is not valid.
    """

    def __init__(self, address: str = "consul://") -> None:
        self._address, options = parse_consul_address(address)
        options.end()
        if self._address.dc:
            raise ValueError("dc=: the locks are in the datacenter of the agent; name an agent of the other datacenter")
        self.timeout = 2 * self._address.timeout  # Several requests may have to be made for one.
        self._shared = Shared(("consul", self._address), lambda: Consul(self._address))
        self._locks: _Locks | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Locks of 10 s and more, granted in no order; tokens are of Consul's log."""
        return Capabilities(min_ttl=MIN_TTL, margin=1.0, fair=False, shared=True, durable=True)

    @property
    def name(self) -> str:
        """Its address, without user and options."""
        return f"sync consul://{self._address.place}"

    @property
    def problem(self) -> str:
        """What is wrong with Consul, as far as is known."""
        return "" if self._locks is None else self._locks.consul.problem

    async def open(self) -> None:
        """Connects, and creates the epoch if it does not exist.

        Raises:
            Unavailable: Consul does not answer, or has no leader; the message says where it was looked for.
            Unauthenticated: it does not know the token.
            PermissionDenied: the token may not read or write the keys of locks.
            FailedPrecondition: it has no namespaces, or a TLS file cannot be used; or somebody has overwritten the epoch.
        """
        consul = await self._shared.acquire()
        locks = _Locks(consul, LockKeys(consul), LockWatches(consul))
        try:
            await locks.keys.do(())
        except BaseException:
            await self._shared.release()
            raise
        self._locks = locks

    async def close(self) -> None:
        """Disconnects; sessions of claims that were not released end with their ttl."""
        locks, self._locks = self._locks, None
        if locks is not None:
            try:
                await locks.watches.close()
            finally:
                await self._shared.release()

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim."""
        return _ConsulClaim(self._opened(), name, seats, ttl, value, id)

    async def observe(self, name: str) -> Observed:
        """Returns who has a lock, as the leader of Consul's servers knows it."""
        locks = self._opened()
        folder = folder_of(name, 1)
        epoch, entries = await locks.keys.read(folder)
        entry = entries.get(f"{folder}0")
        if entry is None or not entry.session:
            return Observed(None, None)
        return Observed(Holder(said_in(entry), epoch, entry.modified), _position(entry))

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until the lock may have another holder."""
        folder = folder_of(name, 1)
        version = 0
        try:
            async with asyncio.timeout(seconds), self._opened().watches.watch(folder) as feed:
                while True:
                    version = await feed.newer(version)
                    if _position(feed.entries.get(f"{folder}0")) != position:
                        return
        except TimeoutError:
            return

    def _opened(self) -> _Locks:
        if self._locks is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._locks


class _ConsulClaim(Claim):
    def __init__(self, locks: _Locks, name: str, seats: int, ttl: float, value: bytes, id: str) -> None:
        self._locks = locks
        self._consul = locks.consul
        self._folder = folder_of(name, seats)
        self._seats = seats
        self._ttl = f"{math.ceil(max(MIN_TTL, ttl) * 1000)}ms"
        self._value = value_of(id, value)
        self._name = f"micro-rt {id}"
        """That of its sessions."""
        self._session = ""
        """The id of the session; empty until it is created."""
        self._stray = False
        """Whether there may be a session whose id is not known."""
        self._unsure: set[str] = set()
        """Keys that the session may have, or may come to have, since a request for them was not answered."""
        self._held: _Seat | None = None
        self._gone = False
        self._tried: object = None
        """What was known of the keys when they were last found free."""

    async def acquire(self) -> Grant | None:
        if not self._gone and self._held is not None:
            return self._held.grant if await self._has_seat() else None
        for _ in range(2):
            if self._gone:
                return None
            if not self._session:
                await self._begin()
            grant = await self._ask()
            if grant != "no session":
                return grant
            self._session = ""  # It has ended while it waited, and had nothing.
        return None

    async def changed(self, seconds: float) -> None:
        until = loop_time() + seconds
        version = 0
        try:
            async with asyncio.timeout_at(until), self._locks.watches.watch(self._folder) as feed:
                while not self._gone:
                    version = await feed.newer(version)
                    holders = [entry.session for key, entry in feed.entries.items() if self._is_seat(key)]
                    if self._session not in holders and self._seats <= sum(map(bool, holders)):
                        continue
                    if self._tried != (feed, version):
                        self._tried = (feed, version)
                        return
                    # It was refused all the same: the lock delay lasts, or somebody was faster.
                    async with asyncio.timeout(spread(AGAIN, 0.5)):
                        await feed.newer(version)
        except TimeoutError:
            return
        await asyncio.sleep(min(AGAIN, max(0.0, until - loop_time())))

    async def renew(self) -> bool:
        if self._gone or not self._session:
            self._gone = True
            return False
        answer = await self._consul.put(f"/v1/session/renew/{self._session}")
        if not answer.found:
            self._gone = True
        elif self._held is not None:
            await self._has_seat()
        return not self._gone

    async def lost(self) -> str:
        seat = self._held
        if seat is None:
            raise FailedPrecondition("nothing was granted")
        await asyncio.sleep(BEGIN)
        version = 0
        async with self._locks.watches.watch(self._folder) as feed:
            while True:
                version = await feed.newer(version)
                if not seat.is_in(feed.entries.get(seat.key)):
                    entry = await self._locks.keys.entry(seat.key)
                    if not seat.is_in(entry):
                        self._gone = True
                        return _reason(seat, entry)

    async def release(self) -> bool:
        self._gone = True
        had = False
        if self._session:
            # No key is read for it, nor the epoch: whatever is wrong with those, this claim's are given up.
            for key in sorted(self._unsure if self._held is None else {self._held.key, *self._unsure}):
                mine = {"Verb": "check-session", "Key": key, "Session": self._session}
                try:
                    answer = await self._consul.txn((mine, {"Verb": "delete", "Key": key}))
                except (PermissionDenied, Unauthenticated):
                    continue  # The end of the session deletes it.
                had |= answer.found
            self._held = None
            self._unsure.clear()
            await self._consul.put(f"/v1/session/destroy/{self._session}")
            self._session = ""
        if self._stray:
            await self._destroy_strays()
        return had

    async def _begin(self) -> None:
        body: dict[str, Any] = {
            "Name": self._name,
            "TTL": self._ttl,
            "LockDelay": LOCK_DELAY,
            "Behavior": "delete",
            # Both names: Consul takes "Checks" up to 1.6, and would add the check of the node's health if it had neither.
            "Checks": [],
            "NodeChecks": [],
        }
        stray, self._stray = self._stray, True
        answer = await self._consul.put("/v1/session/create", body)
        with self._consul.understood():
            self._session = _session_id(answer.data["ID"])
        self._stray = stray

    async def _ask(self) -> Grant | Literal["no session"] | None:
        """Has a free seat locked."""
        seats = [f"{self._folder}0"]
        if self._seats > 1:
            epoch, entries = await self._locks.keys.read(self._folder)
            for key, entry in entries.items():
                if entry.session == self._session and self._is_seat(key):
                    return self._granted(key, entry, epoch)
            seats = [f"{self._folder}{seat}" for seat in range(self._seats)]
            seats = [key for key in seats if key not in entries or not entries[key].session]
            shuffle(seats)
        for key in seats[:TRIES]:
            sure = key not in self._unsure
            self._unsure.add(key)
            lock = {"Verb": "lock", "Key": key, "Value": self._value, "Session": self._session}
            done, epoch, said = await self._locks.keys.do((lock,))
            if sure:
                self._unsure.discard(key)
            if done:
                with self._consul.understood():
                    entry = entries_of((said[0]["KV"],))[key]
                    if entry.session != self._session:
                        raise ValueError("Consul has locked it for another session")
                return self._granted(key, entry, epoch)
            if "invalid session" in str(said):
                return "no session"
        return None

    def _granted(self, key: str, entry: Entry, epoch: int) -> Grant:
        self._held = _Seat(key, self._session, entry.created, Grant(epoch, entry.modified))
        return self._held.grant

    async def _has_seat(self) -> bool:
        """Returns whether the seat that was granted is still the claim's; else it is gone for good."""
        if self._held is not None and not self._held.is_in(await self._locks.keys.entry(self._held.key)):
            self._gone = True
        return not self._gone

    def _is_seat(self, key: str) -> bool:
        seat = key.removeprefix(self._folder)
        return seat.isdecimal() and len(seat) <= len(str(self._seats)) and int(seat) < self._seats

    async def _destroy_strays(self) -> None:
        answer = await self._consul.get("/v1/session/list")
        with self._consul.understood():
            found = [_session_id(each["ID"]) for each in list_of(answer.data) if each.get("Name") == self._name]
        for session in found:
            await self._consul.put(f"/v1/session/destroy/{session}")
        self._stray = False


class _Locks(NamedTuple):
    """What the claims of an engine share."""

    consul: Consul
    keys: LockKeys
    watches: LockWatches


class _Seat(NamedTuple):
    """What was granted."""

    key: str
    session: str
    created: int
    """The index at which the key was made. One that was deleted may have been locked anew by a request of this claim that was long
    on its way."""
    grant: Grant

    def is_in(self, entry: Entry | None) -> bool:
        """Returns whether a key is this seat."""
        return entry is not None and (entry.session, entry.created) == (self.session, self.created)


def _position(entry: Entry | None) -> tuple[str, int] | None:
    return None if entry is None or not entry.session else (entry.session, entry.modified)


def _reason(seat: _Seat, entry: Entry | None) -> str:
    if entry is None:
        return f"its key {seat.key} was deleted, or its session has ended"
    if entry.session == seat.session:
        return f"its key {seat.key} was deleted, and was locked again by a request that came late"
    return f"another session has its key {seat.key}" if entry.session else f"its key {seat.key} was released by hand"


def _session_id(id: object) -> str:
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise TypeError("Consul sent an invalid session id")
    return id
