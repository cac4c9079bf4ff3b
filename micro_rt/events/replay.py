"""Replaying dead letters: publishing them to their topic again, for the group that could not handle them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from micro_rt.broker.base import Broker, Partition
from micro_rt.errors import DeadlineExceeded, Error, NotFound
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic, replayed_record

__all__ = ["replay"]

JOIN_TIMEOUT = 30.0
"""Seconds that it may take until partitions are assigned."""
_BATCH = 100
_WAIT = 0.5


async def replay(
    broker: Broker, topic: str, group: str, *, limit: int | None = None, dry_run: bool = False
) -> AsyncIterator[DeadLetter]:
    """Replays dead letters, oldest first, and yields each one once the broker has accepted it; none is replayed twice.

    It replays those that are there when it begins: a record that becomes a dead letter meanwhile, because its handler still fails, waits for the next replay. As everywhere, this is at least once: a record that was replayed just before a crash is replayed again.

    Args:
        broker: open.
        topic: where the records were.
        group: the group that could not handle them; others pass them over.
        limit: how many at most; None for all that there are.
        dry_run: whether to only yield them, and change nothing.

    Raises:
        NotFound: the group has no dead letters of this topic, or this client may not see them.
        Error: the broker cannot be reached, or does not accept a record; those yielded are replayed, the others still are dead letters.
    """
    name = dead_letter_topic(topic, group)
    listener = _Assigned()
    member = broker.subscribe((name,), f"{group}.replay", "earliest", listener)
    replayed = 0
    left: dict[Partition, int] = {}
    clock = asyncio.get_running_loop().time
    joined_by = clock() + JOIN_TIMEOUT
    try:
        while limit is None or replayed < limit:
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
                    if replayed == limit:
                        return
                    if letter is not None and not dry_run:
                        (outcome,) = await broker.publish([replayed_record(record, letter)])
                        if isinstance(outcome, Error):
                            raise outcome
                    if not dry_run:
                        await member.commit({partition: record.offset + 1})
                    if letter is not None:
                        replayed += 1
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
