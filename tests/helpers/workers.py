"""Processes that work until they are told to finish or are killed, and write down in a file each what they have done."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.helpers.waiting import eventually

__all__ = ["Workers"]


class Workers:
    """Processes of one module; each writes ``ready`` into its file, then a line for each thing that it does.

    Args:
        module: that they run.
        arguments: of all of them.
        environment: what is set for them besides.
        folder: of their files.
    """

    def __init__(self, module: str, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._environment = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._folder = folder
        self._read: dict[Path, int] = {}
        """How many bytes of each file were read."""
        self.started = 0
        self.processes: list[asyncio.subprocess.Process] = []

    async def begin(self, *arguments: str, **environment: str) -> None:
        """Starts one more, and waits until it is ready.

        Args:
            arguments: of its own, before the path of its file.
            environment: of its own.
        """
        self.started += 1
        path = self._folder / f"{self.started}.txt"
        process = await asyncio.create_subprocess_exec(
            *(*self._command, *arguments, str(path)),
            env={**self._environment, **environment},
            stdin=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)

        def ready() -> bool:
            assert process.returncode is None, "the process has failed"
            return path.exists() and path.read_text().startswith("ready\n")

        await eventually(ready)

    async def kill(self) -> None:
        """Kills one."""
        process = self.processes.pop(random.randrange(len(self.processes)))
        process.kill()
        await process.communicate()

    async def finish(self) -> None:
        """Has all finish what they do."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            assert await process.wait() == 0
        self.processes.clear()

    def kill_all(self) -> None:
        """Kills what is left."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()

    def new_lines(self) -> Iterator[str]:
        """Yields the lines that were written since the last call; what is not whole yet comes the next time."""
        for path in self._folder.glob("*.txt"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
            yield from whole.decode().splitlines()
