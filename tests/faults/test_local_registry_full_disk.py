"""The registry ``local:`` where nothing can be written: what is listed stays listed, and health, log and errors say why."""

import asyncio
import contextlib
import logging
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local import expiry
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.errors import ResourceExhausted
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.registrar import Registrar
from tests.helpers.disks import fill, small_disk
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

SERVICE = """
import asyncio, sys

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.registrar import Registrar

async def main(id, home):
    registry = LocalRegistry(home=home)
    await registry.open()
    registrar = Registrar(registry, Registration(Node(id, "127.0.0.1:1"), ("greeter",)), ttl=4.0)
    await registrar.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await registrar.stop()
    await registry.close()

asyncio.run(main(*sys.argv[1:]))
"""

FILLER = """
import sys, time
from pathlib import Path
from tests.helpers.disks import fill

fill(Path(sys.argv[1]))
print("ready", flush=True)
while True:  # Takes each byte that gets free.
    fill(Path(sys.argv[1]))
    time.sleep(0.001)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4) as folder:
        yield folder


@contextlib.asynccontextmanager
async def program(text: str, *arguments: str) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", text, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


def own_clock() -> Clock:
    """Registries share an engine if they share a clock; with one of its own it is as if in another process."""
    clock = boot_clock()
    return Clock(lambda: clock.now(), clock.epoch)


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncIterator[LocalRegistry]:
    registry = LocalRegistry(home=home, clock=own_clock())
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def ids(registry: LocalRegistry) -> list[str]:
    return [node.id for node in await registry.resolve("greeter")]


def lease_ends(home: Path) -> float:
    """When the first of the leases ends."""
    with contextlib.closing(sqlite3.connect(home / "default" / "registry.db", timeout=30)) as connection:
        (expires,) = connection.execute("SELECT min(expires) FROM leases").fetchone()
        return float(expires)


def registration(id: str) -> Registration:
    return Registration(Node(id, "127.0.0.1:1"), ("greeter",))


async def test_services_stay_found_on_a_disk_that_another_program_keeps_full(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt")
    home, ballast = disk / "home", disk / "ballast"
    services = ["one", "three", "two"]
    async with contextlib.AsyncExitStack() as stack:
        for id in services:
            await stack.enter_async_context(program(SERVICE, id, str(home)))
        registry = await stack.enter_async_context(opened(home))
        assert await ids(registry) == services
        seen: list[list[str]] = []

        async def watch() -> None:
            async for nodes in registry.watch("greeter"):
                seen.append([node.id for node in nodes])

        watching = asyncio.ensure_future(watch())
        async with program(FILLER, str(ballast)):
            before = lease_ends(home)
            # Two lease times later, each of them has renewed its lease again and again. On a busy machine, shorter leases run out,
            # and a node that is not listed any more cannot be listed again on a full disk.
            await eventually(lambda: lease_ends(home) > before + 8)
            assert await ids(registry) == services
            with pytest.raises(ResourceExhausted, match="no space left") as caught:
                await registry.register(registration("new"))
            assert str(home) in caught.value.message
            assert "no space left" in registry.problem
            async with opened(home) as restarted:
                assert await ids(restarted) == services
                assert "no space left" in restarted.problem
        ballast.unlink()
        await eventually(lambda: not registry.problem)
        await registry.register(registration("new"))
        await eventually(lambda: ids(registry), equals=sorted([*services, "new"]))
        watching.cancel()
        assert {tuple(each) for each in seen} <= {tuple(services), tuple(sorted([*services, "new"]))}
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([each for each in warnings if "no space left" in each]) == len(warnings) == 2  # One for each registry.


async def test_the_file_has_its_pages_before_the_disk_is_full(disk: Path) -> None:
    """What is in the log alone cannot be copied once another program has taken all space, and then no lease can be renewed."""
    home = disk / "home"
    async with opened(home) as registry:
        for number in range(3):  # Too few for SQLite to copy the log by itself.
            await registry.register(registration(f"{number}"))
        path = home / "default" / "registry.db"
        with contextlib.closing(sqlite3.connect(path)) as file:

            def missing() -> int:
                (pages,), (size,) = (file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
                return int(pages * size) - path.stat().st_size

            await eventually(lambda: not missing())


async def test_a_registration_that_is_listed_may_be_replaced_on_a_full_disk(disk: Path) -> None:
    home = disk / "home"
    async with opened(home) as registry:
        await registry.register(registration("one"))
        fill(disk / "ballast")
        with pytest.raises(ResourceExhausted):
            await registry.register(registration("two"))
        lease = await registry.register(registration("one"))
        await lease.renew()
        await lease.revoke()
        assert await ids(registry) == []


async def test_a_call_and_health_name_the_full_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_HOME", str(disk / "home"))
    async with micro.Service("web", registry="local:") as service:
        fill(disk / "ballast")
        with pytest.raises(ResourceExhausted, match="no space left"):
            await service.registry.register(registration("greeter-1"))
    # As in a process that only calls, and starts when the disk is full already.
    async with micro.Service("web", registry="local:") as service:
        lab = LabClient(service, retry=micro.RetryPolicy(attempts=1))
        with pytest.raises(micro.Unavailable, match=r"nobody serves 'lab'.*no space left") as caught:
            await lab.look(Text())
        assert str(disk) in caught.value.message
        assert "no space left" in service.health.problems["registry"]
        (disk / "ballast").unlink()
        await eventually(lambda: "registry" not in service.health.problems)


async def test_who_cannot_write_does_not_take_others_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt")
    monkeypatch.setattr("micro_rt.backends.local.sqlite_file._BUSY", 0.2)
    monkeypatch.setattr(expiry, "HEARTBEAT", 2.0)
    async with opened(tmp_path) as owner, opened(tmp_path) as client:
        registrar = Registrar(owner, registration("alive"), ttl=1.0)
        await registrar.start()
        await owner.register(registration("dead"), ttl=1.0)
        seen: list[list[str]] = []

        async def watch() -> None:
            async for nodes in client.watch("greeter"):
                seen.append([node.id for node in nodes])

        watching = asyncio.ensure_future(watch())
        await eventually(lambda: seen, equals=[["alive", "dead"]])
        blocker = sqlite3.connect(tmp_path / "default" / "registry.db", isolation_level=None)
        with contextlib.closing(blocker):
            blocker.execute("BEGIN IMMEDIATE")
            # Both leases have run out, and neither owner could have renewed its lease.
            await eventually(lambda: lease_ends(tmp_path) < boot_clock().now() - 2)
            assert await ids(client) == ["alive", "dead"]
            assert sorted(node.id for node in (await client.names())["greeter"]) == ["alive", "dead"]
            assert seen == [["alive", "dead"]]
            await eventually(lambda: "locked" in client.problem)
            blocker.execute("COMMIT")
        await eventually(lambda: ids(client), equals=["alive"])
        await eventually(lambda: not client.problem)
        assert await ids(client) == ["alive"]
        watching.cancel()
        assert all("alive" in each for each in seen)
        await registrar.stop()
    assert len([each for each in caplog.messages if "leases that run out" in each]) <= 2  # Once for each registry.


async def test_when_the_file_can_be_written_again_owners_have_time_for_a_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.backends.local.sqlite_file._BUSY", 0.2)
    monkeypatch.setattr(expiry, "HEARTBEAT", 1000.0)
    async with opened(tmp_path) as owner, opened(tmp_path) as client:
        await owner.register(registration("late"), ttl=0.5)
        blocker = sqlite3.connect(tmp_path / "default" / "registry.db", isolation_level=None)
        with contextlib.closing(blocker):
            blocker.execute("BEGIN IMMEDIATE")
            await eventually(lambda: ids_and_problem(client))
            blocker.execute("COMMIT")
        lease = await client.register(registration("other"), ttl=1000)
        assert not client.problem
        await lease.renew()
        # Writes of the client work, and it has neither hidden nor deleted what its owner has had no time to renew.
        assert await ids(client) == ["late", "other"]
        await owner.register(registration("late"), ttl=1000)
        assert await ids(client) == ["late", "other"]


async def test_a_node_that_died_goes_at_once_where_the_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "HEARTBEAT", 1000.0)
    monkeypatch.setattr(expiry, "LONG", 100.0)
    async with opened(tmp_path) as owner, opened(tmp_path) as client:
        await owner.register(registration("dead"), ttl=0.3)
        assert await ids(client) == ["dead"]
        await eventually(lambda: ids(client), equals=[])
        assert await client.names() == {}


async def test_closing_waits_for_nothing_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.backends.local.sqlite_file._BUSY", 0.1)
    async with opened(tmp_path) as owner:
        await owner.register(registration("dead"), ttl=0.2)
        blocker = sqlite3.connect(tmp_path / "default" / "registry.db", isolation_level=None)
        with contextlib.closing(blocker):
            blocker.execute("BEGIN IMMEDIATE")
            async with opened(tmp_path) as client:
                await eventually(lambda: ids_and_problem(client))
                closing = client.close()
                await soon(closing)


async def ids_and_problem(registry: LocalRegistry) -> bool:
    return len(await ids(registry)) == 1 and bool(registry.problem)
