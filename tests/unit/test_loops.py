"""Clients and publishers outside the event loop, the thread or the process that their service runs in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
import micro_rt.testing
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher
from tests.protos.shop_pb2 import OrderPlaced

ROOT = Path(__file__).parent.parent.parent


class Watching(micro.Interceptor):
    """Makes the client run its streams through interceptors."""

    async def stream(
        self, requests: AsyncIterator[Any], call: micro.Call, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        async for reply in proceed(requests, call):
            yield reply


async def look(lab: LabClient) -> object:
    return await lab.look(Text(value="x"))


async def look_for_a_while(lab: LabClient) -> object:
    return await lab.look(Text(value="x"), timeout=5)


async def count(lab: LabClient) -> object:
    return [reply async for reply in lab.count(Number(value=2))]


async def add(lab: LabClient) -> object:
    return await lab.sum([Number(value=1)])


async def talk(lab: LabClient) -> object:
    async with lab.talk() as call:
        await call.send(Text(value="x"))
        return await call.receive()


EVERY_KIND = [look, look_for_a_while, count, add, talk]


@pytest.mark.parametrize("interceptors", [(), (Watching(),)], ids=["plain", "intercepted"])
@pytest.mark.parametrize("use", EVERY_KIND)
async def test_a_client_in_another_thread_raises_at_once(
    use: Callable[[LabClient], Awaitable[object]], interceptors: tuple[micro.Interceptor, ...]
) -> None:
    async def in_its_own_loop(lab: LabClient) -> object:
        return await use(lab)

    handler = Lab()
    async with micro_rt.testing.serve(handler, client_interceptors=interceptors) as service:
        lab = LabClient(service)
        with pytest.raises(RuntimeError, match=r"service 'test' .* another event loop.*run_coroutine_threadsafe"):
            await asyncio.wait_for(asyncio.to_thread(lambda: asyncio.run(in_its_own_loop(lab))), 20)
        assert handler.ran == []
        await use(lab)


async def test_a_client_in_another_thread_works_through_the_loop_of_its_service() -> None:
    loop = asyncio.get_running_loop()
    async with micro_rt.testing.serve(Lab()) as service:
        lab = LabClient(service)

        def in_a_thread() -> str:
            return asyncio.run_coroutine_threadsafe(lab.look(Text(value="x")), loop).result(20).value

        assert await asyncio.to_thread(in_a_thread) == "x"


async def test_a_call_that_is_open_raises_in_another_thread() -> None:
    async with micro_rt.testing.serve(Lab()) as service, LabClient(service).talk() as call:

        async def read() -> object:
            return [reply async for reply in call]

        async def use(what: str) -> object:
            used = {"send": lambda: call.send(Text(value="x")), "receive": call.receive, "loop": read}[what]()
            return await asyncio.wait_for(used, 10)  # A thread that waits for ever would keep the test from ending.

        for what in ("send", "receive", "loop"):
            with pytest.raises(RuntimeError, match=r"/lab\.Lab/Talk was opened in another event loop"):
                await asyncio.wait_for(asyncio.to_thread(lambda what=what: asyncio.run(use(what))), 20)
        await call.send(Text(value="x"))
        assert (await call.receive()).value == "re: x"


@pytest.mark.parametrize("closed", [False, True])
def test_a_service_that_was_started_in_another_loop_says_so(closed: bool) -> None:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", transport="memory", broker="memory:")
    service.handle(Lab())
    lab, shop = LabClient(service), ShopPublisher(service)
    first = asyncio.new_event_loop()
    try:
        first.run_until_complete(service.__aenter__())
        if closed:
            first.close()
        for use in (
            lab.look(Text()),
            shop.order_placed(OrderPlaced()),
            service.broker(),
            service.__aexit__(None, None, None),
        ):
            with pytest.raises(RuntimeError, match=r"service 'lab' was started in another event loop.*loop_scope"):
                asyncio.run(use)
    finally:
        if not closed:
            first.run_until_complete(service.__aexit__(None, None, None))
            first.close()


async def test_a_publisher_in_another_thread_raises_at_once_and_publishes_nothing() -> None:
    service = micro.Service("shop", registry=f"memory:{uuid.uuid4()}", broker=f"memory:{uuid.uuid4()}")
    async with service:
        shop = ShopPublisher(service)
        first = await shop.order_placed(OrderPlaced(order_id="1"))
        for publish in (
            lambda: shop.order_placed(OrderPlaced(order_id="1"), timeout=5),
            lambda: shop.publish_all([OrderPlaced(order_id="1")]),
        ):

            async def in_its_own_loop(publish: Callable[[], Awaitable[object]] = publish) -> object:
                return await publish()

            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.wait_for(asyncio.to_thread(lambda: asyncio.run(in_its_own_loop())), 20)
        second = await shop.order_placed(OrderPlaced(order_id="1"))
        assert second.offset == first.offset + 1


async def test_a_service_can_be_stopped_from_another_thread() -> None:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}")
    service.handle(Lab())
    serving = asyncio.create_task(service.serve())
    while service.node is None:
        await asyncio.sleep(0.01)
    assert not serving.done()
    await asyncio.to_thread(service.stop)
    await asyncio.wait_for(serving, 20)
    assert service.node is None


FORK = """
    import asyncio, os
    import micro_rt as micro
    from tests.protos.lab_micro import LabBase, LabClient
    from tests.protos.lab_pb2 import Text
    from tests.protos.shop_micro import ShopPublisher
    from tests.protos.shop_pb2 import OrderPlaced

    class Lab(LabBase):
        async def act(self, request, context):
            running.append(request.value)
            await release.wait()
            return request

    running, release = [], asyncio.Event()
    service = micro.Service("lab")
    service.handle(Lab())
    client, shop = LabClient(service), ShopPublisher(service)
    loop = asyncio.new_event_loop()

    async def begin():
        await service.__aenter__()
        calls = [asyncio.create_task(client.act(Text(value=str(number)))) for number in range(3)]
        while len(running) < 3:
            await asyncio.sleep(0.01)
        return calls

    async def end(calls):
        release.set()
        print("parent:", *[(await call).value for call in calls], flush=True)
        await service.__aexit__(None, None, None)

    def uses():
        yield client.act(Text(value="child"))
        yield client.act(Text(value="child"), timeout=5)
        yield service.broker()
        yield service.__aexit__(None, None, None)

    def child():
        refused(lambda: asyncio.run(shop.order_placed(OrderPlaced())))
        for use in uses():
            refused(lambda: asyncio.run(use))
        asyncio._set_running_loop(loop)
        for use in uses():
            refused(lambda: use.send(None))

    def refused(use):
        try:
            use()
        except RuntimeError as error:
            print("child:", "before this process was forked" in str(error), flush=True)

    calls = loop.run_until_complete(begin())
    number = os.fork()
    if not number:
        try:
            child()
        finally:
            os._exit(0)
    os.waitpid(number, 0)
    loop.run_until_complete(end(calls))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_leaves_the_calls_of_its_parent_alone(tmp_path: Path) -> None:
    env = {**os.environ, "MICRO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    program = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK)], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert program.stdout.splitlines() == ["child: True"] * 9 + ["parent: 0 1 2"], program.stderr
