"""Sockets that systemd has opened for this process (sd_listen_fds(3)).

systemd opens the ports of a socket unit itself, hands them over when it starts the service, and keeps them open when the
service ends. So connections that come while the service starts or restarts wait, and are not refused.

Rules kept here:

- The sockets are those of the process that ``LISTEN_PID`` names, and of no child of it.
- Each use gets a copy of the socket: the service may stop and start again in the same process.
- No other program that this process starts inherits them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["inherited"]

_FIRST: Final = 3
"""The first of the file descriptors that systemd hands over."""
_MOST: Final = 1_000


def inherited(name: str, environment: Mapping[str, str] = os.environ) -> Sequence[socket.socket]:
    """Returns sockets that listen already.

    Args:
        name: of the sockets (``FileDescriptorName=`` of the unit); empty for all.
        environment: what systemd says of them.

    Raises:
        ValueError: systemd has handed over no such socket, or one that cannot be used; the message says why.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        raise ValueError("systemd has handed no socket to this process: start it by a .socket unit")
    numbers = range(_FIRST, _FIRST + min(int(count), _MOST))
    said = environment.get("LISTEN_FDNAMES")
    names = said.split(":") if said else ["unknown"] * len(numbers)
    chosen = [number for number, own in zip(numbers, names, strict=False) if not name or own == name]
    if not chosen:
        raise ValueError(
            f"systemd has handed over no socket named {name!r}; there are: {', '.join(sorted(set(names)))}"
        )
    opened: list[socket.socket] = []
    try:
        for number in chosen:
            os.set_inheritable(number, False)
            found = socket.socket(fileno=os.dup(number))
            opened.append(found)
            if found.type != socket.SOCK_STREAM or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ValueError(f"file descriptor {number}, which systemd has handed over, takes no connections")
            found.setblocking(False)
    except OSError as error:
        _close(opened)
        raise ValueError(f"a socket that systemd has handed over cannot be used: {error.strerror}") from None
    except BaseException:
        _close(opened)
        raise
    return opened


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()
