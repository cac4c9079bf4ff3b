"""Putting dead letters back: to their topic, for the group that could not handle them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from micro_rt.broker.base import Broker, Partition
from micro_rt.errors import DeadlineExceeded, Error, NotFound
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic, revived

__all__ = ["replay"]

JOIN_TIMEOUT = 30.0
"""Seconds that it may take until partitions are assigned."""
_BATCH = 100
_WAIT = 0.5


async def replay(
    broker: Broker, topic: str, group: str, *, limit: int | None = None, dry_run: bool = False
) -> AsyncIterator[DeadLetter]:
    """Puts dead letters back, oldest first, and gives each one once it is accepted; what is put back is not put back again.

    Those that are there: what becomes a dead letter meanwhile, because its handler fails still, waits for the next time. At least once, as everything: one that was put back just before a crash is put back again.

    Args:
        broker: open.
        topic: where the records were.
        group: which could not handle them; others pass them over.
        limit: how many at most; None for all that there are.
        dry_run: only gives them, and changes nothing.

    Raises:
        NotFound: the group has never put anything of this topic aside, or its dead letters are not to be seen.
        Error: the broker cannot be reached, or does not take a record; those given are back, the others are dead letters still.
    """
    name = dead_letter_topic(topic, group)
    listener = _Assigned()
    member = broker.subscribe((name,), f"{group}.replay", "earliest", listener)
    put_back = 0
    left: dict[Partition, int] = {}
    clock = asyncio.get_running_loop().time
    joined_by = clock() + JOIN_TIMEOUT
    try:
        while limit is None or put_back < limit:
            try:
                fetched = await member.fetch(_BATCH, _WAIT)
            except NotFound as error:
                text = f"there is no topic {name}, or none to be seen: group {group} has put nothing of {topic} aside"
                raise NotFound(text, may_have_run=False) from error
            if came := listener.partitions.difference(left):
                lag = await member.lag()
                left.update({partition: lag.get(partition, 0) for partition in came})
            if not fetched and not listener.partitions and clock() > joined_by:
                raise DeadlineExceeded(
                    f"no partition of {name} was assigned within {JOIN_TIMEOUT:g} s: is it read already?"
                )
            if not fetched and listener.partitions and (dry_run or not any((await member.lag()).values())):
                return
            for partition, records in fetched.items():
                for record in records[: left.get(partition, 0)]:
                    left[partition] -= 1
                    letter = DeadLetter.of(record)
                    if letter is not None and (letter.topic, letter.group) != (topic, group):
                        letter = None  # of another group whose topic has the same name
                    if put_back == limit:
                        return
                    if letter is not None and not dry_run:
                        (outcome,) = await broker.publish([revived(record, letter)])
                        if isinstance(outcome, Error):
                            raise outcome
                    if not dry_run:
                        await member.commit({partition: record.offset + 1})
                    if letter is not None:
                        put_back += 1
                        yield letter
            if listener.partitions and not any(left.get(partition) for partition in listener.partitions):
                return
    finally:
        await member.close()


class _Assigned:
    """Remembers which partitions a member has."""

    def __init__(self) -> None:
        self.partitions: set[Partition] = set()

    async def assigned(self, partitions: Collection[Partition]) -> None:
        self.partitions.update(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        self.partitions.difference_update(partitions)

    async def lost(self, partitions: Collection[Partition]) -> None:
        self.partitions.difference_update(partitions)
