"""What the file of ``local:`` goes through: processes killed in the middle of writes, locks that are held, a folder deleted."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.kit.clock import Clock
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.registrar import Registrar
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually

PROCESS = """
import asyncio, itertools, sys

from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.backends.local.registry import LocalRegistry

async def main(kind, id, home):
    registry = LocalRegistry(home=home)
    await registry.open()
    registration = Registration(Node(id, "127.0.0.1:1"), ("greeter", id))
    if kind == "survivor":
        lease = await registry.register(registration, ttl=20.0)
        print("ready", flush=True)
        stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        while not stop.done():
            await asyncio.sleep(0.1)
            await lease.renew()  # LeaseLost ends this process, and fails the test.
        await lease.revoke()
        await registry.close()
        return

    async def write_without_end(number):
        for n in itertools.count():
            lease = await registry.register(Registration(Node(f"{id}-{number}", f"host:{n}"), ("greeter", id)), ttl=1.0)
            await lease.renew()
            if n % 3 == 0:
                await lease.revoke()

    print("ready", flush=True)
    await asyncio.gather(*(write_without_end(number) for number in range(8)))

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.asynccontextmanager
async def process(kind: str, id: str, home: Path) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, kind, id, str(home), stdin=PIPE, stdout=PIPE, stderr=None
    )
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncIterator[LocalRegistry]:
    registry = LocalRegistry(home=home)
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


def ids(nodes: tuple[Node, ...]) -> list[str]:
    return [node.id for node in nodes]


async def until_listed(registry: LocalRegistry, name: str, expected: list[str]) -> None:
    async def listed() -> list[str]:
        return ids(await registry.resolve(name))

    await eventually(listed, equals=expected)


def check_integrity(home: Path) -> None:
    connection = sqlite3.connect(home / "default" / "registry.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


@pytest.mark.verify("registry")
async def test_processes_are_killed_in_the_middle_of_writes(tmp_path: Path, size: Size) -> None:
    chance = random.Random(3)
    async with contextlib.AsyncExitStack() as stack:
        registry = await stack.enter_async_context(opened(tmp_path))
        survivors = await asyncio.gather(
            *(stack.enter_async_context(process("survivor", f"survivor-{n}", tmp_path)) for n in range(2))
        )
        async with asyncio.timeout(size(600, ci=60)):
            for round_ in range(size(100, ci=3)):
                async with contextlib.AsyncExitStack() as victims:
                    for victim in await asyncio.gather(
                        *(
                            victims.enter_async_context(process("victim", f"victim-{round_}-{n}", tmp_path))
                            for n in range(3)
                        )
                    ):
                        await asyncio.sleep(chance.uniform(0.05, 0.3))
                        victim.kill()
                check_integrity(tmp_path)
        watch = registry.watch("greeter")
        async with asyncio.timeout(60):
            async for nodes in watch:
                if ids(nodes) == ["survivor-0", "survivor-1"]:
                    break
        assert sorted(await registry.names()) == ["greeter", "survivor-0", "survivor-1"]
        for survivor in survivors:
            assert survivor.returncode is None, "a survivor lost its lease"
            await survivor.communicate(b"")
            assert survivor.returncode == 0
        await until_listed(registry, "greeter", [])
    check_integrity(tmp_path)


async def test_another_process_holds_the_lock(tmp_path: Path) -> None:
    async with opened(tmp_path) as registry:
        lease = await registry.register(Registration(Node("one", "127.0.0.1:1"), ("greeter",)), ttl=60)
        watch = registry.watch("greeter")
        await anext(watch)
        other = sqlite3.connect(tmp_path / "default" / "registry.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        renewing = asyncio.ensure_future(lease.renew())
        registering = asyncio.ensure_future(
            registry.register(Registration(Node("two", "127.0.0.1:2"), ("greeter",)), ttl=60)
        )
        await asyncio.sleep(0.3)
        assert not renewing.done()
        assert ids(await registry.resolve("greeter")) == ["one"]  # Reading waits for no writer.
        other.execute("COMMIT")
        other.close()
        async with asyncio.timeout(60):
            await renewing
            await registering
            assert ids(await anext(watch)) == ["one", "two"]


async def test_the_state_folder_is_deleted_under_running_services(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home) as registry:
        registrars = [
            Registrar(registry, Registration(Node(id, "127.0.0.1:1"), ("greeter",)), ttl=1.0) for id in ("one", "two")
        ]
        for registrar in registrars:
            await registrar.start()
        watch = registry.watch("greeter")
        assert ids(await anext(watch)) == ["one", "two"]
        shutil.rmtree(home)
        async with process("survivor", "three", home), asyncio.timeout(60):
            await until_listed(registry, "greeter", ["one", "three", "two"])
            async for nodes in watch:
                if ids(nodes) == ["one", "three", "two"]:
                    break
        for registrar in registrars:
            await registrar.stop()


async def test_changes_of_other_processes_are_watched(tmp_path: Path) -> None:
    async with opened(tmp_path) as registry:
        watch = registry.watch("survivor-1")
        assert await anext(watch) == ()
        async with process("survivor", "survivor-1", tmp_path) as other, asyncio.timeout(60):
            assert ids(await anext(watch)) == ["survivor-1"]
            await other.communicate(b"")
            assert await anext(watch) == ()


async def test_a_reboot_ends_all_leases(tmp_path: Path) -> None:

    before = LocalRegistry(home=tmp_path, clock=Clock(lambda: 1_000_000.0, "boot 1"))
    await before.open()
    lease = await before.register(Registration(Node("one", "127.0.0.1:1"), ("greeter",)), ttl=1000)
    after = LocalRegistry(home=tmp_path, clock=Clock(lambda: 5.0, "boot 2"))
    await after.open()
    assert await after.resolve("greeter") == ()
    assert await after.names() == {}
    await after.register(Registration(Node("two", "127.0.0.1:1"), ("greeter",)))
    assert ids(await after.resolve("greeter")) == ["two"]
    assert await before.resolve("greeter") == ()  # Its row is gone as well.
    await lease.revoke()
    await before.close()
    await after.close()
    check_integrity(tmp_path)
