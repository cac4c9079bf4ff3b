"""Where a server listens: TCP ports, Unix sockets, and sockets that systemd has opened.

Rules kept here:

- An address is taken once. A Unix socket on which nobody listens any more is left over from a process that was killed,
  and is replaced; one on which somebody listens is not.
- A Unix socket is removed when its server closes, unless another server has put one of its own there meanwhile.
- The permissions of a Unix socket are set before anybody can connect to it. Without ``mode``, those of its folder decide
  who may connect.
- If one of several places cannot be used, none is.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import join, split
from micro_rt.kit.secrets import without_secrets
from micro_rt.listener.accepting import Acceptor, open_sockets
from micro_rt.listener.places import SYSTEMD, UNIX, Place, places_of
from micro_rt.listener.systemd import inherited
from micro_rt.text import printable

__all__ = ["UNIX", "Bound", "bind"]

_Make: TypeAlias = Callable[[Place], asyncio.BaseProtocol]
_Identity: TypeAlias = tuple[int, int]


class Bound:
    """A place where connections are accepted.

    Args:
        sockets: that listen.
        address: where: ``"127.0.0.1:40123"``, or ``"unix:/run/greeter.sock"``.
        protocol: makes the protocol of each connection.
        file: the file of a Unix socket, and which file that is.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        address: str,
        protocol: Callable[[], asyncio.BaseProtocol],
        file: tuple[Path, _Identity] | None = None,
    ) -> None:
        self.address = address
        self._acceptors = [Acceptor(sock, protocol) for sock in sockets]
        self._file = file

    def stop(self) -> None:
        """Accepts no further connections; again: does nothing."""
        for acceptor in self._acceptors:
            acceptor.stop()
        if self._file is not None:
            path, identity = self._file
            self._file = None
            with suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()

    async def wait_closed(self) -> None:
        """Waits until no connection is on its way any more."""
        for acceptor in self._acceptors:
            await acceptor.wait_closed()


async def bind(address: str, make: _Make, *, backlog: int) -> Sequence[Bound]:
    """Listens wherever an address says.

    Args:
        address: one or several places: see ``places.py``.
        make: makes the protocol of a connection at a place.
        backlog: how many connections wait to be accepted at most, at each place.

    Raises:
        FailedPrecondition: the address cannot be used.
    """
    found: list[Bound] = []
    try:
        try:
            places = places_of(address)
        except ValueError as error:
            raise _refused(without_secrets(address), error) from None
        for place in places:
            try:
                found += await _bind(place, make, backlog)
            except (OSError, ValueError) as error:
                raise _refused(place.address, error) from None
    except BaseException:
        for bound in found:
            bound.stop()
        raise
    return found


def _refused(address: str, error: OSError | ValueError) -> FailedPrecondition:
    problem = error.strerror or error if isinstance(error, OSError) else error
    advice = "; choose another address= (MICRO_ADDRESS), or port 0 for a free one"
    if address.startswith(UNIX):
        advice = "; choose another path"
    elif address.startswith(SYSTEMD):
        advice = ""
    return FailedPrecondition(printable(f"cannot listen on {address}: {problem}{advice}"), id="micro.listen_failed")


async def _bind(place: Place, make: _Make, backlog: int) -> Sequence[Bound]:
    def protocol() -> asyncio.BaseProtocol:
        return make(place)

    if place.address.startswith(UNIX):
        return [_bind_unix(place, protocol, backlog)]
    if place.address.startswith(SYSTEMD):
        return [Bound([each], _name_of(each), protocol) for each in inherited(place.address.removeprefix(SYSTEMD))]
    host, port = split(place.address)
    sockets = await open_sockets(host, port, backlog=backlog)
    return [Bound(sockets, join(host, sockets[0].getsockname()[1]), protocol)]


def _name_of(opened: socket.socket) -> str:
    name: Any = opened.getsockname()
    if opened.family in (socket.AF_INET, socket.AF_INET6):
        return join(str(name[0]), int(name[1]))
    return f"{UNIX}{os.fsdecode(name)}"


def _bind_unix(place: Place, protocol: Callable[[], asyncio.BaseProtocol], backlog: int) -> Bound:
    path = place.address.removeprefix(UNIX)
    if not path:
        raise ValueError("the path of the socket is missing")
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError("this system has no Unix sockets")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        identity = _take(bound, Path(path))
        if place.mode is not None:
            os.chmod(path, place.mode)  # noqa: PTH101 - Nobody can connect yet.
        bound.listen(backlog)
    except BaseException:
        bound.close()
        raise
    return Bound([bound], place.address, protocol, (Path(path), identity))


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
