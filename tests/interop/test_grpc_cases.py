"""gRPC's interoperability cases, both ways with grpc-go and grpcio, without and with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

import micro_rt as micro
from micro_rt.backends.grpc import server_incoming
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.missing import missing
from tests.helpers.waiting import soon
from tests.interop.grpc_cases import CASES, GrpcioCases, GrpcioService, OurCases, OurService
from tests.protos import grpc_testing_micro as stubs
from tests.servers.cache import Unobtainable
from tests.servers.certificates import Certificates
from tests.servers.obtain import go_binary

LEFT_OUT = {"client_compressed_unary", "client_compressed_streaming"}
"""What grpcio's server cannot do: it does not tell a handler whether a message came compressed."""


@pytest.fixture(params=["plain", "tls"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Certificates | None:
    return Certificates(tmp_path) if request.param == "tls" else None


@pytest.fixture(scope="module")
def program() -> Path:
    """grpc-go's server and client."""
    try:
        return go_binary(Path(__file__).parent / "go_grpc")
    except Unobtainable as reason:
        missing(reason)


@asynccontextmanager
async def our_server(files: Certificates | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Serves the cases; gives the address."""
    decompressed = set[bytes]()
    decompress = server_incoming.decompress

    async def noted(name: str, message: bytes, limit: int, path: str, advice: str) -> bytes:
        whole = await decompress(name, message, limit, path, advice)
        decompressed.add(whole)
        return whole

    def came(message: bytes) -> bool:
        compressed = message in decompressed
        decompressed.discard(message)
        return compressed

    monkeypatch.setattr(server_incoming, "decompress", noted)
    tls = micro.Tls(cert=str(files.certificate), key=str(files.key)) if files else None
    service = micro.Service("cases", registry=f"memory:{uuid.uuid4()}", tls=tls)
    service.handle(OurService(came))
    async with service:
        assert service.node is not None
        yield service.node.address


@asynccontextmanager
async def our_cases(address: str, files: Certificates | None) -> AsyncIterator[OurCases]:
    """Gives what makes the cases' calls to an address."""
    name = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(name)
    await registry.open()
    await registry.register(Registration(Node("by-hand", address, transport="grpc"), ("cases",)), ttl=3600)

    def service() -> micro.Service:
        return micro.Service("client", registry=name, tls=micro.Tls(roots=str(files.ca)) if files else None)

    async def another(work: Callable[[stubs.TestServiceClient], Awaitable[None]]) -> None:
        async with service() as other:
            await work(stubs.TestServiceClient(other, target="cases"))

    async with service() as client:
        yield OurCases(
            stubs.TestServiceClient(client, target="cases"),
            stubs.UnimplementedServiceClient(client, target="cases"),
            another,
        )
    await registry.close()


@asynccontextmanager
async def go_server(program: Path, files: Certificates | None) -> AsyncIterator[str]:
    """Starts grpc-go's server; gives the address."""
    options = ["-cert", files.certificate, "-key", files.key] if files else []
    process = await asyncio.create_subprocess_exec(
        program, "serve", *options, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        yield (await soon(process.stdout.readline())).decode().strip()
        process.stdin.close()
        assert await soon(process.wait()) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def grpcio_server(files: Certificates | None) -> AsyncIterator[str]:
    """Serves the cases with grpcio; gives the address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((GrpcioService(),))
    if files:
        pair = (files.key.read_bytes(), files.certificate.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_our_client_to_the_server_of_grpc_go(program: Path, files: Certificates | None) -> None:
    async with go_server(program, files) as address, our_cases(address, files) as cases:
        for case in CASES:
            await cases.run(case)


async def test_the_client_of_grpc_go_to_our_server(
    program: Path, files: Certificates | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with our_server(files, monkeypatch) as address:
        process = await asyncio.create_subprocess_exec(
            *(program, "call", address, *(["-roots", files.ca] if files else []), *CASES),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await soon(process.communicate())
    assert said.decode().splitlines() == [f"passed {case}" for case in CASES]
    assert process.returncode == 0


async def test_our_client_to_the_server_of_grpcio(files: Certificates | None) -> None:
    async with grpcio_server(files) as address, our_cases(address, files) as cases:
        for case in CASES:
            if case not in LEFT_OUT:
                await cases.run(case)


async def test_the_client_of_grpcio_to_our_server(files: Certificates | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async with our_server(files, monkeypatch) as address:

        def connect() -> grpc.aio.Channel:
            if files:
                return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(files.ca.read_bytes()))
            return grpc.aio.insecure_channel(address)

        cases = GrpcioCases(connect)
        try:
            for case in CASES:
                await cases.run(case)
        finally:
            await cases.close()


async def test_our_client_to_our_server(files: Certificates | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async with our_server(files, monkeypatch) as address, our_cases(address, files) as cases:
        for case in CASES:
            await cases.run(case)
