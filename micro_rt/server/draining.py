"""How the end of a server reaches the calls that it serves."""

from __future__ import annotations

import asyncio

__all__ = ["Draining"]


class Draining:
    """The end of one run of a server.

    Attributes:
        begun: set once the server refuses new calls and waits for those in flight.
        cut_off: whether it waits no longer. The calls that are still in flight are then cancelled.
    """

    __slots__ = ("begun", "cut_off")

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cut_off = False
