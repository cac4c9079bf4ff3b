"""Clients and service bases of torture/deprecated.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="deprecated"
# pyright: reportDeprecated=false

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .deprecated_pb2 import Nested, Old

__all__ = ["OldServiceBase", "OldServiceClient"]

_OLD_SERVICE_DO = _micro.Method("torture.deprecated.OldService", "Do", "do", _micro.Kind.UNARY, Old, Nested)
_OLD_SERVICE_FOLLOW = _micro.Method(
    "torture.deprecated.OldService", "Follow", "follow", _micro.Kind.SERVER_STREAM, Old, Nested.Older
)
_OLD_SERVICE_STILL_GOOD = _micro.Method(
    "torture.deprecated.OldService", "StillGood", "still_good", _micro.Kind.UNARY, Nested, Nested
)
_OLD_SERVICE = _micro.ServiceInfo(
    "torture.deprecated.OldService",
    "torture.deprecated",
    (_OLD_SERVICE_DO, _OLD_SERVICE_FOLLOW, _OLD_SERVICE_STILL_GOOD),
)


class OldServiceClient(_micro.Client):
    """An old service.

    Deprecated.
    """

    _info_ = _OLD_SERVICE

    @_micro.deprecated("torture.deprecated.OldService.Do is deprecated")
    async def do(
        self,
        request: Old,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Nested:
        """An old method.

        Deprecated.
        """
        return await self._unary(_OLD_SERVICE_DO, request, timeout, metadata, info)

    @_micro.deprecated("torture.deprecated.OldService.Follow is deprecated")
    def follow(
        self,
        request: Old,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Nested.Older]:
        """Deprecated."""
        return self._server_stream(_OLD_SERVICE_FOLLOW, request, timeout, metadata, info)

    async def still_good(
        self,
        request: Nested,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Nested:
        return await self._unary(_OLD_SERVICE_STILL_GOOD, request, timeout, metadata, info)


class OldServiceBase(_micro.Handler):
    """An old service.

    Deprecated.
    """

    _info_ = _OLD_SERVICE

    async def do(self, request: Old, context: _micro.Context) -> Nested:
        """An old method.

        Deprecated.
        """
        raise self._unimplemented(_OLD_SERVICE_DO)

    def follow(self, request: Old, context: _micro.Context) -> AsyncIterator[Nested.Older]:
        """Deprecated."""
        raise self._unimplemented(_OLD_SERVICE_FOLLOW)

    async def still_good(self, request: Nested, context: _micro.Context) -> Nested:
        raise self._unimplemented(_OLD_SERVICE_STILL_GOOD)
