"""A process that takes a lock again and again, and writes down when it believed that it held it: see test_sync_histories."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import random
import sys
import time

import micro_rt as micro
from micro_rt.kit.clock import boot_clock
from micro_rt.sync.sync import Sync
from tests.helpers.faked_clocks import leave_no_clock_files

_TIMEOUTS = (0.0, 0.5, 5.0, 30.0)
_BLOCKED = 0.003
"""How often a body blocks its loop until its lock is lost."""


def hang(seconds: float) -> None:
    """Blocks the thread."""
    now = boot_clock().now
    until = now() + seconds
    while now() < until:
        with contextlib.suppress(OSError):  # libfaketime raises EINVAL if the process was stopped meanwhile.
            time.sleep(0.01)


async def main(factory: str, address: str, name: str, ttl: float, path: str) -> None:
    leave_no_clock_files()
    module, _, function = factory.partition(":")
    engine = getattr(importlib.import_module(module), function)(address)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    now = boot_clock().now
    ending = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))

    def write(line: str) -> None:
        os.write(file, f"{line}\n".encode())

    async with Sync.over(engine) as sync:
        write("ready")
        number = 0
        while not ending.done():
            number += 1
            try:
                async with sync.lock(name, ttl=ttl, timeout=random.choice(_TIMEOUTS)) as lock:
                    for _ in range(random.randrange(1, 5)):
                        # It was held at some moment between the two.
                        before = now()
                        fence = lock.fence
                        after = now()
                        write(f"{before!r} {after!r} {fence.epoch} {fence.token} {os.getpid()}-{number}")
                        if random.random() < _BLOCKED:
                            hang(ttl * 1.1)
                        await asyncio.sleep(random.random() * 0.01)
            except (micro.LockTimeout, micro.LockLost, micro.Unavailable, micro.DeadlineExceeded) as error:
                write(type(error).__name__)
                await asyncio.sleep(random.random() * 0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5]))
