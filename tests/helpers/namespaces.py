"""Network namespaces for tests: a network of this thread's own, which nothing else on the machine sees."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

__all__ = ["network_namespace", "switch"]

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_UP = 0x1


@contextlib.contextmanager
def network_namespace() -> Iterator[bool]:
    """Gives this thread a network of its own, with loopback alone; the programs that it starts are in it too.

    Yields:
        Whether it has one; False where that is not permitted.
    """
    try:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        library = ctypes.CDLL(None, use_errno=True)
        entered = not library.unshare(_CLONE_NEWNET)
    except (OSError, AttributeError):  # This is not Linux.
        yield False
        return
    try:
        if entered:
            switch("lo", up=True)
        yield entered
    finally:
        if entered and library.setns(before, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot leave the network namespace")
        os.close(before)


def switch(name: str, *, up: bool) -> None:
    """Switches an interface of this thread's network on or off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("16sH22x", name.encode(), 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(asking, _SIOCGIFFLAGS, request), 16)
        flags = flags | _UP if up else flags & ~_UP
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags))
