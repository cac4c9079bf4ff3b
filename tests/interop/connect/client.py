"""Makes the suite's calls: ``python -m tests.interop.connect.client asyncio|uvloop``."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from connectrpc.conformance.v1.client_compat_pb2 import ClientCompatRequest, ClientCompatResponse, ClientResponseResult
from connectrpc.conformance.v1.config_pb2 import StreamType
from connectrpc.conformance.v1.service_micro import ConformanceServiceClient
from connectrpc.conformance.v1.service_pb2 import (
    BidiStreamRequest,
    ClientStreamRequest,
    ConformancePayload,
    ServerStreamRequest,
    UnaryRequest,
    UnimplementedRequest,
)

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.context import CallInfo
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.interop.connect.messages import ALGORITHMS, described, headers, pairs, read, run, write

AT_ONCE = 8
"""How many calls are made at a time."""
SERVICE = "connectrpc.conformance.v1.ConformanceService"


class Clients:
    """A client for each server and way to reach it, kept until the end."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._services: dict[bytes, asyncio.Task[micro.Service]] = {}

    async def to(self, wanted: ClientCompatRequest) -> ConformanceServiceClient:
        way = ClientCompatRequest(
            host=wanted.host,
            port=wanted.port,
            server_tls_cert=wanted.server_tls_cert,
            message_receive_limit=wanted.message_receive_limit,
            client_tls_creds=wanted.client_tls_creds if wanted.HasField("client_tls_creds") else None,
        )
        key = way.SerializeToString(deterministic=True)
        if key not in self._services:
            self._services[key] = asyncio.ensure_future(self._made(way))
        service = await self._services[key]
        return ConformanceServiceClient(service, target="conformance", compression=ALGORITHMS[wanted.compression])

    async def _made(self, way: ClientCompatRequest) -> micro.Service:
        name = f"memory:{uuid.uuid4()}"
        registry = MemoryRegistry(name)
        await registry.open()
        self._stack.push_async_callback(registry.close)
        node = Node("by-hand", f"{way.host}:{way.port}", transport="grpc")
        await registry.register(Registration(node, ("conformance",)), ttl=3600)
        tls = None
        if way.server_tls_cert:
            files = {"roots": way.server_tls_cert}
            if way.HasField("client_tls_creds"):
                files |= {"cert": way.client_tls_creds.cert, "key": way.client_tls_creds.key}
            for kind, data in files.items():
                (self._folder / f"{name}.{kind}").write_bytes(data)
                (self._folder / f"{name}.{kind}").chmod(0o600)
            tls = micro.Tls(**{kind: str(self._folder / f"{name}.{kind}") for kind in files})
        limit = way.message_receive_limit or None
        # The suite refuses a timeout where it asked for none.
        service = micro.Service("client", registry=name, tls=tls, max_message=limit, timeout=None)
        return await self._stack.enter_async_context(service)


class Call:
    """One call that the suite has asked for, and what became of it."""

    def __init__(self, client: ConformanceServiceClient, wanted: ClientCompatRequest) -> None:
        self._client = client
        self._wanted = wanted
        self._info = CallInfo()
        self._options: dict[str, Any] = {"metadata": pairs(wanted.request_headers), "info": self._info}
        if wanted.HasField("timeout_ms"):
            self._options["timeout"] = wanted.timeout_ms / 1000
        self._delay = wanted.request_delay_ms / 1000
        timing = wanted.cancel.WhichOneof("cancel_timing") if wanted.HasField("cancel") else None
        self._before_end = timing == "before_close_send"
        self._after_replies = wanted.cancel.after_num_responses if timing == "after_num_responses" else 0
        self._after_end: float | None = None
        if wanted.HasField("cancel") and timing in (None, "after_close_send_ms"):
            self._after_end = wanted.cancel.after_close_send_ms / 1000
        self._result = ClientResponseResult()

    async def made(self) -> ClientResponseResult:
        kinds: dict[Any, Callable[[], Awaitable[None]]] = {
            StreamType.STREAM_TYPE_UNARY: self._unary,
            StreamType.STREAM_TYPE_CLIENT_STREAM: self._client_stream,
            StreamType.STREAM_TYPE_SERVER_STREAM: self._server_stream,
            StreamType.STREAM_TYPE_HALF_DUPLEX_BIDI_STREAM: self._half_duplex,
            StreamType.STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM: self._full_duplex,
        }
        try:
            await kinds[self._wanted.stream_type]()
        except micro.EndOfStream:
            pass
        except micro.Error as error:
            self._result.error.CopyFrom(described(error))
        self._result.response_headers.extend(headers(self._info.headers))
        self._result.response_trailers.extend(headers(self._info.trailers))
        return self._result

    def _requests(self, kind: Any) -> list[Any]:
        requests = [kind() for _ in self._wanted.request_messages]
        for request, any_message in zip(requests, self._wanted.request_messages, strict=True):
            assert any_message.Unpack(request), any_message.type_url
        return requests

    async def _unary(self) -> None:
        if self._wanted.method == "Unimplemented":
            (nothing,) = self._requests(UnimplementedRequest)
            await self._client.unimplemented(nothing, **self._options)
            return
        (request,) = self._requests(UnaryRequest)
        call = asyncio.ensure_future(self._client.unary(request, **self._options))
        if self._after_end is not None:
            await asyncio.sleep(self._after_end)
            call.cancel()
        try:
            self._keep((await call).payload)
        except asyncio.CancelledError:
            raise micro.Cancelled("the task of the call was cancelled") from None

    async def _client_stream(self) -> None:
        async with self._client.client_stream(**self._options) as call:
            await self._send_all(call, self._requests(ClientStreamRequest))
            if self._before_end:
                call.cancel()
            with self._cancelled_later(call):
                self._keep((await call.finish()).payload)

    async def _server_stream(self) -> None:
        (request,) = self._requests(ServerStreamRequest)
        async with self._client.server_stream(request, **self._options) as call:
            with self._cancelled_later(call):
                await self._receive_all(call)

    async def _half_duplex(self) -> None:
        async with self._client.bidi_stream(**self._options) as call:
            await self._send_all(call, self._requests(BidiStreamRequest))
            await self._end(call)

    async def _full_duplex(self) -> None:
        requests = self._requests(BidiStreamRequest)
        async with self._client.bidi_stream(**self._options) as call:
            for number, request in enumerate(requests):
                await self._send(call, request, len(requests) - number)
                await self._receive(call)
            await self._end(call)

    async def _end(self, call: Any) -> None:
        """Says that there are no more requests, and receives what comes."""
        if self._before_end:
            call.cancel()
        await call.end()
        with self._cancelled_later(call):
            await self._receive_all(call)

    async def _send_all(self, call: Any, requests: list[Any]) -> None:
        for number, request in enumerate(requests):
            await self._send(call, request, len(requests) - number)

    async def _send(self, call: Any, request: Any, left: int) -> None:
        """Sends a request; notes how many are left if it cannot, and raises why."""
        await asyncio.sleep(self._delay)
        try:
            await call.send(request)
        except micro.Error:
            self._result.num_unsent_requests = left
            await (call.receive if hasattr(call, "receive") else call.finish)()
            raise

    async def _receive_all(self, call: Any) -> None:
        while True:
            await self._receive(call)

    async def _receive(self, call: Any) -> None:
        self._keep((await call.receive()).payload)
        if len(self._result.payloads) == self._after_replies:
            call.cancel()

    def _keep(self, payload: ConformancePayload) -> None:
        self._result.payloads.append(payload)

    @contextlib.contextmanager
    def _cancelled_later(self, call: Any) -> Any:
        """Cancels the call some time after the last request, if that is asked for."""
        loop = asyncio.get_running_loop()
        timer = None if self._after_end is None else loop.call_later(self._after_end, call.cancel)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()


async def answer(clients: Clients, wanted: ClientCompatRequest) -> ClientCompatResponse:
    """Makes a call, and tells what became of it."""
    response = ClientCompatResponse(test_name=wanted.test_name)
    try:
        if wanted.service not in ("", SERVICE):
            raise ValueError(f"there is no service {wanted.service}")
        response.response.CopyFrom(await Call(await clients.to(wanted), wanted).made())
    except Exception as error:
        response.error.message = f"{type(error).__name__}: {error}"
    return response


async def main() -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def make(clients: Clients, wanted: ClientCompatRequest) -> None:
        try:
            write(await answer(clients, wanted))
        finally:
            places.release()

    with tempfile.TemporaryDirectory() as folder:
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as calls:
            clients = Clients(Path(folder), stack)
            while True:
                await places.acquire()
                wanted = await asyncio.to_thread(read, ClientCompatRequest)
                if wanted is None:
                    return
                calls.create_task(make(clients, wanted))


if __name__ == "__main__":
    run(main())
