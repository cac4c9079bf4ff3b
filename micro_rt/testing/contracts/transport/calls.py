"""Calls of all kinds, their metadata and their errors."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import UninterpretedOption
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from micro_rt.context import CallInfo
from micro_rt.errors import (
    Cancelled,
    Code,
    EndOfStream,
    Error,
    FailedPrecondition,
    Internal,
    NotFound,
    PermissionDenied,
    Unimplemented,
)
from micro_rt.metadata import Metadata
from micro_rt.testing.contracts.transport.harness import (
    MEBIBYTE,
    METADATA,
    OTHER,
    TransportHarness,
    all_replies,
    all_requests,
    beside_echo,
    count,
    echo,
    ends,
    failing,
    grouped,
    open_call,
    unary,
)
from micro_rt.transport.base import ServerStream

__all__ = ["CallsContract"]


class CallsContract(TransportHarness):
    """What travels arrives, in order and whole."""

    # The four kinds

    async def test_a_unary_call(self) -> None:
        async def upper(stream: ServerStream) -> None:
            await stream.send((await stream.receive()).upper())
            await stream.finish(None)

        async with self.serving(upper) as connection:
            assert await unary(connection, b"hello") == b"HELLO"

    async def test_a_handler_sees_what_is_called(self) -> None:
        async def describe(stream: ServerStream) -> None:
            assert stream.peer
            await stream.send(f"{stream.path} {stream.content_subtype} {stream.deadline}".encode())
            await stream.finish(None)

        async with self.serving(describe) as connection:
            assert await unary(connection, b"", path="/a.b.C/D") == b"/a.b.C/D proto None"

    @pytest.mark.parametrize("subtype", ["json", "acme", "vnd.acme-1.0_x"])
    async def test_a_content_subtype_arrives_as_sent(self, subtype: str) -> None:
        async def describe(stream: ServerStream) -> None:
            await stream.receive()
            await stream.send(stream.content_subtype.encode())
            await stream.finish(None)

        async with self.serving(describe) as connection:
            assert await unary(connection, b"\xff", content_subtype=subtype) == subtype.encode()
            assert await unary(connection, b"\xff") == b"proto"
            stream = await open_call(connection, content_subtype=subtype)
            await stream.send(b"\xff", end=True)
            assert await all_replies(stream) == [subtype.encode()]

    async def test_server_streaming(self) -> None:
        async with self.serving(count) as connection:
            stream = await open_call(connection)
            await stream.send(b"1000", end=True)
            assert await all_replies(stream) == [b"%d" % number for number in range(1000)]

    async def test_replies_that_have_come_are_taken_in_their_turn(self) -> None:
        async with self.serving(count) as connection:
            stream = await open_call(connection)
            await stream.send(b"3000", end=True)
            replies: list[bytes] = []
            with pytest.raises(EndOfStream):
                while True:
                    reply = stream.receive_nowait()
                    replies.append(await self.soon(stream.receive()) if reply is None else reply)
            assert replies == [b"%d" % number for number in range(3000)]
            assert stream.receive_nowait() is None

    async def test_nothing_is_taken_of_a_call_that_was_given_up(self) -> None:
        async def some(stream: ServerStream) -> None:
            for number in range(100):
                await stream.send(b"%d" % number)
            await asyncio.sleep(3600)

        async with self.serving(some) as connection:
            stream = await open_call(connection)
            await stream.send(b"")
            for number in range(50):
                assert await self.soon(stream.receive()) == b"%d" % number
            stream.cancel()
            assert stream.receive_nowait() is None
            with pytest.raises(Cancelled):
                await stream.receive()

    async def test_client_streaming(self) -> None:
        async def join(stream: ServerStream) -> None:
            await stream.send(b",".join(await all_requests(stream)))
            await stream.finish(None)

        async with self.serving(join) as connection:
            stream = await open_call(connection)
            for number in range(1000):
                await stream.send(b"%d" % number)
            await stream.end()
            assert await all_replies(stream) == [b",".join(b"%d" % number for number in range(1000))]

    async def test_bidirectional_streaming(self) -> None:
        async with self.serving(echo) as connection:
            stream = await open_call(connection)
            for number in range(100):
                await stream.send(b"%d" % number)
                assert await stream.receive() == b"%d" % number
            await stream.end()
            assert await all_replies(stream) == []

    async def test_sending_and_receiving_at_once(self) -> None:
        async with self.serving(echo) as connection:
            stream = await open_call(connection)
            messages = [b"%d" % number * 100 for number in range(3000)]

            async def send() -> None:
                for message in messages:
                    await stream.send(message)
                await stream.end()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                received = group.create_task(all_replies(stream))
            assert received.result() == messages

    async def test_the_server_may_speak_first(self) -> None:
        async def greet(stream: ServerStream) -> None:
            await stream.send(b"who are you?")
            await stream.send(await stream.receive())
            await stream.finish(None)

        async with self.serving(greet) as connection:
            stream = await open_call(connection)
            assert await stream.receive() == b"who are you?"
            await stream.send(b"Ada")
            assert await stream.receive() == b"Ada"
            await ends(stream)

    async def test_messages_may_be_empty(self) -> None:
        async with self.serving(echo) as connection:
            assert await unary(connection, b"") == b""
            stream = await open_call(connection)
            for message in (b"", b"1", b"", b""):
                await stream.send(message)
            await stream.end()
            assert await all_replies(stream) == [b"", b"1", b"", b""]

    @pytest.mark.parametrize("how", ["end", "send"])
    async def test_sending_after_the_end_is_refused_and_harms_nothing(self, how: str) -> None:
        go_on = asyncio.Event()

        async def late(stream: ServerStream) -> None:
            requests = await all_requests(stream)
            await go_on.wait()
            await stream.send(b",".join(requests))
            await stream.finish(None)

        async with self.serving(late) as connection:
            stream = await open_call(connection)
            await stream.send(b"1")
            if how == "end":
                await stream.end()
            else:
                await stream.send(b"2", end=True)
            for end in (False, True):
                with pytest.raises(FailedPrecondition, match="has ended its requests already"):
                    await stream.send(b"late", end=end)
            await stream.end()
            go_on.set()
            assert await all_replies(stream) == [b"1" if how == "end" else b"1,2"]
            with pytest.raises(FailedPrecondition, match="has ended its requests already"):
                await stream.send(b"late")

    async def test_streams_may_be_empty(self) -> None:
        async with self.serving(echo) as connection:
            stream = await open_call(connection)
            await stream.end()
            await ends(stream)
            await ends(stream)

    @pytest.mark.parametrize("size", [MEBIBYTE, 8 * MEBIBYTE])
    async def test_large_messages(self, size: int) -> None:
        message = bytes(range(256)) * (size // 256)
        async with self.serving(echo) as connection:
            assert await unary(connection, message) == message
            stream = await open_call(connection)
            await stream.send(message)
            await stream.send(b"small")
            assert await stream.receive() == message
            await stream.end()
            assert await all_replies(stream) == [b"small"]

    async def test_a_unary_call_needs_exactly_one_reply(self) -> None:
        async def answer(stream: ServerStream) -> None:
            for _ in range(int(await stream.receive())):
                await stream.send(b"reply")
            await stream.finish(None)

        async with self.serving(answer) as connection:
            assert await unary(connection, b"1") == b"reply"
            for count in (b"0", b"2"):
                with pytest.raises(Unimplemented):
                    await unary(connection, count)

    async def test_the_only_request_is_exactly_one(self) -> None:
        taken: list[bytes] = []

        async def take(stream: ServerStream) -> None:
            try:
                taken.append(await stream.only_request())
            except Error as error:
                await stream.finish(error)
                return
            await stream.send(b"reply")
            await stream.finish(None)

        async with self.serving(take) as connection:
            assert await unary(connection, b"one") == b"reply"
            for requests in ([], [b"one", b"two"]):
                stream = await open_call(connection)
                for request in requests:
                    await stream.send(request)
                await stream.end()
                with pytest.raises(Unimplemented, match="takes exactly one request"):
                    await self.soon(stream.receive())
            stream = await open_call(connection)
            await stream.send(b"last")
            assert await unary(connection, b"beside") == b"reply"  # It has come on the same connection, after that.
            assert b"last" not in taken, "a second request could still come"
            await stream.end()
            assert await all_replies(stream) == [b"reply"]
        assert taken == [b"one", b"beside", b"last"]

    # Metadata

    async def test_metadata_of_the_request(self) -> None:
        seen: list[Metadata] = []

        async def look(stream: ServerStream) -> None:
            seen.append(stream.metadata)
            await echo(stream)

        async with self.serving(look) as connection:
            await unary(connection, b"", metadata=METADATA)
            await unary(connection, b"")
        assert grouped(seen[0]) == grouped(METADATA)
        assert not grouped(seen[1]).keys() & grouped(METADATA).keys()

    async def test_metadata_that_was_received_can_be_sent_on(self) -> None:
        foreign = Metadata.received([("name", "Zo\xc3\xab"), ("any-byte", "\t \x80\xff"), ("plain", "1")])

        async def relay(stream: ServerStream) -> None:
            metadata = Metadata({key: value for key, value in stream.metadata.items() if key in foreign})
            await stream.send_headers(metadata)
            await stream.send(await stream.receive())
            await stream.finish(None, Metadata(metadata))

        async with self.serving(relay) as connection:
            metadata = Metadata(foreign)
            for _ in range(2):
                info = CallInfo()
                await unary(connection, b"", metadata=metadata, info=info)
                assert grouped(info.headers) == grouped(foreign)
                assert grouped(info.trailers) == grouped(foreign)
                metadata = Metadata(info.headers).merged(())

    async def test_headers_and_trailers_of_the_reply(self) -> None:
        async def answer(stream: ServerStream) -> None:
            await stream.send_headers(METADATA)
            await stream.receive()
            await stream.send(b"reply")
            await stream.finish(None, Metadata([*METADATA.pairs, ("only-in", "trailers")]))

        async with self.serving(answer) as connection:
            info = CallInfo()
            stream = await open_call(connection, info=info)
            await stream.send(b"", end=True)
            assert await stream.receive() == b"reply"
            assert grouped(info.headers) == grouped(METADATA)
            await ends(stream)
            assert grouped(info.trailers) == {**grouped(METADATA), "only-in": ["trailers"]}
            assert "only-in" not in info.headers

    async def test_headers_and_trailers_of_an_error(self) -> None:
        async def fail(stream: ServerStream) -> None:
            await stream.send_headers(Metadata({"where": "headers"}))
            await stream.send(b"reply")
            await stream.finish(NotFound("nothing here"), Metadata({"where": "trailers"}))

        async with self.serving(fail) as connection:
            info = CallInfo()
            stream = await open_call(connection, info=info)
            await stream.end()
            assert await stream.receive() == b"reply"
            with pytest.raises(NotFound, match="nothing here"):
                await stream.receive()
            assert info.headers["where"] == "headers"
            assert info.trailers["where"] == "trailers"

    async def test_an_error_without_headers_or_message_has_trailers(self) -> None:
        async with self.serving(failing(NotFound("nothing here"), METADATA)) as connection:
            info = CallInfo()
            with pytest.raises(NotFound, match="nothing here"):
                await unary(connection, b"", info=info)
            assert grouped(info.trailers) == grouped(METADATA)

    # Errors

    @pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
    async def test_every_code_arrives_with_all_that_it_says(self, code: Code) -> None:
        details: list[Message] = [StringValue(value="ä\0"), Duration(seconds=7)]
        sent = Error.of(code, "100 %, 50%25 ☃\r\n\tÄ 🎉 ", id="test.failed", details=details)
        async with self.serving(failing(sent)) as connection:
            with pytest.raises(type(sent)) as caught:
                await unary(connection, b"")
        assert caught.value.code is code
        assert caught.value.message == sent.message
        assert caught.value.id == "test.failed"
        assert list(caught.value.details) == details
        assert caught.value.may_have_run
        assert not caught.value.unanswered

    async def test_an_error_without_anything(self) -> None:
        async with self.serving(failing(PermissionDenied())) as connection:
            with pytest.raises(PermissionDenied) as caught:
                await unary(connection, b"")
        assert (caught.value.message, caught.value.id, caught.value.details) == ("", "", ())

    @pytest.mark.parametrize("part", ["message", "details"])
    async def test_an_error_that_is_too_long_keeps_its_code_and_harms_no_other_call(self, part: str) -> None:
        sent = NotFound("x" * MEBIBYTE) if part == "message" else NotFound(details=[StringValue(value="x" * MEBIBYTE)])

        async with self.serving(beside_echo(failing(sent))) as connection:
            stream = await open_call(connection)
            with pytest.raises(NotFound):
                await unary(connection, b"", path=OTHER)
            await stream.send(b"still here", end=True)
            assert await all_replies(stream) == [b"still here"]

    @pytest.mark.parametrize("replies", [0, 1])
    @pytest.mark.parametrize("what", ["an exception", "a surrogate", "a detail", "an id", "an incomplete detail"])
    async def test_an_error_that_holds_what_cannot_travel_still_ends_the_call(self, what: str, replies: int) -> None:
        async def fail(stream: ServerStream) -> None:
            error: Any = NotFound("nothing here")
            if what == "an exception":
                error.message = ValueError("nothing here")
            elif what == "a surrogate":
                error.message = "nothing here: \udcff"
            elif what == "an id":
                error.id = 5
            else:
                error.details = ("text" if what == "a detail" else UninterpretedOption.NamePart(),)
            for _ in range(replies):
                await stream.send(b"reply")
            await stream.finish(error, Metadata({"tail": "there"}))

        async with self.serving(fail) as connection:
            info = CallInfo()
            stream = await open_call(connection, info=info)
            await stream.end()
            for _ in range(replies):
                assert await self.soon(stream.receive()) == b"reply"
            with pytest.raises(NotFound, match="nothing here"):
                await self.soon(stream.receive())
            assert info.trailers["tail"] == "there"

    async def test_a_status_that_cannot_be_told_is_an_error_too(self) -> None:
        async def fail(stream: ServerStream) -> None:
            error: Any = NotFound("nothing here")
            error.code = "no code"
            await stream.finish(error)

        async with self.serving(fail) as connection:
            with pytest.raises(Error) as caught:
                await self.soon(unary(connection, b""))
            assert caught.value.code in (Code.UNKNOWN, Code.INTERNAL)

    async def test_replies_before_an_error_can_be_read(self) -> None:
        over = asyncio.Event()

        async def some(stream: ServerStream) -> None:
            for number in range(5):
                await stream.send(b"%d" % number)
            await stream.finish(NotFound("no more"))
            over.set()

        async with self.serving(some) as connection:
            stream = await open_call(connection)
            await self.wait(over)
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

        async with self.serving(broken) as connection:
            with pytest.raises(Error) as caught:
                await self.soon(unary(connection, b"break"))
            assert caught.value.code in (Code.UNKNOWN, Code.INTERNAL)
            assert caught.value.may_have_run
            assert await unary(connection, b"") == b"fine"

    async def test_a_handler_that_returns_without_a_status_fails_the_call(self) -> None:
        async def forgetful(stream: ServerStream) -> None:
            await stream.send(await stream.receive())

        async with self.serving(forgetful) as connection:
            with pytest.raises(Internal):
                await self.soon(unary(connection, b""))

    async def test_finishing_twice_is_finishing(self) -> None:
        async def twice(stream: ServerStream) -> None:
            await stream.send(await stream.receive())
            await stream.finish(None)
            await stream.finish(NotFound("too late"))

        async with self.serving(twice) as connection:
            assert await unary(connection, b"reply") == b"reply"
