"""Those who stand for one leadership, of whom never two may lead at once."""

from __future__ import annotations

import asyncio
import contextlib

from micro_rt.errors import Error
from micro_rt.sync.base import LockLost
from micro_rt.sync.sync import Sync

__all__ = ["Candidates"]


class Candidates:
    """What happens in one election, as those who stand see it.

    Args:
        name: of the leadership.
        ttl: seconds.
    """

    def __init__(self, name: str, ttl: float) -> None:
        self.leading = 0
        """How many lead now."""
        self.numbers: list[int] = []
        """The numbers of the terms, in the order in which they began."""
        self._name = name
        self._ttl = ttl

    async def stand(self, sync: Sync) -> None:
        """Leads whenever it can, until it is cancelled; outages and lost terms are part of it.

        Raises:
            AssertionError: another one leads at the same time.
        """
        while True:
            with contextlib.suppress(LockLost, Error):
                async with sync.leader(self._name, ttl=self._ttl) as term:
                    try:
                        self.leading += 1
                        self.numbers.append(term.number)
                        while self.leading == 1:
                            await asyncio.sleep(0.01)
                        raise AssertionError("two lead")
                    finally:
                        self.leading -= 1
