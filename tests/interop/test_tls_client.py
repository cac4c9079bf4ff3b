"""Clients that connect with TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from h2.events import RequestReceived

import micro_rt as micro
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.transport.base import Transport
from tests.helpers.raw_server import raw_server
from tests.interop.test_http2_peers import Peer, call
from tests.servers.certificates import Certificates

pytestmark = pytest.mark.parametrize("engine", [GrpcTransport, GrpclibTransport], ids=["grpc", "grpclib"])

Engine = Callable[[ssl.SSLContext | None], Transport]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


def of_server(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.set_alpn_protocols(["h2"])
    return context


class Secure:
    """A server with TLS, and what it has seen."""

    def __init__(self) -> None:
        self.protocols: list[str | None] = []
        self.schemes: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        peer = Peer(reader, writer, client=False)
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                self.schemes += [str(value) for name, value in event.headers or () if str(name) == ":scheme"]
                await peer.answer(event.stream_id)


async def test_a_call_over_tls(engine: Engine, certificates: Certificates) -> None:
    secure = Secure()
    async with raw_server(secure.serve, tls=of_server(certificates)) as address:
        connection = engine(certificates.context(client=False)).connection(address)
        for _ in range(3):
            assert await call(connection) == b"hi"
        await connection.close()
    assert secure.protocols == ["h2"]
    assert secure.schemes == ["https"] * 3


async def test_a_certificate_that_nobody_knows(engine: Engine, certificates: Certificates) -> None:
    async with raw_server(Secure().serve, tls=of_server(certificates)) as address:
        connection = engine(ssl.create_default_context()).connection(address)
        with pytest.raises(
            micro.Unavailable,
            match=r"its certificate is not accepted|no trusted authority issued the certificate",
        ) as caught:
            await call(connection)
        assert not caught.value.may_have_run
        await connection.close()


async def test_a_server_without_tls(engine: Engine, certificates: Certificates) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(plain) as address:
        connection = engine(certificates.context()).connection(address)
        with pytest.raises(micro.Unavailable, match="does it speak TLS") as caught:
            await call(connection)
        assert not caught.value.may_have_run
        await connection.close()


async def test_a_client_without_tls(engine: Engine, certificates: Certificates) -> None:
    async with raw_server(Secure().serve, tls=of_server(certificates)) as address:
        connection = engine(None).connection(address)
        with pytest.raises(micro.Unavailable, match="does it speak TLS, which was not used") as caught:
            await call(connection)
        assert not caught.value.may_have_run
        await connection.close()
