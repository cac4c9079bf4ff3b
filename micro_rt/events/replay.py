"""Replaying dead letters: publishing them to their topic again, for the group that could not handle them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

from micro_rt.broker.base import Broker, Partition, Record, Subscription
from micro_rt.errors import DeadlineExceeded, Error, NotFound, Unavailable
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic, put_back, replayed_record
from micro_rt.logs import logger

__all__ = ["replay"]

JOIN_TIMEOUT = 60.0
"""Seconds that it may take until partitions are assigned: longer than the session of a replay that was killed just now."""
PATIENCE = 5.0
"""Seconds without a record after which those that were counted and have not come are taken for deleted."""
_SLOWEST = 10
"""How many times as long as a question to the broker takes it waits for records, if that is longer."""
_BATCH = 500
_WAIT = 0.5

_log = logger("micro_rt.events")


async def replay(
    broker: Broker, topic: str, group: str, *, limit: int | None = None, dry_run: bool = False
) -> AsyncIterator[DeadLetter]:
    """Replays dead letters, oldest first, and yields each one once the broker has accepted it; none is replayed twice.

    It replays those that are there when it begins: a record that becomes a dead letter meanwhile, because its handler still fails, waits
    for the next replay. As everywhere, this is at least once: records that were replayed just before a crash are replayed again.

    Dead letters are replayed in batches of up to 500. A loop that is left early has replayed the rest of its batch, too; ``limit``
    replays no more than that many.

    Args:
        broker: open.
        topic: where the records were.
        group: the group that could not handle them; others pass them over.
        limit: how many at most; None for all of them.
        dry_run: whether to only yield them, and change nothing.

    Raises:
        NotFound: the group has no dead letters of this topic, or this client may not see them.
        DeadlineExceeded: no partition of the dead-letter topic was assigned within 60 s, because another replay reads them.
        Error: the broker cannot be reached, or does not accept a record, which the message names; those yielded are replayed, the others
            still are dead letters.
    """
    name = dead_letter_topic(topic, group)
    listener = _Assigned()
    member = broker.subscribe((name,), f"{group}.replay", "earliest", listener)
    replayed = 0
    left: dict[Partition, int] = {}
    ends: dict[Partition, int] = {}
    clock = asyncio.get_running_loop().time
    joined_by = clock() + JOIN_TIMEOUT
    heard = clock()
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
                heard = clock()
            if not listener.partitions and clock() > joined_by:
                raise DeadlineExceeded(
                    f"no partition of {name} was assigned within {JOIN_TIMEOUT:g} s: is it read already?"
                )
            for partition, records in fetched.items():
                heard = clock()
                # Records may have been deleted in between: then their offsets are no longer there, and do not come.
                end = ends.setdefault(partition, records[0].offset + left.get(partition, 0))
                found = [record for record in records if record.offset < end]
                letters, done = _letters(found, topic, group, None if limit is None else limit - replayed)
                left[partition] = max(0, end - done) if found else 0
                replayed += len(letters)
                refused: dict[int, Error] = {}
                if found and not dry_run:
                    refused = await _publish_again(broker, member, partition, done, letters)
                for letter in letters:
                    if letter.record.offset not in refused:
                        yield letter
                if refused:
                    raise _refusal(letters, refused)
                if replayed == limit:
                    return
            if listener.partitions and not any(left.get(partition) for partition in listener.partitions):
                return
            if not fetched and listener.partitions:
                asked = clock()
                lag = await member.lag()
                if not dry_run and not any(lag.values()):
                    return
                if clock() - heard > max(PATIENCE, _SLOWEST * (clock() - asked)):
                    _log.warning("%d records of %s did not come, and seem to be deleted", sum(left.values()), name)
                    return
    finally:
        await member.close()


def _letters(records: Sequence[Record], topic: str, group: str, limit: int | None) -> tuple[Sequence[DeadLetter], int]:
    """Returns the dead letters of a group among records, up to a limit, and the offset after the last record that it looked at."""
    letters: list[DeadLetter] = []
    done = 0
    for record in records:
        letter = DeadLetter.of(record)
        if letter is not None and (letter.topic, letter.group) == (topic, group):
            if len(letters) == limit:
                break
            letters.append(letter)
        # Others are of another group whose topic has the same name.
        done = record.offset + 1
    return letters, done


async def _publish_again(
    broker: Broker, member: Subscription, partition: Partition, done: int, letters: Sequence[DeadLetter]
) -> dict[int, Error]:
    """Publishes dead letters to their topic, and commits; returns the errors of those that were refused, by their offset."""
    outcomes = await broker.publish([replayed_record(letter) for letter in letters])
    refused = {
        letter.record.offset: outcome
        for letter, outcome in zip(letters, outcomes, strict=True)
        if isinstance(outcome, Error)
    }
    if refused and not await _put_last(broker, letters, refused):
        done = min(refused)
    await member.commit({partition: done})
    return refused


async def _put_last(broker: Broker, letters: Sequence[DeadLetter], refused: dict[int, Error]) -> bool:
    """Publishes those that were refused to their topic again, after all others, so that the others are not replayed again the next time.

    Returns:
        Whether the position may pass them.
    """
    first = min(refused)
    if all(letter.record.offset in refused for letter in letters if letter.record.offset > first):
        return False  # No others follow them.
    if any(isinstance(error, Unavailable) for error in refused.values()):
        return False
    again = await broker.publish([put_back(letter) for letter in letters if letter.record.offset in refused])
    return not any(isinstance(outcome, Error) for outcome in again)


def _refusal(letters: Sequence[DeadLetter], refused: dict[int, Error]) -> Error:
    """Returns the error of the first one that was refused, which says which one that is."""
    letter = next(letter for letter in letters if letter.record.offset in refused)
    error = refused[letter.record.offset]
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    text = f"{letter.topic}/{letter.partition}@{letter.offset}{more} cannot be replayed: {error.message}"
    return type(error)(text, id=error.id, may_have_run=error.may_have_run)


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
