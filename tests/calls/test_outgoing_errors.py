"""What callers of a handler learn of a call that the handler made itself, and that failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

import micro_rt as micro
from micro_rt.metadata import EMPTY
from tests.helpers.handlers import Lab, PassesOn, Serve
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher
from tests.protos.shop_pb2 import OrderPlaced

ONCE = micro.RetryPolicy(attempts=1)


class Relay(LabBase):
    """Answers each kind of call with a call of the same kind."""

    far: LabClient

    async def act(self, request: Text, context: micro.Context) -> Text:
        return await self.far.look(request)

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        async for number in self.far.count(request):
            yield number

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        return await self.far.sum(requests)

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async with self.far.talk() as call:
            async for request in requests:
                await call.send(request)
                yield await call.receive()


async def act(lab: LabClient) -> None:
    await lab.act(Text(value="fail"))


async def count(lab: LabClient) -> None:
    async for _ in lab.count(Number(value=13)):
        pass


async def add(lab: LabClient) -> None:
    await lab.sum([Number(value=-1)])


async def talk(lab: LabClient) -> None:
    async for _ in lab.talk([Text(value="fail")]):
        pass


KINDS = pytest.mark.parametrize("call", [act, count, add, talk])


@KINDS
async def test_where_a_handlers_own_call_went_is_logged_and_not_told(
    serve: Serve, caplog: pytest.LogCaptureFixture, call: Callable[[LabClient], Awaitable[None]]
) -> None:
    relay = Relay()
    async with serve(relay) as service:
        relay.far = LabClient(service, target="shop.inventory.v1", retry=ONCE)
        with pytest.raises(micro.Unavailable, match="a service that it needs is not available") as caught:
            await call(LabClient(service, retry=ONCE))
    assert caught.value.id == "micro.outgoing"
    for secret in ("inventory", "nobody serves", "Registered", "target="):
        assert secret not in caught.value.message
    assert "nobody serves 'shop.inventory.v1'" in caplog.text


@KINDS
async def test_an_answer_that_a_handler_lets_through_is_internal(
    serve: Serve, caplog: pytest.LogCaptureFixture, call: Callable[[LabClient], Awaitable[None]]
) -> None:
    relay, caught = Relay(), list[micro.Error]()
    async with serve(relay) as service, serve(Lab()) as far:
        relay.far = LabClient(far)
        with pytest.raises(micro.Internal, match="a call that it made failed") as error:
            await call(LabClient(service))
        caught.append(error.value)
        with pytest.raises(micro.Error) as error:
            await call(LabClient(far))
        caught.append(error.value)
    internal, original = caught
    assert original.message not in internal.message
    assert original.message in caplog.text
    assert not internal.details


async def test_what_sending_by_hand_raises_is_an_error_of_a_handlers_own_call(serve: Serve) -> None:
    class Sends(Relay):
        async def act(self, request: Text, context: micro.Context) -> Text:
            async with self.far.talk() as call:
                await call.end()
                await call.send(request)
            return request

    relay = Sends()
    async with serve(relay) as service, serve(Lab()) as far:
        relay.far = LabClient(far)
        with pytest.raises(micro.Internal, match="a call that it made failed") as caught:
            await LabClient(service).act(Text())
    assert caught.value.id == "micro.outgoing"


async def test_a_deadline_of_a_handlers_own_call_is_a_plain_deadline(serve: Serve) -> None:
    class Hasty(Lab):
        far: LabClient

        async def act(self, request: Text, context: micro.Context) -> Text:
            return await self.far.act(Text(value="hang"), timeout=0.1)

    hasty = Hasty()
    async with serve(hasty) as service, serve(Lab()) as far:
        hasty.far = LabClient(far)
        with pytest.raises(micro.DeadlineExceeded, match="a call that it made was not answered in time") as caught:
            await LabClient(service).act(Text())
    assert "reply" not in caught.value.message


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
async def test_an_event_that_cannot_be_published_is_told_without_the_broker(serve: Serve, several: bool) -> None:
    class Publishes(Lab):
        publisher: ShopPublisher

        async def act(self, request: Text, context: micro.Context) -> Text:
            event = OrderPlaced(order_id="1")
            await (self.publisher.publish_all([event]) if several else self.publisher.order_placed(event))
            return request

    publishes = Publishes()
    async with serve(publishes) as service:
        publishes.publisher = ShopPublisher(micro.Service("not-started", registry="memory:"))
        with pytest.raises(micro.Internal, match="a call that it made failed") as caught:
            await LabClient(service).act(Text())
    assert "not-started" not in caught.value.message


async def test_an_error_that_is_passed_on_by_choice_arrives_whole(serve: Serve) -> None:
    class Passes(Lab):
        far: LabClient

        async def look(self, request: Text, context: micro.Context) -> Text:
            try:
                return await self.far.act(request)
            except micro.NotFound as error:
                raise error.passed_on() from error

    passes = Passes()
    async with serve(passes) as service, serve(Lab()) as far:
        passes.far = LabClient(far)
        with pytest.raises(micro.NotFound) as caught:
            await LabClient(service).look(Text(value="fail"))
    assert (caught.value.message, caught.value.id) == ("no such thing", "lab.nothing")
    assert caught.value.detail(Text) == Text(value="a detail")


async def test_an_error_of_the_handlers_own_arrives_whole_whatever_caused_it(serve: Serve) -> None:
    class Own(Lab):
        far: LabClient

        async def look(self, request: Text, context: micro.Context) -> Text:
            try:
                return await self.far.act(request)
            except micro.NotFound as error:
                raise micro.FailedPrecondition("the order is gone", id="orders.gone") from error

    own = Own()
    async with serve(own) as service, serve(Lab()) as far:
        own.far = LabClient(far)
        with pytest.raises(micro.FailedPrecondition, match="the order is gone") as caught:
            await LabClient(service).look(Text(value="fail"))
    assert caught.value.id == "orders.gone"


async def test_a_call_of_a_task_group_or_an_interceptor_counts_as_the_handlers(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Fans(Lab):
        far: LabClient

        async def act(self, request: Text, context: micro.Context) -> Text:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.far.act(Text(value="fail")))
            return request

    caplog.set_level(logging.INFO, "micro_rt.access")
    fans = Fans()
    async with serve(fans, interceptors=[micro.AccessLog()]) as service, serve(Lab()) as far:
        fans.far = LabClient(far)
        with pytest.raises(micro.Internal, match="a call that it made failed"):
            await LabClient(service).act(Text())
        await eventually(lambda: "server /lab.Lab/Act INTERNAL" in caplog.text)


async def test_a_request_that_cannot_be_read_is_the_callers_error_also_if_it_is_relayed(serve: Serve) -> None:
    relay = Relay()
    async with serve(relay) as service, serve(Lab()) as far:
        relay.far = LabClient(far)
        await LabClient(service).sum([Number(value=1)])
        (remote,) = service.nodes._remotes.values()
        stream = await remote.connection.open("/lab.Lab/Sum", "proto", EMPTY, None, micro.CallInfo())
        await stream.send(b"\xff\xff")
        with pytest.raises(micro.InvalidArgument, match=r"the request of /lab\.Lab/Sum cannot be read"):
            await stream.receive()


@pytest.mark.parametrize("interceptors", [(), (PassesOn(),)], ids=["alone", "in an interceptor"])
async def test_what_the_requests_of_a_handler_raise_is_an_error_of_the_handler(
    serve: Serve, interceptors: Sequence[micro.Interceptor]
) -> None:
    async def checked(requests: AsyncIterator[Number]) -> AsyncIterator[Number]:
        async for request in requests:
            if request.value < 0:
                raise micro.OutOfRange("only what counts", id="lab.range")
            yield request

    class Checks(Relay):
        async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
            return await self.far.sum(checked(requests))

    relay = Checks()
    async with serve(relay) as service, serve(Lab()) as far:
        relay.far = LabClient(far, interceptors=interceptors)
        with pytest.raises(micro.OutOfRange, match="only what counts") as caught:
            await LabClient(service).sum([Number(value=-1)])
    assert caught.value.id == "lab.range"
