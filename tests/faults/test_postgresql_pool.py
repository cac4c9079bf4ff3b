"""What the connections to PostgreSQL go through: a server that is frozen, killed or full, calls that are cancelled, wrong addresses.

Each of these has hung or leaked connections in asyncpg's own pool: see micro_rt/backends/postgresql/pool.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import uuid
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

import micro_rt as micro
from micro_rt.backends.postgresql import pool as pools
from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.backends.postgresql.pool import Connection, Pool, transaction
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.postgresql import end_sessions, looking
from tests.helpers.raw_server import raw_server
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.servers.certificates import Certificates
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import Ports
from tests.servers.server import Server

Make = Callable[..., PostgreSQL]
SECRET = "c4nary"


def pool_of(address: str, options: str = "", *, user: str = "postgres", database: str = "postgres") -> Pool:
    return Pool(parse_postgresql_address(f"postgresql://{user}@{address}/{database}?{options}", environ={}))


@contextlib.asynccontextmanager
async def opened(address: str, options: str = "") -> AsyncIterator[Pool]:
    pool = pool_of(address, options)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def sessions(connection: Connection, application: str = "micro-rt") -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
    return int(await connection.fetchval(sql, application) or 0)


async def pid_of(pool: Pool) -> int:
    return int((await pool.rows("SELECT pg_backend_pid()"))[0][0])


@contextlib.asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def a_table(pool: Pool) -> str:
    name = f"t{uuid.uuid4().hex}"
    await pool.rows(f"CREATE TABLE {name} (k int PRIMARY KEY, v int)")
    return name


async def test_a_cancelled_call_ends_at_once_though_the_server_is_frozen(postgresql: Server) -> None:
    """https://github.com/MagicStack/asyncpg/issues/431: release waits for an answer that never comes."""
    async with opened(postgresql.address, "pool=1&timeout=600") as pool, frozen(await pid_of(pool)):
        call = asyncio.create_task(pool.rows("SELECT 1"))
        await asyncio.sleep(0)
        while not call.done() and pool.idle:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(call)
        # The pool has one connection, and it is another one now.
        assert (await soon(pool.rows("SELECT 2")))[0][0] == 2
        assert pool.size == 1


async def test_a_call_ends_in_time_though_the_server_is_frozen(postgresql: Server) -> None:
    async with opened(postgresql.address, "pool=1&timeout=600") as pool, frozen(await pid_of(pool)):
        with pytest.raises(micro.DeadlineExceeded, match="whether the statement was done is unknown") as caught:
            await soon(pool.run(lambda connection: connection.fetch("SELECT 1"), timeout=0.3))
        assert caught.value.may_have_run
        assert caught.value.unanswered
        assert (await soon(pool.rows("SELECT 2")))[0][0] == 2


async def test_a_timeout_of_the_caller_stays_one(postgresql: Server) -> None:
    async with opened(postgresql.address, "pool=1&timeout=600") as pool, frozen(await pid_of(pool)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await soon(pool.rows("SELECT 1"))
        assert (await soon(pool.rows("SELECT 2")))[0][0] == 2


async def test_it_closes_though_the_server_is_frozen(make_postgresql: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "CLOSE", 0.2)
    server = make_postgresql()
    await server.start()
    pool = pool_of(server.address, "pool=4&timeout=600")
    await pool.open()
    await asyncio.gather(*(pool.rows("SELECT pg_sleep(0.1)") for _ in range(4)))
    assert (pool.size, pool.idle) == (4, 4)
    await server.pause()
    running = [asyncio.create_task(pool.rows("SELECT 1")) for _ in range(2)]
    await eventually(lambda: pool.idle == 2)
    await soon(pool.close())
    for call in running:
        with pytest.raises(micro.Error):
            await soon(call)
    assert (pool.size, pool.idle) == (0, 0)
    with pytest.raises(micro.FailedPrecondition, match="is not open"):
        await pool.rows("SELECT 1")
    await server.resume()


async def test_calls_that_are_cancelled_at_random_leave_no_connection(make_postgresql: Make) -> None:
    """https://github.com/MagicStack/asyncpg/issues/467 and 547: an acquire that is cancelled leaks its connection."""
    server = make_postgresql()
    await server.start()
    async with looking(server.address) as own:
        pool = pool_of(server.address, "pool=5&timeout=600")
        await pool.open()

        async def call(number: int) -> str:
            task = asyncio.create_task(pool.rows("SELECT $1::int", number))
            if random.random() < 0.5:
                asyncio.get_running_loop().call_later(random.random() * 0.02, task.cancel)
            try:
                rows = await task
            except asyncio.CancelledError:
                return "cancelled"
            assert rows[0][0] == number
            return "done"

        outcomes: list[str] = []
        for start in range(0, 1000, 50):
            outcomes += await soon(asyncio.gather(*(call(number) for number in range(start, start + 50))))
        assert {"cancelled", "done"} == set(outcomes)
        assert pool.size <= 5
        assert pool.size == pool.idle
        # Each of them works.
        assert len(await asyncio.gather(*(pool.rows("SELECT pg_sleep(0.05)") for _ in range(5)))) == 5
        await soon(pool.close())
        async with asyncio.timeout(PATIENCE):
            while await sessions(own):
                await asyncio.sleep(0.01)


async def test_a_pool_that_is_full_says_so_in_time(postgresql: Server) -> None:
    """https://github.com/hushh-labs/hushh-research/issues/5871: calls waited for a connection for an hour."""
    async with opened(postgresql.address, "pool=2&timeout=600") as pool:
        holds = asyncio.Event()

        async def hold(connection: Connection) -> None:
            await holds.wait()

        holding = [asyncio.create_task(pool.run(hold)) for _ in range(2)]
        await eventually(lambda: pool.size == 2 and not pool.idle)
        with pytest.raises(
            micro.ResourceExhausted, match=r"all 2 are in use; make pool= of the address larger"
        ) as caught:
            await soon(pool.run(lambda connection: connection.fetch("SELECT 1"), timeout=0.2))
        assert not caught.value.may_have_run
        waiting = [asyncio.create_task(pool.rows("SELECT $1::int", number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        holds.set()
        done = await soon(asyncio.gather(*waiting, return_exceptions=True))
        assert isinstance(done[0], asyncio.CancelledError)
        assert [rows[0][0] for rows in done[1:] if isinstance(rows, list)] == [1, 2, 3, 4]
        await asyncio.gather(*holding)
        assert (pool.size, pool.idle) == (2, 2)


async def test_who_is_cancelled_when_a_connection_is_handed_over_passes_it_on(postgresql: Server) -> None:
    async with opened(postgresql.address, "pool=1&timeout=600") as pool:
        free, waiting = asyncio.Event(), list[asyncio.Task[list[asyncpg.Record]]]()

        async def hold(connection: Connection) -> None:
            await free.wait()

        async def hold_and_cancel() -> None:
            await pool.run(hold)
            # In this step the connection was handed to the first, who has not run yet.
            waiting[0].cancel()

        holding = asyncio.create_task(hold_and_cancel())
        await eventually(lambda: not pool.idle)
        waiting.extend(asyncio.create_task(pool.rows("SELECT $1::int", number)) for number in range(2))
        await asyncio.sleep(0)
        free.set()
        await holding
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert (await soon(waiting[1]))[0][0] == 1
        assert (pool.size, pool.idle) == (1, 1)


async def test_a_server_that_is_killed_and_comes_back(make_postgresql: Make) -> None:
    server = make_postgresql()
    await server.start()
    async with opened(server.address, "pool=3&timeout=20") as pool:
        table = await a_table(pool)
        calls = [asyncio.create_task(pool.rows(f"INSERT INTO {table} SELECT {n} FROM pg_sleep(60)")) for n in range(3)]
        async with looking(server.address) as own:
            async with asyncio.timeout(PATIENCE):
                while await own.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%sleep%'") != 3:
                    await asyncio.sleep(0.01)
        await server.kill()
        for call in calls:
            with pytest.raises(micro.Unavailable, match="whether the statement was done is unknown") as caught:
                await soon(call)
            assert caught.value.may_have_run
            assert caught.value.unanswered
            assert server.address in caught.value.message
        with pytest.raises(micro.Unavailable, match=r"cannot be reached: .*is it running there") as refused:
            await pool.rows("SELECT 1")
        assert not refused.value.may_have_run
        assert pool.problem
        await server.start()
        assert (await soon(pool.rows("SELECT 1")))[0][0] == 1
        assert not pool.problem


async def test_reading_outlives_connections_that_were_lost(make_postgresql: Make) -> None:
    server = make_postgresql()
    await server.start()
    async with opened(server.address, "pool=3&timeout=600") as pool:
        await asyncio.gather(*(pool.rows("SELECT pg_sleep(0.05)") for _ in range(3)))
        for _ in range(5):
            reading = [asyncio.create_task(pool.rows("SELECT pg_sleep(0.05)", repeat=True)) for _ in range(3)]
            await asyncio.sleep(0.01)
            await end_sessions(server)
            await soon(asyncio.gather(*reading))


async def test_idle_connections_that_the_server_has_ended_are_not_used(make_postgresql: Make) -> None:
    """When asyncpg has read the farewell of the server and not the end yet, it fails with an internal error."""
    server = make_postgresql()
    await server.start()
    async with opened(server.address, "pool=3") as pool:
        table = await a_table(pool)
        for number in range(40):
            await asyncio.gather(*(pool.rows("SELECT pg_sleep(0.005)", repeat=True) for _ in range(3)))
            assert pool.idle
            await end_sessions(server)
            for _ in range(number % 4):
                await asyncio.sleep(0)
            # No statement was on its way, so none may be lost, except one that the farewell crossed.
            try:
                await pool.rows(f"INSERT INTO {table} VALUES ($1)", number)
            except micro.Unavailable as error:
                assert error.may_have_run


async def test_inserts_that_are_cancelled_leave_the_pool_healthy(postgresql: Server) -> None:
    """Fact 4: of the inserts that asyncpg reported as cancelled, every one was committed. So ours says that it is unknown."""
    async with opened(postgresql.address, "pool=5&timeout=600") as pool:
        table = await a_table(pool)
        loop = asyncio.get_running_loop()

        async def insert(number: int) -> bool:
            task = asyncio.create_task(pool.rows(f"INSERT INTO {table} VALUES ($1)", number))
            if number % 2:
                loop.call_later(random.random() * 0.01, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                return False
            return True

        done: list[bool] = []
        for start in range(0, 2000, 20):
            done += await soon(asyncio.gather(*(insert(number) for number in range(start, start + 20))))
        assert all(done[::2]), "one that nobody cancelled"
        assert not all(done), "none was cancelled in time"
        assert pool.size == pool.idle <= 5
        stored = {row[0] for row in await pool.rows(f"SELECT k FROM {table}")}
        assert {number for number, was in enumerate(done) if was} <= stored


async def test_a_statement_that_lost_against_another_is_done_again(postgresql: Server) -> None:
    async with opened(postgresql.address, "pool=8&timeout=600") as pool:
        table = await a_table(pool)
        await pool.rows(f"INSERT INTO {table} VALUES (1, 0)")
        failures = 0

        async def add(connection: Connection) -> None:
            nonlocal failures
            try:
                await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                value = await connection.fetchval(f"SELECT v FROM {table} WHERE k = 1")
                await connection.execute(f"UPDATE {table} SET v = $1 WHERE k = 1", value + 1)
            except asyncpg.SerializationError:
                failures += 1
                raise

        async def several() -> None:
            for _ in range(10):
                await pool.run(lambda connection: transaction(connection, add))

        await soon(asyncio.gather(*(several() for _ in range(8))))
        assert (await pool.rows(f"SELECT v FROM {table}"))[0][0] == 80
        assert failures
        assert pool.size == pool.idle


async def test_a_statement_that_always_loses_ends_in_time(postgresql: Server) -> None:
    async with opened(postgresql.address, "timeout=600") as pool:
        tries = 0

        async def fail(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            raise asyncpg.SerializationError("restart transaction")

        with pytest.raises(micro.Aborted, match="restart transaction") as caught:
            await soon(pool.run(fail, timeout=0.5))
        assert not caught.value.may_have_run
        assert tries > 1


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("SELECT nosuch", micro.FailedPrecondition, "a column is missing"),
        ("SELECT 1 FROM nosuch.t", micro.FailedPrecondition, "open it again"),
        ("SELECT pg_read_file('/etc/passwd')", micro.PermissionDenied, "grant the user the right"),
        ("SELECT 1/0", micro.Internal, "division by zero"),
        ("SELEC", micro.Internal, "syntax error"),
        ("DO $$BEGIN RAISE SQLSTATE '53100'; END$$", micro.ResourceExhausted, "free space"),
        ("DO $$BEGIN RAISE SQLSTATE '53200'; END$$", micro.ResourceExhausted, "memory"),
        ("DO $$BEGIN RAISE SQLSTATE 'XX001'; END$$", micro.DataLoss, "damaged"),
        ("DO $$BEGIN RAISE SQLSTATE '57014'; END$$", micro.DeadlineExceeded, "took too long"),
        ("DO $$BEGIN RAISE SQLSTATE '25006'; END$$", micro.FailedPrecondition, "primary"),
    ],
)
async def test_what_the_server_refuses(postgresql: Server, sql: str, error: type[micro.Error], says: str) -> None:
    async with opened(postgresql.address) as pool:
        with contextlib.suppress(micro.Error):
            await pool.rows("CREATE ROLE nobody_special")

        async def as_somebody(connection: Connection) -> None:
            await connection.execute("SET LOCAL ROLE nobody_special")
            await connection.fetch(sql)

        with pytest.raises(error, match=says) as caught:
            await pool.run(lambda connection: transaction(connection, as_somebody))
        assert caught.value.message.startswith(f"store: PostgreSQL at {postgresql.address}/postgres")
        assert not caught.value.may_have_run
        assert (pool.size, pool.idle) == (1, 1), "the connection is still good"


@pytest.mark.parametrize("code", ["40003", "08006"])
async def test_what_the_server_does_not_know(postgresql: Server, code: str) -> None:
    async with opened(postgresql.address) as pool:
        with pytest.raises(micro.Unavailable, match="unknown") as caught:
            await pool.rows(f"DO $$BEGIN RAISE SQLSTATE '{code}'; END$$")
        assert caught.value.may_have_run
        assert caught.value.unanswered


async def test_what_a_row_holds_is_not_in_an_error(postgresql: Server) -> None:
    async with opened(postgresql.address) as pool:
        table = await a_table(pool)
        await pool.rows(f"INSERT INTO {table} VALUES (424242)")
        with pytest.raises(micro.Internal, match="duplicate key") as caught:
            await pool.rows(f"INSERT INTO {table} VALUES ($1)", 424242)
        assert "424242" not in str(caught.value)
        assert caught.value.__suppress_context__


async def test_arguments_that_are_none_of_the_type(postgresql: Server) -> None:
    async with opened(postgresql.address) as pool:
        with pytest.raises(micro.Internal, match="invalid input for query argument"):
            await pool.rows("SELECT $1::int", "text")
        assert (await pool.rows("SELECT 1"))[0][0] == 1


async def test_a_wrong_password(make_postgresql: Make) -> None:
    server = make_postgresql()
    await server.start()
    (server.data / "pg_hba.conf").write_text(
        "host all postgres all trust\nhost all somebody all scram-sha-256\nhostssl all tls all trust\n"
    )
    async with opened(server.address) as pool:
        await pool.rows(f"CREATE ROLE somebody LOGIN PASSWORD '{SECRET}'")
        await pool.rows("SELECT pg_reload_conf()")
        for password in ("", f"{SECRET}no"):
            wrong = pool_of(server.address, user=f"somebody:{password}" if password else "somebody")
            with pytest.raises(micro.Unauthenticated, match="does not accept user 'somebody'") as caught:
                await wrong.open()
            assert SECRET not in str(caught.value)
            assert not caught.value.may_have_run
        right = pool_of(server.address, user=f"somebody:{SECRET}")
        await right.open()
        await right.close()
        with pytest.raises(micro.Unauthenticated, match="set tls=true"):
            await pool_of(server.address, user="tls").open()
        with pytest.raises(micro.FailedPrecondition, match="does the server speak TLS"):
            await pool_of(server.address, "tls=true", user="tls").open()


async def test_tls(make_postgresql: Make) -> None:
    server = make_postgresql(settings={"ssl": "off"})
    certificates = Certificates(server.folder / "certificates")
    (server.folder / "certificates").chmod(0o755)
    for file in (certificates.key, certificates.certificate):
        if server.user:
            os.chown(file, server.folder.stat().st_uid, -1)
        file.chmod(0o600)
    await server.start()
    async with opened(server.address) as pool:
        for name, value in (
            ("ssl_cert_file", certificates.certificate),
            ("ssl_key_file", certificates.key),
        ):
            await pool.rows(f"ALTER SYSTEM SET {name} = '{value}'")
    await server.stop()
    server._settings["ssl"] = "on"  # pyright: ignore[reportPrivateUsage]
    await server.start()
    for options in (f"tls=true&ca={certificates.ca}", f"sslmode=verify-full&ca={certificates.ca}", "sslmode=require"):
        async with opened(server.address, options) as pool:
            assert (await pool.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))[0][0]
    with pytest.raises(micro.FailedPrecondition, match=r"TLS failed.*check ca="):
        await pool_of(server.address, "tls=true").open()


async def test_a_database_that_does_not_exist(postgresql: Server) -> None:
    with pytest.raises(micro.FailedPrecondition, match="there is no database 'nosuch': create it"):
        await pool_of(postgresql.address, database="nosuch").open()


async def test_a_server_that_is_not_there(free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    with pytest.raises(micro.Unavailable, match=f"{address}/postgres cannot be reached: .*is it running") as caught:
        await pool_of(address).open()
    assert not caught.value.may_have_run
    with pytest.raises(micro.Unavailable, match="cannot be reached"):
        await pool_of("nosuch.invalid").open()


async def test_a_server_that_accepts_and_is_silent(postgresql: Server) -> None:
    async with FaultProxy(postgresql.address) as proxy:
        await proxy.black_hole()
        pool = pool_of(proxy.address, "timeout=0.3")
        with pytest.raises(micro.Unavailable, match=r"did not accept a connection within 0.27 s") as caught:
            await soon(pool.open())
        assert not caught.value.may_have_run
        assert pool.size == 0
        # The next server is tried in the same time.
        async with opened(f"{proxy.address},{postgresql.address}", "timeout=5") as several:
            assert (await several.rows("SELECT 1"))[0][0] == 1


ANSWERS = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "noise": bytes(range(256)),
    "an error without an end": b"E\x00\x00\x00\xffSFATAL",
    "a message of two gigabytes": b"R\x7f\xff\xff\xff" + bytes(1000),
    "an unknown way to prove who one is": b"R\x00\x00\x00\x08\x00\x00\x00\x63",
    "an error with control characters": b"E\x00\x00\x00\x20SFATAL\x00C28000\x00Mno\x1b[31m\nno\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("options", ["", "&sslmode=require"])
async def test_a_server_that_answers_something_else(answer: str, options: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(ANSWERS[answer])
        await writer.drain()
        await reader.read(65536)

    async with raw_server(serve) as address:
        pool = pool_of(address, f"timeout=1{options}", user=f"me:{SECRET}")
        with pytest.raises(micro.Error, match=address) as caught:
            await soon(pool.open())
        assert SECRET not in str(caught.value)
        assert caught.value.message.isprintable()
        assert not caught.value.may_have_run
        assert pool.size == 0
        await pool.close()


async def test_the_network_is_cut(postgresql: Server) -> None:
    async with FaultProxy(postgresql.address) as proxy, opened(proxy.address, "pool=2&timeout=20") as pool:
        call = asyncio.create_task(pool.rows("SELECT pg_sleep(60)"))
        await eventually(lambda: not pool.idle)
        await asyncio.sleep(0.05)
        await proxy.cut()
        with pytest.raises(micro.Unavailable, match="unknown"):
            await soon(call)
        with pytest.raises(micro.Unavailable, match="is it running there"):
            await pool.rows("SELECT 1")
        await proxy.restore()
        assert (await pool.rows("SELECT 1"))[0][0] == 1


async def test_a_server_without_a_free_connection(make_postgresql: Make) -> None:
    server = make_postgresql(settings={"max_connections": "5", "superuser_reserved_connections": "0"})
    await server.start()
    async with opened(server.address, "pool=5") as pool:
        await asyncio.gather(*(pool.rows("SELECT pg_sleep(0.1)") for _ in range(5)))
        with pytest.raises(micro.ResourceExhausted, match="make pool= smaller"):
            await pool_of(server.address).open()


async def test_a_server_that_accepts_no_writes(make_postgresql: Make) -> None:
    server = make_postgresql(settings={"default_transaction_read_only": "on"})
    await server.start()
    async with opened(server.address) as pool:
        with pytest.raises(micro.FailedPrecondition, match="accepts no writes"):
            await a_table(pool)
    with pytest.raises(micro.Error, match=re.escape(server.address)):
        await pool_of(f"{server.address},{server.address}", "timeout=2").open()


async def test_pgbouncer_in_transaction_mode(make_pgbouncer: Callable[..., PgBouncer], postgresql: Server) -> None:
    """asyncpg#1058: prepared statements meet another connection of the server there."""
    bouncer = make_pgbouncer(postgresql.address, size=2)
    await bouncer.start()
    async with opened(bouncer.address, "pgbouncer=transaction&pool=8") as pool:

        async def several(number: int) -> None:
            for turn in range(25):
                assert (await pool.rows("SELECT $1::int + $2::int", number, turn))[0][0] == number + turn
                pairs = await pool.many("SELECT $1::int + 1", [(1,), (2,)])
                assert [row[0] for row in pairs] == [2, 3]

        await soon(asyncio.gather(*(several(number) for number in range(8))))
    with pytest.raises(micro.FailedPrecondition, match="add pgbouncer=transaction to the address"):
        await pool_of(bouncer.address).open()
    with pytest.raises(micro.FailedPrecondition, match="there is no database 'nosuch'"):
        await pool_of(bouncer.address, "pgbouncer=transaction", database="nosuch").open()
    with pytest.raises(micro.Unauthenticated, match="does not accept user 'stranger'"):
        await pool_of(bouncer.address, "pgbouncer=transaction", user="stranger").open()
    async with opened(bouncer.address, "pgbouncer=session&pool=2") as pool:

        async def meet(first: Connection, second: Connection) -> None:
            await first.fetch("SELECT $1::int", 1)
            await second.execute("BEGIN")  # It gets the connection that the statement was prepared on.
            await first.fetch("SELECT $1::int", 2)

        with pytest.raises(micro.FailedPrecondition, match="add pgbouncer=transaction to the address"):
            await pool.run(lambda first: pool.run(lambda second: meet(first, second)))


@pytest.fixture
def free_port() -> int:
    ports = Ports()
    port = ports.take()
    ports.close()
    return port
