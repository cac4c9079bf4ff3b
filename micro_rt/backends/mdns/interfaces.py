"""The interfaces on which registry ``mdns:`` meets others, and the sockets that it has on each of them."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from dataclasses import dataclass

import ifaddr

from micro_rt.backends.mdns.records import GROUP
from micro_rt.kit.net import is_loopback

__all__ = ["Interface", "interfaces_of"]

_IP_MULTICAST_ALL = 49  # Linux; the socket module has no name for it.
_BUFFER = 1 << 22  # Bytes; answers of hundreds of nodes may come at once. The system may grant less.


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface with one of its addresses: the same address on another interface is another one.

    An interface that goes and comes back has another index, and what was joined on the first one is joined no more.
    """

    index: int
    """Its number in the system; 0 where the system does not say."""
    address: str
    """An IPv4 address of it, where what is sent comes from."""

    def __str__(self) -> str:
        return self.address

    def hearing_socket(self, port: int) -> socket.socket:
        """Returns a socket that hears what is told to all on this interface, and sends to all there.

        Args:
            port: where everybody listens.

        Raises:
            OSError: this interface cannot, or is gone.
        """
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
            opened.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + self._named_in_ipv4()
            )
            self._set_up(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def asking_socket(self) -> socket.socket:
        """Returns a socket on a port of its own, from which questions go to all on this interface.

        go-micro answers to where a question came from, and port 5353 is shared.

        Raises:
            OSError: this interface cannot, or is gone.
        """
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.bind((self.address, 0))
            self._set_up(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def _named_in_ipv4(self) -> bytes:
        """Returns what options of IPv4 take for this interface: with its index where the system knows ``ip_mreqn``."""
        address = socket.inet_aton(self.address)
        if sys.platform != "linux":
            return address
        return address + struct.pack("i", self.index)

    def _set_up(self, opened: socket.socket) -> None:
        opened.setblocking(False)
        one = self._named_in_ipv4()
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, one if len(one) == 4 else bytes(4) + one)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def interfaces_of(interface: str) -> tuple[Interface, ...]:
    """Returns the interfaces of this machine, one for each of their IPv4 addresses.

    Args:
        interface: its name or an address of it; if empty, all but loopback, and loopback if there is no other.
    """
    found: dict[Interface, None] = {}
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            if isinstance(each.ip, str) and (not interface or interface in (each.ip, adapter.name, adapter.nice_name)):
                found[Interface(adapter.index or 0, each.ip)] = None
    if interface:
        return tuple(found)
    return tuple([each for each in found if not is_loopback(each.address)]) or tuple(found)
