"""What the address of a server says: one or several places, each with its options.

    host:port                       a TCP port; port 0 picks a free one
    unix:/run/greeter.sock          a Unix socket
    systemd:  or  systemd:NAME      sockets that systemd has opened: all of them, or those of a name

Options follow a ``?``, with ``&`` between them: ``mode=660`` of a Unix socket is who may connect to it, in octal digits;
``proxy=on`` expects the PROXY protocol from whoever connects, and ``proxy=10.0.0.0/8+192.168.7.1`` from there alone.
Several places are separated by commas.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["SYSTEMD", "UNIX", "Network", "Place", "is_plain", "places_of"]

UNIX: Final = "unix:"
"""What the address of a Unix socket begins with, before its path."""
SYSTEMD: Final = "systemd:"
"""What stands for sockets that systemd has opened, before their name."""
_MODE = re.compile(r"0?[0-7]{3}", re.ASCII)

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    Attributes:
        address: without its options.
        mode: the permissions of a Unix socket; None for those that the process gives its files.
        proxied: whether connections begin with the PROXY protocol.
        proxies: where they may come from then; empty for anywhere.
    """

    address: str
    mode: int | None = None
    proxied: bool = False
    proxies: tuple[Network, ...] = ()


def is_plain(address: str) -> bool:
    """Whether an address is one place without options, which systemd has not opened."""
    return not (address.startswith(SYSTEMD) or "," in address or "?" in address)


def places_of(address: str) -> Sequence[Place]:
    """Returns the places that an address names.

    Raises:
        ValueError: it has an option that makes no sense; the message says which.
    """
    places = [_place(part.strip()) for part in address.split(",")]
    if len({place.address for place in places if not place.address.endswith(":0")}) < sum(
        not place.address.endswith(":0") for place in places
    ):
        raise ValueError("one place is named twice")
    return places


def _place(text: str) -> Place:
    address, _, options = text.partition("?")
    if not address:
        raise ValueError("a place is missing beside a comma")
    mode: int | None = None
    proxied, proxies = False, tuple[Network, ...]()
    for option in filter(None, options.split("&")):
        name, _, value = option.partition("=")
        if name == "mode" and address.startswith(UNIX):
            if not _MODE.fullmatch(value):
                raise ValueError(f"mode={value!r} is not three octal digits, such as 660")
            mode = int(value, 8)
        elif name == "proxy":
            proxied, proxies = True, () if value == "on" else _networks(value)
        else:
            known = "mode and proxy" if address.startswith(UNIX) else "proxy"
            raise ValueError(f"there is no option {name!r} for {address}; there is {known}")
    return Place(address, mode, proxied, proxies)


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.split("+"))
    except ValueError:
        raise ValueError(
            f"proxy={text!r} is neither 'on' nor networks with '+' between, such as 10.0.0.0/8+192.168.7.1"
        ) from None
