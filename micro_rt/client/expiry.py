"""The deadline of a call whose client has interceptors: it bounds what they do too.

The rules that it keeps, and why:

- The transport ends a call at its deadline, and its error says what is known of the call. So it gets ``SLACK`` seconds
  to do that, and only what still runs then is ended here: an interceptor that waits for something else.
- The deadline is that of the call when it passes: an interceptor may move it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from micro_rt.context import ClientCall
from micro_rt.errors import DeadlineExceeded

__all__ = ["Expiry", "deadline_passed"]

SLACK = 0.01
"""Seconds after the deadline until a call is ended that the transport has not ended."""


class Expiry:
    """Waits for the deadline of one call.

    Args:
        call: the call; without a deadline, nothing happens.
        act: called once, ``SLACK`` seconds after the deadline.
    """

    __slots__ = ("_act", "_call", "_timer")

    def __init__(self, call: ClientCall, act: Callable[[], None]) -> None:
        self._call = call
        self._act = act
        self._timer: asyncio.TimerHandle | None = None
        if call.deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(call.deadline, self._passed)

    def stop(self) -> None:
        """Stops waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _passed(self) -> None:
        loop, deadline = asyncio.get_running_loop(), self._call.deadline
        if deadline is None:
            self._timer = None
        elif deadline > loop.time():
            self._timer = loop.call_at(deadline, self._passed)
        else:
            self._timer = loop.call_later(SLACK, self._act)


def deadline_passed(call: ClientCall) -> DeadlineExceeded:
    """Returns the error of a call whose interceptors were not done before its deadline."""
    return DeadlineExceeded(
        f"{call.method.path}: the client's interceptors were not done before the deadline",
        id="micro.deadline",
    )
