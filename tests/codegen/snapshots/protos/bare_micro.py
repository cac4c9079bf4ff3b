"""Clients and service bases of bare.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from bare_pb2 import *  # pyright: ignore[reportMissingImports]
    from .bare_pb2 import *
elif __package__:
    from .bare_pb2 import Bare
else:
    from bare_pb2 import Bare

__all__ = ["BareServiceBase", "BareServiceClient"]

_BARE_SERVICE_DO = _micro.Method("BareService", "Do", "do", _micro.Kind.UNARY, Bare, Bare)
_BARE_SERVICE = _micro.ServiceInfo("BareService", "BareService", (_BARE_SERVICE_DO,))


class BareServiceClient(_micro.Client):
    _info_ = _BARE_SERVICE

    async def do(
        self,
        request: Bare,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Bare:
        return await self._unary(_BARE_SERVICE_DO, request, timeout, metadata, info)


class BareServiceBase(_micro.Handler):
    _info_ = _BARE_SERVICE

    async def do(self, request: Bare, context: _micro.Context) -> Bare:
        raise self._unimplemented(_BARE_SERVICE_DO)
