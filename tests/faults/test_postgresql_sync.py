"""The locks of ``postgresql://`` and ``cockroachdb://`` when servers are killed, frozen, cut off and restored, and rows are changed by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.postgresql.sync import CockroachSync, PostgreSQLSync
from micro_rt.backends.postgresql.sync_engine import SqlSync
from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, LockLost
from micro_rt.sync.sync import Sync
from micro_rt.testing.proxy import FaultProxy
from tests.helpers import sync_engines
from tests.helpers.faked_clocks import faked_clock
from tests.helpers.lock_histories import Lockers, check_history
from tests.helpers.postgresql import end_sessions, looking
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL
from tests.servers.server import Server

Make = Callable[..., PostgreSQL]
SCHEMES = ("postgresql", "cockroachdb")
BOTH = pytest.mark.parametrize("scheme", SCHEMES)


@pytest.fixture
def schema() -> str:
    return f"locks_{uuid.uuid4().hex[:12]}"


def url(address: str, schema: str, options: str = "", *, scheme: str = "postgresql", user: str = "postgres") -> str:
    return f"{scheme}://{user}@{address}/postgres?schema={schema}{options}"


def claim(engine: SqlSync, name: str, *, seats: int = 1, ttl: float = 60.0) -> Claim:
    return engine.claim(name, seats=seats, ttl=ttl, value=b"", id=new_id())


async def granted(claim: Claim) -> Grant:
    grant = await claim.acquire()
    assert grant is not None
    return grant


@contextlib.asynccontextmanager
async def opened(*args: str, scheme: str = "postgresql") -> AsyncGenerator[SqlSync]:
    """An engine, without what renews its claims."""
    engine = sync_engines.sql(url(*args, scheme=scheme))
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def locks(*args: str, scheme: str = "postgresql") -> AsyncGenerator[tuple[SqlSync, Sync]]:
    engine = sync_engines.sql(url(*args, scheme=scheme))
    async with Sync.over(engine) as sync:
        yield engine, sync


# Holders and those who wait.


@pytest.mark.verify("sync")
@BOTH
async def test_histories_of_locks_while_servers_are_killed_and_sessions_end(
    make_postgresql: Make, schema: str, scheme: str, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """Processes are killed, and stopped past their ttl, and their wall clocks are off by an hour: kubernetes/client-go 448."""
    server = make_postgresql()
    await server.start()

    async def restart() -> None:
        await server.kill()
        await server.start()

    lockers = Lockers(
        "tests.helpers.sync_engines:sql", url(server.address, schema, scheme=scheme), {}, new_id(), 1.0, tmp_path
    )
    counts = await check_history(
        lockers,
        processes=size(4, ci=2),
        holds=size(10_000, ci=40),
        disturb=[lambda: end_sessions(server), restart],
        disturbances=size(60, ci=3 if scheme == "cockroachdb" else 6),
    )
    figures.add_all(counts)


@pytest.mark.verify("sync")
async def test_one_leads_though_the_server_is_killed_under_three_candidates(
    make_postgresql: Make, schema: str, size: Size
) -> None:
    """microsoft/etcd3 158: two leaders, and several workers, after the server had been started again."""
    server = make_postgresql()
    await server.start()
    leading, most = 0, 0
    terms: list[tuple[int, int]] = []

    async def candidate(number: int) -> None:
        nonlocal leading, most
        async with locks(server.address, schema, "&timeout=3") as (_, sync):
            while True:
                with contextlib.suppress(LockLost, micro.Unavailable, micro.DeadlineExceeded):
                    async with sync.leader("scheduler", ttl=2, value=b"%d" % number) as term:
                        terms.append((term.fence.epoch, term.number))
                        leading += 1
                        most = max(most, leading)
                        try:
                            await term.lost()
                        finally:
                            leading -= 1
                await asyncio.sleep(0.01)

    candidates = [asyncio.create_task(candidate(number)) for number in range(3)]
    try:
        await eventually(lambda: leading == 1)
        for outage in size((5.0, 30.0, 120.0), ci=(5.0,)):
            before = len(terms)
            await server.kill()
            await asyncio.sleep(outage)
            assert not leading, "the lease has ended long ago"
            await server.start()
            await eventually(lambda: leading == 1)
            assert len(terms) > before
    finally:
        for task in candidates:
            task.cancel()
        await asyncio.wait(candidates)
    assert most == 1
    assert terms == sorted(set(terms))


async def test_locks_outlive_the_sessions_of_the_pool(
    make_postgresql: Make, schema: str, make_pgbouncer: Callable[..., PgBouncer]
) -> None:
    """leoflow 1199, authentik 23876, greptimedb 7670: locks of a session were lost, or stranded, with the connections of a pool."""
    server = make_postgresql()
    await server.start()
    bouncer = make_pgbouncer(server.address, size=4)
    bouncer.start_now()
    async with (
        locks(server.address, schema) as (engine, one),
        locks(bouncer.address, schema, "&pgbouncer=transaction") as (_, two),
        one.lock("a", ttl=30, timeout=PATIENCE) as lock,
        two.lock("b", ttl=30, timeout=PATIENCE) as other,
    ):
        tokens = lock.token, other.token
        waiting = asyncio.ensure_future(two.lock("a", ttl=30).__aenter__())
        assert isinstance(engine, PostgreSQLSync)
        for _ in range(3):
            await end_sessions(server)
            bouncer.kill_now()
            bouncer.start_now()
            await asyncio.sleep(0.3)
            assert (lock.token, other.token) == tokens
        assert not waiting.done()
        assert await lock.release()
        taken = await soon(waiting)
        assert taken.token > tokens[0]
        assert await taken.release()
        other.check()


async def test_a_lock_ends_in_time_though_the_server_is_frozen(make_postgresql: Make, schema: str) -> None:
    """A backend that does not answer kept asyncpg's release for good."""
    server = make_postgresql()
    await server.start()
    async with locks(server.address, schema, "&pool=2&timeout=1") as (engine, sync):
        began = loop_time()
        with pytest.raises(LockLost, match="not renewed in time"):
            async with sync.lock("a", ttl=2, timeout=PATIENCE):
                await server.pause()
                await asyncio.sleep(PATIENCE)
        assert loop_time() - began >= 1  # It had been renewed when the server froze, or was granted.
        with pytest.raises((micro.DeadlineExceeded, micro.Unavailable), match=r"has not answered|did not accept"):
            await soon(sync.lock("b", timeout=0).__aenter__())
        assert engine.pool.size <= 2
        assert engine.problem
        await server.resume()
        async with sync.lock("a", ttl=3, timeout=PATIENCE) as lock:
            assert lock.held
        await server.pause()
        closing = loop_time()
    await server.resume()
    assert loop_time() - closing < 20


@BOTH
async def test_a_holder_keeps_its_own_ttl_whatever_the_ttl_of_the_one_who_waits(
    postgresql: Server, schema: str, scheme: str
) -> None:
    """kubernetes 47671: a candidate took over after its own ttl, which was shorter."""
    async with opened(postgresql.address, schema, scheme=scheme) as engine:
        held, short = claim(engine, "a", ttl=3.0), claim(engine, "a", ttl=0.5)
        first = await granted(held)
        assert await held.renew()
        renewed = loop_time()
        while (second := await short.acquire()) is None:
            await short.changed(0.2)
        assert loop_time() - renewed >= 3.0
        assert second > first
        assert not await held.renew()


@BOTH
async def test_nobody_takes_over_from_a_holder_that_has_renewed_meanwhile(
    postgresql: Server, schema: str, scheme: str
) -> None:
    async with (
        opened(postgresql.address, schema, scheme=scheme) as one,
        opened(postgresql.address, schema, scheme=scheme) as two,
    ):
        held, other = claim(one, "a", ttl=0.5), claim(two, "a", ttl=0.5)
        await granted(held)
        assert await other.acquire() is None
        await eventually(lambda: two.sightings.overdue((b"a", 1)))
        assert await held.renew()
        assert await other.acquire() is None
        await eventually(lambda: two.sightings.overdue((b"a", 1)))
        await granted(other)
        assert await held.acquire() is None
        assert not await held.renew()


@BOTH
async def test_processes_that_try_once_and_end_learn_that_a_holder_has_died(
    postgresql: Server, schema: str, scheme: str
) -> None:
    """A job that is started each night, and tries once, must not be kept out for ever by one that was killed."""
    async with opened(postgresql.address, schema, scheme=scheme) as engine, looking(postgresql.address) as own:
        dead = claim(engine, "a", ttl=0.5)
        await granted(dead)

        async def once() -> bool:
            async with locks(postgresql.address, schema, scheme=scheme) as (_, sync):  # It has seen nothing.
                return await sync.try_lock("a", ttl=600.0) is not None

        assert not await once()
        assert await dead.renew()  # What was noted is of no use any more.
        renewed = loop_time()
        assert await own.fetchval(f"SELECT seen_by FROM {schema}.sync_seats") is None
        await eventually(once)
        assert loop_time() - renewed >= 0.5
        await granted(claim(engine, "a", ttl=600.0))  # What tried once has released its lock when it closed.
        # Another machine, or another boot of this one, has another clock.
        await own.execute(f"UPDATE {schema}.sync_seats SET seen_by = 'another', seen_at = 0")
        assert not await once()
        assert await own.fetchval(f"SELECT seen_by FROM {schema}.sync_seats") != "another"


@pytest.mark.parametrize("clock", ["-1h", "+1h"])
async def test_the_time_of_day_of_one_who_waits_does_not_matter(postgresql: Server, schema: str, clock: str) -> None:
    """kubernetes/client-go 448: leases compared times of day of different machines."""
    environment = faked_clock(clock)
    script = (
        "import asyncio, sys, time; from micro_rt.sync.sync import Sync\n"
        "from tests.helpers import sync_engines\n"
        "async def main():\n"
        " async with Sync.over(sync_engines.sql(sys.argv[1])) as sync:\n"
        "  print(time.time(), await sync.try_lock('a', ttl=0.5), flush=True)\n"
        "  await asyncio.sleep(3)\n"
        "  print(await sync.try_lock('a', ttl=0.5))\n"
        "asyncio.run(main())\n"
    )
    async with locks(postgresql.address, schema) as (_, sync), sync.lock("a", ttl=1.5, timeout=PATIENCE) as lock:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, url(postgresql.address, schema)),
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=asyncio.subprocess.PIPE,
        )
        said = (await soon(process.communicate()))[0].split()
        assert abs(float(said[0]) - time.time()) > 3000, "libfaketime has no effect"
        assert said[1:] == [b"None", b"None"]
        lock.check()


@BOTH
async def test_the_time_of_day_of_the_server_does_not_matter(postgresql: Server, schema: str, scheme: str) -> None:
    async with opened(postgresql.address, schema, scheme=scheme) as engine, looking(postgresql.address) as own:
        held, other = claim(engine, "a"), claim(engine, "a")
        await granted(held)
        for hours in (-48, 48):
            await own.execute(f"UPDATE {schema}.sync_seats SET changed = now() + '{hours} hours'")
            assert await other.acquire() is None
            assert await engine.sweeper.sweep(engine.sql) == 0
        assert await held.renew()


# Requests that are cut off.


@BOTH
async def test_an_answer_that_is_lost_makes_no_second_claim(postgresql: Server, schema: str, scheme: str) -> None:
    """libkv 186: an error at first, success at the second try, and two holders."""
    async with (
        FaultProxy(postgresql.address) as proxy,
        looking(postgresql.address) as own,
        opened(proxy.address, schema, scheme=scheme) as engine,
    ):
        for number, seats in enumerate((1, 3)):
            mine = claim(engine, f"{number}", seats=seats)
            held = f"SELECT token FROM {schema}.sync_seats WHERE name = $1::bytea AND holder IS NOT NULL"

            async def token(held: str = held, name: str = f"{number}") -> int | None:
                found: int | None = await own.fetchval(held, name.encode())
                return found

            await proxy.delay(0.1)
            asking = asyncio.ensure_future(mine.acquire())
            first = await eventually(token)
            await proxy.black_hole()  # The answer is on its way.
            if number % 2:
                asking.cancel()
            await asyncio.sleep(0)
            await end_connections(engine)
            with pytest.raises((micro.Unavailable, asyncio.CancelledError)):
                await soon(asking)
            await proxy.restore()
            grant = await soon(mine.acquire())
            assert grant is not None
            assert grant.token == first
            assert await mine.acquire() == grant
            assert len(await own.fetch(held, f"{number}".encode())) == 1
            assert await mine.release()
            assert not await token()


async def end_connections(engine: SqlSync) -> None:
    """Ends the connections of a pool on this side."""
    for connection in [*engine.pool._used, *engine.pool._idle]:  # pyright: ignore[reportPrivateUsage]
        connection.terminate()
    await asyncio.sleep(0)


@BOTH
async def test_a_request_that_arrives_late_gives_a_claim_no_second_seat(
    postgresql: Server, schema: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seats = iter((0, 1, 0, 1, 0, 1, 0, 1))
    monkeypatch.setattr("micro_rt.backends.postgresql.sync_engine.pick", lambda free: next(seats))
    async with opened(postgresql.address, schema, scheme=scheme) as engine, looking(postgresql.address) as own:
        for other in [claim(engine, "a", seats=2) for _ in range(2)]:
            await granted(other)
            await other.release()
        await own.execute(f"BEGIN; SELECT 1 FROM {schema}.sync_seats FOR UPDATE")
        late = claim(engine, "a", seats=2)
        asking = asyncio.ensure_future(late.acquire())
        await waits_for_a_row(postgresql.address, schema)
        asking.cancel()  # The server does not know it yet.
        await asyncio.wait((asking,))
        again = asyncio.ensure_future(late.acquire())
        await waits_for_a_row(postgresql.address, schema, 2)
        await own.execute("COMMIT")
        grant = await soon(again)
        assert grant is not None
        rows = f"SELECT seat, token FROM {schema}.sync_seats WHERE holder IS NOT NULL"
        await eventually(late.acquire, equals=grant)
        assert [row["token"] for row in await own.fetch(rows)] == [grant.token]
        assert await late.release()
        assert not await own.fetch(rows)


@BOTH
async def test_what_a_request_takes_that_arrives_after_its_claim_was_given_up_is_given_back(
    postgresql: Server, schema: str, scheme: str
) -> None:
    """kazoo 760, greptimedb 7670: a try that had timed out took the lock afterwards, and kept it."""
    async with opened(postgresql.address, schema, scheme=scheme) as engine, looking(postgresql.address) as own:
        first = claim(engine, "a")
        await granted(first)
        await first.release()
        await own.execute(f"BEGIN; SELECT 1 FROM {schema}.sync_seats FOR UPDATE")
        late = claim(engine, "a", ttl=600.0)
        asking = asyncio.ensure_future(late.acquire())
        await waits_for_a_row(postgresql.address, schema)
        asking.cancel()
        await asyncio.wait((asking,))
        assert not await late.release()
        await own.execute("COMMIT")
        await waits_for_a_row(postgresql.address, schema, 0)  # It has arrived.
        next = claim(engine, "a")
        await eventually(next.acquire)
        await next.release()


async def waits_for_a_row(address: str, schema: str, count: int = 1) -> None:
    """Waits until so many statements of engines wait for the row of a lock."""
    taking = f"%{schema}%sync_seats AS r%"
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
    async with looking(address) as own:
        await eventually(lambda: own.fetchval(waiting, taking), equals=count)


@BOTH
async def test_calls_that_are_cancelled_at_each_step_leave_nothing_behind(
    postgresql: Server, schema: str, scheme: str
) -> None:
    """redis-py 3847: a release that was cancelled had forgotten its token, and the lock stuck."""
    async with (
        opened(postgresql.address, schema, scheme=scheme) as engine,
        opened(postgresql.address, schema, scheme=scheme) as second,
    ):

        async def cancelled(call: Callable[[], Awaitable[object]], steps: int) -> bool:
            """Cancels a call after so many turns of the loop; returns whether it had not ended before."""
            task = asyncio.ensure_future(call())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            return task.cancelled()

        for method in ("acquire", "renew", "release"):
            steps, whole = 0, 0
            while whole < 3:
                mine = claim(engine, "a", ttl=600.0)
                if method != "acquire":
                    await granted(mine)
                whole += not await cancelled(getattr(mine, method), steps)
                if method == "renew":
                    assert await mine.renew()
                await mine.release()
                assert not await mine.release()
                # Were it to end with its ttl alone, this would take ten minutes.
                other = claim(second, "a", ttl=600.0)
                await eventually(other.acquire)
                assert await other.release()
                steps += 1 if steps < 12 else 5
            assert steps > 3


# Rows that are changed by hand, and histories that end.


@BOTH
async def test_tokens_grow_though_the_row_is_deleted_or_stolen(postgresql: Server, schema: str, scheme: str) -> None:
    """segmentio/consul-go 14: only the session was watched, and what an operator released went unseen."""
    async with locks(postgresql.address, schema, scheme=scheme) as (_, sync), looking(postgresql.address) as own:
        tokens: list[int] = []
        for change in (
            f"DELETE FROM {schema}.sync_seats",
            f"UPDATE {schema}.sync_seats SET holder = 'somebody'",
            f"UPDATE {schema}.sync_seats SET holder = NULL",
            f"UPDATE {schema}.sync_seats SET token = token + 1000",
        ):
            with pytest.raises(LockLost, match="deleted, or belongs to another"):
                async with sync.lock("a", ttl=600, timeout=PATIENCE) as lock:
                    tokens.append(lock.token)
                    await own.execute(change)
                    await asyncio.sleep(PATIENCE)
            await own.execute(f"DELETE FROM {schema}.sync_seats")
            async with sync.lock("a", ttl=600, timeout=PATIENCE) as lock:
                tokens.append(lock.token)
        # A sequence that somebody has set back does not take the row back.
        await own.execute(f"ALTER SEQUENCE {schema}.sync_tokens RESTART")
        async with sync.lock("a", ttl=600, timeout=PATIENCE) as lock:
            tokens.append(lock.token)
    assert tokens == sorted(set(tokens))


async def test_nonsense_in_a_row_harms_nobody(postgresql: Server, schema: str) -> None:
    async with opened(postgresql.address, schema) as engine, looking(postgresql.address) as own:
        machine = engine.sightings.machine
        for ttl in ("'NaN'", "'Infinity'", "-5", "1e300"):
            await own.execute(f"DELETE FROM {schema}.sync_seats")
            await own.execute(
                f"INSERT INTO {schema}.sync_seats VALUES ('a', 1, 0, 'x', '\\x00', 1, 1, 1, {ttl}::float8, now(), '{machine}', 1e99),"
                f"('a', 1, 7, 'y', '', 1, 1, 1, 1, now(), '', 0), ('a', 1, -7, 'z', '', 1, 1, 1, 1, now(), '', 0)"
            )
            mine = claim(engine, "a")
            assert await mine.acquire() is None
            observed = (await engine.observe("a")).holder
            assert observed is not None
            assert observed.token == 1
            assert 80_000 < engine.sightings.wait((b"a", 1)) < 90_000


async def test_a_restored_dump_begins_a_newer_epoch(make_postgresql: Make, schema: str) -> None:
    source, target = make_postgresql(), make_postgresql()
    await asyncio.gather(source.start(), target.start())
    async with looking(source.address) as own:
        for _ in range(300):  # So the numbers there are larger.
            await own.execute("SELECT pg_current_xact_id()")
    async with locks(source.address, schema) as (_, sync), sync.lock("a", timeout=PATIENCE, ttl=1) as lock:
        first = (lock.epoch, lock.token)
        await asyncio.to_thread(copy, source, target, schema)
    async with (
        locks(target.address, schema) as (engine, sync),
        opened(target.address, schema) as other,
        looking(target.address) as own,
    ):
        async with sync.lock("a", ttl=5, timeout=PATIENCE) as lock:  # Its holder is not there.
            second = (lock.epoch, lock.token)
        assert second > first
        assert second[0] > first[0]
        assert len(await own.fetch(f"SELECT FROM {schema}.sync_state")) == 1
        held = claim(engine, "b")
        before = await granted(held)
        assert before.epoch == second[0]
        # It is restored once more, while the engines are open.
        await own.execute(f"DROP SCHEMA {schema} CASCADE")
        await asyncio.to_thread(copy, source, target, schema)
        grants = await asyncio.gather(*(granted(claim(each, f"{n}")) for n, each in enumerate((engine, other) * 4)))
        assert len({grant.epoch for grant in grants}) == 1
        assert min(grants) > before
        assert grants[0].epoch > before.epoch


def copy(source: PostgreSQL, target: PostgreSQL, schema: str) -> None:
    """Dumps a schema, and restores it on another server."""
    dump = [source.found.path / "pg_dump", "-h", "127.0.0.1", "-p", f"{source.port}", "-U", "postgres", "-n", schema]
    text = subprocess.run([*dump, "postgres"], check=True, capture_output=True).stdout
    psql = [target.found.path / "psql", "-q", "-h", "127.0.0.1", "-p", f"{target.port}", "-U", "postgres", "-v"]
    subprocess.run([*psql, "ON_ERROR_STOP=1", "postgres"], check=True, input=text, capture_output=True)


@BOTH
async def test_rows_that_nobody_uses_are_dropped(postgresql: Server, schema: str, scheme: str) -> None:
    async with opened(postgresql.address, schema, scheme=scheme) as engine, looking(postgresql.address) as own:
        tokens: list[int] = []
        for number in range(20):
            once = claim(engine, f"once {number}")
            tokens.append((await granted(once)).token)
            await once.release()
        dead, alive, new = claim(engine, "dead", ttl=0.5), claim(engine, "alive", ttl=60), claim(engine, "new")
        for each in (dead, alive):
            await granted(each)
        await own.execute(f"UPDATE {schema}.sync_seats SET changed = now() - interval '2 days'")
        tokens.append((await granted(new)).token)
        assert await engine.sweeper.sweep(engine.sql) == 20
        await eventually(lambda: engine.sweeper.sweep(engine.sql), equals=1)
        assert not await dead.renew()
        assert await alive.renew()
        assert await new.renew()
        again = claim(engine, "once 3")
        assert (await granted(again)).token > max(tokens)


# Tables and rights.


@BOTH
async def test_ten_processes_make_the_tables_at_once(postgresql: Server, schema: str, scheme: str) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from micro_rt.sync.sync import Sync\n"
        "from tests.helpers import sync_engines\n"
        "async def main(name):\n"
        " async with Sync.over(sync_engines.sql(sys.argv[1])) as sync:\n"
        "  lock = await sync.try_lock(name)\n"
        "  assert lock and await lock.release()\n"
        "children = []\n"
        "for number in range(10):\n"
        " child = os.fork()\n"
        " if not child:\n"
        "  asyncio.run(main(str(number)))\n"
        "  os._exit(0)\n"
        " children.append(child)\n"
        "ends = [os.waitpid(child, 0)[1] for child in children]\n"
        "assert not any(ends), ends\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    address = url(postgresql.address, schema, "&pool=2", scheme=scheme)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, address, env=environment)
    assert await process.wait() == 0
    async with looking(postgresql.address) as own:
        assert len(await own.fetch(f"SELECT DISTINCT epoch FROM {schema}.sync_seats")) == 1
        assert await own.fetchval(f"SELECT count(*) FROM {schema}.sync_seats") == 10


@BOTH
async def test_tables_of_a_newer_version_are_refused(postgresql: Server, schema: str, scheme: str) -> None:
    async with opened(postgresql.address, schema, scheme=scheme), looking(postgresql.address) as own:
        await own.execute(f"UPDATE {schema}.sync_state SET version = 2")
        engine = sync_engines.sql(url(postgresql.address, schema, scheme=scheme))
        with pytest.raises(micro.FailedPrecondition, match="update micro-rt, or name another schema"):
            await engine.open()
        with pytest.raises(micro.FailedPrecondition, match="is not open"):
            claim(engine, "a")


async def test_a_user_without_rights_learns_which(postgresql: Server, schema: str) -> None:
    user = f"user_{schema}"
    async with looking(postgresql.address) as own:
        await own.execute(f"CREATE ROLE {user} LOGIN; CREATE ROLE {user}_2 LOGIN")
        engine = sync_engines.sql(url(postgresql.address, schema, user=user))
        with pytest.raises(micro.PermissionDenied, match=f'CREATE SCHEMA "{schema}" AUTHORIZATION "{user}"'):
            await engine.open()
        await own.execute(f'CREATE SCHEMA "{schema}" AUTHORIZATION "{user}"')
        await own.execute(f"GRANT USAGE ON SCHEMA {schema} TO {user}_2")
        other = sync_engines.sql(url(postgresql.address, schema, user=f"{user}_2"))
        with pytest.raises(micro.PermissionDenied, match=f'GRANT CREATE ON SCHEMA "{schema}" TO "{user}_2"'):
            await other.open()
        async with Sync.over(engine):
            pass
        # One that may read and write, and make nothing, is enough once the tables are there.
        with pytest.raises(micro.PermissionDenied, match="grant the user the right"):
            await other.open()
        await own.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}_2;"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}_2"
        )
        async with Sync.over(other) as sync, sync.lock("a", timeout=PATIENCE):
            pass
        await own.execute(f"DROP OWNED BY {user}, {user}_2 CASCADE; DROP ROLE {user}, {user}_2")


async def test_cockroachdb_restarts_statements_that_lost(postgresql: Server, schema: str) -> None:
    """Code 40001, which CockroachDB sends at any statement."""
    async with opened(postgresql.address, schema, scheme="cockroachdb") as engine, looking(postgresql.address) as own:
        assert isinstance(engine, CockroachSync)
        await own.execute(f"""
            CREATE SEQUENCE {schema}.failures;
            CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF random() < 0.3 THEN PERFORM nextval('{schema}.failures'); RAISE SQLSTATE '40001'
              USING MESSAGE = 'restart transaction'; END IF; RETURN NEW; END$$;
            CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {schema}.sync_seats FOR EACH ROW EXECUTE FUNCTION {schema}.fail()""")
        tokens: list[Grant] = []
        for _ in range(20):
            mine = claim(engine, "a")
            tokens.append(await granted(mine))
            assert await mine.renew()
            assert await mine.release()
        assert tokens == sorted(set(tokens))
        assert await own.fetchval(f"SELECT last_value FROM {schema}.failures") > 5


# What hand-overs cost.


@pytest.mark.verify("sync")
async def test_how_long_a_hand_over_takes_after_a_holder_was_killed(
    postgresql: Server, schema: str, size: Size, figures: Figures
) -> None:
    script = (
        "import asyncio, sys; from micro_rt.sync.sync import Sync\n"
        "from tests.helpers import sync_engines\n"
        "async def main():\n"
        " async with Sync.over(sync_engines.sql(sys.argv[1])) as sync, sync.lock('a', ttl=float(sys.argv[2])):\n"
        "  print('held', flush=True)\n"
        "  await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    ttl = size(10.0, ci=2.0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    took: list[float] = []
    async with locks(postgresql.address, schema) as (engine, sync):
        engine.margin = size(1.0, ci=0.1)
        for _ in range(size(10, ci=1)):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, url(postgresql.address, schema), f"{ttl}"),
                env=environment,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            assert await soon(process.stdout.readline())
            waiting = asyncio.ensure_future(sync.lock("a", ttl=ttl).__aenter__())
            await asyncio.sleep(1.0 + ttl / 3)
            process.kill()
            killed = loop_time()
            lock = await soon(waiting)
            took.append(loop_time() - killed)
            await lock.release()
            await process.communicate()
    figures.add("shortest and longest, in seconds", f"{min(took):.1f} and {max(took):.1f}")
    assert max(took) < ttl + engine.margin + 20.0


async def test_waiters_of_one_process_send_no_more_than_their_own_statements(postgresql: Server, schema: str) -> None:
    """One wake-up for each hand-over, however many wait."""
    most = 300
    async with locks(postgresql.address, schema) as (engine, sync), locks(postgresql.address, schema) as (_, other):
        sent = counted(engine)
        inside: list[int] = []

        async def wait(number: int) -> None:
            async with sync.lock("a", ttl=60, timeout=PATIENCE) as lock:
                inside.append(lock.token)

        async with other.lock("a", ttl=60, timeout=PATIENCE):
            waiting = [asyncio.create_task(wait(number)) for number in range(most)]
            await asyncio.sleep(1.0)
            sent.clear()
            await asyncio.sleep(2.0)
            assert len(sent) < 40, "each looks by itself"
            sent.clear()
        await soon(asyncio.gather(*waiting))
        kinds = {name: sent.count(getattr(engine.sql, name)) for name in ("take", "release")}
        assert kinds["take"] <= most + 5
        assert kinds["release"] == most
        assert inside == sorted(set(inside))
        assert len(inside) == most


def counted(engine: SqlSync) -> list[str]:
    """Returns a list of the statements that an engine sends from now on."""
    sent: list[str] = []
    connect_one = engine.pool._connector.connect  # pyright: ignore[reportPrivateUsage]

    async def connected(deadline: float) -> object:
        connection = await connect_one(deadline)
        connection.add_query_logger(lambda query: sent.append(query.query))
        return connection

    setattr(engine.pool._connector, "connect", connected)  # noqa: B010 # pyright: ignore[reportPrivateUsage]
    for connection in engine.pool._idle:  # pyright: ignore[reportPrivateUsage]
        connection.add_query_logger(lambda query: sent.append(query.query))
    return sent


async def test_a_release_wakes_those_who_wait_in_other_processes(
    postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.backends.postgresql.sync_watch.HEARD", 600.0)
    monkeypatch.setattr("micro_rt.backends.postgresql.notices.CHECK", 600.0)
    async with opened(postgresql.address, schema) as one, opened(postgresql.address, schema) as two:
        for _ in range(3):
            held, waiting = claim(one, "a", ttl=600.0), claim(two, "a", ttl=600.0)
            await granted(held)
            assert await waiting.acquire() is None
            woken = asyncio.ensure_future(waiting.changed(600.0))
            await eventually(two.hears)
            await asyncio.sleep(0.1)
            assert await held.release()
            await soon(woken)
            await granted(waiting)
            await waiting.release()
