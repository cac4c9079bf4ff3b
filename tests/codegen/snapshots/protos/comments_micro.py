"""Clients and service bases of comments.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from comments_pb2 import *  # pyright: ignore[reportMissingImports]
    from .comments_pb2 import *
elif __package__:
    from .comments_pb2 import Block, Starred
else:
    from comments_pb2 import Block, Starred

__all__ = ["QuotedBase", "QuotedClient", "TalkBase", "TalkClient"]

_TALK_SAY = _micro.Method("comments.Talk", "Say", "say", _micro.Kind.UNARY, Block, Block)
_TALK_OLD = _micro.Method("comments.Talk", "Old", "old", _micro.Kind.UNARY, Block, Block)
_TALK_OLDER = _micro.Method("comments.Talk", "Older", "older", _micro.Kind.UNARY, Block, Block)
_TALK = _micro.ServiceInfo("comments.Talk", "comments", (_TALK_SAY, _TALK_OLD, _TALK_OLDER))


class TalkClient(_micro.Client):
    """Says "everything".
    \\
    """

    _info_ = _TALK

    async def say(
        self,
        request: Block,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Block:
        """Ends with a backslash \\"""
        return await self._unary(_TALK_SAY, request, timeout, metadata, info)

    @_micro.deprecated("comments.Talk.Old is deprecated")
    async def old(
        self,
        request: Block,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Block:
        """Old.

        Very old.

        Deprecated.
        """
        return await self._unary(_TALK_OLD, request, timeout, metadata, info)

    @_micro.deprecated("comments.Talk.Older is deprecated")
    async def older(
        self,
        request: Block,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Block:
        """Deprecated."""
        return await self._unary(_TALK_OLDER, request, timeout, metadata, info)


class TalkBase(_micro.Handler):
    """Says "everything".
    \\
    """

    _info_ = _TALK

    async def say(self, request: Block, context: _micro.Context) -> Block:
        """Ends with a backslash \\"""
        raise self._unimplemented(_TALK_SAY)

    async def old(self, request: Block, context: _micro.Context) -> Block:
        """Old.

        Very old.

        Deprecated.
        """
        raise self._unimplemented(_TALK_OLD)

    async def older(self, request: Block, context: _micro.Context) -> Block:
        """Deprecated."""
        raise self._unimplemented(_TALK_OLDER)


_QUOTED_FIRST = _micro.Method("comments.Quoted", "First", "first", _micro.Kind.UNARY, Starred, Starred)
_QUOTED_SECOND = _micro.Method("comments.Quoted", "Second", "second", _micro.Kind.UNARY, Starred, Starred)
_QUOTED_THIRD = _micro.Method("comments.Quoted", "Third", "third", _micro.Kind.UNARY, Starred, Starred)
_QUOTED = _micro.ServiceInfo("comments.Quoted", "comments", (_QUOTED_FIRST, _QUOTED_SECOND, _QUOTED_THIRD))


class QuotedClient(_micro.Client):
    """Quoted: \"\"\""""

    _info_ = _QUOTED

    async def first(
        self,
        request: Starred,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Starred:
        """
        \"\"\"
        """
        return await self._unary(_QUOTED_FIRST, request, timeout, metadata, info)

    async def second(
        self,
        request: Starred,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Starred:
        """
        \"\"\""Four\"\"\""
        """
        return await self._unary(_QUOTED_SECOND, request, timeout, metadata, info)

    async def third(
        self,
        request: Starred,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Starred:
        """
        "
        """
        return await self._unary(_QUOTED_THIRD, request, timeout, metadata, info)


class QuotedBase(_micro.Handler):
    """Quoted: \"\"\""""

    _info_ = _QUOTED

    async def first(self, request: Starred, context: _micro.Context) -> Starred:
        """
        \"\"\"
        """
        raise self._unimplemented(_QUOTED_FIRST)

    async def second(self, request: Starred, context: _micro.Context) -> Starred:
        """
        \"\"\""Four\"\"\""
        """
        raise self._unimplemented(_QUOTED_SECOND)

    async def third(self, request: Starred, context: _micro.Context) -> Starred:
        """
        "
        """
        raise self._unimplemented(_QUOTED_THIRD)
