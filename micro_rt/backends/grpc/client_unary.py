"""A unary call on its short way: one request in one piece, and its reply in one future.

Rules kept here, and why:

- A reply that comes whole in one DATA frame costs one slice, and needs no acknowledgment: the end of its stream is one.
- The handler of a unary method does not begin before all of the request is there. So a call that was lost while a part
  of its request waited for the windows of the server did not run.
- There must be exactly one reply, and it counts only with status OK.
"""

from __future__ import annotations

import asyncio

from micro_rt.backends.grpc.client_call import BaseCall
from micro_rt.backends.grpc.client_link import ClientLink
from micro_rt.backends.grpc.fields import Pairs
from micro_rt.backends.grpc.framing import PREFIX_BYTES, MessageReader, read_prefix
from micro_rt.backends.grpc.replies import Trailers, error_of_status
from micro_rt.context import CallInfo
from micro_rt.errors import Error
from micro_rt.http2.errors import BufferFullError, NoMoreStreamsError, TooManyStreamsError
from micro_rt.http2.hpack import Group
from micro_rt.transport.base import many_replies, no_reply

__all__ = ["UnaryCall"]


class UnaryCall(BaseCall):
    """A call with one message each way, in one future.

    Args:
        message: of the request, with its prefix.
        others: as of every call.
    """

    __slots__ = ("_message", "_reader", "_reply", "future")

    def __init__(
        self,
        message: bytes,
        link: ClientLink,
        path: str,
        group: Group,
        pairs: Pairs,
        deadline: float | None,
        info: CallInfo,
        limit: int,
    ) -> None:
        # Not by super().__init__: that costs every call 0.3 us. A test compares the attributes.
        self._link = link
        self._path = path
        self._group = group
        self._pairs = pairs
        self._deadline = deadline
        self._info = info
        self._limit = limit
        self._stream = None
        self._sent = False
        self._slot = None
        self._compression = ""
        self._said = None
        self._message = message
        self._reply: bytes | None = None
        self._reader: MessageReader | None = None
        """Set if the reply does not come in one frame."""
        self.future: asyncio.Future[bytes] = link.loop.create_future()
        """The reply."""

    def begin(self) -> None:
        """Sends the request; or waits for its turn."""
        link = self._link
        try:
            stream = link.http2.ask(self._section(), self._message)
        except TooManyStreamsError:
            link.wait(self)
            return
        except (BufferFullError, NoMoreStreamsError) as error:
            self._not_begun(error)
            return
        stream.context = self
        self._stream = stream
        self._sent = stream.queue is None
        link.flush_soon()
        if link.silence.timer is None:
            link.silence.watch()

    def give_up(self) -> None:
        """Ends the call, for which nobody waits any more; does nothing if it has ended."""
        self._drop()
        self.release()
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # Looked at, so that asyncio does not report it as lost.

    def on_data(self, data: bytes, ended: bool) -> None:
        """Takes data of the answer."""
        if self._reply is None and self._reader is None and len(data) >= PREFIX_BYTES:
            compressed, size = read_prefix(data)
            if size == len(data) - PREFIX_BYTES and not compressed and size <= self._limit:
                self._reply = data[PREFIX_BYTES:]
                data = b""
        if data:
            self._take_part(data)
        if ended:
            self._end_without_trailers()

    # Helpers

    def _is_empty(self) -> bool:
        return self._reply is None and self._reader is None

    def _finish(self, trailers: Trailers, *, alone: bool) -> None:
        self._forget()
        self._info.trailers = trailers.metadata
        reply = self._reply
        if trailers.ok and reply is not None and self._reader is None:
            if not self.future.done():
                self.future.set_result(reply)
            return
        error = error_of_status(trailers, self._path, alone=alone)
        if error is None and self._reader is not None:
            try:
                self._reader.end()
            except Error as cut:
                error = cut
        if error is None and reply is None:
            error = no_reply(self._path)
        if error is not None:
            self._ended(error)
        elif reply is not None and not self.future.done():
            self.future.set_result(reply)

    def _take_part(self, data: bytes) -> None:
        """Takes data of a reply that does not come in one frame, or of a second one."""
        if self._stream is None:
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = MessageReader(self._limit, compressed=bool(self._compression))
        reader.feed(data)
        self._link.http2.acknowledge(self._stream, len(data))
        try:
            while (message := reader.take()) is not None:
                if self._reply is not None:
                    raise many_replies(self._path)
                self._reply = message
        except Error as error:
            self._end_early(error)

    def _ended(self, error: Error) -> None:
        if error.unanswered and not self._sent:
            error.may_have_run = False
        if not self.future.done():
            self.future.set_exception(error)
