"""Clients and service bases of torture/only_service.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct, Value
from .public.first_pb2 import First
from .public.second_pb2 import Second

__all__ = ["OnlyServiceBase", "OnlyServiceClient"]

_ONLY_SERVICE_DO = _micro.Method("torture.only.OnlyService", "Do", "do", _micro.Kind.UNARY, Empty, Any)
_ONLY_SERVICE_SAY = _micro.Method("torture.only.OnlyService", "Say", "say", _micro.Kind.BIDI_STREAM, Value, Struct)
_ONLY_SERVICE_REACH = _micro.Method("torture.only.OnlyService", "Reach", "reach", _micro.Kind.UNARY, Second, First)
_ONLY_SERVICE = _micro.ServiceInfo(
    "torture.only.OnlyService", "torture.only", (_ONLY_SERVICE_DO, _ONLY_SERVICE_SAY, _ONLY_SERVICE_REACH)
)


class OnlyServiceClient(_micro.Client):
    """Has no message of its own."""

    _info_ = _ONLY_SERVICE

    async def do(
        self,
        request: Empty,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Any:
        return await self._unary(_ONLY_SERVICE_DO, request, timeout, metadata, info)

    def say(
        self,
        requests: _micro.Messages[Value] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Value, Struct]:
        return self._bidi_stream(_ONLY_SERVICE_SAY, requests, timeout, metadata, info)

    async def reach(
        self,
        request: Second,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> First:
        """Its messages come by a public import of an import."""
        return await self._unary(_ONLY_SERVICE_REACH, request, timeout, metadata, info)


class OnlyServiceBase(_micro.Handler):
    """Has no message of its own."""

    _info_ = _ONLY_SERVICE

    async def do(self, request: Empty, context: _micro.Context) -> Any:
        raise self._unimplemented(_ONLY_SERVICE_DO)

    def say(self, requests: AsyncIterator[Value], context: _micro.Context) -> AsyncIterator[Struct]:
        raise self._unimplemented(_ONLY_SERVICE_SAY)

    async def reach(self, request: Second, context: _micro.Context) -> First:
        """Its messages come by a public import of an import."""
        raise self._unimplemented(_ONLY_SERVICE_REACH)
