"""Hosts, ports and sockets: how every part writes, reads and watches them."""

from __future__ import annotations

import ipaddress
import socket

from micro_rt.errors import FailedPrecondition

__all__ = ["bare_host", "bracketed", "detect_dead_peers", "is_loopback", "join", "keep_alive", "split", "split_server"]


def split(address: str) -> tuple[str, int]:
    """Returns the host, without brackets, and the port of ``host:port``; an IPv6 host must be in brackets.

    Raises:
        FailedPrecondition: it is not an address.
    """
    try:
        return _split(address)
    except ValueError:
        raise FailedPrecondition(
            f"{address!r} is not an address: write host:port, such as 127.0.0.1:0 or [::1]:0"
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
    if not port or any(char.isspace() or char in "/?#@" for char in text):
        example = join("10.0.0.5", default_port)
        raise ValueError(f"{text!r} is not host:port, such as {example} or [::1]:{default_port}")
    return host, port


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bracketed = host[:1] == "[" and host[-1:] == "]"
    if not bare_host(host) or (":" in host and not bracketed) or not (port.isascii() and port.isdecimal()):
        raise ValueError(text)
    if len(port) > 5 or int(port) > 65535:
        raise ValueError(text)
    return bare_host(host), int(port)


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
