"""How many of the failed calls to a service are tried again; which, and when, says ``RetryPolicy``."""

from __future__ import annotations

__all__ = ["RetryBudget"]


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
