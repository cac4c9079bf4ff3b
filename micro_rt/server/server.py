"""A server: a listener, a dispatcher, and an orderly end."""

from __future__ import annotations

import asyncio

from micro_rt.server.dispatch import Dispatcher
from micro_rt.transport.base import Listener, ServerStream, Transport

__all__ = ["Server"]


class Server:
    """Serves calls on one address.

    Args:
        transport: how calls come in.
        dispatcher: what serves them.
    """

    def __init__(self, transport: Transport, dispatcher: Dispatcher) -> None:
        self._transport = transport
        self._dispatcher = dispatcher
        self._listener: Listener | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.in_flight = 0
        """How many calls are being served."""

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
            await asyncio.sleep(0)  # calls that were accepted before begin now, and count as in flight
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            pass
        finally:
            cut = self.in_flight
            await listener.close()
        return cut

    async def _serve(self, stream: ServerStream) -> None:
        self.in_flight += 1
        self._idle.clear()
        try:
            await self._dispatcher(stream)
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()
