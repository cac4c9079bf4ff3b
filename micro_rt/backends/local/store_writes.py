"""Writes to a store that wait at the same time are made in one operation of the database.

- The first one goes at once. Those that come while it is on its way go together after it, so a writer that waits for each of its
  writes waits no longer than without this.
- A caller that leaves before its writes are on their way takes them out.
- If a group is refused because there is no space for all of it, each call is tried alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from micro_rt.errors import Error, ResourceExhausted
from micro_rt.kit.tasks import TaskSet
from micro_rt.store.base import Write

__all__ = ["StoreWrites"]

_AT_ONCE = 1000
"""Writes in one operation."""
_BYTES = 16 << 20
"""Bytes of values in one operation, or one call's."""

Outcomes = Sequence[int | Error]


class _Call:
    """The writes of one call, and the future of who waits for them."""

    __slots__ = ("done", "size", "writes")

    def __init__(self, writes: Sequence[Write], size: int) -> None:
        self.writes = writes
        self.size = size
        self.done: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()


class StoreWrites:
    """The writes of one file that wait.

    Args:
        apply: makes writes, whose values have so many bytes, in one operation.
    """

    def __init__(self, apply: Callable[[Sequence[Write], int], Awaitable[Outcomes]]) -> None:
        self._apply = apply
        self._waiting: deque[_Call] = deque()
        self._busy = False
        self._tasks = TaskSet[None]()

    async def put(self, writes: Sequence[Write]) -> Outcomes:
        """Makes writes, and returns what became of each."""
        size = sum(len(write.value) + len(write.key) for write in writes if write.value is not None)
        if not self._busy:
            self._busy = True
            try:
                return await self._apply(writes, size)
            finally:
                if self._waiting:
                    self._tasks.start(self._drain(), name="micro-store-writes")
                else:
                    self._busy = False
        call = _Call(writes, size)
        self._waiting.append(call)
        return await call.done

    async def finish(self) -> None:
        """Waits until nothing waits."""
        await self._tasks.wait()

    async def _drain(self) -> None:
        while self._waiting:
            await self._make(self._take())
        self._busy = False

    def _take(self) -> list[_Call]:
        """Takes the calls that go together."""
        taken: list[_Call] = []
        count = size = 0
        while self._waiting:
            call = self._waiting[0]
            if not call.done.done():  # Else its caller has left.
                count, size = count + len(call.writes), size + call.size
                if taken and (count > _AT_ONCE or size > _BYTES):
                    break
                taken.append(call)
            self._waiting.popleft()
        return taken

    async def _make(self, calls: Sequence[_Call]) -> None:
        if not calls:
            return
        try:
            outcomes = await self._apply(
                [write for call in calls for write in call.writes], sum(call.size for call in calls)
            )
        except ResourceExhausted as error:
            if len(calls) == 1:
                _fail(calls, error)
                return
            for call in calls:
                await self._make([call])
        except Exception as error:
            _fail(calls, error)
        else:
            start = 0
            for call in calls:
                if not call.done.done():
                    call.done.set_result(outcomes[start : start + len(call.writes)])
                start += len(call.writes)


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.done.done():
            call.done.set_exception(error)
