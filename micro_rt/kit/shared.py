"""One engine per address: what several backends of a process share while any of them has it open.

This is the one deliberate exception to "no mutable module globals": what ``memory:`` means, and that a file or
a server is connected to once, is state of the process. It is kept per event loop, so that two loops never
meet in one engine and nothing outlives its loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from micro_rt.kit.home import Home

__all__ = ["Engine", "Shared"]


class Engine(Protocol):
    """What can be shared."""

    async def open(self) -> None:
        """Connects; called once, before the first use."""

    async def close(self) -> None:
        """Disconnects; called once, after the last use."""


EngineT = TypeVar("EngineT", bound=Engine)


class Shared(Generic[EngineT]):
    """One user's hold on the engine of a key.

    The first user makes and opens the engine, the last one closes it, and a user who comes while it is being
    closed gets a new one.

    Args:
        key: what makes two engines the same: the kind of engine, where it is, and its options.
        factory: makes the engine, unopened.
    """

    __slots__ = ("_factory", "_forks", "_key", "_slot")

    def __init__(self, key: Hashable, factory: Callable[[], EngineT]) -> None:
        self._key = key
        self._factory = factory
        self._slot: _Slot | None = None
        self._forks = Home.forks

    async def acquire(self) -> EngineT:
        """Returns the engine, open; whatever its ``open`` raises passes, and leaves nothing behind."""
        if self._slot is not None:
            raise RuntimeError("acquired already")
        self._forks = Home.forks
        slots = _slots_of(asyncio.get_running_loop())
        slot = self._slot = slots.setdefault(self._key, _Slot())
        slot.users += 1
        try:
            async with slot.lock:
                if slot.engine is None:
                    engine = self._factory()
                    await engine.open()
                    slot.engine = engine
                    return engine
                return slot.engine  # type: ignore[return-value]  # one key, one type
        except BaseException:
            self._slot = None
            slot.users -= 1
            if not slot.users:
                slots.pop(self._key, None)
            raise

    async def release(self) -> None:
        """Gives the engine back; does nothing if there is nothing to give back.

        Nor does it in a forked child: the engine's connections and tasks belong to the parent process.
        """
        slot, self._slot = self._slot, None
        if slot is None or self._forks != Home.forks:
            return
        slot.users -= 1
        async with slot.lock:
            if slot.users or slot.engine is None:
                return
            engine, slot.engine = slot.engine, None
            try:
                await engine.close()
            finally:
                if not slot.users:
                    _slots_of(asyncio.get_running_loop()).pop(self._key, None)


class _Slot:
    """Holds the engine of one key and counts its users; the lock is held while the engine is opened or closed."""

    __slots__ = ("engine", "lock", "users")

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.lock = asyncio.Lock()
        self.users = 0


_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Slot]] = WeakKeyDictionary()


def _slots_of(loop: asyncio.AbstractEventLoop) -> dict[Hashable, _Slot]:
    if loop not in _slots:
        # An engine that was never given back refers to its loop, which weak keys alone would then keep.
        for other in [other for other in _slots if other.is_closed()]:
            del _slots[other]
        _slots[loop] = {}
    return _slots[loop]
