"""How calls end before they are done: deadlines, cancellation, a side that is done early."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib

import pytest

from micro_rt.errors import (
    Cancelled,
    DeadlineExceeded,
    EndOfStream,
    Error,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from micro_rt.metadata import EMPTY
from micro_rt.testing.contracts.transport.harness import (
    MEBIBYTE,
    OTHER,
    Endless,
    Sender,
    TransportHarness,
    all_replies,
    beside_echo,
    echo,
    ends,
    length_of_traceback,
    open_call,
    patiently,
    seconds_from_now,
    unary,
)
from micro_rt.transport.base import ServerStream

__all__ = ["EndsContract"]


class EndsContract(TransportHarness):
    """A call that ends ends on both sides, and harms nothing else."""

    # Deadlines

    async def test_a_deadline_reaches_the_handler(self) -> None:
        seen: list[float | None] = []

        async def look(stream: ServerStream) -> None:
            seen.append(stream.deadline)
            await echo(stream)

        async with self.serving(look) as connection:
            for seconds in (3.7, 59.9, 3599.9, 1e7, 1e10):
                deadline = seconds_from_now(seconds)
                await unary(connection, b"", deadline=deadline)
                arrived = seen.pop()
                # It travels as the time that is left; gRPC has at most 8 digits for that.
                assert arrived is not None
                assert arrived >= deadline - seconds / 1000 or seconds > 1e8
                assert arrived <= deadline + self.settle

    async def test_a_deadline_ends_both_sides(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            with pytest.raises(DeadlineExceeded) as caught:
                await self.soon(unary(connection, b"", deadline=seconds_from_now(0.1)))
            assert isinstance(caught.value, TimeoutError)
            if caught.value.may_have_run:
                await self.wait(handler.cancelled)

    async def test_a_deadline_ends_a_handler_whose_client_does_not_look(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            stream = await open_call(connection, deadline=seconds_from_now(0.3))
            await stream.send(b"")
            await self.wait(handler.cancelled)
            with pytest.raises(DeadlineExceeded):
                await stream.receive()

    async def test_a_deadline_ends_a_sender_that_waits(self) -> None:
        async with self.serving(Endless()) as connection:
            stream = await open_call(connection, deadline=seconds_from_now(0.5))
            with pytest.raises(DeadlineExceeded):
                await self.soon(Sender(stream, self.flood).run())

    async def test_a_deadline_that_has_passed_is_not_sent(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            await connection.connect()
            for deadline in (seconds_from_now(0), seconds_from_now(-5)):
                with pytest.raises(DeadlineExceeded) as caught:
                    await unary(connection, b"", deadline=deadline)
                assert not caught.value.may_have_run
        assert not handler.started.is_set()

    async def test_a_deadline_does_not_touch_a_call_that_is_done(self) -> None:
        async with self.serving(echo) as connection:
            stream = await open_call(connection, deadline=seconds_from_now(0.2))
            await stream.send(b"in time", end=True)
            received = asyncio.create_task(all_replies(stream))
            assert await received == [b"in time"]
            await asyncio.sleep(0.3)
            await ends(stream)
            assert await unary(connection, b"next") == b"next"

    # Calls without an answer: what Error.may_have_run and Error.unanswered say

    @pytest.mark.parametrize("how", ["lost", "closed", "deadline"])
    async def test_a_call_without_an_answer_is_unanswered(self, how: str) -> None:
        errors = await self._ends_without_an_answer(how)
        tries = 1
        while how == "deadline" and tries < 5 and not all(error.unanswered for error in errors):
            # The server knows the deadline as well, and may say first that it has passed: that is an answer.
            errors = await self._ends_without_an_answer(how)
            tries += 1
        assert [(error.unanswered, error.may_have_run) for error in errors] == [(True, True)] * 3

    async def _ends_without_an_answer(self, how: str) -> list[Error]:
        """Returns what each side of a call raises that its handler does not answer."""
        handler = Endless()
        errors: list[Error] = []
        async with self.listening(handler) as (listener, connection):
            deadline = seconds_from_now(0.5) if how == "deadline" else None
            stream = await open_call(connection, deadline=deadline)
            sending = asyncio.create_task(Sender(stream, self.flood).run())
            await self.wait(handler.started)
            ending = {"lost": listener.close, "closed": connection.close}
            if how in ending:
                await self.soon(ending[how]())
            for waiting in (sending, stream.receive(), stream.send(b"late")):
                with pytest.raises(DeadlineExceeded if how == "deadline" else Unavailable) as caught:
                    await self.soon(waiting)
                errors.append(caught.value)
        return errors

    @pytest.mark.parametrize("error", [DeadlineExceeded, Unavailable, NotFound])
    @pytest.mark.parametrize("id", ["micro.connection_lost", ""])
    @pytest.mark.parametrize("ran", [True, False])
    async def test_a_call_that_the_server_ended_is_answered_and_ran_if_the_server_says_so(
        self, error: type[Error], id: str, ran: bool
    ) -> None:
        async def fail(stream: ServerStream) -> None:
            await stream.receive()
            await stream.finish(error("on purpose", id=id, may_have_run=ran, unanswered=True))

        async with self.serving(fail) as connection:
            stream = await open_call(connection)
            for waiting in (Sender(stream, self.flood).run(), stream.receive(), unary(connection, b"")):
                with pytest.raises(error, match="on purpose") as caught:
                    await self.soon(waiting)
                assert not caught.value.unanswered
                assert caught.value.may_have_run is ran
                assert caught.value.id == id

    @pytest.mark.parametrize("error", [DeadlineExceeded, Unavailable])
    async def test_a_unary_call_that_was_answered_before_it_was_sent_may_have_run(self, error: type[Error]) -> None:
        async def fail(stream: ServerStream) -> None:
            await stream.finish(error("on purpose"))

        async with self.serving(fail) as connection:
            with pytest.raises(error, match="on purpose") as caught:
                await self.soon(unary(connection, bytes(self.unsendable)))
            assert caught.value.may_have_run

    @pytest.mark.parametrize("how", ["lost", "closed", "deadline"])
    async def test_a_unary_call_that_was_not_sent_whole_did_not_run(self, how: str) -> None:
        if not self.unsendable:
            pytest.skip("this transport takes a message of any size at once")
        handler = Endless()
        async with self.listening(handler) as (listener, connection):
            deadline = seconds_from_now(0.5) if how == "deadline" else None
            call = asyncio.create_task(unary(connection, bytes(self.unsendable), deadline=deadline))
            ending = {"lost": listener.close, "closed": connection.close}
            if how in ending:
                await self.wait(handler.started)
                await self.soon(ending[how]())
            with pytest.raises(DeadlineExceeded if how == "deadline" else Unavailable) as caught:
                await self.soon(call)
            assert not caught.value.may_have_run

    @pytest.mark.parametrize("how", ["lost", "closed", "deadline"])
    async def test_a_unary_call_that_was_sent_whole_may_have_run(self, how: str) -> None:
        received = asyncio.Event()

        async def silent(stream: ServerStream) -> None:
            await stream.receive()
            received.set()
            await asyncio.Event().wait()

        async with self.listening(silent) as (listener, connection):
            await connection.connect()
            deadline = seconds_from_now(0.5) if how == "deadline" else None
            call = asyncio.create_task(unary(connection, b"whole", deadline=deadline))
            ending = {"lost": listener.close, "closed": connection.close}
            if how in ending:
                await self.wait(received)
                await self.soon(ending[how]())
            with pytest.raises(DeadlineExceeded if how == "deadline" else Unavailable) as caught:
                await self.soon(call)
            assert caught.value.may_have_run or not received.is_set()

    # Cancellation

    async def test_cancelling_a_call_cancels_its_handler(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            stream = await open_call(connection)
            await stream.send(b"")
            await self.wait(handler.started)
            stream.cancel()
            await self.wait(handler.cancelled)
            for _ in range(2):
                with pytest.raises(Cancelled):
                    await stream.receive()
            with pytest.raises(Error):
                await stream.send(b"")
            stream.cancel()

    async def test_cancelling_a_call_wakes_who_waits_for_it(self) -> None:
        async with self.serving(beside_echo(Endless())) as connection:
            stream = await open_call(connection, path=OTHER)
            sender = Sender(stream, self.flood)
            receiving = asyncio.create_task(stream.receive())
            sending = asyncio.create_task(sender.run())
            await self.blocked(connection, sender.progress)
            stream.cancel()
            for waiting in (receiving, sending):
                with pytest.raises(Cancelled):
                    await self.soon(waiting)
                assert not waiting.cancelled()

    async def test_cancelling_the_task_of_a_call_cancels_its_handler(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            task = asyncio.create_task(unary(connection, b""))
            await self.wait(handler.started)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self.soon(task)
            assert task.cancelled()
            await self.wait(handler.cancelled)

    async def test_a_timeout_of_the_caller_cancels_the_handler(self) -> None:
        handler = Endless()
        async with self.serving(handler) as connection:
            await connection.connect()
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await unary(connection, b"")
            assert not isinstance(caught.value, Error)
            await self.wait(handler.started)
            await self.wait(handler.cancelled)
            await self.unharmed()

    @pytest.mark.parametrize("connected", [False, True])
    async def test_a_call_that_is_given_up_while_it_is_opened_leaves_nothing(self, connected: bool) -> None:
        running = 0

        async def hang(stream: ServerStream) -> None:
            nonlocal running
            running += 1
            try:
                await asyncio.Event().wait()
            finally:
                running -= 1

        transport = self.make()
        async with self.listening(beside_echo(hang)) as (listener, shared):
            await shared.connect()
            for turns in range(25):
                connection = shared if connected else transport.connection(listener.address)
                opening = asyncio.create_task(open_call(connection, path=OTHER))
                for _ in range(turns):
                    await asyncio.sleep(0)
                opening.cancel()
                try:
                    stream = await self.soon(opening)
                except asyncio.CancelledError:
                    pass
                else:
                    stream.cancel()
                assert await self.soon(unary(connection, b"next")) == b"next"
                await self.until(lambda: not running)
                if not connected:
                    await self.soon(connection.close())

    async def test_cancelling_a_call_that_is_over_does_nothing(self) -> None:
        async with self.serving(echo) as connection:
            stream = await open_call(connection)
            await stream.send(b"1", end=True)
            assert await all_replies(stream) == [b"1"]
            stream.cancel()
            await ends(stream)

    async def test_a_cancelled_call_leaves_the_others_alone(self) -> None:
        async with self.serving(echo) as connection:
            stays, goes = await open_call(connection), await open_call(connection)
            for stream in (stays, goes):
                await stream.send(b"1")
                assert await stream.receive() == b"1"
            goes.cancel()
            await stays.send(b"2", end=True)
            assert await all_replies(stays) == [b"2"]

    async def test_a_receive_that_is_cancelled_loses_nothing(self) -> None:
        message = bytes(range(256)) * (8 * MEBIBYTE // 256)
        go_on = asyncio.Event()

        async def slowly(stream: ServerStream) -> None:
            await stream.send(await patiently(stream.receive))
            await go_on.wait()
            await stream.send(b"small")
            await stream.finish(None)

        async with self.serving(slowly) as connection:
            stream = await open_call(connection)
            await stream.send(message)
            assert await patiently(stream.receive) == message
            go_on.set()
            assert await patiently(stream.receive) == b"small"
            await ends(stream)

    async def test_a_send_that_is_cancelled_does_not_garble_the_stream(self) -> None:
        received: list[bytes] = []
        read = asyncio.Event()

        async def collect(stream: ServerStream) -> None:
            await read.wait()
            while True:
                received.append(await stream.receive())

        async with self.serving(beside_echo(collect)) as connection:
            stream = await open_call(connection, path=OTHER)
            sender = Sender(stream, self.flood)
            sending = asyncio.create_task(sender.run())
            await self.blocked(connection, sender.progress)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self.soon(sending)
            read.set()
            with contextlib.suppress(Error):  # Whether the call goes on after it is the transport's to decide.
                await self.soon(stream.send(b"after"))
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
            async with self.serving(stubborn) as connection:
                stream = await open_call(connection)
                await stream.send(b"")
                await self.wait(started)
                if leave == "call":
                    stream.cancel()
                else:
                    await connection.close()
                await self.wait(over)
            assert [error for error in seen if not isinstance(error, Error)] == [], leave

    @pytest.mark.parametrize("how", ["deadline", "status", "lost", "closed", "cancel"])
    async def test_the_task_of_a_failed_call_is_unharmed(self, how: str) -> None:
        handler = Endless()

        async def serve(stream: ServerStream) -> None:
            await (stream.finish(InvalidArgument()) if stream.path == "/test.Test/status" else handler(stream))

        async with self.listening(serve) as (listener, connection):
            deadline = seconds_from_now(0.2) if how == "deadline" else None
            stream = await open_call(connection, path=f"/test.Test/{how}", deadline=deadline)
            with contextlib.suppress(InvalidArgument):  # The handler may have been faster.
                await stream.send(b"")
            if how != "status":
                await self.wait(handler.started)
            others = {"lost": listener.close, "closed": connection.close}
            ending = asyncio.create_task(others[how]()) if how in others else None
            if how == "cancel":
                asyncio.get_running_loop().call_soon(stream.cancel)
            with pytest.raises(Error):
                await self.soon(stream.receive())
            await self.unharmed()
            if ending is not None:
                await self.soon(ending)

    async def test_a_cancellation_from_outside_wins_over_a_failure(self) -> None:
        async with self.serving(Endless()) as connection:
            for failure in (True, False):
                stream = await open_call(connection)
                task = asyncio.create_task(stream.receive())
                await asyncio.sleep(0.01)
                for end in (stream.cancel, task.cancel) if failure else (task.cancel, stream.cancel):
                    end()
                with pytest.raises(asyncio.CancelledError):
                    await self.soon(task)

    # One side ends early

    @pytest.mark.parametrize("error", [None, NotFound("early")])
    async def test_a_handler_may_end_while_the_client_still_sends(self, error: Error | None) -> None:
        async def early(stream: ServerStream) -> None:
            await stream.send(await stream.receive())
            await stream.finish(error)

        async with self.serving(early) as connection:
            stream = await open_call(connection)
            with pytest.raises(Error) as caught:
                await self.soon(Sender(stream, self.flood).run())
            assert isinstance(caught.value, EndOfStream | NotFound)
            assert len(await stream.receive()) == MEBIBYTE
            with pytest.raises(EndOfStream if error is None else NotFound):
                await stream.receive()

    @pytest.mark.parametrize("how", ["status", "error", "cancel", "lost"])
    async def test_everyone_who_is_told_how_a_call_ended_gets_an_error_of_its_own(self, how: str) -> None:
        handler = Endless()

        async def serve(stream: ServerStream) -> None:
            if how in ("cancel", "lost"):
                await handler(stream)
            await stream.finish(NotFound("nothing here") if how == "error" else None)

        async with self.listening(serve) as (listener, connection):
            stream = await open_call(connection)
            with contextlib.suppress(Error):  # The handler may have been faster.
                await stream.send(b"")
            sending = asyncio.create_task(Sender(stream, self.flood).run())
            if how in ("cancel", "lost"):
                await self.wait(handler.started)
            if how == "cancel":
                stream.cancel()
            elif how == "lost":
                await listener.close()
            errors: list[Error] = []
            for tell in (sending, *(stream.receive() for _ in range(20)), *(stream.send(b"") for _ in range(20))):
                with pytest.raises(Error) as caught:
                    await self.soon(tell)
                errors.append(caught.value)
                errors[-1].message += " (changed)"
        assert len({id(error) for error in errors}) == len(errors)
        assert {error.message.count("(changed)") for error in errors} == {1}
        assert length_of_traceback(errors[-1]) == length_of_traceback(errors[-2])
        assert length_of_traceback(errors[20]) == length_of_traceback(errors[19])

    async def test_ending_a_call_that_is_over_does_nothing(self) -> None:
        over = asyncio.Event()

        async def early(stream: ServerStream) -> None:
            await stream.send(b"early")
            await stream.finish(None)
            over.set()

        async with self.serving(early) as connection:
            stream = await open_call(connection)
            await self.wait(over)
            assert await stream.receive() == b"early"
            await stream.end()
            await ends(stream)
            await stream.end()
            stream.cancel()
            await stream.end()

    async def test_a_unary_call_may_be_answered_before_it_is_read(self) -> None:
        async def early(stream: ServerStream) -> None:
            await stream.send(b"too long")
            await stream.finish(None)

        async with self.serving(early) as connection:
            assert await self.soon(unary(connection, bytes(32 * MEBIBYTE))) == b"too long"
