"""Runs a child and samples it: ``python -m benchmarks.sampler OUT benchmarks.servers micro 127.0.0.1:50051``.

A timer of CPU time interrupts the process, which then notes what it is in. That needs no tool and no privilege,
and costs little; what C code takes is noted for the Python code that called it or runs next.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

__all__ = ["INTERVAL"]

INTERVAL = 0.002
"""CPU seconds between samples; the kernel may take more."""

_stacks: Counter[tuple[str, ...]] = Counter()


def sample(number: int, frame: FrameType | None) -> None:
    """Notes the files that are being run, innermost first."""
    files: list[str] = []
    while frame is not None:
        file = frame.f_code.co_filename
        if not files or files[-1] != file:
            files.append(file)
        frame = frame.f_back
    _stacks[tuple(files)] += 1


def main(out: Path, module: str, arguments: list[str]) -> None:
    """Runs a module as a program, and writes what was sampled when it has ended."""
    sys.argv = [module, *arguments]
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write_text(json.dumps([[count, stack] for stack, count in _stacks.items()]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
