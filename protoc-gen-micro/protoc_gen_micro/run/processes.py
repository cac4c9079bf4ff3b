"""Writes the files of one run in several processes: each is made from the same finished model, whichever process makes it.

The rules:

1. The results are those of one process, in the same order. What a child does not deliver, because it was killed, ran out of
   memory or met an exception, this process makes itself: an exception is then raised where one process would raise it.
2. A child writes only into its own pipe, and ends without the exit handlers of Python: nothing that this process holds in its
   buffers is written twice.
3. When the call ends, however it ends, no child and no descriptor is left.
4. A process that has other threads is not forked: a lock that one of them holds would stay locked in the child.

The processes take the next batch from one queue, the largest files first. So a process that gets less of its processor than
the others makes fewer files, and nobody waits for it.
"""

from __future__ import annotations

import gc
import marshal
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TypeVar

from protoc_gen_micro.errors import GenerateError

__all__ = ["VARIABLE", "in_order", "processes_for"]

ResultT = TypeVar("ResultT")

VARIABLE = "MICRO_GENERATE_PROCESSES"
"""The environment variable that says how many processes write the files of a run."""

_MOST = 4
"""How many processes there are at most, unless the variable says more: the part that one process does alone remains."""

_LARGEST = 64
"""The largest number that the variable may be."""

_FILES = 8
"""How many files there are for each process, at least."""

_WEIGHT = 2_000
"""What the files for each process weigh, at least: writing less takes hardly longer than starting a process."""

_BATCHES = 256
"""How many batches there are at most: each is one byte in a pipe, which holds 4,096 everywhere."""

_SIGKILL = 9
"""``signal.SIGKILL``: importing ``signal`` takes a millisecond."""


def processes_for(weights: Sequence[int]) -> int:
    """Returns how many processes a run takes: what the variable says, or else as many as make it shorter.

    Args:
        weights: how large each file of the run is, in elements of the .proto.

    Raises:
        GenerateError: the variable does not say a number of processes.
    """
    said = os.environ.get(VARIABLE, "")
    if said:
        wanted = int(said) if said.isascii() and said.isdecimal() and len(said) <= len(str(_LARGEST)) else 0
        if not 1 <= wanted <= _LARGEST:
            problem = (
                f"environment variable {VARIABLE} is {said[:_LARGEST]!a}; it must be a number from 1 to {_LARGEST}"
            )
            raise GenerateError(problem)
        wanted = min(wanted, len(weights))
    else:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        wanted = min(usable, _MOST, len(weights) // _FILES, sum(weights) // _WEIGHT)
    return wanted if wanted > 1 and hasattr(os, "fork") and _is_alone() else 1


def in_order(make: Callable[[int], ResultT], weights: Sequence[int], processes: int) -> Iterator[ResultT]:
    """Yields what ``make`` returns for each number from 0 on, made by several processes.

    Args:
        make: returns the result for a number; called in any process, so it must return the same in each. The result is
            made of tuples, lists, strings, numbers and None.
        weights: how long ``make`` takes for each number, in any unit.
        processes: how many processes there are, with this one.

    Raises:
        Exception: what ``make`` raises for the first number for which it raises.
    """
    made: Mapping[int, ResultT] = _made(make, weights, processes) if processes > 1 else {}
    for index in range(len(weights)):
        yield made[index] if index in made else make(index)


def _is_alone() -> bool:
    """Returns whether this process has one thread, also of those that Python does not know."""
    if threading.active_count() > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - importing pathlib takes longer
    except OSError:
        return True


def _made(make: Callable[[int], ResultT], weights: Sequence[int], processes: int) -> Mapping[int, ResultT]:
    """Returns the results that several processes could make."""
    order = sorted(range(len(weights)), key=weights.__getitem__, reverse=True)
    batches = [order[first::_BATCHES] for first in range(min(len(order), _BATCHES))]
    made: dict[int, ResultT] = {}
    pipes: dict[int, int] = {}
    try:
        queue = _queue(bytes(range(len(batches))))
    except OSError:
        return made
    try:
        for _ in range(processes - 1):
            if not _start(make, queue, batches, pipes):
                break
        _take(make, queue, batches, made)
        for pipe in pipes.values():
            _receive(pipe, made)
    except BaseException:
        for child in pipes:
            _kill(child)
        raise
    finally:
        os.close(queue)
        for child, pipe in pipes.items():
            os.close(pipe)
            _wait(child)
    return made


def _queue(content: bytes) -> int:
    """Returns the end to read of a pipe that holds some bytes and then ends."""
    queue, end = os.pipe()
    try:
        os.write(end, content)
    finally:
        os.close(end)
    return queue


def _start(make: Callable[[int], ResultT], queue: int, batches: Sequence[Sequence[int]], pipes: dict[int, int]) -> bool:
    """Starts a child, and adds it to ``pipes`` with the pipe that it delivers through; returns whether it could be started."""
    try:
        pipe, end = os.pipe()
    except OSError:
        return False
    try:
        child = os.fork()
        if not child:
            _deliver(make, queue, batches, (*pipes.values(), pipe), end)
    except OSError:
        os.close(pipe)
        return False
    finally:
        os.close(end)
    pipes[child] = pipe
    return True


def _deliver(
    make: Callable[[int], ResultT],
    queue: int,
    batches: Sequence[Sequence[int]],
    others: Sequence[int],
    end: int,
) -> NoReturn:
    """Is all that a child does: it makes what it can, writes the results, and ends.

    Args:
        make: returns the result for a number.
        queue: where the numbers of the batches come from.
        batches: the numbers in each batch.
        others: descriptors of the parent that the child closes.
        end: where the results go.
    """
    status = 1
    try:
        gc.disable()
        for descriptor in others:
            os.close(descriptor)
        made: dict[int, ResultT] = {}
        _take(make, queue, batches, made)
        rest = memoryview(marshal.dumps(made))
        while rest:
            rest = rest[os.write(end, rest) :]
        status = 0
    finally:
        os._exit(status)


def _take(
    make: Callable[[int], ResultT], queue: int, batches: Sequence[Sequence[int]], made: dict[int, ResultT]
) -> None:
    """Makes the results of one batch after the other, until there are none left or one cannot be made."""
    try:
        while number := os.read(queue, 1):
            for index in batches[number[0]]:
                made[index] = make(index)
    except Exception:  # noqa: S110 - ``in_order`` makes this result again, and in its turn
        pass


def _receive(pipe: int, made: dict[int, ResultT]) -> None:
    """Adds what a child delivers: nothing where it ends before it has delivered all."""
    parts: list[bytes] = []
    while part := os.read(pipe, 1 << 20):
        parts.append(part)
    with suppress(EOFError, TypeError, ValueError):
        made.update(marshal.loads(b"".join(parts)))  # noqa: S302 - from a child of this process


def _kill(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, _SIGKILL)


def _wait(child: int) -> None:
    with suppress(ChildProcessError):  # A program that ignores SIGCHLD has no children to wait for.
        os.waitpid(child, 0)
