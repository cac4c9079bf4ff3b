"""Clients and service bases of named.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from named_pb2 import *  # pyright: ignore[reportMissingImports]
    from .named_pb2 import *
elif __package__:
    from .named_pb2 import Ping
else:
    from named_pb2 import Ping

__all__ = ["NamedBase", "NamedClient", "UnnamedBase", "UnnamedClient"]

_NAMED_CHECK = _micro.Method("named.v1.Named", "Check", "check", _micro.Kind.UNARY, Ping, Ping)
_NAMED = _micro.ServiceInfo("named.v1.Named", "the.name", (_NAMED_CHECK,))


class NamedClient(_micro.Client):
    _info_ = _NAMED

    async def check(
        self,
        request: Ping,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Ping:
        return await self._unary(_NAMED_CHECK, request, timeout, metadata, info)


class NamedBase(_micro.Handler):
    _info_ = _NAMED

    async def check(self, request: Ping, context: _micro.Context) -> Ping:
        raise self._unimplemented(_NAMED_CHECK)


_UNNAMED_CHECK = _micro.Method("named.v1.Unnamed", "Check", "check", _micro.Kind.UNARY, Ping, Ping)
_UNNAMED = _micro.ServiceInfo("named.v1.Unnamed", "named.v1", (_UNNAMED_CHECK,))


class UnnamedClient(_micro.Client):
    _info_ = _UNNAMED

    async def check(
        self,
        request: Ping,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Ping:
        return await self._unary(_UNNAMED_CHECK, request, timeout, metadata, info)


class UnnamedBase(_micro.Handler):
    _info_ = _UNNAMED

    async def check(self, request: Ping, context: _micro.Context) -> Ping:
        raise self._unimplemented(_UNNAMED_CHECK)
