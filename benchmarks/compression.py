"""``compression``: how long messages of 1 MiB take to compress, and how long the event loop waits meanwhile.

The event loop is asked for a turn all the time; the longest time between two turns is what every other call of the process
waits. Messages are text that compresses well, and random bytes that do not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

from benchmarks.children import loop_name
from benchmarks.children import run as run_loop
from benchmarks.measure import Plan, Spread
from benchmarks.table import Table
from micro_rt.transport.compression import ACCEPTED, compress, decompress

__all__ = ["run"]

SIZE = 1 << 20
"""Bytes of a message."""


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table."""
    tables: list[Table] = []

    async def measure() -> None:
        tables.append(await _measured(plan))

    run_loop(measure())
    yield from tables


async def _measured(plan: Plan) -> Table:
    words = [f"word{number}" for number in range(1_000)]
    chosen = random.Random(1)
    text = " ".join(chosen.choices(words, k=SIZE // 5)).encode()[:SIZE]
    rows: list[list[str]] = []
    for title, message in (("text", text), ("random bytes", chosen.randbytes(SIZE))):
        rows.append([title, "", "", "", "", ""])
        for name in ACCEPTED:
            plan.progress(f"{name} of 1 MiB of {title}")
            small = await compress(name, message)
            taken: dict[bool, tuple[list[float], list[float]]] = {True: ([], []), False: ([], [])}
            for _ in range(plan.count(9, 3)):
                for packing, (seconds, gaps) in taken.items():
                    ticker = asyncio.create_task(_longest_gap())
                    await asyncio.sleep(0.01)
                    start = time.perf_counter()
                    if packing:
                        await compress(name, message)
                    else:
                        await decompress(name, small, SIZE, "/a.B/C", "")
                    seconds.append(time.perf_counter() - start)
                    ticker.cancel()
                    gaps.append(await ticker)
            row = [f"  {name}", f"{len(small) / SIZE:.2f}"]
            for seconds, gaps in taken.values():
                row += [Spread.of([value * 1e3 for value in values]).text(1) for values in (seconds, gaps)]
            rows.append(row)
    columns = ["", "size", "compressing, ms", "longest wait, ms", "decompressing, ms", "longest wait, ms"]
    notes = [f"On {loop_name()}. Goal: nobody waits longer than 5 ms."]
    return Table("messages of 1 MiB, and how long the event loop waits", columns, rows, notes)


async def _longest_gap() -> float:
    """Takes turns until it is cancelled; returns the longest time between two."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest
