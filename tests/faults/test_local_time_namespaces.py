"""Leases and retention of ``local:`` between processes in different time namespaces, as a container may have one."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.broker.base import OutgoingRecord, TopicOptions
from micro_rt.kit.clock import boot_clock
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.waiting import eventually, soon

PROCESS = """
import asyncio, sys

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.broker.base import TopicOptions
from micro_rt.node import Node
from micro_rt.registry.base import Registration

async def main(home, ttl):
    registry, broker = LocalRegistry(home=home), LocalBroker(home=home)
    await registry.open()
    await broker.open()  # It looks for what ran out.
    await broker.prepare({"kept": TopicOptions(1, retention=7 * 86400.0), "brief": TopicOptions(1, retention=0.5)})
    await registry.register(Registration(Node("inside", "127.0.0.1:1"), ("greeter",)), ttl=float(ttl))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(*(node.id for node in await registry.resolve("greeter")), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
AHEAD = ["100000000", "-60"]
"""Seconds."""


@pytest.fixture(scope="module", autouse=True)
def time_namespaces() -> None:
    try:
        tried = subprocess.run(["unshare", "-T", "--boottime", "1", "true"], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"needs time namespaces: {error}")
    if tried.returncode:
        pytest.skip(f"needs the right to make time namespaces: {tried.stderr.strip()}")


@contextlib.asynccontextmanager
async def inside(home: Path, ahead: str, ttl: float) -> AsyncIterator[Process]:
    """A process in a time namespace whose boot clock is ahead."""
    child = await asyncio.create_subprocess_exec(
        *("unshare", "-T", "--boottime", ahead, "--kill-child", "--fork", sys.executable, "-c", PROCESS),
        *(str(home), str(ttl)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        assert child.stdout is not None
        assert await soon(child.stdout.readline()) == b"ready\n"
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def listed(registry: LocalRegistry) -> list[str]:
    return [node.id for node in await registry.resolve("greeter")]


@pytest.mark.parametrize("ahead", AHEAD)
async def test_nodes_in_two_time_namespaces_see_each_other_and_dead_ones_go(tmp_path: Path, ahead: str) -> None:
    registry = LocalRegistry(home=tmp_path)
    await registry.open()
    await registry.register(Registration(Node("outside", "127.0.0.1:2"), ("greeter",)), ttl=1000.0)
    async with inside(tmp_path, ahead, ttl=1000.0) as other:
        assert await listed(registry) == ["inside", "outside"]
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"\n")
        assert await soon(other.stdout.readline()) == b"inside outside\n"
    async with inside(tmp_path, ahead, ttl=2.0):
        pass
    await eventually(lambda: listed(registry), equals=["outside"])
    await registry.close()


@pytest.mark.parametrize("ahead", AHEAD)
async def test_another_time_namespace_deletes_no_event_early(tmp_path: Path, ahead: str) -> None:
    broker = LocalBroker(home=tmp_path)
    await broker.open()
    await broker.prepare({"kept": TopicOptions(1, retention=7 * 86400.0), "brief": TopicOptions(1, retention=0.5)})
    await broker.publish([OutgoingRecord("kept", b"")] * 100)

    def stored(topic: str) -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "default" / "broker.db")) as file:
            row = file.execute(
                "SELECT sum(next - first) FROM partitions JOIN topics ON topics.id = topic WHERE name = ?", (topic,)
            ).fetchone()
            return int(row[0])

    async def look_around() -> None:
        await broker.publish([OutgoingRecord("brief", b"")])
        await eventually(lambda: stored("brief"), equals=0)

    await look_around()
    async with inside(tmp_path, ahead, ttl=1000.0):
        for _ in range(3):
            await look_around()
    await look_around()
    assert stored("kept") == 100
    await broker.close()


def test_the_boot_clock_reads_the_same_in_a_time_namespace() -> None:
    code = "from micro_rt.kit.clock import boot_clock; clock = boot_clock(); print(clock.epoch, clock.now(), clock.from_boot)"
    before = boot_clock()
    began = before.now()
    for options in (["-T", "--boottime", "100000"], ["-T", "--boottime", "500", "unshare", "-T", "--boottime", "7000"]):
        done = subprocess.run(
            ["unshare", *options, sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        epoch, now, from_boot = done.stdout.split()
        assert (epoch, from_boot) == (before.epoch, "True")
        assert began < float(now) < before.now()
