"""What all subscriptions of an event loop share, so that each leaves enough for the others."""

from __future__ import annotations

from micro_rt.events.memory import LoopMemory
from micro_rt.events.turns import LoopTurns

__all__ = ["LoopShare"]


class LoopShare:
    """What the subscriptions of one event loop share; an engine of ``kit.shared``.

    Attributes:
        memory: the bytes of events in flight.
        turns: the time of the loop.
    """

    __slots__ = ("memory", "turns")

    def __init__(self) -> None:
        self.memory = LoopMemory()
        self.turns = LoopTurns()

    async def open(self) -> None:
        """Does nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Does nothing."""
