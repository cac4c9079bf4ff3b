"""Clients and service bases of torture/names.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import micro_rt as _micro

from .import_.v1._0.class_pb2 import Class
from .names_pb2 import (
    Any,
    Context,
    Message,
    ShoutBase as _ShoutBase,
    ShoutClient as _ShoutClient,
    Uses,
    _SHOUT,
    annotations as _annotations,
    bool,
    collections,
    deprecated,
    micro_rt,
    names_micro,
    str,
)

if TYPE_CHECKING:
    from io_.io_pb2 import *  # pyright: ignore[reportMissingImports]
    from ..io_.io_pb2 import *
elif (__package__ or "").count(".") >= 1:
    from ..io_.io_pb2 import io
else:
    from io_.io_pb2 import io

__all__ = ["ShoutBase", "ShoutClient"]

_SHOUT_GET_URL = _micro.Method("typing.Shout", "GetURL", "GetURL", _micro.Kind.UNARY, Any, Context)
_SHOUT_GET_URL_ = _micro.Method("typing.Shout", "getUrl", "getUrl", _micro.Kind.UNARY, Context, Any)
_SHOUT_GET_URL__ = _micro.Method("typing.Shout", "get_url", "get_url", _micro.Kind.SERVER_STREAM, Message, Message)
_SHOUT_IMPORT = _micro.Method("typing.Shout", "Import", "import_", _micro.Kind.CLIENT_STREAM, str, bool)
_SHOUT_CASE = _micro.Method("typing.Shout", "case", "case", _micro.Kind.UNARY, _ShoutBase, _ShoutClient)
_SHOUT__ = _micro.Method("typing.Shout", "_", "rpc_", _micro.Kind.UNARY, collections, _annotations)
_SHOUT__UNARY = _micro.Method("typing.Shout", "_unary", "rpc_unary", _micro.Kind.UNARY, _SHOUT, deprecated)
_SHOUT_UNARY = _micro.Method("typing.Shout", "Unary", "unary", _micro.Kind.UNARY, Uses, Uses)
_SHOUT__INFO_ = _micro.Method("typing.Shout", "_info_", "rpc_info_", _micro.Kind.UNARY, names_micro, micro_rt)
_SHOUT_CLASS = _micro.Method("typing.Shout", "Class", "class_", _micro.Kind.UNARY, io, Class)
_SHOUT_CLOSE = _micro.Method("typing.Shout", "Close", "close", _micro.Kind.UNARY, Uses, Uses)
_SHOUT_MESSAGE = _micro.Method("typing.Shout", "Message", "message", _micro.Kind.UNARY, Uses, Uses)
_SHOUT___CLASS__ = _micro.Method("typing.Shout", "__class__", "rpc__class__", _micro.Kind.UNARY, Uses, Uses)
_SHOUT_ = _micro.ServiceInfo(
    "typing.Shout",
    "typing",
    (
        _SHOUT_GET_URL,
        _SHOUT_GET_URL_,
        _SHOUT_GET_URL__,
        _SHOUT_IMPORT,
        _SHOUT_CASE,
        _SHOUT__,
        _SHOUT__UNARY,
        _SHOUT_UNARY,
        _SHOUT__INFO_,
        _SHOUT_CLASS,
        _SHOUT_CLOSE,
        _SHOUT_MESSAGE,
        _SHOUT___CLASS__,
    ),
)


class ShoutClient(_micro.Client):
    _info_ = _SHOUT_

    async def GetURL(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Context:
        return await self._unary(_SHOUT_GET_URL, request, timeout, metadata, info)

    async def getUrl(
        self,
        request: Context,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Any:
        return await self._unary(_SHOUT_GET_URL_, request, timeout, metadata, info)

    def get_url(
        self,
        request: Message,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Message]:
        return self._server_stream(_SHOUT_GET_URL__, request, timeout, metadata, info)

    def import_(
        self,
        requests: _micro.Messages[str] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[str, bool]:
        return self._client_stream(_SHOUT_IMPORT, requests, timeout, metadata, info)

    async def case(
        self,
        request: _ShoutBase,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _ShoutClient:
        return await self._unary(_SHOUT_CASE, request, timeout, metadata, info)

    async def rpc_(
        self,
        request: collections,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _annotations:
        return await self._unary(_SHOUT__, request, timeout, metadata, info)

    async def rpc_unary(
        self,
        request: _SHOUT,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> deprecated:
        return await self._unary(_SHOUT__UNARY, request, timeout, metadata, info)

    async def unary(
        self,
        request: Uses,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Uses:
        return await self._unary(_SHOUT_UNARY, request, timeout, metadata, info)

    async def rpc_info_(
        self,
        request: names_micro,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> micro_rt:
        return await self._unary(_SHOUT__INFO_, request, timeout, metadata, info)

    async def class_(
        self,
        request: io,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Class:
        return await self._unary(_SHOUT_CLASS, request, timeout, metadata, info)

    async def close(
        self,
        request: Uses,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Uses:
        return await self._unary(_SHOUT_CLOSE, request, timeout, metadata, info)

    async def message(
        self,
        request: Uses,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Uses:
        return await self._unary(_SHOUT_MESSAGE, request, timeout, metadata, info)

    async def rpc__class__(
        self,
        request: Uses,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Uses:
        return await self._unary(_SHOUT___CLASS__, request, timeout, metadata, info)


class ShoutBase(_micro.Handler):
    _info_ = _SHOUT_

    async def GetURL(self, request: Any, context: _micro.Context) -> Context:
        raise self._unimplemented(_SHOUT_GET_URL)

    async def getUrl(self, request: Context, context: _micro.Context) -> Any:
        raise self._unimplemented(_SHOUT_GET_URL_)

    def get_url(self, request: Message, context: _micro.Context) -> AsyncIterator[Message]:
        raise self._unimplemented(_SHOUT_GET_URL__)

    async def import_(self, requests: AsyncIterator[str], context: _micro.Context) -> bool:
        raise self._unimplemented(_SHOUT_IMPORT)

    async def case(self, request: _ShoutBase, context: _micro.Context) -> _ShoutClient:
        raise self._unimplemented(_SHOUT_CASE)

    async def rpc_(self, request: collections, context: _micro.Context) -> _annotations:
        raise self._unimplemented(_SHOUT__)

    async def rpc_unary(self, request: _SHOUT, context: _micro.Context) -> deprecated:
        raise self._unimplemented(_SHOUT__UNARY)

    async def unary(self, request: Uses, context: _micro.Context) -> Uses:
        raise self._unimplemented(_SHOUT_UNARY)

    async def rpc_info_(self, request: names_micro, context: _micro.Context) -> micro_rt:
        raise self._unimplemented(_SHOUT__INFO_)

    async def class_(self, request: io, context: _micro.Context) -> Class:
        raise self._unimplemented(_SHOUT_CLASS)

    async def close(self, request: Uses, context: _micro.Context) -> Uses:
        raise self._unimplemented(_SHOUT_CLOSE)

    async def message(self, request: Uses, context: _micro.Context) -> Uses:
        raise self._unimplemented(_SHOUT_MESSAGE)

    async def rpc__class__(self, request: Uses, context: _micro.Context) -> Uses:
        raise self._unimplemented(_SHOUT___CLASS__)
