"""Which calls are sent again, and where: by rule, never twice unless that is declared safe."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.client import attempts
from micro_rt.client.attempts import MOVES
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import AnnexBase, AnnexClient, LabClient
from tests.protos.lab_pb2 import Number, Text


class World:
    """Servers that come and go under one registry, and a client."""

    def __init__(self, stack: AsyncExitStack, transport: str) -> None:
        self.address = f"memory:{uuid.uuid4()}"
        self.transport = transport
        self.dead = 0
        self.stack = stack
        self.registry = MemoryRegistry(self.address)

    async def server(self, lab: Lab, name: str = "lab") -> micro.Service:
        service = micro.Service(name, registry=MemoryRegistry(self.address), transport=self.transport, grace=0)
        service.handle(lab)
        return await self.stack.enter_async_context(service)

    async def dead_node(self, name: str = "lab") -> str:
        """Lists a node that nobody answers for."""
        self.dead += 1
        address = f"127.0.0.1:{self.dead}" if self.transport == "grpc" else f"memory:dead-{self.dead}"
        node = Node(f"dead-{uuid.uuid4()}", address, self.transport)
        await self.registry.register(Registration(node, (name,)))
        return node.id

    async def client(self) -> micro.Service:
        return await self.stack.enter_async_context(micro.Service("client", registry=MemoryRegistry(self.address)))


@pytest.fixture(params=["memory", "grpc"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        world = World(stack, request.param)
        await world.registry.open()
        stack.push_async_callback(world.registry.close)
        yield world


class Flaky(Lab):
    """Fails the first calls."""

    def __init__(self, failures: int, error: type[micro.Error] = micro.Unavailable) -> None:
        super().__init__()
        self.failures = failures
        self.error = error

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.ran.append(request.value)
        if len(self.ran) <= self.failures:
            raise self.error("not now")
        return request

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.ran.append("count")
        if len(self.ran) <= self.failures:
            raise self.error("not now")
        yield Number(value=1)
        if request.value == 2:
            raise self.error("in the middle")


async def test_calls_go_round_robin(world: World) -> None:
    for _ in range(3):
        await world.server(Lab())
    lab = LabClient(await world.client())
    counts = Counter[str]()
    order = []
    for _ in range(30):
        info = micro.CallInfo()
        await lab.look(Text(), info=info)
        counts[info.node] += 1
        order.append(info.node)
    assert sorted(counts.values()) == [10, 10, 10]
    assert order[:3] * 10 == order


async def test_a_node_that_nobody_answers_for_costs_no_call_of_any_kind(world: World) -> None:
    await world.server(Lab())
    dead = await world.dead_node()
    lab = LabClient(await world.client())
    attempts = 0
    for _ in range(20):
        info = micro.CallInfo()
        assert (await lab.act(Text(value="x"), info=info)).value == "x"
        assert info.node != dead
        attempts += info.attempts
    assert attempts == 21, "the dead node is tried once, and passed over for a while"
    assert [n.value async for n in lab.count(Number(value=2))] == [0, 1]
    assert (await lab.sum([Number(value=1)])).value == 1


async def test_every_node_is_tried_before_giving_up(world: World) -> None:
    for _ in range(8):
        await world.dead_node()
    await world.server(Lab())
    info = micro.CallInfo()
    assert (await LabClient(await world.client()).act(Text(value="x"), info=info)).value == "x"
    assert info.attempts <= 9


async def test_nobody_left_is_unavailable_and_never_ran(world: World) -> None:
    await world.dead_node()
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=2, backoff=0.01))
    with pytest.raises(micro.Unavailable) as caught:
        await lab.act(Text())
    assert not caught.value.may_have_run


async def test_a_round_of_attempts_tries_each_node_once(world: World) -> None:
    dead = {await world.dead_node() for _ in range(4)}
    service = await world.client()
    lab = LabClient(service, retry=micro.RetryPolicy(attempts=3, backoff=0.01))
    for _ in range(3):  # the later calls find every node set aside
        info = micro.CallInfo()
        with pytest.raises(micro.Unavailable):
            await lab.act(Text(), info=info)
        assert info.attempts == 3 * len(dead)


async def test_a_call_does_not_try_a_thousand_nodes(world: World) -> None:
    for _ in range(200):
        await world.dead_node()
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=2, backoff=0.001))
    info = micro.CallInfo()
    with pytest.raises(micro.Unavailable):
        await lab.act(Text(), info=info)
    assert info.attempts <= MOVES + 2


async def test_a_call_does_not_give_up_while_there_is_a_connected_node(world: World) -> None:
    await world.server(Lab())
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=1))
    await lab.act(Text(value="x"))
    for _ in range(200):
        await world.dead_node()
    await eventually(lambda: len(lab._service.nodes.service_nodes("lab", "lab.Lab").nodes), equals=201)
    for _ in range(20):
        info = micro.CallInfo()
        assert (await lab.act(Text(value="x"), info=info)).value == "x"
        assert info.attempts <= 2, "a call that fails goes to the connected node next"


async def test_trying_other_nodes_is_bounded_by_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOVE_TIME", 0.0)
    for _ in range(8):
        await world.dead_node()
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=2, backoff=0.001))
    info = micro.CallInfo()
    with pytest.raises(micro.Unavailable):
        await lab.act(Text(), info=info)
    assert info.attempts == 2


async def test_the_error_gives_the_reason_of_each_node(world: World) -> None:
    host = "127.0.0.1" if world.transport == "grpc" else "memory"
    for port in (1, 2, 3):
        node = Node(f"dead-{port}", f"{host}:{port}", world.transport)
        await world.registry.register(Registration(node, ("lab",)))
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=1))
    with pytest.raises(micro.Unavailable) as caught:
        await lab.act(Text())
    for port in (1, 2, 3):
        assert f"{host}:{port}" in caught.value.message


async def test_a_call_declared_idempotent_is_sent_again(world: World) -> None:
    flaky = Flaky(2)
    await world.server(flaky)
    info = micro.CallInfo()
    assert (await LabClient(await world.client()).look(Text(value="x"), info=info)).value == "x"
    assert info.attempts == 3
    assert flaky.ran == ["x", "x", "x"]


async def test_a_call_not_declared_idempotent_never_runs_twice(world: World) -> None:
    flaky = Flaky(1)
    await world.server(flaky)
    with pytest.raises(micro.Unavailable, match="not now") as caught:
        await LabClient(await world.client()).act(Text(value="x"))
    assert caught.value.may_have_run
    assert flaky.ran == ["x"]


async def test_a_policy_can_declare_it_instead(world: World) -> None:
    flaky = Flaky(1)
    await world.server(flaky)
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(idempotent=True))
    assert (await lab.act(Text(value="x"))).value == "x"
    assert flaky.ran == ["x", "x"]


async def test_other_codes_are_answers(world: World) -> None:
    flaky = Flaky(1, micro.NotFound)
    await world.server(flaky)
    with pytest.raises(micro.NotFound):
        await LabClient(await world.client()).look(Text(value="x"))
    assert flaky.ran == ["x"]


async def test_attempts_are_bounded(world: World) -> None:
    flaky = Flaky(100)
    await world.server(flaky)
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=3, backoff=0.001))
    with pytest.raises(micro.Unavailable):
        await lab.look(Text(value="x"))
    assert len(flaky.ran) == 3


async def test_the_budget_ends_a_storm_of_retries(world: World) -> None:
    flaky = Flaky(1_000_000)
    await world.server(flaky)
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=5, backoff=0.0))
    calls = 150
    for _ in range(calls):
        with pytest.raises(micro.Unavailable):
            await lab.look(Text(value="x"))
    assert calls < len(flaky.ran) <= calls + 200


@pytest.mark.parametrize("good", [0, 10, 50])
async def test_a_client_that_makes_few_calls_sends_few_again(world: World, good: int) -> None:
    class Ailing(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            self.ran.append(request.value)
            if request.value == "bad":
                raise micro.Unavailable("not now")
            return request

    ailing = Ailing()
    await world.server(ailing)
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=5, backoff=0.0))
    for _ in range(good):
        await lab.look(Text(value="good"))
    for _ in range(30):
        with pytest.raises(micro.Unavailable, match="not now"):
            await lab.look(Text(value="bad"))
    assert Counter(ailing.ran) == {"bad": 30 + 10 + good // 5} | ({"good": good} if good else {})


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_five_calls_of_any_kind_pay_for_one_retry(world: World, kind: str) -> None:
    await world.server(Lab())
    lab = LabClient(await world.client())
    budget = lab._service.nodes.service_nodes("lab", "lab.Lab").budget
    while budget.spend():
        pass
    for number in range(1, 11):
        if kind == "unary":
            await lab.act(Text(value="x"))
        else:
            assert len([reply async for reply in lab.count(Number(value=3))]) == 3
        assert budget.spend() == (number % 5 == 0)


async def test_many_calls_that_went_well_pay_for_the_loss_of_a_server_with_many_in_flight(world: World) -> None:
    class Crowded(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            self.ran.append(request.value)
            if request.value == "crowd" and Counter(self.ran)["crowd"] <= 150:
                raise micro.Unavailable("not now")
            return request

    await world.server(Crowded())
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=5, backoff=0.001))
    for _ in range(5 * 140):
        await lab.look(Text(value="alone"))
    replies = await asyncio.gather(*(lab.look(Text(value="crowd")) for _ in range(150)))
    assert [reply.value for reply in replies] == ["crowd"] * 150


async def test_never_past_the_deadline(world: World) -> None:
    await world.server(Flaky(1_000_000))
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=1000, backoff=1.0, max_backoff=1.0))
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises((micro.Unavailable, micro.DeadlineExceeded)):
        await lab.look(Text(value="x"), timeout=0.3)
    assert loop.time() - started < 60  # 1000 attempts would take minutes


async def test_a_stream_of_replies_is_asked_for_again_until_the_first_has_come(world: World) -> None:
    flaky = Flaky(2)
    await world.server(flaky)
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(backoff=0.001))
    assert [n.value async for n in lab.count(Number(value=1))] == [1]
    assert len(flaky.ran) == 3
    flaky.ran.clear()
    flaky.failures = 0
    with pytest.raises(micro.Unavailable, match="in the middle"):
        async for _ in lab.count(Number(value=2)):
            pass
    assert len(flaky.ran) == 1


async def test_a_service_that_appears_is_found_at_once(world: World) -> None:
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=1))
    with pytest.raises(micro.Unavailable, match="nobody serves 'lab'"):
        await lab.look(Text())
    await world.server(Lab())
    assert (await lab.look(Text(value="x"))).value == "x"


async def test_a_call_waits_a_little_for_the_first_server(world: World) -> None:
    lab = LabClient(await world.client(), retry=micro.RetryPolicy(attempts=50, backoff=0.05, max_backoff=0.1))
    call = asyncio.create_task(lab.act(Text(value="x"), timeout=30))
    await asyncio.sleep(0.1)
    await world.server(Lab())
    assert (await call).value == "x"


async def test_a_server_that_stops_in_good_order_loses_nothing(world: World) -> None:
    first = micro.Service("lab", registry=MemoryRegistry(world.address), transport=world.transport)
    first_lab, second_lab = Lab(), Lab()
    first.handle(first_lab)
    await first.__aenter__()
    await world.server(second_lab)
    lab = LabClient(await world.client())
    ended = asyncio.Event()
    done = 0

    async def work(worker: int) -> None:
        nonlocal done
        while not ended.is_set():
            await lab.act(Text(value=f"{worker}-{done}"))
            done += 1

    workers = [asyncio.create_task(work(number)) for number in range(8)]
    await asyncio.sleep(0.2)
    await first.__aexit__(None, None, None)
    await asyncio.sleep(0.1)
    ended.set()
    await asyncio.gather(*workers)
    assert len(first_lab.ran) + len(second_lab.ran) == done
    assert first_lab.ran
    assert second_lab.ran


async def test_the_error_for_an_unknown_name_says_what_there_is(world: World) -> None:
    await world.server(Lab(), name="laboratory")
    service = await world.client()
    once = micro.RetryPolicy(attempts=1)
    with pytest.raises(micro.Unavailable, match=r"nobody serves 'labs': lab\.Lab is served under 'lab', 'laboratory'"):
        await LabClient(service, target="labs", retry=once).look(Text())
    with pytest.raises(micro.Unavailable, match="did you mean 'laboratory'"):
        await AnnexClient(service, target="laboratry", retry=once).look(Text())
    with pytest.raises(micro.Unavailable, match=r"'lab' does not serve lab\.Annex; it serves lab\.Lab"):
        await AnnexClient(service, retry=once).look(Text())


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_call_that_was_cut_off_says_so_when_nobody_is_left(world: World, kind: str) -> None:
    lab = Lab()
    async with AsyncExitStack() as server:
        stays, world.stack = world.stack, server
        await world.server(lab)
        world.stack = stays
        idempotent = micro.RetryPolicy(attempts=2, backoff=0.01, idempotent=True)
        client = LabClient(await world.client(), retry=idempotent)

        async def call() -> None:
            if kind == "unary":
                await client.look(Text(value="hang"))
            else:
                async for _ in client.count(Number(value=0)):
                    pass

        calling = asyncio.create_task(call())
        await soon(lab.started.wait())
    with pytest.raises(
        micro.Unavailable, match=r"nobody serves 'lab'.*the first attempt failed with UNAVAILABLE"
    ) as caught:
        await soon(calling)
    assert caught.value.may_have_run, "the first attempt may have run, whatever the last one did"
    assert isinstance(caught.value.__cause__, micro.Unavailable)
    assert caught.value.__cause__.id == "micro.cut_off"


async def test_the_answer_of_a_later_attempt_stays_as_the_server_sent_it(world: World) -> None:
    class Changing(Lab):
        async def look(self, request: Text, context: micro.Context) -> Text:
            self.ran.append("look")
            attempt = len(self.ran)
            raise micro.NotFound("no order 42") if attempt == 3 else micro.Unavailable(f"not now: {attempt}")

    await world.server(Changing())
    with pytest.raises(micro.NotFound) as caught:
        await LabClient(await world.client()).look(Text())
    assert caught.value.message == "no order 42"
    assert isinstance(caught.value.__cause__, micro.Unavailable)
    assert caught.value.__cause__.message == "not now: 1", "the first cause, not the last"


async def test_a_name_that_is_not_near_is_not_proposed(world: World) -> None:
    await world.server(Lab(), name="shop.orders.v1")
    service = await world.client()
    once = micro.RetryPolicy(attempts=1)
    with pytest.raises(micro.Unavailable, match=r"nobody serves 'shop\.inventory\.v1': start it") as caught:
        await AnnexClient(service, target="shop.inventory.v1", retry=once).look(Text())
    assert "did you mean" not in caught.value.message
    with pytest.raises(micro.Unavailable, match=r"did you mean 'shop\.orders\.v1'\?"):
        await AnnexClient(service, target="shop.order.v1", retry=once).look(Text())


async def test_two_services_of_one_package_are_told_apart(world: World) -> None:
    class Annex(AnnexBase):
        async def look(self, request: Text, context: micro.Context) -> Text:
            return Text(value="annex")

    await world.server(Lab())
    annex = micro.Service("annex", registry=MemoryRegistry(world.address), transport=world.transport)
    annex.handle(Annex())
    await world.stack.enter_async_context(annex)
    service = await world.client()
    for _ in range(4):
        assert (await AnnexClient(service).look(Text())).value == "annex"
        assert (await LabClient(service).look(Text(value="lab"))).value == "lab"


async def test_a_node_that_is_gone_has_its_connection_closed_when_its_calls_are_over(world: World) -> None:
    lab = Lab()
    server = micro.Service("lab", registry=MemoryRegistry(world.address), transport=world.transport, grace=30)
    server.handle(lab)
    await server.__aenter__()
    service = await world.client()
    async with LabClient(service).talk() as call:
        await call.send(Text(value="a"))
        await call.receive()
        stopping = asyncio.create_task(server.__aexit__(None, None, None))
        await eventually(lambda: world.registry.resolve("lab"), equals=())
        await asyncio.sleep(0.1)
        await call.send(Text(value="b"))
        assert (await call.receive()).value == "re: b"
        await call.end()
        assert (await call.receive()).value == "bye"
        with pytest.raises(micro.EndOfStream):
            await call.receive()
    await asyncio.wait_for(stopping, 20)
