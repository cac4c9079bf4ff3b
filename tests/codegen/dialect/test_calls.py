"""The same stubs and the same runtime serve and call messages of the dialect, on both transports."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from betterproto.lib.google.protobuf import Empty, Struct, Value

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.codec.json_codec import JsonCodec
from micro_rt.status import decode_details, encode_details


@pytest.fixture
def till(importable: None) -> Any:
    return importlib.import_module("till.till_micro")


@pytest.fixture
def m(importable: None) -> Any:
    return importlib.import_module("till.money_pb"), importlib.import_module("till.till_pb")


def handler(till: Any, m: Any) -> Any:
    money, sums = m

    class Till(till.TillBase):  # type: ignore[misc]
        async def add(self, request: Any, context: micro.Context) -> Any:
            return money.Money(units=sum(part.units for part in request.parts), currency=money.MoneyCurrency.USD)

        async def watch(self, request: Any, context: micro.Context) -> AsyncIterator[Any]:
            for part in request.parts:
                yield part

        async def collect(self, requests: AsyncIterator[Any], context: micro.Context) -> Any:
            return sums.Sum(parts=[part async for part in requests])

        async def change(self, requests: AsyncIterator[Any], context: micro.Context) -> AsyncIterator[Any]:
            async for part in requests:
                yield money.Money(units=part.units * 2)

        async def clear(self, request: Empty, context: micro.Context) -> Empty:
            assert type(request) is Empty
            return Empty()

        async def describe(self, request: Struct, context: micro.Context) -> Value:
            return request.fields["a"]

    return Till()


@pytest.mark.parametrize("codec", ["proto", "json"])
@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_every_kind_of_call(transport: str, codec: str, till: Any, m: Any) -> None:
    money, sums = m
    parts = [money.Money(units=1), money.Money(units=2, nanos=-5)]
    registry = MemoryRegistry(f"memory:{uuid.uuid4()}")
    service = micro.Service("till", registry=registry, transport=transport, codec=codec, grace=1.0)
    service.handle(handler(till, m))
    async with service:
        client = till.TillClient(service)
        assert await client.add(sums.Sum(parts=parts)) == money.Money(units=3, currency=money.MoneyCurrency.USD)
        assert [part async for part in client.watch(sums.Sum(parts=parts))] == parts
        assert await client.collect(parts) == sums.Sum(parts=parts)
        assert [part.units async for part in client.change(parts)] == [2, 4]
        assert await client.clear(Empty()) == Empty()
        assert await client.describe(Struct(fields={"a": Value(number_value=1.5)})) == Value(number_value=1.5)


async def test_damaged_requests_and_wrong_types_are_errors_of_the_runtime(till: Any, m: Any) -> None:
    money, sums = m
    service = micro.Service("till", registry=MemoryRegistry(f"memory:{uuid.uuid4()}"), transport="memory", grace=1.0)
    decode = service.codec.decoder(sums.Sum)
    with pytest.raises(ValueError, match="not a valid Sum"):
        decode(b"\x0a\x05")
    assert decode(service.codec.encoder(sums.Sum)(sums.Sum([money.Money(units=4)]))).parts[0].units == 4
    service.handle(handler(till, m))
    async with service:
        with pytest.raises(TypeError):
            await till.TillClient(service).add(money.Money())


def test_the_json_codec_reads_and_writes_betterproto_s_own_messages_as_protobuf_s_mapping_has_them(m: Any) -> None:
    money, _ = m
    codec = JsonCodec()
    struct = Struct(fields={"a": Value(number_value=1.5)})
    assert codec.encoder(Struct)(struct) == b'{"a":1.5}'
    assert codec.decoder(Struct)(b'{"a":1.5}') == struct
    assert codec.encoder(Empty)(Empty()) == b"{}"
    amount = money.Money(units=1, currency=money.MoneyCurrency.USD)
    assert codec.decoder(money.Money)(codec.encoder(money.Money)(amount)) == amount
    for damaged in (b"", b"{", b'{"units": []}', b'"\xff"', b'{"a": ' + b"[" * 200_000):
        with pytest.raises(ValueError, match="not the JSON of a Money: "):
            codec.decoder(money.Money)(damaged)
    with pytest.raises(TypeError, match="int is not a message that has a JSON form"):
        codec.encoder(int)


def test_a_message_of_the_dialect_is_a_detail_of_an_error(m: Any) -> None:
    money, _ = m
    data = encode_details(micro.NotFound("no", details=[money.Money(units=5)]))
    assert data is not None
    error = micro.NotFound("no", details=decode_details(data).details)
    assert error.detail(money.Money) == money.Money(units=5)
