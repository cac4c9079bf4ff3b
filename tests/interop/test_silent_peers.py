"""Peers that say nothing while a call waits: those that are slow keep their connection, and those that are gone lose it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import grpc
import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, PingReceived, RequestReceived, StreamEnded

import micro_rt as micro
from micro_rt.backends.grpc import client as client_of_ours
from micro_rt.backends.grpc.client import GrpcConnection
from micro_rt.backends.grpclib import transport
from micro_rt.metadata import EMPTY
from micro_rt.testing.proxy import FaultProxy
from micro_rt.transport import silence
from micro_rt.transport.base import Connection
from micro_rt.transport.silence import PINGS, Pace
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.lab import our_client, our_server
from tests.helpers.mesh import mesh_on
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.interop.test_http2_peers import Peer, call, server
from tests.protos.lab_pb2 import Text
from tests.protos.mesh_micro import MeshClient
from tests.protos.mesh_pb2 import Rest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PING_AFTER", 0.05)
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.2)


def _pace(monkeypatch: pytest.MonkeyPatch, size: Size) -> None:
    """Makes PINGs as much more frequent as the call of the test is shorter."""
    monkeypatch.setattr(silence, "PING_AFTER", size(10.0, ci=0.3))
    monkeypatch.setattr(silence, "PING_TIMEOUT", size(10.0, ci=0.3))


def _protocol(client: Any) -> object:
    (remote,) = client._service.nodes._remotes.values()
    return remote.connection._protocol


class Slow(grpc.GenericRpcHandler):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def service(self, handler_call_details: Any) -> Any:
        acts = handler_call_details.method == "/lab.Lab/Act"
        return grpc.unary_unary_rpc_method_handler(self.act) if acts else None

    async def act(self, request: bytes, context: Any) -> bytes:
        await asyncio.sleep(self._seconds)
        return request


@pytest.mark.verify("calls")
async def test_grpcio_keeps_the_connection_of_a_call_that_takes_a_minute(
    size: Size, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pace(monkeypatch, size)
    pings = _counted(monkeypatch)
    slow = grpc.aio.server()
    slow.add_generic_rpc_handlers((Slow(size(60.0, ci=2.5)),))
    port = slow.add_insecure_port("127.0.0.1:0")
    await slow.start()
    try:
        async with our_client(f"127.0.0.1:{port}") as client:
            info = micro.CallInfo()
            assert (await client.act(Text(value="x"), timeout=math.inf, info=info)).value == "x"
            assert info.attempts == 1
            assert len(pings) == PINGS
            figures.add("PINGs", len(pings))
    finally:
        await slow.stop(0)


@pytest.mark.verify("calls")
async def test_grpc_go_keeps_the_connection_of_a_call_that_takes_a_minute(
    consul: Any, tmp_path: Path, size: Size, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pace(monkeypatch, size)
    pings = _counted(monkeypatch)
    async with mesh_on(consul, tmp_path) as mesh:
        await mesh.go_node()
        client = await mesh.python_client(MeshClient)
        info = micro.CallInfo()
        rest = Rest(milliseconds=int(1000 * size(60.0, ci=2.5)))
        await client.sleep(rest, timeout=math.inf, info=info)
        assert info.attempts == 1
        assert len(pings) == PINGS
        figures.add("PINGs", len(pings))


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Returns when PINGs were sent."""
    sent: list[float] = []
    init = silence.Silence.__init__

    def counting(self: silence.Silence, pace: Pace, *, ping: Any, **others: Any) -> None:
        def count() -> None:
            sent.append(asyncio.get_running_loop().time())
            ping()

        init(self, pace, ping=count, **others)

    monkeypatch.setattr(silence.Silence, "__init__", counting)
    return sent


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_silent_peer_gets_two_pings_until_it_says_something_else(engine: Engine) -> None:
    pings: list[int] = []
    replied = 0

    async def slow(peer: Peer) -> None:
        nonlocal replied
        answering: list[asyncio.Task[None]] = []

        async def answer(stream: int) -> None:
            nonlocal replied
            await asyncio.sleep(1.5)
            replied += 1
            await peer.answer(stream)

        async for event in peer.events():
            if isinstance(event, PingReceived):
                pings.append(replied)
            elif isinstance(event, RequestReceived):
                assert event.stream_id is not None
                answering.append(asyncio.create_task(answer(event.stream_id)))

    async with server(engine, slow) as connection:
        for _ in range(2):
            assert await call(connection) == b"hi"
    assert pings == [0, 0, 1, 1]


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_peer_that_answers_no_ping_loses_its_calls(engine: Engine) -> None:
    async def deaf(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived | DataReceived):
                await asyncio.Event().wait()

    async with server(engine, deaf) as connection:
        with pytest.raises(micro.Unavailable, match="did not answer a PING") as caught:
            await call(connection)
    assert caught.value.unanswered
    assert caught.value.may_have_run


@pytest.mark.usefixtures("quick")
@on_each_engine
@pytest.mark.parametrize("sign", ["window", "ping"])
async def test_a_peer_that_answers_no_ping_but_goes_on_taking_requests_keeps_its_calls(
    engine: Engine, sign: str
) -> None:
    """As at the end of a slow link, where PINGs wait behind the requests."""

    async def slow(peer: Peer) -> None:
        # What comes is not read, so no PING is answered.
        async for stream in peer.requests():
            for _ in range(20):
                await asyncio.sleep(0.05)
                if sign == "window":
                    peer.h2.increment_flow_control_window(1)
                else:
                    peer.h2.ping(bytes(8))
                await peer.flush()
            await peer.answer(stream)
            return

    async with server(engine, slow) as connection:
        assert await call(connection) == b"hi"


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_peer_that_stops_after_it_has_answered_all_pings_loses_its_calls(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(silence, "PING_AGAIN", 0.5)
    pings = 0

    async def stops(peer: Peer) -> None:
        nonlocal pings
        async for event in peer.events():
            if isinstance(event, PingReceived):
                pings += 1
            if pings == 4:
                await asyncio.Event().wait()

    async with server(engine, stops) as connection:
        with pytest.raises(micro.Unavailable, match="did not answer a PING"):
            await call(connection)
    assert pings == 4


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_ping_that_was_not_answered_during_one_call_counts_for_the_next(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call uses up the PINGs and is cancelled before the connection is cut."""
    monkeypatch.setattr(silence, "PING_TIMEOUT", 1.0)

    async def deaf(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                await asyncio.Event().wait()

    async with server(engine, deaf) as connection:
        await connection.connect()
        watched = _silence(connection)
        calling = asyncio.ensure_future(call(connection))
        await eventually(lambda: watched._pings, equals=PINGS)
        calling.cancel()
        await asyncio.wait((calling,))
        assert calling.cancelled()
        await eventually(lambda: watched.timer, equals=None)
        with pytest.raises(micro.Unavailable, match="did not answer a PING"):
            await call(connection)


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_call_that_is_over_and_not_read_yet_is_no_reason_for_a_ping(engine: Engine) -> None:
    pings: list[PingReceived] = []

    async def quick(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, PingReceived):
                pings.append(event)
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)

    async with server(engine, quick) as connection:
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, micro.CallInfo())
        await stream.send(b"hello", end=True)
        watched = _silence(connection)
        await eventually(lambda: watched.timer, equals=None)
        assert await stream.receive() == b"hi"
        stream.cancel()
    assert pings == []


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_connection_without_calls_is_not_watched(engine: Engine) -> None:
    pings: list[PingReceived] = []

    async def quick(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, PingReceived):
                pings.append(event)
            elif isinstance(event, RequestReceived):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)

    async with server(engine, quick) as connection:
        assert await call(connection) == b"hi"
        watched = _silence(connection)
        await eventually(lambda: watched.timer, equals=None)
        assert pings == []


def _silence(connection: Connection) -> silence.Silence:
    inside: Any = connection
    found: silence.Silence = (inside._link if isinstance(connection, GrpcConnection) else inside._protocol).silence
    return found


@on_each_engine
@pytest.mark.usefixtures("quick")
async def test_a_server_that_asks_for_fewer_pings_gets_them_later(engine: Engine) -> None:
    async def annoyed(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, PingReceived):
                peer.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings")
                await peer.flush()
                return

    async with server(engine, annoyed) as connection:
        pace: Pace = connection._pace  # type: ignore[attr-defined]
        for times in (2, 4):
            with pytest.raises(micro.Error):
                await call(connection)
            assert pace.after == pytest.approx(0.05 * times)


@pytest.mark.usefixtures("quick")
async def test_a_loop_that_was_blocked_cuts_nobody_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []
    pings: list[None] = []
    monkeypatch.setattr(silence, "LATE", 0.0)  # Every timer is late now.
    watched = silence.Silence(
        Pace(), busy=lambda: True, heard=lambda: 0, ping=lambda: pings.append(None), cut=cut.append
    )
    looks = 0
    look = silence.Silence._look_in

    def look_in(self: silence.Silence, seconds: float) -> None:
        nonlocal looks
        looks += 1
        look(self, seconds)

    monkeypatch.setattr(silence.Silence, "_look_in", look_in)
    watched.watch()
    await eventually(lambda: looks > 3)
    watched.end()
    assert cut == []
    assert pings == []


@on_each_engine
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_call_without_a_deadline_leaves_a_black_hole(
    idempotent: bool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (client_of_ours, transport):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.2)
    async with our_server(grace=0.0) as (_, service):
        assert service.node is not None
        async with FaultProxy(service.node.address) as proxy, our_client(proxy.address, engine()) as client:
            await client.act(Text(value="x"))
            await proxy.black_hole()
            calling = asyncio.create_task((client.look if idempotent else client.act)(Text(value="hang")))
            with pytest.raises(micro.Unavailable) as caught:
                await soon(calling)
            assert caught.value.may_have_run
