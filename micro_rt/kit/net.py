"""Hosts, ports and sockets: how every part writes, reads and watches them."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.foreign import whole
from micro_rt.kit.secrets import shown_host, without_secrets

__all__ = [
    "bare_host",
    "bracketed",
    "detect_dead_peers",
    "is_every_interface",
    "is_loopback",
    "join",
    "keep_alive",
    "listen",
    "own_host",
    "split",
    "split_server",
]

_LONGEST_HOST = 253
"""Characters of a name in DNS (RFC 1035)."""
_NOT_IN_HOST = re.compile(r"[\s/?#@\[\]\\]").search
_PORTS_TRIED = 10
"""Free ports that are tried for a host with several addresses, until one is free at all of them."""


def split(address: str) -> tuple[str, int]:
    """Returns the host, without brackets, and the port of ``host:port``; an IPv6 host must be in brackets.

    Raises:
        FailedPrecondition: it is not an address.
    """
    try:
        return _split(address)
    except ValueError:
        raise FailedPrecondition(
            f"{without_secrets(address)!r} is not an address: write host:port, such as 127.0.0.1:0 or [::1]:0"
        ) from None


def split_server(text: str, default_port: int) -> tuple[str, int]:
    """Returns the host, without brackets, and the port of a server in an address of a part: ``host`` or ``host:port``.

    Args:
        text: host and port; an IPv6 host must be in brackets.
        default_port: the port of a server that names none.

    Raises:
        ValueError: it is not one, or the port is 0.
    """
    if ":" not in text or text.endswith("]"):
        text = f"{text}:{default_port}"
    try:
        host, port = _split(text)
    except ValueError:
        host, port = "", 0
    if not port:
        example = join("10.0.0.5", default_port)
        raise ValueError(f"{shown_host(text)!r} is not host:port, such as {example} or [::1]:{default_port}")
    return host, port


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bracketed = host[:1] == "[" and host[-1:] == "]"
    number = whole(port, 65535)
    if number is None or (":" in host) != bracketed or not _is_host(bare_host(host)):
        raise ValueError("not host:port")
    return bare_host(host), number


def _is_host(host: str) -> bool:
    """Returns whether text can be looked up: an IP address, or a name whose labels fit into DNS."""
    if not host or len(host) > _LONGEST_HOST or not host.isprintable() or _NOT_IN_HOST(host):
        return False
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def join(host: str, port: int) -> str:
    """Returns ``host:port``, with an IPv6 host in brackets."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Returns a host as URLs and ``host:port`` have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and host[0] != "[" else host


def bare_host(host: str) -> str:
    """Returns a host without the brackets of an IPv6 address."""
    return host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback interface; a name other than ``localhost`` is not looked up."""
    try:
        return ipaddress.ip_address(bare_host(host)).is_loopback
    except ValueError:
        return host == "localhost"


def is_every_interface(host: str) -> bool:
    """Whether a listener on this host listens on every interface: ``0.0.0.0`` or ``::``, however it is written."""
    try:
        return ipaddress.ip_address(bare_host(host)).is_unspecified
    except ValueError:
        return False


def own_host(every_interface: str) -> str:
    """Returns the address of this machine that others reach a listener on every interface at.

    It is the address of the interface that leads outside: the IPv4 address if the listener has one, else the IPv6 address.
    Without such an interface it is the loopback address.

    Args:
        every_interface: what it listens on: ``0.0.0.0``, or ``::`` as ``listen`` listens on it.
    """
    # RFC 5737 and RFC 3849 reserve these hosts for documentation. Connecting a datagram socket sends nothing.
    outside = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]
    if ":" not in every_interface:
        del outside[1]
    elif not socket.has_dualstack_ipv6():
        del outside[0]
    for family, host in outside:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host, 9))
                own: str = probe.getsockname()[0]
                return own
        except OSError:
            continue
    return "127.0.0.1" if outside[0][0] == socket.AF_INET else "::1"


async def listen(protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, backlog: int) -> asyncio.Server:
    """Listens on every address of a host, at one port; ``::`` includes IPv4 if the system supports it.

    Args:
        protocol: makes the protocol of each connection.
        host: a name or an address, without brackets.
        port: 0 for a free one.
        backlog: how many connections wait to be accepted at most.

    Raises:
        OSError: the host does not exist, or the port is taken.
    """
    loop = asyncio.get_running_loop()
    if ":" in host and is_every_interface(host) and socket.has_dualstack_ipv6():
        # The event loops allow a listener that they bind to :: no IPv4.
        bound = socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        try:
            return await loop.create_server(protocol, sock=bound, backlog=backlog)
        except BaseException:
            bound.close()
            raise
    tried = 0
    while True:
        server = await loop.create_server(protocol, host, port, backlog=backlog)
        ports = {opened.getsockname()[1] for opened in server.sockets}
        if len(ports) == 1:
            return server
        # The port was 0, and each address got a free port of its own.
        server.close()
        await server.wait_closed()
        tried += 1
        try:
            return await loop.create_server(protocol, host, min(ports), backlog=backlog)
        except OSError:
            if tried == _PORTS_TRIED:
                raise


def keep_alive(sock: socket.socket, *, idle: int, every: int, probes: int) -> None:
    """Has the kernel probe a silent TCP connection, where the system can.

    Args:
        sock: the socket.
        idle: seconds of silence before the first probe.
        every: seconds between probes.
        probes: how many may stay unanswered before the connection breaks.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", every), ("TCP_KEEPCNT", probes)):
        _set(sock, name, value)


def detect_dead_peers(sock: socket.socket) -> None:
    """Has the kernel find out within half a minute that the other machine is gone.

    HTTP/2 pings would do it too, but servers of other makes close connections that ping as often.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    keep_alive(sock, idle=10, every=5, probes=3)
    _set(sock, "TCP_USER_TIMEOUT", 25_000)


def _set(sock: socket.socket, name: str, value: int) -> None:
    option = getattr(socket, name, None)  # No system has all of them.
    if option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
