"""The server of gRPC: listens, and serves calls on any number of connections.

Rules kept here, and why:

- A server that drains takes no new connections and refuses new calls; those in flight go on. Closing then cancels
  handlers and waits for them.
- Connections get their GOAWAY, and are closed, in the order in which they were made.
- Closing ends connections without calls in a way that loses no reply (see ``Link.linger``), and the others at once.
- There is a limit of connections. One more is closed at once, so that those that are there go on.
- Handlers see the context variables of whoever called ``listen``, and none of a caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextvars import copy_context

from micro_rt.backends.grpc.deadlines import Deadlines
from micro_rt.backends.grpc.link import FLUSH_TIMEOUT, LINGER
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.server_link import ServerLink
from micro_rt.kit.ordered import OrderedSet
from micro_rt.listener.port import Port, open_port
from micro_rt.logs import log_sparsely, logger
from micro_rt.transport.base import Dispatch, Listener, wait_for_cancelled

__all__ = ["GrpcListener", "listen"]

_log = logger("micro_rt.backends.grpc")


async def listen(
    address: str,
    dispatch: Dispatch,
    limits: ServerLimits | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> GrpcListener:
    """Listens.

    Args:
        address: ``host:port``, where port 0 picks a free one, ``unix:`` and the path of a socket, ``systemd:`` and the
            name of sockets; or several of them, with commas between (see ``listener/places.py``).
        dispatch: serves each call.
        limits: what clients may make the server spend.
        tls: returns the context of a new connection; None for connections without TLS.

    Raises:
        FailedPrecondition: the address cannot be used.
    """
    log_sparsely("asyncio", "socket.accept() out of system resource")  # Logged once for each place in the backlog.
    listener = GrpcListener(dispatch, limits or ServerLimits(), tls)
    await listener.open(address)
    return listener


class GrpcListener(Listener):
    """A server that is listening; ``listen`` makes it.

    Args:
        dispatch: serves each call.
        limits: what clients may make the server spend.
        tls: returns the context of a new connection; None for connections without TLS.
    """

    def __init__(
        self, dispatch: Dispatch, limits: ServerLimits, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self.dispatch = dispatch
        self.limits = limits
        self.http2_limits = limits.http2
        self.context = copy_context()
        self.deadlines = Deadlines(asyncio.get_running_loop())
        self.draining = False
        self.address = ""
        self._links: OrderedSet[ServerLink] = OrderedSet()
        self._port: Port | None = None
        self._tls = tls

    async def open(self, address: str) -> None:
        """Begins to listen.

        Raises:
            FailedPrecondition: the address cannot be used.
        """
        self._port = await open_port(
            address,
            self._new_link,
            connections=self.limits.connections,
            patience=self.limits.handshake,
            open=self._links.__len__,
            tls=self._tls,
        )
        self.address = self._port.address

    async def drain(self) -> None:
        """Stops accepting connections and refuses new calls; those in flight go on."""
        self.draining = True
        if self._port is not None:
            self._port.stop()
        for link in list(self._links):
            link.leave()

    async def close(self) -> None:
        """Stops at once: cancels what still runs and closes every connection."""
        await self.drain()
        await asyncio.sleep(0)  # A call that has just ended lets go of its stream in the next turn of the event loop.
        links = list(self._links)
        calls = [call for link in links for call in link.calls]
        tasks = [call.task for call in calls if call.task is not None]
        finished = [link for link in links if link.finish()]
        await _all_closed(finished, LINGER)
        for link in links:
            link.say_goodbye()
        await _all_closed(links, FLUSH_TIMEOUT)
        for link in links:
            link.cut()
        for call in calls:
            call.cancel()
        await wait_for_cancelled([task for task in tasks if not task.done()], _log)
        await _all_closed(links, FLUSH_TIMEOUT)
        self.deadlines.close()
        if self._port is not None:
            await self._port.close()

    # For the connections

    def add(self, link: ServerLink) -> None:
        """Notes a connection that has begun."""
        self._links.add(link)

    def discard(self, link: ServerLink) -> None:
        """Forgets a connection that is lost."""
        self._links.discard(link)

    def _new_link(self, peer: str) -> ServerLink:
        return ServerLink(self, peer)


async def _all_closed(links: list[ServerLink], timeout: float) -> None:
    """Waits until connections are lost, but not for ever."""
    waiting = [asyncio.ensure_future(link.wait_closed()) for link in links if link.transport is not None]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=timeout)
        for waiter in late:
            waiter.cancel()
        if late:
            await asyncio.wait(late)
