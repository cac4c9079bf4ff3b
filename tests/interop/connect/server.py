"""Serves the suite's service: ``python -m tests.interop.connect.server asyncio|uvloop``."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectrpc.conformance.v1.server_compat_pb2 import ServerCompatRequest, ServerCompatResponse
from connectrpc.conformance.v1.service_micro import ConformanceServiceBase
from connectrpc.conformance.v1.service_pb2 import (
    BidiStreamRequest,
    BidiStreamResponse,
    ClientStreamRequest,
    ClientStreamResponse,
    ConformancePayload,
    ServerStreamRequest,
    ServerStreamResponse,
    StreamResponseDefinition,
    UnaryRequest,
    UnaryResponse,
    UnaryResponseDefinition,
)

import micro_rt as micro
from micro_rt.handler import service_info
from micro_rt.method import LimitPolicy
from tests.interop.connect.messages import headers, packed, pairs, raised, read, run, write


class Conformance(ConformanceServiceBase):
    """Does what each request says; ``Unimplemented`` and ``IdempotentUnary``, which is for Connect, are left out."""

    async def unary(self, request: UnaryRequest, context: micro.Context) -> UnaryResponse:
        return UnaryResponse(payload=await self._only(request.response_definition, [request], context))

    async def client_stream(
        self, requests: AsyncIterator[ClientStreamRequest], context: micro.Context
    ) -> ClientStreamResponse:
        received = [request async for request in requests]
        definition = received[0].response_definition if received else UnaryResponseDefinition()
        return ClientStreamResponse(payload=await self._only(definition, received, context))

    async def server_stream(
        self, request: ServerStreamRequest, context: micro.Context
    ) -> AsyncIterator[ServerStreamResponse]:
        definition = request.response_definition
        about = self._info([request], context)
        await self._announce(definition, context)
        for data in definition.response_data:
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield ServerStreamResponse(payload=ConformancePayload(data=data, request_info=about))
            about = None
        self._fail(definition, about)

    async def bidi_stream(
        self, requests: AsyncIterator[BidiStreamRequest], context: micro.Context
    ) -> AsyncIterator[BidiStreamResponse]:
        definition, received, sent = StreamResponseDefinition(), list[BidiStreamRequest](), 0
        full_duplex = False
        async for request in requests:
            if not received and not sent:
                definition, full_duplex = request.response_definition, request.full_duplex
                if full_duplex:
                    await self._announce(definition, context)
            received.append(request)
            if full_duplex:
                if sent == len(definition.response_data):
                    break
                about = self._info(received, context, first=not sent)
                await asyncio.sleep(definition.response_delay_ms / 1000)
                data = definition.response_data[sent]
                yield BidiStreamResponse(payload=ConformancePayload(data=data, request_info=about))
                sent += 1
                received = []
        if not full_duplex:
            await self._announce(definition, context)
        about = self._info(received, context) if not sent else None
        for data in definition.response_data[sent:]:
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield BidiStreamResponse(payload=ConformancePayload(data=data, request_info=about))
            about = None
        self._fail(definition, about)

    async def _only(
        self, definition: UnaryResponseDefinition, received: Iterable[Any], context: micro.Context
    ) -> ConformancePayload:
        """Makes the one response of a call, or its error."""
        about = self._info(received, context)
        for name, value in pairs(definition.response_headers):
            context.add_header(name, value)
        for name, value in pairs(definition.response_trailers):
            context.add_trailer(name, value)
        await asyncio.sleep(definition.response_delay_ms / 1000)
        if definition.WhichOneof("response") == "error":
            raise raised(definition.error, about)
        return ConformancePayload(data=definition.response_data, request_info=about)

    async def _announce(self, definition: StreamResponseDefinition, context: micro.Context) -> None:
        """Sends the headers of a stream, and keeps its trailers for the end."""
        for name, value in pairs(definition.response_trailers):
            context.add_trailer(name, value)
        await context.send_headers(pairs(definition.response_headers))

    def _fail(self, definition: StreamResponseDefinition, about: ConformancePayload.RequestInfo | None) -> None:
        """Raises the error that the request asks for, if any.

        Args:
            definition: what the request asks for.
            about: what was received; None if a response has said that already.
        """
        if definition.HasField("error"):
            raise raised(definition.error, *([about] if about is not None else []))

    def _info(
        self, received: Iterable[Any], context: micro.Context, *, first: bool = True
    ) -> ConformancePayload.RequestInfo:
        """Returns what is known of the requests."""
        about = ConformancePayload.RequestInfo(requests=[packed(request) for request in received])
        if first:
            about.request_headers.extend(headers(context.metadata))
            remaining = context.remaining()
            if remaining is not None:
                about.timeout_ms = int(remaining * 1000)
        return about


def taking(most: int) -> Conformance:
    """Returns a handler whose requests may have so many bytes, as if ``limits`` of each method in the .proto said so."""
    handler = Conformance()
    info = service_info(handler)
    limits = LimitPolicy(max_request_bytes=most)
    methods = tuple(replace(method, policy=replace(method.policy, limits=limits)) for method in info.methods)
    vars(handler)["_info_"] = replace(info, methods=methods)
    return handler


async def main() -> None:
    wanted = read(ServerCompatRequest)
    assert wanted is not None
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    with tempfile.TemporaryDirectory() as name:
        folder, tls = Path(name), None
        if wanted.use_tls:
            (folder / "cert").write_bytes(wanted.server_creds.cert)
            (folder / "key").write_bytes(wanted.server_creds.key)
            (folder / "key").chmod(0o600)
            (folder / "roots").write_bytes(wanted.client_tls_cert)
            roots = str(folder / "roots") if wanted.client_tls_cert else ""
            tls = micro.Tls(cert=str(folder / "cert"), key=str(folder / "key"), roots=roots)
        service = micro.Service(
            "conformance",
            registry="memory:",
            address="127.0.0.1:0",
            tls=tls,
            compression="gzip",
        )
        service.handle(taking(wanted.message_receive_limit) if wanted.message_receive_limit else Conformance())
        async with service:
            assert service.node is not None
            host, _, port = service.node.address.rpartition(":")
            write(ServerCompatResponse(host=host, port=int(port), pem_cert=wanted.server_creds.cert))
            await stopped.wait()


if __name__ == "__main__":
    run(main())
