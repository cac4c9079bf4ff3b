"""Interceptors: one shape for unary, one for streams, on both sides; per service, client and method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually, in_time, overtaken, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class Trace(micro.Interceptor):
    """Writes down where a call passes."""

    def __init__(self, name: str, trace: list[str]) -> None:
        self.name = name
        self.trace = trace

    async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
        self.trace.append(f"{self.name} {call.method.python_name}")
        return await proceed(request, call)

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        self.trace.append(f"{self.name} {call.method.python_name}")
        async for reply in proceed(requests, call):
            yield reply
        self.trace.append(f"{self.name} done")


class Louder(micro.Interceptor):
    """Changes requests and replies on the way."""

    async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
        reply = await proceed(Text(value=request.value + "!"), call)
        return Text(value=reply.value.upper())

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        async def louder() -> AsyncIterator[Text]:
            async for request in requests:
                yield Text(value=request.value + "!")

        async for reply in proceed(louder(), call):
            yield Text(value=reply.value.upper())


async def test_the_first_one_is_the_outermost_and_the_service_comes_before_the_client(serve: Serve) -> None:
    trace: list[str] = []
    async with serve(Lab(), client_interceptors=[Trace("a", trace), Trace("b", trace)]) as service:
        lab = LabClient(service, interceptors=[Trace("c", trace)], method_interceptors={"act": [Trace("d", trace)]})
        await lab.act(Text())
        assert trace == ["a act", "b act", "c act", "d act"]
        trace.clear()
        await lab.look(Text())
        assert trace == ["a look", "b look", "c look"]


async def test_handlers_have_theirs_inside_those_of_the_service() -> None:
    trace: list[str] = []
    service = micro.Service("lab", registry="memory:", transport="memory", interceptors=[Trace("a", trace)])
    service.handle(Lab(), interceptors=[Trace("b", trace)], method_interceptors={"act": [Trace("c", trace)]})
    async with service:
        await LabClient(service).act(Text())
        await LabClient(service).look(Text())
    assert trace == ["a act", "b act", "c act", "a look", "b look"]


async def test_clients_intercept_a_call_once_and_servers_each_of_its_attempts(serve: Serve) -> None:
    class Busy(Lab):
        async def look(self, request: Text, context: micro.Context) -> Text:
            trace.append("handler")
            if trace.count("handler") < 3:
                raise micro.Unavailable("not yet")
            return request

    class Around(micro.ServerInterceptor[Text, Text]):
        async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext[Text, Text]) -> Text:
            trace.append("server begins")
            try:
                return await proceed(request, call)
            finally:
                trace.append("server ends")

    class Outside(micro.ClientInterceptor[Text, Text]):
        async def unary(self, request: Text, call: micro.ClientCall, proceed: micro.UnaryNext[Text, Text]) -> Text:
            trace.append("client begins")
            reply = await proceed(request, call)
            trace.append(f"client ends after {call.info.attempts}")
            return reply

    trace: list[str] = []
    async with serve(Busy(), interceptors=[Around()], client_interceptors=[Outside()]) as service:
        await LabClient(service, retry=micro.RetryPolicy(backoff=0.001)).look(Text())
    attempt = ["server begins", "handler", "server ends"]
    assert trace == ["client begins", *attempt, *attempt, *attempt, "client ends after 3"]


@pytest.mark.parametrize("side", ["interceptors", "client_interceptors"])
async def test_messages_can_be_changed_on_either_side(serve: Serve, side: str) -> None:
    async with serve(Lab(), **{side: [Louder()]}) as service:
        lab = LabClient(service)
        assert (await lab.act(Text(value="a"))).value == "A!"
        assert [t.value async for t in lab.talk([Text(value="b")])] == ["RE: B!", "BYE"]
        async with lab.talk() as call:
            await call.send(Text(value="c"))
            assert (await call.receive()).value == "RE: C!"
            await call.send(Text(value="d"))
            assert (await call.receive()).value == "RE: D!"
            await call.end()
            assert (await call.receive()).value == "BYE"
            with pytest.raises(micro.EndOfStream):
                await call.receive()


@pytest.mark.parametrize("side", ["interceptors", "client_interceptors"])
async def test_every_streaming_kind_has_the_one_shape(serve: Serve, side: str) -> None:
    trace: list[str] = []
    async with serve(Lab(), **{side: [Trace("t", trace)]}) as service:
        lab = LabClient(service)
        assert [n.value async for n in lab.count(Number(value=2))] == [0, 1]
        assert (await lab.sum([Number(value=2), Number(value=3)])).value == 5
        async with lab.sum() as call:
            await call.send(Number(value=7))
            assert (await call.finish()).value == 7
    assert trace == ["t count", "t done", "t sum", "t done", "t sum", "t done"]


async def test_a_call_can_be_answered_or_refused_on_the_way(serve: Serve) -> None:
    class Gate(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            if call.metadata.text("authorization") is None:
                raise micro.Unauthenticated("who are you?")
            if request.value == "cached":
                return Text(value="from the cache")
            return await proceed(request, call)

        async def stream(
            self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
        ) -> AsyncIterator[Any]:
            raise micro.PermissionDenied("no streams today")
            yield

    lab = Lab()
    async with serve(lab, interceptors=[Gate()]) as service:
        with pytest.raises(micro.Unauthenticated, match="who are you"):
            await LabClient(service).act(Text(value="x"))
        known = LabClient(service, metadata={"authorization": "Bearer x"})
        assert (await known.act(Text(value="cached"))).value == "from the cache"
        with pytest.raises(micro.PermissionDenied):
            async for _ in known.count(Number(value=1)):
                pass
        assert lab.ran == []
        assert (await known.act(Text(value="x"))).value == "x"


async def test_a_client_interceptor_can_change_metadata_and_deadline(serve: Serve) -> None:
    class Signs(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            call.metadata = call.metadata.merged({"x-signed": "yes"})
            call.deadline = asyncio.get_running_loop().time() + 0.2
            return await proceed(request, call)

    async with serve(Lab(), client_interceptors=[Signs()]) as service:
        assert "x-signed" in (await LabClient(service).act(Text(value="metadata"))).value
        with pytest.raises(micro.DeadlineExceeded):
            await LabClient(service).act(Text(value="hang"))


async def test_leaving_an_intercepted_loop_early_cancels_too(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab, client_interceptors=[Trace("c", [])], interceptors=[Trace("s", [])]) as service:
        async for _ in LabClient(service).count(Number(value=1_000_000)):
            break
        await asyncio.wait_for(lab.cancelled.wait(), 10)
        lab.cancelled.clear()
        async with LabClient(service).talk() as call:
            await call.send(Text(value="a"))
            await call.receive()
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_errors_pass_through_intercepted_streams(serve: Serve) -> None:
    async with serve(Lab(), client_interceptors=[Trace("c", [])]) as service:
        lab = LabClient(service)
        got = []
        with pytest.raises(micro.ResourceExhausted):
            async for number in lab.count(Number(value=13)):
                got.append(number.value)
        assert got == list(range(13))
        with pytest.raises(micro.InvalidArgument, match="only what counts"):
            await lab.sum([Number(value=-1)])

        async def broken() -> AsyncIterator[Text]:
            yield Text(value="a")
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            async for _ in lab.talk(broken()):
                pass


async def test_an_unknown_method_name_is_refused_with_those_there_are(serve: Serve) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(ValueError, match=r"lab\.Lab has no method 'say' to intercept; it has: act, count, look"):
            LabClient(service, method_interceptors={"say": [Trace("x", [])]})
    with pytest.raises(ValueError, match="has no method 'say'"):
        micro.Service("x", registry="memory:").handle(Lab(), method_interceptors={"say": []})


async def test_an_interceptor_that_raises_at_once_ends_the_call(serve: Serve) -> None:
    class Refuses(micro.Interceptor):
        def stream(
            self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
        ) -> AsyncIterator[Any]:
            raise micro.Unauthenticated("no")

    for side in ("interceptors", "client_interceptors"):
        async with serve(Lab(), **{side: [Refuses()]}) as service:
            with pytest.raises(micro.Unauthenticated):
                async for _ in LabClient(service).count(Number(value=1), timeout=30):
                    pass


@pytest.mark.parametrize("interceptors", [[], [Trace("t", [])]], ids=["plain", "intercepted"])
async def test_sending_after_the_end_is_the_callers_mistake(
    serve: Serve, interceptors: list[micro.Interceptor]
) -> None:
    async with serve(Lab()) as service, LabClient(service, interceptors=interceptors).talk() as call:
        await call.send(Text(value="a"))
        await call.end()
        with pytest.raises(micro.FailedPrecondition, match="has ended its requests already"):
            await call.send(Text(value="b"))
        assert [t.value async for t in call] == ["re: a", "bye"]


class Waits(micro.Interceptor):
    """Waits for ever: before the call, after the first reply, or after the last one."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def wait(self, where: str) -> None:
        if where == self.where:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()

    async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
        await self.wait("before")
        reply = await proceed(request, call)
        await self.wait("after")
        return reply

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        await self.wait("before")
        async for reply in proceed(requests, call):
            await self.wait("between")
            yield reply
        await self.wait("after")


@pytest.mark.parametrize("where", ["before", "between", "after"])
async def test_a_timeout_bounds_the_clients_interceptors_too(serve: Serve, where: str) -> None:
    waits = Waits("nowhere")
    async with serve(Lab(), client_interceptors=[waits]) as service:
        lab = LabClient(service)
        await lab.act(Text())  # Connects.
        waits.where = where

        async def unary(timeout: float) -> None:
            await lab.act(Text(), timeout=timeout)

        async def count(timeout: float) -> None:
            async for _ in lab.count(Number(value=1), timeout=timeout):
                pass

        async def talk(timeout: float) -> None:
            async for _ in lab.talk([Text()], timeout=timeout):
                pass

        async def total(timeout: float) -> None:
            await lab.sum([Number(value=1)], timeout=timeout)

        for call in (count, talk, total) if where == "between" else (unary, count, talk, total):
            waits.begun.clear()
            waits.ended.clear()
            error = await overtaken(call, waits.begun.is_set)
            assert "interceptors were not done" in error.message
            await soon(waits.ended.wait())


@pytest.mark.parametrize("later", [True, False])
async def test_an_interceptor_may_move_or_remove_the_deadline(serve: Serve, later: bool) -> None:
    class Moves(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            call.deadline = asyncio.get_running_loop().time() + 60 if later else None
            await asyncio.sleep(0.2)
            return await proceed(request, call)

    async with serve(Lab(), client_interceptors=[Moves()]) as service:
        assert (await LabClient(service).act(Text(value="a"), timeout=0.05)).value == "a"


async def test_the_deadline_of_a_call_in_flight_is_told_by_the_transport(serve: Serve) -> None:
    seen: list[BaseException] = []

    class Sees(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            try:
                return await proceed(request, call)
            except BaseException as error:
                seen.append(error)
                raise

    server = Lab()
    async with serve(server, client_interceptors=[Sees()]) as service:
        lab = LabClient(service)
        await lab.act(Text())  # So that the next one is in flight at once.
        error = await overtaken(lambda t: lab.act(Text(value="hang"), timeout=t), server.started.is_set)
        assert "no reply" in error.message
        assert seen[-1] is error


async def test_replies_that_came_before_the_deadline_can_be_read_after_it(serve: Serve) -> None:
    async with serve(Lab(), client_interceptors=[Trace("c", [])]) as service:
        lab = LabClient(service)
        await lab.act(Text())  # Looks up and connects.

        async def late(timeout: float) -> list[int]:
            async with lab.count(Number(value=3), timeout=timeout) as call:
                await asyncio.sleep(timeout + 0.2)
                return [number.value async for number in call]

        assert await in_time(late) == [0, 1, 2]


class Marks:
    """Notes in which task a generator ends, and whether its context is the one that it began in."""

    def __init__(self) -> None:
        self.variable = ContextVar("variable", default="")
        self.ended: list[str] = []
        self.elsewhere: list[str] = []

    async def around(self, name: str, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        task, token = asyncio.current_task(), self.variable.set(name)
        try:
            async for item in items:
                yield item
        finally:
            await asyncio.sleep(0.05)
            self.variable.reset(token)
            (self.ended if asyncio.current_task() is task else self.elsewhere).append(name)


class Marked(micro.Interceptor):
    """Is written as the documentation shows, and puts generators around both directions."""

    def __init__(self, name: str, marks: Marks, take: int | None) -> None:
        self.name = name
        self.marks = marks
        self.take = take

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        taken = 0
        async for reply in proceed(self.marks.around(f"requests of {self.name}", requests), call):
            yield reply
            taken += 1
            if taken == self.take:
                return


@pytest.mark.parametrize("ending", ["client", "interceptor"])
@pytest.mark.parametrize("side", ["interceptors", "client_interceptors"])
async def test_what_an_interceptor_was_given_is_closed_in_the_task_of_the_call(
    serve: Serve, side: str, ending: str
) -> None:
    marks = Marks()

    class Handler(Lab):
        def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
            return marks.around("handler", super().talk(requests, context))

    take = 1 if ending == "interceptor" else None
    chain = [Marked("a", marks, take), Marked("b", marks, None)]
    async with asyncio.timeout(20), serve(Handler(), **{side: chain}) as service:
        async with LabClient(service).talk() as call:
            await call.send(Text(value="1"))
            assert (await call.receive()).value == "re: 1"
            if ending == "interceptor":
                with pytest.raises(micro.EndOfStream):
                    await call.receive()
        if side == "client_interceptors":
            await eventually(lambda: len(marks.ended) + len(marks.elsewhere) == 3)
    # A server that stops waits for the calls in flight, and so for what is closed with them.
    assert marks.elsewhere == []
    assert sorted(marks.ended) == ["handler", "requests of a", "requests of b"]
    if side == "interceptors" and ending == "interceptor":
        assert marks.ended == ["handler", "requests of b", "requests of a"]
