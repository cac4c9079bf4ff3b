"""Connections to Consul: closing leaves none open, also of requests that were cancelled."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.http import ConsulHttp
from tests.helpers.waiting import soon
from tests.servers.certificates import Certificates


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_closing_ends_the_connection_of_a_request_that_was_cancelled(tls: bool, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    asked, left = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await left.wait()  # It does not read what the client says at the end, as Consul does not while it is busy.
        writer.transport.abort()

    server = await asyncio.start_server(hang, "127.0.0.1", 0, ssl=context if tls else None)
    port = server.sockets[0].getsockname()[1]
    http = ConsulHttp(
        parse_consul_address(f"consul://127.0.0.1:{port}" + (f"/?tls=true&ca={certificates.ca}" if tls else ""), {})[0]
    )
    asking = asyncio.create_task(http.get("/v1/kv/x", timeout=60))
    await soon(asked.wait())
    asking.cancel()
    await asyncio.wait([asking])
    await soon(http.close())
    assert not [each for each in http._sockets if each.fileno() != -1]  # pyright: ignore[reportPrivateUsage]
    left.set()
    server.close()
    await server.wait_closed()
