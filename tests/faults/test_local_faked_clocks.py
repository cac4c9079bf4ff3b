"""Retention of ``local:`` in processes whose system calls tell a wrong time of day, as libfaketime makes them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.faked_clocks import faked_clock

ROOT = Path(__file__).parent.parent.parent

PROCESS = """
import asyncio, sys, time
from pathlib import Path
from tests.faults.test_local_retention_clocks import look_around, opened, publish, stored

async def main(home, count):
    async with opened(home) as broker:
        if count:
            await publish(broker, "kept", count)
        await look_around(broker, home)
    print(time.gmtime().tm_year, stored(home, "kept"))

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def run(home: Path, count: int, clock: str = "") -> tuple[int, int]:
    """Publishes, and waits for a look at what ran out; returns the year that the process saw, and how many records are kept."""
    command = [sys.executable, "-c", PROCESS, str(home), str(count)]
    environment = {**os.environ, **faked_clock(clock)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    year, kept = done.stdout.split()
    return int(year), int(kept)


async def test_processes_with_wrong_clocks_delete_nothing_that_was_not_read(tmp_path: Path) -> None:
    this_year = time.gmtime().tm_year
    seen = [await asyncio.to_thread(run, tmp_path, 100, "@1970-01-02 00:00:00")]
    seen += [await asyncio.to_thread(run, tmp_path, 0, clock) for clock in ("", "+800d")]
    assert [kept for _, kept in seen] == [100, 100, 100]
    years = [year for year, _ in seen]
    assert years[:2] == [1970, this_year], "libfaketime has no effect"
    assert years[2] > this_year, "libfaketime has no effect"
