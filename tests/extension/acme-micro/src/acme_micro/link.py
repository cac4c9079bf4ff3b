"""One TCP connection of the transport ``acme``: frames of many calls, with flow control for each call and direction.

A frame is the length of its payload (4 bytes), the number of its call (4), its kind (1), and the payload. A message travels in parts of
at most ``PART`` bytes. A sender may have ``WINDOW`` bytes on their way that the receiver has not read; reading grants as many more.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable
from copy import copy
from struct import Struct

from micro_rt.errors import Error

__all__ = ["Incoming", "Kind", "Link", "Outgoing"]

PART = 64 << 10
WINDOW = 4 << 20
OVERHEAD = 16
"""Bytes that a part counts for besides its own, so that empty messages are bounded too."""
LARGEST = 16 << 20
"""Bytes of the largest frame; who sends a larger one speaks something else."""

_HEAD = Struct(">IIB")


class Kind(enum.IntEnum):
    """What a frame is."""

    HELLO = 0
    OPEN = 1
    PART = 2
    LAST_PART = 3
    END = 4
    CANCEL = 5
    HEADERS = 6
    STATUS = 7
    GRANT = 8
    REFUSED = 9


class Link(asyncio.Protocol):
    """Frames in both directions.

    Args:
        received: called with the call, the kind and the payload of each frame.
        lost: called when the connection is lost or closed.
        made: called when the connection is made.
    """

    def __init__(
        self,
        received: Callable[[Link, int, Kind, bytes], None],
        lost: Callable[[Link], None],
        made: Callable[[Link], None] = lambda link: None,
    ) -> None:
        self._received = received
        self._lost = lost
        self._made = made
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.peer = ""
        self.alive = False
        self.writable = True
        self.senders: set[Outgoing] = set()
        """Those that may wait until the connection takes more."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._transport = transport
        self.alive = True
        self._made(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        begin = 0
        try:
            while len(self._buffer) - begin >= _HEAD.size:
                size, call, kind = _HEAD.unpack_from(self._buffer, begin)
                if size > LARGEST:
                    raise ValueError("too large a frame")
                end = begin + _HEAD.size + size
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[begin + _HEAD.size : end])
                begin = end
                self._received(self, call, Kind(kind), payload)
        except (ValueError, KeyError):  # whoever is there does not speak this
            self.abort()
        del self._buffer[:begin]

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self._lost(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        for sender in list(self.senders):
            sender.wake()

    def post(self, kind: Kind, call: int = 0, payload: bytes = b"") -> None:
        """Sends a frame, unless the connection is lost."""
        if self.alive and self._transport is not None:
            self._transport.write(_HEAD.pack(len(payload), call, kind) + payload)

    def close(self) -> None:
        """Closes the connection when what was posted is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None and not self.closed.done():
            self._transport.abort()


class Outgoing:
    """The messages that one side of a call sends."""

    def __init__(self, link: Link, call: int) -> None:
        self._link = link
        self._call = call
        self._window = WINDOW
        self._end: Error | None = None
        self._waiter: asyncio.Future[None] | None = None
        link.senders.add(self)

    async def send(self, message: bytes) -> None:
        """Sends a message, waiting while the other side does not read; raises why the call has ended."""
        for begin in range(0, len(message) or 1, PART):
            part = message[begin : begin + PART]
            while self._end is None and (self._window <= 0 or not self._link.writable):
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            if self._end is not None:
                raise copy(self._end)
            self._window -= len(part) + OVERHEAD
            last = begin + PART >= len(message)
            self._link.post(Kind.LAST_PART if last else Kind.PART, self._call, part)

    def grant(self, size: int) -> None:
        """The other side has read as many bytes."""
        self._window += size
        self.wake()

    def end(self, reason: Error) -> None:
        """Nothing more can be sent."""
        if self._end is None:
            self._end = reason
            self._link.senders.discard(self)
            self.wake()

    def wake(self) -> None:
        """Has a sender that waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Incoming:
    """The messages that one side of a call receives.

    Args:
        grant: called with how many bytes were read.
    """

    def __init__(self, grant: Callable[[int], None]) -> None:
        self._grant = grant
        self._parts: deque[tuple[bytes, bool]] = deque()
        self._begun = bytearray()
        self._end: Error | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def receive(self) -> bytes:
        """Waits for a message; raises why there are no more. Cancelling it loses nothing."""
        while True:
            while self._parts:
                part, last = self._parts.popleft()
                self._begun += part
                self._grant(len(part) + OVERHEAD)
                if last:
                    message = bytes(self._begun)
                    self._begun.clear()
                    return message
            if self._end is not None:
                raise copy(self._end)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def feed(self, part: bytes, last: bool) -> None:
        """Takes a part that has arrived."""
        if self._end is None:
            self._parts.append((part, last))
            self._wake()

    def end(self, reason: Error, *, drop: bool = False) -> None:
        """Nothing more arrives; what has arrived can still be read, unless it is dropped."""
        if self._end is None:
            self._end = reason
        if drop:
            self._end = reason
            self._parts.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
