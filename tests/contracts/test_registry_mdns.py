"""The contract of registries on ``mdns:``, on loopback and on a port of each run's own.

The first class shares one engine, as the registries of a process do. The second gives each registry an engine, so that all that
one knows of another came through sockets, as between processes; on uvloop, whose sockets are not asyncio's. Where it is
permitted, each test has a network of its own, which can be cut.
"""

import asyncio
import socket
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvloop

from micro_rt.backends.mdns.registry import MdnsRegistry
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.registry.base import Registry
from micro_rt.testing.contracts import OtherProcess, RegistryContract
from tests.helpers.namespaces import network_namespace, switch
from tests.helpers.sizes import Size


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.verify("registry", tests=["test_many_nodes", "test_quick_changes_converge_and_never_go_back"])
class TestMdnsRegistry(RegistryContract):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.changes = size((1000, 200), ci=(100, 40))

    @pytest.fixture(autouse=True)
    def network(self) -> Iterator[None]:
        with network_namespace() as self.alone:
            yield

    @pytest.fixture(autouse=True)
    def place(self, port: int) -> None:
        self.address = f"mdns://?interface=127.0.0.1&port={port}"

    async def make(self) -> Registry:
        return MdnsRegistry(self.address)

    def cut_off(self) -> AbstractAsyncContextManager[None] | None:
        if not self.alone:
            pytest.skip("cutting the network needs a network namespace, which is not permitted here")
        return _cut()

    def other_process(self) -> OtherProcess:
        return OtherProcess("micro_rt.backends.mdns.registry:MdnsRegistry", self.address)


@asynccontextmanager
async def _cut() -> AsyncGenerator[None]:
    switch("lo", up=False)
    try:
        yield
    finally:
        switch("lo", up=True)


class TestMdnsRegistryThroughSockets(TestMdnsRegistry):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        # Each node is a packet to everybody, and another with each heartbeat: a network with more wants a server.
        self.many, self.changes = size((200, 200), ci=(50, 40))

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()

    async def make(self) -> Registry:
        now = boot_clock().now
        # Registries share an engine if they share a clock.
        return MdnsRegistry(self.address, clock=Clock(lambda: now(), uuid.uuid4().hex))
