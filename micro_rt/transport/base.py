"""The interface of a transport, and what every transport promises.

- All four kinds of calls, with metadata in both directions; a unary call is a stream of one message each way.
- A deadline ends a call on both sides: ``DeadlineExceeded`` on the client, cancellation of the handler on the server.
- Cancelling on the client cancels the handler; a handler that ends early ends the call on the client.
- Sending waits while the other side does not read (flow control): memory stays bounded.
- Whatever fails is a ``micro.Error``. Two of its fields decide whether the call is sent again, and a transport sets both:
  ``may_have_run`` is False only if no handler can have begun the call (no connection was made, or the server refused the
  call); ``unanswered`` is True if the call had begun, and the connection was lost or the deadline passed before the server
  answered. An error that the server sent, or a stream that the server reset, is an answer. The ``id`` of an error decides
  nothing.
- ``may_have_run`` of an error that ``finish`` is given reaches the client: a server refuses calls that it does not serve, or
  that are for another node, before a handler begins them. ``encode_error`` and ``decode_error`` keep it.
- A server that drains refuses new calls so that the client knows they never ran, and finishes those in flight.
- A call gets its status whatever the error holds, and a handler that raises or ends without a status fails its call alone.
- Everybody who waits for a call that fails gets an error object of its own (``copy.copy`` makes one).
- A handler sees the context variables of whoever called ``listen``, and none of the caller.
- Calls of one connection share what it connects, and do not slow each other down: a call that nobody reads stops no other.
- What arrived before a status, or before the connection was lost after a status, can still be read.
- The content subtype of a call arrives as it was sent, whatever it is: the server chooses the codec by it.

What only some transports can do is a capability (``Capabilities``). A transport declares those that it has, and refuses
what needs another one: it ignores nothing. A service asks before it starts.

A transport is made without arguments. ``micro_rt.testing.contracts.TransportContract`` checks these promises.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from google.protobuf.message import DecodeError

from micro_rt.context import CallInfo
from micro_rt.errors import Code, EndOfStream, Error, FailedPrecondition, Unimplemented, Unknown
from micro_rt.go_micro.errors import decode_status
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.status import encode_details
from micro_rt.status_pb2 import Status
from micro_rt.text import utf8
from micro_rt.transport.compression import compression_of

__all__ = [
    "Capabilities",
    "ClientStream",
    "Connection",
    "Dispatch",
    "Listener",
    "ServerStream",
    "Transport",
    "capabilities_of",
    "decode_error",
    "encode_error",
    "ended_already",
    "handler_failed",
    "handler_task",
    "many_replies",
    "many_requests",
    "no_reply",
    "no_request",
    "wait_for_cancelled",
]

CLOSE_TIMEOUT = 5.0
"""Seconds that cancelled handlers get to clean up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transport can do that not every transport can. A transport that leaves one out does not have it."""

    unix_sockets: bool = False
    """Whether it listens on ``unix:`` and a path, and connects there. Otherwise both raise ``FailedPrecondition``."""
    places: bool = False
    """Whether it listens on several addresses, with commas between; on sockets that systemd has opened; and behind proxies
    that say whose connection they pass on. Otherwise ``Transport.listen`` gets none of that."""
    limits: bool = False
    """Whether a server bounds what clients make it spend: the calls of a connection, the size of a message before any of
    it is kept, connections that stay silent, and floods; and has a method ``limited`` by which a service says how much."""
    message_sizes: bool = False
    """Whether both sides bound how large messages are, and have a method ``limited``; ``Connection.takes_sizes`` is True."""
    compression: bool = False
    """Whether messages travel compressed where a service, a method or a call says so and the other side understands it, and
    there is a method ``limited``; ``Connection.compresses`` is True. The limits hold for messages as they are decompressed."""
    tls: bool = False
    """Whether it secures the connections of servers and clients, and has a method ``secured``."""
    ordered_waiting: bool = False
    """Whether calls that wait, because the server takes no more of them, begin in their order, and cost the same however
    many wait."""
    empty_frames: bool = False
    """Whether frames without content, which proxies may put between the parts of a message, mean nothing. This
    concerns transports over HTTP/2."""


class ClientStream(ABC):
    """The client's end of one call."""

    @abstractmethod
    async def send(self, message: bytes, *, end: bool = False) -> None:
        """Sends a message, waiting while the other side's window is full.

        Args:
            message: the encoded message.
            end: whether it is the last one.

        Raises:
            FailedPrecondition: it has been said that no more will be sent; the call goes on.
            EndOfStream: the server has ended the call with status OK.
            Error: the call is over, and the message was not sent whole. It is the status of the server if the server sent
                one; otherwise ``unanswered`` says whether the connection was lost or the deadline passed.
        """

    @abstractmethod
    async def end(self) -> None:
        """Says that no more messages will be sent; does nothing if that has been said, or the call is over."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Waits for a message.

        Raises:
            EndOfStream: the server is done, with status OK.
            Error: the call failed.
        """

    def receive_nowait(self) -> bytes | None:
        """Returns the next message if it is there already; None if ``receive`` must be asked. Never raises.

        A transport whose messages come many at a time saves its callers the wait for each of them.
        """
        return None

    async def only_reply(self, path: str) -> bytes:
        """Receives the one message of a call whose server does not stream, and waits for the status.

        Raises:
            Error: the call failed.
        """
        try:
            reply = await self.receive()
        except EndOfStream:
            raise no_reply(path) from None
        try:
            await self.receive()
        except EndOfStream:
            return reply
        self.cancel()
        raise many_replies(path)

    @abstractmethod
    def cancel(self) -> None:
        """Ends the call at once on both sides; does nothing when it is over."""


class Connection(ABC):
    """Calls to one node. Connects when the first call needs it, and again after a loss."""

    takes_sizes: bool = False
    """Whether ``open`` and ``unary`` take one argument more: how large the messages of the call may be
    (``micro_rt.transport.limits.MessageRules``). It is given only to calls that have rules of their own."""
    compresses: bool = False
    """Whether it keeps what that argument says of compression."""

    @abstractmethod
    async def connect(self) -> None:
        """Connects now, if not connected.

        Raises:
            Unavailable: nobody answers there; ``may_have_run`` is False.
        """

    @abstractmethod
    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        """Starts a call.

        Args:
            path: ``/package.Service/Method``.
            content_subtype: of the codec, such as ``"proto"``; sent to the server as it is.
            metadata: of the request.
            deadline: on the clock of ``loop.time()``, or None.
            info: gets ``headers`` and ``trailers`` as they come.

        Raises:
            Error: it could not be started; ``may_have_run`` is False.
        """

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
    ) -> bytes:
        """Makes a whole unary call: ``open``, ``send`` one message, ``receive`` one, and wait for the status.

        Raises:
            Error: the call failed.
        """
        return await self._exchange(await self.open(path, content_subtype, metadata, deadline, info), path, message)

    async def _exchange(self, stream: ClientStream, path: str, message: bytes) -> bytes:
        """Makes a unary call of a stream that has just been opened.

        Raises:
            Error: the call failed.
        """
        sent = False
        try:
            try:  # noqa: SIM105 - costs nothing on the way of every call
                await stream.send(message, end=True)
            except EndOfStream:
                pass  # answered before all of it was sent: the reply tells
            sent = True
            return await stream.only_reply(path)
        except Error as error:
            if error.unanswered and not sent:
                # The handler of a unary method does not start before the whole request is there.
                error.may_have_run = False
            stream.cancel()
            raise
        except BaseException:
            stream.cancel()
            raise

    @abstractmethod
    async def close(self) -> None:
        """Closes the connection; calls in flight end as ``Unavailable``."""


class ServerStream(ABC):
    """The server's end of one call."""

    path: str
    """``/package.Service/Method``, as sent."""
    content_subtype: str
    """Of the codec, as the client sent it: ``"proto"``."""
    metadata: Metadata
    deadline: float | None
    """On the clock of ``loop.time()``."""
    peer: str
    """Address of the client."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Waits for a message; raises ``EndOfStream`` after the last one."""

    async def only_request(self) -> bytes:
        """Receives the one message of a call whose client does not stream, and waits for the end of the requests.

        Raises:
            Unimplemented: the client sent no message, or more than one.
            Error: the call failed.
        """
        try:
            request = await self.receive()
        except EndOfStream:
            raise no_request(self.path) from None
        try:
            await self.receive()
        except EndOfStream:
            return request
        raise many_requests(self.path)

    @abstractmethod
    async def send_headers(self, headers: Metadata) -> None:
        """Sends the reply's headers, before any message; left out, empty ones go with the first message."""

    @abstractmethod
    async def send(self, message: bytes) -> None:
        """Sends a message, waiting while the other side's window is full."""

    def set_compression(self, name: str) -> None:
        """Compresses the messages that are sent from now on; a transport that compresses nothing does nothing.

        Args:
            name: of the algorithm; nothing to send them as they are.

        Raises:
            ValueError: there is no such algorithm, or it is not installed.
        """
        compression_of(name)

    @abstractmethod
    async def finish(self, error: Error | None, trailers: Metadata = EMPTY) -> None:
        """Ends the call, with status OK if there is no error."""


Dispatch: TypeAlias = Callable[[ServerStream], Awaitable[None]]
"""Serves one call: run by the transport in a task of its own, cancelled when the client or the deadline says so."""


class Listener(ABC):
    """A server that is listening."""

    address: str
    """Where it listens: ``"127.0.0.1:40123"``."""

    @abstractmethod
    async def drain(self) -> None:
        """Stops accepting connections and refuses new calls; those in flight go on."""

    @abstractmethod
    async def close(self) -> None:
        """Stops at once: cancels what still runs and closes every connection."""


class Transport(Protocol):
    """One way for calls to travel; found by its name in the entry points ``micro_rt.transport``.

    Several transports may speak one protocol. A service calls the nodes of its own transport's protocol through that transport,
    and those of another protocol through the transport whose entry point is named like the protocol.

    Its attribute ``capabilities`` is a ``Capabilities``. A transport without that attribute has none of them.
    """

    name: str
    """The protocol that it speaks, as nodes name it in the registry: ``"grpc"``."""

    def connection(self, address: str) -> Connection:
        """Makes the connection to an address, without connecting yet.

        Raises:
            FailedPrecondition: the transport cannot connect to such an address; the message says why.
        """
        ...

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens.

        Args:
            address: ``host:port``; port 0 picks a free one. A host with several addresses has the same port at each of
                them, and ``[::]`` includes IPv4 if the system supports it.
            dispatch: serves each call.

        Raises:
            Error: the address cannot be used; the message says why and what to do.
        """
        ...


def capabilities_of(transport: Transport) -> Capabilities:
    """Returns what a transport declares that it can do."""
    declared = getattr(transport, "capabilities", None)
    return declared if isinstance(declared, Capabilities) else Capabilities()


def handler_task(
    serving: Coroutine[Any, Any, None], *, name: str, context: contextvars.Context | None = None
) -> asyncio.Task[None]:
    """Starts serving a call, in a task of its own: timeouts, task groups and context variables are its own too.

    Where Python can (3.12), it begins at once instead of in the next turn of the event loop.

    Args:
        serving: serves the call.
        name: of the task.
        context: the context variables that it begins with; a copy of the present ones if None.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(serving, loop=loop, name=name, context=context, eager_start=True)
    return asyncio.Task(serving, loop=loop, name=name, context=context)  # half the cost of loop.create_task on uvloop


async def wait_for_cancelled(handlers: Collection[asyncio.Task[None]], log: logging.Logger) -> None:
    """Lets cancelled handlers clean up; gives up on those that take too long, and logs that.

    Args:
        handlers: what ``handler_task`` gave.
        log: of the transport.
    """
    if not handlers:
        return
    _, stuck = await asyncio.wait(handlers, timeout=CLOSE_TIMEOUT)
    if stuck:
        log.error("%d handlers go on although they were cancelled: they swallow CancelledError", len(stuck))


def encode_error(error: Error) -> bytes:
    """Returns an error as bytes (``google.rpc.Status``), for a transport that has no form of its own for it.

    Whatever the error holds, there is a result: what cannot be encoded is left out, and logged.
    """
    if not isinstance(cast("object", error.code), int):
        error = Unknown(utf8(error.message))
    return encode_details(error) or Status(code=int(error.code), message=utf8(error.message)).SerializeToString()


def decode_error(data: bytes) -> Error:
    """Returns the error that ``encode_error`` encoded; ``Unknown`` for bytes that cannot be read."""
    try:
        status = Status.FromString(data)
    except DecodeError:
        return Unknown("the server sent a status that cannot be read")
    found = decode_status(data, status.message)
    code = status.code or Code.UNKNOWN
    return Error.of(code, found.message, id=found.id, details=found.details, may_have_run=found.may_have_run)


def ended_already(path: str) -> FailedPrecondition:
    """What sending is answered with by a client that has ended its requests."""
    return FailedPrecondition(f"{path}: the client has ended its requests already; send() must come before end()")


def handler_failed(path: str) -> Unknown:
    """What a call ends with whose handler, or what serves it, raised what is not a status; to be logged."""
    return Unknown(f"{path} failed; the server's log says why")


def no_request(path: str) -> Unimplemented:
    """Returns the error of a call whose client sent no request (gRPC's statuscodes.md, "cardinality violation")."""
    return Unimplemented(f"{path} takes exactly one request, and the client sent none")


def many_requests(path: str) -> Unimplemented:
    """Returns the error of a call whose client sent several requests (gRPC's statuscodes.md, "cardinality violation")."""
    return Unimplemented(f"{path} takes exactly one request, and the client sent more than one")


def no_reply(path: str) -> Unimplemented:
    """Returns the error of a call that succeeded without a reply (gRPC's statuscodes.md, "cardinality violation")."""
    return Unimplemented(f"the server answered {path} with status OK and no message; that is a bug in the server")


def many_replies(path: str) -> Unimplemented:
    """Returns the error of a call with several replies (gRPC's statuscodes.md, "cardinality violation")."""
    return Unimplemented(f"the server answered {path} with more than one message; that is a bug in the server")
