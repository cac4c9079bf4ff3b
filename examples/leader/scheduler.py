"""One of several schedulers: whoever leads runs the jobs, and the others wait to take over.

python examples/leader/scheduler.py NAME
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

import micro_rt as micro

log = logging.getLogger("scheduler")

TTL = 3.0
"""Seconds after which another scheduler leads if this one dies; 15, the default, suits a real one."""


async def schedule(service: micro.Service, name: str) -> None:
    while True:
        try:
            async with service.sync.leader("scheduler", ttl=TTL, value=name.encode()) as term:
                log.info("%s leads, term %d", name, term.number)
                while True:
                    await run_job(service, name, term)
                    await asyncio.sleep(0.1)
        except micro.LockLost as lost:
            log.info("%s leads no more: %s", name, lost.message)
        except micro.Stale as stale:
            log.info("%s wrote too late: %s", name, stale.message)


async def run_job(service: micro.Service, name: str, term: micro.Term) -> None:
    """Runs one job: its record says who ran it last, and refuses a leader of an earlier term."""

    def another(record: micro.Record | None) -> bytes:
        done = int(record.value.split()[1]) if record else 0
        return f"{name} {done + 1}".encode()

    await service.store.update("jobs/hourly", another, fence=term)


async def main(name: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    async with micro.Service(name) as service:
        await schedule(service, name)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
