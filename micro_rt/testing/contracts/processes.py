"""A process beside that of the test, which uses the same engine and runs what the test tells it, line by line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["OtherEngine", "another_process"]

_ANSWER = 1 << 24
"""Bytes of the longest answer to a line."""
_SCRIPT = """
import asyncio, importlib, sys

def named(path):
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

async def main(kind, name, factory, address):
    async with named(kind).over(named(factory)(address)) as opened:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            steps = "".join(" " + part.strip() + "\\n" for part in line.split(";"))
            exec(compile(f"async def step({name}):\\n" + steps, "step", "exec"), globals())
            print(repr(await step(opened)), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class OtherEngine:
    """How another process makes an engine that shares its state with those of ``make``."""

    factory: str
    """The class, or a function: ``"micro_rt.backends.local.store:LocalStore"``."""
    address: str
    """Its only argument."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """What is set in the other process besides the environment of this one."""


@asynccontextmanager
async def another_process(kind: type, name: str, other: OtherEngine) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Starts another process, and gives a function that has it run a line of Python and returns what that shows.

    Its event loop goes on between the lines. Statements of a line are separated by semicolons, and ``return`` ends it.

    Args:
        kind: what opens the engine with its ``over``: ``Store`` or ``Sync``.
        name: of what was opened, in the lines.
        other: the engine.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SCRIPT, f"{kind.__module__}:{kind.__name__}", name, other.factory, other.address),
        env={**os.environ, **other.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_ANSWER,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def run(line: str) -> str:
        stdin.write(line.encode() + b"\n")
        return (await stdout.readline()).decode().strip()

    try:
        assert (await stdout.readline()).strip() == b"ready"
        yield run
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
