"""What goes wrong, as callers and handlers see it, on each transport."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.message import EncodeError, Message

import micro_rt as micro
from micro_rt.codec.proto import ProtoCodec
from micro_rt.method import RetryPolicy
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually, in_time, overtaken, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


async def test_an_error_crosses_unchanged(serve: Serve) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(micro.NotFound) as caught:
            await LabClient(service).act(Text(value="fail"))
        assert caught.value.message == "no such thing"
        assert caught.value.id == "lab.nothing"
        assert caught.value.detail(Text) == Text(value="a detail")
        assert caught.value.detail(Number) is None


async def test_an_unexpected_exception_is_logged_here_and_hidden_there(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(micro.Unknown) as caught:
            await LabClient(service).act(Text(value="break"))
    assert "ZeroDivisionError" in str(caught.value)
    assert "a secret" not in str(caught.value)
    assert "a secret" in caplog.text


async def test_a_reply_of_the_wrong_type_is_the_servers_bug(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(micro.Internal, match=r"act\(\) gave Number, not Text"):
            await LabClient(service).act(Text(value="wrong"))


async def test_a_request_of_the_wrong_type_is_the_callers_bug(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab: Any = LabClient(service)
        with pytest.raises(TypeError, match=r"act\(\) takes Text, not Number"):
            await lab.act(Number())
        with pytest.raises(TypeError, match=r"count\(\) takes Number, not NoneType"):
            async for _ in lab.count(None):
                pass
        with pytest.raises(TypeError, match=r"sum\(\) takes Number, not Text"):
            await lab.sum([Text()])


async def test_streams_used_wrongly_say_how_to_use_them(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab = LabClient(service)
        with pytest.raises(TypeError, match=r"async with client\.sum\(\) as call"):
            await lab.sum()
        with pytest.raises(TypeError, match=r"async with client\.talk\(\) as call"):
            async for _ in lab.talk():
                pass
        with pytest.raises(RuntimeError, match=r"send\(\) needs an open call"):
            await lab.talk().send(Text())
        async with lab.talk([Text(value="a")]) as call:
            with pytest.raises(RuntimeError, match="was given its messages"):
                await call.send(Text())


async def test_one_task_at_a_time_sends_and_one_receives(serve: Serve) -> None:
    async with serve(Lab()) as service, LabClient(service).talk() as call:
        waiting = asyncio.create_task(call.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task is receiving"):
            await asyncio.wait_for(call.receive(), 20)
        await call.send(Text(value="a"))
        assert (await waiting).value == "re: a", "and the first one goes on"


async def test_the_deadline_ends_the_call_on_both_sides(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        client = LabClient(service)
        error = await overtaken(lambda t: client.act(Text(value="hang"), timeout=t), lab.started.is_set)
        assert isinstance(error, TimeoutError)
        assert error.may_have_run
        await asyncio.wait_for(lab.cancelled.wait(), 10)
        remaining = lab.contexts[0].deadline
        assert remaining is not None


async def test_the_deadline_ends_a_stream(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        client = LabClient(service)

        async def count(timeout: float) -> None:
            async for _ in client.count(Number(value=0), timeout=timeout):
                pass

        await overtaken(count, lab.started.is_set)
        await soon(lab.cancelled.wait())


async def test_the_clients_timeout_holds_for_calls_that_do_not_say(serve: Serve) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(micro.DeadlineExceeded):
            await LabClient(service, timeout=0.2).act(Text(value="hang"))


async def test_no_time_left_sends_nothing(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        client = LabClient(service)
        await client.act(Text(value="first"))
        with pytest.raises(micro.DeadlineExceeded) as caught:
            await client.act(Text(value="late"), timeout=0)
        assert not caught.value.may_have_run
        assert lab.ran == ["first"]


async def test_cancelling_the_caller_cancels_the_handler(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        task = asyncio.create_task(LabClient(service).act(Text(value="hang")))
        await asyncio.wait_for(lab.started.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_the_callers_task_is_whole_after_a_deadline(serve: Serve) -> None:
    async with serve(Lab()) as service:
        with pytest.raises(micro.DeadlineExceeded):
            await LabClient(service).act(Text(value="hang"), timeout=0.1)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)


async def test_an_unknown_method_names_what_there_is(serve: Serve) -> None:
    async with serve(Lab()) as service:
        nodes = await service.nodes.registry.resolve("lab")
        connection = service.nodes.hold(nodes[0]).connection
        with pytest.raises(micro.Unimplemented, match=r"did you mean /lab\.Lab/Act\?"):
            await connection.unary("/lab.Lab/Axt", "proto", micro.Metadata(), None, micro.CallInfo(), b"")
        with pytest.raises(micro.Unimplemented, match=r"there is no /lab\.Lab/Forget here: this server has lab\.Lab"):
            await connection.unary("/lab.Lab/Forget", "proto", micro.Metadata(), None, micro.CallInfo(), b"")
        with pytest.raises(micro.InvalidArgument, match="cannot be read"):
            await connection.unary("/lab.Lab/Act", "proto", micro.Metadata(), None, micro.CallInfo(), b"\xff\xff")


async def test_nested_calls_inherit_the_deadline(serve: Serve) -> None:
    class Outer(Lab):
        client: LabClient

        async def look(self, request: Text, context: micro.Context) -> Text:
            if request.value == "nested":
                return await self.client.act(Text(value="hang"))  # no timeout of its own
            return await super().look(request, context)

    outer = Outer()
    async with serve(outer) as service:
        outer.client = LabClient(service)
        await overtaken(lambda t: outer.client.look(Text(value="nested"), timeout=t), outer.started.is_set)
        await soon(outer.cancelled.wait())
        inner = outer.contexts[0].deadline
        assert inner is not None


async def test_a_handler_that_is_no_generator_is_named(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Lab):
        def count(self, request: Number, context: micro.Context) -> Any:
            return [Number()]

    async with serve(Wrong()) as service:
        with pytest.raises(micro.Internal, match=r"count\(\) must be an async generator"):
            async for _ in LabClient(service, retry=RetryPolicy(attempts=1)).count(Number(value=1)):
                pass


def test_a_method_of_the_wrong_kind_is_told_at_once() -> None:
    class NoYield(Lab):
        async def count(self, request: Number, context: micro.Context) -> Any:  # type: ignore[override]
            return [Number()]

    class Yields(Lab):
        async def act(self, request: Text, context: micro.Context) -> Any:  # type: ignore[override]
            yield Text()

    service = micro.Service("lab", registry="memory:")
    with pytest.raises(TypeError, match=r"/lab\.Lab/Count streams replies: count\(\) must be an async generator"):
        service.handle(NoYield())
    with pytest.raises(TypeError, match=r"/lab\.Lab/Act has one reply: act\(\) must return it, and has a yield"):
        service.handle(Yields())


async def test_an_error_from_a_task_group_keeps_its_code(serve: Serve) -> None:
    class Fans(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.fail())
                group.create_task(asyncio.sleep(10))
            return request

        async def fail(self) -> None:
            raise micro.NotFound("one of them")

    async with serve(Fans()) as service:
        with pytest.raises(micro.NotFound, match="one of them"):
            await LabClient(service).act(Text())


async def test_headers_travel_also_when_the_call_fails(serve: Serve) -> None:
    class Fails(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            context.add_header("x-head", "h")
            raise micro.NotFound("nothing")

    async with serve(Fails()) as service:
        info = micro.CallInfo()
        with pytest.raises(micro.NotFound):
            await LabClient(service).act(Text(), info=info)
        assert info.headers["x-head"] == "h"


async def test_detached_work_outlives_the_call(serve: Serve) -> None:
    done = asyncio.Event()

    class Outer(Lab):
        client: LabClient

        async def act(self, request: Text, context: micro.Context) -> Text:
            if context.deadline is not None:
                left = context.deadline - asyncio.get_running_loop().time()
                with micro.detached():
                    self.task = asyncio.create_task(self.later(left + 0.1))
            return request

        async def later(self, seconds: float) -> None:
            await asyncio.sleep(seconds)  # past the deadline of the call
            await self.client.look(Text(value="x"))
            done.set()

    outer = Outer()
    async with serve(outer) as service:
        outer.client = LabClient(service)
        await in_time(lambda t: outer.client.act(Text(), timeout=t))
        await soon(done.wait())


async def test_what_is_no_timeout_is_refused(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab: Any = LabClient(service)
        with pytest.raises(ValueError, match="timeout is NaN"):
            await lab.act(Text(), timeout=float("nan"))
        with pytest.raises(TypeError, match="timeout is a number of seconds, not '1'"):
            await lab.act(Text(), timeout="1")
        with pytest.raises(ValueError, match="NaN"):
            LabClient(service, timeout=float("nan"))
        assert (await lab.act(Text(value="x"), timeout=float("inf"))).value == "x"


async def test_a_call_that_was_cancelled_does_not_look_complete(serve: Serve) -> None:
    async with serve(Lab()) as service:
        call = LabClient(service).count(Number(value=1000))
        with pytest.raises(micro.Cancelled):
            async for number in call:
                if number.value == 2:
                    call.cancel()


async def test_a_call_that_failed_goes_on_failing(serve: Serve) -> None:
    async with serve(Lab()) as service, LabClient(service).count(Number(value=13)) as call:
        for _ in range(2):
            with pytest.raises(micro.ResourceExhausted):
                async for _ in call:
                    pass
        with pytest.raises(micro.ResourceExhausted):
            await call.receive()


async def test_a_call_is_made_once(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab = LabClient(service)
        made = lab.sum([Number(value=1)])
        await made
        with pytest.raises(RuntimeError, match="made already"):
            await made
        async with lab.sum() as call:
            await call.finish()
            with pytest.raises(RuntimeError, match="has given its reply already"):
                await call.finish()


def test_what_is_no_service_or_interceptor_is_named() -> None:
    client: Any = LabClient
    with pytest.raises(TypeError, match=r"the argument is a micro\.Service; the name to look up is target="):
        client("lab")
    with pytest.raises(TypeError, match="is not an interceptor"):
        micro.Service("x", registry="memory:", interceptors=[micro.AccessLog])  # type: ignore[list-item]


async def test_what_a_handler_waits_for_being_cancelled_is_an_error_not_silence(serve: Serve) -> None:
    class Waits(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            task = asyncio.create_task(asyncio.sleep(10))
            asyncio.get_running_loop().call_soon(task.cancel)
            await task
            return Text()

    async with serve(Waits()) as service:
        with pytest.raises(micro.Cancelled):
            await LabClient(service).act(Text(), timeout=10)


def test_every_code_has_its_class() -> None:
    for code in micro.Code:
        if code is micro.Code.OK:
            continue
        error = micro.Error.of(code, "m", id="i", details=[Text(value="d")])
        assert error.code is code
        assert type(error).__name__.upper() == code.name.replace("_", "")
    assert type(micro.Error.of(99)) is micro.Unknown


def test_errors_survive_pickle() -> None:
    error = micro.NotFound("m", id="i", details=[Text(value="d")], may_have_run=False)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is micro.NotFound
    assert (copy.message, copy.id, copy.details, copy.may_have_run) == ("m", "i", (Text(value="d"),), False)
    assert str(copy) == "NOT_FOUND: m"


async def test_the_access_log_tells_each_call(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    async with serve(Lab(), interceptors=[micro.AccessLog()], client_interceptors=[micro.AccessLog()]) as service:
        lab = LabClient(service)
        await lab.act(Text(value="x"), metadata={"authorization": "hidden"})
        with pytest.raises(micro.NotFound):
            await lab.act(Text(value="fail"))
        assert len([n async for n in lab.count(Number(value=3))]) == 3
    lines = [record.message for record in caplog.records if record.name == "micro_rt.access"]
    assert sum("server /lab.Lab/Act OK" in line for line in lines) == 1
    assert sum("client /lab.Lab/Act OK" in line for line in lines) == 1
    assert sum("server /lab.Lab/Act NOT_FOUND" in line for line in lines) == 1
    assert sum("/lab.Lab/Count OK" in line and "1 in, 3 out" in line for line in lines) == 2
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_passed_deadline_has_one_name_in_both_logs(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    lab = Lab()
    async with serve(lab, interceptors=[micro.AccessLog()], client_interceptors=[micro.AccessLog()]) as service:
        client = LabClient(service)
        await client.act(Text())  # Looks up and connects.
        caplog.set_level(logging.INFO, "micro_rt.access")

        async def hang(timeout: float) -> None:
            caplog.clear()
            if kind == "unary":
                await client.act(Text(value="hang"), timeout=timeout)
            else:
                async for _ in client.count(Number(value=0), timeout=timeout):
                    pass

        await overtaken(hang, lab.started.is_set)
        await eventually(lambda: len(outcomes(caplog)) == 2)
    assert outcomes(caplog) == ["client DEADLINE_EXCEEDED", "server DEADLINE_EXCEEDED"]


async def test_a_call_that_its_client_cancels_in_time_is_cancelled_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    lab = Lab()
    async with serve(lab, interceptors=[micro.AccessLog()]) as service:
        task = asyncio.create_task(LabClient(service).act(Text(value="hang"), timeout=60))
        await soon(lab.started.wait())
        task.cancel()
        await eventually(lambda: len(outcomes(caplog)) == 1)
    assert outcomes(caplog) == ["server CANCELLED"]


async def test_the_access_log_names_the_code_that_the_caller_gets_from_a_task_group(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Fans(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            async with asyncio.TaskGroup() as group:
                group.create_task(super().act(Text(value="fail"), context))
            return request

    caplog.set_level(logging.INFO, "micro_rt.access")
    async with serve(Fans(), interceptors=[micro.AccessLog()]) as service:
        with pytest.raises(micro.NotFound):
            await LabClient(service).act(Text())
        await eventually(lambda: len(outcomes(caplog)) == 1)
    assert outcomes(caplog) == ["server NOT_FOUND"]


def outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The side and the code of each line of the access log."""
    lines = [record.message.split() for record in caplog.records if record.name == "micro_rt.access"]
    return sorted(f"{side} {code}" for side, _, code, *_ in lines)


async def test_a_request_that_cannot_be_encoded_never_left() -> None:
    class Refuses(ProtoCodec):
        def encoder(self, message_type: type[Message]) -> Callable[[Message], bytes]:
            def refuse(message: Message) -> bytes:
                raise EncodeError("a required field is missing")

            return refuse

    lab = Lab()
    service = micro.Service("lab", registry="memory:", transport="memory", codec=Refuses())
    service.handle(lab)
    async with service:
        with pytest.raises(micro.InvalidArgument, match=r"/lab\.Lab/Act cannot be encoded: a required field") as caught:
            await LabClient(service).act(Text())
    assert not caught.value.may_have_run
    assert lab.ran == []


class Custom(BaseException):
    """What no handler of exceptions catches."""


class Exiting(Lab):
    """Raises what ends programs."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.hung = asyncio.Event()
        self.go_on = asyncio.Event()

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.ran.append(f"act {request.value}")
        if request.value == "hang":
            self.hung.set()
            await self.go_on.wait()
            return request
        raise self.error

    async def look(self, request: Text, context: micro.Context) -> Text:
        self.ran.append("look")
        raise self.error

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        yield request
        raise self.error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), Custom("mine")], ids=["exit", "interrupt", "own"]
)
async def test_a_handler_that_raises_what_ends_programs_ends_only_its_call(
    serve: Serve, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    lab = Exiting(error)
    async with serve(lab) as service, asyncio.timeout(20):
        client = LabClient(service, retry=RetryPolicy(attempts=2, backoff=0.01))
        other = asyncio.create_task(client.act(Text(value="hang")))
        await lab.hung.wait()
        with pytest.raises(micro.Unavailable, match=type(error).__name__) as caught:
            await client.act(Text(value="exit"))
        assert caught.value.may_have_run
        with pytest.raises(micro.Unavailable):
            await client.look(Text())
        replies = aiter(client.count(Number(value=7)))
        assert (await anext(replies)).value == 7
        with pytest.raises(micro.Unavailable):
            await anext(replies)
        lab.go_on.set()
        assert (await other).value == "hang"
    # The method that is idempotent was called again, the other one was not.
    assert lab.ran == ["act hang", "act exit", "look", "look"]
    assert f"raised {type(error).__name__}" in caplog.text
