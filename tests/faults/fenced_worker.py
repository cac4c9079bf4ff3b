"""A process that holds a lock, and writes to a store when it is told.

    python -m tests.faults.fenced_worker STORE ADDRESS KEY TTL

``STORE`` is the class of the engine. It writes once under its lock, and says with which epoch and token. For each line of its input, it
then writes with the fence that it had at the beginning, and with the lock itself; it answers with what became of both.
"""

from __future__ import annotations

import asyncio
import importlib
import sys

from micro_rt.backends.memory.sync import MemorySync
from micro_rt.errors import Error
from micro_rt.fence import Fence, Fenced
from micro_rt.store.store import Store
from micro_rt.sync.base import LockLost
from micro_rt.sync.held import Lock
from micro_rt.sync.sync import Sync


async def acquired(sync: Sync, store: Store, key: str, ttl: float) -> tuple[Lock, Fence]:
    """Returns a lock under which the record was written."""
    while True:
        lock = await sync.try_lock("run", ttl=ttl)
        if lock is None:
            await asyncio.sleep(0.05)
            continue
        try:
            await store.write(key, b"first", fence=lock)
            return lock, lock.fence
        except LockLost:  # The machine is very busy.
            pass


async def outcome(store: Store, key: str, fence: Fence | Fenced) -> str:
    try:
        await store.write(key, b"first, later", fence=fence)
    except Error as error:
        return type(error).__name__
    return "written"


async def main(factory: str, address: str, key: str, ttl: str) -> None:
    module, _, name = factory.partition(":")
    engine = getattr(importlib.import_module(module), name)(address)
    loop = asyncio.get_running_loop()
    async with Store.over(engine) as store, Sync.over(MemorySync("memory:fenced")) as sync:
        lock, fence = await acquired(sync, store, key, float(ttl))
        print(fence.epoch, fence.token, flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(await outcome(store, key, fence), await outcome(store, key, lock), flush=True)


asyncio.run(main(*sys.argv[1:]))
