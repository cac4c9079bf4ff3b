"""Clients and service bases of torture/proto3.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .proto3_pb2 import Known, Same, Scalars

__all__ = ["RecursiveBase", "RecursiveClient"]

_RECURSIVE_RECURSE = _micro.Method(
    "torture.proto3.Recursive", "Recurse", "recurse", _micro.Kind.UNARY, Same.Same.Same, Same.Same
)
_RECURSIVE_KNOWN = _micro.Method(
    "torture.proto3.Recursive", "Known", "known", _micro.Kind.CLIENT_STREAM, Known, Scalars
)
_RECURSIVE = _micro.ServiceInfo("torture.proto3.Recursive", "torture.proto3", (_RECURSIVE_RECURSE, _RECURSIVE_KNOWN))


class RecursiveClient(_micro.Client):
    """Calls itself."""

    _info_ = _RECURSIVE

    async def recurse(
        self,
        request: Same.Same.Same,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Same.Same:
        return await self._unary(_RECURSIVE_RECURSE, request, timeout, metadata, info)

    def known(
        self,
        requests: _micro.Messages[Known] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[Known, Scalars]:
        return self._client_stream(_RECURSIVE_KNOWN, requests, timeout, metadata, info)


class RecursiveBase(_micro.Handler):
    """Calls itself."""

    _info_ = _RECURSIVE

    async def recurse(self, request: Same.Same.Same, context: _micro.Context) -> Same.Same:
        raise self._unimplemented(_RECURSIVE_RECURSE)

    async def known(self, requests: AsyncIterator[Known], context: _micro.Context) -> Scalars:
        raise self._unimplemented(_RECURSIVE_KNOWN)
