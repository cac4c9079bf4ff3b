"""Connections: what calls share, and how they begin and end."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref
from pathlib import Path
from typing import Any

import pytest

from micro_rt.context import CallInfo
from micro_rt.errors import (
    Cancelled,
    Error,
    FailedPrecondition,
    Unavailable,
)
from micro_rt.testing.contracts.transport.harness import (
    BUSY_ROUNDS,
    MEBIBYTE,
    OTHER,
    PATH,
    Endless,
    Sender,
    TransportHarness,
    all_replies,
    all_requests,
    beside_echo,
    count_kibibytes,
    echo,
    length_of_traceback,
    open_call,
    unary,
    variable,
)
from micro_rt.transport.base import ServerStream, capabilities_of

__all__ = ["ConnectionsContract"]


class ConnectionsContract(TransportHarness):
    """Calls that share a connection do not harm each other; what is lost is told apart from what never ran."""

    # Flow control

    async def test_a_client_that_does_not_read_stops_its_handler_and_no_other(self) -> None:
        sent = 0

        async def flood(stream: ServerStream) -> None:
            nonlocal sent
            for number in range(self.flood):
                await stream.send(number.to_bytes(4, "big") + bytes(MEBIBYTE))
                sent += 1
            await stream.finish(None)

        async with self.serving(beside_echo(flood)) as connection:
            stream = await open_call(connection, path=OTHER)
            await stream.end()
            assert await stream.receive()
            await self.blocked(connection, lambda: sent)
            assert sent < self.flood, "nothing stopped the sender"
            numbers = [int.from_bytes(message[:4], "big") for message in await all_replies(stream)]
            assert numbers == list(range(1, self.flood))

    async def test_a_handler_that_does_not_read_stops_its_client_and_no_other(self) -> None:
        read = asyncio.Event()

        async def late(stream: ServerStream) -> None:
            await read.wait()
            await stream.send(b"%d" % len(await all_requests(stream)))
            await stream.finish(None)

        async with self.serving(beside_echo(late)) as connection:
            stream = await open_call(connection, path=OTHER)
            sender = Sender(stream, self.flood)
            sending = asyncio.create_task(sender.run())
            await self.blocked(connection, sender.progress)
            assert sender.sent < self.flood, "nothing stopped the sender"
            read.set()
            await self.soon(sending)
            assert await all_replies(stream) == [b"%d" % self.flood]

    async def test_what_was_not_read_does_not_use_up_the_connection(self) -> None:
        async with self.serving(count_kibibytes) as connection:
            for _ in range(self.flood // 2):
                stream = await open_call(connection)
                await stream.send(b"1000", end=True)
                assert await stream.receive()
                stream.cancel()
            assert len(await self.soon(unary(connection, b"1"))) == 1024

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

        async with self.serving(meet) as connection:
            calls = [unary(connection, b"%d" % number) for number in range(200)]
            assert await self.soon(asyncio.gather(*calls)) == [b"%d" % number for number in range(200)]

    async def test_calls_that_are_over_are_not_kept(self) -> None:
        class Info(CallInfo):
            """One that weak references can be made to."""

        async def at_once(stream: ServerStream) -> None:
            await stream.send(b"reply")
            await stream.finish(None)

        async with self.serving(beside_echo(at_once)) as connection:

            async def call(path: str) -> weakref.ref[Info]:
                info = Info()
                stream = await open_call(connection, path=path, info=info)
                await stream.end()
                assert len(await all_replies(stream)) == (path == OTHER)
                return weakref.ref(info)

            calls = [await call(path) for path in (PATH, OTHER) * 3]
            for _ in range(BUSY_ROUNDS):
                await asyncio.sleep(0)
            gc.collect()
            assert [call() for call in calls] == [None] * 6

    # Connecting, draining, closing

    async def test_where_nobody_listens(self) -> None:
        async with self.listening(echo) as (listener, connection):
            await listener.close()
            for attempt in (connection.connect(), open_call(connection), unary(connection, b"")):
                with pytest.raises(Unavailable) as caught:
                    await self.soon(attempt)
                assert not caught.value.may_have_run

    async def test_many_who_cannot_connect_get_an_error_each(self) -> None:
        async with self.listening(echo) as (listener, connection):
            await listener.close()
            errors = await self.soon(
                asyncio.gather(*(unary(connection, b"") for _ in range(20)), return_exceptions=True)
            )
            assert len({id(error) for error in errors}) == 20
            assert len({length_of_traceback(error) for error in errors[1:]}) == 1

    async def test_an_address_is_taken_once(self) -> None:
        async with self.listening(echo) as (listener, connection):
            with pytest.raises(Error):
                await self.make().listen(listener.address, echo)
            assert await unary(connection, b"1") == b"1"

    async def test_every_interface_of_ipv6_means_those_of_ipv4_too(self) -> None:
        if not socket.has_dualstack_ipv6():
            pytest.skip("a socket of this system cannot listen on both stacks")
        transport = self.make()
        listener = await transport.listen("[::]:0", echo)
        try:
            host, _, port = listener.address.rpartition(":")
            if host != "[::]":
                pytest.skip("the addresses of this transport are not those of interfaces")
            for reached in ("127.0.0.1", "[::1]"):
                connection = transport.connection(f"{reached}:{port}")
                assert await self.soon(unary(connection, b"1")) == b"1"
                await connection.close()
        finally:
            await listener.close()

    async def test_a_unix_socket_carries_calls_or_is_refused(self, tmp_path: Path) -> None:
        transport = self.make()
        address = f"unix:{tmp_path / 'socket'}"
        if not capabilities_of(transport).unix_sockets:
            with pytest.raises(FailedPrecondition):
                await transport.listen(address, echo)
            with pytest.raises(Error):
                await transport.connection(address).connect()
            return
        if not hasattr(socket, "AF_UNIX"):
            pytest.skip("this system has no Unix sockets")
        listener = await transport.listen(address, echo)
        connection = transport.connection(listener.address)
        try:
            assert listener.address == address
            assert await self.soon(unary(connection, b"1")) == b"1"
        finally:
            await connection.close()
            await listener.close()

    async def test_closing_a_listener_fails_its_calls(self) -> None:
        handler = Endless()
        async with self.listening(handler) as (listener, connection):
            stream = await open_call(connection)
            await stream.send(b"")
            call = asyncio.create_task(unary(connection, b""))
            await self.wait(handler.started)
            await self.until(lambda: handler.calls == 2)
            await self.soon(listener.close())
            assert handler.cancelled.is_set()
            for waiting in (stream.receive(), call):
                with pytest.raises(Error) as caught:
                    await self.soon(waiting)
                assert isinstance(caught.value, Unavailable | Cancelled)
                assert caught.value.may_have_run

    async def test_a_handler_that_swallows_its_cancellation_does_not_keep_its_listener_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("micro_rt.transport.base.CLOSE_TIMEOUT", 0.05)
        started, release = asyncio.Event(), asyncio.Event()

        async def stubborn(stream: ServerStream) -> None:
            started.set()
            while not release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await release.wait()

        async with self.listening(stubborn) as (listener, connection):
            stream = await open_call(connection)
            await stream.send(b"")
            await self.wait(started)
            try:
                await self.soon(listener.close())
                with pytest.raises(Error):
                    await self.soon(stream.receive())
            finally:
                release.set()

    async def test_what_was_sent_before_a_listener_closed_can_be_read(self) -> None:
        over = asyncio.Event()

        async def serve(stream: ServerStream) -> None:
            for number in range(self.unread):
                await stream.send(number.to_bytes(4, "big") * (MEBIBYTE // 16))
            await stream.finish(None)
            over.set()

        async with self.listening(serve) as (listener, connection):
            stream = await open_call(connection)
            await self.wait(over)
            # Let the rest arrive here before the other side goes.
            for _ in range(BUSY_ROUNDS):
                await asyncio.sleep(0.002)
            await listener.close()
            for _ in range(BUSY_ROUNDS):
                await asyncio.sleep(0.002)
            assert [message[:4] for message in await all_replies(stream)] == [
                number.to_bytes(4, "big") for number in range(self.unread)
            ]

    async def test_a_status_that_is_sent_as_a_listener_closes_arrives(self) -> None:
        # As a server does that cuts off what takes too long: it cancels the call, which then sends its status.
        serving: list[asyncio.Task[Any]] = []

        async def serve(stream: ServerStream) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.append(task)
            await stream.send(await stream.receive())
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task.uncancel()
            await stream.finish(Unavailable("cut off", id="test.cut_off"))

        async with self.listening(serve) as (listener, connection):
            streams = [await open_call(connection) for _ in range(3)]
            for stream in streams:
                await stream.send(b"begun")
                assert await self.soon(stream.receive()) == b"begun"
            await listener.drain()
            for task in serving:
                task.cancel()
            await asyncio.wait(serving, timeout=self.settle)
            await self.soon(listener.close())
            for stream in streams:
                with pytest.raises(Unavailable) as caught:
                    await self.soon(stream.receive())
                assert (caught.value.id, caught.value.unanswered) == ("test.cut_off", False)

    async def test_draining_refuses_new_calls_and_finishes_old_ones(self) -> None:
        ran: list[str] = []

        async def serve(stream: ServerStream) -> None:
            ran.append(stream.path)
            await echo(stream)

        async with self.listening(serve) as (listener, connection):
            stream = await open_call(connection)
            await stream.send(b"before")
            assert await stream.receive() == b"before"
            await listener.drain()
            fresh = self.make().connection(listener.address)
            for refused in (connection, fresh):
                with pytest.raises(Unavailable) as caught:
                    await self.soon(unary(refused, b"", path=OTHER))
                assert not caught.value.may_have_run
            await fresh.close()
            await stream.send(b"after", end=True)
            assert await all_replies(stream) == [b"after"]
            assert ran == [PATH]
            await listener.drain()

    async def test_a_connection_comes_back_with_its_listener(self) -> None:
        transport = self.make()
        listener = await transport.listen(self.address, echo)
        connection = transport.connection(listener.address)
        try:
            for number in range(3):
                assert await unary(connection, b"%d" % number) == b"%d" % number
                await listener.close()
                with pytest.raises(Unavailable):
                    await self.soon(unary(connection, b""))
                listener = await self.listening_again(transport, listener.address)
            assert await unary(connection, b"back") == b"back"
        finally:
            await connection.close()
            await listener.close()

    async def test_closing_a_connection_fails_its_calls(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            stream = await open_call(connection)
            await stream.send(b"")
            call = asyncio.create_task(unary(connection, b""))
            await self.until(lambda: handler.calls == 2)
            await connection.close()
            for waiting in (stream.receive(), call):
                with pytest.raises(Unavailable) as caught:
                    await self.soon(waiting)
                assert caught.value.may_have_run
            await self.wait(handler.cancelled)
            await connection.close()
            for attempt in (connection.connect(), open_call(connection), unary(connection, b"")):
                with pytest.raises(Unavailable) as caught:
                    await self.soon(attempt)
                assert not caught.value.may_have_run

    async def test_a_connection_may_be_closed_while_it_connects(self) -> None:
        handler = Endless()
        async with self.listening(handler) as (listener, _):
            connection = self.make().connection(listener.address)
            call = asyncio.create_task(unary(connection, b"1"))
            await asyncio.sleep(0)
            await self.soon(connection.close())
            with pytest.raises(Unavailable) as caught:
                await self.soon(call)
            did_not_run = not caught.value.may_have_run
            for attempt in (connection.connect(), open_call(connection), unary(connection, b"")):
                with pytest.raises(Unavailable) as caught:
                    await self.soon(attempt)
                assert not caught.value.may_have_run
            if handler.calls:
                await self.wait(handler.cancelled)
        assert handler.calls <= 1
        assert not (handler.calls and did_not_run)

    async def test_a_connection_need_not_be_used(self) -> None:
        async with self.listening(echo) as (listener, _):
            connection = self.make().connection(listener.address)
            await connection.close()

    async def test_many_who_connect_at_once_share_one_connection(self) -> None:
        peers: set[str] = set()

        async def look(stream: ServerStream) -> None:
            peers.add(stream.peer)
            await echo(stream)

        async with self.serving(look) as connection:
            await asyncio.gather(
                *(connection.connect() for _ in range(20)), *(unary(connection, b"") for _ in range(20))
            )
        assert len(peers) == 1

    # Context

    async def test_context_variables_of_the_caller_do_not_reach_the_handler(self) -> None:
        async def look(stream: ServerStream) -> None:
            await stream.send(variable.get().encode())
            variable.set("the handler's")
            await stream.finish(None)

        async with self.serving(look) as connection:
            variable.set("the caller's")
            for _ in range(2):
                assert await unary(connection, b"") == b"nobody's"
            assert variable.get() == "the caller's"
