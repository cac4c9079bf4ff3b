"""Requests are checked by the rules of ``buf.validate`` in their .proto files."""

from __future__ import annotations

import logging
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.details import BadRequest
from tests.helpers.handlers import Serve
from tests.helpers.rules import generated


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return generated(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return generated(tmp_path_factory.mktemp("better"), "messages=betterproto,package=.")


def handler_of(shop: Any) -> Any:
    """Returns a handler that remembers what its methods got."""

    class Shop(shop.ShopBase):  # type: ignore[misc]
        def __init__(self) -> None:
            self.got: list[Any] = []

        async def buy(self, request: Any, context: micro.Context) -> Any:
            self.got.append(request)
            return shop.Free(value=1)

        look = dig = divide = buy

        async def watch(self, request: Any, context: micro.Context) -> AsyncIterator[Any]:
            self.got.append(request)
            yield shop.Free(value=1)

        async def fill(self, requests: AsyncIterator[Any], context: micro.Context) -> Any:
            self.got += [each async for each in requests]
            return shop.Free(value=len(self.got))

        async def talk(self, requests: AsyncIterator[Any], context: micro.Context) -> AsyncIterator[Any]:
            async for each in requests:
                self.got.append(each)
                yield shop.Free(value=len(self.got))

    return Shop()


def violations(error: micro.Error) -> list[tuple[str, str]]:
    found = error.detail(BadRequest)
    assert found is not None
    return [(each.field, each.reason) for each in found.field_violations]


async def test_a_request_that_keeps_its_rules_reaches_the_handler(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler) as service:
        order = shop.Order(copies=3, cash=1, items=[shop.Item(name="a")], code="aaa", numbers=[1])
        assert (await shop.ShopClient(service).buy(order)).value == 1
        assert handler.got == [order]


async def test_a_request_that_breaks_a_rule_does_not(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler) as service:
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).buy(shop.Order(copies=4, cash=1))
    assert not handler.got
    error = caught.value
    assert error.id == "micro.invalid"
    assert error.message == "copies: must be less than or equal to 3 [int32.lte]"
    found = error.detail(BadRequest)
    assert found is not None
    [only] = found.field_violations
    assert (only.field, only.description, only.reason) == (
        "copies",
        "must be less than or equal to 3",
        "int32.lte",
    )


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"items": [{"name": "a"}, {"name": "too long"}]}, ("items[1].name", "string.max_len")),
        ({"items": [{"name": "a", "inside": {}}]}, ("items[0].inside.name", "string.min_len")),
        ({"by_name": {"a": {}}}, ('by_name["a"].name', "string.min_len")),
        ({"by_name": {'long"\n': {"name": "a"}}}, ('by_name["long\\"\\n"]', "string.max_len")),
        ({"by_number": {7: {}}}, ("by_number[7].name", "string.min_len")),
        ({"copies": 2}, ("", "order.reason")),
        ({"code": "b"}, ("code", "string.pattern")),
        ({"numbers": [1, 0]}, ("numbers[1]", "int32.gt")),
        ({"cash": None}, ("paid", "required")),
    ],
)
async def test_the_details_name_the_field_and_the_rule(
    serve: Serve, shop: Any, broken: dict[str, Any], expected: tuple[str, str]
) -> None:
    async with serve(handler_of(shop)) as service:
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).buy(shop.Order(**{"cash": 1, **broken}))
    assert violations(caught.value) == [expected]
    assert expected[1] in caught.value.message


async def test_all_violations_are_listed_and_the_first_three_named(serve: Serve, shop: Any) -> None:
    async with serve(handler_of(shop)) as service:
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).buy(shop.Order(numbers=[0] * 5, cash=1))
    assert violations(caught.value) == [(f"numbers[{number}]", "int32.gt") for number in range(5)]
    assert caught.value.message == "; ".join(
        [*(f"numbers[{number}]: must be greater than 0 [int32.gt]" for number in range(3)), "and 2 more"]
    )


async def test_a_large_request_is_checked_up_to_its_first_violation(serve: Serve, shop: Any) -> None:
    async with serve(handler_of(shop)) as service:
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).buy(shop.Order(numbers=[0] * 100_000, cash=1))
    assert violations(caught.value) == [("numbers[0]", "int32.gt")]


async def test_what_a_caller_puts_into_a_path_is_bounded(serve: Serve, shop: Any) -> None:
    keys = [f"{number}\x1b\u202e" + "☃" * 400 for number in range(12)]
    async with serve(handler_of(shop)) as service:
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).buy(shop.Order(cash=1, by_name={key: shop.Item(name="a") for key in keys}))
    found = caught.value.detail(BadRequest)
    assert found is not None
    assert found.field_violations
    assert found.ByteSize() < 4000
    assert len(caught.value.message) < 1500
    assert caught.value.message.isprintable()
    assert all(each.field.isprintable() for each in found.field_violations)
    assert found.field_violations[0].description.startswith("key: ")


async def test_rules_deep_in_a_recursive_message_are_kept(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler) as service:
        bad = shop.Deep(middle=[shop.Middle(again=shop.Deep(middle=[shop.Middle(items={"k": shop.Item()})]))])
        with pytest.raises(micro.InvalidArgument) as caught:
            await shop.ShopClient(service).dig(bad)
    assert violations(caught.value) == [('middle[0].again.middle[0].items["k"].name', "string.min_len")]
    assert not handler.got


async def test_the_request_of_a_server_stream_is_checked(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.InvalidArgument) as caught:
            [each async for each in client.watch(shop.Order())]
        assert violations(caught.value) == [("paid", "required")]
        assert not handler.got
        assert [each.value async for each in client.watch(shop.Order(cash=1))] == [1]


async def test_each_request_of_a_stream_is_checked_as_it_comes(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    good, bad = shop.Order(cash=1), shop.Order(cash=1, copies=4)
    async with serve(handler) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.fill([good, good, bad, good])
        assert violations(caught.value) == [("copies", "int32.lte")]
        assert not handler.got  # It was still collecting them.
        assert (await client.fill([good, good])).value == 2
        handler.got.clear()
        replies = []
        with pytest.raises(micro.InvalidArgument):
            async for each in client.talk([good, bad, good]):
                replies.append(each.value)
        assert handler.got == [good]
        assert replies == [1]


async def test_requests_in_another_codec_are_checked(shop: Any) -> None:
    handler = handler_of(shop)
    registry = f"memory:{uuid.uuid4()}"
    service = micro.Service("lab", registry=registry, transport="grpc")
    service.handle(handler)
    async with service, micro.Service("json", registry=registry, codec="json") as other:
        client = shop.ShopClient(other)
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.buy(shop.Order(cash=1, copies=4))
        assert violations(caught.value) == [("copies", "int32.lte")]
        await client.buy(shop.Order(cash=1))
    assert len(handler.got) == 1


class Refusing(micro.Interceptor):
    async def unary(self, request: Any, call: Any, proceed: Any) -> Any:
        raise micro.PermissionDenied("no")

    async def stream(self, requests: Any, call: Any, proceed: Any) -> AsyncIterator[Any]:
        raise micro.PermissionDenied("no")
        yield


async def test_whoever_an_interceptor_refuses_learns_nothing_of_the_rules(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler, interceptors=[Refusing()]) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.PermissionDenied):
            await client.buy(shop.Order())
        with pytest.raises(micro.PermissionDenied):
            [each async for each in client.watch(shop.Order())]
        with pytest.raises(micro.PermissionDenied):
            [each async for each in client.talk([shop.Order()])]
    assert not handler.got


async def test_what_an_interceptor_puts_in_place_of_a_request_is_checked(serve: Serve, shop: Any) -> None:
    class Changing(micro.Interceptor):
        async def unary(self, request: Any, call: Any, proceed: Any) -> Any:
            return await proceed(shop.Order(cash=1, copies=5 - request.copies), call)

    async with serve(handler_of(shop), interceptors=[Changing()]) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.InvalidArgument):
            await client.buy(shop.Order(cash=1, copies=1))
        await client.buy(shop.Order(cash=1, copies=5))


async def test_a_method_without_rules_calls_its_handler_as_before(shop: Any) -> None:
    handler = handler_of(shop)
    service = micro.Service("shop")
    service.handle(handler)
    routes = service._dispatcher._routes
    assert routes["/checked.Shop/Look"].function == handler.look
    assert routes["/checked.Shop/Buy"].function != handler.buy
    assert routes["/checked.Shop/Dig"].function != handler.dig


UNKNOWN = """
import sys
import micro_rt as micro
from tests.helpers.rules import generated
from pathlib import Path

shop = generated(Path(sys.argv[1]), "messages=betterproto,package=.")

class Shop(shop.ShopBase):
    async def buy(self, request, context):
        return shop.Free()

handler, service = Shop(), micro.Service("shop")
service.handle(handler)
assert not [name for name in sys.modules if name.startswith("buf")]
assert service._dispatcher._routes["/checked.Shop/Buy"].function != handler.buy
assert service._dispatcher._routes["/checked.Shop/Look"].function == handler.look
"""


def test_rules_are_found_where_their_options_are_unknown(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", UNKNOWN, tmp_path], check=True)


async def test_validate_false_checks_nothing(serve: Serve, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = handler_of(shop)
    async with serve(handler, validate=False) as service:
        await shop.ShopClient(service).buy(shop.Order(copies=4))
    assert len(handler.got) == 1


async def test_a_rule_that_fails_is_internal_and_logged(
    serve: Serve, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handler = handler_of(shop)
    async with serve(handler) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.Internal) as caught:
            await client.divide(shop.Divided(by=0))
        assert caught.value.id == "micro.broken_rule"
        assert "zero" not in caught.value.message
        await client.divide(shop.Divided(by=2))
    assert len(handler.got) == 1
    assert "divide by zero" in caplog.text


async def test_a_rule_that_does_not_compile_stops_the_handler_from_being_added(shop: Any) -> None:
    class Broken(shop.BrokenShopBase):  # type: ignore[misc]
        async def buy(self, request: Any, context: micro.Context) -> Any:
            return shop.Free()

    with pytest.raises(ValueError, match=r"checked\.Named.*rules are at: name.*missing \)"):
        micro.Service("shop").handle(Broken())
    micro.Service("shop", validate=False).handle(Broken())
    with pytest.raises(ValueError, match=r"checked\.Named"):
        shop.BrokenShopClient(micro.Service("client"), validate=True)
    shop.BrokenShopClient(micro.Service("client"))


async def test_a_client_validates_on_request(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler, validate=False) as service:
        client = shop.ShopClient(service, validate=True)
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.buy(shop.Order(cash=1, copies=4))
        assert violations(caught.value) == [("copies", "int32.lte")]
        assert not caught.value.may_have_run
        assert caught.value.outgoing
        with pytest.raises(micro.InvalidArgument) as caught:
            [each async for each in client.watch(shop.Order())]
        assert not caught.value.may_have_run
        with pytest.raises(micro.InvalidArgument):
            await client.fill([shop.Order()])
        assert not handler.got
        async with client.talk() as call:
            with pytest.raises(micro.InvalidArgument) as caught:
                await call.send(shop.Order())
            assert violations(caught.value) == [("paid", "required")]
            await call.send(shop.Order(cash=1))
            assert (await call.receive()).value == 1
            await call.end()
        assert len(handler.got) == 1
        await client.look(shop.Free())


async def test_a_client_without_validate_sends_what_it_is_given(serve: Serve, shop: Any) -> None:
    handler = handler_of(shop)
    async with serve(handler, validate=False) as service:
        await shop.ShopClient(service).buy(shop.Order(copies=4))
    assert len(handler.got) == 1


@pytest.mark.parametrize("depth", [90, 20_000])
async def test_deep_requests_end_in_no_other_way(serve: Serve, shop: Any, depth: int) -> None:
    deep = shop.Order(cash=1, items=[shop.Item(name="a")])
    inner = deep.items[0]
    for _ in range(depth):
        inner = inner.inside
        inner.name = "a"
    inner.name = ""
    async with serve(handler_of(shop)) as service:
        for validate in (False, True):
            with pytest.raises(micro.InvalidArgument):
                await shop.ShopClient(service, validate=validate).buy(deep)


async def test_a_long_text_is_matched_in_time_that_grows_with_it(serve: Serve, shop: Any) -> None:
    async with serve(handler_of(shop)) as service:
        client = shop.ShopClient(service)
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.buy(shop.Order(cash=1, code="a" * 1_000_000 + "!"))
        assert violations(caught.value) == [("code", "string.pattern")]
        await client.buy(shop.Order(cash=1, code="a" * 1_000_000))


async def test_without_protovalidate_a_service_warns_once_per_run(
    serve: Serve, shop: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "protovalidate", None)
    handler = handler_of(shop)
    with caplog.at_level(logging.WARNING, "micro_rt"):
        async with serve(handler) as service:
            await shop.ShopClient(service).buy(shop.Order())
            with pytest.raises(micro.FailedPrecondition, match=r"pip install 'micro-rt\[validate\]'"):
                shop.ShopClient(service, validate=True)
    assert len(handler.got) == 1
    [warning] = [each.getMessage() for each in caplog.records if "buf.validate" in each.getMessage()]
    assert "pip install 'micro-rt[validate]'" in warning
    assert "/checked.Shop/Buy" in warning
    assert "/checked.Shop/Look" not in warning
    assert "validate=False" in warning
    caplog.clear()
    with caplog.at_level(logging.WARNING, "micro_rt"):
        async with serve(handler_of(shop), validate=False):
            pass
    assert "buf.validate" not in caplog.text


async def test_requests_of_the_dialect_betterproto_are_checked(serve: Serve, better: Any) -> None:
    handler = handler_of(better)
    async with serve(handler) as service:
        client = better.ShopClient(service)
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.buy(better.Order(copies=4, cash=1))
        assert violations(caught.value) == [("copies", "int32.lte")]
        assert not handler.got
        await client.buy(better.Order(copies=3, cash=1))
        await client.look(better.Free())
        with pytest.raises(micro.InvalidArgument):
            await better.ShopClient(service, validate=True).buy(better.Order(cash=1, items=[better.Item()]))
    assert len(handler.got) == 2
