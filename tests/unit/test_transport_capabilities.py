"""Settings that need a capability of a transport: refused before anything starts, in a line that says what to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.backends.memory.transport import MemoryTransport
from micro_rt.service.parts import Transports
from micro_rt.testing.contracts.transport.declared import declared
from micro_rt.transport.base import Capabilities, capabilities_of
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

REFUSED = (
    "address='unix:/run/lab.sock' needs a transport that listens on Unix sockets, and {} does not: "
    "use transport='grpc', or listen on host:port"
)


class Opened(MemoryRegistry):
    """Notes whether it was opened."""

    opened = False

    async def open(self) -> None:
        self.opened = True
        await super().open()


@pytest.mark.parametrize(
    ("transport", "shown"),
    [
        ("grpclib", "transport='grpclib'"),
        (GrpclibTransport(), "transport=<GrpclibTransport>"),
        ("memory", "transport='memory'"),
    ],
    ids=["name", "object", "memory"],
)
async def test_a_unix_socket_is_refused_before_anything_is_opened(transport: Any, shown: str) -> None:
    started: list[str] = []

    @asynccontextmanager
    async def lifespan(_: micro.Service) -> AsyncGenerator[None]:
        started.append("lifespan")
        yield

    registry = Opened("memory:capabilities")
    options: dict[str, Any] = {"registry": registry, "transport": transport, "lifespan": lifespan}
    service = micro.Service("lab", address="unix:/run/lab.sock", **options)
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition) as caught:
        await service.__aenter__()
    assert caught.value.message == REFUSED.format(shown)
    assert (started, registry.opened) == ([], False)


async def test_where_the_settings_came_from_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_ADDRESS", "unix:/run/lab.sock")
    monkeypatch.setenv("MICRO_TRANSPORT", "grpclib")
    service = micro.Service("lab", registry="memory:")
    service.handle(Lab())
    with pytest.raises(
        micro.FailedPrecondition,
        match=r"MICRO_ADDRESS='unix:/run/lab.sock' needs .* MICRO_TRANSPORT='grpclib' does not",
    ):
        await service.__aenter__()


async def test_a_service_that_does_not_listen_needs_no_unix_sockets() -> None:
    async with micro.Service("web", registry="memory:", transport="grpclib", address="unix:/run/lab.sock"):
        pass


def test_a_transport_that_declares_nothing_has_no_capability() -> None:
    class Silent:
        name = "silent"

    silent: Any = Silent()
    assert capabilities_of(silent) == Capabilities()
    assert capabilities_of(MemoryTransport()) == Capabilities(message_sizes=True, compression=True)
    for capability in ("unix_sockets", "places", "limits", "message_sizes", "compression", "tls"):
        with pytest.raises(
            micro.FailedPrecondition, match=r"x=1 needs a transport that .*, and transport=<Silent> does"
        ):
            Transports(silent).require(capability, "x=1", "leave it out")
        Transports(None).require(capability, "x=1", "leave it out")
        Transports(GrpcTransport()).require(capability, "x=1", "leave it out")


@pytest.mark.parametrize("address", ["unix:/run/lab.sock", "unix:", "unix:\n\x1b[2J"])
async def test_the_transports_themselves_refuse_unix_sockets(address: str) -> None:
    for transport in (GrpclibTransport(), MemoryTransport()):
        with pytest.raises(
            micro.FailedPrecondition, match=r"does not listen on Unix sockets, .*; transport='grpc' does"
        ) as listen:
            await transport.listen(address, never)
        assert listen.value.message.isprintable()
    with pytest.raises(
        micro.FailedPrecondition, match=r"does not connect to Unix sockets, .*; transport='grpc' does"
    ) as connect:
        GrpclibTransport().connection(address)
    assert connect.value.message.isprintable()


async def never(_: object) -> None:
    raise AssertionError


async def test_a_client_says_why_it_leaves_out_a_node_at_a_unix_socket(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'lab'}"
    server = micro.Service("lab", registry="memory:sockets", address=address)
    server.handle(Lab())
    async with server, micro.Service("web", registry="memory:sockets", transport="grpclib") as web:
        with pytest.raises(micro.Unavailable) as caught:
            await LabClient(web).look(Text(value="x"))
        assert f"does not connect to Unix sockets, such as {address}; transport='grpc' does" in caught.value.message
        assert not caught.value.may_have_run
        async with micro.Service("other", registry="memory:sockets") as other:
            assert (await LabClient(other).look(Text(value="x"))).value == "x"


# How tests hold a transport to what it declares


def test_what_is_declared_must_hold() -> None:
    with declared(GrpcTransport(), "limits"):
        pass
    with pytest.raises(AssertionError, match=r"^no$"), declared(GrpcTransport(), "limits"):
        raise AssertionError("no")


@pytest.mark.parametrize(
    "gap", [AssertionError("no\nmore"), micro.Internal("no\nmore"), pytest.fail.Exception("no\nmore")]
)
def test_what_is_not_declared_is_an_expected_failure(gap: BaseException) -> None:
    with pytest.raises(pytest.xfail.Exception, match=r": .*no$"), declared(GrpclibTransport(), "limits"):
        raise gap


def test_a_gap_that_exists_no_longer_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"has it: declare it"), declared(GrpclibTransport(), "limits"):
        pass


def test_a_fault_of_a_test_is_no_gap() -> None:
    with pytest.raises(KeyError), declared(GrpclibTransport(), "limits"):
        raise KeyError("x")
