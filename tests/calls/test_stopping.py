"""A server that stops in good order, and a client that is too busy to notice at once."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc.server_link import ServerLink
from micro_rt.backends.grpclib.transport import _Protocol
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.http2.frames import PREFACE, SETTINGS, frame
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.transport.base import ServerStream
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.handlers import Lab
from tests.helpers.waiting import PATIENCE
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text


class Waits(Lab):
    """Answers when the test says so, from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.ran.append(request.value)
        self.begun.set()
        while not self.go_on.is_set():
            await asyncio.sleep(0.005)
        return request


class Elsewhere:
    """A service in a thread of its own."""

    def __init__(self, lab: Lab, transport: str) -> None:
        self.lab = lab
        self.address = ""
        self.service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", transport=transport, grace=PATIENCE)
        self.service.handle(lab)
        self.started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))
        self._thread.start()
        assert self.started.wait(PATIENCE)

    async def _run(self) -> None:
        async with self.service:
            assert self.service.node is not None
            self.address = self.service.node.address
            self.stopping = asyncio.Event()
            self.loop = asyncio.get_running_loop()
            self.started.set()
            await self.stopping.wait()

    def stop(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.stopping.set)

    def wait(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def elsewhere(lab: Waits, transport: str) -> Iterator[Elsewhere]:
    server = Elsewhere(lab, transport)
    try:
        yield server
    finally:
        lab.go_on.set()
        server.stop()
        server.wait()


@pytest.mark.parametrize(
    ("transport", "connection"), [("grpc", ServerLink), ("grpclib", _Protocol)], ids=["grpc", "grpclib"]
)
@pytest.mark.parametrize("more", [0, 5])
async def test_a_reply_that_came_before_the_server_closed_is_not_lost_to_a_busy_client(
    more: int, transport: str, connection: type[ServerLink | _Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's event loop is blocked while the server answers and stops. Then it sends more calls before it reads."""
    finished = threading.Event()
    finish: Callable[[Any], bool] = connection.finish

    def finishes(self: Any) -> bool:
        done = finish(self)
        finished.set()
        return done

    monkeypatch.setattr(connection, "finish", finishes)
    lab, address = Waits(), f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(address)
    with elsewhere(lab, transport) as server:
        async with micro.Service("client", registry=address, transport=transport) as service:
            await registry.open()
            await registry.register(Registration(Node("by-hand", server.address, "grpc"), ("lab",)))
            client = LabClient(service, retry=micro.RetryPolicy(attempts=1))
            first = asyncio.create_task(client.act(Text(value="first"), timeout=PATIENCE))
            async with asyncio.timeout(PATIENCE):
                while not lab.begun.is_set():
                    await asyncio.sleep(0.005)
            server.stop()
            others = [asyncio.create_task(client.act(Text(value=f"other {n}"), timeout=PATIENCE)) for n in range(more)]
            lab.go_on.set()
            assert finished.wait(PATIENCE)  # The reply, GOAWAY and the end of the connection have been sent.
            assert (await first).value == "first"
            for other in others:
                with pytest.raises(micro.Unavailable) as failed:
                    await other
                assert failed.value.may_have_run is False
            await registry.close()
    assert lab.ran == ["first"]


@on_each_engine
async def test_a_client_that_resets_its_connection_does_not_keep_a_server_from_closing_the_others(
    engine: Engine,
) -> None:
    async def dispatch(stream: ServerStream) -> None:
        raise AssertionError("nobody calls")

    listener = await engine().listen("127.0.0.1:0", dispatch)
    host, port = listener.address.split(":")
    resets, stays = await _connected(host, int(port)), await _connected(host, int(port))
    await listener.drain()
    leaving = asyncio.create_task(_leave(stays))
    await asyncio.sleep(0.05)  # Both have been sent GOAWAY.
    # The event loop has no chance to notice this before the server closes.
    resets.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    resets.close()
    async with asyncio.timeout(PATIENCE):
        await listener.close()
        await leaving


async def _connected(host: str, port: int) -> socket.socket:
    """Returns a connection that the server has begun to serve."""
    client = socket.create_connection((host, port))
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, PREFACE + frame(SETTINGS, 0, 0, b""))
    assert await loop.sock_recv(client, 4096)
    return client


async def _leave(client: socket.socket) -> None:
    """Closes a connection when the server has ended its half."""
    while await asyncio.get_running_loop().sock_recv(client, 4096):
        pass
    client.close()
