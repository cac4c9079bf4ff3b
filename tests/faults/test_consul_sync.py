"""What becomes of locks in Consul when answers are lost, keys are changed by hand, and Consul or a holder dies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from micro_rt.backends.consul.lock_keys import EPOCH, folder_of
from micro_rt.backends.consul.lock_watch import SINGLES
from micro_rt.backends.consul.sync import ConsulSync
from micro_rt.errors import FailedPrecondition, PermissionDenied, Unavailable
from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, LockLost, SyncEngine
from micro_rt.sync.sync import Sync
from tests.helpers.meddler import Meddler
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.servers.consul import Consul
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere

T = TypeVar("T")
MakeConsul = Callable[..., Consul]
CREATE, LOCK, RENEW, DESTROY = "/v1/session/create", '"Verb": "lock"', "/v1/session/renew/", "/v1/session/destroy/"
DELETE = '"Verb": "delete"'

HOLDER = """
import asyncio, sys
from micro_rt.backends.consul.sync import ConsulSync
from micro_rt.sync.sync import Sync
async def main():
    async with Sync.over(ConsulSync(sys.argv[1])) as sync:
        for name in sys.argv[2:]:
            assert await sync.try_lock(name, ttl=10)
        print("held", flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def fresh(name: str = "lock") -> str:
    return f"{name} {new_id(12)}"


def key_of(name: str) -> str:
    return f"{folder_of(name, 1)}0"


class Operator:
    """Does by hand what an operator can do."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await asyncio.to_thread(http_json, self.address, method, path, body)
        assert status in (200, 404), answer
        return answer if status == 200 else None

    async def entry(self, name: str) -> dict[str, Any] | None:
        found = await self("GET", f"/v1/kv/{quote(key_of(name))}")
        return found[0] if found else None

    async def sessions(self) -> list[str]:
        return [each["Name"] for each in await self("GET", "/v1/session/list")]

    async def overwrite(self, key: str, value: bytes) -> None:
        """Writes a key; a session that has it stays."""
        written = {"Verb": "set", "Key": key, "Value": base64.b64encode(value).decode()}
        assert await self("PUT", "/v1/txn", [{"KV": written}])

    async def steal(self, name: str) -> None:
        """Has another session hold the lock."""
        path = f"/v1/kv/{quote(key_of(name))}"
        session = (await self("PUT", "/v1/session/create", {"TTL": "60s", "LockDelay": "1s", "NodeChecks": []}))["ID"]
        assert await self("DELETE", path)
        assert await self("PUT", f"{path}?acquire={session}", "mine")


@pytest.fixture
def operator(consul: Server | Elsewhere) -> Operator:
    return Operator(consul.address)


@contextlib.asynccontextmanager
async def opened(address: str) -> AsyncGenerator[ConsulSync]:
    engine = ConsulSync(address)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def meddled(consul: Server | Elsewhere) -> AsyncGenerator[tuple[Meddler, ConsulSync]]:
    async with Meddler(consul.address)() as meddler, opened(f"consul://{meddler.address}/?timeout=20") as engine:
        yield meddler, engine


def claim_of(engine: SyncEngine, name: str, *, seats: int = 1, ttl: float = 60.0, value: bytes = b"") -> Claim:
    return engine.claim(name, seats=seats, ttl=ttl, value=value, id=new_id())


async def granted(claim: Claim) -> Grant:
    async def ask() -> Grant | None:
        await claim.changed(0.1)
        return await claim.acquire()

    return await eventually(ask) or Grant(0, 0)


def cutting(text: str, times: int) -> Callable[[str], Any]:
    """Returns a hook that cuts the first requests with a text in them.

    aiohttp sends a request again, once, if the connection of an earlier one was closed under it: cutting once is then not noticed.
    """
    done: list[str] = []

    async def cut(request: str) -> bool:
        if text not in request or len(done) >= times:
            return False
        done.append(request)
        return True

    return cut


async def again(request: Callable[[], Awaitable[T]]) -> T:
    """Makes a request until it is answered."""
    while True:
        try:
            return await request()
        except Unavailable:
            await asyncio.sleep(0.05)


# Answers that are lost


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("seats", [1, 3])
@pytest.mark.parametrize("lost", [CREATE, LOCK])
async def test_an_acquire_whose_answer_is_lost_is_found_again(
    consul: Server | Elsewhere, operator: Operator, lost: str, seats: int, times: int
) -> None:
    """https://github.com/docker/libkv/pull/186: an error at the first try, success at the second, and two holders."""
    name = fresh()
    async with meddled(consul) as (meddler, engine), opened(consul.url) as direct:
        meddler.after = cutting(lost, times)
        claim = claim_of(engine, name, seats=seats)
        grant = await again(claim.acquire)
        assert grant is not None
        assert await claim.acquire() == grant
        if seats == 1:
            entry = await operator.entry(name)
            assert entry is not None
            assert entry["ModifyIndex"] == grant.token
            assert await claim_of(direct, name).acquire() is None
        held = await operator("GET", f"/v1/kv/{quote(folder_of(name, seats))}?recurse")
        assert len(held) == 1
        assert await claim.release()
        if (lost, times) != (CREATE, 1):  # What aiohttp has made twice nobody knows; it ends with its ttl.
            assert claim._name not in await operator.sessions()  # type: ignore[attr-defined]
        assert await operator("GET", f"/v1/kv/{quote(folder_of(name, seats))}?recurse") is None


async def test_a_seat_that_nobody_was_told_of_is_given_up_at_once(consul: Server | Elsewhere) -> None:
    async with meddled(consul) as (meddler, engine), opened(consul.url) as direct:
        for seats in (1, 3):
            name = fresh()
            meddler.after = cutting(LOCK, 2)
            claim = claim_of(engine, name, seats=seats)
            with pytest.raises(Unavailable):
                await claim.acquire()
            assert await claim.release()
            for other in [claim_of(direct, name, seats=seats) for _ in range(seats)]:
                assert await other.acquire() is not None, (
                    "the lock delay lasts: the session ended before its key was given up"
                )


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("lost", [RENEW, DELETE, DESTROY])
async def test_a_renewal_or_a_release_whose_answer_is_lost_does_no_harm(
    consul: Server | Elsewhere, operator: Operator, lost: str, times: int
) -> None:
    """https://github.com/redis/redis-py/issues/3847: a release that failed forgot the token, and the lock was stuck."""
    name = fresh()
    async with meddled(consul) as (meddler, engine), opened(consul.url) as direct:
        claim = claim_of(engine, name)
        grant = await claim.acquire()
        meddler.after = cutting(lost, times)
        assert await again(claim.renew)
        assert await claim.acquire() == grant
        await again(claim.release)
        assert not await claim.release()
        assert await operator.entry(name) is None
        assert claim._name not in await operator.sessions()  # type: ignore[attr-defined]
        other = claim_of(direct, name)
        assert (await granted(other)) > (grant or Grant(0, 0))
        await other.release()


@pytest.mark.parametrize("arrived", [False, True], ids=["on its way", "done"])
@pytest.mark.parametrize("step", [CREATE, LOCK, DELETE, DESTROY])
async def test_what_is_cancelled_at_any_request_leaves_nothing(
    consul: Server | Elsewhere, operator: Operator, step: str, arrived: bool
) -> None:
    """https://github.com/python-zk/kazoo/pull/760 and redis-py 3847: a try that was cancelled left a contender behind."""
    name = fresh()
    async with meddled(consul) as (meddler, engine), opened(consul.url) as direct:
        there, go_on = asyncio.Event(), asyncio.Event()

        async def hold(request: str) -> bool:
            if step in request:
                there.set()
                await go_on.wait()
            return False

        if arrived:
            meddler.after = hold
        else:
            meddler.before = hold
        claim = claim_of(engine, name)

        async def work() -> None:
            await claim.acquire()
            await claim.release()

        working = asyncio.ensure_future(work())
        await soon(there.wait())
        working.cancel()
        begun = loop_time()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert loop_time() - begun < 20
        releasing = asyncio.ensure_future(claim.release())
        await asyncio.sleep(0.05)
        go_on.set()  # What was on its way arrives while it is given up.
        await soon(releasing)
        assert not await claim.release()
        assert await claim.acquire() is None
        other = claim_of(direct, name)
        assert await granted(other)
        await other.release()
        assert await operator.entry(name) is None


# Connections that are cut


async def test_a_lock_outlives_the_connection_that_watches_it(consul: Server | Elsewhere, operator: Operator) -> None:
    """https://github.com/hashicorp/consul/issues/855: after its poll was cut, a holder could not have its own lock again."""
    name = fresh()
    async with meddled(consul) as (meddler, engine), _over(engine) as sync:
        polled: list[str] = []

        async def cut(request: str) -> bool:
            if "&index=" not in request or quote(name) not in request.replace("%25", "%"):
                return False
            polled.append(request)
            return len(polled) <= 2

        meddler.before = cut
        with pytest.raises(LockLost, match="was deleted"):
            async with sync.lock(name, ttl=120, timeout=60) as lock:
                token = lock.token
                await eventually(lambda: len(polled) > 2)
                lock.check()
                assert lock.token == token
                assert await operator("DELETE", f"/v1/kv/{quote(key_of(name))}")
                await asyncio.sleep(120)


# What is done by hand


@pytest.mark.parametrize("deed", ["delete", "steal", "release", "destroy", "overwrite"])
async def test_what_is_done_by_hand_to_a_held_lock(
    consul: Server | Elsewhere, operator: Operator, deed: str, figures: Figures
) -> None:
    """https://github.com/segmentio/consul-go/pull/14: only the session was watched, and a release by hand went unseen."""
    name = fresh()
    async with opened(consul.url) as engine, _over(engine) as sync:
        begun = 0.0
        try:
            async with sync.lock(name, ttl=120, timeout=60) as lock:
                entry = await operator.entry(name)
                assert entry is not None
                path = f"/v1/kv/{quote(key_of(name))}"
                if deed == "delete":
                    await operator("DELETE", path)
                elif deed == "steal":
                    await operator.steal(name)
                elif deed == "release":
                    assert await operator("PUT", f"{path}?release={entry['Session']}")
                elif deed == "destroy":
                    assert await operator("PUT", f"/v1/session/destroy/{entry['Session']}")
                else:
                    # The session stays: Consul sets LockIndex to 0, and the lock is held as before.
                    assert await operator("PUT", path, "not JSON")
                    overwritten = await operator.entry(name)
                    assert overwritten is not None
                    assert (overwritten["Session"], overwritten["LockIndex"]) == (entry["Session"], 0)
                    await asyncio.sleep(0.7)
                    lock.check()
                    claim = claim_of(engine, name)
                    assert await claim.acquire() is None
                    await claim.release()
                    holder = (await engine.observe(name)).holder
                    assert holder is not None
                    assert holder.value == b""
                    return
                begun = loop_time()
                await asyncio.sleep(30)
        except LockLost as error:
            took = loop_time() - begun
            figures.add(f"seconds until a lock that is lost by {deed} says so", round(took, 3))
            assert took < 20, "only the renewal told of it"  # It takes less than a second, beside no load.
            assert key_of(name) in str(error)
        else:
            assert deed == "overwrite"
        assert await operator.entry(name) is None or deed in ("steal", "release")


async def test_tokens_grow_though_the_lock_index_does_not(consul: Server | Elsewhere, operator: Operator) -> None:
    """Consul's LockIndex is 1 again after the key was deleted: it is no fencing token."""
    name = fresh()
    async with opened(consul.url) as engine:
        grants: list[Grant] = []
        for turn in range(4):
            claim = claim_of(engine, name)
            grants.append(await granted(claim))
            entry = await operator.entry(name)
            assert entry is not None
            assert entry["LockIndex"] == 1
            if turn == 1:
                await operator("DELETE", f"/v1/kv/{quote(key_of(name))}")
                assert not await claim.renew()
                assert await claim.acquire() is None
            assert await claim.release() == (turn != 1)
        assert grants == sorted(set(grants))


async def test_a_seat_that_was_locked_again_by_a_late_request_is_lost(
    consul: Server | Elsewhere, operator: Operator
) -> None:
    name = fresh()
    async with opened(consul.url) as engine:
        claim = claim_of(engine, name)
        assert await claim.acquire() is not None
        path = f"/v1/kv/{quote(key_of(name))}"
        assert await operator("DELETE", path)
        assert await operator("PUT", f"{path}?acquire={claim._session}", "late")  # type: ignore[attr-defined]
        assert "was locked again" in await soon(claim.lost())
        assert not await claim.renew()
        assert await claim.acquire() is None
        await claim.release()
        assert await operator.entry(name) is None


async def test_a_key_of_a_stranger_is_no_seat(consul: Server | Elsewhere, operator: Operator) -> None:
    name = fresh()
    session = (await operator("PUT", "/v1/session/create", {"TTL": "60s", "LockDelay": "1s", "NodeChecks": []}))["ID"]
    for key in ("x", "3", "0/0", "-1"):
        assert await operator("PUT", f"/v1/kv/{quote(folder_of(name, 3) + key)}?acquire={session}", "mine")
    async with opened(consul.url) as engine:
        holders = [claim_of(engine, name, seats=3, ttl=300) for _ in range(3)]
        assert all([await holder.acquire() for holder in holders])
        waiting = claim_of(engine, name, seats=3, ttl=300)
        assert await waiting.acquire() is None
        woken = asyncio.ensure_future(waiting.changed(200.0))
        await holders[1].release()
        await soon(woken, 60)
        assert await eventually(waiting.acquire)
        for claim in (*holders, waiting):
            await claim.release()
    assert await operator("PUT", f"/v1/session/destroy/{session}")
    assert await operator("DELETE", f"/v1/kv/{quote(folder_of(name, 3))}?recurse")


async def test_a_waiter_whose_session_was_destroyed_waits_on(consul: Server | Elsewhere, operator: Operator) -> None:
    """https://github.com/etcd-io/etcd/issues/11456: a lock was returned though the lease had died while it waited."""
    name = fresh()
    async with opened(consul.url) as engine:
        holder, waiter, other = claim_of(engine, name), claim_of(engine, name), claim_of(engine, name)
        first = await granted(holder)
        assert await waiter.acquire() is None
        await operator("PUT", f"/v1/session/destroy/{waiter._session}")  # type: ignore[attr-defined]
        await holder.release()
        grant = await granted(waiter)
        assert grant > first
        assert await waiter.renew()
        assert await other.acquire() is None
        await operator("PUT", f"/v1/session/destroy/{other._session}")  # type: ignore[attr-defined]
        assert not await other.renew()
        assert await other.acquire() is None
        assert not await other.release()
        assert await waiter.release()


async def test_a_waiter_outlasts_the_lock_delay(consul: Server | Elsewhere, operator: Operator) -> None:
    name = fresh()
    async with opened(consul.url) as engine:
        holder, waiting = claim_of(engine, name, ttl=300), claim_of(engine, name, ttl=300)
        assert await holder.acquire()
        assert await waiting.acquire() is None
        await operator("PUT", f"/v1/session/destroy/{holder._session}")  # type: ignore[attr-defined]
        async with asyncio.timeout(50):
            while await waiting.acquire() is None:
                await waiting.changed(100.0)
        await waiting.release()


async def test_keys_that_strangers_write_are_no_holders(consul: Server | Elsewhere, operator: Operator) -> None:
    name = fresh()
    for key in ("0", "1", "2", "3", "x", "1/2", "0" * 300, "-1", "%F0"):
        await operator.overwrite(folder_of(name, 3) + key, b"[" * 5000)
    async with opened(consul.url) as engine:
        claims = [claim_of(engine, name, seats=3) for _ in range(4)]
        grants = [await claim.acquire() for claim in claims]
        assert grants[3] is None
        assert len({grant for grant in grants if grant}) == 3
        for claim in claims:
            await claim.release()
        texts = [
            b"",
            b"x",
            b"5",
            b"null",
            b"[]",
            b"[" * 5000,
            b"\xff",
            b"{}",
            b'{"holder": 5}',
            b'{"holder": "\\ud800"}',
        ]
        for text in (*texts, b'{"holder": "' + b"x" * 5000 + b'"}'):
            led = fresh()
            claim = claim_of(engine, led, value=b"me")
            grant = await claim.acquire()
            await operator.overwrite(key_of(led), text)
            holder = (await engine.observe(led)).holder
            assert holder is not None
            assert holder.value == b""
            assert grant is not None
            assert (holder.epoch, holder.token) > grant
            assert await claim.acquire() == grant
            await claim.release()


async def test_names_that_are_parts_of_paths(consul: Server | Elsewhere) -> None:
    async with opened(consul.url) as engine:
        suffix = new_id(8)
        names = [
            ".",
            "..",
            "...",
            f"../{suffix}",
            f"permission denied {suffix}",
            f"invalid session {suffix}",
            f"a*3{suffix}",
        ]
        for name in names:
            one, two = claim_of(engine, name), claim_of(engine, name)
            grant = await granted(one)
            assert await two.acquire() is None, name
            holder = (await engine.observe(name)).holder
            assert holder is not None
            assert holder.token == grant.token
            await two.changed(0.1)
            assert await one.renew()
            assert await one.release()
            assert await two.acquire() is not None
            await two.release()


# Many locks


async def test_more_locks_than_queries(consul: Server | Elsewhere, operator: Operator) -> None:
    async with meddled(consul) as (meddler, engine), _over(engine) as sync:
        names = [fresh() for _ in range(SINGLES + 6)]
        locks = [await sync.try_lock(name, ttl=120) for name in names]
        assert all(locks)

        def watched() -> set[str]:
            return {request.split("?")[0] for request in meddler.requests if "&index=" in request}

        await eventually(lambda: len(watched()) == SINGLES)
        alone = [name for name in names if any(name.split()[1] in request for request in watched())]
        assert len(alone) == SINGLES
        # Those that are read together go first: no query ends until all locks are watched.
        for some in (set(names) - set(alone), set(alone)):
            for name in some:
                await operator("DELETE", f"/v1/kv/{quote(key_of(name))}")
            for lock, name in zip(locks, names, strict=True):
                assert lock is not None
                if name in some:
                    await soon(lock.lost(), 30)  # The renewals come after 40 s.
        assert len(watched()) == SINGLES


async def test_locks_that_are_held_for_a_moment_take_up_no_connections(consul: Server | Elsewhere) -> None:
    async with meddled(consul) as (meddler, engine), _over(engine) as sync:
        for _ in range(20):
            async with sync.lock(fresh(), timeout=60):
                pass
        requests = [request for request in meddler.requests if "epoch" in request or "/v1/session/" in request]
        assert len(requests) == len([each for each in requests if "&index=" not in each])
        assert not [each for each in meddler.requests if "&index=" in each]
        async with sync.lock(fresh(), timeout=60):
            await eventually(lambda: [each for each in meddler.requests if "&index=" in each])
        (first, *_) = [each for each in meddler.requests if "&index=" in each]
        assert "wait=1.000s" in first


async def test_a_lock_costs_four_requests(consul: Server | Elsewhere) -> None:
    async with meddled(consul) as (meddler, engine):
        meddler.requests.clear()
        claim = claim_of(engine, fresh())
        assert await claim.acquire()
        assert await claim.release()
        assert [each.split()[1].rpartition("/")[0] for each in meddler.requests] == [
            "/v1/session",
            "/v1",
            "/v1",
            "/v1/session/destroy",
        ]


# Consul itself


@pytest.mark.verify("sync")
async def test_a_consul_that_is_killed_and_comes_back_keeps_locks(make_consul: MakeConsul, size: Size) -> None:
    """https://github.com/hashicorp/consul/pull/912 and 1162: one renewal that failed in an election lost every lock."""
    server = make_consul(data=True)
    await server.start()
    async with opened(f"{server.url}/?timeout=2") as engine, _over(engine) as sync:
        async with sync.lock("a", ttl=30, timeout=60) as lock:
            token = lock.token
            await server.kill()
            await asyncio.sleep(size(15.0, ci=1.0))
            await server.start()
            await eventually(lambda: lock.remaining > 24)
            assert lock.token == token
            assert await sync.try_lock("a") is None
            epoch = lock.epoch
        async with sync.lock("a", timeout=60) as lock:
            assert lock.token > token
            assert lock.epoch == epoch


async def test_a_consul_that_has_lost_its_data_begins_a_new_epoch(make_consul: MakeConsul) -> None:
    server = make_consul()
    await server.start()
    for number in range(50):
        server.request("PUT", "/v1/kv/age", number)
    operator = Operator(server.address)
    before = (0, 0)
    async with opened(f"{server.url}/?timeout=2") as engine, _over(engine) as sync:
        with pytest.raises(LockLost):
            async with sync.lock("a", ttl=60, timeout=60) as lock:
                before = (lock.epoch, lock.token)
                await asyncio.sleep(0.5)
                await server.kill()
                await server.start()
                await asyncio.sleep(60)
        async with sync.lock("a", timeout=60) as lock:
            assert lock.epoch > before[0]
            assert lock.token < before[1], "the epoch is of no use here"
            first = lock.epoch
        # What an operator does who has restored a backup.
        await operator("DELETE", f"/v1/kv/{EPOCH}")
        async with sync.lock("a", timeout=60) as lock:
            assert lock.epoch > first
        await operator("PUT", f"/v1/kv/{EPOCH}", "x" * 1000)
        with pytest.raises(FailedPrecondition, match="delete it"):
            await sync.try_lock("a", ttl=3600)
        await eventually(lambda: _is_free(operator, "a"), within=60)  # The claim was given up all the same.
        await operator("DELETE", f"/v1/kv/{EPOCH}")
        async with sync.lock("a", timeout=60) as lock:
            assert lock.epoch > first


async def test_an_agent_that_dies_takes_no_lock_along(make_consul: MakeConsul) -> None:
    server = make_consul()
    await server.start()
    agent = make_consul(join=server)
    await agent.start()
    operator = Operator(server.address)
    async with opened(f"{agent.url}/?timeout=2") as engine, opened(server.url) as other:
        claim = claim_of(engine, "a")
        grant = await claim.acquire()
        before = await operator.entry("a")
        await agent.kill()

        async def critical() -> bool:
            checks = await operator("GET", f"/v1/health/node/{agent.node}")
            return {each["Status"] for each in checks} == {"critical"}

        await eventually(critical)
        assert await operator.entry("a") == before
        contender = claim_of(other, "a")
        assert await contender.acquire() is None
        await agent.start()
        assert await again(claim.renew)
        assert await claim.acquire() == grant
        assert await claim.release()
        assert await contender.acquire() is not None
        assert await contender.release()


async def test_a_token_with_the_documented_rights_suffices(make_consul: MakeConsul, tmp_path: Any) -> None:
    server = make_consul(acl=True)
    await server.start()
    rules = 'key_prefix "micro-rt/sync/" { policy = "write" }\nsession_prefix "" { policy = "write" }'
    tokens = [await server.make_token(rules) for _ in range(2)]
    weak = await server.make_token(
        'key_prefix "micro-rt/sync/" { policy = "read" }\nsession_prefix "" { policy = "write" }'
    )
    file = tmp_path / "token"
    file.write_text(tokens[0])
    async with opened(f"{server.url}/?token_file={file}") as engine, _over(engine) as sync:
        async with sync.leader("a", ttl=120, timeout=60, value=b"me"):
            assert server.request("PUT", "/v1/kv/x", 1)[0] == 200
            file.write_text(tokens[1])
            accessor = next(
                each["AccessorID"]
                for each in server.request("GET", "/v1/acl/tokens")[1]
                if server.request("GET", f"/v1/acl/token/{each['AccessorID']}")[1]["SecretID"] == tokens[0]
            )
            assert server.request("DELETE", f"/v1/acl/token/{accessor}")[0] == 200
            observing = sync.observe("a")
            leader = await soon(anext(observing))
            assert leader is not None
            assert leader.value == b"me"
            await observing.aclose()
        async with sync.lock("permission denied", timeout=60) as held:
            assert await sync.try_lock("permission denied") is None
            held.check()
        async with opened(f"{server.url}/?token={weak}") as poor, _over(poor) as theirs:
            with pytest.raises(PermissionDenied, match="key:write"):
                await theirs.try_lock("b")
    with pytest.raises(PermissionDenied, match="key:read"):
        async with opened(server.url):
            pass
    listed = server.request("GET", "/v1/session/list")[1]
    assert not listed, "a session was left behind"


async def _is_free(operator: Operator, name: str) -> bool:
    return await operator.entry(name) is None and not await operator.sessions()


# Holders that die


@pytest.mark.verify("sync")
async def test_the_next_holder_after_a_kill(consul: Server | Elsewhere, size: Size, figures: Figures) -> None:
    """https://github.com/hashicorp/consul/issues/1172, https://github.com/kurtome/python-consul-lock/issues/3: it takes 2 × TTL."""
    names = [fresh("killed") for _ in range(size(100, ci=8))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, consul.url, *names),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await soon(process.stdout.readline()) == b"held\n"
    async with opened(consul.url) as engine, _over(engine) as sync:

        async def wait(name: str) -> float:
            async with sync.lock(name, ttl=10, timeout=90) as lock:
                assert lock.token
                return loop_time() - killed

        waiting = [asyncio.ensure_future(wait(name)) for name in names]
        await asyncio.sleep(0.5)
        killed = loop_time()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        took = sorted(await asyncio.gather(*waiting))
    figures.add("seconds until the next holder after SIGKILL, ttl 10: least", round(took[0], 2))
    figures.add("seconds until the next holder after SIGKILL, ttl 10: most", round(took[-1], 2))
    assert took[0] > 5.5, "it was taken over within its ttl"  # It was renewed at most a third of the ttl before.
    assert took[-1] < 45, "it takes 2 × ttl, the lock delay of 1 s, and a look"


@contextlib.asynccontextmanager
async def _over(engine: ConsulSync) -> AsyncGenerator[Sync]:
    """Gives the locks of an engine that is open."""

    async def it() -> SyncEngine:
        return engine

    sync = Sync(it)
    try:
        yield sync
    finally:
        await sync.close()
