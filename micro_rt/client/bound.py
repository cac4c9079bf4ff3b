"""One method of one client, with everything that does not depend on the call computed once.

This is the call path: interceptors, then a node, then the transport, then perhaps another node.

The rules that it keeps, and why:

- Whatever depends only on the method (path, codec functions, interceptor chain, retry policy) is computed when the
  method is first used. A unary call that succeeds makes no task, no closure and no lock here, and waits for nothing but
  its reply.
- The first attempt picks its node without ``Attempts``, which is made at the first failure or when no node is known:
  most calls never need it.
- The deadline is the earlier of the call's own timeout and the deadline of the call or event that this task serves. It
  is fixed when the call starts, and all attempts share it. The call's own timeout comes before the client's, that before the one in
  the .proto, and that before the service's.
- The trace of the call or event that this task serves goes on with the call, and so does the metadata that the service lets
  flow. What the call or its client sends under the same key comes first, and alone.
- The timeout of the service is for unary calls. A stream may last for as long as it likes, but must reach a node within that time.
- The deadline bounds the interceptors too. Only a call that has both pays for that.
- A request is refused by its class before it is encoded: the codec may be able to encode a message of another type, and
  the server would read nonsense.
- A request that cannot be encoded raises ``InvalidArgument`` and certainly did not run. A reply that cannot be decoded
  raises ``Internal`` and did run.
- A transport that raises something else than ``micro.Error`` ends the attempt with ``Internal``: no reply may make a call raise
  anything but ``micro.Error``. What interceptors and the codec of a request raise is the caller's own, and goes through.
- A client that validates checks what the server will read: the request, encoded and decoded again. So the check never meets
  messages that are nested more deeply than a decoder allows.
- Every attempt counts the node as in use while it runs, and gives it back however it ends, a cancellation included. A
  node that left the registry closes its connection when the last call has given it back.
- A call connects under a share of its deadline while there are other nodes. That is looked at only until the node has
  answered once, so a call that goes well pays one look at a flag.
- A reply says that the node is well: earlier failures of it are forgotten, and the retry budget is paid into.
- An attempt at a call that may run twice ends after the policy's ``attempt_timeout``, and the call goes to another
  node. An attempt at any other call may take as long as the call: there is nothing else to do with it.
- An interceptor may change the target of a call. Then the nodes are looked up under the new name for this call alone.
- The nodes of the target are kept between calls, and looked up anew after the service was started again, or after the
  watch of a name that nobody serves was dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from micro_rt.client.attempts import Attempts
from micro_rt.client.expiry import Expiry, deadline_passed
from micro_rt.client.nodes import Nodes, ServiceNodes
from micro_rt.client.remote import RemoteNode
from micro_rt.client.unexpected import unexpected
from micro_rt.codec.base import Codec
from micro_rt.context import CallInfo, ClientCall, current_context
from micro_rt.errors import DeadlineExceeded, Error, FailedPrecondition, Internal, InvalidArgument
from micro_rt.interceptor import ClientSide, StreamNext, UnaryNext, chain_unary
from micro_rt.metadata import Metadata, MetadataLike
from micro_rt.method import Method, RetryPolicy
from micro_rt.node import NodeFilter
from micro_rt.transport.base import ClientStream, Connection
from micro_rt.transport.compression import compression_of
from micro_rt.transport.limits import UNSAID, MessageRules
from micro_rt.validation.checks import Check

__all__ = ["BoundMethod", "Host", "check_timeout"]

LONGEST_TIMEOUT = 1e9
"""Seconds; a timeout that is not shorter, such as infinity, is no limit."""

ResultT = TypeVar("ResultT")


class Host(Protocol):
    """What a client needs of the service that it is made from."""

    @property
    def nodes(self) -> Nodes:
        """The nodes that can be called; raises ``FailedPrecondition`` if the service is not started."""
        ...

    @property
    def zone(self) -> str:
        """Where the service runs, for its clients that prefer the same zone; empty if it does not say."""
        ...

    @property
    def codec(self) -> Codec:
        """How messages are encoded."""
        ...

    @property
    def timeout(self) -> float | None:
        """Seconds for a unary call that nothing else bounds, and for a stream to reach a node; None for no limit."""
        ...

    @property
    def flow(self) -> Collection[str]:
        """The keys of the metadata that goes on from the call or event being served."""
        ...

    @property
    def client_interceptors(self) -> Sequence[ClientSide]:
        """What runs around every call of every client."""
        ...


class BoundMethod:
    """A method as one client calls it.

    Args:
        host: the service that the client belongs to.
        method: the rpc.
        target: the name to look up.
        interceptors: of the service, then of the client, then of the method.
        retry: how failed calls are tried again.
        timeout: seconds for calls that do not say, or None.
        metadata: sent with every call.
        rules: how large messages may be, and how they are compressed; None as the transport says.
        wanted: which nodes it calls; None for those that the service wants.
        check: raises the error of a request that breaks its rules; None to check nothing.
        served: full proto name of the service whose nodes are called, empty for every node of the target; None for the service of
            the method. Registries do not list every service that a node has.
    """

    def __init__(
        self,
        host: Host,
        method: Method[Any, Any],
        target: str,
        interceptors: Sequence[ClientSide],
        retry: RetryPolicy,
        timeout: float | None,
        metadata: Metadata,
        rules: MessageRules | None = None,
        wanted: NodeFilter | None = None,
        check: Check | None = None,
        served: str | None = None,
    ) -> None:
        self.method = method
        self.retry = retry
        self._host = host
        self._target = target
        self._served = method.service if served is None else served
        self._service_nodes: ServiceNodes | None = None
        self._nodes: Nodes | None = None
        self._timeout = timeout
        self._metadata = metadata
        self._rules = rules
        self._wanted = wanted
        self._path = method.path
        self._content_subtype = host.codec.content_subtype
        encoder = host.codec.encoder(method.request_type)
        self._encoder = encoder if check is None else _checking(encoder, host.codec.decoder(method.request_type), check)
        self._decoder = host.codec.decoder(method.reply_type)
        self._attempt_timeout = retry.attempt_timeout if retry.repeatable(method) else None
        send: UnaryNext = self._send
        chain = chain_unary(interceptors, send)
        self._unary: Callable[[Any, ClientCall], Coroutine[Any, Any, Any]]
        self._unary = self._send if chain is send else partial(_intercepted, chain)
        self.stream_chain: StreamNext | None = None
        """The stream interceptors around the end of a stream; None if there are none."""

    def unary(
        self, request: Any, timeout: float | None, metadata: MetadataLike | None, info: CallInfo | None
    ) -> Coroutine[Any, Any, Any]:
        """Returns a unary call, whose clock runs from now on."""
        if timeout is None:
            own = self._timeout
            return self._unary(request, self._started(self._host.timeout if own is None else own, metadata, info))
        return self._unary(request, self._started(check_timeout(timeout), metadata, info))

    @property
    def opening_timeout(self) -> float | None:
        """Seconds in which a stream without a deadline must reach a node; None for no limit."""
        return self._host.timeout

    def start(self, timeout: float | None, metadata: MetadataLike | None, info: CallInfo | None) -> ClientCall:
        """Starts the clock of a stream: the earlier of its own deadline and that of the call being served here."""
        return self._started(self._timeout if timeout is None else check_timeout(timeout), metadata, info)

    def _started(self, timeout: float | None, metadata: MetadataLike | None, info: CallInfo | None) -> ClientCall:
        """Starts the clock of a call.

        Args:
            timeout: as ``check_timeout`` returns it; None for no limit.
            metadata: sent with it.
            info: filled as the call goes on.
        """
        serving = current_context.get()
        deadline = serving.deadline if serving is not None else None
        if timeout is not None and timeout < LONGEST_TIMEOUT:
            own = asyncio.get_running_loop().time() + timeout
            if deadline is None or own < deadline:
                deadline = own
        sent = self._metadata if metadata is None else self._metadata.merged(metadata)
        if serving is not None and (flowing := serving.flowing(self._host.flow)).pairs:
            sent = sent.completed(flowing)
        return ClientCall(self.method, sent, deadline, CallInfo() if info is None else info, self._target)

    def encode(self, request: Any) -> bytes:
        """Encodes a request.

        Raises:
            TypeError: it is not the method's request message.
            InvalidArgument: it cannot be encoded: a required field is missing, for one. Or the client validates, and it breaks a
                rule.
        """
        if request.__class__ is not self.method.request_type:
            raise self._wrong(request)
        try:
            return self._encoder(request)
        except Error as error:  # of the check
            error.may_have_run = False
            raise
        except Exception as error:
            raise self._unencodable(error, may_have_run=False) from error

    def encode_next(self, request: Any) -> bytes:
        """Encodes a request of a call that is open, and whose handler may run already; raises as ``encode`` does."""
        if request.__class__ is not self.method.request_type:
            raise self._wrong(request)
        try:
            return self._encoder(request)
        except Error:  # of the check
            raise
        except Exception as error:
            raise self._unencodable(error, may_have_run=True) from error

    def _wrong(self, request: object) -> TypeError:
        return TypeError(
            f"{self.method.python_name}() takes {self.method.request_type.__name__}, not {type(request).__name__}"
        )

    def _unencodable(self, error: Exception, *, may_have_run: bool) -> InvalidArgument:
        return InvalidArgument(f"the request of {self._path} cannot be encoded: {error}", may_have_run=may_have_run)

    def decode(self, data: bytes) -> Any:
        """Decodes a reply."""
        try:
            return self._decoder(data)
        except Exception as error:  # Whatever a codec raises: it is the server that wrote this.
            raise Internal(f"the reply of {self._path} cannot be read: {error}") from None

    def service_nodes(self, call: ClientCall) -> ServiceNodes:
        """Returns the nodes that a call may go to."""
        nodes = self._host.nodes
        if call.target != self._target:
            return nodes.service_nodes(call.target, self._served, self._wanted)
        service_nodes = self._service_nodes
        if service_nodes is None or service_nodes.closed or nodes is not self._nodes:
            self._nodes = nodes
            service_nodes = self._service_nodes = nodes.service_nodes(call.target, self._served, self._wanted)
        return service_nodes

    async def attempt(
        self,
        attempts: Attempts,
        action: Callable[[RemoteNode], Awaitable[ResultT]],
    ) -> tuple[ResultT, RemoteNode]:
        """Brings an action to a node, and to another one if it fails in a way that allows it.

        The node that is returned counts the call as in flight; the caller must call its ``done``.
        """
        while True:
            remote = await attempts.next()
            remote.in_flight += 1
            try:
                if not remote.connected and len(attempts.service_nodes.nodes) > 1:
                    await remote.connect(attempts.deadline)
                result = await action(remote)
            except Error as error:
                remote.done()
                failure = error
            except Exception as error:
                remote.done()
                failure = unexpected(self._path, remote, error)
            except BaseException:
                remote.done()
                raise
            else:
                return result, remote
            await attempts.failed(remote, failure)

    async def _send(self, request: Any, call: ClientCall) -> Any:
        """The end of a unary call: to a node, and to another one if that fails in a way that allows it."""
        try:
            message = self.encode(request)
            rules = self.rules_of(call.info)
            service_nodes = self.service_nodes(call)
            attempts: Attempts | None = None
            remote = service_nodes.pick(call.metadata)
            info = call.info
            while True:
                if remote is None:
                    attempts = attempts or Attempts(service_nodes, call, self.retry)
                    remote = await attempts.next()
                else:
                    info.attempts += 1
                    info.node = remote.node.id
                    info.peer = remote.node.address
                remote.in_flight += 1
                deadline = call.deadline if self._attempt_timeout is None else self._attempt_deadline(call)
                try:
                    if not remote.connected and len(service_nodes.nodes) > 1:
                        await remote.connect(deadline)
                    connection, metadata = remote.connection, remote.addressed(call.metadata)
                    if rules is None or not self._understood(connection, rules):
                        data = await connection.unary(
                            self._path, self._content_subtype, metadata, deadline, info, message
                        )
                    else:
                        data = await cast("Any", connection).unary(
                            self._path, self._content_subtype, metadata, deadline, info, message, rules
                        )
                except Error as error:
                    failure = error
                except Exception as error:
                    failure = unexpected(self._path, remote, error)
                else:
                    remote.answered()
                    service_nodes.budget.earn()
                    return self.decode(data)
                finally:
                    remote.done()
                attempts = attempts or Attempts(service_nodes, call, self.retry)
                if deadline != call.deadline and failure.code is DeadlineExceeded.code:
                    failure = attempts.timed_out(remote, failure)
                await attempts.failed(remote, failure)
                remote = None
        except Error as error:
            error.outgoing = True
            raise

    def _attempt_deadline(self, call: ClientCall) -> float:
        """Returns when an attempt that begins now has taken too long; the call's deadline may be earlier."""
        deadline = asyncio.get_running_loop().time() + (self._attempt_timeout or 0.0)
        return deadline if call.deadline is None else min(deadline, call.deadline)

    async def open(self, remote: RemoteNode, call: ClientCall, rules: MessageRules | None) -> ClientStream:
        """Opens a stream to one node.

        Args:
            remote: the node.
            call: the call.
            rules: for its messages, as ``rules_of`` gives them.
        """
        connection = remote.connection
        arguments = self._path, self._content_subtype, remote.addressed(call.metadata), call.deadline, call.info
        if rules is None or not self._understood(connection, rules):
            return await connection.open(*arguments)
        stream: ClientStream = await cast("Any", connection).open(*arguments, rules)
        return stream

    def rules_of(self, info: CallInfo) -> MessageRules | None:
        """Returns the rules for the messages of a call; None if nothing is said of them.

        Raises:
            ValueError: the call names an algorithm of compression that cannot be used.
        """
        if info.compression is None:
            return self._rules
        return (self._rules or UNSAID)._replace(compression=compression_of(info.compression))

    def _understood(self, connection: Connection, rules: MessageRules) -> bool:
        """Returns whether to pass rules to a connection; False if it takes none, and none of these needs it to.

        Raises:
            FailedPrecondition: the transport does not know such rules; the call did not run.
        """
        if rules.compression and not connection.compresses:
            problem = (
                f"{self._path}: compression={rules.compression!r}, and the transport of this node does not compress: leave it "
                "out, or use a transport that does, such as 'grpc'"
            )
            raise FailedPrecondition(problem, id="micro.no_compression", may_have_run=False)
        if not connection.takes_sizes and (rules.request or rules.reply):
            problem = (
                f"{self._path} has limits of its own, in the .proto or by max_message= of the client, and the transport of this "
                "node does not bound how large messages are: leave them out, or use a transport that does, such as 'grpc'"
            )
            raise FailedPrecondition(problem, id="micro.no_limits", may_have_run=False)
        return connection.takes_sizes


def _checking(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], check: Check) -> Callable[[Any], bytes]:
    """Returns an encoder that checks requests."""

    def checked(request: Any) -> bytes:
        data = encode(request)
        check(decode(data))
        return data

    return checked


async def _intercepted(chain: UnaryNext, request: Any, call: ClientCall) -> Any:
    """Runs the interceptors of a unary call, and what is inside them."""
    try:
        return await _within_deadline(chain, request, call)
    except Error as error:
        error.outgoing = True
        raise


async def _within_deadline(chain: UnaryNext, request: Any, call: ClientCall) -> Any:
    """Runs the interceptors of a unary call, and what is inside them, up to the call's deadline.

    Raises:
        DeadlineExceeded: the deadline passed while an interceptor was at work.
    """
    if call.deadline is None:
        return await chain(request, call)
    limit = asyncio.timeout(None)
    expiry = Expiry(call, partial(limit.reschedule, 0.0))
    try:
        async with limit:
            return await chain(request, call)
    except TimeoutError as error:
        if isinstance(error, Error) or not limit.expired():
            raise
        raise deadline_passed(call) from None
    finally:
        expiry.stop()


def check_timeout(timeout: float) -> float:
    """Returns a timeout that can be counted with.

    Raises:
        TypeError: it is not a number of seconds.
        ValueError: it is NaN.
    """
    if not isinstance(cast("object", timeout), (int, float)):
        raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
    if timeout != timeout:
        raise ValueError("timeout is NaN; it is a number of seconds, or None for no limit")
    return min(timeout, LONGEST_TIMEOUT)
