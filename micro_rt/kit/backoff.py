"""Back-off: how long to wait before the next try, after failures in a row.

- The wait doubles with each failure, up to a longest one.
- A random part of it is left out ("jitter"), so that many who failed together do not try again together
  (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
- No number of failures makes it raise: the exponent is bounded. A counter may run for years.
"""

from __future__ import annotations

from micro_rt.kit.chance import between

__all__ = ["Backoff", "delay"]

_LARGEST_EXPONENT = 60
"""2 to the power of 60 nanoseconds are 36 years: no wait is longer."""


def delay(failures: int, first: float, longest: float, *, jitter: float = 1.0) -> float:
    """Returns the seconds to wait after a number of failures in a row.

    Args:
        failures: how many; 1 after the first.
        first: seconds; the whole wait after the first failure.
        longest: seconds; the whole wait never exceeds it.
        jitter: the part of the wait that is random, from 0 (the whole wait) to 1 (anything from 0 to the whole wait).
    """
    whole = min(longest, first * 2.0 ** min(max(failures - 1, 0), _LARGEST_EXPONENT))
    return between(whole * (1.0 - jitter), whole) if jitter else whole


class Backoff:
    """Counts failures in a row, and says how long to wait after each.

    Args:
        first: seconds; the whole wait after the first failure.
        longest: seconds; the longest wait.
        jitter: the part of the wait that is random, from 0 to 1.
    """

    __slots__ = ("_first", "_jitter", "_longest", "failures")

    def __init__(self, first: float, longest: float, *, jitter: float = 1.0) -> None:
        self.failures = 0
        """Failures since the last success."""
        self._first = first
        self._longest = longest
        self._jitter = jitter

    def failed(self) -> float:
        """Counts a failure, and returns the seconds to wait before the next try."""
        self.failures += 1
        return delay(self.failures, self._first, self._longest, jitter=self._jitter)

    def succeeded(self) -> int:
        """Starts over; returns how many failures there were."""
        failures, self.failures = self.failures, 0
        return failures
