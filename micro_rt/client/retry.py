"""How many of the failed calls to a service are tried again; which, and when, says ``RetryPolicy``."""

from __future__ import annotations

__all__ = ["RetryBudget"]


class RetryBudget:
    """Bounds the load that retries add to a service that is in trouble.

    Every call that goes well pays in, every retry of a call that may have run takes out. When it is empty, such calls fail
    with the error that they have. Two bounds hold at every moment, however many calls there are:

    - Since the start there were at most ``AT_START`` retries and a fifth of the calls that went well.
    - Within any period there were at most ``CAPACITY`` retries and a fifth of the calls that went well in it.

    The budget starts almost empty: a client that makes few calls must not send many times as many. It saves up while calls
    go well, so that a server that is lost with many calls in flight does not fail them.
    """

    __slots__ = ("_fifths",)

    AT_START = 10
    """Retries that may be made before any call has gone well."""
    CAPACITY = 200
    """Retries that are saved up at most."""
    CALLS_PER_RETRY = 5
    """Calls that have to go well to pay for one retry."""

    def __init__(self) -> None:
        # Counted in fifths of a retry: whole numbers keep the bounds exactly.
        self._fifths = self.AT_START * self.CALLS_PER_RETRY

    def earn(self) -> None:
        """Pays in for a call that went well."""
        if self._fifths < self.CAPACITY * self.CALLS_PER_RETRY:
            self._fifths += 1

    def spend(self) -> bool:
        """Takes one retry out; returns False if the budget is used up."""
        if self._fifths < self.CALLS_PER_RETRY:
            return False
        self._fifths -= self.CALLS_PER_RETRY
        return True
