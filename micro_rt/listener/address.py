"""Where a server listens: a TCP port, or a Unix socket.

Rules kept here:

- An address is taken once. A Unix socket on which nobody listens any more is left over from a process that was killed,
  and is replaced; one on which somebody listens is not.
- A Unix socket is removed when its server closes, unless another server has put one of its own there meanwhile.
- The permissions of its folder decide who may connect to a Unix socket.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import join, listen, split
from micro_rt.text import printable

__all__ = ["UNIX", "Bound", "bind"]

UNIX = "unix:"
"""What the address of a Unix socket begins with, before its path."""

_Identity: TypeAlias = tuple[int, int]


class Bound:
    """A server that accepts connections.

    Args:
        server: of the event loop.
        address: where it listens: ``"127.0.0.1:40123"``, or ``"unix:/run/greeter.sock"``.
        file: the file of a Unix socket, and which file that is.
    """

    def __init__(
        self, server: asyncio.AbstractServer, address: str, file: tuple[Path, _Identity] | None = None
    ) -> None:
        self.address = address
        self._server = server
        self._file = file

    def stop(self) -> None:
        """Accepts no further connections; again: does nothing."""
        self._server.close()
        if self._file is not None:
            path, identity = self._file
            self._file = None
            with suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()

    async def wait_closed(self) -> None:
        """Waits until the event loop has let go of it."""
        await self._server.wait_closed()


async def bind(address: str, protocol: Callable[[], asyncio.BaseProtocol], *, backlog: int) -> Bound:
    """Listens on an address.

    Args:
        address: ``host:port``, where port 0 picks a free one, or ``unix:`` and the path of a socket.
        protocol: makes the protocol of each connection.
        backlog: how many connections wait to be accepted at most.

    Raises:
        FailedPrecondition: the address cannot be used.
    """
    try:
        if address.startswith(UNIX):
            return await _bind_unix(address.removeprefix(UNIX), protocol, backlog)
        host, port = split(address)
        server = await listen(protocol, host, port, backlog=backlog)
    except (OSError, ValueError) as error:
        problem = error.strerror or error if isinstance(error, OSError) else error
        advice = (
            "another path" if address.startswith(UNIX) else "another address= (MICRO_ADDRESS), or port 0 for a free one"
        )
        raise FailedPrecondition(
            printable(f"cannot listen on {address}: {problem}; choose {advice}"), id="micro.listen_failed"
        ) from None
    return Bound(server, join(host, server.sockets[0].getsockname()[1]))


async def _bind_unix(path: str, protocol: Callable[[], asyncio.BaseProtocol], backlog: int) -> Bound:
    if not path:
        raise ValueError("the path of the socket is missing")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        identity = _take(bound, Path(path))
        server = await asyncio.get_running_loop().create_unix_server(protocol, sock=bound, backlog=backlog)
    except BaseException:
        bound.close()
        raise
    return Bound(server, f"{UNIX}{path}", (Path(path), identity))


def _take(bound: socket.socket, path: Path) -> _Identity:
    """Binds a socket to a path; returns which file it is."""
    bound.setblocking(False)
    try:
        bound.bind(os.fspath(path))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_left_over(path):
            raise
        path.unlink()
        bound.bind(os.fspath(path))
    return _identity(path)


def _is_left_over(path: Path) -> bool:
    """Whether a file is a socket on which nobody listens."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) == errno.ECONNREFUSED


def _identity(path: Path) -> _Identity:
    found = path.lstat()
    return found.st_dev, found.st_ino
