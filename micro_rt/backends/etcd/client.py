"""A client of one etcd cluster (https://etcd.io/docs/v3.6/learning/api/): its members, who we are there, and the calls.

It is a client of our own: generated stubs, the view of the nodes, retries and the transport are those of every service. So a
member that fails is passed over, and what may be sent again is. Whatever fails is a ``micro.Error`` that says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from typing import TypeVar
from urllib.parse import urlsplit

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.messages_pb2 import (
    AuthenticateRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseRevokeRequest,
    MemberListRequest,
    RangeRequest,
    RangeResponse,
    TxnRequest,
    TxnResponse,
    WatchRequest,
    WatchResponse,
)
from micro_rt.backends.etcd.services_micro import AuthClient, ClusterClient, KVClient, LeaseClient, WatchClient
from micro_rt.client.nodes import Nodes
from micro_rt.client.streams import BidiStreamCall, Messages
from micro_rt.codec.base import Codec
from micro_rt.codec.proto import ProtoCodec
from micro_rt.context import CallInfo, detached
from micro_rt.errors import (
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from micro_rt.interceptor import ClientSide
from micro_rt.kit import backoff
from micro_rt.kit.chance import shuffle
from micro_rt.kit.ids import new_number
from micro_rt.kit.net import is_loopback, split
from micro_rt.logs import logger
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.method import RetryPolicy
from micro_rt.node import Node
from micro_rt.registry.base import Lease, Registration, Registry
from micro_rt.registry.watch import Watch, Watches
from micro_rt.service.parts import backend

__all__ = ["EtcdClient", "Tokens", "is_stale", "new_lease_id", "prefix_end"]

T = TypeVar("T")

SILENT = 0.5
"""Seconds without an answer after which a call that is given up counts against the member that was asked."""
REFUSED = (0.5, 10.0)
"""Seconds that nobody asks for a token after one was refused: the first time, and the longest."""

MAX_ANSWER = 256 << 20
"""Bytes of an answer: the whole registry may come in one. Services take less of each other."""

_TARGET = "etcd"
_REPEATABLE = RetryPolicy(idempotent=True)
_log = logger("micro_rt.etcd")


class EtcdClient:
    """Calls one cluster; opened before use.

    Args:
        address: where it is.
    """

    def __init__(self, address: EtcdAddress) -> None:
        self.address = address
        self._members = _Members(address.endpoints)
        self._nodes: Nodes | None = None
        self._tokens = Tokens(address, self._authenticate)
        host = _Host(self)
        self._kv = KVClient(host, target=_TARGET, timeout=address.timeout, retry=_REPEATABLE)
        self._lease = LeaseClient(host, target=_TARGET, timeout=address.timeout, retry=_REPEATABLE)
        self._auth = AuthClient(host, target=_TARGET, timeout=address.timeout)
        self._cluster = ClusterClient(host, target=_TARGET, timeout=address.timeout)
        self._watch = WatchClient(host, target=_TARGET)
        self.problem = ""
        """Why the last call was not answered; empty if it was."""

    @property
    def nodes(self) -> Nodes:
        """The members, as the stubs see them."""
        if self._nodes is None:
            raise FailedPrecondition(f"the client of {self.address} is not open")
        return self._nodes

    async def open(self) -> None:
        """Gets ready; connects with the first call.

        Raises:
            FailedPrecondition: TLS cannot be set up.
        """
        transport = backend("transport", "grpc", "transport of etcd")(self.address.tls_context(), receive=MAX_ANSWER)
        with detached():
            self._nodes = Nodes(self._members, lambda _: transport, _InOrder)

    async def close(self) -> None:
        """Closes every connection."""
        nodes, self._nodes = self._nodes, None
        if nodes is not None:
            await self._members.close()
            await nodes.close()

    async def range(self, request: RangeRequest) -> RangeResponse:
        """Reads keys."""
        return await self._ask(lambda metadata, info: self._kv.range(request, metadata=metadata, info=info))

    async def txn(self, request: TxnRequest) -> TxnResponse:
        """Does several operations at once; one whose outcome is not known is sent again, so it must bear to run twice."""
        return await self._ask(lambda metadata, info: self._kv.txn(request, metadata=metadata, info=info))

    async def grant(self, id: int, ttl: int) -> int:
        """Makes a lease.

        Args:
            id: as ``new_lease_id`` makes them.
            ttl: seconds.

        Returns:
            The seconds that the server made of it: it raises what is too short.
        """
        request = LeaseGrantRequest(id=id, ttl=ttl)
        try:
            reply = await self._ask(
                lambda metadata, info: self._lease.lease_grant(request, metadata=metadata, info=info)
            )
        except FailedPrecondition as error:
            if "lease already exists" not in error.message:
                raise
            return ttl  # The first time it was sent, its answer was lost.
        return reply.ttl

    async def keep_alive(self, id: int) -> int:
        """Starts the time of a lease anew; returns its seconds, 0 if there is no such lease."""

        async def ask(metadata: Metadata, info: CallInfo) -> int:
            timeout = self.address.timeout
            async with self._lease.lease_keep_alive(timeout=timeout, metadata=metadata, info=info) as call:
                await call.send(LeaseKeepAliveRequest(id=id))
                return (await call.receive()).ttl

        return await self._ask(ask)

    async def revoke(self, id: int) -> bool:
        """Ends a lease, and deletes its keys; returns False, and does nothing, if there is no such lease."""
        request = LeaseRevokeRequest(id=id)
        try:
            await self._ask(lambda metadata, info: self._lease.lease_revoke(request, metadata=metadata, info=info))
        except NotFound:
            return False
        return True

    async def on_loopback(self) -> bool:
        """Whether only this machine can reach the cluster, as far as its members say.

        The address alone does not tell: a tunnel to a cluster far away begins on loopback too.
        """
        if not all(is_loopback(split(endpoint)[0]) for endpoint in self.address.endpoints):
            return False
        request = MemberListRequest()
        reply = await self._ask(lambda metadata, info: self._cluster.member_list(request, metadata=metadata, info=info))
        return all(is_loopback(_host_of(url)) for member in reply.members for url in member.client_urls)

    async def watch(
        self, requests: Messages[WatchRequest], info: CallInfo
    ) -> tuple[str, BidiStreamCall[WatchRequest, WatchResponse]]:
        """Returns a stream of watches that is to be entered, and the token that it goes with."""
        token = await self._tokens.get()
        # A member that has lost its leader would keep the stream, and stay silent.
        metadata = _metadata(token).merged({"hasleader": "true"})
        return token, self._watch.watch(requests, metadata=metadata, info=info)

    def drop(self, node: str) -> None:
        """Says that a member is silent: others go first from now on, and it is connected to anew.

        Args:
            node: its id, as ``CallInfo`` has it.
        """
        self._members.replace(node)

    def expired(self, token: str) -> None:
        """Says that a token is not accepted any more."""
        self._tokens.expired(token)

    def explained(self, error: Error) -> Error:
        """Returns what is raised instead of what a call has failed with: where it was, and what to do."""
        message = error.message
        where = str(self.address)
        if message.startswith(where):
            return error  # It is explained already.
        user = f"user {self.address.user!r}" if self.address.user else "who gives no name"
        if isinstance(error, Unavailable):
            text = f"{where} cannot be reached: {message}"
            if not error.may_have_run:
                text += "; is it running there, and is the address right?"
            return Unavailable(text, id="micro.etcd_unreachable", may_have_run=error.may_have_run)
        if _NO_USER in message:
            return Unauthenticated(
                f"{where} answers nobody without a name: set ETCD_USERNAME and ETCD_PASSWORD, or write "
                "etcd://user:password@host"
            )
        if _BAD_PASSWORD in message:
            return Unauthenticated(
                f"{where} does not know {user} with this password: check ETCD_USERNAME and ETCD_PASSWORD"
            )
        if isinstance(error, PermissionDenied):
            return PermissionDenied(
                f"{where}: {user} may not do this; grant a role of that user readwrite on the keys (docs/etcd.md lists them)"
            )
        if "too many operations" in message or "request is too large" in message:
            return FailedPrecondition(
                f"{where}: {message}; raise --max-txn-ops or --max-request-bytes of the server, or register less at once"
            )
        return Error.of(error.code, f"{where}: {message}", id=error.id, may_have_run=error.may_have_run)

    async def _ask(self, call: Callable[[Metadata, CallInfo], Awaitable[T]]) -> T:
        """Makes a call with a token, once more if the token was none any more."""
        tried = False
        while True:
            token = await self._tokens.get()
            try:
                answer = await self._asked(call, _metadata(token))
                self.problem = ""
                return answer
            except Error as error:
                if isinstance(error, Unavailable):
                    self.problem = self.explained(error).message
                if tried or not self.address.user or not is_stale(error.message):
                    raise self.explained(error) from None
                tried = True
                self._tokens.expired(token)

    async def _asked(self, call: Callable[[Metadata, CallInfo], Awaitable[T]], metadata: Metadata) -> T:
        info = CallInfo()
        began = asyncio.get_running_loop().time()
        try:
            with detached():  # What is asked for is not only for the call being served.
                return await call(metadata, info)
        except asyncio.CancelledError:
            # A heartbeat may have less time than a request: without this, each one would ask the same silent member.
            if asyncio.get_running_loop().time() - began >= SILENT:
                self._members.replace(info.node)
            raise
        except DeadlineExceeded as error:
            self._members.replace(info.node)
            raise Unavailable(
                f"no answer from {info.peer or 'any member'} within {self.address.timeout:g} s: {error.message}",
                id="micro.etcd_silent",
            ) from None

    async def _authenticate(self) -> str:
        request = AuthenticateRequest(name=self.address.user, password=self.address.password)
        try:
            return (
                await self._asked(
                    lambda metadata, info: self._auth.authenticate(request, metadata=metadata, info=info), EMPTY
                )
            ).token
        except Error as error:
            if "authentication is not enabled" in error.message:
                return ""
            raise self.explained(error) from None


class Tokens:
    """The token of a user: asked for by one at a time, and more and more rarely while it is refused.

    Making one is slow for the server by intention, so thousands that ask at once would keep it from all else.

    Args:
        address: has the user.
        authenticate: asks for a token; returns none if the server wants none.
    """

    def __init__(self, address: EtcdAddress, authenticate: Callable[[], Awaitable[str]]) -> None:
        self._address = address
        self._authenticate = authenticate
        self._token: str | None = None if address.user else ""
        self._lock = asyncio.Lock()
        self._refusal: Error | None = None
        self._refusals = 0
        self._ask_at = 0.0

    async def get(self) -> str:
        """Returns the token; empty if there is no user, or the server wants none."""
        if self._token is None:
            async with self._lock:
                # Another may have got it meanwhile.
                return await self._ask() if self._token is None else self._token
        return self._token

    def expired(self, token: str) -> None:
        """Forgets a token that is not accepted any more."""
        if self._token == token and self._address.user:
            self._token = None

    async def _ask(self) -> str:
        now = asyncio.get_running_loop().time()
        if self._refusal is not None and now < self._ask_at:
            raise copy(self._refusal)
        try:
            token = await self._authenticate()
        except (Unauthenticated, PermissionDenied, InvalidArgument) as error:
            self._refusal = copy(error)
            self._ask_at = now + backoff.delay(self._refusals + 1, *REFUSED, jitter=0.5)
            self._refusals += 1
            raise
        if not token:
            _log.warning("%s lets everybody in: authentication is not enabled there", self._address)
        self._refusal, self._refusals = None, 0
        self._token = token
        return token


def _host_of(url: str) -> str:
    """Returns the host of a URL that a member names; empty if it is not a URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def new_lease_id() -> int:
    """Returns the id of a lease to be made: known before the server has answered, so that it can be revoked in any case."""
    return new_number(63)


def prefix_end(prefix: bytes) -> bytes:
    """Returns the first key after those that begin with a prefix; no prefix has none, which etcd writes as a zero byte."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else b"\0"


def is_stale(message: str) -> bool:
    """Whether a refusal says that the token is not good any more, and another one may be."""
    return any(text in message for text in ("invalid auth token", "revision of auth store is old", _NO_USER))


_NO_USER = "user name is empty"
_BAD_PASSWORD = "authentication failed"  # noqa: S105  # what etcd says, not a password


def _metadata(token: str) -> Metadata:
    return Metadata({"token": token}) if token else EMPTY


class _Host:
    """What the stubs need of a service."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self.codec: Codec = ProtoCodec()
        self.client_interceptors: Sequence[ClientSide] = ()
        self.timeout: float | None = None
        self.flow: Collection[str] = ()

    @property
    def zone(self) -> str:
        """None: all members are the same to its stubs."""
        return ""

    @property
    def nodes(self) -> Nodes:
        return self._client.nodes


class _Members(Registry):
    """The members of the cluster, as nodes; those that answer first.

    They begin in any order, so that not all clients use the same one.
    """

    def __init__(self, endpoints: Iterable[str]) -> None:
        nodes = [Node(endpoint, endpoint) for endpoint in endpoints]
        shuffle(nodes)
        self._nodes = tuple(nodes)
        self._replaced = 0
        self._watches = Watches()

    def replace(self, id: str) -> None:
        """Puts a member last, as another node at the same address: its connection is not used any more."""
        for node in self._nodes:
            if node.id == id:
                self._replaced += 1
                new = Node(f"{node.address} {self._replaced}", node.address)
                self._nodes = (*(other for other in self._nodes if other is not node), new)
                self._watches.all_changed()
                return

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        self._watches.close(self)

    async def register(self, registration: Registration, *, ttl: float = 0.0) -> Lease:
        raise NotImplementedError

    async def resolve(self, name: str) -> tuple[Node, ...]:
        return self._nodes

    def watch(self, name: str) -> Watch:
        return self._watches.open(name, self.resolve, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        return {_TARGET: self._nodes}


class _InOrder:
    """Takes the first node that has not failed: one connection does, and what it reads never goes back."""

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        return next((node for node in nodes if node.id not in avoid), nodes[0])
