"""How a subscription handles its events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from micro_rt.broker.base import Start, checked_start

__all__ = ["DeliveryOptions"]


MOST_CRASH_ATTEMPTS = 20
"""So many processes that have ended have space in the note of a position."""


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How a subscription handles its events.

    Attributes:
        group: whose members share the records.
        start: where the group begins when it is new.
        concurrency: how many events are handled at once.
        attempts: how many times a record is tried at most, the first time included.
        backoff: seconds; the wait before the second try is a random part of it, and it doubles with each try.
        max_backoff: seconds; the longest wait.
        timeout: seconds that one attempt may take; None for as long as it takes.
        on_failure: what becomes of a record whose last attempt failed: it goes to the dead-letter topic, or the
            subscription stops in front of it.
        max_in_flight: records of one partition that are read and not done at most.
        crash_attempts: how many processes may end while a record is the only one that they are handling. After that, the record is
            not handled again: what becomes of it says ``on_failure``.
        retry_for: seconds for which a record is tried, also beyond ``attempts``, while its handler raises an error that passes
            by itself: ``Unavailable``, ``DeadlineExceeded``, ``ResourceExhausted`` or ``Aborted``. Where the retention of the topic
            is known, half of it is the most.
        on_unknown: what becomes of a record whose type the .proto does not have: it is passed over, it goes to the dead-letter
            topic, or the subscription stops in front of it.
    """

    group: str
    start: Start = "earliest"
    concurrency: int = 32
    attempts: int = 5
    backoff: float = 0.2
    max_backoff: float = 30.0
    timeout: float | None = None
    on_failure: Literal["dead_letter", "stop"] = "dead_letter"
    max_in_flight: int = 1000
    crash_attempts: int = 5
    retry_for: float = 3600.0
    on_unknown: Literal["skip", "dead_letter", "stop"] = "skip"

    def __post_init__(self) -> None:
        if not self.group:
            raise ValueError('a subscription needs a group: service.subscribe(Billing(), group="billing")')
        for name in ("concurrency", "attempts", "max_in_flight", "crash_attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if self.crash_attempts > MOST_CRASH_ATTEMPTS:
            raise ValueError(f"crash_attempts={self.crash_attempts}: at most {MOST_CRASH_ATTEMPTS}")
        checked_start(self.start)
        if self.backoff < 0 or self.max_backoff < self.backoff:
            raise ValueError(f"backoff={self.backoff}, max_backoff={self.max_backoff}: 0 <= backoff <= max_backoff")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"timeout={self.timeout}: more than 0 seconds, or None")
        if not 0 <= self.retry_for < math.inf:
            raise ValueError(f"retry_for={self.retry_for}: a finite number of seconds, 0 or more")
        if self.on_failure not in ("dead_letter", "stop"):
            raise ValueError(f"on_failure={self.on_failure!r}: 'dead_letter' or 'stop'")
        if self.on_unknown not in ("skip", "dead_letter", "stop"):
            raise ValueError(f"on_unknown={self.on_unknown!r}: 'skip', 'dead_letter' or 'stop'")
