"""What locks on etcd go through: leases revoked, keys deleted, answers lost, servers killed, stopped, emptied and restored."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from micro_rt.backends.etcd.messages_pb2 import TxnRequest, TxnResponse
from micro_rt.backends.etcd.sync import EtcdSync
from micro_rt.errors import Error, PermissionDenied
from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, LockLost, SyncEngine
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
from tests.helpers.candidates import Candidates
from tests.helpers.raw_server import raw_server
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.servers.etcd import Etcd
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere

TTL = 2.0
LONG = 600.0
"""Seconds of a claim that does not end during a test."""

Make = Callable[..., Etcd]


@asynccontextmanager
async def opened(address: str, options: str = "timeout=5") -> AsyncGenerator[EtcdSync]:
    engine = sync_engines.etcd(f"etcd://{address}/?{options}")
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def fresh() -> str:
    return f"lock {new_id(12)}"


def claimed(engine: SyncEngine, name: str, *, seats: int = 1, ttl: float = LONG) -> Claim:
    return engine.claim(name, seats=seats, ttl=ttl, value=b"", id=new_id())


async def granted(claim: Claim) -> Grant:
    """Waits until a claim is granted, and keeps it alive meanwhile."""
    while (grant := await claim.acquire()) is None:
        with contextlib.suppress(Error):
            await claim.changed(0.2)
        assert await claim.renew()
    return grant


def text64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def request(address: str, path: str, body: Any) -> Any:
    status, answer = http_json(address, "POST", path, body)
    assert status == 200, answer
    return answer


def claims(address: str, name: str, seats: int = 1) -> list[dict[str, Any]]:
    """Returns the keys of a lock, the oldest first, with their leases as etcd writes them."""
    begin = f"/micro/sync/{quote(name, safe='')}/{seats}/"
    body = {"key": text64(begin), "range_end": text64(begin[:-1] + "0"), "sort_target": "CREATE"}
    found: list[dict[str, Any]] = request(address, "/v3/kv/range", body).get("kvs", [])
    return found


async def until_claimed(address: str, name: str, count: int) -> None:
    """Waits until that many claim a lock."""
    await eventually(lambda: len(claims(address, name)), equals=count)


async def until_more(numbers: list[int], count: int) -> None:
    """Waits until there are more than so many."""
    await eventually(lambda: len(numbers) > count)


def leases(address: str) -> list[str]:
    return [lease["ID"] for lease in request(address, "/v3/lease/leases", {}).get("leases", [])]


def revoke(address: str, key: dict[str, Any]) -> None:
    request(address, "/v3/lease/revoke", {"ID": key["lease"]})


async def test_one_whose_lease_dies_while_it_waits_does_not_get_the_lock(etcd: Server | Elsewhere) -> None:
    """https://github.com/etcd-io/etcd/issues/11456: a lock was had although its lease had died while it waited."""
    async with opened(etcd.address) as one, opened(etcd.address) as two, opened(etcd.address) as three:
        name = fresh()
        held, waiting, last = claimed(one, name), claimed(two, name), claimed(three, name)
        assert await held.acquire() is not None
        assert await waiting.acquire() is None
        assert await last.acquire() is None
        woken = asyncio.ensure_future(waiting.changed(PATIENCE))
        await asyncio.sleep(0.05)
        revoke(etcd.address, claims(etcd.address, name)[1])
        assert await held.release()
        await woken
        assert await waiting.acquire() is None
        assert not await waiting.renew()
        assert await waiting.acquire() is None
        assert await granted(last)
        assert [kv["create_revision"] for kv in claims(etcd.address, name)] == [str((await granted(last)).token)]
        assert not await waiting.release()
        assert await last.release()


async def test_one_whose_lease_dies_while_it_waits_queues_up_anew(etcd: Server | Elsewhere) -> None:
    """https://github.com/etcd-io/etcd/issues/11456, as users see it."""
    name, tokens = fresh(), list[int]()
    async with opened(etcd.address) as one, Sync.over(sync_engines.etcd(etcd.url)) as sync:

        async def work() -> int:
            async with sync.lock(name, ttl=TTL) as lock:
                tokens.append(lock.token)
                return lock.token

        held = claimed(one, name)
        assert await held.acquire() is not None
        working = asyncio.create_task(work())
        dead = (await eventually(lambda: claims(etcd.address, name)[1:]))[0]
        revoke(etcd.address, dead)
        await eventually(lambda: claims(etcd.address, name)[1:])
        assert not tokens
        await held.release()
        assert await soon(working) > int(dead["create_revision"])
        assert len(tokens) == 1


@pytest.mark.parametrize("how", ["lease", "key"])
async def test_a_lock_that_is_taken_away_is_lost_at_once(etcd: Server | Elsewhere, how: str, figures: Figures) -> None:
    """https://github.com/etcd-io/etcd/issues/15247 and 12528: a stuck old leader revoked leases that lived."""
    name, begun = fresh(), 0.0
    async with Sync.over(sync_engines.etcd(etcd.url)) as sync:
        with pytest.raises(LockLost, match="its key was deleted, or its lease has ended"):
            async with sync.lock(name, ttl=LONG):
                (key,) = claims(etcd.address, name)
                await asyncio.sleep(0.1)
                begun = loop_time()
                if how == "lease":
                    revoke(etcd.address, key)
                else:
                    request(etcd.address, "/v3/kv/deleterange", {"key": key["key"]})
                await asyncio.sleep(PATIENCE)  # It is renewed after more time than this.
        figures.add(f"seconds until a loss is told, {how}", round(loop_time() - begun, 3))
        async with sync.lock(name, ttl=LONG, timeout=PATIENCE):  # What is left of it is in nobody's way.
            pass


async def test_renewing_finds_that_a_key_is_gone(etcd: Server | Elsewhere) -> None:
    """https://github.com/segmentio/consul-go/pull/14: a lease alone tells nothing, and a watch may be broken."""
    async with opened(etcd.address) as engine:
        for how in ("key", "lease"):
            name = fresh()
            claim = claimed(engine, name)
            assert await claim.acquire() is not None
            assert await claim.renew()
            if how == "key":
                request(etcd.address, "/v3/kv/deleterange", {"key": claims(etcd.address, name)[0]["key"]})
            else:
                revoke(etcd.address, claims(etcd.address, name)[0])
            assert not await claim.renew()
            assert await claim.acquire() is None
            assert await soon(claim.lost())
            assert not await claim.release()
            assert not claims(etcd.address, name)


class Deaf:
    """Stands before a server, and drops what that answers while it is told to."""

    def __init__(self, address: str) -> None:
        self._target = address.split(":")
        self._writers = list[asyncio.StreamWriter]()
        self.drops = False
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def before(cls, address: str) -> AsyncGenerator[Deaf]:
        proxy = cls(address)
        async with raw_server(proxy._accept) as proxy.address:
            try:
                yield proxy
            finally:
                proxy.cut()

    def cut(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += (writer, far_writer)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass(reader, far_writer, False), self._pass(far_reader, writer, True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        while data := await reader.read(65536):
            if not (answers and self.drops):
                writer.write(data)
        writer.transport.abort()


@pytest.mark.parametrize("lost", ["lease", "key"])
async def test_an_answer_that_is_lost_makes_no_second_claim(
    make_etcd: Make, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://github.com/docker/libkv/pull/186: an error at the first set, success at the second, and two holders."""
    server = make_etcd()
    await server.start()
    async with Deaf.before(server.address) as proxy, opened(proxy.address) as far, opened(server.address) as near:
        client = far.opened().client
        transact = client.txn

        async def last_step(request: TxnRequest) -> TxnResponse:
            proxy.drops = True
            return await transact(request)

        for then in ("waits", "asks again", "gives up"):
            name = fresh()
            claim, other = claimed(far, name), claimed(near, name)
            if lost == "lease":
                proxy.drops = True
            else:
                monkeypatch.setattr(client, "txn", last_step)
            asking = asyncio.ensure_future(claim.acquire())
            await eventually(lambda: leases(server.address))
            if lost == "key":
                await until_claimed(server.address, name, 1)
            assert not asking.done()
            monkeypatch.undo()
            if then != "waits":
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asking
            proxy.cut()
            proxy.drops = False
            if then == "gives up":
                await claim.release()
            else:
                if then == "waits":
                    with contextlib.suppress(Error):
                        await asking
                assert await granted(claim)
                assert len(claims(server.address, name)) == len(leases(server.address)) == 1
                assert await other.acquire() is None
                assert await claim.release()
            assert await granted(other)
            await other.release()
            await eventually(lambda: leases(server.address), equals=[])


async def test_an_acquire_that_is_cancelled_at_each_step_leaves_nothing(make_etcd: Make) -> None:
    """https://github.com/python-zk/kazoo/pull/760: a try that was given up left a contender behind."""
    server = make_etcd()
    await server.start()
    async with opened(server.address) as one, opened(server.address) as two:
        name, step, done = fresh(), 0, 0
        while done < 5:
            claim, other = claimed(one, name), claimed(two, name)
            asking = asyncio.ensure_future(claim.acquire())
            done += await _cancelled_after(asking, step)
            await claim.release()
            assert await claim.acquire() is None
            assert not await claim.renew()
            assert await soon(granted(other))
            assert await other.release()
            step += 1
        assert not claims(server.address, name)
        # A lease that was asked for last of all, and given up before it was made, has no key.
        assert len(leases(server.address)) <= step


async def test_a_release_that_is_cancelled_at_each_step_is_made_up_for(make_etcd: Make) -> None:
    """https://github.com/redis/redis-py/issues/3847: a release that was cancelled forgot the token, and the lock stuck."""
    server = make_etcd()
    await server.start()
    async with opened(server.address) as one, opened(server.address) as two:
        name, step, done = fresh(), 0, 0
        while done < 5:
            claim, other = claimed(one, name), claimed(two, name)
            assert await soon(granted(claim))
            releasing = asyncio.ensure_future(claim.release())
            done += await _cancelled_after(releasing, step)
            await claim.release()
            assert not await claim.release()
            assert await soon(granted(other))
            await other.release()
            step += 1
        await eventually(lambda: leases(server.address), equals=[])


async def test_a_claim_dies_with_its_lease_though_its_engine_was_restarted(make_etcd: Make, figures: Figures) -> None:
    """https://github.com/etcd-io/etcd/issues/9395: the time of a lease starts anew with each leader."""
    ttl = 4.0
    server = make_etcd()
    await server.start()
    async with opened(server.address) as engine, Sync.over(sync_engines.etcd(server.url)) as sync:
        name, other_name = fresh(), fresh()
        async with sync.lock(other_name, ttl=60.0, timeout=PATIENCE) as kept:
            dead = claimed(engine, name, ttl=ttl)
            begun = loop_time()
            first = await dead.acquire()
            assert first is not None
            await asyncio.sleep(0.7 * ttl)
            await server.kill()
            await server.start()
            restarted = loop_time()
            async with sync.lock(name, ttl=LONG, timeout=PATIENCE) as lock:
                taken = loop_time()
                assert taken - begun >= ttl
                assert (lock.epoch, lock.token) > (first.epoch, first.token)
                assert lock.epoch == first.epoch
            assert not await dead.renew()
            # As documented, with time for a machine that is busy.
            assert taken - restarted < ttl + 1.0 + 20.0
            figures.add("seconds until the lock is free after the restart", round(taken - restarted, 2))
            kept.check()


@pytest.mark.verify("sync")
async def test_terms_never_overlap_while_the_engine_is_away(make_etcd: Make, size: Size, figures: Figures) -> None:
    """https://github.com/microsoft/etcd3/issues/158: two leaders, and several workers, after etcd was restarted."""
    server = make_etcd()
    await server.start()
    candidates = Candidates(fresh(), 4.0)
    outages = size((5.0, 30.0, 120.0), ci=(5.0,))

    async with contextlib.AsyncExitStack() as stack:
        url = f"{server.url}/?timeout=2"
        syncs = [await stack.enter_async_context(Sync.over(sync_engines.etcd(url))) for _ in range(3)]
        tasks = [asyncio.create_task(candidates.stand(sync)) for sync in syncs]
        for outage in outages:
            await eventually(lambda: candidates.leading == 1)
            await server.kill()
            await asyncio.sleep(outage)
            assert not candidates.leading, "it has outlived its lease"
            led = len(candidates.numbers)
            await server.start()
            begun = loop_time()
            await until_more(candidates.numbers, led)
            figures.add(f"seconds until somebody leads after {outage:g} s", round(loop_time() - begun, 2))
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert candidates.numbers == sorted(set(candidates.numbers))


HOLDER = """
import asyncio, sys
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
async def main():
    async with Sync.over(sync_engines.etcd(sys.argv[1])) as sync:
        async with sync.lock(sys.argv[2], ttl=float(sys.argv[3])) as lock:
            print(lock.token, flush=True)
            await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.verify("sync")
async def test_a_lock_is_handed_over_after_its_holder_was_killed(
    etcd: Server | Elsewhere, size: Size, figures: Figures
) -> None:
    times = list[float]()
    async with Sync.over(sync_engines.etcd(etcd.url)) as sync:
        for ttl in size((2.0, 5.0, 10.0, 15.0), ci=(2.0,)):
            name = fresh()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", HOLDER, etcd.url, name, str(ttl)), stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            token = int(await process.stdout.readline())
            assert await sync.try_lock(name, ttl=LONG) is None
            guard = sync.lock(name, ttl=LONG, timeout=PATIENCE)
            waiting = asyncio.ensure_future(guard.__aenter__())
            await until_claimed(etcd.address, name, 2)
            await asyncio.sleep(ttl / 2)  # It has been renewed since.
            process.kill()
            begun = loop_time()
            lock = await waiting
            times.append(loop_time() - begun)
            assert lock.token > token
            await lock.release()
            await process.wait()
            figures.add(f"seconds after SIGKILL, ttl {ttl:g}", round(times[-1], 2))
            assert times[-1] < ttl + 1.0 + 20.0  # As documented, with time for a machine that is busy.


@pytest.mark.parametrize("seats", [1, 3])
@pytest.mark.verify("sync")
async def test_a_hand_over_wakes_one_who_waits(etcd: Server | Elsewhere, seats: int, size: Size) -> None:
    async with opened(etcd.address, "timeout=60") as one, opened(etcd.address, "timeout=60") as two:
        name, woken = fresh(), list[int]()
        queue = [claimed((one, two)[number % 2], name, seats=seats) for number in range(size(1000, ci=30))]
        for place, claim in enumerate(queue):
            assert (await claim.acquire() is not None) == (place < seats)

        async def wait(place: int) -> None:
            await queue[place].changed(LONG)
            woken.append(place)

        waiting = [asyncio.create_task(wait(place)) for place in range(seats, len(queue))]
        await asyncio.sleep(0.5)
        assert not woken
        for place in range(len(queue) - seats):
            assert await queue[place].release()
            await until_more(woken, place)
            assert await queue[place + seats].acquire() is not None
        await asyncio.gather(*waiting)
        assert woken == list(range(seats, len(queue)))
        for claim in queue[-seats:]:
            assert await claim.release()


async def test_one_ahead_who_gives_up_changes_nothing_for_the_others(etcd: Server | Elsewhere) -> None:
    async with opened(etcd.address) as engine:
        for seats in (1, 2):
            name = fresh()
            queue = [claimed(engine, name, seats=seats) for _ in range(seats + 3)]
            for claim in queue:
                await claim.acquire()
            assert not await queue[-2].release()
            assert await queue[-1].acquire() is None
            waiting = asyncio.ensure_future(queue[-1].changed(LONG))
            assert not await queue[-3].release()
            for claim in queue[:seats]:
                await asyncio.sleep(0.05)
                assert await claim.release()
            await soon(waiting)
            assert await queue[-1].acquire() is not None
            assert await queue[-1].release()


async def test_history_that_is_gone_keeps_nobody_waiting(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.address) as one, opened(server.address) as two:
        name = fresh()
        free = (await two.observe(name)).position
        held, waiting = claimed(one, name), claimed(two, name)
        assert await held.acquire() is not None
        assert await waiting.acquire() is None
        taken = (await two.observe(name)).position
        for _ in range(10):
            request(server.address, "/v3/kv/put", {"key": text64("x"), "value": ""})
        revision = request(server.address, "/v3/kv/range", {"key": text64("x")})["header"]["revision"]
        request(server.address, "/v3/kv/compaction", {"revision": revision, "physical": True})
        await soon(two.changed(name, free, LONG))
        lost = asyncio.ensure_future(held.lost())
        woken = [asyncio.ensure_future(waiting.changed(LONG)), asyncio.ensure_future(two.changed(name, taken, LONG))]
        done, _ = await asyncio.wait((lost, *woken), timeout=0.5)
        assert not done
        request(server.address, "/v3/kv/deleterange", {"key": claims(server.address, name)[0]["key"]})
        await soon(asyncio.wait((lost, *woken)))
        assert await waiting.acquire() is not None


async def test_no_lock_is_inside_of_another(etcd: Server | Elsewhere) -> None:
    async with opened(etcd.address) as engine:
        for turn in (1, -1):
            name = fresh()
            names = [name, f"{name}/1", f"{name}/1/{name}", f"{name}/", f"{name}%2F1", f"{name}/1/", name.upper()]
            held = [claimed(engine, each, seats=seats) for each in names[::turn] for seats in (1, 10, 2)]
            for claim in held:
                assert await claim.acquire() is not None
            for claim in held:
                assert await claim.acquire() is not None
                assert await claim.release()


async def test_a_store_without_its_data_begins_a_new_epoch(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    name = fresh()
    async with opened(server.address) as old:
        claim = claimed(old, name)
        first = await claim.acquire()
        assert first is not None
        lost = asyncio.ensure_future(claim.lost())
        await asyncio.sleep(0.1)
        await server.kill()
        await server.wipe()
        await server.start()
        assert await soon(lost)
        assert not await claim.renew()
        async with opened(server.address) as new:
            second = await claimed(new, name).acquire()
            assert second is not None
            assert second.epoch > first.epoch
            assert second.token < first.token + 5
        third = await granted_by_force(old, server, name)
        assert third.epoch == second.epoch
        assert third.token > second.token


async def test_a_store_that_was_restored_in_place_begins_a_new_epoch(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    name = fresh()
    copy = server.folder / "copy"
    async with opened(server.address) as engine:
        first = await granted_by_force(engine, server, name)
        await server.stop()
        await asyncio.to_thread(shutil.copytree, server.data, copy)
        await server.start()
        later = first
        for _ in range(10):
            later = await granted_by_force(engine, server, name)
            assert later.epoch == first.epoch
            assert later.token > first.token
        await server.stop()
        await server.wipe()
        await asyncio.to_thread(shutil.copytree, copy, server.data)
        await server.start()
        after = await granted_by_force(engine, server, name)
        assert after.token < later.token
        assert after.epoch > later.epoch
        async with opened(server.address) as other:
            assert (await granted_by_force(other, server, name)).epoch == after.epoch
        assert (await granted_by_force(engine, server, name)).epoch == after.epoch


@pytest.mark.parametrize(
    "value",
    [
        "{number} of cluster 1",
        "nonsense",
        "",
        "99999999999999999999 of cluster 1",
        "-1 of cluster 1",
        "0 of cluster 1",
        "{number} of cluster " + "f" * 5000,
    ],
)
async def test_an_epoch_of_another_cluster_or_none_is_replaced(etcd: Server | Elsewhere, value: str) -> None:
    prefix = f"/test/{new_id()}/"
    number = 2**61
    request(
        etcd.address,
        "/v3/kv/put",
        {"key": text64(f"{prefix}epoch"), "value": text64(value.format(number=number))},
    )
    epochs = list[int]()
    for _ in range(2):
        async with opened(etcd.address, f"prefix={prefix}") as one, opened(etcd.address, f"prefix={prefix}") as two:
            for engine in (one, two):
                claim = claimed(engine, name := fresh())
                grant = await claim.acquire()
                assert grant is not None
                epochs.append(grant.epoch)
                holder = (await engine.observe(name)).holder
                assert holder is not None
                assert holder[1:] == grant
                await claim.release()
    assert len(set(epochs)) == 1
    assert (epochs[0] == number + 1) if value == "{number} of cluster 1" else 0 < epochs[0] < number


async def test_a_user_needs_its_keys_and_no_others(make_etcd: Make) -> None:
    server = make_etcd(auth=True)
    await server.start()
    token = server.authenticate()
    end = base64.b64encode(b"/micro/sync0").decode()
    for path, body in (
        ("/v3/auth/user/add", {"name": "locker", "password": "Canary7"}),
        ("/v3/auth/role/add", {"name": "locks"}),
        (
            "/v3/auth/role/grant",
            {"name": "locks", "perm": {"permType": "READWRITE", "key": text64("/micro/sync/"), "range_end": end}},
        ),
        ("/v3/auth/user/grant", {"user": "locker", "role": "locks"}),
    ):
        status, answer = server.request(path, body, token=token)
        assert status == 200, answer
    url = f"etcd://locker:Canary7@{server.address}"
    async with Sync.over(sync_engines.etcd(url)) as sync, sync.lock(name := fresh(), ttl=TTL, timeout=PATIENCE) as lock:
        assert await sync.try_lock(name, ttl=TTL) is None
        await asyncio.sleep(TTL)
        lock.check()
    engine = sync_engines.etcd(f"{url}/?prefix=/others/")
    with pytest.raises(PermissionDenied, match="may not do this") as refused:
        await engine.open()
    assert "Canary7" not in str(refused.value) + engine.name


async def granted_by_force(engine: SyncEngine, server: Etcd, name: str) -> Grant:
    """Deletes what has a lock, takes it, and releases it."""
    begin = f"/micro/sync/{quote(name, safe='')}/1/"
    request(server.address, "/v3/kv/deleterange", {"key": text64(begin), "range_end": text64(begin[:-1] + "0")})
    claim = claimed(engine, name)
    grant = await eventually(lambda: _acquired(claim))
    assert grant is not None
    await claim.release()
    return grant


async def _acquired(claim: Claim) -> Grant | None:
    try:
        return await claim.acquire()
    except Error:
        return None


async def _cancelled_after(task: asyncio.Future[Any], turns: int) -> bool:
    """Cancels a task after that many turns of the loop; returns whether it had ended before."""
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return done
