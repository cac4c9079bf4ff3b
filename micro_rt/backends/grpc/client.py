"""Calls to one node: connecting, and the way that a call takes to its connection.

Rules kept here, and why:

- All calls that need a connection wait for the same attempt. Each gets a copy of its outcome: an error belongs to one
  call. The attempt goes on if one of them gives up.
- A unary call whose message is short is one await: its request is sent as a whole, and its reply is one future.
- While the transport holds too much, senders wait.
- Headers that are larger than the server takes are refused here, before sending: many servers close the whole
  connection for them.
- Connections get their GOAWAY, and are closed, in the order in which they were made.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from copy import copy
from typing import Any, Final, TypeVar

from micro_rt.backends.grpc.client_link import MAX_HEADERS, ClientLink
from micro_rt.backends.grpc.client_stream import GrpcClientStream
from micro_rt.backends.grpc.client_unary import UnaryCall
from micro_rt.backends.grpc.deadlines import Deadlines
from micro_rt.backends.grpc.fields import Pairs, metadata_fields, request_group, size_of_pairs
from micro_rt.backends.grpc.framing import compressed_frame, frame
from micro_rt.backends.grpc.replies import error_of_deadline
from micro_rt.context import CallInfo
from micro_rt.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, Unavailable
from micro_rt.http2.hpack import Group
from micro_rt.kit.net import join, split
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.secured import Secured
from micro_rt.listener.places import UNIX
from micro_rt.metadata import Metadata
from micro_rt.text import printable
from micro_rt.transport.base import Connection
from micro_rt.transport.connecting import (
    CONNECT_TIMEOUT,
    WANTS_CERTIFICATE,
    TlsRefusedError,
    cannot_connect,
    hung_up,
    problem_of,
)
from micro_rt.transport.limits import MAX_MESSAGE, UNSAID, MessageRules, too_large
from micro_rt.transport.silence import Pace

__all__ = ["GrpcConnection"]

_SHORT: Final = 32 << 10
"""Bytes of a message that is sent at once, whatever the windows are."""
_CERTAINLY_TAKEN: Final = MAX_HEADERS // 2
"""Bytes of metadata that are little enough beside the other fields of a request."""
_LONGEST: Final = 2_000
"""Characters of the path and the content subtype of a call."""
_GROUPS: Final = 1_000
"""Methods whose fields are kept."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class GrpcConnection(Connection):
    """Calls to one node.

    Args:
        address: ``host:port``, or ``unix:`` and the path of a socket.
        tls: returns the context of a connection that is to be made; None for connections without TLS.
        receive: bytes that a message which arrives may have.
        send: bytes that a message which is sent may have.
        compression: how messages which are sent are compressed; empty for not at all.
    """

    takes_sizes = True
    compresses = True

    def __init__(
        self,
        address: str,
        tls: Callable[[], ssl.SSLContext] | None = None,
        *,
        receive: int = MAX_MESSAGE,
        send: int = MAX_MESSAGE,
        compression: str = "",
    ) -> None:
        self._address = address
        self._socket = address.removeprefix(UNIX) if address.startswith(UNIX) else ""
        """The path of a Unix socket, if it is one."""
        self._host, self._port = ("localhost", 0) if self._socket else split(address)
        self._tls = tls
        self._receive = receive
        self._send = send
        self._short = min(_SHORT, send)
        self._compression = compression
        # A zone means something on this machine alone, and is no part of what is sent (RFC 6874).
        self._authority = self._host if self._socket else join(self._host.partition("%")[0], self._port)
        self._groups: dict[tuple[str, str, str], Group] = {}
        self._link: ClientLink | None = None
        """The connection that new calls are made on."""
        self._links: OrderedSet[ClientLink] = OrderedSet()
        """All of them; the others end with their last call."""
        self._deadlines: Deadlines | None = None
        self._connecting: asyncio.Task[ClientLink | Unavailable] | None = None
        self._closed = False
        self._pace = Pace()

    async def connect(self) -> None:
        """Connects now, if not connected."""
        await self._connected(None)

    async def open(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        rules: MessageRules = UNSAID,
    ) -> GrpcClientStream:
        """Starts a call."""
        link = self._link
        if link is None or not link.usable:
            link = await self._connected(deadline)
        if deadline is not None and deadline <= link.loop.time():
            raise self._too_late(path)
        compression = self._compression if rules.compression is None else rules.compression
        group = self._groups.get((path, content_subtype, compression)) or self._new_group(
            path, content_subtype, compression
        )
        pairs: Pairs = ()
        if metadata.pairs:
            group, pairs = self._fields(link, group, path, metadata, deadline)
        send, receive = rules.within(self._send, self._receive)
        call = GrpcClientStream(send, compression, link, path, group, pairs, deadline, info, receive)
        if deadline is not None:
            call.expire_at(self._all_deadlines(), deadline)
        await call.start()
        return call

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
        rules: MessageRules = UNSAID,
    ) -> bytes:
        """Makes a whole unary call."""
        receive, compression = self._receive, self._compression
        if rules is not UNSAID or len(message) > self._short:
            send, receive = rules.within(self._send, receive)
            if len(message) > send:
                raise too_large(path, len(message), send, "sent", may_have_run=False)
            if len(message) > _SHORT:
                stream = await self.open(path, content_subtype, metadata, deadline, info, rules)
                return await self._exchange(stream, path, message)
            if rules.compression is not None:
                compression = rules.compression
        data = frame(message) if not compression else await compressed_frame(compression, message)
        link = self._link
        if link is None or link.http2.closing or link.paused or link.transport is None or link.transport.is_closing():
            link = await self._writable(deadline)
        if deadline is not None and deadline <= link.loop.time():
            raise self._too_late(path)
        group = self._groups.get((path, content_subtype, compression)) or self._new_group(
            path, content_subtype, compression
        )
        pairs: Pairs = ()
        if metadata.pairs:
            group, pairs = self._fields(link, group, path, metadata, deadline)
        call = UnaryCall(data, link, path, group, pairs, deadline, info, receive)
        if deadline is not None:
            deadlines = self._deadlines
            call.expire_at(self._all_deadlines() if deadlines is None else deadlines, deadline)
        try:
            call.begin()
            reply = await call.future
            return reply if type(reply) is bytes else await call.decompressed(reply)
        except BaseException:
            call.give_up()
            raise
        finally:
            call.release()
            del call  # The traceback of an error would hold it, and it holds the error.

    async def close(self) -> None:
        """Closes every connection; calls in flight end as ``Unavailable``."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        links = list(self._links)
        for link in links:
            link.shut()
        for link in links:
            await link.wait_closed()
        if self._deadlines is not None:
            self._deadlines.close()
        self._groups.clear()

    # Calls

    def _all_deadlines(self) -> Deadlines:
        deadlines = self._deadlines
        if deadlines is None:
            deadlines = self._deadlines = Deadlines(asyncio.get_running_loop())
        return deadlines

    def _too_late(self, path: str) -> DeadlineExceeded:
        """Returns what a call ends with that is made after its deadline."""
        error = error_of_deadline(path, self._address)
        error.may_have_run = error.unanswered = False
        return error

    def _new_group(self, path: str, content_subtype: str, compression: str) -> Group:
        """Returns the fields that all requests of a method have.

        Raises:
            InvalidArgument: they cannot be sent.
        """
        legal = path[:1] == "/" and path.isprintable() and content_subtype.isprintable()
        if not legal or len(path) + len(content_subtype) > _LONGEST:
            shown = printable(f"{path!r} with {content_subtype!r}", 200)
            raise InvalidArgument(f"{shown} cannot be called: a path is /package.Service/Method", may_have_run=False)
        scheme = "http" if self._tls is None else "https"
        group = request_group(path, self._authority, content_subtype, scheme=scheme, compression=compression)
        if len(self._groups) >= _GROUPS:
            self._groups.clear()
        self._groups[path, content_subtype, compression] = group
        return group

    def _fields(
        self, link: ClientLink, group: Group, path: str, metadata: Metadata, deadline: float | None
    ) -> tuple[Group, Pairs]:
        """Returns the fields of a call with metadata: a group, and what comes after it.

        Raises:
            ResourceExhausted: the server does not take as much.
        """
        recurring = link.recurring
        if metadata is recurring.constant and link.http2.peer.header_list >= MAX_HEADERS:
            return (recurring.group_of(group), ()) if deadline is None else (group, recurring.pairs)
        pairs = metadata_fields(metadata)
        size = size_of_pairs(pairs)
        if size > _CERTAINLY_TAKEN or link.http2.peer.header_list < MAX_HEADERS:
            size += size_of_pairs(group.fields)
        if size > link.header_room:
            raise ResourceExhausted(
                f"{path}: the metadata makes headers of {size} bytes; {link.header_room} can be sent",
                may_have_run=False,
            )
        recurring.note(metadata, pairs)
        return group, pairs

    # Connecting

    async def _writable(self, deadline: float | None) -> ClientLink:
        """Returns a connection that takes what is sent."""
        link = self._link
        if link is None or not link.usable:
            link = await self._connected(deadline)
        while link.paused and link.usable:
            await self._before(deadline, link.drain(), "waiting until more can be sent to")
            if not link.usable:
                link = await self._connected(deadline)
        return link

    async def _connected(self, deadline: float | None) -> ClientLink:
        """Returns a connection that calls can be made on."""
        if self._closed:
            raise Unavailable(f"the connection to {self._address} is closed", id="micro.closed", may_have_run=False)
        if self._link is not None and self._link.usable:
            return self._link
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self._address}")
            self._connecting.add_done_callback(self._connect_done)
        connecting = self._connecting
        try:
            outcome: ClientLink | Unavailable = await self._before(
                deadline, asyncio.shield(connecting), "connecting to"
            )
        except asyncio.CancelledError:
            if connecting.cancelled() and self._closed:
                raise Unavailable(
                    f"the connection to {self._address} was closed", id="micro.closed", may_have_run=False
                ) from None
            raise
        if not isinstance(outcome, ClientLink):
            raise copy(outcome)  # Several wait for it.
        if not outcome.usable:
            problem = outcome.farewell and f"the server ended the connection: {outcome.farewell}"
            raise cannot_connect(self._address, problem or "the connection was lost at once")
        return outcome

    async def _before(self, deadline: float | None, waiting: Any, what: str) -> Any:
        """Awaits something that must be done before a call begins.

        Raises:
            DeadlineExceeded: the deadline of the call has passed.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await waiting
        except TimeoutError:
            raise DeadlineExceeded(
                f"the deadline passed while {what} {self._address}", id="micro.deadline", may_have_run=False
            ) from None

    async def _connect(self) -> ClientLink | Unavailable:
        """Connects; returns why it could not, for everyone who waits for it."""
        link: ClientLink | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                link = await self._new_connection()
                try:
                    answered = await link.ready
                except BaseException:
                    link.shut()
                    raise
        except Exception as error:
            return cannot_connect(self._address, problem_of(error, CONNECT_TIMEOUT))
        if not answered:
            return cannot_connect(self._address, link.problem or hung_up(self._tls is not None))
        self._link = link
        return link

    async def _new_connection(self) -> ClientLink:
        """Connects, and makes the handshake of TLS if there is one."""
        if self._tls is None:
            return (await self._open(self._new_link))[1]
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[ClientLink] = loop.create_future()
        begun.add_done_callback(lambda done: done.cancelled() or done.exception())  # Nobody may wait for it any more.
        link: ClientLink | None = None

        def made(_: str | None) -> ClientLink:
            nonlocal link
            link = self._new_link()
            if not begun.done():
                begun.set_result(link)
            return link

        def refused(reason: str) -> None:
            if link is not None:
                link.problem = link.problem or f"{reason}; {WANTS_CERTIFICATE}"
            elif not begun.done():
                begun.set_exception(TlsRefusedError(reason))

        context = self._tls()
        name = self._host.partition("%")[0] if context.check_hostname else None
        # Made before there is a socket: it raises for a name that no certificate can have.
        secured = Secured(context, made, server_hostname=name, patience=CONNECT_TIMEOUT, refused=refused, needed="h2")
        transport, _ = await self._open(lambda: secured)
        try:
            return await begun
        except BaseException:
            transport.abort()
            raise

    async def _open(self, protocol: Callable[[], ProtocolT]) -> tuple[asyncio.Transport, ProtocolT]:
        loop = asyncio.get_running_loop()
        if self._socket:
            return await loop.create_unix_connection(protocol, self._socket)
        return await loop.create_connection(protocol, self._host, self._port)

    def _new_link(self) -> ClientLink:
        return ClientLink(self._links, self._address, self._pace)

    def _connect_done(self, task: asyncio.Task[ClientLink | Unavailable]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # Looked at, so that asyncio does not report it as lost.
