"""What an earlier version of micro-rt has made, and that it is all there afterwards; version 1 had no fences.

A store of version 1 that a test makes has the records ``a`` and ``c``, and ``b`` was deleted.
"""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

import micro_rt as micro
from micro_rt.store.store import Store
from tests.helpers.waiting import soon

__all__ = ["all_at_once", "check", "check_all_at_once"]

ALL_AT_ONCE = """
import asyncio, os, sys
from micro_rt.backends.local.store import FileStore
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.fence import Fence
from micro_rt.store.store import Store
async def main(number):
    async with Store.over(globals()[sys.argv[1]](sys.argv[2])) as store:
        await store.write(str(number), b"1", fence=Fence("run", 1, number))
        assert (await store.read("a")).value == b"1"
children = []
for number in range(10):
    child = os.fork()
    if not child:
        try:
            asyncio.run(main(number))
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    children.append(child)
ends = [os.waitpid(child, 0)[1] for child in children]
assert not any(ends), ends
"""


async def check(store: Store) -> None:
    """Checks that all is there, and that it can be written with fences."""
    a, c = [record async for record in store.list()]
    assert (a.key, a.value, a.version, a.metadata) == ("a", b"1", 1, {"name": "value"})
    assert (c.key, c.value, c.version) == ("c", b"3", 3)
    for key in "abc":
        await store.write(key, b"old", if_version={"a": 1, "b": 0, "c": 3}[key])
        assert await store.write(key, b"new", metadata=micro.KEEP, fence=micro.Fence("run", 1, 5)) > 3
        await store.write(key, b"newer")
        with pytest.raises(micro.Stale):
            await store.write(key, b"stale", fence=micro.Fence("run", 1, 4))
    assert {record.value async for record in store.list()} == {b"newer"}


async def all_at_once(kind: str, address: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ALL_AT_ONCE, kind, address, env=environment)
    assert await soon(process.wait()) == 0


async def check_all_at_once(store: Store) -> None:
    assert len([record async for record in store.list()]) == 12
    for number in range(1, 10):
        with pytest.raises(micro.Stale):
            await store.write(str(number), b"2", fence=micro.Fence("run", 1, number - 1))
