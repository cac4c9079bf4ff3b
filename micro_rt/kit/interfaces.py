"""The network interfaces of this machine: when they may have changed, and whether an address is still in use.

The rules that it keeps, and why:

- On Linux, the kernel reports over netlink when an interface, an address or a route changes. A report is only a reason to look:
  its content is not read, so none can be misread, and reports that the kernel drops because there are too many count as one.
- One change makes several reports, so ``SETTLE`` seconds pass from the first report until everybody looks. Reports that arrive
  later wait until ``PAUSE`` seconds after the last look: a router whose routes change all the time costs two looks a second.
- Everybody looks every ``LOOK`` seconds too: some sandboxes accept the subscription and report nothing, and other systems
  have no netlink.
- An event loop has one socket and one timer for this, however many objects of it look.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import ipaddress
import math
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from micro_rt.kit.clock import loop_time
from micro_rt.kit.net import bare_host
from micro_rt.kit.shared import Shared

if sys.platform == "linux":
    import fcntl

__all__ = ["InterfaceWatch", "is_in_use"]

SETTLE = 0.1
"""Seconds from the first report of a change until everybody looks."""
PAUSE = 0.5
"""Seconds from one look to the next at least."""
LOOK = 10.0
"""Seconds until everybody looks without a report."""

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, and RTMGRP_…_IFADDR and RTMGRP_…_ROUTE of IPv4 and IPv6; the socket module has no names for them."""
_MANY = 10_000
"""Reports that are dropped at once; more stay for the next look."""
_SIOCGIFCONF, _SIOCGIFFLAGS = 0x8912, 0x8913
_UP, _RUNNING = 0x1, 0x40


class InterfaceWatch:
    """Calls a function when interfaces, addresses or routes of this machine may have changed, and every 10 seconds.

    Args:
        look: called in the event loop, often without any change.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._shared = Shared("interfaces", _Changes)
        self._changes: _Changes | None = None

    async def open(self) -> None:
        """Begins to call."""
        self._changes = await self._shared.acquire()
        self._changes.looks.append(self._look)

    async def close(self) -> None:
        """Calls no more; does nothing if it is not open."""
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.looks.remove(self._look)
            await self._shared.release()


def is_in_use(host: str) -> bool:
    """Returns whether an IP address is that of an interface of this machine which is up and connected.

    Systems other than Linux do not say what is connected: there, an address of the machine is in use.

    Args:
        host: with or without the brackets of an IPv6 address; one that is no IP address is not in use.
    """
    try:
        address = ipaddress.ip_address(bare_host(host).partition("%")[0])
    except ValueError:
        return False
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):  # Some sandboxes know no such requests.
            return any(_is_connected(name) for name in _names_of(address))
    return _can_bind(address)


class _Changes:
    """What the ``InterfaceWatch`` objects of one event loop share."""

    def __init__(self) -> None:
        self.looks: list[Callable[[], None]] = []
        self._reports: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looked = -math.inf

    async def open(self) -> None:
        self._reports = _subscribed()
        self._listen()
        self._look_in(LOOK)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._close_reports()

    def _listen(self) -> None:
        if self._reports is not None:
            try:
                asyncio.get_running_loop().add_reader(self._reports, self._reported)
            except (NotImplementedError, OSError):  # The loop cannot, or the socket is broken.
                self._close_reports()

    def _reported(self) -> None:
        # Not heard again before the look: however many reports there are, they cost nothing until then.
        if self._reports is not None:
            asyncio.get_running_loop().remove_reader(self._reports)
        self._look_in(max(SETTLE, self._looked + PAUSE - loop_time()))

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._looked = loop_time()
        self._look_in(LOOK)
        if self._reports is not None:
            _drop_reports(self._reports)
            self._listen()
        for look in list(self.looks):
            look()

    def _close_reports(self) -> None:
        reports, self._reports = self._reports, None
        if reports is not None:
            asyncio.get_running_loop().remove_reader(reports)
            reports.close()


def _subscribed() -> socket.socket | None:
    """Returns a socket on which the kernel reports changes; None where it does not."""
    if sys.platform != "linux":
        return None
    try:
        reports = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except OSError:
        return None
    try:
        reports.setblocking(False)
        reports.bind((0, _GROUPS))
    except OSError:
        reports.close()
        return None
    return reports


def _drop_reports(reports: socket.socket) -> None:
    for _ in range(_MANY):
        try:
            reports.recv(1)  # The rest of the report is dropped with it.
        except BlockingIOError:
            return
        except OSError:  # The kernel has dropped reports itself; those that it kept follow.
            continue


if sys.platform == "linux":

    def _names_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[str]:
        """Yields the names of the interfaces that have an address."""
        if address.version == 6:
            # Of this thread, which may be in another network namespace than its process.
            for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
                fields = line.split()
                if bytes.fromhex(fields[0]) == address.packed:
                    yield fields[5]
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            for request in _ipv4_addresses(asking):
                if request[20:24] == address.packed:
                    yield request[:16].partition(b"\0")[0].decode(errors="surrogateescape")

    def _ipv4_addresses(asking: socket.socket) -> Iterator[bytes]:
        """Yields each IPv4 address of the machine as ``struct ifreq``."""
        size = _size_of_request()
        room = 64 * size
        while True:
            found = array.array("B", bytes(room))
            answer = fcntl.ioctl(asking, _SIOCGIFCONF, struct.pack("iP", room, found.buffer_info()[0]))
            (length, _) = struct.unpack("iP", answer)
            if length < room:  # Else there may be more.
                break
            room *= 4
        data = found.tobytes()[:length]
        for start in range(0, length, size):
            yield data[start : start + size]

    def _size_of_request() -> int:
        """Returns the bytes of ``struct ifreq``: a name of 16, and a union whose largest member holds two longs."""
        return 40 if struct.calcsize("P") == 8 else 32

    def _is_connected(name: str) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            request = name.encode(errors="surrogateescape").ljust(_size_of_request(), b"\0")
            answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, request)
        flags = int.from_bytes(answer[16:18], sys.byteorder)
        return flags & (_UP | _RUNNING) == _UP | _RUNNING


def _can_bind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
