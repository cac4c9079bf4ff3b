"""A service and a client on the parts of acme-micro alone: calls of all kinds, over both transports, and events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import micro_rt as micro
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase
from tests.protos.shop_pb2 import OrderPlaced


class Lab(LabBase):
    async def act(self, request: Text, context: micro.Context) -> Text:
        if request.value == "fail":
            raise micro.NotFound("no such thing", id="lab.nothing", details=[Text(value="a detail")])
        context.add_trailer("tail", "t")
        return Text(value=f"{request.value} {context.metadata['head']}")

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        for value in range(request.value):
            yield Number(value=value)

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        return Number(value=sum([request.value async for request in requests]))

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async for request in requests:
            yield Text(value=f"re: {request.value}")


class Orders(ShopSubscriberBase):
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.enough = asyncio.Event()

    async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None:
        self.seen.append(event.order_id)
        if len(self.seen) == 10:
            self.enough.set()


async def call(service: micro.Service) -> None:
    """Makes calls of all kinds."""
    lab = LabClient(service, metadata={"head": "h"})
    info = micro.CallInfo()
    assert (await lab.act(Text(value="ä ☃"), info=info, timeout=20)).value == "ä ☃ h"
    assert info.trailers["tail"] == "t"
    assert [number.value async for number in lab.count(Number(value=3))] == [0, 1, 2]
    assert (await lab.sum([Number(value=1), Number(value=2)])).value == 3
    async with lab.talk() as talk:
        await talk.send(Text(value="hello"))
        assert (await talk.receive()).value == "re: hello"
    try:
        await lab.act(Text(value="fail"))
    except micro.NotFound as error:
        assert (error.message, error.id, error.details) == ("no such thing", "lab.nothing", (Text(value="a detail"),))
    else:
        raise AssertionError("the call did not fail")


async def main(place: str) -> None:
    parts: dict[str, Any] = {
        "registry": f"acme:{place}/registry.json",
        "broker": "acme:",
        "transport": "acme",
        "selector": "acme",
    }
    orders = Orders()
    async with micro.Service("web", **parts, codec="acme") as web:
        for transport in ("acme", "grpc"):
            server = micro.Service("lab", **{**parts, "transport": transport}, codec="acme")
            server.handle(Lab())
            async with server:
                assert server.node is not None
                assert server.node.transport == transport
                await call(web)  # its codec is acme
                async with micro.Service("plain", **parts) as plain:
                    await call(plain)  # its codec is proto
        first = micro.Service("plain-lab", **parts)
        first.handle(Lab())
        async with first:
            await call(web)  # the server prefers proto, and answers in acme
        billing = micro.Service("billing", **parts, codec="acme")
        billing.subscribe(orders)
        async with billing:
            publisher = ShopPublisher(web)
            for number in range(10):
                await publisher.order_placed(OrderPlaced(order_id=f"{number}"))
            async with asyncio.timeout(20):
                await orders.enough.wait()
    assert sorted(orders.seen) == [f"{number}" for number in range(10)]
    print("all went well")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
