"""h2spec, the conformance suite for HTTP/2, against servers of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.http2.limits import Limits
from micro_rt.http2.server import ServerConnection
from tests.helpers.h2spec import h2spec
from tests.helpers.lab import our_server
from tests.unit.http2.peers import answer_gets

CASES = 146
"""How many cases h2spec has: one that it leaves out is not one that passes."""

LIMITS = Limits(streams=100)
"""h2spec opens one stream more than this, and answers to all of them would take most of its time."""


class Responder(asyncio.Protocol):
    """Answers each GET with its path, on a connection of ``micro_rt.http2`` and nothing else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection = ServerConnection(Encoder(), Decoder(), LIMITS)
        transport.write(self.connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        self.transport.write(answer_gets(self.connection, data, asyncio.get_running_loop().time()))
        if self.connection.finished:
            self.transport.close()


@asynccontextmanager
async def responder() -> AsyncGenerator[int, None]:
    """Gives the port of a responder."""
    server = await asyncio.get_running_loop().create_server(Responder, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_responder_on_our_http2_passes_every_case(tmp_path: Path) -> None:
    async with responder() as port:
        report = await h2spec(port, tmp_path, "/more-than-five-bytes")
    assert report.failed == []
    assert report.skipped == []
    assert report.cases >= CASES


async def test_the_port_of_a_service_passes_every_case(tmp_path: Path) -> None:
    """h2spec sends GETs. The service answers them with 405 and a text, whose DATA some cases wait for."""
    async with our_server() as (_, service):
        assert service.node is not None
        _, _, port = service.node.address.rpartition(":")
        report = await h2spec(int(port), tmp_path, "/lab.Lab/Act")
    assert report.failed == []
    assert report.skipped == []
    assert report.cases >= CASES
