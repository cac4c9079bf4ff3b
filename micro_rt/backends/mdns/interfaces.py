"""The interfaces on which registry ``mdns:`` meets others, by IPv4 and by IPv6, and the sockets that it has on each of them.

The rules that they keep, and why:

- An interface counts once for each of its IPv4 addresses, and once for IPv6, where it sends from its link-local address.
- IPv6 is used beside IPv4, because another host may have only one of them.
- An interface with nothing but a link-local IPv6 address counts only if no other leads to a network, or if it is named: the
  ports of bridges and the ends of tunnels to containers are such, and a host may have hundreds of them.
- Loopback counts only if nothing else does, or if it is named, and only by IPv4: Linux has no way for IPv6 multicast there.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ifaddr

from micro_rt.backends.mdns.records import GROUP, GROUP_IPV6
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
    zone: str
    """What stands behind ``%`` in a link-local address that is reached on it: its name, on Windows its index."""
    address: str
    """An address of it, without its zone, where what is sent comes from."""

    def __str__(self) -> str:
        return f"{self.address}%{self.zone}" if _is_link_local(self.address) else self.address

    @property
    def is_ipv6(self) -> bool:
        """Whether it is used by IPv6."""
        return ":" in self.address

    def group(self, port: int) -> tuple[Any, ...]:
        """Returns the multicast address of this interface, as sockets take it.

        Args:
            port: where everybody listens.
        """
        return (GROUP_IPV6, port, 0, self.index) if self.is_ipv6 else (GROUP, port)

    def hearing_socket(self, port: int) -> socket.socket:
        """Returns a socket that receives and sends multicast packets on this interface.

        Args:
            port: where everybody listens.

        Raises:
            OSError: this interface cannot, or is gone.
        """
        return self._socket(lambda opened: self._join(opened, port))

    def asking_socket(self) -> socket.socket:
        """Returns a socket on a port of its own, from which questions go to all on this interface.

        go-micro answers to where a question came from, and port 5353 is shared.

        Raises:
            OSError: this interface cannot, or is gone.
        """
        return self._socket(
            lambda opened: opened.bind((self.address, 0, 0, self.index) if self.is_ipv6 else (self.address, 0))
        )

    def _socket(self, bind: Callable[[socket.socket], None]) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            bind(opened)
            if self.is_ipv6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("I", self.index))
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
            else:
                one = self._named_in_ipv4()
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, one if len(one) == 4 else bytes(4) + one)
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        except BaseException:
            opened.close()
            raise
        return opened

    def _join(self, opened: socket.socket, port: int) -> None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux" and hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Bound to the group where that can be: what is sent to the port alone is for others who listen there.
        if self.is_ipv6:
            # A link-local group is one on this interface, so nothing is heard that comes on another.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind(("::", port) if sys.platform == "win32" else (GROUP_IPV6, port, 0, self.index))
            group = socket.inet_pton(socket.AF_INET6, GROUP_IPV6) + struct.pack("I", self.index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            return
        if sys.platform == "linux":
            # Only what comes on this interface, not on those that others have joined.
            opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        opened.bind(("" if sys.platform == "win32" else GROUP, port))
        group = socket.inet_aton(GROUP) + self._named_in_ipv4()
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)

    def _named_in_ipv4(self) -> bytes:
        """Returns what options of IPv4 take for this interface: with its index where the system knows ``ip_mreqn``."""
        address = socket.inet_aton(self.address)
        if sys.platform != "linux":
            return address
        return address + struct.pack("i", self.index)


def interfaces_of(interface: str) -> tuple[Interface, ...]:
    """Returns the interfaces of this machine, one for each of their IPv4 addresses and one for IPv6.

    Args:
        interface: its name or an address of it; if empty, all but loopback, and loopback if there is no other.
    """
    found: list[Interface] = []
    link_local: list[Interface] = []
    loopback: list[Interface] = []
    for adapter in ifaddr.get_adapters():
        zone = str(adapter.index) if sys.platform == "win32" else adapter.name
        named = bool(interface) and interface in (adapter.name, adapter.nice_name)
        ipv4, ipv6 = _addresses_of(adapter)
        for address in ipv4:
            if named or interface in ("", address):
                one = Interface(adapter.index or 0, zone, address)
                (loopback if is_loopback(address) and not interface else found).append(one)
        if not ipv6 or not adapter.index or is_loopback(ipv6[0]):
            continue
        one = Interface(adapter.index, zone, next(filter(_is_link_local, ipv6), ipv6[0]))
        if named or _is_one_of(interface, ipv6, zone):
            found.append(one)
        elif not interface:
            (found if ipv4 or not all(map(_is_link_local, ipv6)) else link_local).append(one)
    return tuple(dict.fromkeys(found or link_local or loopback))


def _addresses_of(adapter: Any) -> tuple[list[str], list[str]]:
    """Returns the IPv4 and the IPv6 addresses of an interface; those of IPv6 without zones."""
    ipv4 = [each.ip for each in adapter.ips if isinstance(each.ip, str)]
    ipv6 = [str(ipaddress.IPv6Address(each.ip[0])) for each in adapter.ips if not isinstance(each.ip, str)]
    return ipv4, ipv6


def _is_one_of(text: str, addresses: list[str], zone: str) -> bool:
    host, _, given = text.partition("%")
    try:
        return str(ipaddress.IPv6Address(host)) in addresses and given in ("", zone)
    except ValueError:
        return False


def _is_link_local(address: str) -> bool:
    return ":" in address and ipaddress.IPv6Address(address).is_link_local
