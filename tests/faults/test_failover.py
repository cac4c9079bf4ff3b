"""What holds while servers are killed, stopped, suspended and started, with every server and the client in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
WORKERS = 32
SETTLE = 30.0
"""Seconds within which something must happen, however busy the machine is."""


@dataclass
class Call:
    id: str
    idempotent: bool
    phase: int
    """In which phase it began …"""
    ended: int
    """… and in which it ended."""
    outcome: str
    attempts: int
    may_have_run: bool
    server: str
    message: str = ""


class Cluster:
    """Servers and a client that share a machine's registry."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.servers: dict[str, asyncio.subprocess.Process] = {}
        self.client: asyncio.subprocess.Process | None = None
        self.phase = 0
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MICRO_")},
            "MICRO_HOME": str(home / "state"),
            "MICRO_NAMESPACE": "failover",
        }

    async def start_server(self, name: str, *, ttl: float = 30.0) -> None:
        with (self.home / f"{name}.err").open("wb") as err:
            process = await self._run("failover_server", name, str(self.home / f"{name}.log"), str(ttl), stderr=err)
        self.servers[name] = process
        await eventually(lambda: " serves " in (self.home / f"{name}.err").read_text(), f"{name} does not serve")

    async def start_client(self, *, timeout: float = SETTLE) -> None:
        pipe = asyncio.subprocess.PIPE
        self.client = await self._run(
            "failover_client", str(WORKERS), str(timeout), stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 26
        )

    async def hears(self, word: str) -> None:
        assert self.client is not None
        assert self.client.stderr is not None
        async with asyncio.timeout(SETTLE):
            assert (await self.client.stderr.readline()).decode().strip() == word

    async def next_phase(self, seconds: float = 0.0) -> None:
        """Begins the next phase of the load, waits until the client has begun it, and lets it go on for a while."""
        assert self.client is not None
        assert self.client.stdin is not None
        self.client.stdin.write(b"next\n")
        self.phase += 1
        await self.hears(f"phase {self.phase}")
        await asyncio.sleep(seconds)

    async def calls(self) -> list[Call]:
        """Stops the load, and returns what became of every call."""
        assert self.client is not None
        assert self.client.stdin is not None
        self.client.stdin.close()
        async with asyncio.timeout(SETTLE * 2):
            out, err = await self.client.communicate()
        assert self.client.returncode == 0, err.decode()
        assert err.decode().split() in ([], ["first"]), "the client said something on standard error"
        calls = [Call(**call) for call in json.loads(out)]
        assert not [call for call in calls if "micro.Error" in call.outcome], (
            "an exception of somebody else left a stub"
        )
        return calls

    async def stop_server(self, name: str) -> None:
        process = self.servers[name]
        process.terminate()
        async with asyncio.timeout(SETTLE):
            assert await process.wait() == 0, (self.home / f"{name}.err").read_text()

    def runs(self) -> Counter[str]:
        """How often each call ran, over all servers."""
        return Counter(id for log in self.home.glob("*.log") for id in log.read_text().split())

    async def close(self) -> None:
        for process in [*self.servers.values(), *([self.client] if self.client else [])]:
            with suppress(ProcessLookupError):
                process.kill()
            if process is self.client:
                await process.communicate()
            await process.wait()

    async def _run(self, program: str, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"tests.faults.{program}", *arguments, cwd=ROOT, env=self.environment, **options
        )


@asynccontextmanager
async def cluster_of(home: Path, *names: str, ttl: float = 30.0, timeout: float = SETTLE) -> AsyncIterator[Cluster]:
    cluster = Cluster(home)
    try:
        await asyncio.gather(*(cluster.start_server(name, ttl=ttl) for name in names))
        await cluster.start_client(timeout=timeout)
        if names:
            await cluster.hears("first")
        yield cluster
    finally:
        await cluster.close()


def shares(calls: list[Call], phase: int) -> dict[str, float]:
    """Which part of the calls of a phase each server answered."""
    answered = Counter(call.server for call in calls if call.phase == call.ended == phase and call.outcome == "OK")
    assert answered.total() > 20, f"too few calls to tell: {answered}"
    return {server: count / answered.total() for server, count in answered.items()}


def assert_nothing_ran_that_must_not(calls: list[Call], runs: Counter[str]) -> None:
    for call in calls:
        if not call.idempotent:
            assert runs[call.id] <= 1, f"a method that is not idempotent ran twice: {call}"
        if call.outcome == "OK":
            assert runs[call.id] >= 1, f"answered by nobody: {call}"
        elif not call.may_have_run:
            assert runs[call.id] == 0, f"it is said not to have run, and it has: {call}"


def report(figures: Figures, calls: list[Call], runs: Counter[str]) -> None:
    failed = [call for call in calls if not call.idempotent and call.outcome != "OK"]
    figures.add("calls", len(calls))
    figures.add("sent more than once", sum(call.attempts > 1 for call in calls))
    figures.add("idempotent ones that failed", sum(call.idempotent and call.outcome != "OK" for call in calls))
    figures.add("others that failed", len(failed))
    figures.add("of them, may have run", sum(call.may_have_run for call in failed))
    figures.add("of them, did run", sum(runs[call.id] for call in failed))
    for outcome, count in Counter(call.outcome for call in calls).items():
        figures.add(outcome, count)


@pytest.mark.verify("failover")
async def test_servers_are_killed_under_load(tmp_path: Path, size: Size, figures: Figures) -> None:
    async with cluster_of(tmp_path, "one", "two", "three") as cluster:
        await cluster.next_phase(size(20.0, ci=2.0))
        await cluster.next_phase()
        cluster.servers["one"].kill()
        await asyncio.sleep(1.0)
        await cluster.next_phase(size(20.0, ci=2.0))
        await cluster.next_phase()
        cluster.servers["two"].kill()
        await asyncio.sleep(1.0)
        await cluster.next_phase(1.0)
        calls, runs = await cluster.calls(), cluster.runs()
    report(figures, calls, runs)
    assert_nothing_ran_that_must_not(calls, runs)
    assert not [call for call in calls if call.idempotent and call.outcome != "OK"], "an idempotent call is lost"
    failed = [call for call in calls if call.outcome != "OK"]
    assert {call.outcome for call in failed} <= {"UNAVAILABLE"}
    assert len(failed) <= 2 * WORKERS, "more calls failed than were in flight"
    assert {call.phase for call in failed} <= {1, 2, 3, 4}
    before, between, after = shares(calls, 1), shares(calls, 3), shares(calls, 5)
    assert before.keys() == {"one", "two", "three"}
    assert min(before.values()) > 0.25
    assert between.keys() == {"two", "three"}
    assert min(between.values()) > 0.4
    assert after.keys() == {"three"}
    assert any(call.attempts > 1 for call in calls), "no call was sent to another node: the kill met nothing"


@pytest.mark.verify("failover")
async def test_servers_stop_in_good_order_under_load(tmp_path: Path, size: Size, figures: Figures) -> None:
    async with cluster_of(tmp_path, "one", "two", "three") as cluster:
        await cluster.next_phase(size(10.0, ci=0.5))
        await cluster.stop_server("one")
        await cluster.next_phase(size(10.0, ci=0.5))
        await cluster.stop_server("two")
        await cluster.next_phase(size(10.0, ci=0.5))
        calls, runs = await cluster.calls(), cluster.runs()
    report(figures, calls, runs)
    assert_nothing_ran_that_must_not(calls, runs)
    assert not [call for call in calls if call.outcome != "OK"], "a call is lost"
    assert runs.total() == len(calls), "a call ran twice"
    assert shares(calls, 2).keys() == {"two", "three"}
    assert shares(calls, 3).keys() == {"three"}


@pytest.mark.verify("failover")
async def test_a_server_is_suspended_under_load(tmp_path: Path, size: Size, figures: Figures) -> None:
    """A process that is stopped answers nobody and refuses nobody.

    What was sent to it ends at its deadline, and is not sent again, because a deadline is the end of a call. That lasts
    until its lease runs out. No other call fails; and when it goes on, it is found again.
    """
    # The deadline is long enough for a call that a busy machine keeps waiting.
    async with cluster_of(tmp_path, "one", "two", "three", ttl=3.0, timeout=3.0) as cluster:
        await cluster.next_phase(0.5)
        await cluster.next_phase()
        cluster.servers["one"].send_signal(signal.SIGSTOP)
        await asyncio.sleep(size(20.0, ci=8.0))  # Longer than the lease.
        await cluster.next_phase(1.0)
        cluster.servers["one"].send_signal(signal.SIGCONT)
        await cluster.next_phase(5.0)
        await cluster.next_phase(1.0)
        calls, runs = await cluster.calls(), cluster.runs()
    report(figures, calls, runs)
    assert_nothing_ran_that_must_not(calls, runs)
    failed = [call for call in calls if call.outcome != "OK"]
    assert {call.outcome for call in failed} == {"DEADLINE_EXCEEDED"}
    assert {call.phase for call in failed} <= {1, 2}
    during, without, again = shares(calls, 2), shares(calls, 3), shares(calls, 5)
    assert min(during["two"], during["three"]) > 0.3
    assert without.keys() == {"two", "three"}
    assert again.keys() == {"one", "two", "three"}
    assert min(again.values()) > 0.25


@pytest.mark.verify("failover")
async def test_servers_that_start_later_are_found(tmp_path: Path, figures: Figures) -> None:
    async with cluster_of(tmp_path) as cluster:
        await cluster.hears("nobody")
        await cluster.start_server("one")
        await cluster.hears("first")
        await cluster.next_phase(0.5)
        await cluster.start_server("two")
        await asyncio.sleep(1.5)
        await cluster.next_phase(1.0)
        calls, runs = await cluster.calls(), cluster.runs()
    report(figures, calls, runs)
    assert_nothing_ran_that_must_not(calls, runs)
    assert not [call for call in calls if call.phase and call.outcome != "OK"]
    assert {call.outcome for call in calls if not call.phase} == {"OK", "UNAVAILABLE"}
    assert not [call for call in calls if call.outcome != "OK" and call.may_have_run]
    assert shares(calls, 2).keys() == {"one", "two"}
    assert min(shares(calls, 2).values()) > 0.4
