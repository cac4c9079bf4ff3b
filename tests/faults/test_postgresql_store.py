"""The stores ``postgresql://`` and ``cockroachdb://`` when servers are killed, frozen, cut off and restored, and when others hold them back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.postgresql import horizon, notices, store
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.engine import SqlStore
from micro_rt.backends.postgresql.pool import Connection
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.errors import Error
from micro_rt.kit.clock import loop_time
from micro_rt.store.base import Write
from micro_rt.store.store import Store
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.missing import missing
from tests.helpers.postgresql import end_sessions, looking
from tests.helpers.sizes import Figures, Size
from tests.helpers.store_watching import Writers, check_committed_is_seen
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.servers.postgresql import PostgreSQL
from tests.servers.server import Server

Make = Callable[..., PostgreSQL]
FACTORIES = {
    "postgresql": "micro_rt.backends.postgresql.store:PostgreSQLStore",
    "cockroachdb": "micro_rt.backends.postgresql.cockroach:CockroachStore",
}
BOTH = pytest.mark.parametrize("kind", [PostgreSQLStore, CockroachStore])


@pytest.fixture
def schema() -> str:
    return f"faults_{uuid.uuid4().hex[:12]}"


def url(address: str, schema: str, options: str = "", *, scheme: str = "postgresql", user: str = "postgres") -> str:
    return f"{scheme}://{user}@{address}/postgres?schema={schema}{options}"


def made(kind: type[SqlStore], address: str, schema: str, options: str = "") -> SqlStore:
    scheme = "cockroachdb" if kind is CockroachStore else "postgresql"
    return kind(url(address, schema, options, scheme=scheme))  # type: ignore[call-arg]


@contextlib.asynccontextmanager
async def opened(address: str, schema: str, options: str = "") -> AsyncGenerator[tuple[PostgreSQLStore, Store]]:
    engine = PostgreSQLStore(url(address, schema, options))
    async with Store.over(engine) as opened:
        yield engine, opened


async def slow_commits(connection: Connection, schema: str) -> None:
    """Has one commit in twenty take up to 20 ms, with the version drawn long before it is visible."""
    await connection.execute(f"""
        CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN IF random() < 0.05 THEN PERFORM pg_sleep(random() * 0.02); END IF; RETURN NULL; END$$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON {schema}.records DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION {schema}.slow()""")


@pytest.mark.verify("store")
@pytest.mark.parametrize("scheme", FACTORIES)
async def test_a_watch_sees_what_is_committed_late_and_by_processes_that_are_killed(
    make_postgresql: Make, schema: str, scheme: str, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """Committed set = seen set; eventstore 3, Eventuous 222, pdo-event-store 189: polling a sequence lost 5 % of the commits."""
    server = make_postgresql()
    await server.start()
    address = url(server.address, schema, "&pool=4", scheme=scheme)
    engine = made(PostgreSQLStore if scheme == "postgresql" else CockroachStore, server.address, schema)
    async with Store.over(engine) as watching:
        async with looking(server.address) as own:
            await slow_commits(own, schema)
        turns = 0

        async def disturb() -> None:
            nonlocal turns
            turns += 1
            if turns % 2:
                await end_sessions(server)
            else:
                await server.kill()
                await server.start()

        counts = await check_committed_is_seen(
            watching,
            Writers(FACTORIES[scheme], address, {}, tmp_path),
            processes=size(8, ci=3),
            kills=size(20, ci=4),
            commits=size(1_000_000 if scheme == "postgresql" else 20_000, ci=500),
            disturb=disturb,
        )
    figures.add_all(counts)


@pytest.mark.verify("store")
@BOTH
async def test_no_write_that_is_cut_off_conflicts_with_itself(
    kind: type[SqlStore], postgresql: Server, schema: str, size: Size, figures: Figures
) -> None:
    """Fact 4: of what asyncpg says was cancelled or lost, nobody knows whether it was committed."""
    most = size(10_000, ci=150)
    cut = made_again = 0

    async with FaultProxy(postgresql.address) as proxy:
        engine = made(kind, proxy.address, schema, "&pool=8&timeout=30")
        apply = engine.apply

        async def counted(writes: Sequence[Write]) -> Sequence[int | Error]:
            nonlocal cut, made_again
            try:
                return await apply(writes)
            except micro.Unavailable as error:
                cut += error.may_have_run
                made_again += not error.may_have_run
                raise

        engine.apply = counted  # type: ignore[method-assign]
        async with Store.over(engine) as opened:
            outcomes = {"written": 0, "unknown": 0}

            async def write(number: int) -> None:
                """The only one to write this key: whatever it conflicts with is its own."""
                version, turn = 0, 0
                while cut < most:
                    turn += 1
                    try:
                        version = await opened.write(f"{number}", b"%d" % turn, if_version=version)
                        outcomes["written"] += 1
                    except micro.VersionConflict as conflict:
                        pytest.fail(f"{conflict}: nobody else writes this record")
                    except (micro.Unavailable, micro.DeadlineExceeded):
                        outcomes["unknown"] += 1
                        with contextlib.suppress(micro.NotFound):
                            version = (await opened.read(f"{number}")).version

            async def disturb() -> None:
                while True:
                    # On a busy machine, it takes a while until something is on its way again.
                    some = outcomes["written"] + random.randrange(1, 20)
                    await eventually(lambda some=some: outcomes["written"] >= some)
                    await asyncio.sleep(random.random() * 0.003)
                    await proxy.cut()
                    await asyncio.sleep(random.random() * 0.01)
                    await proxy.restore()

            disturbing = asyncio.create_task(disturb())
            try:
                await soon(asyncio.gather(*(write(number) for number in range(16))), 600)
            finally:
                disturbing.cancel()
                await asyncio.wait((disturbing,))
                await proxy.restore()
    assert cut >= most
    figures.add("writes that were cut off", cut)
    figures.add("of them, made or recognized afterwards", outcomes["written"])
    figures.add("unknown, as their error says", outcomes["unknown"])
    assert outcomes["written"]
    assert not outcomes["unknown"], "each is made again until its outcome is known"


async def test_every_call_ends_in_time_though_the_server_is_frozen(make_postgresql: Make, schema: str) -> None:
    server = make_postgresql()
    await server.start()
    async with opened(server.address, schema, "&pool=2") as (engine, one):
        version = await one.write("a", b"1")
        async with one.watch() as watch:
            await server.pause()
            for call in (
                one.write("a", b"2", if_version=version, timeout=0.3),
                one.write_many({"b": b"1"}, timeout=0.3),
                one.read("a", timeout=0.3),
                one.delete("a", timeout=0.3),
                one.page(timeout=0.3),
            ):
                with pytest.raises((micro.Unavailable, micro.DeadlineExceeded, micro.NotAllWritten)):
                    await soon(call)
            assert engine.pool.size <= 2
            await server.resume()
            last = await one.write("c", b"", timeout=60)
            async with asyncio.timeout(PATIENCE):
                async for change in watch:
                    if change.version == last:
                        break


@BOTH
async def test_a_call_may_take_longer_than_the_address_says(
    kind: type[SqlStore], postgresql: Server, schema: str
) -> None:
    engine = made(kind, postgresql.address, schema, "&timeout=0.3")
    async with Store.over(engine) as opened, looking(postgresql.address) as own:
        await opened.write("a", b"1", timeout=PATIENCE)
        await own.execute("BEGIN")
        await own.execute(f"SELECT 1 FROM {schema}.records FOR UPDATE")
        writing = asyncio.ensure_future(opened.write("a", b"2", timeout=PATIENCE))
        with pytest.raises(micro.DeadlineExceeded):
            await opened.write("a", b"3")
        assert not writing.done()
        await own.execute("COMMIT")
        assert await soon(writing) > 0


async def test_a_pool_that_is_full_is_named(postgresql: Server, schema: str) -> None:
    async with (
        opened(postgresql.address, schema, "&timeout=0.5&pool=2") as (engine, one),
        looking(postgresql.address) as own,
    ):
        await one.write("a", b"1", timeout=PATIENCE)
        await own.execute("BEGIN")
        await own.execute(f"SELECT 1 FROM {schema}.records FOR UPDATE")
        writing = [asyncio.ensure_future(one.write("a", b"2", timeout=PATIENCE)) for _ in range(2)]
        await eventually(lambda: engine.pool.size == 2 and not engine.pool.idle)
        with pytest.raises(micro.ResourceExhausted, match="all 2 are in use; make pool= of the address larger"):
            await one.read("a", timeout=PATIENCE)
        assert "all 2 are in use" in engine.problem
        await own.execute("COMMIT")
        await soon(asyncio.gather(*writing))


async def test_a_transaction_that_is_open_holds_back_a_watch_and_is_named(
    make_postgresql: Make, schema: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fact 3: one of another database is enough, if it has written."""
    monkeypatch.setattr(horizon, "PATIENCE", 0.3)
    server = make_postgresql()
    await server.start()
    async with opened(server.address, schema) as (engine, one), looking(server.address) as own:
        await own.execute("CREATE DATABASE other")
        async with looking(server.address, "other") as other, one.watch() as watch:
            await other.execute("CREATE TABLE t (k int)")
            await other.execute("BEGIN; SELECT 1")
            version = await one.write("a", b"1")  # One that has only read holds back nothing.
            assert (await soon(anext(watch))).version == version
            await other.execute("INSERT INTO t VALUES (1)")
            version = await one.write("b", b"2")
            seeing = asyncio.ensure_future(anext(watch))
            await eventually(lambda: "has held back the watches" in caplog.text)
            assert f"the process {other.get_server_pid()} in the database 'other'" in caplog.text
            assert "holds back the watches" in engine.problem
            assert not seeing.done()
            await other.execute("COMMIT")
            assert (await soon(seeing)).version == version
            await eventually(lambda: not engine.problem)


async def test_notifications_wake_a_watch(postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncpg 519: a listener hears nothing any more once its connection has died."""
    monkeypatch.setattr(store, "NOTIFIED", (0.1, 600.0))
    monkeypatch.setattr(notices, "CHECK", 600.0)
    async with (
        opened(postgresql.address, schema) as (engine, one),
        opened(postgresql.address, schema) as (_, other),
        looking(postgresql.address) as own,
        one.watch() as watch,
    ):
        for number in range(3):
            seeing = asyncio.ensure_future(anext(watch))
            await eventually(lambda: engine.capabilities.watch_interval == 600.0)
            await asyncio.sleep(0.05)
            version = await other.write("a", b"%d" % number)
            assert (await soon(seeing)).version == version
            # It waits for a notification again. Its connection dies, and what is written meanwhile is not heard.
            seeing = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.05)
            assert engine.listener is not None
            assert engine.listener.connection is not None
            await own.execute("SELECT pg_terminate_backend($1)", engine.listener.connection.get_server_pid())
            version = await other.write("b", b"%d" % number)
            assert (await soon(seeing)).version == version


async def test_notifications_are_sent_apart(postgresql: Server, schema: str) -> None:
    """Each takes a lock of the whole server when it is committed."""
    async with opened(postgresql.address, schema) as (engine, one), looking(postgresql.address) as own:
        heard: list[object] = []
        await own.add_listener(engine.channel, lambda *_: heard.append(_))
        begun = loop_time()
        for number in range(300):
            await one.write(f"{number % 10}", b"")
        await eventually(lambda: heard)
        await asyncio.sleep(2 * notices.APART)
        await own.execute("SELECT 1")
        assert 1 <= len(heard) <= (loop_time() - begun) / notices.APART + 1


@BOTH
async def test_ten_processes_make_the_tables_at_once(kind: type[SqlStore], postgresql: Server, schema: str) -> None:
    """token-savior 70, moflo 1471, for SQLite: some opens failed."""
    script = (
        "import asyncio, os, sys; from micro_rt.backends.postgresql.store import PostgreSQLStore\n"
        "from micro_rt.backends.postgresql.cockroach import CockroachStore\n"
        "from micro_rt.store.store import Store\n"
        "async def main(key):\n"
        f" async with Store.over({kind.__name__}(sys.argv[1])) as store:\n"
        "  await store.write(key, b'1')\n"
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
    for turn in range(2):
        engine = made(kind, postgresql.address, f"{schema}_{turn}", "&pool=2")
        scheme = engine.address.scheme
        address = url(postgresql.address, f"{schema}_{turn}", "&pool=2", scheme=scheme)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, address, env=environment)
        assert await process.wait() == 0
        async with Store.over(engine) as opened:
            assert len([record async for record in opened.list()]) == 10


@BOTH
async def test_tables_of_a_newer_version_are_refused(kind: type[SqlStore], postgresql: Server, schema: str) -> None:
    engine = made(kind, postgresql.address, schema)
    async with Store.over(engine) as opened:
        await opened.write("a", b"1")
    async with looking(postgresql.address) as own:
        table = "version" if kind is PostgreSQLStore else "state"
        await own.execute(f"UPDATE {schema}.{table} SET version = version + 1")
        with pytest.raises(micro.FailedPrecondition, match="update micro-rt, or name another schema"):
            await engine.open()
        await own.execute(f"UPDATE {schema}.{table} SET version = version - 1")
        async with Store.over(engine) as opened:
            assert (await opened.read("a")).value == b"1"


async def test_a_user_without_rights_learns_which(postgresql: Server, schema: str) -> None:
    user = f"user_{schema}"
    async with looking(postgresql.address) as own:
        await own.execute(f"CREATE ROLE {user} LOGIN")
        engine = PostgreSQLStore(url(postgresql.address, schema, user=user))
        with pytest.raises(micro.PermissionDenied, match=f'CREATE SCHEMA "{schema}" AUTHORIZATION "{user}"'):
            await engine.open()
        await own.execute(f'CREATE SCHEMA "{schema}" AUTHORIZATION "{user}"')
        async with Store.over(engine) as opened:
            await opened.write("a", b"1")
        # One that may read and write, and make nothing, is enough once the tables are there.
        await own.execute(f"CREATE ROLE {user}_2 LOGIN; GRANT USAGE ON SCHEMA {schema} TO {user}_2")
        other = PostgreSQLStore(url(postgresql.address, schema, user=f"{user}_2"))
        with pytest.raises(micro.PermissionDenied, match="grant the user the right"):
            await other.open()
        await own.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}_2;"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}_2"
        )
        async with Store.over(other) as opened:
            await opened.write("a", b"2")
            assert (await opened.read("a")).value == b"2"


async def test_a_store_that_is_restored_from_a_dump_begins_a_new_history(make_postgresql: Make, schema: str) -> None:
    """Fact 3: the numbers of transactions in a dump are those of another server."""
    source, target = make_postgresql(), make_postgresql()
    for program in ("pg_dump", "psql"):
        if not (source.found.path / program).exists():
            missing(f"{program} is not there")
    await asyncio.gather(source.start(), target.start())
    async with looking(source.address) as own:
        for _ in range(300):  # So the numbers there are larger.
            await own.execute("SELECT pg_current_xact_id()")
    async with opened(source.address, schema) as (_, one), one.watch() as watch:
        versions = [await one.write(f"{number}", b"1") for number in range(10)]
        position = (await soon(anext(watch))).position

    def copy(to: PostgreSQL) -> None:
        dump = [
            source.found.path / "pg_dump",
            "-h",
            "127.0.0.1",
            "-p",
            f"{source.port}",
            "-U",
            "postgres",
            "-n",
            schema,
        ]
        text = subprocess.run([*dump, "postgres"], check=True, capture_output=True).stdout
        psql = [target.found.path / "psql", "-q", "-h", "127.0.0.1", "-p", f"{to.port}", "-U", "postgres", "-v"]
        subprocess.run([*psql, "ON_ERROR_STOP=1", "postgres"], check=True, input=text, capture_output=True)

    await asyncio.to_thread(copy, target)
    async with opened(target.address, schema) as (_, one), one.watch(since=position) as watch:
        assert (await soon(anext(watch))).kind is micro.ChangeKind.RESYNC
        assert [(await soon(anext(watch))).version for _ in range(10)] == versions
        assert (await soon(anext(watch))).kind is micro.ChangeKind.SYNCED
        new = await one.write("new", b"2")
        assert new > max(versions)
        assert (await soon(anext(watch))).version == new
        # It is restored once more, while the store is open.
        async with looking(target.address) as own:
            await own.execute(f"DROP SCHEMA {schema} CASCADE")
        await asyncio.to_thread(copy, target)
        seen = []
        async with asyncio.timeout(PATIENCE):
            async for change in watch:
                seen.append(change.kind)
                if change.kind is micro.ChangeKind.SYNCED:
                    break
        assert seen[0] is micro.ChangeKind.RESYNC
        assert len(seen) == 12
        last = await one.write("last", b"3")
        assert (await soon(anext(watch))).version == last


@BOTH
async def test_the_sweeper_finds_what_has_expired_among_many_records(
    kind: type[SqlStore], postgresql: Server, schema: str
) -> None:
    """CAP 713: the limit came before the condition, so nothing was ever deleted."""
    engine = made(kind, postgresql.address, schema)
    async with Store.over(engine) as opened, looking(postgresql.address) as own:
        await opened.write_many({f"kept/{number}": b"" for number in range(2500)}, ttl=10_000)
        await opened.write_many({f"unlimited/{number}": b"" for number in range(2500)})
        await opened.write_many({f"gone/{number}": b"" for number in range(10)}, ttl=0.01)
        await asyncio.sleep(0.02)
        assert await engine.expire(500) == 10
        assert await own.fetchval(f"SELECT count(*) FROM {schema}.records WHERE kind = 2") == 10
        assert await engine.expire(500) == 0


@BOTH
async def test_a_record_that_is_not_swept_is_gone_all_the_same(
    kind: type[SqlStore], postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """langchain 8354: expired rows were readable until they were swept, and reading them revived them."""

    async def never(self: SqlStore, most: int) -> int:
        return 0

    monkeypatch.setattr(kind, "expire", never)
    async with Store.over(made(kind, postgresql.address, schema)) as opened:
        async with opened.watch() as watch:
            await opened.write("before", b"")
            position = (await soon(anext(watch))).position
        version = await opened.write("a", b"1", ttl=0.01)
        await asyncio.sleep(0.02)
        with pytest.raises(micro.NotFound):
            await opened.read("a")
        assert [record.key async for record in opened.list()] == ["before"]
        with pytest.raises(micro.VersionConflict):
            await opened.write("a", b"2", if_version=version)
        async with opened.watch(since=position) as watch:
            change = await soon(anext(watch))
            assert (change.kind, change.key, change.value) == (micro.ChangeKind.EXPIRED, "a", b"")
        assert await opened.write("a", b"2", if_version=0, ttl=micro.KEEP) > version
        assert (await opened.read("a")).expires is None


@BOTH
async def test_old_deletions_go_and_watches_from_before_start_over(
    kind: type[SqlStore], postgresql: Server, schema: str
) -> None:
    engine = made(kind, postgresql.address, schema)
    async with Store.over(engine) as opened, looking(postgresql.address) as own:
        async with opened.watch() as watch:
            await opened.write("a", b"1")
            position = (await soon(anext(watch))).position
            await opened.write("b", b"2")
            await opened.delete("a", fence=micro.Fence("run", 1, 5))
            await opened.write("c", b"3")
            seen: list[str] = []
            while "c" not in seen:
                change = await soon(anext(watch))
                seen.append(change.key)
            later = change.position
        async with opened.watch(since=position) as watch:
            assert (await soon(anext(watch))).kind is micro.ChangeKind.PUT
        assert await engine.forget(3600, 500) == 0
        assert await engine.forget(0, 500) == 1
        assert await own.fetchval(f"SELECT count(*) FROM {schema}.records") == 2
        async with opened.watch(since=position) as watch:
            assert (await soon(anext(watch))).kind is micro.ChangeKind.RESYNC
            assert (await soon(anext(watch))).key == "b"
        async with opened.watch(since=later) as watch:
            last = await opened.write("d", b"4")
            assert (await soon(anext(watch))).version == last
        # The fence went with the deletion.
        await opened.write("a", b"5", fence=micro.Fence("other", 0, 0))


async def test_cockroachdb_restarts_transactions_that_lost(postgresql: Server, schema: str) -> None:
    """Code 40001, which CockroachDB sends at any statement of a transaction, also at its commit.

    Every third update of the position fails, and every 500th record at the commit. A sequence counts what was rolled back too.
    """
    engine = made(CockroachStore, postgresql.address, schema, "&timeout=60")
    async with Store.over(engine) as opened, looking(postgresql.address) as own:
        await own.execute(f"""
            CREATE SEQUENCE {schema}.failures;
            CREATE SEQUENCE {schema}.updates;
            CREATE SEQUENCE {schema}.commits;
            CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF nextval(TG_ARGV[0]) % TG_ARGV[1]::int = 0 THEN PERFORM nextval('{schema}.failures');
              RAISE SQLSTATE '40001' USING MESSAGE = 'restart transaction'; END IF; RETURN NEW; END$$;
            CREATE TRIGGER fail BEFORE UPDATE ON {schema}.state
            FOR EACH ROW EXECUTE FUNCTION {schema}.fail('{schema}.updates', 3);
            CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON {schema}.records DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {schema}.fail('{schema}.commits', 500)""")
        async with opened.watch() as watch:
            versions = await asyncio.gather(*(opened.write(f"{number}", b"1", if_version=0) for number in range(100)))
            assert len(set(versions)) == 100
            seen: set[str] = set()
            while len(seen) < 100:
                seen.add((await soon(anext(watch))).key)
        for _ in range(30):
            await opened.update("counter", lambda record: b"%d" % (int(record.value) + 1 if record else 1))
        assert (await opened.read("counter")).value == b"30"
        assert await own.fetchval(f"SELECT last_value FROM {schema}.failures") > 10
