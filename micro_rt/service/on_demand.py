"""A part of a service that is opened when it is needed first, which may be never: its store, its locks.

Rules:

- Those who ask while it opens wait for the same. Whoever is cancelled leaves the others their part.
- One that cannot be opened is tried again at the next use.
- It belongs to one run of the service. Once the service has stopped, it is not opened any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.home import Home
from micro_rt.kit.tasks import cut_short, observed

__all__ = ["OnDemand"]

OPENING = 1.0
"""Seconds that it has to leave off opening, when the service stops."""


class Closable(Protocol):
    """What is opened and closed."""

    async def close(self) -> None:
        """Closes it."""


EngineT = TypeVar("EngineT", bound=Closable)


class OnDemand(Generic[EngineT]):
    """An engine that is opened at its first use.

    Args:
        home: the event loop and the process that it is used in.
        open: makes the engine and opens it.
        stopped: makes the error of a use after the service has stopped.
    """

    def __init__(
        self, home: Home, open: Callable[[], Awaitable[EngineT]], stopped: Callable[[], FailedPrecondition]
    ) -> None:
        self._home = home
        self._open = open
        self._stopped = stopped
        self._opening: asyncio.Task[EngineT] | None = None
        self._closed = False

    def ready(self) -> EngineT | None:
        """Returns the engine if it is open.

        Raises:
            RuntimeError: another event loop or another process asks.
        """
        self._home.check()
        opening = self._opening
        if opening is None or not opening.done() or opening.cancelled() or opening.exception() or self._closed:
            return None
        return opening.result()

    async def opened(self) -> EngineT:
        """Returns the engine, and opens it the first time.

        Raises:
            FailedPrecondition: the service has stopped.
            RuntimeError: another event loop or another process asks.
        """
        if (engine := self.ready()) is not None:
            return engine
        if self._closed:
            raise self._stopped()
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._make())
            observed(self._opening)
        opening = self._opening
        if not opening.done():
            await asyncio.wait((opening,))  # Whoever is cancelled leaves the others their engine.
        if opening.cancelled():
            raise self._stopped()
        return opening.result()

    async def close(self) -> None:
        """Closes the engine if it is open, and keeps it from being opened again."""
        opening, self._closed = self._opening, True
        if opening is None:
            return
        ended = opening.done() or await cut_short(opening, OPENING)
        if ended and not opening.cancelled() and opening.exception() is None:
            await opening.result().close()

    async def _make(self) -> EngineT:
        return await self._open()
