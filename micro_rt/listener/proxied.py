"""The PROXY protocol, by which a proxy says whose connection it passes on (versions 1 and 2).

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt; section numbers below are its own.

Rules kept here, and why:

- Where it is expected, a connection begins with it; one that does not is refused. Nobody guesses: whoever could leave it
  out or put it in at will could pretend to be any client (section 5).
- A proxy that speaks for itself, as one does that looks whether this server is there, says LOCAL or UNKNOWN. Such a
  connection counts as its own (sections 2.1 and 2.2).
- Nothing is kept of a header that is longer than ``LONGEST``: version 1 has at most 107 bytes, and version 2 no more than
  proxies send with their notes about TLS.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final, NamedTuple

from micro_rt.kit.net import join

__all__ = ["LONGEST", "Claim", "NoClaimError", "read_claim"]

LONGEST: Final = 4 << 10
"""Bytes of a header."""
_V1: Final = b"PROXY "
_V1_LONGEST: Final = 107
_V1_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9a-fA-F:.]{2,45}) ([0-9a-fA-F:.]{2,45}) (\d{1,5}) (\d{1,5})\r\n"
).fullmatch
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEAD = Struct(">12sBBH")
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_ADDRESSES: Mapping[int, tuple[int, int]] = MappingProxyType({_TCP4: (socket.AF_INET, 4), _TCP6: (socket.AF_INET6, 16)})
_PORTS = Struct(">HH")


class Claim(NamedTuple):
    """What a header says."""

    peer: str
    """Host and port of the client; empty if the proxy speaks for itself, or knows no more."""
    size: int
    """Bytes of the header."""


class NoClaimError(ValueError):
    """What came is not the PROXY protocol; the text says why."""


def read_claim(data: bytes) -> Claim | None:
    """Reads the header that a connection begins with.

    Args:
        data: what has come so far.

    Returns:
        What it says; None if more must come.

    Raises:
        NoClaimError: it is no such header.
    """
    if data.startswith(_V1):
        return _read_line(data)
    if data.startswith(_V2):
        return _read_binary(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise NoClaimError("it does not begin with the PROXY protocol")


def _read_line(data: bytes) -> Claim | None:
    """Reads version 1 (section 2.1)."""
    end = data.find(b"\r\n", 0, _V1_LONGEST) + 2
    if end < 2:
        if len(data) >= _V1_LONGEST:
            raise NoClaimError("its PROXY line has no end")
        return None
    line = data[:end]
    if line.startswith(b"PROXY UNKNOWN") and line[13:14] in b" \r":
        return Claim("", end)
    found = _V1_LINE(line)
    if found is None:
        raise NoClaimError("its PROXY line cannot be read")
    kind = ipaddress.IPv4Address if found[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        hosts = [kind(text.decode()) for text in found.group(2, 3)]
    except ValueError:
        raise NoClaimError("its PROXY line has an invalid IP address") from None
    ports = [int(text) for text in found.group(4, 5)]
    if max(ports) > 65535:
        raise NoClaimError("its PROXY line has an invalid port")
    return Claim(join(str(hosts[0]), ports[0]), end)


def _read_binary(data: bytes) -> Claim | None:
    """Reads version 2 (section 2.2)."""
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, length = _V2_HEAD.unpack_from(data)
    size = _V2_HEAD.size + length
    if command not in (_LOCAL, _PROXY):
        raise NoClaimError(f"its PROXY header has the command {command:#x}")
    if size > LONGEST:
        raise NoClaimError(f"its PROXY header has {size} bytes; {LONGEST} is the most that is read")
    if len(data) < size:
        return None
    if command == _LOCAL or family not in _ADDRESSES:  # Of a Unix socket, or unspecified: the client has no address.
        return Claim("", size)
    kind, width = _ADDRESSES[family]
    if length < 2 * width + _PORTS.size:
        raise NoClaimError("its PROXY header has no room for its addresses")
    start = _V2_HEAD.size
    host = socket.inet_ntop(kind, data[start : start + width])
    port, _ = _PORTS.unpack_from(data, start + 2 * width)
    return Claim(join(host, port), size)
