"""Accepts the connections of a socket, alike on every event loop.

Rules kept here, and why:

- **Without a file descriptor, nothing is lost and nothing is silent.** asyncio tries again after a second and logs it for
  each place in the backlog; uvloop closes the connections that it cannot take, and tells nobody. Here, those that wait in
  the backlog go on waiting, the log says so once per second, and they are accepted as soon as there are descriptors.
- Many connections at once do not keep the event loop: ``_BURST`` are accepted in a row, and the others in later turns.
- Small messages are not held back (TCP_NODELAY). asyncio sets that only on sockets whose protocol number it knows.
- Stopping accepts nothing more. A connection that is being handed over at that moment is closed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from micro_rt.kit.net import is_every_interface
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger, sparsely

__all__ = ["Acceptor", "open_sockets"]

_BURST: Final = 64
"""Connections that are accepted in a row."""
_PAUSE: Final = 0.5
"""Seconds until accepting is tried again when there was no file descriptor."""
_PORTS_TRIED: Final = 10
"""Free ports of the first address that are tried at the others."""
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logger("micro_rt.listener")


class Acceptor:
    """Accepts connections, from now on.

    Args:
        sock: listens. It belongs to this object.
        protocol: makes the protocol of each connection.
    """

    def __init__(self, sock: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet[Any]()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[None] | None = None
        """Accepts where the event loop cannot tell that a socket is readable: on Windows."""
        self._stopped = False
        self._is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
        self._go_on()

    def stop(self) -> None:
        """Accepts nothing more, and closes the socket; again: does nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
        elif self._timer is not None:
            self._timer.cancel()
        else:
            self._loop.remove_reader(self.sock)
        self.sock.close()

    async def wait_closed(self) -> None:
        """Stops, and waits until connections that were accepted have been handed over, or are closed."""
        self.stop()
        await self._tasks.end()

    # Helpers

    def _go_on(self) -> None:
        self._timer = None
        try:
            self._loop.add_reader(self.sock, self._accept)
        except NotImplementedError:
            self._waiting = self._tasks.start(self._accept_each(), name="accept connections")

    def _accept(self) -> None:
        for _ in range(_BURST):
            try:
                accepted, _ = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._report(error)
                self._loop.remove_reader(self.sock)
                self._timer = self._loop.call_later(_PAUSE, self._go_on)
                return
            accepted.setblocking(False)
            self._tasks.start(self._hand_over(accepted), name="accept a connection")

    async def _accept_each(self) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self.sock)
            except OSError as error:
                self._report(error)
                await asyncio.sleep(_PAUSE)
            else:
                self._tasks.start(self._hand_over(accepted), name="accept a connection")

    def _report(self, error: OSError) -> None:
        """Says why the connections in the backlog wait."""
        out = error.errno in _OUT_OF_RESOURCES
        advice = (
            "; raise the limit of open files (ulimit -n), or lower limits=micro.Limits(connections=…)" if out else ""
        )
        what = "connections wait, as none can be accepted: %s%s"
        _log.error(what, error.strerror or error, advice, extra=sparsely("accept"))

    async def _hand_over(self, accepted: socket.socket) -> None:
        handed = False
        try:
            if not self._stopped:
                if self._is_tcp:
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await self._loop.connect_accepted_socket(self._protocol, accepted)
                handed = True
        except OSError as error:  # It was reset, or there is no descriptor for what the event loop needs.
            _log.info("a connection is lost before it begins: %s", error.strerror or error, extra=sparsely("begin"))
        finally:
            if not handed:
                accepted.close()


async def open_sockets(host: str, port: int, *, backlog: int) -> Sequence[socket.socket]:
    """Listens on every address of a host, at one port; ``::`` includes IPv4 if the system supports it.

    Args:
        host: a name or an address, without brackets.
        port: 0 for a free one.
        backlog: how many connections wait to be accepted at most.

    Raises:
        OSError: the host does not exist, or the port is taken.
    """
    if ":" in host and is_every_interface(host) and socket.has_dualstack_ipv6():
        return [socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    tried = 0
    while True:
        tried += 1
        try:
            return _all_open(places, backlog)
        except OSError as error:
            # The port was 0, and that of the first address is taken at another one.
            if port or error.errno != errno.EADDRINUSE or tried == _PORTS_TRIED:
                raise


def _all_open(places: Sequence[tuple[int, Any]], backlog: int) -> Sequence[socket.socket]:
    """Listens on each address, at the port of the first one if that is chosen."""
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in places:
            port = address[1] or (opened[0].getsockname()[1] if opened else 0)
            try:
                opened.append(_open(family, (address[0], port, *address[2:]), backlog))
            except OSError as error:
                # A name may have addresses of a kind that this machine does not have.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if not opened and missing is not None:
            raise missing
    except BaseException:
        for each in opened:
            each.close()
        raise
    return opened


def _open(family: int, address: Any, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
