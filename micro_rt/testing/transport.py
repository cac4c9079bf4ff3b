"""The contract suite of transports: what every transport promises, as tests.

    class TestMyTransport(TransportContract):
        def make(self) -> Transport:
            return MyTransport()

needs nothing but pytest. Every test waits for events, never for a time to pass: the seconds in here only end what hangs.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from micro_rt.context import CallInfo
from micro_rt.errors import (
    Cancelled,
    Code,
    DeadlineExceeded,
    EndOfStream,
    Error,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from micro_rt.metadata import EMPTY, Metadata, MetadataLike
from micro_rt.testing.contract import Contract
from micro_rt.transport.base import ClientStream, Connection, Dispatch, Listener, ServerStream, Transport

__all__ = ["TransportContract"]

MEBIBYTE = 1 << 20
BUSY_ROUNDS = 25
"""Calls that go by while nothing moves, until a sender counts as blocked."""


class TransportContract(Contract):
    """Subclass it, and return a transport from ``make``."""

    address: ClassVar[str] = "127.0.0.1:0"
    """What to listen on to get an address that is free."""
    settle: ClassVar[float] = 20.0
    """Seconds within which something must happen, however busy the machine is; not waited for if it happens earlier."""
    flood: ClassVar[int] = 200
    """Messages of one mebibyte that are sent to who does not read: far more than all buffers on the way hold."""

    def make(self) -> Transport:
        """Returns a transport."""
        raise NotImplementedError

    # The four kinds

    async def test_a_unary_call(self) -> None:
        async def upper(stream: ServerStream) -> None:
            await stream.send((await stream.receive()).upper())
            await stream.finish(None)

        async with self._serving(upper) as connection:
            assert await _unary(connection, b"hello") == b"HELLO"

    async def test_a_handler_sees_what_is_called(self) -> None:
        async def describe(stream: ServerStream) -> None:
            assert stream.peer
            await stream.send(f"{stream.path} {stream.content_subtype} {stream.deadline}".encode())
            await stream.finish(None)

        async with self._serving(describe) as connection:
            assert await _unary(connection, b"", path="/a.b.C/D") == b"/a.b.C/D proto None"

    async def test_server_streaming(self) -> None:
        async with self._serving(_count) as connection:
            stream = await _open(connection)
            await stream.send(b"1000", end=True)
            assert await _all(stream) == [b"%d" % number for number in range(1000)]

    async def test_client_streaming(self) -> None:
        async def join(stream: ServerStream) -> None:
            await stream.send(b",".join(await _requests(stream)))
            await stream.finish(None)

        async with self._serving(join) as connection:
            stream = await _open(connection)
            for number in range(1000):
                await stream.send(b"%d" % number)
            await stream.end()
            assert await _all(stream) == [b",".join(b"%d" % number for number in range(1000))]

    async def test_bidirectional_streaming(self) -> None:
        async with self._serving(_echo) as connection:
            stream = await _open(connection)
            for number in range(100):
                await stream.send(b"%d" % number)
                assert await stream.receive() == b"%d" % number
            await stream.end()
            assert await _all(stream) == []

    async def test_sending_and_receiving_at_once(self) -> None:
        async with self._serving(_echo) as connection:
            stream = await _open(connection)
            messages = [b"%d" % number * 100 for number in range(3000)]

            async def send() -> None:
                for message in messages:
                    await stream.send(message)
                await stream.end()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                received = group.create_task(_all(stream))
            assert received.result() == messages

    async def test_the_server_may_speak_first(self) -> None:
        async def greet(stream: ServerStream) -> None:
            await stream.send(b"who are you?")
            await stream.send(await stream.receive())
            await stream.finish(None)

        async with self._serving(greet) as connection:
            stream = await _open(connection)
            assert await stream.receive() == b"who are you?"
            await stream.send(b"Ada")
            assert await stream.receive() == b"Ada"
            await _ends(stream)

    async def test_messages_may_be_empty(self) -> None:
        async with self._serving(_echo) as connection:
            assert await _unary(connection, b"") == b""
            stream = await _open(connection)
            for message in (b"", b"1", b"", b""):
                await stream.send(message)
            await stream.end()
            assert await _all(stream) == [b"", b"1", b"", b""]

    async def test_streams_may_be_empty(self) -> None:
        async with self._serving(_echo) as connection:
            stream = await _open(connection)
            await stream.end()
            await _ends(stream)
            await _ends(stream)

    @pytest.mark.parametrize("size", [MEBIBYTE, 8 * MEBIBYTE])
    async def test_large_messages(self, size: int) -> None:
        message = bytes(range(256)) * (size // 256)
        async with self._serving(_echo) as connection:
            assert await _unary(connection, message) == message
            stream = await _open(connection)
            await stream.send(message)
            await stream.send(b"small")
            assert await stream.receive() == message
            await stream.end()
            assert await _all(stream) == [b"small"]

    async def test_a_unary_call_needs_exactly_one_reply(self) -> None:
        async def answer(stream: ServerStream) -> None:
            for _ in range(int(await stream.receive())):
                await stream.send(b"reply")
            await stream.finish(None)

        async with self._serving(answer) as connection:
            assert await _unary(connection, b"1") == b"reply"
            for count in (b"0", b"2"):
                with pytest.raises(Internal):
                    await _unary(connection, count)

    # Metadata

    async def test_metadata_of_the_request(self) -> None:
        seen: list[Metadata] = []

        async def look(stream: ServerStream) -> None:
            seen.append(stream.metadata)
            await _echo(stream)

        async with self._serving(look) as connection:
            await _unary(connection, b"", metadata=_METADATA)
            await _unary(connection, b"")
        assert _grouped(seen[0]) == _grouped(_METADATA)
        assert not _grouped(seen[1]).keys() & _grouped(_METADATA).keys()

    async def test_headers_and_trailers_of_the_reply(self) -> None:
        async def answer(stream: ServerStream) -> None:
            await stream.send_headers(_METADATA)
            await stream.receive()
            await stream.send(b"reply")
            await stream.finish(None, Metadata([*_METADATA.pairs, ("only-in", "trailers")]))

        async with self._serving(answer) as connection:
            info = CallInfo()
            stream = await _open(connection, info=info)
            await stream.send(b"", end=True)
            assert await stream.receive() == b"reply"
            assert _grouped(info.headers) == _grouped(_METADATA)
            await _ends(stream)
            assert _grouped(info.trailers) == {**_grouped(_METADATA), "only-in": ["trailers"]}
            assert "only-in" not in info.headers

    async def test_headers_and_trailers_of_an_error(self) -> None:
        async def fail(stream: ServerStream) -> None:
            await stream.send_headers(Metadata({"where": "headers"}))
            await stream.send(b"reply")
            await stream.finish(NotFound("nothing here"), Metadata({"where": "trailers"}))

        async with self._serving(fail) as connection:
            info = CallInfo()
            stream = await _open(connection, info=info)
            await stream.end()
            assert await stream.receive() == b"reply"
            with pytest.raises(NotFound, match="nothing here"):
                await stream.receive()
            assert info.headers["where"] == "headers"
            assert info.trailers["where"] == "trailers"

    async def test_an_error_without_headers_or_message_has_trailers(self) -> None:
        async with self._serving(_failing(NotFound("nothing here"), _METADATA)) as connection:
            info = CallInfo()
            with pytest.raises(NotFound, match="nothing here"):
                await _unary(connection, b"", info=info)
            assert _grouped(info.trailers) == _grouped(_METADATA)

    # Errors

    @pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
    async def test_every_code_arrives_with_all_that_it_says(self, code: Code) -> None:
        details: list[Message] = [StringValue(value="ä\0"), Duration(seconds=7)]
        sent = Error.of(code, "100 %, 50%25 ☃\r\n\tÄ 🎉 ", id="test.failed", details=details)
        async with self._serving(_failing(sent)) as connection:
            with pytest.raises(type(sent)) as caught:
                await _unary(connection, b"")
        assert caught.value.code is code
        assert caught.value.message == sent.message
        assert caught.value.id == "test.failed"
        assert list(caught.value.details) == details
        assert caught.value.may_have_run

    async def test_an_error_without_anything(self) -> None:
        async with self._serving(_failing(PermissionDenied())) as connection:
            with pytest.raises(PermissionDenied) as caught:
                await _unary(connection, b"")
        assert (caught.value.message, caught.value.id, caught.value.details) == ("", "", ())

    @pytest.mark.parametrize("part", ["message", "details"])
    async def test_an_error_that_is_too_long_keeps_its_code_and_harms_no_other_call(self, part: str) -> None:
        sent = NotFound("x" * MEBIBYTE) if part == "message" else NotFound(details=[StringValue(value="x" * MEBIBYTE)])

        async with self._serving(_beside_echo(_failing(sent))) as connection:
            stream = await _open(connection)
            with pytest.raises(NotFound):
                await _unary(connection, b"", path=_OTHER)
            await stream.send(b"still here", end=True)
            assert await _all(stream) == [b"still here"]

    async def test_replies_before_an_error_can_be_read(self) -> None:
        over = asyncio.Event()

        async def some(stream: ServerStream) -> None:
            for number in range(5):
                await stream.send(b"%d" % number)
            await stream.finish(NotFound("no more"))
            over.set()

        async with self._serving(some) as connection:
            stream = await _open(connection)
            await self._wait(over)
            with pytest.raises(Error):  # Sending finds out first; what came before the status must not get lost by it.
                while True:
                    await stream.send(b"x")
                    await asyncio.sleep(0)
            for number in range(5):
                assert await stream.receive() == b"%d" % number
            for _ in range(2):
                with pytest.raises(NotFound, match="no more"):
                    await stream.receive()

    async def test_a_handler_that_raises_fails_the_call(self) -> None:
        async def broken(stream: ServerStream) -> None:
            if await stream.receive() == b"break":
                raise ZeroDivisionError("on purpose")
            await stream.send(b"fine")
            await stream.finish(None)

        async with self._serving(broken) as connection:
            with pytest.raises(Error) as caught:
                await self._soon(_unary(connection, b"break"))
            assert caught.value.code in (Code.UNKNOWN, Code.INTERNAL)
            assert caught.value.may_have_run
            assert await _unary(connection, b"") == b"fine"

    async def test_a_handler_that_returns_without_a_status_fails_the_call(self) -> None:
        async def forgetful(stream: ServerStream) -> None:
            await stream.send(await stream.receive())

        async with self._serving(forgetful) as connection:
            with pytest.raises(Internal):
                await self._soon(_unary(connection, b""))

    async def test_finishing_twice_is_finishing(self) -> None:
        async def twice(stream: ServerStream) -> None:
            await stream.send(await stream.receive())
            await stream.finish(None)
            await stream.finish(NotFound("too late"))

        async with self._serving(twice) as connection:
            assert await _unary(connection, b"reply") == b"reply"

    # Deadlines

    async def test_a_deadline_reaches_the_handler(self) -> None:
        seen: list[float | None] = []

        async def look(stream: ServerStream) -> None:
            seen.append(stream.deadline)
            await _echo(stream)

        async with self._serving(look) as connection:
            for seconds in (3.7, 59.9, 3599.9, 1e7, 1e10):
                deadline = _in(seconds)
                await _unary(connection, b"", deadline=deadline)
                arrived = seen.pop()
                # It travels as the time that is left; gRPC has at most 8 digits for that.
                assert arrived is not None
                assert arrived >= deadline - seconds / 1000 or seconds > 1e8
                assert arrived <= deadline + self.settle

    async def test_a_deadline_ends_both_sides(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            with pytest.raises(DeadlineExceeded) as caught:
                await self._soon(_unary(connection, b"", deadline=_in(0.1)))
            assert isinstance(caught.value, TimeoutError)
            if caught.value.may_have_run:
                await self._wait(handler.cancelled)

    async def test_a_deadline_ends_a_handler_whose_client_does_not_look(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            stream = await _open(connection, deadline=_in(0.3))
            await stream.send(b"")
            await self._wait(handler.cancelled)
            with pytest.raises(DeadlineExceeded):
                await stream.receive()

    async def test_a_deadline_ends_a_sender_that_waits(self) -> None:
        async with self._serving(_Endless()) as connection:
            stream = await _open(connection, deadline=_in(0.5))
            with pytest.raises(DeadlineExceeded):
                await self._soon(_Sender(stream, self.flood).run())

    async def test_a_deadline_that_has_passed_is_not_sent(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            await connection.connect()
            for deadline in (_in(0), _in(-5)):
                with pytest.raises(DeadlineExceeded) as caught:
                    await _unary(connection, b"", deadline=deadline)
                assert not caught.value.may_have_run
        assert not handler.started.is_set()

    async def test_a_deadline_does_not_touch_a_call_that_is_done(self) -> None:
        async with self._serving(_echo) as connection:
            stream = await _open(connection, deadline=_in(0.2))
            await stream.send(b"in time", end=True)
            received = asyncio.create_task(_all(stream))
            assert await received == [b"in time"]
            await asyncio.sleep(0.3)
            await _ends(stream)
            assert await _unary(connection, b"next") == b"next"

    # Cancellation

    async def test_cancelling_a_call_cancels_its_handler(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            stream = await _open(connection)
            await stream.send(b"")
            await self._wait(handler.started)
            stream.cancel()
            await self._wait(handler.cancelled)
            for _ in range(2):
                with pytest.raises(Cancelled):
                    await stream.receive()
            with pytest.raises(Error):
                await stream.send(b"")
            stream.cancel()

    async def test_cancelling_a_call_wakes_who_waits_for_it(self) -> None:
        async with self._serving(_beside_echo(_Endless())) as connection:
            stream = await _open(connection, path=_OTHER)
            sender = _Sender(stream, self.flood)
            receiving = asyncio.create_task(stream.receive())
            sending = asyncio.create_task(sender.run())
            await self._blocked(connection, sender.progress)
            stream.cancel()
            for waiting in (receiving, sending):
                with pytest.raises(Cancelled):
                    await self._soon(waiting)
                assert not waiting.cancelled()

    async def test_cancelling_the_task_of_a_call_cancels_its_handler(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            task = asyncio.create_task(_unary(connection, b""))
            await self._wait(handler.started)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self._soon(task)
            assert task.cancelled()
            await self._wait(handler.cancelled)

    async def test_a_timeout_of_the_caller_cancels_the_handler(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            await connection.connect()
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await _unary(connection, b"")
            assert not isinstance(caught.value, Error)
            await self._wait(handler.started)
            await self._wait(handler.cancelled)
            await self._unharmed()

    async def test_cancelling_a_call_that_is_over_does_nothing(self) -> None:
        async with self._serving(_echo) as connection:
            stream = await _open(connection)
            await stream.send(b"1", end=True)
            assert await _all(stream) == [b"1"]
            stream.cancel()
            await _ends(stream)

    async def test_a_cancelled_call_leaves_the_others_alone(self) -> None:
        async with self._serving(_echo) as connection:
            stays, goes = await _open(connection), await _open(connection)
            for stream in (stays, goes):
                await stream.send(b"1")
                assert await stream.receive() == b"1"
            goes.cancel()
            await stays.send(b"2", end=True)
            assert await _all(stays) == [b"2"]

    async def test_a_receive_that_is_cancelled_loses_nothing(self) -> None:
        message = bytes(range(256)) * (8 * MEBIBYTE // 256)
        go_on = asyncio.Event()

        async def slowly(stream: ServerStream) -> None:
            await stream.send(await _patiently(stream.receive))
            await go_on.wait()
            await stream.send(b"small")
            await stream.finish(None)

        async with self._serving(slowly) as connection:
            stream = await _open(connection)
            await stream.send(message)
            assert await _patiently(stream.receive) == message
            go_on.set()
            assert await _patiently(stream.receive) == b"small"
            await _ends(stream)

    async def test_a_send_that_is_cancelled_does_not_garble_the_stream(self) -> None:
        received: list[bytes] = []
        read = asyncio.Event()

        async def collect(stream: ServerStream) -> None:
            await read.wait()
            while True:
                received.append(await stream.receive())

        async with self._serving(_beside_echo(collect)) as connection:
            stream = await _open(connection, path=_OTHER)
            sender = _Sender(stream, self.flood)
            sending = asyncio.create_task(sender.run())
            await self._blocked(connection, sender.progress)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self._soon(sending)
            read.set()
            with contextlib.suppress(Error):  # Whether the call goes on after it is the transport's to decide.
                await self._soon(stream.send(b"after"))
            stream.cancel()
        assert {len(message) for message in received} <= {MEBIBYTE, len(b"after")}

    async def test_a_handler_that_goes_on_after_its_client_left_sees_errors_of_ours(self) -> None:
        started, over = asyncio.Event(), asyncio.Event()
        seen: list[object] = []

        async def stubborn(stream: ServerStream) -> None:
            started.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            for action in (lambda: stream.send_headers(EMPTY), lambda: stream.send(b"x"), stream.receive):
                try:
                    await action()
                except BaseException as error:
                    seen.append(error)
            over.set()
            await stream.finish(None)

        for leave in ("call", "connection"):
            seen.clear()
            over.clear()
            started.clear()
            async with self._serving(stubborn) as connection:
                stream = await _open(connection)
                await stream.send(b"")
                await self._wait(started)
                if leave == "call":
                    stream.cancel()
                else:
                    await connection.close()
                await self._wait(over)
            assert [error for error in seen if not isinstance(error, Error)] == [], leave

    @pytest.mark.parametrize("how", ["deadline", "status", "lost", "closed", "cancel"])
    async def test_the_task_of_a_failed_call_is_unharmed(self, how: str) -> None:
        handler = _Endless()

        async def serve(stream: ServerStream) -> None:
            await (stream.finish(InvalidArgument()) if stream.path == "/test.Test/status" else handler(stream))

        async with self._listening(serve) as (listener, connection):
            deadline = _in(0.2) if how == "deadline" else None
            stream = await _open(connection, path=f"/test.Test/{how}", deadline=deadline)
            with contextlib.suppress(InvalidArgument):  # The handler may have been faster.
                await stream.send(b"")
            if how != "status":
                await self._wait(handler.started)
            others = {"lost": listener.close, "closed": connection.close}
            ending = asyncio.create_task(others[how]()) if how in others else None
            if how == "cancel":
                asyncio.get_running_loop().call_soon(stream.cancel)
            with pytest.raises(Error):
                await self._soon(stream.receive())
            await self._unharmed()
            if ending is not None:
                await self._soon(ending)

    async def test_a_cancellation_from_outside_wins_over_a_failure(self) -> None:
        async with self._serving(_Endless()) as connection:
            for failure in (True, False):
                stream = await _open(connection)
                task = asyncio.create_task(stream.receive())
                await asyncio.sleep(0.01)
                for end in (stream.cancel, task.cancel) if failure else (task.cancel, stream.cancel):
                    end()
                with pytest.raises(asyncio.CancelledError):
                    await self._soon(task)

    # One side ends early

    @pytest.mark.parametrize("error", [None, NotFound("early")])
    async def test_a_handler_may_end_while_the_client_still_sends(self, error: Error | None) -> None:
        async def early(stream: ServerStream) -> None:
            await stream.send(await stream.receive())
            await stream.finish(error)

        async with self._serving(early) as connection:
            stream = await _open(connection)
            with pytest.raises(Error) as caught:
                await self._soon(_Sender(stream, self.flood).run())
            assert isinstance(caught.value, EndOfStream | NotFound)
            assert len(await stream.receive()) == MEBIBYTE
            with pytest.raises(EndOfStream if error is None else NotFound):
                await stream.receive()

    async def test_ending_a_call_that_is_over_does_nothing(self) -> None:
        over = asyncio.Event()

        async def early(stream: ServerStream) -> None:
            await stream.send(b"early")
            await stream.finish(None)
            over.set()

        async with self._serving(early) as connection:
            stream = await _open(connection)
            await self._wait(over)
            assert await stream.receive() == b"early"
            await stream.end()
            await _ends(stream)
            await stream.end()
            stream.cancel()
            await stream.end()

    async def test_a_unary_call_may_be_answered_before_it_is_read(self) -> None:
        async def early(stream: ServerStream) -> None:
            await stream.send(b"too long")
            await stream.finish(None)

        async with self._serving(early) as connection:
            assert await self._soon(_unary(connection, bytes(32 * MEBIBYTE))) == b"too long"

    # Flow control

    async def test_a_client_that_does_not_read_stops_its_handler_and_no_other(self) -> None:
        sent = 0

        async def flood(stream: ServerStream) -> None:
            nonlocal sent
            for number in range(self.flood):
                await stream.send(number.to_bytes(4, "big") + bytes(MEBIBYTE))
                sent += 1
            await stream.finish(None)

        async with self._serving(_beside_echo(flood)) as connection:
            stream = await _open(connection, path=_OTHER)
            await stream.end()
            assert await stream.receive()
            await self._blocked(connection, lambda: sent)
            assert sent < self.flood, "nothing stopped the sender"
            numbers = [int.from_bytes(message[:4], "big") for message in await _all(stream)]
            assert numbers == list(range(1, self.flood))

    async def test_a_handler_that_does_not_read_stops_its_client_and_no_other(self) -> None:
        read = asyncio.Event()

        async def late(stream: ServerStream) -> None:
            await read.wait()
            await stream.send(b"%d" % len(await _requests(stream)))
            await stream.finish(None)

        async with self._serving(_beside_echo(late)) as connection:
            stream = await _open(connection, path=_OTHER)
            sender = _Sender(stream, self.flood)
            sending = asyncio.create_task(sender.run())
            await self._blocked(connection, sender.progress)
            assert sender.sent < self.flood, "nothing stopped the sender"
            read.set()
            await self._soon(sending)
            assert await _all(stream) == [b"%d" % self.flood]

    async def test_what_was_not_read_does_not_use_up_the_connection(self) -> None:
        async with self._serving(_count_kibibytes) as connection:
            for _ in range(100):
                stream = await _open(connection)
                await stream.send(b"1000", end=True)
                assert await stream.receive()
                stream.cancel()
            assert len(await self._soon(_unary(connection, b"1"))) == 1024

    # Many calls

    async def test_200_calls_at_once_on_a_new_connection(self) -> None:
        arrived = 0
        all_there = asyncio.Event()

        async def meet(stream: ServerStream) -> None:
            nonlocal arrived
            message = await stream.receive()
            arrived += 1
            if arrived == 200:
                all_there.set()
            await all_there.wait()
            await stream.send(message)
            await stream.finish(None)

        async with self._serving(meet) as connection:
            calls = [_unary(connection, b"%d" % number) for number in range(200)]
            assert await self._soon(asyncio.gather(*calls)) == [b"%d" % number for number in range(200)]

    # Connecting, draining, closing

    async def test_where_nobody_listens(self) -> None:
        async with self._listening(_echo) as (listener, connection):
            await listener.close()
            for attempt in (connection.connect(), _open(connection), _unary(connection, b"")):
                with pytest.raises(Unavailable) as caught:
                    await self._soon(attempt)
                assert not caught.value.may_have_run

    async def test_an_address_is_taken_once(self) -> None:
        async with self._listening(_echo) as (listener, connection):
            with pytest.raises(Error):
                await self.make().listen(listener.address, _echo)
            assert await _unary(connection, b"1") == b"1"

    async def test_closing_a_listener_fails_its_calls(self) -> None:
        handler = _Endless()
        async with self._listening(handler) as (listener, connection):
            stream = await _open(connection)
            await stream.send(b"")
            call = asyncio.create_task(_unary(connection, b""))
            await self._wait(handler.started)
            await self._until(lambda: handler.calls == 2)
            await self._soon(listener.close())
            assert handler.cancelled.is_set()
            for waiting in (stream.receive(), call):
                with pytest.raises(Error) as caught:
                    await self._soon(waiting)
                assert isinstance(caught.value, Unavailable | Cancelled)
                assert caught.value.may_have_run

    async def test_what_was_sent_before_a_listener_closed_can_be_read(self) -> None:
        over = asyncio.Event()

        async def serve(stream: ServerStream) -> None:
            for number in range(12):
                await stream.send(number.to_bytes(4, "big") * (MEBIBYTE // 16))
            await stream.finish(None)
            over.set()

        async with self._listening(serve) as (listener, connection):
            stream = await _open(connection)
            await self._wait(over)
            # Let the rest arrive here before the other side goes.
            for _ in range(BUSY_ROUNDS):
                await asyncio.sleep(0.002)
            await listener.close()
            for _ in range(BUSY_ROUNDS):
                await asyncio.sleep(0.002)
            assert [message[:4] for message in await _all(stream)] == [
                number.to_bytes(4, "big") for number in range(12)
            ]

    async def test_draining_refuses_new_calls_and_finishes_old_ones(self) -> None:
        ran: list[str] = []

        async def serve(stream: ServerStream) -> None:
            ran.append(stream.path)
            await _echo(stream)

        async with self._listening(serve) as (listener, connection):
            stream = await _open(connection)
            await stream.send(b"before")
            assert await stream.receive() == b"before"
            await listener.drain()
            fresh = self.make().connection(listener.address)
            for refused in (connection, fresh):
                with pytest.raises(Unavailable) as caught:
                    await self._soon(_unary(refused, b"", path=_OTHER))
                assert not caught.value.may_have_run
            await fresh.close()
            await stream.send(b"after", end=True)
            assert await _all(stream) == [b"after"]
            assert ran == [_PATH]
            await listener.drain()

    async def test_a_connection_comes_back_with_its_listener(self) -> None:
        transport = self.make()
        listener = await transport.listen(self.address, _echo)
        connection = transport.connection(listener.address)
        try:
            for number in range(3):
                assert await _unary(connection, b"%d" % number) == b"%d" % number
                await listener.close()
                with pytest.raises(Unavailable):
                    await self._soon(_unary(connection, b""))
                listener = await self._again(transport, listener.address)
            assert await _unary(connection, b"back") == b"back"
        finally:
            await connection.close()
            await listener.close()

    async def test_closing_a_connection_fails_its_calls(self) -> None:
        handler = _Endless()
        async with self._serving(handler) as connection:
            stream = await _open(connection)
            await stream.send(b"")
            call = asyncio.create_task(_unary(connection, b""))
            await self._until(lambda: handler.calls == 2)
            await connection.close()
            for waiting in (stream.receive(), call):
                with pytest.raises(Unavailable) as caught:
                    await self._soon(waiting)
                assert caught.value.may_have_run
            await self._wait(handler.cancelled)
            await connection.close()
            for attempt in (connection.connect(), _open(connection), _unary(connection, b"")):
                with pytest.raises(Unavailable) as caught:
                    await self._soon(attempt)
                assert not caught.value.may_have_run

    async def test_a_connection_may_be_closed_while_it_connects(self) -> None:
        async with self._listening(_echo) as (listener, _):
            connection = self.make().connection(listener.address)
            call = asyncio.create_task(_unary(connection, b"1"))
            await asyncio.sleep(0)
            await connection.close()
            with contextlib.suppress(Unavailable):
                assert await self._soon(call) == b"1"

    async def test_a_connection_need_not_be_used(self) -> None:
        async with self._listening(_echo) as (listener, _):
            connection = self.make().connection(listener.address)
            await connection.close()

    async def test_many_who_connect_at_once_share_one_connection(self) -> None:
        peers: set[str] = set()

        async def look(stream: ServerStream) -> None:
            peers.add(stream.peer)
            await _echo(stream)

        async with self._serving(look) as connection:
            await asyncio.gather(
                *(connection.connect() for _ in range(20)), *(_unary(connection, b"") for _ in range(20))
            )
        assert len(peers) == 1

    # Context

    async def test_context_variables_of_the_caller_do_not_reach_the_handler(self) -> None:
        async def look(stream: ServerStream) -> None:
            await stream.send(_variable.get().encode())
            _variable.set("the handler's")
            await stream.finish(None)

        async with self._serving(look) as connection:
            _variable.set("the caller's")
            for _ in range(2):
                assert await _unary(connection, b"") == b"nobody's"
            assert _variable.get() == "the caller's"

    # Helpers

    @contextlib.asynccontextmanager
    async def _listening(self, dispatch: Dispatch) -> AsyncGenerator[tuple[Listener, Connection]]:
        """Listens, gives a connection to it, and checks that nothing is left behind."""
        before = asyncio.all_tasks()
        transport = self.make()
        listener = await transport.listen(self.address, dispatch)
        connection = transport.connection(listener.address)
        try:
            yield listener, connection
        finally:
            await self._soon(connection.close())
            await self._soon(listener.close())
        await self._until(lambda: not asyncio.all_tasks() - before)

    @contextlib.asynccontextmanager
    async def _serving(self, dispatch: Dispatch) -> AsyncGenerator[Connection]:
        async with self._listening(dispatch) as (_, connection):
            yield connection

    async def _again(self, transport: Transport, address: str) -> Listener:
        """Listens where a listener was a moment ago."""
        async with asyncio.timeout(self.settle):
            while True:
                try:
                    return await transport.listen(address, _echo)
                except Error:
                    await asyncio.sleep(0.05)

    async def _soon(self, waiting: Awaitable[Any]) -> Any:
        """Awaits what must come to an end."""
        async with asyncio.timeout(self.settle):
            return await waiting

    async def _wait(self, event: asyncio.Event) -> None:
        await self._soon(event.wait())

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.settle):
            while not holds():  # noqa: ASYNC110 - what is waited for does not tell
                await asyncio.sleep(0.01)

    async def _blocked(self, connection: Connection, progress: Callable[[], int]) -> None:
        """Waits until nothing moves while other calls on the connection go by."""
        seen, rounds = progress(), 0
        while rounds < BUSY_ROUNDS:
            assert await self._soon(_unary(connection, b"by the way")) == b"by the way"
            await asyncio.sleep(0.002)
            seen, rounds = (seen, rounds + 1) if progress() == seen else (progress(), 0)

    async def _unharmed(self) -> None:
        """Checks that the present task can be timed out and can hold a group of tasks, as before."""
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "done"))
        assert child.result() == "done"
        assert task.cancelling() == 0


_PATH = "/test.Test/Call"
_OTHER = "/test.Test/Other"
_METADATA = Metadata(
    [
        ("text", "printable ASCII: ~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./"),
        ("repeated", "1"),
        ("other", "between"),
        ("repeated", "2"),
        ("repeated", "1"),
        ("empty", ""),
        ("every.byte-bin", bytes(range(256))),
        ("repeated-bin", b"\0"),
        ("repeated-bin", b""),
        ("repeated-bin", b"\xff\xfe\xfd\xfc"),
        ("with_under-score.and.dot", "x" * 2000),
    ]
)
_variable: ContextVar[str] = ContextVar("_variable", default="nobody's")


class _Endless:
    """A handler that waits until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.calls = 0

    async def __call__(self, stream: ServerStream) -> None:
        self.calls += 1
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class _Sender:
    """Sends messages of one mebibyte, and counts those that went."""

    def __init__(self, stream: ClientStream, count: int) -> None:
        self.stream = stream
        self.count = count
        self.sent = 0

    async def run(self) -> None:
        for number in range(self.count):
            await self.stream.send(number.to_bytes(4, "big") + bytes(MEBIBYTE - 4))
            self.sent += 1
        await self.stream.end()

    def progress(self) -> int:
        return self.sent


def _beside_echo(handler: Dispatch) -> Dispatch:
    """Serves one path with a handler, and echoes on every other."""

    async def serve(stream: ServerStream) -> None:
        await (handler(stream) if stream.path == _OTHER else _echo(stream))

    return serve


def _failing(error: Error, trailers: Metadata = EMPTY) -> Dispatch:
    async def fail(stream: ServerStream) -> None:
        await stream.finish(error, trailers)

    return fail


async def _echo(stream: ServerStream) -> None:
    try:
        while True:
            await stream.send(await stream.receive())
    except EndOfStream:
        await stream.finish(None)


async def _count(stream: ServerStream) -> None:
    for number in range(int(await stream.receive())):
        await stream.send(b"%d" % number)
    await stream.finish(None)


async def _count_kibibytes(stream: ServerStream) -> None:
    for _ in range(int(await stream.receive())):
        await stream.send(bytes(1024))
    await stream.finish(None)


async def _requests(stream: ServerStream) -> list[bytes]:
    requests: list[bytes] = []
    try:
        while True:
            requests.append(await stream.receive())
    except EndOfStream:
        return requests


async def _open(
    connection: Connection,
    *,
    path: str = _PATH,
    metadata: Metadata = EMPTY,
    deadline: float | None = None,
    info: CallInfo | None = None,
) -> ClientStream:
    return await connection.open(path, "proto", metadata, deadline, info or CallInfo())


async def _unary(
    connection: Connection,
    message: bytes,
    *,
    path: str = _PATH,
    metadata: Metadata = EMPTY,
    deadline: float | None = None,
    info: CallInfo | None = None,
) -> bytes:
    return await connection.unary(path, "proto", metadata, deadline, info or CallInfo(), message)


async def _all(stream: ClientStream) -> list[bytes]:
    messages: list[bytes] = []
    try:
        while True:
            messages.append(await stream.receive())
    except EndOfStream:
        return messages


async def _ends(stream: ClientStream) -> None:
    with pytest.raises(EndOfStream):
        await stream.receive()


async def _patiently(receive: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
    """Receives a message, and gives the wait up again and again until it is there."""
    while True:
        task = asyncio.create_task(receive())
        for _ in range(3):
            await asyncio.sleep(0)
        if task.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                return await task
        else:
            return task.result()


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def _grouped(metadata: MetadataLike) -> dict[str, list[object]]:
    """The values of each key, in order: how keys are ordered among each other is not promised."""
    pairs = metadata if isinstance(metadata, Metadata) else Metadata(metadata)
    return {key: list(pairs.all(key)) for key in pairs}
