"""What handle() and subscribe() refuse, and what clients and publishers refuse to be made of."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

import micro_rt as micro
from micro_rt.testing import serve
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import AnnexBase, LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase

# The wrong shapes are what these handlers are for.
# mypy: disable-error-code="override"
# pyright: reportIncompatibleMethodOverride=false


def handle(handler: LabBase) -> None:
    micro.Service("lab", registry="memory:").handle(handler)


def with_method(name: str, method: Any) -> LabBase:
    made: LabBase = type("Made", (LabBase,), {name: method})()
    return made


async def one_reply(self: object, request: object, context: object) -> Any: ...


async def replies(self: object, request: object, context: object) -> AsyncIterator[Any]:
    yield


def plain(self: object, request: object, context: object) -> Any: ...


def plain_replies(self: object, request: object, context: object) -> Any:
    yield


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("act", replies, r"/lab\.Lab/Act has one reply: act\(\) must return it, and has a yield"),
        ("sum", replies, r"/lab\.Lab/Sum has one reply: sum\(\) must return it, and has a yield"),
        ("act", plain_replies, r"/lab\.Lab/Act has one reply: act\(\) must return it, and has a yield"),
        ("sum", plain_replies, r"/lab\.Lab/Sum has one reply: sum\(\) must return it, and has a yield"),
        (
            "count",
            one_reply,
            r"/lab\.Lab/Count streams replies: count\(\) must be an async generator, and has no yield",
        ),
        ("talk", one_reply, r"/lab\.Lab/Talk streams replies: talk\(\) must be an async generator, and has no yield"),
        ("act", None, r"/lab\.Lab/Act: act is None, not a method"),
        ("act", 7, r"/lab\.Lab/Act: act is 7, not a method"),
    ],
)
def test_a_method_of_the_wrong_kind_is_refused(name: str, method: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        handle(with_method(name, method))


async def none_taken() -> Any: ...


async def only_self(self: object) -> Any: ...


async def only_request(self: object, request: object) -> Any: ...


async def three(self: object, request: object, context: object, more: object) -> Any: ...


async def keyword(self: object, request: object, context: object, *, more: object) -> Any: ...


async def by_name(self: object, *, request: object, context: object) -> Any: ...


@pytest.mark.parametrize("method", [none_taken, only_self, only_request, three, keyword, by_name])
def test_a_method_with_other_arguments_is_refused(method: Any) -> None:
    with pytest.raises(TypeError, match=r"/lab\.Lab/Act: act\(\) must take two arguments, \(request, context\)"):
        handle(with_method("act", method))


async def test_a_method_with_more_arguments_that_have_defaults_is_served(address: str) -> None:
    class More(LabBase):
        async def act(self, request: Text, context: micro.Context, more: int = 1, *others: int, last: int = 2) -> Text:
            return Text(value=f"{more}{last}")

    service = micro.Service("lab", registry=address)
    service.handle(More())
    async with service:
        assert (await LabClient(service).act(Text())).value == "12"


@pytest.fixture
def address() -> str:
    return f"memory:{uuid.uuid4()}"


def traced(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    def run(*arguments: Any) -> Awaitable[Any]:
        return function(*arguments)

    return run


def with_database(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def run(self: object, request: object, context: object) -> Any:
        return await function(self, request, context, "database")

    return run


async def test_decorated_methods_are_served(address: str) -> None:
    class Decorated(LabBase):
        @traced
        async def act(self, request: Text, context: micro.Context) -> Text:
            return Text(value="traced")

        @with_database
        async def look(self, request: Text, context: micro.Context, database: str) -> Text:
            return Text(value=database)

        @staticmethod
        async def sum(requests: AsyncIterator[Number], context: micro.Context) -> Number:
            return Number(value=3)

    service = micro.Service("lab", registry=address)
    handler = service.handle(Decorated())
    lab = LabClient(service)
    async with service:
        assert (await lab.act(Text())).value == "traced"
        assert (await lab.look(Text())).value == "database"
        assert (await lab.sum([])).value == 3
    assert handler is not None


async def test_a_mock_is_served() -> None:
    act = AsyncMock(return_value=Text(value="mocked"))
    async with serve(with_method("act", act)) as service:
        assert (await LabClient(service).act(Text())).value == "mocked"
    act.assert_awaited_once()


@pytest.mark.parametrize("name", ["lok", "Look", "loook", "lookk"])
def test_a_method_whose_name_is_near_that_of_an_rpc_is_refused(name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"Made\.{name}\(\) is not an rpc of lab\.Lab; did you mean look\(\)\?.*_{name}"
    ):
        handle(with_method(name, one_reply))


@pytest.mark.parametrize("name", ["missingStream", "MissingStream", "missing_streams"])
def test_another_way_to_write_the_name_of_an_rpc_is_refused(name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"Made\.{name}\(\) is not an rpc of lab\.Lab; did you mean missing_stream\(\)\?"
    ):
        handle(with_method(name, replies))


def test_helpers_are_not_taken_for_misspelled_rpcs() -> None:
    class Helpers(Lab):
        lock = asyncio.Lock

        async def looks(self) -> None:
            """Is near look(), which is defined."""

        async def _missing(self) -> None:
            """Begins with an underscore."""

        def price_of(self) -> None:
            """Is near nothing."""

    service = micro.Service("lab", registry="memory:")
    helpers = Helpers()
    assert service.handle(helpers) is helpers


def test_a_handler_of_two_proto_services_is_refused() -> None:
    class Both(LabBase, AnnexBase): ...

    with pytest.raises(TypeError, match="Both derives from LabBase and AnnexBase: make a handler for each"):
        handle(Both())


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("order_placed", plain, r"Made\.order_placed\(\) must be written as `async def`"),
        ("order_placed", only_request, r"Made\.order_placed\(\) must take two arguments, \(event, context\)"),
        ("shiped", one_reply, r"Made\.shiped\(\) is not an event of ShopSubscriberBase; did you mean shipped\(\)\?"),
    ],
)
def test_a_subscriber_of_the_wrong_shape_is_refused(name: str, method: Any, message: str) -> None:
    async def ping(self: object, event: object, context: object) -> None: ...

    made: ShopSubscriberBase = type("Made", (ShopSubscriberBase,), {"ping": ping, name: method})()
    with pytest.raises(TypeError, match=message):
        micro.Service("shop", registry="memory:").subscribe(made)


@pytest.mark.parametrize("service", [None, "lab", micro.Service, 7])
@pytest.mark.parametrize("stub", [LabClient, ShopPublisher])
def test_a_stub_of_no_service_is_refused(stub: Callable[[Any], Any], service: object) -> None:
    with pytest.raises(TypeError, match=r"(LabClient|ShopPublisher)\(.*\): the argument is a micro\.Service"):
        stub(service)


# Calls that stream, used as if they did not


@pytest.fixture
def lab() -> Any:
    """A client, as code without types has it."""
    return LabClient(micro.Service("lab", registry="memory:"))


async def test_awaiting_a_stream_of_replies_says_async_for(lab: Any) -> None:
    with pytest.raises(TypeError, match=r"count\(\) streams replies: async for reply in client\.count\(\.\.\.\)"):
        await lab.count(Number())
    with pytest.raises(TypeError, match=r"talk\(\) streams replies: async for reply in client\.talk\(\.\.\.\)"):
        await lab.talk([])


def test_a_plain_loop_over_a_stream_of_replies_says_async_for(lab: Any) -> None:
    for call in (lab.count(Number()), lab.talk([])):
        with pytest.raises(TypeError, match=r"async for reply in client\.(count|talk)\(\.\.\.\)"):
            for _ in call:
                pass


async def test_a_loop_over_a_call_with_one_reply_says_await(lab: Any) -> None:
    with pytest.raises(TypeError, match=r"sum\(\) has one reply: reply = await client\.sum\(\.\.\.\)"):
        for _ in lab.sum([]):
            pass
    with pytest.raises(TypeError, match=r"sum\(\) has one reply: reply = await client\.sum\(\.\.\.\)"):
        async for _ in lab.sum([]):
            pass
