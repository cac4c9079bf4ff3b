"""Clients and service bases of names.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, no-redef"

from __future__ import annotations

from builtins import float as _float_
from collections.abc import AsyncIterator as AsyncIterator_
from typing import TYPE_CHECKING as TYPE_CHECKING_

import micro_rt as _micro_

if TYPE_CHECKING_:
    from names_pb2 import (  # pyright: ignore[reportMissingImports]
        AsyncIterator,
        KeywordsClient as _KeywordsClient,
        TYPE_CHECKING,
        Thing,
        _micro,
        float as _float,
        import_ as _import_,
        list as _list,
    )
    from .names_pb2 import (
        AsyncIterator,
        KeywordsClient as _KeywordsClient,
        TYPE_CHECKING,
        Thing,
        _micro,
        float as _float,
        import_ as _import_,
        list as _list,
    )
elif __package__:
    from .names_pb2 import (
        AsyncIterator,
        KeywordsClient as _KeywordsClient,
        TYPE_CHECKING,
        Thing,
        _micro,
        float as _float,
        import_ as _import_,
        list as _list,
    )
else:
    from names_pb2 import (
        AsyncIterator,
        KeywordsClient as _KeywordsClient,
        TYPE_CHECKING,
        Thing,
        _micro,
        float as _float,
        import_ as _import_,
        list as _list,
    )

__all__ = ["KeywordsBase", "KeywordsClient", "NothingBase", "NothingClient"]

_KEYWORDS_IMPORT = _micro_.Method("names.Keywords", "Import", "import_", _micro_.Kind.UNARY, AsyncIterator, _list)
_KEYWORDS_IMPORT_ = _micro_.Method("names.Keywords", "import_", "import__", _micro_.Kind.UNARY, Thing, _float)
_KEYWORDS_LIST = _micro_.Method("names.Keywords", "List", "list", _micro_.Kind.SERVER_STREAM, Thing, _list)
_KEYWORDS_FLOAT = _micro_.Method("names.Keywords", "Float", "float", _micro_.Kind.CLIENT_STREAM, _float, TYPE_CHECKING)
_KEYWORDS_MATCH = _micro_.Method("names.Keywords", "Match", "match", _micro_.Kind.UNARY, _micro, _KeywordsClient)
_KEYWORDS__HIDDEN = _micro_.Method("names.Keywords", "_Hidden", "rpc_hidden", _micro_.Kind.UNARY, _import_, Thing)
_KEYWORDS___INIT__ = _micro_.Method("names.Keywords", "__init__", "rpc__init__", _micro_.Kind.UNARY, Thing, Thing)
_KEYWORDS_SELF = _micro_.Method("names.Keywords", "Self", "self", _micro_.Kind.SERVER_STREAM, Thing, AsyncIterator)
_KEYWORDS_THING = _micro_.Method("names.Keywords", "Thing", "thing", _micro_.Kind.UNARY, Thing, Thing)
_KEYWORDS = _micro_.ServiceInfo(
    "names.Keywords",
    "names",
    (
        _KEYWORDS_IMPORT,
        _KEYWORDS_IMPORT_,
        _KEYWORDS_LIST,
        _KEYWORDS_FLOAT,
        _KEYWORDS_MATCH,
        _KEYWORDS__HIDDEN,
        _KEYWORDS___INIT__,
        _KEYWORDS_SELF,
        _KEYWORDS_THING,
    ),
)


class KeywordsClient(_micro_.Client):
    """Methods with the names of Python's own things."""

    _info_ = _KEYWORDS

    async def import_(
        self,
        request: AsyncIterator,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _list:
        return await self._unary(_KEYWORDS_IMPORT, request, timeout, metadata, info)

    async def import__(
        self,
        request: Thing,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _float:
        return await self._unary(_KEYWORDS_IMPORT_, request, timeout, metadata, info)

    def list(
        self,
        request: Thing,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _micro_.ServerStreamCall[_list]:
        return self._server_stream(_KEYWORDS_LIST, request, timeout, metadata, info)

    def float(
        self,
        requests: _micro_.Messages[_float] | None = None,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _micro_.ClientStreamCall[_float, TYPE_CHECKING]:
        return self._client_stream(_KEYWORDS_FLOAT, requests, timeout, metadata, info)

    async def match(
        self,
        request: _micro,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _KeywordsClient:
        return await self._unary(_KEYWORDS_MATCH, request, timeout, metadata, info)

    async def rpc_hidden(
        self,
        request: _import_,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> Thing:
        return await self._unary(_KEYWORDS__HIDDEN, request, timeout, metadata, info)

    async def rpc__init__(
        self,
        request: Thing,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> Thing:
        return await self._unary(_KEYWORDS___INIT__, request, timeout, metadata, info)

    def self(
        self,
        request: Thing,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> _micro_.ServerStreamCall[AsyncIterator]:
        return self._server_stream(_KEYWORDS_SELF, request, timeout, metadata, info)

    async def thing(
        self,
        request: Thing,
        *,
        timeout: _float_ | None = None,
        metadata: _micro_.MetadataLike | None = None,
        info: _micro_.CallInfo | None = None,
    ) -> Thing:
        return await self._unary(_KEYWORDS_THING, request, timeout, metadata, info)


class KeywordsBase(_micro_.Handler):
    """Methods with the names of Python's own things."""

    _info_ = _KEYWORDS

    async def import_(self, request: AsyncIterator, context: _micro_.Context) -> _list:
        raise self._unimplemented(_KEYWORDS_IMPORT)

    async def import__(self, request: Thing, context: _micro_.Context) -> _float:
        raise self._unimplemented(_KEYWORDS_IMPORT_)

    def list(self, request: Thing, context: _micro_.Context) -> AsyncIterator_[_list]:
        raise self._unimplemented(_KEYWORDS_LIST)

    async def float(self, requests: AsyncIterator_[_float], context: _micro_.Context) -> TYPE_CHECKING:
        raise self._unimplemented(_KEYWORDS_FLOAT)

    async def match(self, request: _micro, context: _micro_.Context) -> _KeywordsClient:
        raise self._unimplemented(_KEYWORDS_MATCH)

    async def rpc_hidden(self, request: _import_, context: _micro_.Context) -> Thing:
        raise self._unimplemented(_KEYWORDS__HIDDEN)

    async def rpc__init__(self, request: Thing, context: _micro_.Context) -> Thing:
        raise self._unimplemented(_KEYWORDS___INIT__)

    def self(self, request: Thing, context: _micro_.Context) -> AsyncIterator_[AsyncIterator]:
        raise self._unimplemented(_KEYWORDS_SELF)

    async def thing(self, request: Thing, context: _micro_.Context) -> Thing:
        raise self._unimplemented(_KEYWORDS_THING)


_NOTHING = _micro_.ServiceInfo("names.Nothing", "names", ())


class NothingClient(_micro_.Client):
    """A service without methods."""

    _info_ = _NOTHING


class NothingBase(_micro_.Handler):
    """A service without methods."""

    _info_ = _NOTHING
