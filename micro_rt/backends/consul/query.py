"""Blocking queries, by Consul's rules for them (https://developer.hashicorp.com/consul/api-docs/features/blocking)."""

from __future__ import annotations

import asyncio
import math

from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.http import Answer, Params
from micro_rt.errors import Error, ResourceExhausted, Unavailable
from micro_rt.kit import backoff
from micro_rt.logs import logger

__all__ = ["BlockingQuery", "Retries"]

MAX_AGE = 10.0
"""Seconds; what a server says that heard from its leader longer ago is asked of the leader instead."""
PACE = (0.02, 0.5)
"""Seconds between two answers: the least, and the most that is left to others where answers take long to digest."""
RETRY = (0.05, 5.0)
"""Seconds; the bound of the first random wait after a failure, and what it doubles up to."""


NOTICED = 3
"""Failures in a row of one request, while Consul answers others, that are worth a line in the log."""

_log = logger("micro_rt.consul")


class Retries:
    """Waits between attempts at one request.

    Args:
        consul: open.
        what: the request, for the log.
    """

    def __init__(self, consul: Consul, what: str) -> None:
        self._consul = consul
        self._what = what
        self._failures = 0

    async def failed(self, error: Error) -> None:
        """Waits for Consul to answer again if it does not, and then a little, not all at the same time."""
        self._failures += 1
        await self._consul.recovered()
        if self._failures == NOTICED:
            # An outage is told by the engine. This is another thing: too many connections from this machine, for one.
            _log.warning("%s fails again and again, and is tried on: %s", self._what, error.message)
        await asyncio.sleep(backoff.delay(self._failures, *RETRY))

    def worked(self) -> None:
        """The request was answered."""
        if self._failures >= NOTICED:
            _log.info("%s works again", self._what)
        self._failures = 0


class BlockingQuery:
    """One query, made again and again: gives the present state, then each later one.

    Args:
        consul: open.
        path: quoted already.
        stale: whether any server may answer, not only the leader.
    """

    def __init__(self, consul: Consul, path: str, *, stale: bool) -> None:
        self.anew = True
        """Whether the last answer does not go on from the one before: changes may have been missed, and indexes say nothing."""
        self.rest = 0.0
        """Seconds that there are at least between two answers."""
        self.longest = math.inf
        """Seconds that Consul waits at most before it answers without a change."""
        self._consul = consul
        self._path = path
        self._stale = stale
        self._index = 0
        self._known = 0  # The index of the answer that was given last.
        self._lost = True
        self._retries = Retries(consul, f"watching {path}")
        self._failures_of_all = consul.failures
        self._answered_at = float("-inf")

    def restart(self) -> None:
        """Has the next answer come at once: the question is another now."""
        self._index = 0

    async def answer(self, params: Params = ()) -> Answer:
        """Waits for the next state; an outage is waited out.

        Raises:
            micro.Error: it is refused, and waiting would not help. Call ``pause`` before trying again.
        """
        await self._pace()
        if self._failures_of_all != self._consul.failures:
            self._lose()
        while True:
            self._failures_of_all = self._consul.failures
            # The leader is asked first, and whenever something is strange: others may lag behind what was seen.
            stale = self._stale and not self._lost
            try:
                answer = await self._consul.block(
                    self._path, [*params, ("stale", "")] if stale else params, self._index, self.longest
                )
            except Unavailable as error:
                self._lose()
                await self._retries.failed(error)
                continue
            except ResourceExhausted as error:
                await self._retries.failed(error)
                continue
            except Error:
                self._lose()
                raise
            behind = self._index and answer.index < self._known
            if behind or (stale and (not answer.known_leader or answer.age > MAX_AGE)):
                self._lose()
                continue
            self.anew, self._lost = self._lost, False
            self._retries.worked()
            self._known = answer.index
            self._index = max(1, answer.index)  # 0 would not block.
            self._answered_at = asyncio.get_running_loop().time()
            return answer

    async def pause(self, error: Error) -> None:
        """Waits before another attempt, after an error that was raised."""
        await self._retries.failed(error)

    def _lose(self) -> None:
        # An index that Consul has not reached yet, because it lost its data, would wait for a long time.
        self._index = 0
        self._lost = True

    async def _pace(self) -> None:
        """Leaves time to others: what changes all the time is read a few times a second, and rarer if that is much."""
        spent = asyncio.get_running_loop().time() - self._answered_at
        if spent < PACE[1]:
            await asyncio.sleep(max(self.rest - spent, min(PACE[1], PACE[0] + 4 * spent)))
