"""A rate limit for servers: a token bucket for each key, in this process.

The rules that it keeps, and why:

- A bucket is the number of calls that it owes, which shrinks with time. So there is no timer, and a bucket that owes nothing is the
  same as none: only such a one is forgotten. Whoever comes with many keys cannot make it forget the debt of another key, or
  of his own.
- There are at most so many buckets. While all of them owe something, further keys share one bucket.
- A key of others may be long: in place of a long one, its digest is kept.
- ``_due`` is a heap of when buckets are full again at the earliest: calls only put that off. So a bucket that can be forgotten is
  found without a look at all of them.
"""

from __future__ import annotations

import hashlib
import heapq
import inspect
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from micro_rt.context import Context
from micro_rt.details import RetryInfo
from micro_rt.errors import ResourceExhausted
from micro_rt.interceptor import StreamNext, UnaryNext
from micro_rt.interceptors.sides import ServerInterceptor
from micro_rt.kit.clock import loop_time
from micro_rt.metadata import Metadata

__all__ = ["Buckets", "RateLimit"]

_LONG = 64
"""Characters of a key that is kept as it is."""
_LONGEST = 1e9
"""Seconds; the longest wait that a refused client is told."""
_ROUNDING = 1e-6
"""Calls; what is missing less than this is there."""


class RateLimit(ServerInterceptor):
    """Refuses calls of whoever calls too often, before the handler begins: a server's interceptor for calls and streams.

        micro.Service("greeter", interceptors=[micro.RateLimit(100, burst=200)])  # for each host
        service.handle(Greeter(), interceptors=[micro.RateLimit(10, key=lambda context: context.method.path)])

    It counts the calls of each key with a token bucket, in this process: with three processes, a key may have three times the rate.
    A stream counts once, when it begins. Events are not limited. A call that is refused ends as ``micro.ResourceExhausted``, with the
    id ``micro.rate_limited`` and a ``RetryInfo`` that says when the next call is possible.

    A key that callers choose themselves limits nobody who changes it with each call: choose what a proxy or an interceptor further out
    has verified.

    Args:
        rate: calls per second that a key may make in the long run.
        burst: calls that a key may make at once after a pause; the rate if not given, and at least 1.
        key: whose calls are counted together: a function of the ``Context``, which returns None for a call that is not limited; or
            the name of a metadata key, where all calls without it count together. If not given, the host that the call
            comes from, without its port; all calls over a Unix socket count together.
        most_keys: how many keys are counted apart at most. While that many have used up something of their burst, all others count
            together.

    Raises:
        TypeError: the key is neither a function nor a text, or is a coroutine function.
        ValueError: a number that makes no sense, or the name of a metadata key that cannot be.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: float | None = None,
        key: Callable[[Context], str | None] | str | None = None,
        most_keys: int = 10_000,
    ) -> None:
        self._buckets = Buckets(rate, max(1.0, rate) if burst is None else burst, most_keys)
        self._key = _host if key is None else key_of(key)

    async def unary(self, request: Any, call: Context, proceed: UnaryNext) -> Any:
        """Refuses a unary call, or lets it pass."""
        self._take(call)
        return await proceed(request, call)

    def stream(self, requests: AsyncIterator[Any], call: Context, proceed: StreamNext) -> AsyncIterator[Any]:
        """Refuses a stream, or lets it pass."""
        self._take(call)
        return proceed(requests, call)

    def _take(self, call: Context) -> None:
        key = self._key(call)
        if key is None:
            return
        if not isinstance(cast("object", key), str):
            raise TypeError(f"the key of micro.RateLimit is text or None, not {type(key).__name__}")
        wait = self._buckets.take(key)
        if wait > 0:
            info = RetryInfo()
            info.retry_delay.FromNanoseconds(math.ceil(min(wait, _LONGEST) * 1e9))
            problem = f"more than {self._buckets.rate:g} calls per second; the next one is possible in {wait:.3g} s"
            raise ResourceExhausted(problem, id="micro.rate_limited", details=[info])


class Buckets:
    """Token buckets by key.

    Args:
        rate: tokens per second.
        burst: tokens of a full bucket.
        most: how many buckets there are at most, besides the shared one.

    Raises:
        ValueError: a number that makes no sense.
    """

    def __init__(self, rate: float, burst: float, most: int) -> None:
        if not (rate > 0 and math.isfinite(rate)):
            raise ValueError(f"RateLimit(rate={rate}): a number of calls per second, more than 0")
        if not (burst >= 1 and math.isfinite(burst)):
            raise ValueError(f"RateLimit(burst={burst}): at least 1 call")
        if most < 1:
            raise ValueError(f"RateLimit(most_keys={most}): at least 1")
        self.rate = rate
        self._burst = burst
        self._most = most
        self._buckets: dict[str | bytes, _Bucket] = {}
        self._due: list[tuple[float, int, str | bytes]] = []
        self._made_so_far = 0
        self._shared = _Bucket(-math.inf)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Takes a token out of the bucket of a key.

        Returns:
            0, or the seconds until there is one.
        """
        now = loop_time()
        short = (
            key if len(key) <= _LONG else hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()
        )
        bucket = self._buckets.get(short)
        if bucket is None:
            bucket = self._made(short, now)
        bucket.debt = max(0.0, bucket.debt - max(0.0, now - bucket.at) * self.rate)
        bucket.at = now
        missing = bucket.debt + 1 - self._burst
        if missing > _ROUNDING:
            return missing / self.rate
        bucket.debt += 1
        return 0.0

    def _made(self, key: str | bytes, now: float) -> _Bucket:
        """Returns a full bucket for a new key; the shared one if there is no room."""
        if len(self._buckets) >= self._most and not self._forgotten(now):
            return self._shared
        bucket = self._buckets[key] = _Bucket(now)
        self._made_so_far += 1  # Orders those that are due at one time: texts and digests cannot be compared.
        heapq.heappush(self._due, (now, self._made_so_far, key))
        return bucket

    def _forgotten(self, now: float) -> bool:
        """Forgets a bucket that is full; returns whether there was one."""
        while self._due[0][0] <= now:
            _, order, key = self._due[0]
            bucket = self._buckets[key]
            full = bucket.at + bucket.debt / self.rate
            if full <= now:
                heapq.heappop(self._due)
                del self._buckets[key]
                return True
            heapq.heapreplace(self._due, (full, order, key))
        return False


class _Bucket:
    """How many tokens a bucket owes, at a time on the loop's clock."""

    __slots__ = ("at", "debt")

    def __init__(self, at: float) -> None:
        self.at = at
        self.debt = 0.0


def key_of(key: Callable[[Context], str | None] | str) -> Callable[[Context], str | None]:
    """Returns the function that gives the key of a call.

    Raises:
        TypeError: it is neither a function nor a text, or is a coroutine function.
        ValueError: no metadata can have this key.
    """
    if not isinstance(key, str):
        if not callable(key) or inspect.iscoroutinefunction(key):
            raise TypeError(
                f"RateLimit(key={key!r}): a function of the context that is no coroutine function, or a text"
            )
        return key
    name = key.lower()
    Metadata([(name, b"" if name.endswith("-bin") else "")])

    def of_metadata(context: Context) -> str:
        value = context.metadata.get(name, "")
        return value if isinstance(value, str) else value.decode("latin-1")

    return of_metadata


def _host(context: Context) -> str:
    """Returns where a call comes from, without the port; nothing of a Unix socket."""
    peer = context.peer
    return "" if peer.startswith("unix:") else peer.rpartition(":")[0]
