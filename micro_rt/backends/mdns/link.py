"""How registry ``mdns:`` sends and hears: on each interface, one socket receives multicast packets, and one sends questions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Any, TypeAlias

from micro_rt.backends.mdns.interfaces import Interface
from micro_rt.logs import logger, sparsely

__all__ = ["Link", "PacketQueue", "Source"]

BURST = 8
"""Packets sent at once, each millisecond: of more, those who hear them would lose some."""
MAX_QUEUED = 20_000
"""Packets that wait to be sent; more are dropped, so whoever asks faster than this can answer gets no answer."""

_log = logger("micro_rt.registry")

Source: TypeAlias = tuple[Any, ...]
"""Where a packet came from, as sockets have it: host and port, and two numbers more of IPv6."""

_GONE = frozenset(
    {
        errno.ENODEV,
        errno.ENXIO,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EHOSTUNREACH,
        errno.EADDRNOTAVAIL,
        errno.EINVAL,
    }
)
"""What sending fails with when the interface or its address is gone; Linux says EINVAL of a source address that is gone."""


class Link:
    """One interface.

    Args:
        interface: the interface.
        port: where everybody listens; 5353, if not for tests.
        receive: gets every packet, where it came from, and this.
        failed: called with this when a packet cannot be sent, because the interface or its address is gone.
    """

    def __init__(
        self,
        interface: Interface,
        port: int,
        receive: Callable[[bytes, Source, Link], None],
        failed: Callable[[Link], None],
    ) -> None:
        self.problem = ""
        """Why the last packet could not be sent; empty if it could."""
        self.broken = False
        """Whether the interface or its address is gone: if there is one like it, it is another one."""
        self.worked = False
        """Whether a packet could be sent."""
        self.zone = interface.zone
        """What stands behind ``%`` in a link-local address that is reached here."""
        self._interface = interface
        self._port = port
        self._group = interface.group(port)
        self._receive = receive
        self._failed = failed
        self._hearing: _Socket | None = None
        self._asking: _Socket | None = None

    async def open(self) -> None:
        """Joins the group.

        Raises:
            OSError: this interface cannot.
        """
        try:
            self._hearing = await self._protocol(self._interface.hearing_socket(self._port))
            self._asking = await self._protocol(self._interface.asking_socket())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Leaves the group."""
        protocols = [protocol for protocol in (self._hearing, self._asking) if protocol is not None]
        self._hearing = self._asking = None
        for protocol in protocols:
            protocol.transport.close()
        for protocol in protocols:
            await protocol.closed

    def tell(self, data: bytes) -> bool:
        """Sends a packet to all; returns whether the system has taken it."""
        return self._send_to_all(self._hearing, data)

    def ask(self, data: bytes) -> None:
        """Sends a packet to all whose answers come back to here alone."""
        self._send_to_all(self._asking, data)

    def reply(self, data: bytes, to: Source) -> None:
        """Sends a packet to one."""
        if self._hearing is not None:
            with contextlib.suppress(OSError):  # It says something of the one, and nothing of the interface.
                self._hearing.send(data, to)

    def is_own(self, source: Source) -> bool:
        """Whether a packet that came was a question from here."""
        return self._asking is not None and source[:2] == self._asking.name

    async def _protocol(self, opened: socket.socket) -> _Socket:
        try:
            _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Socket(self, opened), sock=opened
            )
        except BaseException:
            opened.close()
            raise
        return protocol

    def _send_to_all(self, protocol: _Socket | None, data: bytes) -> bool:
        if protocol is None:
            return False
        try:
            protocol.send(data, self._group)
        except OSError as error:
            self.problem = f"cannot send on {self._interface}: {error}"
            if error.errno in _GONE:
                self.broken = True
                self._failed(self)
            return False
        self.problem = ""
        self.worked = True
        return True

    def lost(self, protocol: _Socket) -> None:
        """Notes that the event loop has closed a socket, which nobody asked for."""
        if protocol in (self._hearing, self._asking):
            self.problem = f"the event loop has closed a socket on {self._interface}"
            self.broken = True
            self._failed(self)

    def received(self, data: bytes, source: Source) -> None:
        """Passes a packet on."""
        try:
            self._receive(data, source, self)
        except Exception:
            # asyncio would close the socket, and this process would hear nothing any more.
            _log.warning(
                "mdns: a packet from %s cannot be dealt with", source[0], exc_info=True, extra=sparsely("packet")
            )


class PacketQueue:
    """Packets that wait to be sent; sends them as fast as others can receive them."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Callable[[], object]] = {}
        self._pause: asyncio.TimerHandle | None = None

    def put(self, send: Callable[[], object], key: Hashable = None) -> bool:
        """Sends a packet now, or after those that wait already.

        Args:
            send: makes the packet and sends it.
            key: what the packet says; while one waits, another with the same key is dropped.

        Returns:
            Whether it is or will be sent; False if too many packets wait.
        """
        if len(self._waiting) >= MAX_QUEUED:
            return False
        self._waiting.setdefault(object() if key is None else key, send)
        if self._pause is None:
            self._send_some()
        return True

    def close(self) -> None:
        """Sends what waits, however much it is."""
        if self._pause is not None:
            self._pause.cancel()
        for send in self._waiting.values():
            send()
        self._waiting.clear()

    def _send_some(self) -> None:
        self._pause = None
        if not self._waiting:
            return
        for key in list(islice(self._waiting, BURST)):
            self._waiting.pop(key)()
        self._pause = asyncio.get_running_loop().call_later(0.001, self._send_some)


class _Socket(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def __init__(self, link: Link, opened: socket.socket) -> None:
        self.name: Source = opened.getsockname()[:2]
        self.closed = asyncio.get_running_loop().create_future()
        self._link = link
        self._opened = opened

    def send(self, data: bytes, to: Source) -> None:
        """Sends a packet.

        Raises:
            OSError: the system does not take it.
        """
        # Not by the transport, which does not say whether it was sent: asyncio's hides errors, and uvloop's hides some.
        try:
            self._opened.sendto(data, to)
        except BlockingIOError:
            self.transport.sendto(data, to)  # It waits until there is space for it.

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        self._link.lost(self)

    def datagram_received(self, data: bytes, addr: Source) -> None:
        self._link.received(data, addr)
