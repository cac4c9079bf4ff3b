"""Processes that are measured: one line of JSON asks, one line answers.

A child ends when its standard input does, so none outlives the run, whatever ends that.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Child", "allow_files", "answer", "free_address", "loop_name", "run"]

PATIENCE = 30.0
"""Seconds that a child gets to end in good order."""

READY = "READY"


class Child:
    """A child process, seen from the run.

    Args:
        module: what it runs.
        arguments: its command line.
        home: the state folder of its registry.
        wrapper: a command that the child is started by, such as a profiler.
        program: is run instead of Python with a module, if given.
        environment: variables to set.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        home: str,
        wrapper: tuple[str, ...] = (),
        program: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [*wrapper, *((str(program),) if program else (sys.executable, "-m", module)), *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
        # A session of its own: Ctrl-C reaches the run only, and the run ends the child.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, **(environment or {}), "MICRO_HOME": home},
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(self)
            while (line := self._line()).strip() != READY:
                if not line:
                    raise RuntimeError(f"{' '.join(self._command)} did not start: see above")
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()
            process.wait(PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()

    @property
    def memory(self) -> int:
        """Bytes of memory that it has now."""
        return self._memory("VmRSS")

    @property
    def most_memory(self) -> int:
        """The most bytes of memory that it had since ``forget_most_memory``."""
        return self._memory("VmHWM")

    def forget_most_memory(self) -> None:
        """Counts the most memory from now on."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024

    def ask(self, **question: Any) -> Any:
        """Sends a question and waits for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._line()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended: see above")
        return json.loads(line)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


async def answer(handle: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
    """Answers the run's questions until it asks no more; the other end of ``Child``."""
    print(READY, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await handle(json.loads(line))), flush=True)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a child, on uvloop where it is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def allow_files(count: int) -> int:
    """Allows this process, and those that it starts, so many open files; returns how many it has then."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def loop_name() -> str:
    """Returns the name of the event loop that children run on."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return "asyncio"
    return uvloop.__name__


def free_address() -> str:
    """Returns an address on loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"
