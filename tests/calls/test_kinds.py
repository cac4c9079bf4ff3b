"""The four kinds of calls, in every shape that the north star shows, on each transport."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


async def numbers(*values: int) -> AsyncIterator[Number]:
    for value in values:
        yield Number(value=value)


async def texts(*values: str) -> AsyncIterator[Text]:
    for value in values:
        yield Text(value=value)


async def test_unary_is_a_coroutine(serve: Serve) -> None:
    async with serve(Lab()) as service:
        task = asyncio.create_task(LabClient(service).look(Text(value="x")))
        assert (await task).value == "x"


async def test_a_server_stream_is_iterated(serve: Serve) -> None:
    async with serve(Lab()) as service:
        assert [n.value async for n in LabClient(service).count(Number(value=3))] == [0, 1, 2]


async def test_leaving_the_loop_early_cancels_at_once_on_both_sides(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        call = LabClient(service).count(Number(value=1_000_000))  # held, and still the loop owns it
        async for _ in call:
            break
        assert repr(call).endswith("over>")
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_an_error_in_the_loop_cancels_too(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        with pytest.raises(KeyError):
            async for _ in LabClient(service).count(Number(value=1_000_000)):
                raise KeyError
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_a_server_stream_in_a_block_goes_on_after_a_loop(serve: Serve) -> None:
    async with serve(Lab()) as service, LabClient(service).count(Number(value=4)) as call:
        async for number in call:
            assert number.value == 0
            break
        assert (await call.receive()).value == 1
        assert [n.value async for n in call] == [2, 3]
        with pytest.raises(micro.EndOfStream):
            await call.receive()


async def test_a_client_stream_is_awaited_with_its_messages(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab = LabClient(service)
        assert (await lab.sum(numbers(1, 2, 3))).value == 6
        assert (await lab.sum([Number(value=4), Number(value=5)])).value == 9
        assert (await lab.sum([])).value == 0


async def test_a_client_stream_is_driven(serve: Serve) -> None:
    async with serve(Lab()) as service, LabClient(service).sum() as call:
        await call.send(Number(value=1))
        await call.send(Number(value=2))
        assert (await call.finish()).value == 3


async def test_a_client_stream_left_unfinished_is_cancelled(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        async with LabClient(service).sum() as call:
            await call.send(Number(value=1))
            await asyncio.wait_for(lab.started.wait(), 10)
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_a_bidirectional_stream_is_iterated(serve: Serve) -> None:
    async with serve(Lab()) as service:
        replies = [t.value async for t in LabClient(service).talk(texts("a", "b"))]
        assert replies == ["re: a", "re: b", "bye"]
        assert [t.value async for t in LabClient(service).talk([Text(value="c")])] == ["re: c", "bye"]


async def test_a_bidirectional_stream_is_driven(serve: Serve) -> None:
    async with serve(Lab()) as service, LabClient(service).talk() as call:
        for word in ("a", "b"):
            await call.send(Text(value=word))
            assert (await call.receive()).value == f"re: {word}"
        await call.end()
        assert (await call.receive()).value == "bye"
        with pytest.raises(micro.EndOfStream):
            await call.receive()


async def test_a_bidirectional_stream_left_unfinished_is_cancelled(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as service:
        async with LabClient(service).talk() as call:
            await call.send(Text(value="a"))
            await call.receive()
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_a_server_that_has_heard_enough_ends_the_call(serve: Serve) -> None:
    async def chatter() -> AsyncIterator[Text]:
        yield Text(value="a")
        yield Text(value="enough")
        await asyncio.sleep(3600)

    async with serve(Lab()) as service:
        assert [t.value async for t in LabClient(service).talk(chatter())] == ["re: a"]


async def test_an_error_after_replies_comes_after_the_replies(serve: Serve) -> None:
    async with serve(Lab()) as service:
        got = []
        with pytest.raises(micro.ResourceExhausted, match="thirteen"):
            async for number in LabClient(service).count(Number(value=13)):
                got.append(number.value)
        assert got == list(range(13))


async def test_an_error_ends_a_client_stream_that_still_sends(serve: Serve) -> None:
    async def endless() -> AsyncIterator[Number]:
        yield Number(value=-1)
        await asyncio.sleep(3600)

    async with serve(Lab()) as service:
        with pytest.raises(micro.InvalidArgument, match="only what counts"):
            await LabClient(service).sum(endless())
        async with LabClient(service).sum() as call:
            await call.send(Number(value=-1))
            with pytest.raises(micro.InvalidArgument, match="only what counts"):
                await call.finish()


async def test_what_the_requests_raise_comes_out_of_the_call(serve: Serve) -> None:
    lab = Lab()

    async def broken() -> AsyncIterator[Text]:
        yield Text(value="a")
        await lab.started.wait()
        raise KeyError("mine")

    async with serve(lab) as service:
        with pytest.raises(KeyError, match="mine"):
            async for _ in LabClient(service).talk(broken()):
                pass
        await asyncio.wait_for(lab.cancelled.wait(), 10)


async def test_sending_and_receiving_go_on_side_by_side(serve: Serve) -> None:
    count = 500

    async with serve(Lab()) as service, LabClient(service).talk() as call:

        async def send() -> None:
            for number in range(count):
                await call.send(Text(value=str(number)))
            await call.end()

        sending = asyncio.create_task(send())
        replies = [t.value async for t in call]
        await sending
    assert replies == [f"re: {number}" for number in range(count)] + ["bye"]


async def test_headers_and_trailers_come_with_the_call_info(serve: Serve) -> None:
    async with serve(Lab()) as service:
        info = micro.CallInfo()
        await LabClient(service).look(Text(value="headers"), info=info)
        assert info.headers.pairs == (("x-head", "h"), ("x-head-bin", b"\x00\xff"))
        assert info.trailers["x-tail"] == "t"
        assert info.attempts == 1
        assert info.node.startswith("lab-")

        stream = micro.CallInfo()
        async with LabClient(service).count(Number(value=1), info=stream) as call:
            await call.receive()
            assert stream.headers["x-head"] == "h"
            with pytest.raises(micro.EndOfStream):
                await call.receive()
        assert stream.trailers["x-tail"] == "t"


async def test_metadata_reaches_the_handler(serve: Serve) -> None:
    async with serve(Lab()) as service:
        lab = LabClient(service, metadata={"X-Always": "a"})
        reply = await lab.look(Text(value="metadata"), metadata=[("x-own", "1"), ("x-own", "2"), ("x-bin", b"\x01")])
        assert reply.value == repr((("x-always", "a"), ("x-own", "1"), ("x-own", "2"), ("x-bin", b"\x01")))


@pytest.mark.parametrize("what", ["missing", "missing_stream"])
async def test_a_method_left_out_is_unimplemented(serve: Serve, what: str) -> None:
    async with serve(Lab()) as service:
        lab = LabClient(service)
        with pytest.raises(micro.Unimplemented, match=rf"Lab does not define {what}\(\)"):
            if what == "missing":
                await lab.missing(Text())
            else:
                async for _ in lab.missing_stream(texts("a")):
                    pass


async def test_giving_up_on_one_receive_loses_nothing(serve: Serve) -> None:
    big = "x" * 300_000
    async with serve(Lab()) as service, LabClient(service).talk() as call:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.receive(), 0.05)
        sending = asyncio.create_task(call.send(Text(value=big)))
        while True:
            try:
                reply = await asyncio.wait_for(call.receive(), 0.001)
            except TimeoutError:
                continue
            break
        await sending
        assert reply.value == f"re: {big}"
        await call.send(Text(value="b"))
        assert (await call.receive()).value == "re: b"


async def test_replies_before_an_error_are_not_lost_while_the_client_sends(serve: Serve) -> None:
    async def insisting() -> AsyncIterator[Text]:
        for word in ("a", "b", "fail"):
            yield Text(value=word)
        while True:
            await asyncio.sleep(0)
            yield Text(value="more")

    async with serve(Lab()) as service:
        got = []
        with pytest.raises(micro.Aborted, match="not in this tone"):
            async for reply in LabClient(service).talk(insisting()):
                await asyncio.sleep(0.02)  # the error is here before the replies are read
                got.append(reply.value)
        assert got == ["re: a", "re: b"]


async def act(lab: LabClient) -> None:
    await lab.act(Text(value="x"), timeout=60)


async def count(lab: LabClient) -> None:
    assert len([number async for number in lab.count(Number(value=3), timeout=60)]) == 3


async def add(lab: LabClient) -> None:
    await lab.sum([Number(value=1)], timeout=60)


async def talk(lab: LabClient) -> None:
    async with lab.talk(timeout=60) as call:
        await call.send(Text(value="x"))
        await call.receive()
        await call.end()
        assert [reply.value async for reply in call] == ["bye"]


@pytest.mark.parametrize("call", [act, count, add, talk])
async def test_a_call_that_goes_well_makes_no_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, call: Callable[[LabClient], Awaitable[None]]
) -> None:
    made: list[str] = []
    make = micro.Error.__init__

    def count_it(self: micro.Error, *args: Any, **options: Any) -> None:
        made.append(type(self).__name__)
        make(self, *args, **options)

    async with serve(Lab()) as service:
        lab = LabClient(service)
        await call(lab)  # connects, and looks up
        monkeypatch.setattr(micro.Error, "__init__", count_it)
        for _ in range(3):
            await call(lab)
        await asyncio.sleep(0.05)
        monkeypatch.undo()
    # The end of a stream is an exception, as it is for every iterator of Python.
    assert [name for name in made if call is act or name != "EndOfStream"] == []


class Turns:
    """Counts the turns that others get."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0
        """Messages in a row without a turn of others in between."""
        self._row = 0
        self._seen = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    def message(self) -> None:
        self._row = self._row + 1 if self.count == self._seen else 1
        self._seen = self.count
        self.longest = max(self.longest, self._row)


MANY = 2000
"""Messages that fit into the buffers of a connection, so that nothing but fairness has a sender wait."""


@pytest.mark.parametrize("sender", ["server", "client"])
async def test_a_sender_that_never_waits_gives_others_their_turn(serve: Serve, sender: str) -> None:
    turns = Turns()

    class Floods(Lab):
        async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            for value in range(request.value):
                turns.message()
                yield Number(value=value)

    def flood() -> Iterator[Number]:
        for _ in range(MANY):
            turns.message()
            yield Number(value=1)

    async with serve(Floods()) as service:
        lab = LabClient(service)
        await lab.act(Text())  # connects
        others = asyncio.create_task(turns.run())
        if sender == "server":
            assert len([number async for number in lab.count(Number(value=MANY))]) == MANY
        else:
            assert (await lab.sum(flood())).value == MANY
        others.cancel()
    assert turns.longest <= 64


@pytest.mark.parametrize("how", ["loop", "loop of one iterator", "await", "enter"])
async def test_two_tasks_that_start_one_call_send_it_once(serve: Serve, how: str) -> None:
    ran: list[str] = []

    class Counting(Lab):
        async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            ran.append("count")
            yield request

        async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
            ran.append("sum")
            return await super().sum(requests, context)

    async with serve(Counting()) as service:
        client = LabClient(service)
        counting, summing = client.count(Number(value=7)), client.sum([Number(value=7)])
        iterator = aiter(counting)

        async def use() -> list[int]:
            if how == "await":
                return [(await summing).value]
            if how == "loop of one iterator":
                return [(await anext(iterator)).value]
            if how == "enter":
                async with counting as call:
                    return [(await call.receive()).value]
            return [number.value async for number in counting]

        outcomes = await asyncio.wait_for(asyncio.gather(use(), use(), return_exceptions=True), 20)
        assert [outcome for outcome in outcomes if isinstance(outcome, list)] == [[7]], outcomes
        (error,) = [outcome for outcome in outcomes if not isinstance(outcome, list)]
        assert isinstance(error, RuntimeError)
        assert ran == ["sum" if how == "await" else "count"]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Keeps the garbage collector from ending what a call must end."""
    gc.disable()
    yield
    gc.enable()


class Hanging(Lab):
    """Streams that never end, and how many of them run."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0
        self.begun = 0

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.running += 1
        self.begun += 1
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            self.running -= 1

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async for _ in self.count(Number(), context):
            yield Text()


@pytest.mark.parametrize("method", ["count", "talk"])
@pytest.mark.parametrize("intercepted", [False, True])
async def test_a_cancelled_loop_ends_its_call_even_if_the_task_is_kept(
    serve: Serve, uncollected: None, method: str, intercepted: bool
) -> None:
    class Around(micro.Interceptor):
        async def stream(self, requests: object, call: object, proceed: micro.StreamNext) -> AsyncIterator[object]:  # type: ignore[override]
            async for reply in proceed(requests, call):  # type: ignore[arg-type]
                yield reply

    lab, waiting = Hanging(), asyncio.Semaphore(0)
    async with serve(lab, client_interceptors=[Around()] if intercepted else []) as service:
        client = LabClient(service)

        async def read(limit: asyncio.Timeout | None = None) -> None:
            async for _ in client.count(Number()) if method == "count" else client.talk([Text()]):
                waiting.release()
                if limit is not None:
                    limit.reschedule(asyncio.get_running_loop().time() + 0.1)

        async def read_for_a_while() -> None:
            async with asyncio.timeout(None) as limit:  # It begins with the first reply, however long that takes.
                await read(limit)

        kept = [asyncio.create_task(read()) for _ in range(5)]
        kept += [asyncio.create_task(read_for_a_while()) for _ in range(5)]
        for _ in kept:
            await asyncio.wait_for(waiting.acquire(), 20)
        for task in kept[:5]:
            task.cancel()
        outcomes = await asyncio.gather(*kept, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 5 + [TimeoutError] * 5
        await eventually(lambda: lab.begun == 10 and lab.running == 0, within=20)


async def test_a_handler_that_relays_ends_its_call_when_its_client_leaves(serve: Serve, uncollected: None) -> None:
    lab = Hanging()

    class Relay(Lab):
        def __init__(self, far: LabClient) -> None:
            super().__init__()
            self.far = far

        async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            async for number in self.far.count(request):
                yield number

    class Returns(Relay):
        def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            return aiter(self.far.count(request))

    async with serve(lab) as service:
        for relay in (Relay(LabClient(service)), Returns(LabClient(service))):
            lab.begun = 0
            async with serve(relay) as near:
                client, kept = LabClient(near), []
                for _ in range(20):
                    call = client.count(Number())
                    kept.append(call)
                    async with call:
                        await call.receive()
                await eventually(lambda: lab.begun == 20 and lab.running == 0, within=20)


async def test_an_iterator_that_is_kept_can_be_closed(serve: Serve, uncollected: None) -> None:
    lab = Hanging()
    async with serve(lab) as service:
        replies = aiter(LabClient(service).count(Number()))
        await anext(replies)
        await replies.aclose()  # type: ignore[attr-defined]
        await eventually(lambda: lab.running == 0, within=20)
        with pytest.raises(micro.Cancelled):
            await anext(replies)


@pytest.mark.parametrize("how", ["the server ends", "the client leaves"])
async def test_a_call_closes_the_generator_of_its_requests(serve: Serve, uncollected: None, how: str) -> None:
    closed, kept = asyncio.Event(), list[object]()

    async def requests() -> AsyncIterator[Text]:
        try:
            while True:
                yield Text(value="enough" if how == "the server ends" else "x" * 100_000)
        finally:
            closed.set()

    async with serve(Lab()) as service:
        kept.append(generator := requests())
        async for _ in LabClient(service).talk(generator):
            break
        await asyncio.wait_for(closed.wait(), 20)
