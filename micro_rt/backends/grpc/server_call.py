"""The server's end of one call: how it is run, what it sends, and how it ends.

Rules kept here, and why:

- Replies are held until the turn of the event loop is over. A reply that is followed by the end of its call then goes
  out in one piece with header section and trailers, and many small messages share a DATA frame.
- Sending waits while the client opens no window, and while the transport holds too much. A handler keeps what it
  cannot send yet: only ``SEND_PIECE`` bytes of a call wait in the connection.
- A call ends once: by its status, by a reset, or with its connection. What the handler does afterwards raises
  ``ClientGone``, and a cancellation that it swallows is not repeated.
- The deadline ends the handler by a cancellation, which is taken back and becomes DEADLINE_EXCEEDED. A cancellation
  that comes from elsewhere goes on.
- If the client still sends after the status, its stream is reset with NO_ERROR (RFC 9113, section 8.1).
- A call and its stream refer to each other only while the call is open, so that none is left to the garbage
  collector.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from micro_rt.backends.grpc.deadlines import Slot
from micro_rt.backends.grpc.fields import (
    OK_TRAILERS,
    Section,
    compressed_response,
    metadata_fields,
    pairs_of,
    size_of_pairs,
)
from micro_rt.backends.grpc.framing import PREFIX_BYTES, pack_prefix
from micro_rt.backends.grpc.requests import Request
from micro_rt.backends.grpc.server_incoming import ClientGone, Incoming
from micro_rt.backends.grpc.server_limits import SEND_PIECE
from micro_rt.errors import (
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    Internal,
    ResourceExhausted,
)
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.streams import DONE, Stream
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.transport.base import handler_failed
from micro_rt.transport.compression import LEAST, compress, compression_of
from micro_rt.transport.limits import too_large
from micro_rt.transport.wire import trailers_of

if TYPE_CHECKING:
    from micro_rt.backends.grpc.server_link import ServerLink

__all__ = ["ClientGone", "ServerCall"]

MAX_HEADERS: Final = 16 << 10
"""Bytes of metadata that are sent at most, as HTTP/2 counts them. Peers that get more than they take close the
connection, with every call on it; many take no more than this."""
_HOLD: Final = 16 << 10
"""Bytes of replies that are held until the turn of the event loop is over."""
_WRITE: Final = 256 << 10
"""Bytes of a large message that are written at once."""

_log = logger("micro_rt.backends.grpc")


class ServerCall(Incoming):
    """One call.

    Args:
        link: its connection.
        stream: its stream.
        request: what its fields say.
    """

    __slots__ = (
        "_announced",
        "_encoding",
        "_expired",
        "_held",
        "_held_size",
        "_most",
        "_request",
        "_response",
        "_room",
        "_slot",
        "_started",
        "_torn",
        "begun",
        "cancelled",
        "content_subtype",
        "deadline",
        "metadata",
        "over",
        "peer",
        "task",
    )

    def __init__(self, link: ServerLink, stream: Stream, request: Request) -> None:
        limits = link.limits
        largest, self._most, compression = limits.receive, limits.send, limits.compression
        if limits.sizes is not None and (rules := limits.sizes(request.path)) is not None:
            largest, self._most = rules.within(largest, self._most)
            if rules.compression is not None:
                compression = rules.compression
        super().__init__(link, stream, request.path, largest, request.compression)
        self._response = request.response
        """The fields that the response begins with."""
        self._announced = ""
        """How messages may be compressed; empty if the response does not say so."""
        self._encoding = ""
        """How the messages that are sent now are compressed; empty for not at all."""
        self._request = request
        self.content_subtype = request.content_subtype
        self.metadata = request.metadata
        self.peer = link.peer
        self.deadline = None
        self._slot: Slot | None = None
        self.task: asyncio.Task[None] | None = None
        """Runs the handler."""
        self.begun = False
        """Whether the task has run: a task that is cancelled before that never does."""
        self.cancelled = False
        self.over = False
        """Whether nothing is left to do for the call here."""
        self._expired = False

        self._started = False
        """Whether the header section of the response was sent."""
        self._held: list[bytes] = []
        """Messages that are sent at the end of the turn, with their prefixes."""
        self._held_size = 0
        self._torn = False
        """Whether only a part of a message was sent, because sending it was cancelled: no other can follow it."""
        self._room: asyncio.Future[None] | None = None
        """Done when nothing waits on the stream any more."""

        if request.timeout is not None:
            self.deadline = deadline = link.loop.time() + request.timeout
            self._slot = link.serving.deadlines.add(self, deadline)
        if compression and request.refusal is None:
            self.set_compression(compression)

    # What the connection says

    def on_sent(self) -> None:
        """Notes that nothing waits on the stream any more."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self.finished:
            self._stop_client()

    def on_gone(self) -> None:
        """Cancels the handler, because the client cannot be reached any more."""
        self._drop_held()
        if self.task is None:
            self.end()
        else:
            self.cancel()
        # Another task of the handler may wait, and nobody cancels that.
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def expire(self) -> None:
        """Ends the call, because its deadline has passed."""
        self._slot = None
        if self.over or self.finished:
            return
        self._expired = True
        if self.begun:
            self.cancel()
            return
        self._send_status(_too_late(), EMPTY)
        self._link.flush_soon()
        if self.task is None:
            self.end()
        else:
            self.cancel()

    def cancel(self) -> None:
        """Cancels the handler, once: one that is cleaning up is not cancelled again."""
        if self.cancelled or self.task is None:
            return
        self.cancelled = True
        self.task.cancel()
        if not self.begun:
            self.end()

    # The handler

    async def serve(self) -> None:
        """Runs the handler, and ends the call."""
        self.begun = True
        if self.over:  # The task began although it was cancelled, which only a foreign loop does.
            return
        try:
            refusal = self._request.refusal
            if refusal is not None:
                if self._request.foreign:
                    await self._whole_request()
                if self._request.text:
                    self._held.append(self._request.text)
                await self.finish(refusal)
                return
            await self._link.serving.dispatch(self)
            if not self.finished:
                await self.finish(Internal(f"the server ended {self.path} without a status"))
        except ClientGone:
            _log.debug("the client of %s went away", self.path)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._expired or self.finished or task is None or task.uncancel():
                raise
            with suppress(ClientGone):
                await self.finish(_too_late())
        except Exception as error:
            if self._failure is not None and isinstance(error, Error):
                with suppress(ClientGone):
                    await self.finish(self._failure)
                return
            _log.exception("%s raised an unexpected exception", self.path, extra=sparsely("call"))
            with suppress(ClientGone):
                await self.finish(handler_failed(self.path))
        finally:
            self.end()

    def end(self) -> None:
        """Lets go of all that the call holds; resets its stream if the call has no status."""
        if self.over:
            return
        self.over = True
        link, stream = self._link, self._stream
        link.ended(self)
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None
        if self.granted or self.wanted:
            link.take_back(self)
        if not self.finished:  # The client must not wait for ever.
            link.http2.reset(
                stream, ErrorCode.CANCEL if self.begun and self._cancelling() else ErrorCode.INTERNAL_ERROR
            )
            link.flush_soon()
        if stream.queue is None:
            stream.context = None
        self.task = None
        self._reader = self._message = None

    # What the handler does

    async def send_headers(self, headers: Metadata) -> None:
        """Sends the reply's headers."""
        self._check()
        pairs = metadata_fields(headers)
        size, room = size_of_pairs(self._response.fields) + size_of_pairs(pairs), self._header_room
        if size > room:
            raise ResourceExhausted(f"{self.path}: reply headers of {size} bytes; {room} can be sent")
        self._started = self._link.moved = True
        self._link.http2.send_headers(self._stream, (self._response, pairs, ()) if pairs else self._response)
        self._link.flush_soon()

    def set_compression(self, name: str) -> None:
        """Compresses the messages that are sent from now on, if the client understands it and the headers can say so."""
        name = compression_of(name)
        if name and name in self._request.accepted and not self._started and not self._held:
            self._response = compressed_response(self.content_subtype, name)
            self._announced = name
        self._encoding = name if name == self._announced else ""

    async def send(self, message: bytes) -> None:
        """Sends a message, waiting while the other side's window is full."""
        link, stream = self._link, self._stream
        if self.finished or stream.local >= DONE:
            raise self._gone()
        if self._torn:
            raise FailedPrecondition(f"{self.path}: sending a message was cancelled, so nothing can follow it")
        size = len(message)
        if size > self._most:
            raise too_large(self.path, size, self._most, "sent")
        flag = 0
        if self._encoding and size >= LEAST:
            message, flag = await compress(self._encoding, message), 1
            size = len(message)
            if self.finished or stream.local >= DONE:
                raise self._gone()
        if link.paused or stream.queue is not None:
            await self._writable()
        held = self._held
        if not held:
            link.held.append(self)
            link.flush_soon()
        held += (pack_prefix(flag, size), message)
        self._held_size += size + PREFIX_BYTES
        if self._held_size >= _HOLD:
            await self._send_held()

    async def finish(self, error: Error | None, trailers: Metadata = EMPTY) -> None:
        """Ends the call, with status OK if there is no error."""
        if self.finished:
            return
        if self._stream.local >= DONE:
            raise self._gone()
        link, held = self._link, self._held
        if link.paused and held:
            await self._writable()
        if held and error is None and not self._started and not trailers.pairs:
            self._send_whole()
        else:
            self._send_status(error, trailers)
        link.flush_soon()

    def release(self) -> None:
        """Sends the messages that are held, at the end of a turn."""
        if self._held:
            data = b"".join(self._held)
            self._drop_held()
            self._begin_response()
            self._link.moved = True
            self._link.http2.send_data(self._stream, data)

    # Helpers

    async def _writable(self) -> None:
        """Waits until the client and the transport take more."""
        link, stream = self._link, self._stream
        while stream.local < DONE:
            if stream.queue is not None:
                self._room = room = link.loop.create_future()
                try:
                    await room
                finally:
                    self._room = None
            elif link.paused:
                await link.drain()
            else:
                return
        raise self._gone()

    async def _send_held(self) -> None:
        """Sends what is held, and waits until no more than a piece of it waits for the window."""
        link, stream, held = self._link, self._stream, self._held
        http2 = link.http2
        size = min(max(http2.window(stream), SEND_PIECE), _WRITE)
        if len(held) == 2:  # One message: only what its first piece has is copied.
            position = size - PREFIX_BYTES
            piece, data = held[0] + held[1][:position], held[1]
        else:
            data = b"".join(held)
            piece, position = data[:size], size
        self._drop_held()
        self._begin_response()
        link.moved = True
        view = memoryview(data)
        self._torn = True
        while True:
            http2.send_data(stream, piece)
            link.flush()
            if position >= len(view):
                break
            if link.paused or stream.queue is not None:
                await self._writable()
            size = min(max(http2.window(stream), SEND_PIECE), _WRITE)
            piece = cast("bytes", view[position : position + size])
            position += size
        self._torn = False

    def _begin_response(self) -> None:
        if not self._started:
            self._started = True
            self._link.http2.send_headers(self._stream, self._response)

    def _send_whole(self) -> None:
        """Sends a whole response with status OK: what most calls end with."""
        stream = self._stream
        self.finished = self._started = self._link.moved = True
        self._link.http2.respond(stream, self._response, b"".join(self._held), OK_TRAILERS)
        self._held.clear()
        if stream.remote < DONE and stream.queue is None:
            self._stop_client()

    def _send_status(self, error: Error | None, trailers: Metadata) -> None:
        """Sends what is held, and the status."""
        http2, stream, response = self._link.http2, self._stream, self._response
        begun = self._started or bool(self._held)
        tail: Section = OK_TRAILERS
        if error is not None or trailers.pairs or not begun:
            group = None if begun else response
            room = self._header_room - (0 if group is None else size_of_pairs(group.fields))
            tail = (group, pairs_of(trailers_of(error, trailers, room, self.path)), ())
        self.finished = True  # Only now: if something cannot be encoded, the call still needs a status.
        if self._held and not self._started:
            http2.respond(stream, response, b"".join(self._held), tail)
        else:
            self.release()
            http2.send_headers(stream, tail, True)
        self._drop_held()
        self._started = True
        self._link.moved = True
        if stream.remote < DONE and stream.queue is None:
            self._stop_client()

    def _stop_client(self) -> None:
        """Resets the stream with NO_ERROR if the client still sends."""
        if self._stream.remote < DONE:
            self._link.http2.reset(self._stream, ErrorCode.NO_ERROR)
            self._link.flush_soon()
        self._stream.context = None

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_size = 0

    def _check(self) -> None:
        """Raises if nothing can be sent any more."""
        if self.finished or self._stream.local >= DONE:
            raise self._gone()

    def _cancelling(self) -> bool:
        task = self.task
        return task is not None and bool(task.cancelling())

    @property
    def _header_room(self) -> int:
        """Bytes of header fields that the client takes, or we are ready to send."""
        return min(self._link.http2.peer.header_list, MAX_HEADERS)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the handler was done", id="micro.deadline")
