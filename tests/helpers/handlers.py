"""A handler of lab.proto for every kind of call, which remembers what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import micro_rt as micro
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import Number, Text

__all__ = ["Lab", "PassesOn", "Serve"]

Serve = Callable[..., AbstractAsyncContextManager[micro.Service]]
"""What the fixture ``serve`` of the calls gives: it serves handlers, and yields a service to make clients from."""


class Lab(LabBase):
    """Does what the request's text says, and remembers what happened."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()
        self.contexts: list[micro.Context] = []

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.ran.append(request.value)
        self.contexts.append(context)
        return await self._do(request.value, context)

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await self.act(request, context)

    async def _do(self, what: str, context: micro.Context) -> Text:
        if what == "hang":
            await self.hang()
        if what == "fail":
            raise micro.NotFound("no such thing", id="lab.nothing", details=[Text(value="a detail")])
        if what == "break":
            raise ZeroDivisionError("a secret")
        if what == "headers":
            context.add_header("x-head", "h")
            context.add_header("x-head-bin", b"\x00\xff")
            context.add_trailer("x-tail", "t")
        if what == "wrong":
            return Number(value=1)  # type: ignore[return-value]
        if what == "metadata":
            return Text(value=repr(context.metadata.pairs))
        return Text(value=what)

    async def hang(self) -> None:
        self.started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        context.add_header("x-head", "h")
        context.add_trailer("x-tail", "t")
        self.ran.append(f"count {request.value}")
        try:
            for value in range(request.value):
                yield Number(value=value)
            if request.value == 0:
                await self.hang()
            if request.value == 13:
                raise micro.ResourceExhausted("thirteen is too many")
        finally:
            self.cancelled.set()

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        total = 0
        try:
            async for request in requests:
                self.started.set()
                if request.value < 0:
                    raise micro.InvalidArgument("only what counts")
                total += request.value
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Number(value=total)

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        try:
            async for request in requests:
                self.started.set()
                if request.value == "enough":
                    return
                if request.value == "fail":
                    raise micro.Aborted("not in this tone")
                yield Text(value=f"re: {request.value}")
            yield Text(value="bye")
        finally:
            self.cancelled.set()


class PassesOn(micro.Interceptor):
    """Is around a stream, and changes nothing."""

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        async for reply in proceed(requests, call):
            yield reply
