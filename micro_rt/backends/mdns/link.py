"""How registry ``mdns:`` sends and hears: on each interface one socket that hears what is told to all, and one that asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import TypeAlias

import ifaddr

from micro_rt.backends.mdns.records import GROUP
from micro_rt.kit.net import is_loopback
from micro_rt.logs import logger, sparsely

__all__ = ["Link", "PacketQueue", "addresses_of"]

BURST = 8
"""Packets sent at once, each millisecond: of more, those who hear them would lose some."""
MAX_QUEUED = 20_000
"""Packets that wait to be sent; more are dropped, so whoever asks faster than this can answer gets no answer."""

_log = logger("micro_rt.registry")

_Source: TypeAlias = tuple[str, int]
_IP_MULTICAST_ALL = 49  # Linux; the socket module has no name for it.
_BUFFER = 1 << 22  # Bytes; answers of hundreds of nodes may come at once. The system may grant less.


class Link:
    """One interface.

    Args:
        address: IPv4 address of the interface.
        port: where everybody listens; 5353, if not for tests.
        receive: gets every packet, where it came from, and this.
    """

    def __init__(self, address: str, port: int, receive: Callable[[bytes, _Source, Link], None]) -> None:
        self.address = address
        self.problem = ""
        """Why the last packet could not be sent; empty if it could."""
        self._port = port
        self._receive = receive
        self._hearing: _Socket | None = None
        self._asking: _Socket | None = None

    async def open(self) -> None:
        """Joins the group.

        Raises:
            OSError: this interface cannot.
        """
        try:
            self._hearing = await self._protocol(_hearing_socket(self.address, self._port))
            self._asking = await self._protocol(_asking_socket(self.address))
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

    def reply(self, data: bytes, to: _Source) -> None:
        """Sends a packet to one."""
        if self._hearing is not None:
            with contextlib.suppress(OSError):  # It says something of the one, and nothing of the interface.
                self._hearing.send(data, to)

    def is_own(self, source: _Source) -> bool:
        """Whether a packet that came was a question from here."""
        return self._asking is not None and source == self._asking.name

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
            protocol.send(data, (GROUP, self._port))
        except OSError as error:
            self.problem = f"cannot send on {self.address}: {error}"
            return False
        self.problem = ""
        return True

    def received(self, data: bytes, source: _Source) -> None:
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
        self.name: _Source = opened.getsockname()[:2]
        self.closed = asyncio.get_running_loop().create_future()
        self._link = link
        self._opened = opened

    def send(self, data: bytes, to: _Source) -> None:
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

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        self._link.received(data, (str(addr[0]), addr[1]))


def addresses_of(interface: str) -> tuple[str, ...]:
    """Returns the IPv4 addresses of this machine's interfaces.

    Args:
        interface: its name or an address of it; if empty, all but loopback, and loopback if there is no other.
    """
    found: dict[str, str] = {}
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            if isinstance(each.ip, str) and (not interface or interface in (each.ip, adapter.name, adapter.nice_name)):
                found[each.ip] = adapter.name
    if interface:
        return tuple(found)
    return _without_loopback(found) or tuple(found)


def _without_loopback(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple([address for address in addresses if not is_loopback(address)])


def _hearing_socket(address: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # Only what comes on this interface, not on those that others have joined.
            opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        elif hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Bound to the group where that can be: what is sent to the port alone is for others who listen there.
        opened.bind(("" if sys.platform == "win32" else GROUP, port))
        membership = socket.inet_aton(GROUP) + socket.inet_aton(address)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        _set_up(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


def _asking_socket(address: str) -> socket.socket:
    # On a port of its own: go-micro answers to where a question came from, and 5353 is shared.
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.bind((address, 0))
        _set_up(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


def _set_up(opened: socket.socket, address: str) -> None:
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
