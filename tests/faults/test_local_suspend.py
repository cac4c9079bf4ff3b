"""Leases of ``local:`` when the machine is suspended, or every process on it is stopped: no service disappears."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.broker.base import TopicOptions
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text

pytestmark = pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="needs a boot clock")

PROCESS = """
import asyncio, sys

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.registrar import Registrar

async def main(what, home, ttl):
    registry = LocalRegistry(home=home)
    await registry.open()
    if what == "watch":
        async def answer():
            while await asyncio.to_thread(sys.stdin.readline):
                print("now", *(node.id for node in await registry.resolve("greeter")), flush=True)

        task = asyncio.create_task(answer())
        async for nodes in registry.watch("greeter"):
            print(*(node.id for node in nodes), flush=True)
    registrar = Registrar(registry, Registration(Node(what, "127.0.0.1:1"), ("greeter",)), ttl=float(ttl))
    await registrar.start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Lab(LabBase):
    async def look(self, request: Text, context: micro.Context) -> Text:
        return request


@pytest.fixture
def suspend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Has the boot clock of this process run ahead of the monotonic one by seconds more, as it has after a suspend."""
    right = time.clock_gettime
    slept = 0.0

    def ahead(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    def clock_gettime(clock: int) -> float:
        return right(clock) + (slept if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    return ahead


def registry_of(home: Path) -> LocalRegistry:
    """Returns a registry with an engine of its own, as if it were in another process."""
    clock = boot_clock()
    return LocalRegistry(home=home, clock=Clock(lambda: clock.now(), clock.epoch))


def leases(home: Path) -> dict[str, float]:
    """Returns for how many seconds each lease in the file is valid."""
    connection = sqlite3.connect(home / "default" / "registry.db")
    try:
        now = boot_clock().now()
        return {id: expires - now for id, expires in connection.execute("SELECT id, expires FROM leases")}
    finally:
        connection.close()


def valid(home: Path) -> int:
    return sum(left > 0 for left in leases(home).values())


@pytest.mark.parametrize("seconds", [2000.0, 86400.0])
async def test_after_a_suspend_every_call_finds_its_service(
    tmp_path: Path, suspend: Callable[[float], None], seconds: float
) -> None:
    server = micro.Service("lab", registry=registry_of(tmp_path), ttl=1500.0)  # A heartbeat in more than 450 s.
    server.handle(Lab())
    watching = registry_of(tmp_path)
    await watching.open()
    seen: list[int] = []

    async def watch() -> None:
        async for nodes in watching.watch("lab"):
            seen.append(len(nodes))

    async with server, micro.Service("client", registry=registry_of(tmp_path)) as client:
        task = asyncio.create_task(watch())
        lab = LabClient(client)
        assert (await lab.look(Text(value="before"))).value == "before"
        await eventually(lambda: seen, equals=[1])
        for _ in range(2):
            suspend(seconds)
            assert valid(tmp_path) == 0
            assert (await lab.look(Text(value="after"))).value == "after"
            assert len(await watching.resolve("lab")) == 1
            async with asyncio.timeout(PATIENCE):
                while not valid(tmp_path):
                    assert (await lab.look(Text(value="while"))).value == "while"
            assert (await lab.look(Text(value="renewed"))).value == "renewed"
        task.cancel()
    assert 0 not in seen
    await watching.close()


async def test_after_a_suspend_nobody_deletes_the_leases_of_others_and_dead_nodes_go(
    tmp_path: Path, suspend: Callable[[float], None]
) -> None:
    watching, writing, owning = (registry_of(tmp_path) for _ in range(3))
    for registry in (watching, writing, owning):
        await registry.open()
    lease = await owning.register(Registration(Node("living", "127.0.0.1:1"), ("greeter",)), ttl=1000.0)
    await owning.register(Registration(Node("dead", "127.0.0.1:2"), ("greeter",)), ttl=1000.0)
    watch = watching.watch("greeter")
    assert len(await soon(anext(watch))) == 2
    suspend(3600.0)
    await writing.register(Registration(Node("new", "127.0.0.1:3"), ("other",)), ttl=1000.0)
    assert [node.id for node in await watching.resolve("greeter")] == ["dead", "living"]
    await lease.renew()
    # The watch does not get a state between: the one without the dead node is the next.
    assert [node.id for node in await soon(anext(watch))] == ["living"]
    await eventually(lambda: sorted(leases(tmp_path)), equals=["living", "new"])
    for registry in (watching, writing, owning):
        await registry.close()


async def test_a_process_that_watches_nothing_deletes_no_lease_that_has_just_run_out(tmp_path: Path) -> None:
    owning, writing = registry_of(tmp_path), registry_of(tmp_path)
    await owning.open()
    await writing.open()
    await owning.register(Registration(Node("stopped", "127.0.0.1:1"), ("greeter",)), ttl=0.3)
    await eventually(lambda: valid(tmp_path), equals=0)
    for number in range(5):  # Each is a write, behind what the one before has started.
        await writing.register(Registration(Node(f"{number}", "127.0.0.1:2"), ("other",)), ttl=1000.0)
    assert "stopped" in leases(tmp_path)
    assert await writing.resolve("greeter") == ()
    await eventually(lambda: sorted(leases(tmp_path)), equals=["0", "1", "2", "3", "4"])
    await owning.close()
    await writing.close()


async def test_after_a_pause_the_first_process_that_runs_takes_no_member_for_dead(tmp_path: Path) -> None:
    now = 1000.0
    broker = LocalBroker("local:?session=2", home=tmp_path, clock=Clock(lambda: now, "boot"))
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=2)})
    subscription = broker.subscribe(["t"], "g", "earliest", Recorder())
    await eventually(lambda: subscription.fetch(1, 0.05), equals={})
    file = sqlite3.connect(tmp_path / "default" / "broker.db", isolation_level=None)
    with contextlib.closing(file):
        await eventually(lambda: file.execute("SELECT count(*) FROM members").fetchone(), equals=(1,))

        def renewed() -> bool:
            found = file.execute("SELECT count(*) FROM members WHERE id <> 7 AND expires > ?", (now,)).fetchone()
            return bool(found == (1,))

        # A member of a process that does not run again for now.
        file.execute("INSERT INTO members SELECT 7, grp, epoch, expires FROM members")
        for _ in range(12):
            file.execute("UPDATE members SET expires = ? WHERE id = 7", (now + 1.0,))
            now += 5000.0
            await eventually(renewed)
            await subscription.fetch(1, 0.25)  # Meanwhile the broker removes members that it takes for dead.
            assert file.execute("SELECT count(*) FROM members WHERE id = 7").fetchone() == (1,)
        now += 0.9  # Its time is not over, and after that it is.
        await subscription.fetch(1, 0.5)
        assert file.execute("SELECT count(*) FROM members WHERE id = 7").fetchone() == (1,)
        now += 0.2
        await eventually(lambda: file.execute("SELECT count(*) FROM members WHERE id = 7").fetchone(), equals=(0,))
    await subscription.close()
    await broker.close()


@contextlib.asynccontextmanager
async def process(what: str, home: Path, ttl: float = 3.0) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROCESS, what, str(home), str(ttl)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def line(child: Process) -> str:
    assert child.stdout is not None
    return (await soon(child.stdout.readline())).decode().strip()


async def test_when_all_processes_were_stopped_no_service_disappears(tmp_path: Path) -> None:
    async with process("one", tmp_path) as one, process("two", tmp_path) as two:
        assert [await line(one), await line(two)] == ["ready", "ready"]
        async with process("watch", tmp_path) as watcher:
            assert watcher.stdin is not None
            assert await line(watcher) == "one two"
            for each in (one, two, watcher):
                each.send_signal(signal.SIGSTOP)
            await eventually(lambda: valid(tmp_path), equals=0)
            watcher.send_signal(signal.SIGCONT)  # It runs first, and finds only leases that nobody could renew.
            watcher.stdin.write(b"\n")
            while not (seen := await line(watcher)).startswith("now"):
                assert seen == "one two"
            assert seen == "now one two"
            for each in (one, two):
                each.send_signal(signal.SIGCONT)
            await eventually(lambda: valid(tmp_path), equals=2)
            async with process("zero", tmp_path):
                while (seen := await line(watcher)) != "one two zero":
                    assert seen == "one two"  # Again, if an owner has registered anew.
