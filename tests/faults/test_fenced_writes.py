"""A holder of a lock that stands still for longer than its lock lasts, and writes when it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.store import FileStore
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.kit.clock import monotonic
from micro_rt.store.base import StoreEngine
from micro_rt.store.store import Store
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
from tests.helpers.postgresql import looking
from tests.helpers.waiting import eventually, soon
from tests.servers.server import Server

TTL = 1.0

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="these tests see in /proc whether a process is stopped"
)


class Holder:
    """Another process that holds the lock."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> list[str]:
        assert self.process.stdout is not None
        return (await soon(self.process.stdout.readline())).decode().split()

    async def write(self) -> list[str]:
        """Has it write; returns what became of the write with its fence, and of that with its lock."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"write\n")
        return await self.line()

    @contextlib.asynccontextmanager
    async def suspended(self) -> AsyncGenerator[None]:
        """Has it stand still meanwhile, and for longer than its lock lasts."""
        self.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: self._state() == "T")
        until = monotonic() + TTL
        yield
        await eventually(lambda: monotonic() > until)
        self.process.send_signal(signal.SIGCONT)

    def _state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.asynccontextmanager
async def holder(engine: StoreEngine, address: str, key: str) -> AsyncGenerator[Holder]:
    factory = f"{type(engine).__module__}:{type(engine).__name__}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.fenced_worker", factory, address, key, str(TTL)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Holder(process)
    finally:
        process.kill()
        await process.communicate()


async def check(engine: StoreEngine, address: str) -> None:
    key = f"{uuid.uuid4().hex}/run"
    async with Store.over(engine) as store, holder(engine, address, key) as first:
        epoch, token = map(int, await first.line())
        newer = micro.Fence("run", epoch, token + 1)
        async with first.suspended():
            assert (await store.read(key)).value == b"first"
            version = await store.write(key, b"newer", fence=newer)
        assert await first.write() == ["Stale", "LockLost"]
        # What others do without a fence changes nothing about that.
        await store.write(key, b"of somebody else", if_version=version)
        assert await first.write() == ["Stale", "LockLost"]
        await store.delete(key, fence=newer)
        assert await first.write() == ["Stale", "LockLost"]
        with pytest.raises(micro.NotFound):
            await store.read(key)


async def test_a_holder_that_was_suspended_writes_nothing_to_a_file(tmp_path: Path) -> None:
    """etcd 11457 and 10811: a lock alone does not keep it from that."""
    address = f"file:{tmp_path}/data/store.db"
    await check(FileStore(address), address)


@pytest.mark.parametrize("kind", [PostgreSQLStore, CockroachStore])
async def test_a_holder_that_was_suspended_writes_nothing_to_a_table(
    kind: type[PostgreSQLStore | CockroachStore], postgresql: Server
) -> None:
    schema = f"fenced_{uuid.uuid4().hex[:12]}"
    scheme = "postgresql" if kind is PostgreSQLStore else "cockroachdb"
    address = f"{scheme}://postgres@{postgresql.address}/postgres?schema={schema}"
    try:
        await check(kind(address), address)
    finally:
        async with looking(postgresql.address) as own:
            await own.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


async def test_before_a_newer_holder_has_written_an_old_token_passes(tmp_path: Path) -> None:
    """What docs/store.md says: the record cannot know of a holder that has not written to it."""
    address = f"file:{tmp_path}/data/store.db"
    async with Store.over(FileStore(address)) as store, holder(FileStore(address), address, "run") as first:
        epoch, token = map(int, await first.line())
        async with first.suspended():
            await store.write("another", b"newer", fence=micro.Fence("run", epoch, token + 1))
        assert await first.write() == ["written", "LockLost"]
        assert (await store.read("run")).value == b"first, later"
        await store.write("run", b"newer", fence=micro.Fence("run", epoch, token + 1))
        assert await first.write() == ["Stale", "LockLost"]


async def test_a_lock_in_etcd_fences_a_record_in_postgresql(etcd: Server, postgresql: Server) -> None:
    """A record knows nothing of a lock but its fence, so the lock may be one of any engine."""
    name, schema = f"run {uuid.uuid4().hex}", f"fenced_{uuid.uuid4().hex[:12]}"
    engine = PostgreSQLStore(f"postgresql://postgres@{postgresql.address}/postgres?schema={schema}")
    async with Sync.over(sync_engines.etcd(etcd.url)) as sync, Store.over(engine) as store:
        async with sync.lock(name, timeout=60) as first:
            old = first.fence
            await store.write("a", b"first", fence=first)
        async with sync.lock(name, timeout=60) as second:
            await store.write("a", b"still passes", fence=old)
            await store.write("a", b"second", fence=second)
            with pytest.raises(micro.Stale) as stale:
                await store.write("a", b"too late", fence=old)
            assert (stale.value.lock, stale.value.token) == (name, second.token)
            with pytest.raises(micro.LockLost):
                await store.write("a", b"too late", fence=first)
        assert (await store.read("a")).value == b"second"
        async with sync.leader(name, timeout=60) as term:
            with pytest.raises(micro.Stale):  # Leaders count their terms, and locks of that name their holders.
                await store.write("a", b"another lock", fence=term)
