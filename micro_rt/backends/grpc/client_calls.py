"""The calls of a client: a unary one on its short way, and a stream of messages each way.

Rules kept here, and why:

- A call ends once: with its status, by a reset, by the end of its connection, at its deadline, or because the caller
  has given it up. Whatever comes first counts. Its stream, its place among the deadlines and the references between
  call and stream are given up at once, so that nothing is left to the garbage collector.
- A status that has arrived wins over everything that comes after it: messages that came before it stay readable.
- ``may_have_run`` is False only if the request provably reached no handler: its stream was not opened or was refused,
  or the whole answer is a status that says so. The handler of a unary method does not begin before all of the request
  is there, so a call that was lost before that did not run either.
- What waits to be sent of one call is bounded by ``PIECE``: a larger message is sent piece by piece, as the windows of
  the peer open.
- What has come and was not read is acknowledged when it is read. While somebody waits for a message, its parts are
  acknowledged as they come: it may be larger than the window.
- A server that ends a call before the client has ended its requests reads no more of them: the stream is reset.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import Any, Final, cast

from micro_rt.backends.grpc.client_link import Call, ClientLink
from micro_rt.backends.grpc.deadlines import Deadlines, Slot
from micro_rt.backends.grpc.fields import Pairs, timeout_of
from micro_rt.backends.grpc.framing import PREFIX_BYTES, MessageReader, frame, read_prefix
from micro_rt.backends.grpc.replies import (
    Head,
    Trailers,
    error_of_deadline,
    error_of_head,
    error_of_reset,
    error_of_status,
    lost,
    read_head,
    read_trailers,
    refused,
)
from micro_rt.context import CallInfo
from micro_rt.errors import Cancelled, EndOfStream, Error, Internal, ResourceExhausted, Unavailable
from micro_rt.http2.errors import BufferFullError, NoMoreStreamsError, StreamError, TooManyStreamsError
from micro_rt.http2.hpack import Group
from micro_rt.http2.streams import DONE, Stream
from micro_rt.transport.base import ClientStream, ended_already, many_replies, no_reply

__all__ = ["DEADLINE_SLACK", "PIECE", "GrpcClientStream", "UnaryCall", "too_large"]

DEADLINE_SLACK = 0.002
"""Seconds before its deadline from which on a call that the server cancels counts as one that took too long."""
PIECE: Final = 256 << 10
"""Bytes of a message that wait in a stream at most."""
_BURST: Final = 64 << 10
"""Bytes that are sent until they are written at once."""
_WORTHWHILE: Final = 16 << 10
"""Bytes that were read until they are acknowledged."""


class _BaseCall:
    """What both kinds of calls have in common.

    Args:
        link: the connection.
        path: ``/package.Service/Method``.
        group: the fields that all requests of its method have.
        pairs: its metadata.
        deadline: on the clock of the event loop, or None.
        info: gets the metadata of the answer.
        limit: bytes that a message of the answer may have.
    """

    __slots__ = ("_deadline", "_group", "_info", "_limit", "_link", "_pairs", "_path", "_sent", "_slot", "_stream")

    def __init__(
        self,
        link: ClientLink,
        path: str,
        group: Group,
        pairs: Pairs,
        deadline: float | None,
        info: CallInfo,
        limit: int,
    ) -> None:
        self._link = link
        self._path = path
        self._group = group
        self._pairs = pairs
        self._deadline = deadline
        self._info = info
        self._limit = limit
        self._stream: Stream | None = None
        """None before it is opened, and after it has ended."""
        self._sent = False
        """Whether nothing of the request waits to be sent."""
        self._slot: Slot | None = None

    def expire_at(self, deadlines: Deadlines, deadline: float) -> None:
        """Has the call end at a deadline."""
        self._slot = deadlines.add(self, deadline)

    def expire(self) -> None:
        """Ends the call: its deadline has passed."""
        self._slot = None
        error = error_of_deadline(self._path, self._link.address)
        if self._stream is None:
            error.may_have_run = error.unanswered = False
        self._end_early(error)

    def left_out(self, *, closing: bool) -> None:
        """Ends the call before it has begun."""
        path, address = self._path, self._link.address
        if closing:
            error = refused(path, address)
        else:
            error = lost(path, address, self._link.problem)
            error.may_have_run = error.unanswered = False
        self._end_early(error)

    def on_sent(self) -> None:
        """Notes that nothing waits to be sent any more."""
        self._sent = True

    def on_reset(self, fault: StreamError, by_peer: bool) -> None:
        """Ends the call: the stream has ended too early."""
        self._forget()
        link, deadline = self._link, self._deadline
        self._ended(
            error_of_reset(
                fault,
                self._path,
                link.address,
                by_peer=by_peer,
                due=deadline is not None and deadline - DEADLINE_SLACK <= link.loop.time(),
                problem=link.problem,
            )
        )

    # Helpers

    def _ended(self, error: Error) -> None:
        """Ends the call with an error; its stream has ended."""
        raise NotImplementedError

    def _end_early(self, error: Error) -> None:
        """Ends the call, and its stream."""
        self._drop()
        self._ended(error)

    def _drop(self) -> None:
        """Ends the stream, or the wait for one."""
        stream = self._stream
        if stream is not None:
            self._stream = None
            self._link.reset(stream)
        else:
            self._link.waiting.pop(cast("Call", self), None)

    def _forget(self) -> None:
        """Lets go of the stream, which has ended; resets it if our half has not."""
        stream = self._stream
        if stream is not None:
            self._stream = None
            stream.context = None
            if stream.local < DONE or stream.queue is not None:
                self._link.reset(stream)

    def release(self) -> None:
        """Gives up the place among the deadlines."""
        slot = self._slot
        if slot is not None:
            self._slot = None
            slot.pop(self, None)

    def _section(self) -> Any:
        """Returns the header section of the request."""
        pairs = self._pairs
        stable = self._link.recurring.among(pairs) if pairs else ()
        deadline = self._deadline
        if deadline is not None:
            timeout = timeout_of(max(0.0, deadline - self._link.loop.time()))
            return self._group, [(b"grpc-timeout", timeout), *pairs], stable
        return (self._group, pairs, stable) if pairs else self._group

    def _not_begun(self, error: Exception) -> None:
        """Ends the call because its stream cannot be opened."""
        path, address = self._path, self._link.address
        failure: Error
        if isinstance(error, BufferFullError):
            failure = ResourceExhausted(f"{path}: too much waits to be sent to {address}", may_have_run=False)
        elif self._link.http2.closing:
            failure = refused(path, address)
        else:
            self._link.use_up()
            failure = Unavailable(
                f"{path}: the connection to {address} has carried as many calls as one can; "
                "the next call makes a new one",
                id="micro.refused",
                may_have_run=False,
            )
        self._ended(failure)


class UnaryCall(_BaseCall):
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
            link.waiting[self] = None
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

    def on_head(self, fields: Any, ended: bool) -> None:
        """Takes the header section of the answer."""
        head = fields.note
        if type(head) is not Head:
            head = read_head(fields)
        if head.ok:
            self._info.headers = head.metadata
            if ended:
                self._end_early(_no_status(self._path, self._link.address))
        elif head.trailers is not None:
            self._finish(head.trailers, alone=True)
        else:
            self._end_early(error_of_head(head, self._path, self._link.address))

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
            self._end_early(_no_status(self._path, self._link.address))

    def on_trailers(self, fields: Any) -> None:
        """Takes the trailers, which end the answer."""
        trailers = fields.note
        if type(trailers) is not Trailers:
            trailers = read_trailers(fields)
        self._finish(trailers, alone=False)

    # Helpers

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
            reader = self._reader = MessageReader(self._limit)
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


class GrpcClientStream(_BaseCall, ClientStream):
    """The client's end of a call of any kind.

    Args:
        most: bytes that a message of the request may have.
        others: as of every call.
    """

    __slots__ = (
        "_burst",
        "_end",
        "_last",
        "_most",
        "_opening",
        "_outcome",
        "_readable",
        "_reader",
        "_unacknowledged",
        "_writable",
    )

    def __init__(
        self,
        most: int,
        link: ClientLink,
        path: str,
        group: Group,
        pairs: Pairs,
        deadline: float | None,
        info: CallInfo,
        limit: int,
    ) -> None:
        self._most = most
        super().__init__(link, path, group, pairs, deadline, info, limit)
        self._reader = MessageReader(limit)
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
            link.waiting[self] = None
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
            error = too_large(self._path, len(message), self._most)
            error.may_have_run = True
            self._cut(error)
            raise copy(error)
        data = frame(message)
        try:
            if len(data) <= PIECE:
                await self._send(data, end)
            else:
                for start in range(0, len(data), PIECE):
                    stop = start + PIECE
                    await self._send(data[start:stop], end and stop >= len(data))
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

    def on_head(self, fields: Any, ended: bool) -> None:
        """Takes the header section of the answer."""
        head = read_head(fields)
        if head.ok:
            self._info.headers = head.metadata
            if ended:
                self._end_early(_no_status(self._path, self._link.address))
        elif head.trailers is not None:
            self._finish(head.trailers, alone=True)
        else:
            self._end_early(error_of_head(head, self._path, self._link.address))

    def on_data(self, data: bytes, ended: bool) -> None:
        """Takes data of the answer."""
        reader = self._reader
        reader.feed(data)
        self._unacknowledged += len(data)
        if ended:
            self._end_early(_no_status(self._path, self._link.address))
        elif reader.refused:
            self._drop()  # ``take`` tells.
        waiter = self._readable
        if waiter is None or waiter.done():
            return
        if reader.missing <= 0 or reader.refused:
            waiter.set_result(None)
        elif self._unacknowledged >= _WORTHWHILE:
            self._acknowledge(0)

    def on_trailers(self, fields: Any) -> None:
        """Takes the trailers, which end the answer."""
        self._finish(read_trailers(fields), alone=False)

    def on_sent(self) -> None:
        """Notes that nothing waits to be sent any more."""
        waiter = self._writable
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    # Helpers

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
                message = reader.take()
                if message is not None:
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


def too_large(path: str, size: int, most: int) -> ResourceExhausted:
    """Returns what sending a message ends with that is larger than the limit: it is not sent.

    Args:
        path: of the call.
        size: bytes of the message.
        most: bytes that it may have.
    """
    return ResourceExhausted(f"{path}: a message of {size} bytes; {most} is the most that is sent", may_have_run=False)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _no_status(path: str, address: str) -> Internal:
    return Internal(f"{address} ended {path} without a status")
