"""TCP addresses and sockets, as every transport over TCP treats them."""

from __future__ import annotations

import socket

from micro_rt.errors import FailedPrecondition

__all__ = ["detect_dead_peers", "join", "split"]


def split(address: str) -> tuple[str, int]:
    """Returns the host and port of ``host:port``, with an IPv6 host in brackets.

    Raises:
        FailedPrecondition: it is not an address.
    """
    host, _, port = address.rpartition(":")
    if not host or (":" in host and host[0] != "[") or not port.isdecimal() or int(port) > 65535:
        raise FailedPrecondition(f"{address!r} is not an address: write host:port, such as 127.0.0.1:0 or [::1]:0")
    return host.strip("[]"), int(port)


def join(host: str, port: int) -> str:
    """Returns ``host:port``, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def detect_dead_peers(sock: socket.socket) -> None:
    """Lets the kernel find out within half a minute that the other machine is gone.

    HTTP/2 pings would do it too, but servers of other makes close connections that ping as often.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000)):
        option = getattr(socket, name, None)  # not every system has each of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
