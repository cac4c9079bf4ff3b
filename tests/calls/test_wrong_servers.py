"""Calls that reach a process that does not serve them: another service, or another node, has the address now."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

import micro_rt as micro
from micro_rt.client import attempts, nodes, remote
from micro_rt.metadata import NODE_KEY
from micro_rt.node import Node
from micro_rt.status import encode_details
from tests.helpers.handlers import Lab
from tests.helpers.lab import grpcio_server, our_client
from tests.helpers.site import Site
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import AnnexBase, LabClient
from tests.protos.lab_pb2 import Number, Text

SERVES = frozenset({"lab.Lab"})


class Annex(AnnexBase):
    async def look(self, request: Text, context: micro.Context) -> Text:
        return request


class Town(Site):
    """Servers, and nodes that are listed and gone."""

    async def left_behind(self, address: str, services: frozenset[str] = SERVES) -> str:
        """Lists a node that is gone, and whose address another process has taken."""
        id = f"gone-{uuid.uuid4()}"
        await self.list(Node(id, address, self.transport, services=services))
        return id


@pytest.fixture(params=["memory", "grpc"])
async def town(request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        town = Town(stack, request.param)
        await town.open()
        yield town


@pytest.fixture
async def grpc_town() -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        town = Town(stack, "grpc")
        await town.open()
        yield town


async def _call_everything(client: micro.Service, times: int) -> Counter[str]:
    """Makes calls that must not run twice, of every kind whose requests are known, and counts attempts by node."""
    lab, nodes = LabClient(client), Counter[str]()
    for number in range(times):
        info = micro.CallInfo()
        assert (await lab.act(Text(value=str(number)), info=info, timeout=20)).value == str(number)
        nodes[info.node] += 1
        nodes["attempts"] += info.attempts
        assert [reply.value async for reply in lab.count(Number(value=2), timeout=20)] == [0, 1]
    return nodes


async def test_no_call_is_lost_to_another_service_that_has_a_dead_nodes_address(town: Town) -> None:
    lab = Lab()
    live = await town.serve(lab)
    await town.list(live)
    gone = await town.left_behind((await town.serve(Annex(), name="annex")).address)
    await town.nodes(2)
    counts = await _call_everything(town.client, 50)
    assert counts[gone] == 0
    assert counts["attempts"] <= 52, "the wrong process is asked once, and then passed over"
    assert len(lab.ran) == 100
    assert set(Counter(lab.ran).values()) == {1, 50}, "no call ran twice"


async def test_a_server_of_the_same_service_does_not_run_calls_for_another_node(town: Town) -> None:
    lab, stranger = Lab(), Lab()
    await town.list(await town.serve(lab))
    gone = await town.left_behind((await town.serve(stranger)).address)
    await town.nodes(2)
    counts = await _call_everything(town.client, 50)
    assert stranger.ran == []
    assert counts[gone] == 0


async def test_replicas_that_advertise_the_address_of_a_load_balancer_run_each_others_calls(town: Town) -> None:
    lab = Lab()
    here = await town.serve(lab)
    await town.list(here)
    other = await town.left_behind(here.address)  # It was listed later, so the client calls this one.
    view = town.client.nodes.service_nodes("lab", "lab.Lab")._view
    await eventually(lambda: set(view.remotes), equals={other})
    client = LabClient(town.client)
    for metadata in (None, {"tenant": "7"}):
        info = micro.CallInfo()
        await client.act(Text(value="x"), info=info, metadata=metadata, timeout=20)
        assert (info.node, info.attempts) == (other, 1)
    assert lab.ran == ["x", "x"]


async def test_more_nodes_at_one_address_than_a_call_can_name_all_get_its_calls(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SHARED", 2)
    here = await town.serve(Lab())
    await town.list(here)
    for _ in range(2):
        last = await town.left_behind(here.address)
    await eventually(lambda: last in town.client.nodes.service_nodes("lab", "lab.Lab")._view.remotes)
    (found,) = town.client.nodes._remotes.values()
    assert not found.metadata.pairs
    await LabClient(town.client).act(Text(value="x"), timeout=20)


@pytest.mark.parametrize("id", ["x" * 10_000, "no header\r\nholds: this", "☃"])
async def test_no_entry_of_the_registry_makes_calls_fail_by_its_id(town: Town, id: str) -> None:
    """A server that does not know the id serves the call, as it does one without an id: such an id is not sent."""
    lab = Lab()
    here = await town.serve(lab)
    await town.list(Node(id, here.address, town.transport, services=SERVES))
    reply = await LabClient(town.client).act(Text(value="x"), timeout=20)
    assert (reply.value, lab.ran) == ("x", ["x"])


async def test_a_node_that_no_longer_shares_its_address_gets_only_calls_for_it(town: Town) -> None:
    stranger = Lab()
    address = (await town.serve(stranger)).address
    gone = await town.left_behind(address)
    second = Node("second", address, town.transport, services=SERVES)
    lease = await town.list(second)
    view = town.client.nodes.service_nodes("lab", "lab.Lab")._view
    await eventually(lambda: set(view.remotes), equals={"second"})
    await lease.revoke()
    await eventually(lambda: set(view.remotes), equals={gone})
    assert view.remotes[gone].metadata.pairs == ((NODE_KEY, gone),)


async def test_the_error_says_that_nothing_ran_and_which_node_has_the_address(town: Town) -> None:
    stranger = Lab()
    node = await town.serve(stranger)
    gone = await town.left_behind(node.address)
    lab = LabClient(town.client, retry=micro.RetryPolicy(attempts=1))
    info = micro.CallInfo()
    with pytest.raises(micro.Unavailable, match=f"for another node.*this is {node.id}") as failed:
        await lab.act(Text(value="x"), info=info, timeout=20)
    assert failed.value.may_have_run is False
    assert info.node == gone
    with pytest.raises(micro.Unavailable, match="for another node") as failed:
        await lab.sum([Number(value=1)], timeout=20)
    assert failed.value.may_have_run is False
    assert stranger.ran == []


async def test_a_probe_does_not_bring_a_node_back_whose_address_another_one_has(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SET_ASIDE", 0.01)
    probed = asyncio.Event()
    ask = remote.RemoteNode._ask

    async def asks(self: remote.RemoteNode) -> Any:
        answer = await ask(self)
        if self.node.id == gone:
            probed.set()
        return answer

    monkeypatch.setattr(remote.RemoteNode, "_ask", asks)
    await town.list(await town.serve(Lab()))
    gone = await town.left_behind((await town.serve(Lab())).address)
    await town.nodes(2)
    lab = LabClient(town.client)
    async with asyncio.timeout(60):
        while not probed.is_set():
            await lab.act(Text(), timeout=20)
    for _ in range(10):
        info = micro.CallInfo()
        await lab.act(Text(), info=info, timeout=20)
        assert info.attempts == 1
    (wrong,) = (remote for id, remote in town.client.nodes._views["lab"].remotes.items() if id == gone)
    assert wrong.aside


async def test_a_node_that_refuses_one_service_is_used_for_the_others_and_asked_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "REFUSING", 0.2)
    # Nodes that do not say what they serve, as those of go-micro.
    first, second = await town.serve(Lab()), await town.serve(Annex(), name="annex")
    for node in (first, second):
        await town.list(Node(node.id, node.address, town.transport))
    await town.nodes(2)
    lab = LabClient(town.client)
    attempts = 0
    for _ in range(10):
        info = micro.CallInfo()
        await lab.act(Text(), info=info, timeout=20)
        assert info.node == first.id
        attempts += info.attempts
    assert attempts >= 11
    service_nodes = town.client.nodes.service_nodes("lab", "lab.Lab")
    await eventually(lambda: {node.id for node in service_nodes._list_usable()}, equals={first.id, second.id})


async def test_a_server_without_the_method_passes_the_call_on_and_keeps_its_other_calls(town: Town) -> None:
    """As while a new version is rolled out: some nodes have the new method, others do not have it yet."""

    class Old(Lab):
        pass

    old, new = await town.serve(Old(), name="old"), await town.serve(Lab(), name="new")
    await town.list(old)
    await town.list(new)
    await town.nodes(2)
    lab = LabClient(town.client)
    service = town.client.nodes.service_nodes("lab", "lab.Lab")
    for _ in range(4):
        await lab.act(Text(), timeout=20)
    remote = service._view.remotes[old.id]
    with pytest.raises(micro.Unimplemented) as failed:
        await remote.connection.unary("/lab.Lab/NotYet", "proto", remote.metadata, None, micro.CallInfo(), b"")
    assert failed.value.may_have_run is False
    assert failed.value.id == ""
    assert {node.id for node in service._list_usable()} == {old.id, new.id}


async def test_a_method_that_no_server_has_is_not_asked_for_everywhere(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MOVES", 2)
    for number in range(5):
        await town.list(await town.serve(Lab(), name=f"lab{number}"))
    await town.nodes(5)
    lab = LabClient(town.client)
    for _ in range(5):
        await lab.act(Text(), timeout=20)
    (bound,) = lab._bound.values()
    bound._path = "/lab.Lab/NotYet"
    info = micro.CallInfo()
    with pytest.raises(micro.Unimplemented):
        await lab.act(Text(), info=info, timeout=20)
    assert info.attempts == 3


async def test_what_a_handler_raises_may_have_run_whatever_it_says(town: Town) -> None:
    class Claiming(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            self.ran.append(request.value)
            raise micro.Error.of(int(request.value), "nothing was done", may_have_run=False)

    handlers = [Claiming(), Claiming()]
    for handler in handlers:
        await town.list(await town.serve(handler))
    await town.nodes(2)
    for code in (micro.Code.UNAVAILABLE, micro.Code.UNIMPLEMENTED):
        with pytest.raises(micro.Error) as failed:
            await LabClient(town.client).act(Text(value=str(int(code))), timeout=20)
        assert failed.value.code is code
        assert failed.value.may_have_run is True
    assert sum(len(handler.ran) for handler in handlers) == 2


async def test_handlers_do_not_see_the_id_and_can_send_their_metadata_on(town: Town) -> None:
    class Relay(Lab):
        async def look(self, request: Text, context: micro.Context) -> Text:
            assert NODE_KEY not in context.metadata
            return await lab.act(Text(value="metadata"), metadata=context.metadata, timeout=20)

    for _ in range(2):
        await town.list(await town.serve(Relay()))
    await town.nodes(2)
    lab = LabClient(town.client)
    for _ in range(4):
        reply = await lab.look(Text(), metadata={"tenant": "7"}, timeout=20)
        assert reply.value == "(('tenant', '7'),)"
    with pytest.raises(ValueError, match=r"Micro-Node.*set by the runtime"):
        await lab.act(Text(), metadata={"Micro-Node": "x"})


async def test_a_call_that_names_several_nodes_is_for_each_of_them(grpc_town: Town) -> None:
    """A proxy that is a node itself sends on what it was sent, and adds the id of the next node."""
    node = await grpc_town.serve(Lab())
    async with grpc.aio.insecure_channel(node.address) as channel:
        act = channel.unary_unary("/lab.Lab/Act", Text.SerializeToString, Text.FromString)
        request = Text(value="metadata")
        assert (await act(request)).value == "()"
        assert (await act(request, metadata=((NODE_KEY, "proxy"), (NODE_KEY, node.id)))).value == "()"
        with pytest.raises(grpc.aio.AioRpcError, match="it is for another node"):
            await act(request, metadata=((NODE_KEY, "proxy"),))


async def test_no_call_is_lost_to_a_server_of_grpcio_that_has_a_dead_nodes_address(grpc_town: Town) -> None:
    lab = Lab()
    await grpc_town.list(await grpc_town.serve(lab))
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await grpc_town.left_behind(f"127.0.0.1:{port}")
        await grpc_town.nodes(2)
        await _call_everything(grpc_town.client, 20)
    finally:
        await server.stop(0)
    assert set(Counter(lab.ran).values()) == {1, 20}


async def test_grpcio_ignores_the_id_of_the_node(grpc_town: Town) -> None:
    async with grpcio_server() as (_, _, address):
        await grpc_town.left_behind(address)
        info = micro.CallInfo()
        assert (await LabClient(grpc_town.client).act(Text(value="x"), info=info, timeout=20)).value == "x"
        assert info.attempts == 1


@pytest.mark.parametrize(
    ("message", "id", "may_have_run"),
    [
        ("unknown service lab.Lab", "micro.not_served", False),
        ("unknown method Act for service lab.Lab", "", False),
        ("Method not found!", "micro.unknown_method", False),
        ("Method not found", "micro.unknown_method", False),
        ("Method not found: lab.Lab/Act", "", False),
        ("The server does not implement the method /lab.Lab/Act", "", False),
        ("Service is unimplemented.", "micro.unknown_method", False),
        ("Method is unimplemented.", "micro.unknown_method", False),
        ("Act is not implemented", "", True),
        ("unknown service lab.Lab: and more", "", True),
        ("unknown service Lab", "micro.not_served", False),
        ("unknown service Lab.Act", "", False),
        ("unknown service Audit", "", True),
        ("unknown service Audit.Act", "", True),
        ("unknown service audit.Audit", "", True),
        ("unknown method Act for service audit.Audit", "", True),
        ("unknown method Log for service lab.Lab", "", True),
        ("Method not found: audit.Audit/Act", "", True),
        ("The server does not implement the method /audit.Audit/Act", "", True),
        ("", "", True),
    ],
)
async def test_what_other_servers_say_of_a_call_that_they_do_not_serve(
    message: str, id: str, may_have_run: bool
) -> None:
    class Says(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.act)

        async def act(self, request: bytes, context: Any) -> bytes:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
            return b""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Says(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncExitStack() as stack:
            town = Town(stack, "grpc")
            await town.open()
            await town.left_behind(f"127.0.0.1:{port}")
            with pytest.raises(micro.Unimplemented) as failed:
                await LabClient(town.client).act(Text(), timeout=20)
    finally:
        await server.stop(0)
    assert failed.value.id == id
    assert failed.value.may_have_run is may_have_run


@pytest.mark.parametrize("path", ["/lab.Lab/Act", "/audit.Audit/Log"])
async def test_a_refusal_that_a_handler_in_another_language_passes_on_says_nothing_of_the_handlers_call(
    path: str,
) -> None:
    refusal = micro.Unavailable("it is for another node", id="micro.wrong_node", may_have_run=False)
    details = encode_details(refusal, path=path)
    assert details is not None

    class PassesOn(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.act)

        async def act(self, request: bytes, context: Any) -> bytes:
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
            await context.abort(grpc.StatusCode.UNAVAILABLE, refusal.message)
            return b""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((PassesOn(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with our_client(f"127.0.0.1:{port}") as client:
            with pytest.raises(micro.Unavailable, match="another node") as failed:
                await client.act(Text(), timeout=20)
    finally:
        await server.stop(0)
    assert failed.value.may_have_run is (path != "/lab.Lab/Act")


@pytest.mark.parametrize("services", [SERVES, frozenset[str]()])
async def test_a_text_that_names_no_method_counts_only_in_place_of_a_node_of_ours(
    grpc_town: Town, services: frozenset[str]
) -> None:
    """A handler of grpcio's may pass on the status of a call that it has made: it has run, and must not run again elsewhere."""
    ran = 0

    class PassesOn(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.act)

        async def act(self, request: bytes, context: Any) -> bytes:
            nonlocal ran
            ran += 1
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            return b""

    servers = [grpc.aio.server() for _ in range(2)]
    try:
        for server in servers:
            server.add_generic_rpc_handlers((PassesOn(),))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            await grpc_town.left_behind(f"127.0.0.1:{port}", services)
        await grpc_town.nodes(2)
        with pytest.raises(micro.Unimplemented) as failed:
            await LabClient(grpc_town.client).act(Text(), timeout=20)
    finally:
        for server in servers:
            await server.stop(0)
    assert (ran, failed.value.may_have_run) == ((2, False) if services else (1, True))


async def test_what_a_handler_of_ours_raises_has_run_whatever_its_text(town: Town) -> None:
    class PassesOn(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            self.ran.append(request.value)
            raise micro.Unimplemented("Method not found!")

    handlers = [PassesOn(), PassesOn()]
    for handler in handlers:
        await town.list(await town.serve(handler))
    await town.nodes(2)
    with pytest.raises(micro.Unimplemented) as failed:
        await LabClient(town.client).act(Text(value="x"), timeout=20)
    assert failed.value.may_have_run
    assert sum(len(handler.ran) for handler in handlers) == 1
