"""Three schedulers, one of which leads: the leader is killed, the next one hangs, and no job is run by two.

python examples/leader/demo.py
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
PATIENCE = 60.0
"""Seconds; everything that the demo waits for takes a few."""
NAMES = ("ada", "bob", "cyd")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as temporary:
        folder = Path(temporary)
        os.environ["MICRO_HOME"] = str(folder / "state")  # away from the user's own locks and records
        title("1", "Three schedulers start, and one of them leads")
        running = {name: start(folder, name) for name in NAMES}
        try:
            asyncio.run(watch(folder, running))
        finally:
            for process in running.values():
                process.kill()
                process.wait()
    return 0


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    say(f"$ python scheduler.py {name}")
    with (folder / f"{name}.log").open("wb") as output:
        command = [sys.executable, str(HERE / "scheduler.py"), name]
        return subprocess.Popen(command, stdout=output, stderr=output)


async def watch(folder: Path, running: dict[str, subprocess.Popen[bytes]]) -> None:
    async with micro.Service("demo") as service:
        leaders = service.sync.observe("scheduler")
        first = await next_leader(leaders, "")
        await jobs(service, first)

        title("2", f"The leader is killed: kill -9 {first}")
        running[first].kill()
        begun = time.monotonic()
        second = await next_leader(leaders, first)
        say(f"it took {time.monotonic() - begun:.1f} s; a lock outlives its holder by its ttl, which is 3 s here")
        await jobs(service, second)

        title("3", f"The next one hangs, and wakes up after it has lost the lead: {second}")
        running[second].send_signal(signal.SIGSTOP)
        third = await next_leader(leaders, second)
        await jobs(service, third)
        running[second].send_signal(signal.SIGCONT)
        for line in await until_told(folder / f"{second}.log"):
            say(line)
        await jobs(service, third)
        await leaders.aclose()


async def next_leader(leaders: AsyncGenerator[micro.Leader | None], before: str) -> str:
    """Waits until somebody else leads."""
    async with asyncio.timeout(PATIENCE):
        async for leader in leaders:
            name = leader.value.decode() if leader else ""
            if leader and name != before:
                say(f"{name} leads, term {leader.term}")
                return name
    raise AssertionError("observing ends only with the block")


async def jobs(service: micro.Service, leader: str) -> None:
    """Shows that jobs are run, by the leader alone."""
    async with asyncio.timeout(PATIENCE), service.store.watch("jobs/") as changes:
        counts: list[int] = []
        async for change in changes:
            who, count = change.value.decode().split()
            if who == leader:
                counts.append(int(count))
            if len(counts) == 5:
                break
    say(f"jobs {counts[0]} to {counts[-1]} were run by {leader}")


async def until_told(log: Path) -> list[str]:
    """Waits until a scheduler has noticed that it leads no more; returns what it has logged since it led."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lines = logged(log)
        if any("leads no more" in line or "wrote too late" in line for line in lines):
            return lines[1:]
        await asyncio.sleep(0.02)
    raise SystemExit("\n".join(["the scheduler does not do what it should; its log:", *logged(log)]))


def logged(log: Path) -> list[str]:
    return log.read_text().splitlines()


def title(number: str, text: str) -> None:
    print(f"\n\033[1m{number}. {text}\033[0m" if COLOUR else f"\n{number}. {text}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
