"""The client's end of a call of any kind: messages each way.

Rules kept here, and why:

- A status that has arrived wins over everything that comes after it: messages that came before it stay readable. A
  cancellation and the deadline end a call at once, with what was not read.
- What waits to be sent of one call is bounded by ``PIECE``: a larger message is sent piece by piece, as the windows of
  the server open. A caller that sends without a pause writes at once from time to time, so that it hears that the
  transport holds too much.
- What has come and was not read is acknowledged when it is read. While somebody waits for a message, its parts are
  acknowledged as they come: it may be larger than the window.
- Each waiter gets an error object of its own when the call ends.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import Any, Final, cast

from micro_rt.backends.grpc.client_call import BaseCall
from micro_rt.backends.grpc.client_link import ClientLink
from micro_rt.backends.grpc.fields import Pairs
from micro_rt.backends.grpc.framing import PREFIX_BYTES, MessageReader, compressed_frame, frame, pack_prefix
from micro_rt.backends.grpc.replies import Trailers, error_of_deadline, error_of_status, lost
from micro_rt.context import CallInfo
from micro_rt.errors import Cancelled, EndOfStream, Error
from micro_rt.http2.errors import NoMoreStreamsError, TooManyStreamsError
from micro_rt.http2.hpack import Group
from micro_rt.transport.base import ClientStream, ended_already, many_replies, no_reply
from micro_rt.transport.compression import Compressed
from micro_rt.transport.limits import too_large

__all__ = ["PIECE", "GrpcClientStream"]

_FRAME: Final = 16 << 10
"""Bytes that every peer takes in one frame."""
PIECE: Final = 256 << 10
"""Bytes of a message that wait in a stream at most."""
_BURST: Final = 64 << 10
"""Bytes that are sent until they are written at once."""
_WORTHWHILE: Final = 16 << 10
"""Bytes that were read until they are acknowledged."""


class GrpcClientStream(BaseCall, ClientStream):
    """The client's end of a call of any kind.

    Args:
        most: bytes that a message of the request may have.
        compression: how messages of the request are compressed; empty for not at all.
        others: as of every call.
    """

    __slots__ = (
        "_burst",
        "_encoding",
        "_end",
        "_last",
        "_most",
        "_opening",
        "_outcome",
        "_packed",
        "_readable",
        "_reader",
        "_unacknowledged",
        "_writable",
    )

    def __init__(
        self,
        most: int,
        compression: str,
        link: ClientLink,
        path: str,
        group: Group,
        pairs: Pairs,
        deadline: float | None,
        info: CallInfo,
        limit: int,
    ) -> None:
        self._most = most
        self._encoding = compression
        super().__init__(link, path, group, pairs, deadline, info, limit)
        self._reader = MessageReader(limit)
        self._packed: bytes | None = None
        """The next message, while it is decompressed."""
        self._unacknowledged = 0
        """Bytes that have come and were not acknowledged."""
        self._burst = 0
        """Bytes that were sent and may not be written yet."""
        self._last = False
        """Whether the caller has said that no more will be sent."""
        self._end: Error | None = None
        """How the call has ended, once that is known: an ``EndOfStream`` for status OK. Messages may be unread."""
        self._outcome: Error | None = None
        """What every further receive raises."""
        self._opening: asyncio.Future[None] | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[bool] | None = None
        """Whether all was sent; False if the call has ended before."""

    async def start(self) -> None:
        """Opens the stream; waits for its turn.

        Raises:
            Error: the call has ended before.
        """
        self.begin()
        if self._stream is None and self._end is None:
            opening = self._opening = self._link.loop.create_future()
            try:
                await opening
            except BaseException:
                self.cancel()
                raise
        if self._end is not None and self._end.may_have_run is False:
            raise copy(self._end)

    def begin(self) -> None:
        """Opens the stream; or waits for its turn."""
        link = self._link
        try:
            stream = link.http2.request(self._section())
        except TooManyStreamsError:
            link.wait(self)
            return
        except NoMoreStreamsError as error:
            self._not_begun(error)
            return
        stream.context = self
        self._stream = stream
        self._sent = True
        link.flush_soon()
        if link.silence.timer is None:
            link.silence.watch()
        _wake(self._opening)

    async def send(self, message: bytes, *, end: bool = False) -> None:
        """Sends a message, waiting while the windows of the server are full."""
        if self._last:
            raise ended_already(self._path)
        self._last = end
        if len(message) > self._most:
            error = too_large(self._path, len(message), self._most, "sent")
            self._cut(error)
            raise copy(error)
        try:
            if self._encoding and self._info.compression != "":
                data = await compressed_frame(self._encoding, message)
            elif len(message) < PIECE:
                data = frame(message)
            else:  # Only what the first frame has is copied.
                data = pack_prefix(0, len(message)) + message[: _FRAME - PREFIX_BYTES]
                await self._send(data, False)
                view = memoryview(message)[_FRAME - PREFIX_BYTES :]
                await self._send_pieces(view, end)
                return
            if len(data) <= PIECE:
                await self._send(data, end)
            else:
                await self._send_pieces(memoryview(data), end)
        except asyncio.CancelledError:
            self.cancel()  # Part of the message may be out, and nothing can follow it.
            raise

    async def end(self) -> None:
        """Says that no more messages will be sent."""
        if self._last:
            return
        self._last = True
        if self._stream is not None:
            self._link.http2.send_data(self._stream, b"", True)
            self._link.flush_soon()

    def receive_nowait(self) -> bytes | None:
        """Returns the next message if all of it has arrived; None if not, or if the call was cut off."""
        reader = self._reader
        if not reader.ready or self._packed is not None:  # A call that is cut off has emptied it.
            return None
        message = reader.ready.popleft()
        held = reader.held = reader.held - len(message) - PREFIX_BYTES
        if self._unacknowledged - held >= _WORTHWHILE:
            self._acknowledge(held)
        return message

    async def receive(self) -> bytes:
        """Waits for a message."""
        message = await self._next()
        if message is None:
            assert self._outcome is not None  # noqa: S101 - the type checkers cannot know
            raise copy(self._outcome)
        return message

    async def only_reply(self, path: str) -> bytes:
        """Receives the one message of a call whose server does not stream, and waits for the status."""
        # Without the exception that would end every call that goes well.
        reply = await self._next()
        if reply is None:
            raise no_reply(path)
        if await self._next() is not None:
            self.cancel()
            raise many_replies(path)
        return reply

    def on_head(self, fields: Any, ended: bool) -> None:
        """Takes the header section of the answer."""
        super().on_head(fields, ended)
        if self._compression:
            self._reader.compressed = True

    def cancel(self) -> None:
        """Ends the call at once on both sides; does nothing when it is over."""
        if self._outcome is None:
            self._cut(Cancelled("the call was cancelled by this client"))

    def expire(self) -> None:
        """Ends the call: its deadline has passed."""
        self._slot = None
        if self._end is None:
            error = error_of_deadline(self._path, self._link.address)
            if self._stream is None:
                error.may_have_run = error.unanswered = False
            self._cut(error)

    def on_data(self, data: bytes, ended: bool) -> None:
        """Takes data of the answer."""
        reader = self._reader
        reader.feed(data)
        self._unacknowledged += len(data)
        waiter = self._readable
        if data:
            self._said = None
        if ended:
            self._end_without_trailers()
        elif reader.refused:
            self._drop()  # ``take`` tells.
        elif reader.ready:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
            return
        if waiter is None or waiter.done():
            return
        if reader.missing <= 0 or reader.refused:
            waiter.set_result(None)
        elif self._unacknowledged >= _WORTHWHILE:
            self._acknowledge(0)

    def on_sent(self) -> None:
        """Notes that nothing waits to be sent any more."""
        waiter = self._writable
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    # Helpers

    def _is_empty(self) -> bool:
        return True  # ``on_data`` drops the status in the headers when data comes.

    async def _send_pieces(self, view: memoryview, end: bool) -> None:
        """Sends data piece by piece; raises as ``_send`` does."""
        for start in range(0, len(view), PIECE):
            stop = start + PIECE
            await self._send(cast("bytes", view[start:stop]), end and stop >= len(view))

    async def _send(self, data: bytes, end: bool) -> None:
        """Sends data, and waits until all of it is sent.

        Raises:
            Error: the call has ended.
        """
        link = self._link
        if link.paused and self._end is None:
            await link.drain()
        stream = self._stream
        if self._end is not None:
            raise copy(self._end)
        if stream is None:  # What came cannot be accepted, and receiving tells why.
            raise Cancelled(f"{self._path}: the call was cancelled, as its answer cannot be accepted")
        waits = link.http2.send_data(stream, data, end)
        self._burst += len(data)
        if self._burst < _BURST:
            link.flush_soon()
        else:
            self._burst = 0
            link.flush()
        if waits:
            writable = self._writable = link.loop.create_future()
            if not await writable:
                raise copy(self._end or lost(self._path, link.address))

    async def _next(self) -> bytes | None:
        """Waits for a message; None if the call has ended with status OK.

        Raises:
            Error: the call has ended in another way.
        """
        reader = self._reader
        while True:
            if self._outcome is not None:
                if isinstance(self._outcome, EndOfStream):
                    return None
                raise copy(self._outcome)
            try:
                message = reader.take() if self._packed is None else self._packed
                if message is not None:
                    if type(message) is Compressed:
                        self._packed = message  # Whoever gives up waiting for it loses nothing.
                        message = await self.decompressed(message)
                        self._packed = None
                        if self._outcome is not None:
                            continue
                    if self._unacknowledged - reader.held >= _WORTHWHILE:
                        self._acknowledge(reader.held)
                    return message
                if self._end is not None:
                    if isinstance(self._end, EndOfStream):
                        reader.end()
                    self._outcome = self._end
                    continue
            except Error as error:
                self._cut(error)
                continue
            if self._unacknowledged >= _WORTHWHILE:
                self._acknowledge(0)
            readable = self._readable = self._link.loop.create_future()
            try:
                await readable
            finally:
                self._readable = None

    def _acknowledge(self, kept: int) -> None:
        """Lets the server send more, but for what is kept."""
        if self._stream is not None:
            self._link.http2.acknowledge(self._stream, self._unacknowledged - kept)
            self._link.flush_soon()
        self._unacknowledged = kept

    def _finish(self, trailers: Trailers, *, alone: bool) -> None:
        self._forget()
        self._info.trailers = trailers.metadata
        error = error_of_status(trailers, self._path, alone=alone)
        self._ended(error or EndOfStream("the server has ended the call"))

    def _cut(self, error: Error) -> None:
        """Ends the call at once, with what was not read."""
        self._drop()
        self._reader.clear()
        self._outcome = error
        self._end = None
        self._ended(error)

    def _ended(self, error: Error) -> None:
        if self._end is None:
            self._end = error
        self.release()
        _wake(self._opening)
        _wake(self._readable)
        writable = self._writable
        if writable is not None and not writable.done():
            writable.set_result(False)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
