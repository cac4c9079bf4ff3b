"""What a store does in its benchmarks, and how it is compared with a peer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table
from micro_rt.store.store import Store

__all__ = ["GOALS", "VALUE", "Job", "compared", "keys", "of_store"]

VALUE = b"x" * 200
KEYS = 5_000
GOALS: Mapping[str, float] = {
    "write 500 records in one commit": 1.10,
    "write one record, one commit each": 1.20,
    "write 64 records at once": 1.10,
    "read one record": 1.20,
    "read 500 records": 1.10,
    "list 5,000 records": 1.10,
}
"""The jobs, and how many times as long as the peer they may take (docs/store.md)."""


class Cost(NamedTuple):
    """What one record costs."""

    elapsed: float
    cpu: float


Job = Callable[[], Coroutine[Any, Any, int]]
"""Does its work once, and returns how many records that were."""


async def compared(
    plan: Plan, title: str, subjects: Mapping[str, Mapping[str, Job]], goals: Mapping[str, float]
) -> Table:
    """Measures every job of ours and of a peer's, in turn.

    Args:
        plan: how long it may take.
        title: of the table.
        subjects: the jobs of ours, then those of the peer, by name.
        goals: the jobs, and how many times as long as the peer ours may take.
    """
    ours, peer = subjects
    rows: list[list[str]] = []
    notes: list[str] = []
    for job, goal in goals.items():
        plan.progress(job)
        jobs = {name: subjects[name][job] for name in subjects}
        rounds = await asyncio.to_thread(_rounds, jobs, plan, asyncio.get_running_loop())
        ratio = rounds.ratio(ours, peer, lambda cost: cost.elapsed)
        for name in jobs:
            elapsed = rounds.spread(name, lambda cost: cost.elapsed * 1e6)
            cpu = rounds.median(name, lambda cost: cost.cpu * 1e6)
            shown = ratio.text() if name == ours else "1"
            rows.append([job if name == ours else "", name, elapsed.text(1), f"{cpu:,.1f}", shown])
        if ratio.middle > goal:
            notes.append(f"{job}: the goal is {goal:g} x {peer}")
    return Table(title, ["", "", "us", "us CPU", f"x {peer}"], rows, notes)


def _rounds(jobs: Mapping[str, Job], plan: Plan, loop: asyncio.AbstractEventLoop) -> Rounds[Cost]:
    seconds = plan.seconds(0.5, 0.1)

    async def repeated(job: Job) -> Cost:
        count = 0
        cpu, begun = time.process_time(), time.perf_counter()
        while time.perf_counter() - begun < seconds:
            count += await job()
        return Cost((time.perf_counter() - begun) / count, (time.process_time() - cpu) / count)

    def once(name: str) -> Cost:
        return asyncio.run_coroutine_threadsafe(repeated(jobs[name]), loop).result()

    for name in jobs:
        once(name)
    return take_turns(list(jobs), plan.count(9, 3), once, lambda text: None)


def keys(first: int, count: int) -> list[str]:
    """Returns keys, which begin anew after the last one."""
    return [f"bench/{number % KEYS:06}" for number in range(first, first + count)]


def of_store(store: Store) -> dict[str, Job]:
    """Returns the jobs of a store, in the order of the goals."""
    turn = iter(range(0, 1 << 60, 500))

    async def batch() -> int:
        await store.write_many(dict.fromkeys(keys(next(turn), 500), VALUE))
        return 500

    async def single() -> int:
        for key in keys(next(turn), 20):
            await store.write(key, VALUE)
        return 20

    async def at_once() -> int:
        await asyncio.gather(*(store.write(key, VALUE) for key in keys(next(turn), 64)))
        return 64

    async def read() -> int:
        for key in keys(next(turn), 50):
            await store.read(key)
        return 50

    async def read_many() -> int:
        return len(await store.read_many(keys(next(turn), 500)))

    async def listed() -> int:
        count = 0
        async for _ in store.list("bench/"):
            count += 1
        return count

    return dict(zip(GOALS, (batch, single, at_once, read, read_many, listed), strict=True))
