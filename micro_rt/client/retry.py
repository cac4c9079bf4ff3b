"""Which failed calls are tried again, when, and how many of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from micro_rt.errors import Code, Error
from micro_rt.method import Method

__all__ = ["RetryBudget", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How calls are tried again.

    A call that provably reached no handler goes to every other node first, at once, whatever the policy says:
    it did not run. A call that may have run is tried again only if its method is declared idempotent in the
    .proto (``idempotency_level``), or if ``idempotent`` says so here.

    Attributes:
        attempts: how many times a call is sent at most, the first time included.
        backoff: seconds; the wait before the second try is a random part of it, and it doubles with each try
            ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        max_backoff: seconds; the longest wait.
        codes: the codes after which trying again makes sense.
        idempotent: whether calls may run twice, where the .proto does not say; None leaves it to the .proto.
    """

    attempts: int = 5
    backoff: float = 0.05
    max_backoff: float = 2.0
    codes: frozenset[Code] = field(default=frozenset({Code.UNAVAILABLE}))
    idempotent: bool | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"RetryPolicy(attempts={self.attempts}): at least 1, which means no retry")
        if self.backoff < 0 or self.max_backoff < self.backoff:
            raise ValueError(
                f"RetryPolicy(backoff={self.backoff}, max_backoff={self.max_backoff}): 0 <= backoff <= max_backoff"
            )

    def allows(self, method: Method[object, object], error: Error) -> bool:
        """Whether a call may be sent again after this error, if attempts and budget are left."""
        if not error.may_have_run:
            return True
        idempotent = method.idempotent if self.idempotent is None else self.idempotent
        return idempotent and error.code in self.codes

    def delay(self, attempt: int) -> float:
        """Returns how many seconds to wait after an attempt; the first one is 1."""
        return random.uniform(0.0, min(self.max_backoff, self.backoff * 2.0 ** (attempt - 1)))


class RetryBudget:
    """Bounds the load that retries add to a service that is in trouble: a fifth of its calls, after a start.

    Every call that goes well pays in, every retry of a call that may have run takes out. When it is empty, such
    calls fail with what they have.
    """

    __slots__ = ("_tokens",)

    CAPACITY = 200.0
    PER_CALL = 0.2

    def __init__(self) -> None:
        self._tokens = self.CAPACITY

    def earn(self) -> None:
        """A call went well."""
        if self._tokens < self.CAPACITY:
            self._tokens += self.PER_CALL

    def spend(self) -> bool:
        """Takes one retry out; False if the budget is used up."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
