"""Asks a target for the files behind one of its services, by ``grpc.reflection`` v1, or v1alpha where v1 is not served.

Rules:

- All questions of a fetch go over one stream, to one node: nodes may have different versions of the files.
- Questions are sent as protobuf, whatever the codec of the service that asks: reflection in another codec is not known to most servers.
- Imports that a server does not send with a file are asked for one by one.
- A fetch whose connection is lost is made again. What a server says of itself has no other effect than on calls of this target.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from micro_rt.client.bound import Host
from micro_rt.client.nodes import Nodes
from micro_rt.client.streams import BidiStreamCall
from micro_rt.client.stub import Client
from micro_rt.codec.base import Codec
from micro_rt.codec.proto import ProtoCodec
from micro_rt.dynamic.files import Files, UnusableError, shown
from micro_rt.errors import EndOfStream, FailedPrecondition, Internal, Unavailable, Unimplemented
from micro_rt.interceptor import ClientSide
from micro_rt.kit.backoff import delay
from micro_rt.method import Idempotency, Kind, Method, ServiceInfo
from micro_rt.reflection.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from micro_rt.text import printable

__all__ = ["FETCH_TIMEOUT", "files_of"]

FETCH_TIMEOUT = 30.0
"""Seconds that a fetch of descriptors may take."""
_FETCHES = 3
"""How many times a fetch is made at most whose connection is lost."""


async def files_of(host: Host, target: str, served: str, service: str) -> Files | Sequence[str]:
    """Returns the files behind a service, with all that they import; the names of the services if it is not among them.

    Args:
        host: whose registry, transport and interceptors are used.
        target: the name to look up.
        served: the service whose nodes are asked; empty for any node of the target.
        service: full name of the service whose files are wanted.

    Raises:
        FailedPrecondition: the target does not answer reflection, or not for this service.
        Internal: the answers make no sense; says why.
        Error: the target cannot be asked.
    """
    asking = _Asking(_ProtoHost(host), target, served)
    for method in (_V1, _V1ALPHA):
        for fetches in range(1, _FETCHES + 1):
            try:
                return await asking.ask(method, service)
            except Unimplemented:
                break  # It does not serve this version.
            except Unavailable as error:
                if not error.may_have_run or fetches == _FETCHES:
                    raise
                await asyncio.sleep(delay(fetches, 0.05, 2.0))
            except UnusableError as error:
                raise Internal(f"the descriptors that {target!r} sends cannot be used: {error}", id=_ID) from None
    raise FailedPrecondition(
        f"{target!r} does not tell its descriptors, as it does not serve grpc.reflection: pass descriptors=, a generated module "
        "such as greeter_pb2 or the bytes of a descriptor set (`buf build -o`, `protoc --include_imports -o`)",
        id="micro.no_reflection",
    )


_ID = "micro.bad_descriptors"
_NAME = "ServerReflectionInfo"
_TYPES = Kind.BIDI_STREAM, ServerReflectionRequest, ServerReflectionResponse, Idempotency.NO_SIDE_EFFECTS
_V1 = Method("grpc.reflection.v1.ServerReflection", _NAME, "server_reflection_info", *_TYPES)
_V1ALPHA = Method("grpc.reflection.v1alpha.ServerReflection", _NAME, "server_reflection_info", *_TYPES)
_Call: TypeAlias = BidiStreamCall[ServerReflectionRequest, ServerReflectionResponse]


class _Asking(Client):
    """A client of reflection."""

    _info_ = ServiceInfo("grpc.reflection.v1.ServerReflection", "", ())

    def __init__(self, host: Host, target: str, served: str) -> None:
        super().__init__(host, target=target)
        self._served = served

    async def ask(self, method: Method[Any, Any], service: str) -> Files | Sequence[str]:
        timeout = min(FETCH_TIMEOUT, self._service.timeout or math.inf)
        async with self._bidi_stream(method, None, timeout, None, None) as call:
            reply = await self._answer(call, ServerReflectionRequest(file_containing_symbol=service))
            if reply.HasField("error_response"):
                return await self._others(call, service, reply.error_response.error_message)
            files = Files()
            self._collect(files, reply)
            while (missing := files.missing) is not None:
                reply = await self._answer(call, ServerReflectionRequest(file_by_filename=missing))
                if reply.HasField("error_response"):
                    break  # The error says which file is missing.
                self._collect(files, reply)
                if missing not in files:
                    raise UnusableError(f"the answer for the file {shown(missing)} does not have that file")
            return files

    async def _others(self, call: _Call, service: str, problem: str) -> Sequence[str]:
        """Returns the services that there are; raises ``FailedPrecondition`` if the one that was asked for is among them."""
        reply = await self._answer(call, ServerReflectionRequest(list_services=""))
        services = [each.name for each in reply.list_services_response.service]
        if service in services:
            raise FailedPrecondition(
                f"{self._target!r} serves {shown(service)} and does not tell its descriptors: {printable(problem, 300)}; "
                "pass descriptors=",
                id="micro.no_reflection",
            )
        return services

    def _collect(self, files: Files, reply: ServerReflectionResponse) -> None:
        if not reply.HasField("file_descriptor_response"):
            raise UnusableError("an answer has neither files nor an error")
        for data in reply.file_descriptor_response.file_descriptor_proto:
            files.add(data)

    async def _answer(self, call: _Call, request: ServerReflectionRequest) -> ServerReflectionResponse:
        with suppress(EndOfStream):  # The answer tells.
            await call.send(request)
        try:
            return await call.receive()
        except EndOfStream:
            raise UnusableError("the stream of reflection ended before the answer") from None


class _ProtoHost:
    """A service whose clients send protobuf, and are otherwise those of another one."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.codec: Codec = ProtoCodec()

    @property
    def nodes(self) -> Nodes:
        return self._host.nodes

    @property
    def zone(self) -> str:
        return self._host.zone

    @property
    def timeout(self) -> float | None:
        return self._host.timeout

    @property
    def flow(self) -> Collection[str]:
        return self._host.flow

    @property
    def client_interceptors(self) -> Sequence[ClientSide]:
        return self._host.client_interceptors
