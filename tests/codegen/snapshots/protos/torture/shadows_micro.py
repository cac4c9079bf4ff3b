"""Clients and service bases of torture/shadows.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations


import micro_rt as _micro

from .shadows_pb2 import Record, Value

__all__ = ["_ShadowsBase", "_ShadowsClient"]

_SHADOWS__GET = _micro.Method("torture.shadows._Shadows", "_Get", "rpc_get", _micro.Kind.UNARY, Value, Record)
_SHADOWS = _micro.ServiceInfo("torture.shadows._Shadows", "torture.shadows", (_SHADOWS__GET,))


class _ShadowsClient(_micro.Client):
    _info_ = _SHADOWS

    async def rpc_get(
        self,
        request: Value,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Record:
        return await self._unary(_SHADOWS__GET, request, timeout, metadata, info)


class _ShadowsBase(_micro.Handler):
    _info_ = _SHADOWS

    async def rpc_get(self, request: Value, context: _micro.Context) -> Record:
        raise self._unimplemented(_SHADOWS__GET)
