"""Failures: what becomes of a record whose attempt has failed, or that cannot be handled at all.

The rules that it keeps, and why:

- A failed record is tried again after a back-off, ``attempts`` times at most. It waits without a worker.
- A failure that passes by itself, such as ``Unavailable``, says nothing about the record: it is tried on after its attempts, at
  growing waits up to ``max_backoff``, for ``retry_for`` seconds. Its key waits, so that the order holds, and no more records are
  read meanwhile than may be in flight. Otherwise an outage of seconds would make a dead letter of every record.
- After the last attempt a record becomes a dead letter, or the subscription stops in front of it, as the options say.
  So does one that cannot be read, without an attempt. An event whose deadline has passed becomes a dead letter in any
  case.
- A dead letter that the broker does not accept is tried again for as long as it takes: dropping the record would lose
  it. ``Delivery.trouble`` reports it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import cast

from micro_rt.broker.base import Broker
from micro_rt.errors import Aborted, DeadlineExceeded, Error, ResourceExhausted, Unavailable
from micro_rt.events.dead_letter import dead_letter_topic, publish_dead_letter
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.progress import PendingRecord, error_text
from micro_rt.kit import backoff
from micro_rt.kit.clock import loop_time
from micro_rt.logs import logger, sparsely

__all__ = ["Expired", "Failures"]

SAY_AGAIN = 60.0
"""Seconds between two warnings that records of a group are tried on after their attempts."""

_PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted, Aborted)
"""Errors that say nothing about the record: what the handler needs is away, or busy."""

_log = logger("micro_rt.events")


class Expired(DeadlineExceeded):
    """The deadline of an event passed before it could be handled."""


class Failures:
    """The failures of one subscription.

    Args:
        broker: open; takes the dead letters.
        options: how often and for how long records are tried, and what becomes of them then.
        again: called with a record when its wait is over.
        done: called with a record once it is a dead letter.
        stop: called with the reason if the subscription is to stop in front of a record.
    """

    def __init__(
        self,
        broker: Broker,
        options: DeliveryOptions,
        *,
        again: Callable[[PendingRecord], None],
        done: Callable[[PendingRecord], None],
        stop: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._options = options
        self._again = again
        self._done = done
        self._stop = stop
        self._say_again = -math.inf
        self.retention: Mapping[str, float] = {}
        """Seconds that the records of topics are kept, of those where that is known."""

    def retry_for(self, topic: str) -> float:
        """Returns how many seconds a record of a topic is tried while its failures may pass by themselves."""
        retention = self.retention.get(topic)
        return self._options.retry_for if retention is None else min(self._options.retry_for, retention / 2)

    async def attempt_failed(self, pending: PendingRecord, error: BaseException) -> None:
        """Has a record tried again after an attempt that raised an error, or gives it up."""
        options = self._options
        now = loop_time()
        pending.failed_at = pending.failed_at or now
        pending.failure = error_text(error)
        if isinstance(error, Expired):
            await self.dead_letter(pending, pending.failure, error)
            return
        pending.refused += not _passes(error)
        left = pending.failed_at + self.retry_for(pending.record.topic) - now
        if max(pending.refused, pending.attempts if left <= 0 else 0) >= options.attempts:
            await self.give_up(pending, pending.failure, error)
            return
        delay = self._backoff(pending)
        pending.retried = pending.attempts >= options.attempts
        if pending.retried:
            self._try_on(pending, error, min(delay, left))
            return
        _log.log(
            logging.WARNING if pending.attempts == 1 else logging.INFO,
            "%s: attempt %d of %d failed, the next one in %.1f s: %s",
            pending,
            pending.attempts,
            options.attempts,
            delay,
            pending.failure,
            exc_info=error if pending.attempts == 1 and not isinstance(error, Error) else None,
            extra=sparsely(pending.record.topic),
        )
        self._later(pending, delay)

    def interrupted(self, pending: PendingRecord, error: Error) -> None:
        """Has a record tried again whose worker has ended in the middle of an attempt."""
        pending.failure = pending.failure or error_text(error)
        self._later(pending, self._backoff(pending))

    async def give_up(self, pending: PendingRecord, reason: str, error: BaseException | None) -> None:
        """Makes a dead letter of a record that cannot be handled, or stops in front of it, as the options say.

        Args:
            pending: the record.
            reason: why, for a person.
            error: what the last attempt raised; None if no attempt was made.
        """
        group = self._options.group
        if (pending.on_failure or self._options.on_failure) == "stop":
            _log.error("group %s stops at %s after %d attempts", group, pending, pending.attempts, exc_info=error)
            self._stop(f"group {group} has stopped at {pending}: {reason}")
        else:
            await self.dead_letter(pending, reason, error)

    async def dead_letter(self, pending: PendingRecord, reason: str, error: BaseException | None) -> None:
        """Puts a record into the dead-letter topic; then it is done. If that fails, tries again for as long as it takes."""
        pending.given_up = (reason, error)
        group = self._options.group
        topic = dead_letter_topic(pending.record.topic, group)
        try:
            await publish_dead_letter(self._broker, pending.record, group, reason, error, pending.attempts)
        except Exception as failure:
            pending.dead_letter_failures += 1
            pending.dead_letter_problem = f"cannot be put into {topic}: {error_text(failure)}"
            delay = backoff.delay(pending.dead_letter_failures + 1, 0.5, 30.0, jitter=0.5)
            text = "%s cannot be put into %s, and waits %.1f s: %s"
            _log.error(text, pending, topic, delay, error_text(failure), extra=sparsely(topic))
            self._later(pending, delay)
            return
        text = "%s is in %s after %d attempts: %s"
        _log.error(text, pending, topic, pending.attempts, reason, exc_info=error, extra=sparsely(topic))
        self._done(pending)

    def _try_on(self, pending: PendingRecord, error: BaseException, delay: float) -> None:
        """Tries a record on that has had its attempts; logs so once a minute, however many there are."""
        now = loop_time()
        if now >= self._say_again:
            self._say_again = now + SAY_AGAIN
            _log.warning(
                "%s: attempt %d failed, and it and others like it are tried on, for %.0f s at most: %s",
                pending,
                pending.attempts,
                self.retry_for(pending.record.topic),
                pending.failure,
                exc_info=None if isinstance(error, Error) else error,
            )
        self._later(pending, delay)

    def _backoff(self, pending: PendingRecord) -> float:
        """Returns how many seconds a record waits before it is tried again."""
        return backoff.delay(pending.attempts, self._options.backoff, self._options.max_backoff)

    def _later(self, pending: PendingRecord, delay: float) -> None:
        pending.timer = asyncio.get_running_loop().call_later(delay, self._wait_is_over, pending)

    def _wait_is_over(self, pending: PendingRecord) -> None:
        pending.timer = None
        if not pending.progress.released:
            self._again(pending)


def _passes(error: BaseException) -> bool:
    """Returns whether an error may pass by itself; of a group, every one must."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(_passes, group.exceptions))
    return isinstance(error, _PASSING)
