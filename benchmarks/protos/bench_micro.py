"""Clients and service bases of bench.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .bench_pb2 import Item

__all__ = ["BenchBase", "BenchClient"]

_BENCH_ECHO = _micro.Method(
    "bench.Bench", "Echo", "echo", _micro.Kind.UNARY, Item, Item, _micro.Idempotency.NO_SIDE_EFFECTS
)
_BENCH_REPEAT = _micro.Method(
    "bench.Bench", "Repeat", "repeat", _micro.Kind.SERVER_STREAM, Item, Item, _micro.Idempotency.NO_SIDE_EFFECTS
)
_BENCH_PING_PONG = _micro.Method("bench.Bench", "PingPong", "ping_pong", _micro.Kind.BIDI_STREAM, Item, Item)
_BENCH = _micro.ServiceInfo("bench.Bench", "bench", (_BENCH_ECHO, _BENCH_REPEAT, _BENCH_PING_PONG))


class BenchClient(_micro.Client):
    """Answers with what it was sent, by every stack that is measured."""

    _info_ = _BENCH

    async def echo(
        self,
        request: Item,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Item:
        """Gives an item back."""
        return await self._unary(_BENCH_ECHO, request, timeout, metadata, info)

    def repeat(
        self,
        request: Item,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Item]:
        """Gives an item back as often as its number says."""
        return self._server_stream(_BENCH_REPEAT, request, timeout, metadata, info)

    def ping_pong(
        self,
        requests: _micro.Messages[Item] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Item, Item]:
        """Gives each item back as it comes."""
        return self._bidi_stream(_BENCH_PING_PONG, requests, timeout, metadata, info)


class BenchBase(_micro.Handler):
    """Answers with what it was sent, by every stack that is measured."""

    _info_ = _BENCH

    async def echo(self, request: Item, context: _micro.Context) -> Item:
        """Gives an item back."""
        raise self._unimplemented(_BENCH_ECHO)

    def repeat(self, request: Item, context: _micro.Context) -> AsyncIterator[Item]:
        """Gives an item back as often as its number says."""
        raise self._unimplemented(_BENCH_REPEAT)

    def ping_pong(self, requests: AsyncIterator[Item], context: _micro.Context) -> AsyncIterator[Item]:
        """Gives each item back as it comes."""
        raise self._unimplemented(_BENCH_PING_PONG)
