"""Clients and service bases of torture/keywords.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .keywords_pb2 import None_, None__, from_

__all__ = ["tryBase", "tryClient"]

_TRY_EXCEPT = _micro.Method("torture.keywords.try", "except", "except_", _micro.Kind.UNARY, None__, None__.class__)
_TRY_FINALLY = _micro.Method("torture.keywords.try", "finally", "finally_", _micro.Kind.SERVER_STREAM, from_, None_)
_TRY = _micro.ServiceInfo("torture.keywords.try", "torture.keywords", (_TRY_EXCEPT, _TRY_FINALLY))


class tryClient(_micro.Client):
    _info_ = _TRY

    async def except_(
        self,
        request: None__,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> None__.class__:
        return await self._unary(_TRY_EXCEPT, request, timeout, metadata, info)

    def finally_(
        self,
        request: from_,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[None_]:
        return self._server_stream(_TRY_FINALLY, request, timeout, metadata, info)


class tryBase(_micro.Handler):
    _info_ = _TRY

    async def except_(self, request: None__, context: _micro.Context) -> None__.class__:
        raise self._unimplemented(_TRY_EXCEPT)

    def finally_(self, request: from_, context: _micro.Context) -> AsyncIterator[None_]:
        raise self._unimplemented(_TRY_FINALLY)
