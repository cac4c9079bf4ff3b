"""Clients and service bases of nested.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

from google.protobuf.empty_pb2 import Empty

if TYPE_CHECKING:
    from nested_pb2 import *  # pyright: ignore[reportMissingImports]
    from .nested_pb2 import *
elif __package__:
    from .nested_pb2 import Outer
else:
    from nested_pb2 import Outer

__all__ = ["ThingsBase", "ThingsClient"]

_THINGS_RESET = _micro.Method("nested.Things", "Reset", "reset", _micro.Kind.UNARY, Empty, Empty)
_THINGS_GET = _micro.Method("nested.Things", "Get", "get", _micro.Kind.UNARY, Outer.Inner, Outer)
_THINGS = _micro.ServiceInfo("nested.Things", "nested", (_THINGS_RESET, _THINGS_GET))


class ThingsClient(_micro.Client):
    _info_ = _THINGS

    async def reset(
        self,
        request: Empty,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Empty:
        return await self._unary(_THINGS_RESET, request, timeout, metadata, info)

    async def get(
        self,
        request: Outer.Inner,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Outer:
        return await self._unary(_THINGS_GET, request, timeout, metadata, info)


class ThingsBase(_micro.Handler):
    _info_ = _THINGS

    async def reset(self, request: Empty, context: _micro.Context) -> Empty:
        raise self._unimplemented(_THINGS_RESET)

    async def get(self, request: Outer.Inner, context: _micro.Context) -> Outer:
        raise self._unimplemented(_THINGS_GET)
