"""What is known of the targets of dynamic calls, for one run of a service.

Rules:

- Descriptors are asked for at the first call of a service of a target, once for all calls that wait for them. A fetch that fails is
  not kept. The fetch goes on if the call that began it is cancelled, because others may wait for it.
- If the descriptors do not have a method, they are asked for once more: the target may have been updated.
- A made-up service or method leaves nothing behind. At most ``MOST_KEPT`` descriptors are kept; those that were used least recently go first.
- No error of a fetch means that the call may have run: it was not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import suppress
from copy import copy
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.descriptor_pool import DescriptorPool

from micro_rt.client.bound import Host
from micro_rt.client.nodes import Nodes
from micro_rt.client.streams import BidiStreamCall, ClientStreamCall, ServerStreamCall
from micro_rt.client.stub import Client
from micro_rt.context import CallInfo
from micro_rt.dynamic.files import UnusableError
from micro_rt.dynamic.given import Descriptors, files_in, key_of
from micro_rt.dynamic.peer import FETCH_TIMEOUT, files_of
from micro_rt.dynamic.schema import Schema, no_service
from micro_rt.errors import DeadlineExceeded, Error, FailedPrecondition, Internal, Unavailable
from micro_rt.metadata import MetadataLike
from micro_rt.method import Method, ServiceInfo

__all__ = ["MOST_KEPT", "Found", "Stub", "Targets"]

MOST_KEPT = 64
"""Descriptors that are kept at most: one for each service of a target that is called, and for each that is given."""

_UNLISTED = ("grpc.health.", "grpc.reflection.")
"""How the names of services begin that servers have and registries do not list."""

_Key: TypeAlias = tuple[str, str, Hashable]
"""A target, the service that its descriptors are of, and what was given; the service is empty if something was given."""


class Stub(Client):
    """Calls the methods of a target, of which it knows only what it is told with each call."""

    _info_ = ServiceInfo("dynamic.Dynamic", "", ())

    def __init__(self, host: Host, target: str, served: str | None) -> None:
        super().__init__(host, target=target)
        self._served = served

    async def unary(
        self,
        method: Method[Any, Any],
        request: Any,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> Any:
        """Makes a unary call."""
        return await self._unary(method, request, timeout, metadata, info)

    def stream(
        self,
        method: Method[Any, Any],
        requests: Any,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> ServerStreamCall[Any] | BidiStreamCall[Any, Any]:
        """Returns a call whose replies are a stream."""
        if method.kind.client_streams:
            return self._bidi_stream(method, requests, timeout, metadata, info)
        return self._server_stream(method, requests, timeout, metadata, info)

    def collect(
        self,
        method: Method[Any, Any],
        requests: Any,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> ClientStreamCall[Any, Any]:
        """Returns a call with a stream of requests and one reply."""
        return self._client_stream(method, requests, timeout, metadata, info)


class Found(NamedTuple):
    """What it takes to make a call.

    Attributes:
        method: the method.
        stub: calls it.
        pool: has its types.
    """

    method: Method[Any, Any]
    stub: Stub
    pool: DescriptorPool


class Targets:
    """Finds the methods of targets, and keeps their descriptors for one run of a service.

    Args:
        host: whose registry, transport, codec and interceptors the calls use.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._nodes: Nodes | None = None
        self._kept: dict[_Key, _Known] = {}
        self._fetches: dict[_Key, tuple[asyncio.Task[None], _Fetch]] = {}

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take where nothing else says so; None for no limit."""
        return self._host.timeout

    async def find(self, target: str, service: str, name: str, descriptors: Descriptors | None) -> Found:
        """Returns a method, after having asked the target for its descriptors if they are not known.

        Args:
            target: the name to look up.
            service: full name of the service.
            name: of the method.
            descriptors: where to find it; None to ask the target.

        Raises:
            TypeError: the descriptors are of a wrong kind.
            Unimplemented: there is no such service or method.
            FailedPrecondition: there are no descriptors, or those that are given cannot be used.
            Internal: the descriptors that the target sends cannot be used.
            Error: the target cannot be asked.
        """
        nodes = self._host.nodes
        if nodes is not self._nodes:
            self._nodes, self._kept, self._fetches = nodes, {}, {}
        key: _Key
        if descriptors is None:
            whose, key = repr(target), (target, service, None)
            known = self._kept.get(key)
            if known is None or not known.schema.has(service, name):
                known = await self._fetched(nodes, key)
        else:
            whose, key = "descriptors=", (target, "", key_of(descriptors))
            known = self._kept.get(key) or self._given(key)
        if self._nodes is nodes:
            self._keep(key, known)
        try:
            method = known.schema.method(service, name, whose)
        except UnusableError as error:
            kind = Internal if descriptors is None else FailedPrecondition
            raise kind(str(error), id="micro.bad_descriptors", may_have_run=False) from None
        return Found(method, known.unlisted if service.startswith(_UNLISTED) else known.stub, known.schema.pool)

    def _given(self, key: _Key) -> _Known:
        try:
            schema = Schema(files_in(key[2]), trusted=True, longest=self.timeout)
        except UnusableError as error:
            problem = f"descriptors= cannot be used: {error}"
            raise FailedPrecondition(problem, id="micro.bad_descriptors", may_have_run=False) from None
        return self._known(key, schema)

    def _known(self, key: _Key, schema: Schema) -> _Known:
        return _Known(schema, Stub(self._host, key[0], None), Stub(self._host, key[0], ""))

    def _keep(self, key: _Key, known: _Known) -> None:
        """Notes that descriptors were used now."""
        self._kept.pop(key, None)
        self._kept[key] = known
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    async def _fetched(self, nodes: Nodes, key: _Key) -> _Known:
        """Returns what the target says of itself; asks it once for all that wait."""
        fetches = self._fetches
        running = fetches.get(key)
        if running is None:
            fetch = _Fetch()
            task = nodes.start(self._fetch(nodes, key, fetch), f"descriptors of {key[0]}")
            task.add_done_callback(lambda _: fetches.pop(key, None))
            running = fetches[key] = task, fetch
        task, fetch = running
        await asyncio.wait((task,))
        if fetch.error is not None:
            raise copy(fetch.error) if isinstance(fetch.error, Error) else fetch.error
        if fetch.known is None:
            problem = f"{key[0]!r} is not asked for its descriptors: the service that calls has ended"
            raise Unavailable(problem, id="micro.ended", may_have_run=False)
        return fetch.known

    async def _fetch(self, nodes: Nodes, key: _Key, fetch: _Fetch) -> None:
        target, service, _ = key
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                served = await self._served(nodes, target, service)
                found = await files_of(self._host, target, served, service)
            if isinstance(found, Sequence):
                raise no_service(repr(target), service, found)
            fetch.known = self._known(key, Schema(found, trusted=False, longest=self.timeout))
        except Error as error:
            fetch.error = copy(error)
        except TimeoutError:
            fetch.error = DeadlineExceeded(f"{target!r} did not send its descriptors within {FETCH_TIMEOUT:g} s")
        except UnusableError as error:
            fetch.error = Internal(
                f"the descriptors that {target!r} sends cannot be used: {error}", id="micro.bad_descriptors"
            )
        except Exception as error:  # What an interceptor raises, for one.
            fetch.error = error
        if isinstance(fetch.error, Error):
            fetch.error.may_have_run = False
            fetch.error.outgoing = True

    async def _served(self, nodes: Nodes, target: str, service: str) -> str:
        """Returns the service whose nodes are asked: the one that is called if a node lists it; else empty, for any node.

        So what callers make up is not looked up, and leaves nothing behind.

        Raises:
            Unimplemented: every node says what it serves, and none serves it.
        """
        everyone = nodes.service_nodes(target, "")
        if not everyone.nodes:
            with suppress(Unavailable):  # The call waits for nodes, for as long as the policy of retries says.
                await everyone.wait(None)
        listed = {each for node in everyone.nodes for each in node.services}
        if service in listed:
            return service
        silent = any(not node.services for node in everyone.nodes)
        if everyone.nodes and not silent and not service.startswith(_UNLISTED):
            raise no_service(repr(target), service, listed)
        return ""


class _Known(NamedTuple):
    """What is known of a target.

    Attributes:
        schema: its methods.
        stub: calls the nodes that serve a service.
        unlisted: calls any node, for services that no registry lists.
    """

    schema: Schema
    stub: Stub
    unlisted: Stub


class _Fetch:
    """A question for descriptors that is on its way. When its task has ended, it has a result or an error, unless the service ended."""

    __slots__ = ("error", "known")

    def __init__(self) -> None:
        self.known: _Known | None = None
        self.error: Exception | None = None
