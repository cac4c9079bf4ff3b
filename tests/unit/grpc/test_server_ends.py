"""How connections of a server end: draining, closing, silence, PINGs, age."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from micro_rt.backends.grpc.server import GrpcListener
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import MAX_STREAM_ID, PREFACE
from micro_rt.transport.base import ServerStream
from tests.helpers.waiting import soon
from tests.unit.grpc.served import ACK, PING, Client, data, echo, message, never, request, turns, unary
from tests.unit.http2.peers import raw, settings


class Clock:
    """Moves the clock of the running loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._time, self._ahead = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: self._time() + self._ahead)

    async def go(self, seconds: float) -> None:
        """Goes on by some time, in steps that no look is late for."""
        while seconds > 0:
            self._ahead += min(seconds, 0.5)
            seconds -= 0.5
            await turns(3)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


WINDOW_UPDATE = 8


def ping(payload: bytes = b"12345678", ack: bool = False) -> bytes:
    return raw(PING, int(ack), 0, payload)


def pings(client: Client) -> list[bytes]:
    client.read()
    return [payload for kind, flags, _, payload in client.others if kind == PING and not flags]


# Draining and closing


async def test_draining_goes_in_two_steps_and_refuses_new_calls() -> None:
    client = Client()
    await client.ask(request(1), data(1, message(b"a")))
    await client.listener.drain()
    await turns()
    assert client.goaways() == [(MAX_STREAM_ID, ErrorCode.NO_ERROR, b"")]
    (payload,) = pings(client)
    answers = await client.ask(unary(3))
    assert answers[3].reset == ErrorCode.REFUSED_STREAM
    client.send(ping(payload, ack=True))
    await turns()
    assert client.goaways()[1:] == [(3, ErrorCode.NO_ERROR, b"")]
    assert not client.transport.ended
    answers = await client.ask(data(1, message(b"b"), True))
    assert (answers[1].data, answers[1].status) == (message(b"a") + message(b"b"), 0)
    assert client.transport.ended, "our half has not ended"
    assert not client.transport.closing
    client.send(b"whatever comes now")
    await client.listener.drain()
    assert client.goaways()[2:] == []
    closing = asyncio.create_task(client.listener.close())
    await turns()
    assert not client.transport.closing, "the client has not closed yet"
    client.transport.close()
    await soon(closing)


async def test_headers_and_their_reset_in_one_read_while_draining_harm_no_call() -> None:
    client = Client()
    await client.ask(*(request(number) for number in (1, 3, 5)))
    await client.listener.drain()
    code = int(ErrorCode.CANCEL).to_bytes(4, "big")
    client.send(request(7), raw(3, 0, 7, code), request(9), raw(3, 0, 9, code))
    await turns()
    answers = await client.ask(*(data(number, message(b"x"), True) for number in (1, 3, 5)))
    assert [answers[number].status for number in (1, 3, 5)] == [0] * 3


async def test_a_client_that_does_not_answer_the_first_goaway_gets_the_second(clock: Clock) -> None:
    client = Client()
    await client.ask(request(1))
    await client.listener.drain()
    await turns()
    assert len(client.goaways()) == 1
    await clock.go(6)
    assert [last for last, _, _ in client.goaways()] == [MAX_STREAM_ID, 1]
    assert (await client.ask(data(1, b"", True)))[1].status == 0


async def test_closing_cancels_handlers_and_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    client = Client(never)
    client.send(unary(1), request(3))
    await turns()
    assert len(client.link.calls) == 2
    await client.listener.close()
    assert client.link.lost
    assert not client.link.calls
    assert len(client.listener.deadlines) == 0
    assert asyncio.all_tasks() == before


async def test_a_handler_that_cleans_up_is_cancelled_once() -> None:
    cancelled = 0

    async def slow(stream: ServerStream) -> None:
        nonlocal cancelled
        while True:
            try:
                await asyncio.sleep(0 if cancelled else 60)
                if cancelled:
                    await asyncio.sleep(0.01)
                    return
            except asyncio.CancelledError:
                cancelled += 1

    client = Client(slow)
    await client.ask(unary(1))
    await client.listener.close()
    assert cancelled == 1


async def test_nothing_is_written_after_our_half_has_ended() -> None:
    client = Client()
    await client.ask(request(1))
    client.send(raw(7, 0, 0, bytes(8)))
    await client.ask(data(1, b"", True))
    assert client.transport.ended
    written = len(client.transport.written)
    client.link.http2.ping(bytes(8))
    client.link.flush()
    assert len(client.transport.written) == written


async def test_a_client_that_says_goodbye_is_let_go_and_told_nothing_more() -> None:
    client = Client()
    await client.ask(request(1))
    client.send(raw(7, 0, 0, bytes(8)))
    assert not client.transport.ended
    assert (await client.ask(data(1, b"", True)))[1].status == 0
    assert client.transport.ended
    await client.listener.drain()
    await turns()
    client.link.say_goodbye()
    await turns()
    assert client.link.lost
    assert not client.goaways()


# Mistakes


async def test_a_mistake_of_ours_ends_the_connection_and_not_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(never)
    await client.ask(request(1))

    def fail(*_: object) -> None:
        raise IndexError("a\nmistake")

    monkeypatch.setattr(type(client.link), "_on_request", fail)
    client.send(request(3))
    await turns()
    assert [code for _, code, _ in client.goaways()] == [ErrorCode.INTERNAL_ERROR]
    assert client.transport.ended
    assert not client.link.calls
    assert "IndexError" in caplog.records[0].getMessage()


async def test_a_connection_error_is_told_and_logged_once_per_second(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        client = Client()
        client.send(raw(0, 0, 1, b"x"))
        await turns(2)
        assert [code for _, code, _ in client.goaways()] == [ErrorCode.PROTOCOL_ERROR]
        assert client.transport.ended
    lines = [record.getMessage() for record in caplog.records]
    assert 1 <= len(lines) < 20
    assert lines[0] == ("the connection of 192.0.2.1:1234 is ended: PROTOCOL_ERROR: a frame for a stream that is idle")


async def test_nothing_that_comes_after_the_end_is_looked_at() -> None:
    client = Client()
    client.send(b"\0\0\0\0\0\0\0\0\0" + raw(0, 0, 1, b"x"))
    await turns()
    written = len(client.transport.written)
    client.send(unary(3))
    await turns()
    assert len(client.transport.written) == written


# Silence


@pytest.mark.parametrize("first", [b"", PREFACE[:10], PREFACE, PREFACE + raw(4)[:5]])
async def test_a_client_that_does_not_begin_is_cut(
    first: bytes, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(first=first)
    await clock.go(9)
    assert not client.transport.aborted
    await clock.go(2)
    assert client.transport.aborted
    assert [record.getMessage() for record in caplog.records] == [
        "the connection of 192.0.2.1:1234 is cut: it did not begin with HTTP/2 in time"
    ]


async def test_a_client_that_does_not_answer_a_ping_is_cut(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(limits=ServerLimits(keepalive=60.0, keepalive_timeout=20.0))
    await clock.go(58)
    assert not pings(client)
    await clock.go(4)
    (payload,) = pings(client)
    client.send(ping(payload, ack=True))
    await clock.go(58)
    assert len(pings(client)) == 1
    await clock.go(4)
    assert len(pings(client)) == 2
    await clock.go(16)
    assert not client.transport.aborted
    await clock.go(6)
    assert client.transport.aborted
    assert caplog.records[-1].getMessage().endswith("is cut: it did not answer a PING in time")


async def test_a_loop_that_was_blocked_does_not_blame_the_client(clock: Clock) -> None:
    client = Client(first=b"")
    clock._ahead += 1000
    await turns()
    assert not client.transport.aborted
    client.send(PREFACE + settings() + ACK, unary(1))
    await clock.go(3)
    assert client.read()[1].status == 0
    assert not client.transport.aborted


# PINGs of clients (gRFC A8)


@pytest.mark.parametrize("calls", [0, 1])
async def test_a_client_that_sends_pings_too_often_is_told_so(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(never)
    client.send(*(request(1),) * calls, ping(), ping(), ping())
    await turns()
    assert not client.goaways()
    client.send(ping())
    await turns()
    assert client.goaways() == [(calls, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")]
    assert client.transport.ended
    assert caplog.records[0].getMessage().endswith("ENHANCE_YOUR_CALM: too_many_pings")


async def test_pings_at_the_allowed_interval_are_no_strikes(clock: Clock) -> None:
    client = Client(never, ServerLimits(ping_interval=10.0))
    client.send(request(1))
    for _ in range(10):
        client.send(ping())
        await clock.go(10.5)
    assert not client.goaways()
    idle = Client(never, ServerLimits(ping_interval=10.0))
    for _ in range(4):
        idle.send(ping())
        await clock.go(10.5)
    assert idle.goaways(), "without a call, an interval of two hours holds"
    allowed = Client(never, ServerLimits(ping_interval=10.0, pings_without_calls=True))
    for _ in range(10):
        allowed.send(ping())
        await clock.go(10.5)
    assert not allowed.goaways()


async def test_pings_after_replies_are_free() -> None:
    client = Client(echo)
    client.send(request(1))
    for _ in range(20):
        await client.ask(data(1, message(b"x")), turns_after=3)
        await client.ask(ping(), turns_after=1)
    assert not client.goaways()


async def test_pings_while_a_large_reply_goes_out_are_free() -> None:
    """A client that measures how much a connection carries sends one after each piece that it gets, as grpc-go's does."""

    async def large(stream: ServerStream) -> None:
        await stream.send(bytes(1 << 20))
        await stream.finish(None)

    client = Client(large)
    await client.ask(request(1), data(1, message(b"")))
    for _ in range(20):
        before = len(client.read()[1].data)
        await client.ask(
            *(raw(WINDOW_UPDATE, 0, stream, (4_000).to_bytes(4, "big")) for stream in (0, 1)), turns_after=3
        )
        assert len(client.read()[1].data) == before + 4_000
        await client.ask(ping(), turns_after=1)
    assert not client.goaways()


# Idle time and age (gRFC A9)


async def test_an_idle_connection_ends_gently(clock: Clock) -> None:
    client = Client(limits=ServerLimits(idle=60.0))
    client.send(request(1))
    await clock.go(100)
    assert not client.goaways()
    await client.ask(data(1, b"", True))
    await clock.go(58)
    assert not client.goaways()
    await clock.go(4)
    assert client.goaways()[0] == (MAX_STREAM_ID, ErrorCode.NO_ERROR, b"")
    answers = await client.ask(unary(3))
    assert answers[3].status == 0, "a call that was on its way is served"
    await clock.go(6)
    assert client.transport.ended


async def test_an_old_connection_ends_gently_and_its_calls_after_the_grace(clock: Clock) -> None:
    client = Client(never, ServerLimits(age=60.0, age_grace=30.0))
    client.send(request(1))
    await clock.go(58)
    assert not client.goaways()
    await clock.go(10)
    assert client.goaways()[0] == (MAX_STREAM_ID, ErrorCode.NO_ERROR, b"")
    await clock.go(20)
    assert not client.transport.closing
    await clock.go(14)
    assert client.transport.closing
    await turns()
    assert not client.link.calls


async def test_a_connection_on_which_nothing_happens_has_no_timer_of_its_own() -> None:
    listener = GrpcListener(echo, ServerLimits())
    loop: Any = asyncio.get_running_loop()
    before = len(loop._scheduled)
    clients = [Client(listener=listener) for _ in range(50)]
    await turns()
    assert len([timer for timer in loop._scheduled if not timer.cancelled()]) <= before + 1
    assert all(not client.transport.closing for client in clients)
    for client in clients:
        client.transport.close()
    await soon(listener.close())


def test_limits_are_checked() -> None:
    assert ServerLimits().memory < 200 << 20
    wrong: dict[str, Any]
    for wrong in ({"streams": 0}, {"receive": -1}, {"idle": 0.0}, {"send": 2**31}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ServerLimits(**wrong)
    ServerLimits(ping_strikes=0, ping_interval=0.0, keepalive=None)
