"""The server's end of one call: the messages that the client sends.

Rules kept here, and why:

- A message that is taken is acknowledged, and not before: a handler that does not read stops its client. For a message
  that is larger than the window, the client is given more, once, as soon as the handler waits for it and it is its turn
  (``ServerLink.grant``).
- A message that came whole in one frame, as most do, costs one slice.
- A handler that waits for a message is woken when the message is complete, and not for each piece of it.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Final, cast

from micro_rt.backends.grpc.framing import PREFIX_BYTES, MessageReader, read_prefix
from micro_rt.errors import Cancelled, EndOfStream, Error
from micro_rt.http2.streams import DONE, Stream
from micro_rt.logs import logger, sparsely
from micro_rt.transport.base import ServerStream
from micro_rt.transport.compression import Compressed, decompress
from micro_rt.transport.limits import MORE

if TYPE_CHECKING:
    from micro_rt.backends.grpc.server_link import ServerLink

__all__ = ["ClientGone", "Incoming"]

_ALL: Final = (1 << 31) - 1
"""More bytes than a stream can hold; what was acknowledged already is not acknowledged again."""
_WORTHWHILE: Final = 16 << 10
"""Bytes of requests that are taken before they are acknowledged."""

_log = logger("micro_rt.backends.grpc")


class ClientGone(Cancelled):
    """The client cannot be reached any more: it cancelled the call, or its connection is lost."""


class Incoming(ServerStream):
    """The part of a call that receives.

    Args:
        link: its connection.
        stream: its stream.
        path: of the call.
        largest: bytes that a message may have.
        compression: how messages are compressed; empty for not at all.
    """

    __slots__ = (
        "_compression",
        "_ended",
        "_failure",
        "_largest",
        "_link",
        "_message",
        "_reader",
        "_stream",
        "_taken",
        "_waiter",
        "finished",
        "granted",
        "path",
        "wanted",
    )

    def __init__(self, link: ServerLink, stream: Stream, path: str, largest: int, compression: str = "") -> None:
        self._link = link
        self._largest = largest
        self._compression = compression
        self._stream = stream
        self.path = path
        self.finished = False
        """Whether the status has been sent."""
        self._message: bytes | None = None
        """The next message, if it came whole in one frame."""
        self._reader: MessageReader | None = None
        """What came otherwise, after that."""
        self._failure: Error | None = None
        """What is wrong with the next message."""
        self._ended = stream.remote >= DONE
        """Whether the client has sent all messages."""
        self._waiter: asyncio.Future[None] | None = None
        """Done when there is something to receive."""
        self._taken = 0
        """Bytes that are taken and not acknowledged."""
        self.granted = 0
        """Bytes that the client was given beyond the window, for a large message."""
        self.wanted = 0
        """Bytes that it waits for to be given."""

    # What the connection says

    def on_data(self, data: bytes, ended: bool) -> None:
        """Takes data of the request."""
        if self.finished:
            return
        if ended:
            self._ended = True
        reader = self._reader
        if reader is None and self._message is None and len(data) >= PREFIX_BYTES:
            compressed, size = read_prefix(data)
            if not compressed and size == len(data) - PREFIX_BYTES and size <= self._largest:
                self._message = data[PREFIX_BYTES:]
                if self._waiter is not None:
                    self._wake()
                return
        if data:
            if reader is None:
                reader = self._reader = MessageReader(self._largest, compressed=bool(self._compression))
            reader.feed(data)
        if self._waiter is not None and (self._look() or self._ended):
            self._wake()

    def on_end(self) -> None:
        """Notes that the client has sent all messages."""
        self._ended = True
        if self._waiter is not None:
            self._wake()

    # What the handler does

    async def receive(self) -> bytes:
        """Waits for a message; raises ``EndOfStream`` after the last one."""
        message = self._message
        if message is None:
            message = await self._next()
        size = len(message)
        if type(message) is Compressed:
            message = await self._decompressed(message)
        self._message = None
        if self._stream.remote < DONE:
            self._taken += size + PREFIX_BYTES
            if self._taken >= _WORTHWHILE:
                self._acknowledge()
        return message

    async def only_request(self) -> bytes:
        """Receives the one message of a call whose client does not stream, and waits for the end of the requests."""
        message = self._message
        if type(message) is bytes and self._ended and self._reader is None:
            self._message = None
            return message
        return await super().only_request()

    # Helpers

    async def _decompressed(self, message: bytes) -> bytes:
        """Returns a message as it was before it was compressed.

        Raises:
            Error: it cannot be decompressed, or is too large.
        """
        try:
            return await decompress(self._compression, message, self._largest, self.path, MORE)
        except Error as error:
            self._message, self._failure = None, error
            _log.info("a message from %s is refused: %s", self._link.peer, error, extra=sparsely("message"))
            raise copy(error) from None

    async def _next(self) -> bytes:
        """Waits for a message that has not come whole in one frame."""
        while True:
            if self._look():
                if self._failure is not None:
                    raise copy(self._failure)
                return cast("bytes", self._message)
            if self._ended:
                if self._is_cut_off():
                    continue
                raise EndOfStream("the client sent its last message already")
            if self._stream.local >= DONE:
                raise self._gone()
            self._waiter = waiter = self._link.loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    async def _whole_request(self) -> None:
        """Waits until the client has sent all of what is no call: its mistakes are answered before the response.

        What comes is thrown away, however much that is, and nothing of it is kept.
        """
        self._message, self._reader = None, _Waste(self._link, self._stream)
        while not self._ended:
            if self._stream.local >= DONE:
                raise self._gone()
            self._waiter = waiter = self._link.loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    def _is_cut_off(self) -> bool:
        """Returns whether the client has ended the call inside of a message, and notes it."""
        try:
            if self._reader is not None:
                self._reader.end()
        except Error as error:
            self._failure = error
        return self._failure is not None

    def _look(self) -> bool:
        """Returns whether there is a message, or an error in its place; has the client send more of a large one."""
        if self._message is None and self._failure is None:
            reader = self._reader
            if reader is None:
                return False
            try:
                self._message = reader.take()
            except Error as error:
                self._failure = error
                _log.info("a message from %s is refused: %s", self._link.peer, error, extra=sparsely("message"))
                return True
            if self._message is None:
                if reader.missing > self._stream.window:
                    self._want(reader.missing)
                return False
            if self.granted or self.wanted:
                self._link.take_back(self)
        return True

    def _want(self, missing: int) -> None:
        """Asks for what the rest of a message takes beyond the window."""
        stream = self._stream
        if stream.remote >= DONE:
            return
        if self._taken:
            self._acknowledge()
        if missing > stream.window and not self.wanted:
            self._link.grant(self, missing - stream.window)

    def widen(self, size: int) -> None:
        """Lets the client send more than the window, once."""
        self._link.http2.widen(self._stream, size)

    def _acknowledge(self) -> None:
        self._link.http2.acknowledge(self._stream, self._taken)
        self._taken = 0
        self._link.flush_soon()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _gone(self) -> ClientGone:
        return ClientGone(f"the client of {self.path} went away")


class _Waste(MessageReader):
    """Acknowledges what comes, and keeps nothing of it.

    Args:
        link: the connection.
        stream: the stream.
    """

    __slots__ = ("_link", "_stream")

    def __init__(self, link: ServerLink, stream: Stream) -> None:
        super().__init__()
        self._link = link
        self._stream = stream
        self._take_all()  # What came before.

    def feed(self, data: bytes) -> None:
        """Takes data of what is no call."""
        self._take_all()

    def _take_all(self) -> None:
        """Has the client send as much again as has come."""
        if self._stream.remote < DONE:
            self._link.http2.acknowledge(self._stream, _ALL)
            self._link.flush_soon()
