"""Calls of every kind, a fifth of them cancelled, while servers are restarted all the time: nothing may be left of any."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually
from tests.servers.process import Ports

ROOT = Path(__file__).parent.parent.parent
SERVERS = 3
WORKERS = 30
RESTART_EVERY = 4.0
"""Seconds."""


class Soak:
    """Servers at ports of their own, and a client, each a process."""

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        self._home = home
        self._stack = stack
        ports = Ports()
        stack.callback(ports.close)
        self._addresses = [f"127.0.0.1:{ports.take()}" for _ in range(SERVERS)]
        self._started = 0
        self._killed: set[Path] = set()
        self._servers: dict[int, tuple[asyncio.subprocess.Process, Path]] = {}
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MICRO_")},
            "MICRO_HOME": str(home / "state"),
            "MICRO_NAMESPACE": "soak",
        }

    async def start_server(self, number: int) -> None:
        self._started += 1
        log = self._home / f"{number}-{self._started}.log"
        errors = log.with_suffix(".err")
        with errors.open("wb") as stderr:
            process = await self.run("soak_server", f"soak-{number}", self._addresses[number], str(log), stderr=stderr)
        self._servers[number] = process, log
        await eventually(lambda: " serves " in errors.read_text(), lambda: errors.read_text())

    async def restart(self, number: int, how: signal.Signals) -> None:
        process, log = self._servers[number]
        process.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            code = await process.wait()
        if how is signal.SIGKILL:
            self._killed.add(log)
        else:
            assert code == 0, log.with_suffix(".err").read_text()
        await self.start_server(number)

    async def run(self, program: str, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"tests.faults.{program}", *arguments, cwd=ROOT, env=self._environment, **options
        )
        self._stack.push_async_callback(_end, process)
        return process

    def runs(self) -> Counter[str]:
        """How often each call has run, on all servers."""
        return Counter(line[1:] for lines in self._logs().values() for line in lines if line[0] == "+")

    def running(self) -> Counter[str]:
        """The calls whose handlers have not ended, on servers that were not killed."""
        running = Counter[str]()
        for log, lines in self._logs().items():
            if log not in self._killed:
                running.update(line[1:] for line in lines if line[0] == "+")
                running.subtract(line[1:] for line in lines if line[0] == "-")
        return +running

    def _logs(self) -> dict[Path, list[str]]:
        return {log: log.read_text().split() for log in self._home.glob("*.log")}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.mark.verify("failover")
async def test_nothing_is_left_of_any_call(tmp_path: Path, size: Size, figures: Figures) -> None:
    seconds = size(180.0, ci=15.0)
    async with AsyncExitStack() as stack:
        soak = Soak(tmp_path, stack)
        await asyncio.gather(*(soak.start_server(number) for number in range(SERVERS)))
        pipe = asyncio.subprocess.PIPE
        client = await soak.run("soak_client", str(WORKERS), stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 26)
        assert client.stderr is not None
        assert client.stdin is not None
        assert (await _line(client.stderr)) == "first"
        ended = asyncio.create_task(_line(client.stderr, seconds + 2 * PATIENCE))
        restarts, loop = Counter[str](), asyncio.get_running_loop()
        next_at = loop.time()
        end = next_at + seconds
        for number, how in zip(cycle(range(SERVERS)), cycle((signal.SIGKILL, signal.SIGTERM)), strict=False):
            next_at += RESTART_EVERY
            enough = len(restarts) == 2 and next_at > end  # A busy machine takes long for each.
            await asyncio.wait((ended,), timeout=max((end if enough else next_at) - loop.time(), 0.0))
            if enough or ended.done():
                break
            await soak.restart(number, how)
            restarts[how.name] += 1
        client.stdin.write(b"end\n")
        assert await ended == "ended"
        # The client lives on, and has kept the tasks that were cancelled: that is not what ends the handlers.
        await eventually(soak.running, lambda: f"handlers go on: {soak.running()}", equals=Counter())
        client.stdin.close()
        out, err = await client.communicate()
        assert client.returncode == 0, err.decode()
        runs = soak.runs()
    report = json.loads(out)
    calls = report["calls"]
    outcomes = Counter(call["outcome"] for call in calls)
    for name, count in {"calls": len(calls), "restarts": restarts.total(), **outcomes}.items():
        figures.add(name, count)
    assert restarts.keys() == {"SIGKILL", "SIGTERM"}
    assert report["complaints"] == {}
    assert not any(report["left"].values()), report["left"]
    assert not err.decode().strip(), err.decode()
    assert outcomes.keys() <= {"OK", "UNAVAILABLE", *(f"cancelled ({how})" for how in ("task", "timeout", "call"))}, [
        call for call in calls if call["outcome"] not in ("OK", "UNAVAILABLE") and "cancelled" not in call["outcome"]
    ][:3]
    for call in calls:
        if call["kind"] not in ("look", "count"):  # These are declared idempotent.
            assert runs[call["id"]] <= 1, f"ran twice: {call}"
        if call["outcome"] == "OK":
            assert runs[call["id"]] >= 1, f"answered by nobody: {call}"
        elif not call["may_have_run"]:
            assert runs[call["id"]] == 0, f"it is said not to have run, and it has: {call}"
    assert not [call for call in calls if call["kind"] == "look" and call["outcome"] == "UNAVAILABLE"], "a call is lost"


async def _line(stream: asyncio.StreamReader, within: float = PATIENCE) -> str:
    async with asyncio.timeout(within):
        return (await stream.readline()).decode().strip()
