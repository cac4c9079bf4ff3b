"""Clients and service bases of greeter.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from greeter_pb2 import *  # pyright: ignore[reportMissingImports]
    from .greeter_pb2 import *
elif __package__:
    from .greeter_pb2 import HelloReply, HelloRequest, RepeatRequest
else:
    from greeter_pb2 import HelloReply, HelloRequest, RepeatRequest

__all__ = ["GreeterBase", "GreeterClient"]

_GREETER_SAY_HELLO = _micro.Method(
    "greeter.Greeter",
    "SayHello",
    "say_hello",
    _micro.Kind.UNARY,
    HelloRequest,
    HelloReply,
    _micro.Idempotency.NO_SIDE_EFFECTS,
)
_GREETER_REPEAT = _micro.Method(
    "greeter.Greeter",
    "Repeat",
    "repeat",
    _micro.Kind.SERVER_STREAM,
    RepeatRequest,
    HelloReply,
    _micro.Idempotency.NO_SIDE_EFFECTS,
)
_GREETER_GATHER = _micro.Method(
    "greeter.Greeter", "Gather", "gather", _micro.Kind.CLIENT_STREAM, HelloRequest, HelloReply
)
_GREETER_CHAT = _micro.Method("greeter.Greeter", "Chat", "chat", _micro.Kind.BIDI_STREAM, HelloRequest, HelloReply)
_GREETER = _micro.ServiceInfo(
    "greeter.Greeter", "greeter", (_GREETER_SAY_HELLO, _GREETER_REPEAT, _GREETER_GATHER, _GREETER_CHAT)
)


class GreeterClient(_micro.Client):
    """The greeting service."""

    _info_ = _GREETER

    async def say_hello(
        self,
        request: HelloRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> HelloReply:
        """Greets one person."""
        return await self._unary(_GREETER_SAY_HELLO, request, timeout, metadata, info)

    def repeat(
        self,
        request: RepeatRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[HelloReply]:
        """Greets one person several times."""
        return self._server_stream(_GREETER_REPEAT, request, timeout, metadata, info)

    def gather(
        self,
        requests: _micro.Messages[HelloRequest] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[HelloRequest, HelloReply]:
        """Greets everybody at once, when all have come."""
        return self._client_stream(_GREETER_GATHER, requests, timeout, metadata, info)

    def chat(
        self,
        requests: _micro.Messages[HelloRequest] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[HelloRequest, HelloReply]:
        """Greets everybody who comes by, as they come."""
        return self._bidi_stream(_GREETER_CHAT, requests, timeout, metadata, info)


class GreeterBase(_micro.Handler):
    """The greeting service."""

    _info_ = _GREETER

    async def say_hello(self, request: HelloRequest, context: _micro.Context) -> HelloReply:
        """Greets one person."""
        raise self._unimplemented(_GREETER_SAY_HELLO)

    def repeat(self, request: RepeatRequest, context: _micro.Context) -> AsyncIterator[HelloReply]:
        """Greets one person several times."""
        raise self._unimplemented(_GREETER_REPEAT)

    async def gather(self, requests: AsyncIterator[HelloRequest], context: _micro.Context) -> HelloReply:
        """Greets everybody at once, when all have come."""
        raise self._unimplemented(_GREETER_GATHER)

    def chat(self, requests: AsyncIterator[HelloRequest], context: _micro.Context) -> AsyncIterator[HelloReply]:
        """Greets everybody who comes by, as they come."""
        raise self._unimplemented(_GREETER_CHAT)
