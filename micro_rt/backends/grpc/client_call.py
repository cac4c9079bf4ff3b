"""A call of a client: what unary calls and streams have in common.

Rules kept here, and why:

- A call ends once: with its status, by a reset, by the end of its connection, at its deadline, or because the caller
  has given it up. Whatever comes first counts. Its stream, its place among the deadlines and the references between
  call and stream are given up at once, so that nothing is left to the garbage collector.
- ``may_have_run`` is False only if the request provably reached no handler: its stream was not opened or was refused,
  or the whole answer is a status that says so.
- A server that ends a call before the client has ended its requests reads no more of them: the stream is reset.
"""

from __future__ import annotations

from typing import Any, cast

from micro_rt.backends.grpc.client_link import Call, ClientLink
from micro_rt.backends.grpc.deadlines import Deadlines, Slot
from micro_rt.backends.grpc.fields import Pairs, Section, timeout_of
from micro_rt.backends.grpc.replies import (
    Head,
    Trailers,
    error_of_deadline,
    error_of_head,
    error_of_reset,
    lost,
    no_status,
    read_head,
    read_trailers,
    refused,
)
from micro_rt.context import CallInfo
from micro_rt.errors import Error, ResourceExhausted, Unavailable
from micro_rt.http2.errors import BufferFullError, StreamError
from micro_rt.http2.hpack import Group
from micro_rt.http2.streams import DONE, Stream
from micro_rt.transport.compression import decompress
from micro_rt.transport.limits import MORE

__all__ = ["DEADLINE_SLACK", "BaseCall"]

_SAID = 0.5
"""Seconds after headers with a status within which something must follow them. Otherwise the call ends with that status."""
DEADLINE_SLACK = 0.002
"""Seconds before its deadline from which on a call that the server cancels counts as one that took too long."""


class BaseCall:
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

    __slots__ = (
        "_compression",
        "_deadline",
        "_group",
        "_info",
        "_limit",
        "_link",
        "_pairs",
        "_path",
        "_said",
        "_sent",
        "_slot",
        "_stream",
    )

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
        self._compression = ""
        """Of the messages of the answer."""
        self._said: Trailers | None = None
        """The status in headers that did not end the stream. It counts only if nothing follows them."""

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

    def on_head(self, fields: Any, ended: bool) -> None:
        """Takes the header section of the answer."""
        head = fields.note
        if type(head) is not Head:
            head = read_head(fields)
        if head.ok:
            self._info.headers = head.metadata
            if head.compression:
                self._compression = head.compression
            if ended:
                self._end_early(no_status(self._path, self._link.address))
        elif head.trailers is None:
            self._end_early(error_of_head(head, self._path, self._link.address))
        elif ended or not head.may_go_on:
            self._finish(head.trailers, alone=True)
        else:
            self._info.headers = head.metadata
            self._compression = head.compression
            self._said = head.trailers
            self._link.loop.call_later(_SAID, self._end_as_said)

    def on_trailers(self, fields: Any) -> None:
        """Takes the trailers, which end the answer."""
        trailers = fields.note
        if type(trailers) is not Trailers:
            trailers = read_trailers(fields)
        self._finish(trailers, alone=False)

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

    async def decompressed(self, message: bytes) -> bytes:
        """Returns a message of the answer as it was before it was compressed.

        Raises:
            Error: it cannot be decompressed, or is too large.
        """
        return await decompress(self._compression, message, self._limit, self._path, MORE)

    # Helpers

    def _finish(self, trailers: Trailers, *, alone: bool) -> None:
        """Ends the call with its status.

        Args:
            trailers: what the server says.
            alone: whether it says nothing else.
        """
        raise NotImplementedError

    def _ended(self, error: Error) -> None:
        """Ends the call with an error; its stream has ended."""
        raise NotImplementedError

    def _end_early(self, error: Error) -> None:
        """Ends the call, and its stream."""
        self._drop()
        self._ended(error)

    def _end_as_said(self) -> None:
        """Ends the call with the status in its headers, if nothing has followed them: the server did not end the stream."""
        if self._said is not None and self._stream is not None and self._is_empty():
            self._finish(self._said, alone=True)

    def _is_empty(self) -> bool:
        """Returns whether no data has come."""
        raise NotImplementedError

    def _end_without_trailers(self) -> None:
        """Ends the call after a DATA frame has ended the stream: with the status in the headers, if there is nothing else."""
        if self._said is not None and self._is_empty():
            self._finish(self._said, alone=True)
        else:
            self._end_early(no_status(self._path, self._link.address))

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
            if stream.local < DONE or stream.remote < DONE or stream.queue is not None:
                self._link.reset(stream)

    def release(self) -> None:
        """Gives up the place among the deadlines."""
        slot = self._slot
        if slot is not None:
            self._slot = None
            slot.pop(self, None)

    def _section(self) -> Section:
        """Returns the header section of the request."""
        pairs = self._pairs
        deadline = self._deadline
        if deadline is not None:
            link = self._link
            remaining, recurring = deadline - link.loop.time(), link.recurring
            if pairs is recurring.pairs and recurring.constant is not None:
                group = recurring.timed_group_of(self._group, remaining)
                if group is not None:
                    return group
            pairs = [(b"grpc-timeout", timeout_of(remaining if remaining > 0 else 0.0)), *pairs]
        return (self._group, pairs, self._link.recurring.among(pairs)) if pairs else self._group

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
