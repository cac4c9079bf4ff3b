"""A server: a listener, a dispatcher, and an orderly end.

Rules:

- A server that stops refuses new calls first, then tells handlers that it drains, then waits for the calls in flight.
- Calls that outlast the grace are cancelled before the listener closes, so that each still gets a status. The listener alone
  would close the connection under them, which looks like a crash to the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from micro_rt.server.blocking import BlockWatch
from micro_rt.server.dispatch import Dispatcher
from micro_rt.server.draining import Draining
from micro_rt.transport.base import CLOSE_TIMEOUT, Listener, ServerStream, Transport

__all__ = ["Server"]


class Server:
    """Serves calls on one address.

    Args:
        transport: how calls come in.
        dispatcher: what serves them.
        draining: the state of the shutdown, which the dispatcher reads.
        method_of: returns the path of the method that a request's path leads to, for logs.
    """

    def __init__(
        self,
        transport: Transport,
        dispatcher: Dispatcher,
        draining: Draining | None = None,
        method_of: Callable[[str], str] = str,
    ) -> None:
        self._transport = transport
        self._dispatcher = dispatcher
        self._draining = draining or Draining()
        self._listener: Listener | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._serving: dict[asyncio.Task[Any], ServerStream] = {}
        """The calls in flight."""
        self._watch = BlockWatch(self._serving, method_of)

    @property
    def in_flight(self) -> int:
        """How many calls are being served."""
        return len(self._serving)

    async def start(self, address: str) -> str:
        """Listens.

        Args:
            address: ``host:port``; port 0 picks a free one.

        Returns:
            The address that it listens on.

        Raises:
            Error: the address cannot be used.
        """
        self._listener = await self._transport.listen(address, self._serve)
        return self._listener.address

    async def stop(self, grace: float) -> int:
        """Refuses new calls, lets those in flight finish, and closes.

        A call that is cut off ends with ``Unavailable`` and the id ``micro.cut_off``.

        Args:
            grace: seconds that calls in flight get.

        Returns:
            How many calls had to be cut off.
        """
        listener, self._listener = self._listener, None
        if listener is None:
            return 0
        try:
            await listener.drain()
            self._draining.begun.set()
            await asyncio.sleep(0)  # calls that were accepted before begin now, and count as in flight
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            pass
        finally:
            cut = self.in_flight
            try:
                await self._cut_off()
            finally:
                self._watch.close()
                await listener.close()
        return cut

    async def _cut_off(self) -> None:
        """Cancels the calls in flight, and lets them send their status."""
        self._draining.cut_off = True
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)

    async def _serve(self, stream: ServerStream) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a transport serves each call in a task of its own")
        self._serving[task] = stream
        self._idle.clear()
        if self._watch.asleep:
            self._watch.wake()
        try:
            await self._dispatcher(stream)
        finally:
            del self._serving[task]
            if not self._serving:
                self._idle.set()
