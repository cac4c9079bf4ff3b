"""Histories of a lock that several processes take, and what must hold of them whatever happens to the processes.

The rule: of two moments at which processes held the lock, the later one has the same or a greater token. So no two bodies
overlap, and no token is given out twice or goes back. All processes read the machine's boot clock.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.helpers.faked_clocks import faked_clock
from tests.helpers.waiting import eventually
from tests.helpers.workers import Workers

__all__ = ["Counts", "Lockers", "Moment", "check_history", "violations"]

CLOCKS = ("", "-1h", "+1h")
"""What the wall clocks of the processes are off by, in turn."""


class Moment(NamedTuple):
    """A process held the lock at some moment between two readings of the boot clock."""

    before: float
    after: float
    epoch: int
    token: int
    claim: str


@dataclass
class Counts:
    """What was counted."""

    held: int = 0
    lost: int = 0
    kills: int = 0
    stops: int = 0
    disturbances: int = 0
    overlaps: int = 0


def violations(moments: Sequence[Moment]) -> list[str]:
    """Returns what is wrong with a history."""
    found: list[str] = []
    owners: dict[tuple[int, int], str] = {}
    for moment in moments:
        owner = owners.setdefault((moment.epoch, moment.token), moment.claim)
        if owner != moment.claim:
            found.append(f"token {moment.token} was given to {owner} and to {moment.claim}")
    highest: Moment | None = None
    # What ended before a moment began was before it; what overlaps with it may have been on either side.
    ends = sorted(moments, key=lambda moment: moment.after)
    index = 0
    for moment in sorted(moments, key=lambda moment: moment.before):
        while index < len(ends) and ends[index].after < moment.before:
            if highest is None or ends[index][2:4] > highest[2:4]:
                highest = ends[index]
            index += 1
        if highest is not None and moment[2:4] < highest[2:4]:
            found.append(f"{moment} comes after {highest}")
    return found


class Lockers(Workers):
    """Processes that take one lock in turn.

    Args:
        factory: ``"module:name"`` of what makes the engine.
        address: its only argument.
        environment: what is set for them besides.
        name: of the lock.
        ttl: seconds.
        folder: of their files.
    """

    def __init__(
        self, factory: str, address: str, environment: Mapping[str, str], name: str, ttl: float, folder: Path
    ) -> None:
        super().__init__("tests.faults.sync_worker", (factory, address, name, str(ttl)), environment, folder)
        self.ttl = ttl
        self.moments: list[Moment] = []
        self.claims: set[str] = set()
        self.lost = 0

    async def start(self) -> None:
        """Starts one more; where libfaketime is installed, its wall clock is off by an hour, or is not."""
        await self.begin(**faked_clock(CLOCKS[self.started % len(CLOCKS)], required=False))

    async def stop_a_while(self) -> None:
        """Stops one for longer than its ttl."""
        process = random.choice(self.processes)
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self.ttl * 1.3)
        finally:
            process.send_signal(signal.SIGCONT)

    def look(self) -> int:
        """Reads what was written since; returns how often the lock was held."""
        for line in self.new_lines():
            match line.split():
                case [before, after, epoch, token, claim]:
                    self.moments.append(Moment(float(before), float(after), int(epoch), int(token), claim))
                    self.claims.add(claim)
                case ["LockLost"]:
                    self.lost += 1
                case _:
                    pass
        return len(self.claims)


async def check_history(
    lockers: Lockers,
    *,
    processes: int,
    holds: int,
    disturb: Sequence[Callable[[], Awaitable[None]]],
    disturbances: int,
) -> Counts:
    """Has processes take a lock in turn while they are stopped and killed and their engine is disturbed, and checks the history.

    Args:
        lockers: that take it.
        processes: how many at once.
        holds: how often the lock is held at least.
        disturb: what disturbs the engine, each in turn.
        disturbances: how many there are: every third one stops a process, every third one kills one, the others disturb the engine.
    """
    counts = Counts()
    try:
        for _ in range(processes):
            await lockers.start()
        for number in range(disturbances):
            most = holds * number // disturbances
            await eventually(lambda most=most: lockers.look() >= most, within=600)
            if number % 3 == 0:
                await lockers.stop_a_while()
                counts.stops += 1
            elif number % 3 == 1 or not disturb:
                await lockers.kill()
                await lockers.start()
                counts.kills += 1
            else:
                await disturb[counts.disturbances % len(disturb)]()
                counts.disturbances += 1
        await eventually(lambda: lockers.look() >= holds, within=600)
        await lockers.finish()
        lockers.look()
    finally:
        lockers.kill_all()
    counts.held, counts.lost = len(lockers.claims), lockers.lost
    found = violations(lockers.moments)
    counts.overlaps = len(found)
    assert not found, "\n".join(found[:20])
    return counts
