"""Clients and service bases of mesh.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .mesh_pb2 import Failure, Node, Number, Pairs, Rest, Rests, Shapes, Text

__all__ = ["MeshBase", "MeshClient"]

_MESH_WHO = _micro.Method("mesh.Mesh", "Who", "who", _micro.Kind.UNARY, Text, Node, _micro.Idempotency.NO_SIDE_EFFECTS)
_MESH_ACT = _micro.Method("mesh.Mesh", "Act", "act", _micro.Kind.UNARY, Text, Node)
_MESH_COUNT = _micro.Method("mesh.Mesh", "Count", "count", _micro.Kind.SERVER_STREAM, Number, Number)
_MESH_SUM = _micro.Method("mesh.Mesh", "Sum", "sum", _micro.Kind.CLIENT_STREAM, Number, Number)
_MESH_TALK = _micro.Method("mesh.Mesh", "Talk", "talk", _micro.Kind.BIDI_STREAM, Text, Text)
_MESH_FAIL = _micro.Method("mesh.Mesh", "Fail", "fail", _micro.Kind.UNARY, Failure, Text)
_MESH_FAIL_LATER = _micro.Method("mesh.Mesh", "FailLater", "fail_later", _micro.Kind.SERVER_STREAM, Failure, Number)
_MESH_SLEEP = _micro.Method("mesh.Mesh", "Sleep", "sleep", _micro.Kind.UNARY, Rest, Rest)
_MESH_SLEEPERS = _micro.Method(
    "mesh.Mesh", "Sleepers", "sleepers", _micro.Kind.UNARY, Text, Rests, _micro.Idempotency.NO_SIDE_EFFECTS
)
_MESH_HEADERS = _micro.Method(
    "mesh.Mesh", "Headers", "headers", _micro.Kind.UNARY, Text, Pairs, _micro.Idempotency.NO_SIDE_EFFECTS
)
_MESH_STREAM_HEADERS = _micro.Method(
    "mesh.Mesh", "StreamHeaders", "stream_headers", _micro.Kind.SERVER_STREAM, Text, Pairs
)
_MESH_MIRROR = _micro.Method("mesh.Mesh", "Mirror", "mirror", _micro.Kind.UNARY, Shapes, Shapes)
_MESH = _micro.ServiceInfo(
    "mesh.Mesh",
    "mesh",
    (
        _MESH_WHO,
        _MESH_ACT,
        _MESH_COUNT,
        _MESH_SUM,
        _MESH_TALK,
        _MESH_FAIL,
        _MESH_FAIL_LATER,
        _MESH_SLEEP,
        _MESH_SLEEPERS,
        _MESH_HEADERS,
        _MESH_STREAM_HEADERS,
        _MESH_MIRROR,
    ),
)


class MeshClient(_micro.Client):
    """One method of each kind, and what is to be the same on both sides."""

    _info_ = _MESH

    async def who(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Node:
        """Says which node answered; may be asked twice."""
        return await self._unary(_MESH_WHO, request, timeout, metadata, info)

    async def act(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Node:
        """Says which node ran it; may not run twice."""
        return await self._unary(_MESH_ACT, request, timeout, metadata, info)

    def count(
        self,
        request: Number,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Number]:
        """Counts up to a number; for a negative one without end."""
        return self._server_stream(_MESH_COUNT, request, timeout, metadata, info)

    def sum(
        self,
        requests: _micro.Messages[Number] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[Number, Number]:
        """Adds numbers."""
        return self._client_stream(_MESH_SUM, requests, timeout, metadata, info)

    def talk(
        self,
        requests: _micro.Messages[Text] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Text, Text]:
        """Answers each text; fails at "fail"."""
        return self._bidi_stream(_MESH_TALK, requests, timeout, metadata, info)

    async def fail(
        self,
        request: Failure,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Fails as it is told."""
        return await self._unary(_MESH_FAIL, request, timeout, metadata, info)

    def fail_later(
        self,
        request: Failure,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Number]:
        """Gives one number, and fails as it is told."""
        return self._server_stream(_MESH_FAIL_LATER, request, timeout, metadata, info)

    async def sleep(
        self,
        request: Rest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Rest:
        """Takes its time, and says what time it was given."""
        return await self._unary(_MESH_SLEEP, request, timeout, metadata, info)

    async def sleepers(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Rests:
        """Says what became of sleepers."""
        return await self._unary(_MESH_SLEEPERS, request, timeout, metadata, info)

    async def headers(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Pairs:
        """Says what metadata came."""
        return await self._unary(_MESH_HEADERS, request, timeout, metadata, info)

    def stream_headers(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Pairs]:
        """Says what metadata a stream came with."""
        return self._server_stream(_MESH_STREAM_HEADERS, request, timeout, metadata, info)

    async def mirror(
        self,
        request: Shapes,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Shapes:
        """Gives back what came."""
        return await self._unary(_MESH_MIRROR, request, timeout, metadata, info)


class MeshBase(_micro.Handler):
    """One method of each kind, and what is to be the same on both sides."""

    _info_ = _MESH

    async def who(self, request: Text, context: _micro.Context) -> Node:
        """Says which node answered; may be asked twice."""
        raise self._unimplemented(_MESH_WHO)

    async def act(self, request: Text, context: _micro.Context) -> Node:
        """Says which node ran it; may not run twice."""
        raise self._unimplemented(_MESH_ACT)

    def count(self, request: Number, context: _micro.Context) -> AsyncIterator[Number]:
        """Counts up to a number; for a negative one without end."""
        raise self._unimplemented(_MESH_COUNT)

    async def sum(self, requests: AsyncIterator[Number], context: _micro.Context) -> Number:
        """Adds numbers."""
        raise self._unimplemented(_MESH_SUM)

    def talk(self, requests: AsyncIterator[Text], context: _micro.Context) -> AsyncIterator[Text]:
        """Answers each text; fails at "fail"."""
        raise self._unimplemented(_MESH_TALK)

    async def fail(self, request: Failure, context: _micro.Context) -> Text:
        """Fails as it is told."""
        raise self._unimplemented(_MESH_FAIL)

    def fail_later(self, request: Failure, context: _micro.Context) -> AsyncIterator[Number]:
        """Gives one number, and fails as it is told."""
        raise self._unimplemented(_MESH_FAIL_LATER)

    async def sleep(self, request: Rest, context: _micro.Context) -> Rest:
        """Takes its time, and says what time it was given."""
        raise self._unimplemented(_MESH_SLEEP)

    async def sleepers(self, request: Text, context: _micro.Context) -> Rests:
        """Says what became of sleepers."""
        raise self._unimplemented(_MESH_SLEEPERS)

    async def headers(self, request: Text, context: _micro.Context) -> Pairs:
        """Says what metadata came."""
        raise self._unimplemented(_MESH_HEADERS)

    def stream_headers(self, request: Text, context: _micro.Context) -> AsyncIterator[Pairs]:
        """Says what metadata a stream came with."""
        raise self._unimplemented(_MESH_STREAM_HEADERS)

    async def mirror(self, request: Shapes, context: _micro.Context) -> Shapes:
        """Gives back what came."""
        raise self._unimplemented(_MESH_MIRROR)
