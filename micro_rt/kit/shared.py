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

    __slots__ = ("_factory", "_key", "_place")

    def __init__(self, key: Hashable, factory: Callable[[], EngineT]) -> None:
        self._key = key
        self._factory = factory
        self._place: _Place | None = None

    async def acquire(self) -> EngineT:
        """Returns the engine, open; whatever its ``open`` raises passes, and leaves nothing behind."""
        if self._place is not None:
            raise RuntimeError("acquired already")
        places = _places_of(asyncio.get_running_loop())
        place = self._place = places.setdefault(self._key, _Place())
        place.users += 1
        try:
            async with place.lock:
                if place.engine is None:
                    engine = self._factory()
                    await engine.open()
                    place.engine = engine
                    return engine
                return place.engine  # type: ignore[return-value]  # one key, one type
        except BaseException:
            self._place = None
            place.users -= 1
            if not place.users:
                places.pop(self._key, None)
            raise

    async def release(self) -> None:
        """Gives the engine back; does nothing if there is nothing to give back."""
        place, self._place = self._place, None
        if place is None:
            return
        place.users -= 1
        async with place.lock:
            if place.users or place.engine is None:
                return
            engine, place.engine = place.engine, None
            try:
                await engine.close()
            finally:
                if not place.users:
                    _places_of(asyncio.get_running_loop()).pop(self._key, None)


class _Place:
    """Where the engine of one key is; the lock is held while it is opened or closed."""

    __slots__ = ("engine", "lock", "users")

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.lock = asyncio.Lock()
        self.users = 0


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Place]] = WeakKeyDictionary()


def _places_of(loop: asyncio.AbstractEventLoop) -> dict[Hashable, _Place]:
    if loop not in _places:
        # An engine that was never given back refers to its loop, which weak keys alone would then keep.
        for other in [other for other in _places if other.is_closed()]:
            del _places[other]
        _places[loop] = {}
    return _places[loop]
