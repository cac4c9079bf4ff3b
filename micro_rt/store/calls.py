"""Calls to an engine that are tried again: reads always, writes where that is safe.

The rules that they keep, and why:

- What cannot be reached is tried again until the deadline, with back-off.
- A write that provably was not made is made again.
- A conditional write is made again in any case: the engine recognizes it by its id.
- Of an unconditional write whose answer was lost, only its fate is looked up. A second one could undo the write of somebody else
  that came in between. If it was not made by then, the error says that it may be made: it may still be on its way.
- A conflict that comes after a lost answer may be one with the write itself, and a later one on top of it: what became of it is
  unknown. The same holds for a fence that is stale then, since a newer holder may have written on top of it, and for every other
  failure that comes after a lost answer. No error says that a write was not made unless that is known.
- A write with a fence goes only to an engine that keeps fences: one that ignores them would let an old holder write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from micro_rt.errors import DeadlineExceeded, Error, InvalidArgument, Unavailable, Unimplemented
from micro_rt.fence import Fence
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import loop_time
from micro_rt.store.base import StoreEngine, Write
from micro_rt.store.bounds import bounded

__all__ = ["check_fences", "check_write", "chunks", "outcome_after", "persistently", "settled"]

T = TypeVar("T")

_WRITES_AT_ONCE = 256
_BYTES = 4 << 20
"""Bytes of values that are written at once, or one value."""
_BACKOFF = (0.02, 1.0)
"""Seconds until what failed is tried again: at first, and at most."""


async def persistently(engine: StoreEngine | None, work: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Reads, or opens, and tries again until the deadline while the engine cannot be reached.

    Args:
        engine: whose name the error has; None for one that is not open yet.
        work: what is tried.
        deadline: on the loop's clock.
    """
    backoff: Backoff | None = None
    while True:
        try:
            return await bounded(engine, work(), deadline)
        except Unavailable:
            backoff = backoff or Backoff(*_BACKOFF)
            pause = backoff.failed()
            if loop_time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)


def check_write(engine: StoreEngine, write: Write) -> None:
    """Checks whether an engine can make a write.

    Raises:
        InvalidArgument: it does not take so many bytes.
        Unimplemented: the write has a fence, and it keeps none.
    """
    most = engine.capabilities.max_value
    if write.value is not None and len(write.value) > most:
        raise InvalidArgument(
            f"the value of {write.key!r} has {len(write.value)} bytes, and {engine.name} takes {most} at most"
        )
    check_fences(engine, write.fence)


def check_fences(engine: StoreEngine, fence: Fence | None) -> None:
    """Checks whether an engine keeps fences, if there is one.

    Raises:
        Unimplemented: it does not.
    """
    if fence is not None and not engine.capabilities.fences:
        raise Unimplemented(
            f"{engine.name} keeps no fences, and would let a former holder of lock {fence.lock!r} write: choose another store, or "
            "write without fence=",
            id="micro.no_fences",
            may_have_run=False,
        )


async def settled(engine: StoreEngine, write: Write, deadline: float) -> int:
    """Makes a write, and returns its version."""
    check_write(engine, write)
    try:
        (outcome,) = await bounded(engine, engine.apply((write,)), deadline)
    except Unavailable as error:
        outcome = await outcome_after(engine, write, deadline, error)
    if isinstance(outcome, Error):
        raise outcome
    return outcome


async def outcome_after(engine: StoreEngine, write: Write, deadline: float, error: Error) -> int | Error:
    """Returns what became of a write that failed with an error: its version, or why it was not made, as far as can be found out."""
    backoff = Backoff(*_BACKOFF)
    lost = _is_lost(error)
    while isinstance(error, Unavailable):
        pause = backoff.failed()
        if loop_time() + pause >= deadline:
            break
        await asyncio.sleep(pause)
        try:
            if lost and write.if_version is None:
                last = await bounded(engine, engine.last(write.key), deadline)
                if last is not None and last.id == write.id:
                    return last.version
                return _unknown(write, "the answer was lost, and the record's last write is another one")
            (outcome,) = await bounded(engine, engine.apply((write,)), deadline)
        except Error as another:
            error = another
            lost = lost or _is_lost(error)
        else:
            if lost and isinstance(outcome, Error):
                return _unknown(write, f"the answer was lost, and now: {outcome.message}")
            return outcome
    if lost and not _is_lost(error):  # It is the last attempt alone that was not made.
        return _unknown(write, f"an answer was lost, and then: {error.message}")
    return error


def _is_lost(error: Error) -> bool:
    """Returns whether a write that failed with an error may have been made."""
    return isinstance(error, Unavailable | DeadlineExceeded) and error.may_have_run


def _unknown(write: Write, why: str) -> Unavailable:
    done = "deleted" if write.value is None else "written"
    return Unavailable(f"it is unknown whether record {write.key!r} was {done}: {why}")


def chunks(writes: Sequence[Write]) -> Iterable[Sequence[Write]]:
    """Yields writes in groups that are neither too many nor too large."""
    some: list[Write] = []
    size = 0
    for write in writes:
        size += len(write.value or b"")
        if some and (len(some) >= _WRITES_AT_ONCE or size > _BYTES):
            yield some
            some, size = [], len(write.value or b"")
        some.append(write)
    if some:
        yield some
