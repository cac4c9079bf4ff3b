"""A process that writes to a store until it is killed or its input ends, and writes down what it has written.

    python -m tests.faults.store_worker FACTORY ADDRESS PREFIX NUMBER FILE

Each line of the file is ``KEY VERSION KIND`` of a write or a deletion that was acknowledged.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import random
import sys
from pathlib import Path

from micro_rt.errors import Error
from micro_rt.store.store import Store


async def main(factory: str, address: str, prefix: str, number: str, path: str) -> None:
    module, _, name = factory.partition(":")
    make = getattr(importlib.import_module(module), name)
    draw = random.Random(int(number))
    async with Store.over(make(address)) as store:
        with Path(path).open("a", buffering=1) as file:  # noqa: ASYNC230 - nothing else runs here
            file.write("ready\n")
            loop = asyncio.get_running_loop()
            ended = loop.run_in_executor(None, sys.stdin.read)
            for count in itertools.count():
                key = f"{prefix}{draw.randrange(200)}"
                try:
                    if draw.random() < 0.1:
                        if await store.delete(key):
                            file.write(f"{key} 0 deleted\n")
                    else:
                        version = await store.write(key, f"{number} {count}".encode())
                        file.write(f"{key} {version} put\n")
                except Error as error:
                    file.write(f"- 0 {type(error).__name__}\n")
                if ended.done():
                    break
                if draw.random() < 0.2:
                    await asyncio.sleep(draw.random() * 0.02)


asyncio.run(main(*sys.argv[1:]))
