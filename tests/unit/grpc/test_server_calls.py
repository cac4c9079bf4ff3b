"""Calls as a server of ours serves them: framing, ends, statuses."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from struct import pack
from typing import Any

import pytest

from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.errors import Code, EndOfStream, Error, FailedPrecondition, NotFound, ResourceExhausted
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from micro_rt.metadata import Metadata
from micro_rt.transport.base import ServerStream
from tests.unit.grpc.served import (
    ACK,
    DATA,
    RST_STREAM,
    WINDOW_UPDATE,
    Client,
    changed,
    data,
    echo,
    message,
    never,
    request,
    turns,
    unary,
)
from tests.unit.http2.peers import frames_of, headers, raw, settings

OK = {b":status": b"200", b"content-type": b"application/grpc"}


def reset(stream: int, code: int = ErrorCode.CANCEL) -> bytes:
    return raw(RST_STREAM, 0, stream, int(code).to_bytes(4, "big"))


async def test_a_unary_call_is_answered_in_one_write() -> None:
    client = Client()
    await turns()
    client.transport.written.clear()
    client.send(unary(1))
    await turns()
    assert len(client.transport.written) == 1
    answer = client.read()[1]
    assert (answer.headers, answer.data, answer.trailers) == (OK, message(b"hi"), {b"grpc-status": b"0"})
    assert answer.ended
    assert not client.link.calls
    assert not client.link.http2.streams


async def test_calls_of_one_read_are_answered_in_one_write() -> None:
    client = Client()
    await turns()
    client.transport.written.clear()
    client.send(*(unary(number, b"%d" % number) for number in range(1, 41, 2)))
    await turns()
    assert len(client.transport.written) == 1
    assert {number: answer.data for number, answer in client.read().items()} == {
        number: message(b"%d" % number) for number in range(1, 41, 2)
    }


async def test_a_request_may_be_cut_anywhere() -> None:
    whole = PREFACE + settings() + unary(1, b"first") + request(3) + raw(DATA, 0, 3) + data(3, message(b"second"), True)
    for cut in range(1, len(whole)):
        client = Client(first=whole[:cut])
        await turns(2)
        answers = await client.ask(whole[cut:])
        assert {number: answer.data for number, answer in answers.items()} == {
            1: message(b"first"),
            3: message(b"second"),
        }, cut
        assert [answer.status for answer in answers.values()] == [0, 0]


async def test_empty_data_is_no_end() -> None:
    client = Client()
    empty = raw(DATA, 0, 1)
    answers = await client.ask(request(1), empty, data(1, message(b"a")), empty, empty)
    assert answers[1].data == message(b"a")
    assert not answers[1].ended
    answers = await client.ask(empty, data(1, message(b"b") + message(b"")), raw(DATA, 1, 1))
    assert answers[1].data == message(b"a") + message(b"b") + message(b"")
    assert answers[1].status == 0


async def test_padded_data_and_trailers_of_a_client() -> None:
    client = Client()
    padded = raw(DATA, 8, 1, b"\x05" + message(b"padded") + bytes(5))
    answers = await client.ask(request(1), padded, headers(1, [(b"x", b"y")], ended=True))
    assert (answers[1].data, answers[1].status) == (message(b"padded"), 0)


async def test_small_messages_of_a_turn_share_a_frame() -> None:
    async def many(stream: ServerStream) -> None:
        for number in range(50):
            await stream.send(b"%d" % number)
        await stream.finish(None)

    client = Client(many)
    await turns()
    client.transport.written.clear()
    client.send(unary(1))
    await turns()
    frames = frames_of(b"".join(client.transport.written))
    assert len([frame for frame in frames if frame[0] == DATA]) == 1
    assert client.read()[1].data == b"".join([message(b"%d" % number) for number in range(50)])


async def test_empty_messages_without_end_do_not_fill_the_memory() -> None:
    most = 0

    async def flood(stream: ServerStream) -> None:
        nonlocal most
        while True:
            await stream.send(b"")
            most = max(most, len(client.link.held[0]._held) if client.link.held else 0)

    client = Client(flood)
    client.send(unary(1))
    await turns()
    assert 0 < most < 10_000
    assert client.link.http2.waiting <= 64 << 10
    client.send(reset(1))
    await turns()
    assert not client.link.calls


@pytest.mark.parametrize(
    ("fields", "http", "code"),
    [
        (changed(method=b"HEAD"), b"405", Code.UNKNOWN),
        (changed(content_type=b"text/html"), b"415", Code.UNKNOWN),
        (changed(grpc_encoding=b"br"), b"200", Code.UNIMPLEMENTED),
        (changed(grpc_timeout=b"soon"), b"200", Code.INVALID_ARGUMENT),
        (changed(data_bin=b"!!!"), b"200", Code.INVALID_ARGUMENT),
    ],
)
async def test_a_wrong_request_is_told_so_and_runs_nothing(fields: Any, http: bytes, code: Code) -> None:
    ran: list[str] = []

    async def run(stream: ServerStream) -> None:
        ran.append(stream.path)

    client = Client(run)
    foreign = http in (b"405", b"415")  # It is answered when all of it has come.
    answers = await client.ask(unary(1, fields=fields), request(3, fields, foreign))
    for answer in answers.values():
        assert (answer.headers[b":status"], answer.status) == (http, code)
        assert not answer.trailers
        assert answer.ended
    assert answers[3].reset == (None if foreign else ErrorCode.NO_ERROR), "the client was not told that nobody reads"
    assert not ran


@pytest.mark.parametrize("window", [65_535, 1])
async def test_a_request_that_is_no_post_is_answered_as_on_the_web(window: int) -> None:
    client = Client(never, first=PREFACE + settings((4, window)) + ACK)
    answers = await client.ask(request(1, changed(method=b"GET"), ended=True), request(3, changed(method=b"PUT")))
    client.send(raw(WINDOW_UPDATE, 0, 1, pack(">I", 1000)), raw(WINDOW_UPDATE, 0, 3, pack(">I", 1000)))
    answers = await client.ask(data(3, b"no message"))
    assert answers.keys() == {1}, "a request was answered before its end"
    answers = await client.ask(data(3, b"", True))
    for answer in answers.values():
        assert answer.headers[b":status"] == b"405"
        assert answer.headers[b"allow"] == b"POST"  # RFC 9110, section 15.5.6
        assert answer.headers[b"content-type"].startswith(b"text/plain")
        assert b"gRPC" in answer.data
        assert answer.status == Code.UNKNOWN
        assert answer.ended
    assert (answers[1].reset, answers[3].reset) == (None, None)
    assert not client.link.calls


async def test_a_path_with_a_control_character_is_reset() -> None:
    answers = await Client().ask(unary(1, fields=changed(path=b"/a\x01b")), unary(3))
    assert (answers[1].reset, answers[3].status) == (ErrorCode.PROTOCOL_ERROR, 0)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (message(b"hi")[:3], Code.INTERNAL),
        (message(b"hi")[:6], Code.INTERNAL),
        (b"\1" + message(b"hi")[1:], Code.INTERNAL),
        (message(bytes(1001)), Code.RESOURCE_EXHAUSTED),
        (b"\0\xff\xff\xff\xff", Code.RESOURCE_EXHAUSTED),
    ],
)
async def test_a_message_that_cannot_be_taken_ends_its_call(content: bytes, code: Code) -> None:
    client = Client(limits=ServerLimits(receive=1000))
    answers = await client.ask(request(1), data(1, content, True), unary(3, bytes(1000)))
    assert (answers[1].status, answers[3].status) == (code, 0)


async def test_a_message_that_is_too_large_to_send_is_not_sent() -> None:
    async def large(stream: ServerStream) -> None:
        with pytest.raises(ResourceExhausted):
            await stream.send(bytes(1001))
        await stream.send(bytes(1000))
        await stream.finish(None)

    answers = await Client(large, ServerLimits(send=1000)).ask(unary(1))
    assert (len(answers[1].data), answers[1].status) == (1005, 0)


async def test_headers_go_before_messages_and_an_error_without_messages_goes_alone() -> None:
    async def serve(stream: ServerStream) -> None:
        if stream.path.endswith("Headers"):
            await stream.send_headers(Metadata([("head", "1"), ("head-bin", b"\0")]))
        if stream.path.endswith("Call"):
            await stream.finish(NotFound("nothing here", id="test.none"), Metadata([("tail", "1")]))
        else:
            await stream.finish(None, Metadata([("tail", "1")]))

    client = Client(serve)
    answers = await client.ask(unary(1), unary(3, fields=changed(path=b"/test.Test/Headers")))
    assert not answers[1].trailers
    assert answers[1].headers.items() >= {b"grpc-status": b"5", b"grpc-message": b"nothing here", b"tail": b"1"}.items()
    assert b"grpc-status-details-bin" in answers[1].headers
    assert answers[3].headers == {**OK, b"head": b"1", b"head-bin": b"AA"}
    assert answers[3].trailers == {b"grpc-status": b"0", b"tail": b"1"}


async def test_a_handler_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(stream: ServerStream) -> None:
        if stream.path == "/test.Test/Call":
            raise ZeroDivisionError

    answers = await Client(fail).ask(unary(1), unary(3, fields=changed(path=b"/other")))
    assert (answers[1].status, answers[3].status) == (Code.UNKNOWN, Code.INTERNAL)
    assert "ZeroDivisionError" in caplog.text


async def test_a_deadline_ends_a_call_whatever_it_does(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[BaseException] = []

    async def wait(stream: ServerStream) -> None:
        assert stream.deadline is not None
        if stream.path == "/half":
            await stream.send(b"half")
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(error)
            raise

    client = Client(wait)
    timed = changed(grpc_timeout=b"1H")
    client.send(unary(1, fields=timed), unary(3, fields=changed(grpc_timeout=b"1H", path=b"/half")))
    await turns()
    for call in list(client.link.calls):
        call.expire()
    await client.until(lambda: not client.link.calls)
    await turns()
    answers = client.read()
    assert [answer.status for answer in answers.values()] == [Code.DEADLINE_EXCEEDED] * 2
    assert answers[3].data == message(b"half")
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 2
    assert not caplog.records


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a handler begins in the turn that brings its call")
async def test_a_deadline_that_passes_before_a_call_begins_ends_it_without_a_handler() -> None:
    ran: list[str] = []

    async def run(stream: ServerStream) -> None:
        ran.append(stream.path)

    client = Client(run)
    client.send(unary(1, fields=changed(grpc_timeout=b"1m")))
    (call,) = client.link.calls
    call.expire()
    await turns()
    assert client.read()[1].status == Code.DEADLINE_EXCEEDED
    assert not ran
    assert not client.link.calls


async def test_a_cancellation_from_elsewhere_wins_over_a_deadline() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def wait(stream: ServerStream) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await asyncio.Event().wait()

    client = Client(wait)
    client.send(unary(1, fields=changed(grpc_timeout=b"1H")))
    await turns()
    (call,) = client.link.calls
    call.expire()
    tasks[0].cancel()
    await turns()
    assert tasks[0].cancelled()
    assert client.read()[1].reset == ErrorCode.CANCEL


async def test_a_reset_cancels_a_handler_once() -> None:
    cancelled: list[str] = []

    async def stubborn(stream: ServerStream) -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(0.002)
                await asyncio.Event().wait() if not cancelled else None
            except asyncio.CancelledError:
                cancelled.append(stream.path)
        for action in (stream.receive, lambda: stream.send(b"x"), lambda: stream.send_headers(Metadata())):
            with pytest.raises(Error):
                await action()

    client = Client(stubborn)
    client.send(request(1))
    await turns()
    client.send(reset(1))
    client.link.connection_lost(None)
    await asyncio.sleep(0.01)
    await client.until(lambda: not client.link.calls)
    assert len(cancelled) == 1


async def test_a_call_that_is_reset_in_the_read_that_brought_it_never_begins() -> None:
    ran: list[str] = []

    async def run(stream: ServerStream) -> None:
        ran.append(stream.path)

    before = asyncio.all_tasks()
    client = Client(run)
    client.send(request(1), reset(1), unary(3), reset(3), request(5) + data(5, message(b"x")) + reset(5))
    assert asyncio.all_tasks() == before, "a task was made"
    await turns()
    assert not ran
    if sys.version_info < (3, 12):  # From then on, a handler begins in the turn that brings its call.
        client.send(request(7))
        client.send(reset(7))
        await turns()
        assert not ran, "a task ran that was cancelled before"
    assert not client.link.calls
    assert not client.transport.closing


async def test_a_handler_may_end_while_the_client_still_sends() -> None:
    async def early(stream: ServerStream) -> None:
        await stream.send(await stream.receive())
        await stream.finish(None)

    client = Client(early)
    answers = await client.ask(request(1), data(1, message(b"1")))
    assert (answers[1].data, answers[1].status, answers[1].reset) == (message(b"1"), 0, ErrorCode.NO_ERROR)
    await client.ask(data(1, message(b"2")), unary(3))
    assert client.answers[3].status == 0


async def test_replies_that_wait_are_sent_before_the_client_is_told_that_nobody_reads() -> None:
    async def early(stream: ServerStream) -> None:
        await stream.receive()
        await stream.send(b"x" * 100)
        await stream.finish(None)

    client = Client(early, first=PREFACE + settings((4, 50)) + ACK)
    answers = await client.ask(request(1), data(1, message(b"1")))
    assert (len(answers[1].data), answers[1].ended, answers[1].reset) == (50, False, None)
    assert not client.link.calls
    answers = await client.ask(raw(WINDOW_UPDATE, 0, 1, (100).to_bytes(4, "big")))
    assert (len(answers[1].data), answers[1].status, answers[1].reset) == (105, 0, ErrorCode.NO_ERROR)
    assert not client.link.http2.streams


async def test_sending_waits_for_the_window_and_keeps_little_in_the_connection() -> None:
    sent = 0

    async def flood(stream: ServerStream) -> None:
        nonlocal sent
        for _ in range(3):
            await stream.send(bytes(1 << 20))
            sent += 1
        await stream.finish(None)

    client = Client(flood)
    await client.ask(unary(1))
    assert (sent, client.link.http2.waiting) == (0, 32 << 10)
    received = 65_535
    answer = client.read()[1]
    for _ in range(60):
        if answer.ended:
            break
        update = (len(answer.data) + 65_535 - received).to_bytes(4, "big")
        received = len(answer.data) + 65_535
        if int.from_bytes(update, "big"):
            client.send(raw(WINDOW_UPDATE, 0, 1, update), raw(WINDOW_UPDATE, 0, 0, update))
        await turns(2)
        answer = client.read()[1]
        assert client.link.http2.waiting <= 64 << 10
    assert (len(answer.data), answer.status) == (3 * ((1 << 20) + 5), 0)


async def test_a_send_that_is_cancelled_inside_of_a_message_lets_only_the_status_follow() -> None:
    async def give_up(stream: ServerStream) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.send(bytes(1 << 20))
        with pytest.raises(FailedPrecondition):
            await stream.send(b"next")
        await stream.finish(NotFound("given up"))

    client = Client(give_up)
    client.send(unary(1))
    await client.until(lambda: not client.link.calls)
    update = (1 << 20).to_bytes(4, "big")
    answers = await client.ask(raw(WINDOW_UPDATE, 0, 1, update), raw(WINDOW_UPDATE, 0, 0, update))
    assert (len(answers[1].data), answers[1].status) == (65_535 + (32 << 10), Code.NOT_FOUND)


async def test_while_the_transport_holds_too_much_messages_wait_and_go_on_in_turn() -> None:
    sent: list[str] = []

    async def serve(stream: ServerStream) -> None:
        await stream.receive()
        await stream.send(b"reply")
        sent.append(stream.path)
        await stream.finish(None)

    client = Client(serve)
    client.link.pause_writing()
    client.send(*(unary(number, fields=changed(path=b"/%d" % number)) for number in (1, 3, 5)))
    await turns()
    assert not sent
    client.link.resume_writing()
    await turns(20)
    assert sent == ["/1", "/3", "/5"]
    assert [answer.status for answer in client.read().values()] == [0] * 3


async def test_a_peer_that_reads_nothing_is_cut_before_answers_to_it_fill_the_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    client.link.pause_writing()
    client.transport.size = (16 << 20) + 1
    client.send(raw(6, 0, 0, bytes(8)))
    await turns()
    assert client.transport.aborted
    assert client.link.lost
    assert [record.getMessage() for record in caplog.records] == ["a connection is cut: the other side does not read"]


async def test_what_a_handler_has_not_read_stops_its_client() -> None:
    go_on = asyncio.Event()

    async def late(stream: ServerStream) -> None:
        await go_on.wait()
        await echo(stream)

    client = Client(late)
    piece = message(bytes(16_379))
    await client.ask(request(1), *(data(1, piece) for _ in range(3)))
    assert [frame for frame in client.others if frame[0] == WINDOW_UPDATE and frame[2]] == []
    go_on.set()
    await turns()
    client.read()
    updates = [frame for frame in client.others if frame[0] == WINDOW_UPDATE and frame[2]]
    assert sum(int.from_bytes(frame[3], "big") for frame in updates) == 2 * 16_384, (
        "half of the window, and not before it is read"
    )
    assert len(updates) == 1


async def test_a_message_that_is_larger_than_the_window_is_let_through_when_it_is_wanted() -> None:
    want = asyncio.Event()

    async def late(stream: ServerStream) -> None:
        await want.wait()
        await stream.send(b"%d" % len(await stream.receive()))
        await stream.finish(None)

    client = Client(late)
    large = message(bytes(1 << 20))
    await client.ask(request(1), data(1, large[:65_535]))
    assert not [frame for frame in client.others if frame[0] == WINDOW_UPDATE and frame[2]]
    want.set()
    await turns()
    client.read()
    (update,) = [frame for frame in client.others if frame[0] == WINDOW_UPDATE and frame[2]]
    assert int.from_bytes(update[3], "big") == len(large) - 65_535
    answers = await client.ask(data(1, large[65_535:], True))
    assert (answers[1].data, answers[1].status) == (message(b"1048576"), 0)
    assert client.link._reserved == 0


async def test_large_messages_take_turns_and_all_arrive() -> None:
    async def measure(stream: ServerStream) -> None:
        try:
            while True:
                await stream.send(b"%d" % len(await stream.receive()))
        except EndOfStream:
            await stream.finish(None)

    client = Client(measure, ServerLimits(receive=200_000, large_messages=300_000))
    numbers = range(1, 11, 2)
    large = message(bytes(200_000))
    client.send(*(request(number) + data(number, large[:65_535]) for number in numbers))
    left = dict.fromkeys(numbers, large[65_535:])
    for _ in range(10):
        await turns()
        client.read()
        assert client.link._reserved <= 300_000
        granted = [frame for frame in client.others if frame[0] == WINDOW_UPDATE and frame[2]]
        client.others.clear()
        for _, _, number, payload in granted:
            size = int.from_bytes(payload, "big")
            client.send(data(number, left[number][:size], ended=size >= len(left[number])))
            left[number] = left[number][size:]
    assert not any(left.values())
    assert [answer.status for answer in client.read().values()] == [0] * 5


async def test_calls_that_are_over_give_up_their_turns() -> None:
    async def measure(stream: ServerStream) -> None:
        await stream.send(b"%d" % len(await stream.receive()))
        await stream.finish(None)

    client = Client(measure, ServerLimits(receive=200_000, large_messages=150_000))
    large = message(bytes(200_000))
    client.send(*(request(number) + data(number, large[:60_000]) for number in (1, 3, 5)))
    await turns()
    assert client.link._reserved == 200_005 - 65_535
    client.send(reset(3), reset(1))
    await turns()
    assert client.link._reserved == 200_005 - 65_535
    client.send(data(5, large[60_000:], True))
    await turns()
    assert client.link._reserved == 0
    assert client.read()[5].status == 0


async def test_calls_begin_in_batches_and_a_connection_with_many_is_not_read() -> None:
    begun: list[int] = []

    async def count(stream: ServerStream) -> None:
        begun.append(1)
        await stream.finish(None)

    client = Client(count, ServerLimits(begin=10, waiting=20))
    client.send(*(unary(number) for number in range(1, 101, 2)))
    assert not client.transport.reading
    await turns(1)
    assert len(begun) <= 20
    await turns(20)
    assert len(begun) == 50
    assert client.transport.reading


async def test_more_calls_than_the_limit_are_refused() -> None:
    client = Client(never, ServerLimits(streams=10))
    answers = await client.ask(*(request(number) for number in range(1, 41, 2)))
    assert [answers[number].reset for number in sorted(answers)] == [ErrorCode.REFUSED_STREAM] * 10
    assert len(client.link.calls) == 10


async def test_handlers_that_go_on_after_a_reset_are_bounded() -> None:
    release = asyncio.Event()

    async def stubborn(stream: ServerStream) -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    client = Client(stubborn, ServerLimits(streams=5))
    for number in range(1, 61, 2):
        client.send(request(number))
        await turns(2)
        client.send(reset(number))
        await turns(1)
    assert len(client.link.calls) == 10
    release.set()
    await turns()
    assert not client.link.calls


async def test_no_call_begins_while_many_replies_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def large(stream: ServerStream) -> None:
        await stream.receive()
        await stream.send(bytes(30_000))
        await stream.finish(None)

    client = Client(large, ServerLimits(replies=100_000), first=PREFACE + settings((4, 0)) + ACK)
    for number in range(1, 41, 2):
        client.send(unary(number))
        await turns(3)
    assert 100_000 < client.link.http2.waiting < 200_000
    assert len(client.link.http2.streams) == 20
    assert caplog.records[0].getMessage() == "no call of 192.0.2.1:1234 begins now: it does not read its replies"
    client.send(settings((4, 65_535)))
    client.send(raw(WINDOW_UPDATE, 0, 0, (1 << 24).to_bytes(4, "big")))
    await turns(20)
    assert [answer.status for answer in client.read().values()] == [0] * 20
