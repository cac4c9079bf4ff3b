"""What goes on from the call or event that is being served into the calls and events that its handler makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase
from tests.protos.shop_pb2 import OrderPlaced

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Passing(Lab):
    """Calls itself from ``act``, as the text says; ``look`` and ``count`` note what came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[list[tuple[str, Any]]] = []
        self.service: Any = None

    async def act(self, request: Text, context: micro.Context) -> Text:
        client = LabClient(self.service, metadata={"x-own": "1"})
        if request.value == "detached":
            with micro.detached():
                return await client.look(request)
        if request.value == "stream":
            async for _ in client.count(Number()):
                pass
            return request
        return await client.look(request, metadata={"traceparent": "mine"} if request.value == "own" else None)

    async def look(self, request: Text, context: micro.Context) -> Text:
        self.came.append(list(context.metadata.pairs))
        return request

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.came.append(list(context.metadata.pairs))
        yield request


SENT = [
    ("traceparent", TRACEPARENT),
    ("x-tenant", "a"),
    ("x-tenant", "b"),
    ("x-key-bin", b"\x00\xff"),
    ("x-other", "stays"),
]
FLOWS = [("x-own", "1"), *SENT[:4]]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("call", FLOWS),
        ("stream", FLOWS),
        ("detached", [("x-own", "1")]),
        ("own", [("x-own", "1"), ("traceparent", "mine"), *SENT[1:4]]),
    ],
)
@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_call_gets_the_trace_and_what_is_declared(transport: str, what: str, expected: list[Any]) -> None:
    service = micro.Service("lab", registry="memory:", transport=transport, flow=["X-Tenant", "x-key-bin"])
    passing = service.handle(Passing())
    passing.service = service
    async with service:
        await LabClient(service).act(Text(value=what), metadata=SENT)
    assert passing.came == [expected]


async def test_nothing_but_the_trace_flows_unless_it_is_declared(serve: Serve) -> None:
    passing = Passing()
    async with serve(passing) as service:
        passing.service = service
        await LabClient(service).act(Text(value="call"), metadata=SENT)
        await LabClient(service).look(Text(), metadata={"x-tenant": "not served here"})
    assert passing.came == [[("x-own", "1"), SENT[0]], [("x-tenant", "not served here")]]


async def test_bytes_of_a_foreign_peer_flow_as_they_are(serve: Serve) -> None:
    foreign = micro.Metadata.received([("tracestate", "Zo\xc3\xab")])
    passing = Passing()
    async with serve(passing) as service:
        passing.service = service
        await LabClient(service).act(Text(value="call"), metadata=foreign)
    assert passing.came == [[("x-own", "1"), ("tracestate", "Zo\xc3\xab")]]


async def test_it_goes_through_an_event_too() -> None:
    passing = Passing()
    service = micro.Service(
        "shop", registry="memory:flow", transport="memory", broker="memory:flow", flow=["x-tenant", "x-key-bin"]
    )
    passing.service = service

    class Places(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            await ShopPublisher(service).order_placed(OrderPlaced(order_id="1"), headers={"tracestate": "mine"})
            return request

    class Handles(ShopSubscriberBase):
        async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None:
            await LabClient(service, target="looks").look(Text())

    other = micro.Service("looks", registry="memory:flow", transport="memory", broker="memory:flow")
    other.handle(passing)
    service.handle(Places())
    service.subscribe(Handles(), group="flow")
    async with other, service:
        sent = [*SENT, ("tracestate", "the caller's"), ("baggage", "b=1")]
        await LabClient(service, target="shop").act(Text(), metadata=sent)
        await eventually(lambda: passing.came)
    flowed = [
        ("baggage", "b=1"),
        ("traceparent", TRACEPARENT),
        ("tracestate", "mine"),
        ("x-key-bin", b"\x00\xff"),
        ("x-tenant", "b"),
    ]
    assert passing.came == [flowed]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("x-tenant", r"flow='x-tenant': it is a list of keys, \['x-tenant'\]"),
        (["x tenant"], "metadata key 'x tenant'"),
        (["content-type"], "reserved"),
        (["micro-node"], "set by the runtime"),
        ([7], "metadata keys are text"),
    ],
)
def test_keys_that_cannot_flow_are_refused(wrong: Any, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        micro.Service("web", flow=wrong)
