"""Handlers that are plain functions run in threads, and behave as those that are coroutine functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.kit.clock import pause_thread
from tests.helpers.handlers import Serve
from tests.helpers.waiting import PATIENCE, eventually, soon
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text

NOTE: ContextVar[str] = ContextVar("note", default="")


class Plain(LabBase):
    """Blocks where the text says so."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.release = threading.Event()
        self.began = 0
        self.running = 0
        self.most = 0
        self.ended: list[str] = []
        self.service: Any = None
        self._lock = threading.Lock()

    def act(self, request: Text, context: micro.Context) -> Text:
        self.threads.append(threading.current_thread().name)
        if request.value == "fail":
            raise micro.NotFound("no such thing", id="lab.nothing")
        if request.value == "break":
            raise ZeroDivisionError("a secret")
        if request.value == "stop":
            raise StopIteration
        if request.value == "remaining":
            pause_thread(0.1)
            return Text(value=str(context.remaining()))
        if request.value == "headers":
            context.add_header("x-head", "h")
            context.add_trailer("x-tail", "t")
        if request.value == "note":
            return Text(value=NOTE.get())
        if request.value == "call":
            reply: Text = context.wait(LabClient(self.service).look(request, metadata={"x": "1"}))
            return reply
        if request.value == "hold":
            self._hold(context)
        return request

    def look(self, request: Text, context: micro.Context) -> Text:
        return Text(value=f"looked: {context.remaining() is not None}")

    def count(self, request: Number, context: micro.Context) -> Iterator[Number]:
        thread = threading.get_ident()
        try:
            for value in range(request.value):
                assert threading.get_ident() == thread
                self.began = value
                yield Number(value=value)
            if request.value == 13:
                raise micro.ResourceExhausted("thirteen is too many")
        finally:
            self.ended.append(f"count in {threading.get_ident() == thread}")

    def sum(self, requests: Iterator[Number], context: micro.Context) -> Number:
        return Number(value=sum(request.value for request in requests))

    def talk(self, requests: Iterator[Text], context: micro.Context) -> Iterator[Text]:
        for request in requests:
            yield Text(value=f"re: {request.value}")
        yield Text(value="bye")

    def _hold(self, context: micro.Context) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.release.wait(PATIENCE)
        with self._lock:
            self.running -= 1
        try:
            context.wait(asyncio.sleep(0))
            self.ended.append("in time")
        except micro.Cancelled:
            self.ended.append("cancelled")
            raise


async def test_every_kind_of_call(serve: Serve) -> None:
    async with serve(plain := Plain()) as service:
        client = LabClient(service)
        assert (await client.act(Text(value="ä ☃"))).value == "ä ☃"
        assert [number.value async for number in client.count(Number(value=100))] == list(range(100))
        assert (await client.sum([Number(value=1), Number(value=2)])).value == 3
        assert [text.value async for text in client.talk([Text(value="a"), Text(value="b")])] == [
            "re: a",
            "re: b",
            "bye",
        ]
        async with client.talk() as call:
            await call.send(Text(value="one"))
            assert (await call.receive()).value == "re: one"
            await call.end()
            assert (await call.receive()).value == "bye"
    assert plain.threads == ["/lab.Lab/Act"]
    assert plain.ended == ["count in True"]


async def test_errors_headers_and_what_is_left_out(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Plain()) as service:
        client, info = LabClient(service), micro.CallInfo()
        with pytest.raises(micro.NotFound, match="no such thing") as caught:
            await client.act(Text(value="fail"))
        assert caught.value.id == "lab.nothing"
        for what in ("break", "stop"):
            with pytest.raises(micro.Unknown) as hidden:
                await client.act(Text(value=what))
            assert "secret" not in str(hidden.value)
        assert "ZeroDivisionError" in caplog.text
        assert "raised StopIteration" in caplog.text
        with pytest.raises(micro.ResourceExhausted):
            async for _ in client.count(Number(value=13)):
                pass
        await client.act(Text(value="headers"), info=info)
        assert (info.headers.text("x-head"), info.trailers.text("x-tail")) == ("h", "t")
        with pytest.raises(micro.Unimplemented, match=r"/lab\.Lab/Missing is not implemented"):
            await client.missing(Text())


async def test_it_knows_its_deadline_and_has_the_context_of_its_call(serve: Serve) -> None:
    class Sets(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            NOTE.set("from the interceptor")
            return await proceed(request, call)

    async with serve(Plain(), interceptors=[Sets()]) as service:
        client = LabClient(service)
        assert (await client.act(Text(value="note"))).value == "from the interceptor"
        remaining = float((await client.act(Text(value="remaining"), timeout=50)).value)
        assert 0 < remaining <= 49.91


async def test_it_calls_others_through_its_context(serve: Serve) -> None:
    async with serve(plain := Plain()) as service:
        plain.service = service
        assert (await LabClient(service).act(Text(value="call"), timeout=50)).value == "looked: True"


async def test_a_coroutine_function_awaits_by_itself(serve: Serve) -> None:
    class Wrong(LabBase):
        async def act(self, request: Text, context: micro.Context) -> Text:
            sleeping = asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="write await instead"):
                context.wait(sleeping)
            await sleeping
            return request

    async with serve(Wrong()) as service:
        await LabClient(service).act(Text())


async def test_a_deadline_ends_the_call_and_the_thread_learns_of_it(serve: Serve) -> None:
    async with serve(plain := Plain()) as service:
        seconds = 0.2
        while not plain.running:  # Whether it passes before the handler has begun, the machine decides.
            seconds *= 2
            with pytest.raises(micro.DeadlineExceeded):
                await LabClient(service).act(Text(value="hold"), timeout=seconds)
        plain.release.set()
        await eventually(lambda: plain.ended)
    assert plain.ended == ["cancelled"]


async def test_as_many_run_at_once_as_there_are_threads_and_a_call_that_has_ended_does_not_begin(serve: Serve) -> None:
    async with serve(plain := Plain(), threads=3) as service:
        client = LabClient(service)
        calls = [asyncio.create_task(client.act(Text(value="hold"))) for _ in range(10)]
        await eventually(lambda: plain.running == 3)
        with pytest.raises(micro.DeadlineExceeded):
            await client.act(Text(value="never runs"), timeout=0.3)
        plain.release.set()
        assert len(await soon(asyncio.gather(*calls))) == 10
        await client.act(Text(value="runs"))
    assert plain.most == 3
    assert plain.ended == ["in time"] * 10
    assert len(plain.threads) == 11


async def test_a_slow_client_stops_the_generator(serve: Serve) -> None:
    async with serve(plain := Plain()) as service:
        async with LabClient(service).count(Number(value=10_000_000)) as call:
            await call.receive()
            seen = -1
            while seen != plain.began:  # It comes to a stop, somewhere.
                seen = plain.began
                await asyncio.sleep(0.5)
            assert seen < 1_000_000
        await eventually(lambda: plain.ended)
    assert plain.ended == ["count in True"]


async def test_a_client_that_leaves_closes_the_generator_in_its_thread(serve: Serve) -> None:
    async with serve(plain := Plain()) as service:
        async for number in LabClient(service).count(Number(value=10_000_000)):
            if number.value == 3:
                break
        await eventually(lambda: plain.ended)
    assert plain.ended == ["count in True"]


async def test_requests_of_a_call_that_is_cancelled_end_its_handler(serve: Serve) -> None:
    ended: list[str] = []

    class Reads(LabBase):
        def sum(self, requests: Iterator[Number], context: micro.Context) -> Number:
            try:
                for request in requests:
                    ended.append(str(request.value))
            except micro.Cancelled:
                ended.append("cancelled")
                raise
            return Number()

    async with serve(Reads()) as service:
        async with LabClient(service).sum() as call:
            await call.send(Number(value=7))
            await eventually(lambda: ended == ["7"])
        await eventually(lambda: ended == ["7", "cancelled"])


async def test_a_service_that_stops_says_what_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    service = micro.Service("lab", registry="memory:", transport="memory", grace=0.1)
    plain = service.handle(Plain())
    async with service:
        calling = asyncio.create_task(LabClient(service).act(Text(value="hold")))
        await eventually(lambda: plain.running == 1)
    with pytest.raises(micro.Unavailable):
        await soon(calling)
    assert "1 handlers still run in threads, and end with the process: /lab.Lab/Act" in caplog.text
    plain.release.set()
    await eventually(lambda: plain.ended)
    async with service:  # The next run has threads of its own.
        assert (await LabClient(service).act(Text(value="x"))).value == "x"


@pytest.mark.parametrize("wrong", [0, -1])
def test_threads_are_at_least_one(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"threads={wrong}: at least 1"):
        micro.Service("lab", threads=wrong)
