"""The interceptors that come with the runtime, around calls of every kind on each transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.details import RetryInfo
from micro_rt.interceptors import rate_limit
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


async def read(replies: AsyncIterator[Any]) -> list[Any]:
    """Reads a stream to its end."""
    return [reply.value async for reply in replies]


async def test_timing_tells_of_each_call_and_each_stream_on_both_sides(serve: Serve) -> None:
    told: list[micro.Timed] = []
    timing = [micro.Timing(told.append)]
    async with serve(Lab(), interceptors=timing, client_interceptors=timing) as service:
        lab = LabClient(service)
        await lab.act(Text(value="x"))
        with pytest.raises(micro.NotFound):
            await lab.act(Text(value="fail"))
        with pytest.raises(micro.Unknown):
            await lab.act(Text(value="break"))
        await read(lab.count(Number(value=3)))
        with pytest.raises(micro.ResourceExhausted):
            await read(lab.count(Number(value=13)))
        await lab.sum([Number(value=1)])
        await read(lab.talk([Text(value="a")]))
        await eventually(lambda: len(told) == 14)
    assert all(timed.seconds >= 0 for timed in told)
    assert all(timed.attempts == 1 for timed in told)
    for side in ("server", "client"):
        assert [(timed.name, timed.kind, timed.code.name) for timed in told if timed.side == side] == [
            ("/lab.Lab/Act", micro.Kind.UNARY, "OK"),
            ("/lab.Lab/Act", micro.Kind.UNARY, "NOT_FOUND"),
            ("/lab.Lab/Act", micro.Kind.UNARY, "UNKNOWN"),
            ("/lab.Lab/Count", micro.Kind.SERVER_STREAM, "OK"),
            ("/lab.Lab/Count", micro.Kind.SERVER_STREAM, "RESOURCE_EXHAUSTED"),
            ("/lab.Lab/Sum", micro.Kind.CLIENT_STREAM, "OK"),
            ("/lab.Lab/Talk", micro.Kind.BIDI_STREAM, "OK"),
        ]


async def test_timing_counts_the_attempts_of_one_call(serve: Serve) -> None:
    class Busy(Lab):
        async def look(self, request: Text, context: micro.Context) -> Text:
            self.ran.append("look")
            if len(self.ran) % 3:
                raise micro.Unavailable("not yet")
            return request

    told: list[micro.Timed] = []
    info = micro.CallInfo()
    async with serve(Busy(), client_interceptors=[micro.Timing(told.append)]) as service:
        lab = LabClient(service, retry=micro.RetryPolicy(backoff=0.001))
        for _ in range(2):
            await lab.look(Text(), info=info)
    assert [(timed.code.name, timed.attempts) for timed in told] == [("OK", 3), ("OK", 3)]
    assert info.attempts == 6


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_timing_tells_of_what_is_cancelled(serve: Serve, kind: str) -> None:
    told: list[micro.Timed] = []
    timing = [micro.Timing(told.append)]
    lab = Lab()
    async with serve(lab, interceptors=timing, client_interceptors=timing) as service:
        client = LabClient(service)
        waits: Any = client.act(Text(value="hang")) if kind == "unary" else read(client.count(Number(value=0)))
        task = asyncio.create_task(waits)
        await soon(lab.started.wait())
        task.cancel()
        await eventually(lambda: len(told) == 2)
    assert {(timed.side, timed.code.name) for timed in told} == {("client", "CANCELLED"), ("server", "CANCELLED")}


async def test_what_a_report_raises_is_logged_and_the_call_goes_on(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def report(timed: micro.Timed) -> None:
        raise KeyError("no such metric")

    timing = [micro.Timing(report)]
    async with serve(Lab(), interceptors=timing, client_interceptors=timing) as service:
        lab = LabClient(service)
        for _ in range(50):
            assert (await lab.act(Text(value="x"))).value == "x"
        assert await read(lab.count(Number(value=2))) == [0, 1]
        with pytest.raises(micro.NotFound):
            await lab.act(Text(value="fail"))
    lines = [record for record in caplog.records if record.name == "micro_rt.timing"]
    assert "no such metric" in caplog.text
    assert 1 <= len(lines) < 50, "one each second, however many there are"


async def test_metadata_is_added_to_each_call_unless_the_call_says_otherwise(serve: Serve) -> None:
    lab = Lab()
    adds = [micro.AddMetadata({"X-App": "web", "x-raw-bin": b"\0"}), micro.AddMetadata({"x-app": "inner"})]
    async with serve(lab, client_interceptors=adds) as service:
        client = LabClient(service, metadata={"x-mine": "m"})
        own = LabClient(service, metadata={"x-app": "client"})
        await client.act(Text())
        await client.act(Text(), metadata=[("x-app", "one"), ("x-app", "two")])
        await own.act(Text())
        reply = (await client.act(Text(value="metadata"))).value
    sent = [(each.metadata.all("x-app"), each.metadata.all("x-mine")) for each in lab.contexts]
    assert sent[:3] == [(["web"], ["m"]), (["one", "two"], ["m"]), (["client"], [])]
    assert "b'\\x00'" in reply


@pytest.mark.parametrize("form", ["plain", "async"])
async def test_a_function_gives_the_metadata_of_each_call(serve: Serve, form: str) -> None:
    seen: list[str | None] = []

    class Sees(micro.ServerInterceptor):
        async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any:
            seen.append(call.metadata.text("authorization"))
            return await proceed(request, call)

        async def stream(
            self, requests: AsyncIterator[Any], call: micro.Context, proceed: micro.StreamNext
        ) -> AsyncIterator[Any]:
            seen.append(call.metadata.text("authorization"))
            async for reply in proceed(requests, call):
                yield reply

    tokens = iter("abcdefgh")

    def renewed() -> dict[str, str]:
        return {"authorization": next(tokens)}

    async def fetched() -> dict[str, str]:
        await asyncio.sleep(0)
        return renewed()

    given: Any = renewed if form == "plain" else fetched
    async with serve(Lab(), interceptors=[Sees()], client_interceptors=[micro.AddMetadata(given)]) as service:
        lab = LabClient(service)
        await lab.act(Text())
        await read(lab.count(Number(value=1)))
        await lab.sum([Number(value=1)])
        async with lab.talk() as call:
            await call.send(Text(value="x"))
            assert (await call.receive()).value == "re: x"
        await lab.look(Text())
    assert seen == ["a", "b", "c", "d", "e"]


async def test_metadata_that_cannot_travel_fails_when_it_is_made_or_with_the_call(serve: Serve) -> None:
    with pytest.raises(ValueError, match="metadata key 'x app'"):
        micro.AddMetadata({"x app": "web"})
    with pytest.raises(TypeError, match="holds text, not int"):
        micro.AddMetadata({"x-app": 1})  # type: ignore[dict-item]
    lab = Lab()
    given: list[Any] = [{"x-app": "secret\n"}, {"grpc-x": "secret"}, {"x-app": 1}, "secret", None, [("x",)]]
    for wrong in given:
        async with serve(lab, client_interceptors=[micro.AddMetadata(lambda wrong=wrong: wrong)]) as service:
            for call in (LabClient(service).act(Text()), read(LabClient(service).count(Number(value=1)))):
                with pytest.raises(micro.InvalidArgument, match=r"micro\.AddMetadata adds cannot be sent") as caught:
                    await call
                assert not caught.value.may_have_run
                assert "secret" not in caught.value.message
    assert lab.ran == []


Calls = Callable[[LabClient], Awaitable[Any]]


async def talk_by_hand(lab: LabClient) -> None:
    async with lab.talk() as call:
        await call.send(Text(value="x"))
        await call.receive()


KINDS: dict[str, Calls] = {
    "unary": lambda lab: lab.act(Text(value="x")),
    "server stream": lambda lab: read(lab.count(Number(value=1))),
    "client stream": lambda lab: lab.sum([Number(value=1)]),
    "both": lambda lab: read(lab.talk([Text(value="x")])),
    "by hand": talk_by_hand,
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the rate limits in seconds, as the only item."""
    now = [1000.0]
    monkeypatch.setattr(rate_limit, "loop_time", lambda: now[0])
    return now


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_beyond_the_rate_is_refused_before_its_handler_begins(
    serve: Serve, clock: list[float], kind: str
) -> None:
    class Begins(micro.ServerInterceptor):
        begun = 0

        async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any:
            self.begun += 1
            return await proceed(request, call)

        async def stream(
            self, requests: AsyncIterator[Any], call: micro.Context, proceed: micro.StreamNext
        ) -> AsyncIterator[Any]:
            self.begun += 1
            async for reply in proceed(requests, call):
                yield reply

    begins = Begins()
    async with serve(Lab(), interceptors=[micro.RateLimit(2, burst=3), begins]) as service:
        lab = LabClient(service)
        for _ in range(3):
            await KINDS[kind](lab)
        with pytest.raises(micro.ResourceExhausted, match="more than 2 calls per second") as caught:
            await KINDS[kind](lab)
        assert begins.begun == 3
        assert caught.value.id == "micro.rate_limited"
        info = caught.value.detail(RetryInfo)
        assert info is not None
        assert info.retry_delay.ToMilliseconds() == 500
        clock[0] += 0.5
        await KINDS[kind](lab)
        assert begins.begun == 4


async def test_a_rate_limit_counts_by_metadata_and_calls_without_it_together(serve: Serve, clock: list[float]) -> None:
    async with serve(Lab(), interceptors=[micro.RateLimit(1, key="X-Tenant")]) as service:
        lab = LabClient(service)
        for metadata in ({"x-tenant": "a"}, {"x-tenant": "b"}, {}):
            await lab.act(Text(), metadata=metadata)
            with pytest.raises(micro.ResourceExhausted):
                await lab.act(Text(), metadata=metadata)


async def test_a_rate_limit_counts_by_a_function_and_lets_pass_what_has_no_key(
    serve: Serve, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def key(context: micro.Context) -> str | None:
        name = context.method.python_name
        return None if name == "look" else name

    limit = micro.RateLimit(1, burst=1, key=key)
    wrong: Any = micro.RateLimit(1, key=lambda context: 5)  # type: ignore[arg-type,return-value]
    async with serve(Lab(), interceptors=[limit]) as service:
        lab = LabClient(service)
        for _ in range(5):
            await lab.look(Text())
        await lab.act(Text())
        await lab.sum([])
        for call in (lab.act(Text()), lab.sum([])):
            with pytest.raises(micro.ResourceExhausted):
                await call
    async with serve(Lab(), interceptors=[wrong]) as service:
        with pytest.raises(micro.Unknown):
            await LabClient(service).act(Text())
    assert "the key of micro.RateLimit is text or None, not int" in caplog.text


async def test_a_wait_that_no_detail_can_hold_is_told_as_the_longest_one(serve: Serve) -> None:
    async with serve(Lab(), interceptors=[micro.RateLimit(1e-300)]) as service:
        lab = LabClient(service)
        await lab.act(Text())
        with pytest.raises(micro.ResourceExhausted) as caught:
            await lab.act(Text())
    info = caught.value.detail(RetryInfo)
    assert info is not None
    assert info.retry_delay.seconds == 1_000_000_000


class Breaks(Lab):
    """Raises what it is told to, in each kind of call."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def act(self, request: Text, context: micro.Context) -> Text:
        raise self.error

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        yield request
        raise self.error

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        raise self.error

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async for request in requests:
            yield request
        raise self.error


def away(error: Exception, call: micro.Context | micro.EventContext) -> micro.Error | None:
    """Says of a lost connection that something is away, and nothing of the rest."""
    assert isinstance(call, micro.Context)
    if isinstance(error, ConnectionError):
        return micro.Unavailable(f"away for {call.method.python_name}", id="lab.away")
    return None


@pytest.mark.parametrize("kind", KINDS)
async def test_recovery_turns_an_exception_into_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    async with serve(Breaks(ConnectionError("secret")), interceptors=[micro.Recovery(away)]) as service:
        lab = LabClient(service)
        if kind == "by hand":
            async with lab.talk() as call:
                await call.end()
                with pytest.raises(micro.Unavailable, match="away for talk"):
                    await call.receive()
        else:
            with pytest.raises(micro.Unavailable, match="away for") as caught:
                await KINDS[kind](lab)
            assert caught.value.id == "lab.away"
            assert caught.value.may_have_run
    assert "secret" not in caplog.text


@pytest.mark.parametrize("kind", ["unary", "server stream", "client stream", "both"])
@pytest.mark.parametrize(
    ("error", "code", "asked"),
    [
        (ZeroDivisionError("secret"), "UNKNOWN", True),
        (micro.NotFound("mine"), "NOT_FOUND", False),
        (ExceptionGroup("one", [micro.NotFound("mine")]), "NOT_FOUND", False),
        (asyncio.CancelledError(), "CANCELLED", False),
        (SystemExit(3), "UNAVAILABLE", False),
    ],
    ids=["unknown", "error", "group", "cancelled", "exit"],
)
async def test_recovery_leaves_alone_what_is_not_its_own(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str, error: BaseException, code: str, asked: bool
) -> None:
    seen: list[Exception] = []

    def on_error(error: Exception, call: object) -> None:
        seen.append(error)

    async with serve(Breaks(error), interceptors=[micro.Recovery(on_error)]) as service:
        with pytest.raises(micro.Error) as caught:
            await KINDS[kind](LabClient(service))
        assert caught.value.code.name == code
    assert seen == ([error] if asked else [])
    assert ("secret" in caplog.text) is asked, "an exception that stands is logged, as without it"


@pytest.mark.parametrize("kind", ["unary", "both"])
@pytest.mark.parametrize("problem", ["my own fault", "gave str for"])
async def test_a_recovery_that_fails_itself_is_logged_and_the_exception_stands(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str, problem: str
) -> None:
    def on_error(error: Exception, call: object) -> Any:
        if problem == "my own fault":
            raise LookupError(problem)
        return "no error"

    async with serve(Breaks(ZeroDivisionError("first")), interceptors=[micro.Recovery(on_error)]) as service:
        with pytest.raises(micro.Unknown, match="failed with ZeroDivisionError"):
            await KINDS[kind](LabClient(service))
    assert problem in caplog.text
    assert "ZeroDivisionError: first" in caplog.text


def test_functions_that_must_not_wait_are_no_coroutine_functions() -> None:
    async def later(*_: Any) -> None:
        return None

    for make in (micro.Timing, micro.Recovery):
        for wrong in (later, None):
            function: Any = wrong
            with pytest.raises(TypeError, match=r"no.* coroutine function"):
                make(function)


async def test_the_access_log_keeps_what_a_peer_sends_in_one_line(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """With a logger of the user's own, which escapes nothing."""
    log = logging.getLogger("users.access")
    caplog.set_level(logging.INFO, "users.access")

    class Lies(micro.ServerInterceptor):
        async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any:
            call.peer = "1.2.3.4:5\nserver /forged OK"
            return await proceed(request, call)

    async with serve(Lab(), interceptors=[Lies(), micro.AccessLog(log)]) as service:
        await LabClient(service).act(Text())
    (line,) = [record.getMessage() for record in caplog.records if record.name == "users.access"]
    assert line.endswith("1.2.3.4:5\\nserver /forged OK")
