"""The life of a service: how it starts, what it tells the registry, how it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.service.parts import Transports
from micro_rt.transport.base import Connection
from tests.helpers.handlers import Lab
from tests.helpers.programs import Program
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def address() -> str:
    return f"memory:{uuid.uuid4()}"


async def listed(address: str) -> dict[str, int]:
    registry = MemoryRegistry(address)
    await registry.open()
    try:
        return {name: len(nodes) for name, nodes in (await registry.names()).items()}
    finally:
        await registry.close()


async def test_it_is_listed_under_its_name_and_its_handlers_targets(address: str) -> None:
    service = micro.Service("laboratory", registry=address, version="1.2", metadata={"zone": "a"})
    service.handle(Lab())
    async with service:
        assert await listed(address) == {"laboratory": 1, "lab": 1}
        node = service.node
        assert node is not None
        assert node.id.startswith("laboratory-")
        assert node.address.startswith("127.0.0.1:")
        assert (node.version, node.metadata, node.services) == ("1.2", {"zone": "a"}, {"lab.Lab"})
    assert await listed(address) == {}
    assert service.node is None


async def test_it_gives_its_registry_while_it_runs(address: str) -> None:
    service = micro.Service("laboratory", registry=address)
    service.handle(Lab())
    async with service:
        assert await service.registry.resolve("lab") == (service.node,)
    with pytest.raises(micro.FailedPrecondition, match="not started"):
        _ = service.registry


async def test_without_handlers_it_opens_no_port_and_registers_nothing(address: str) -> None:
    async with micro.Service("web", registry=address) as service:
        assert service.node is None
        assert await listed(address) == {}


async def test_it_can_run_again_and_its_clients_with_it(address: str) -> None:
    service = micro.Service("lab", registry=address)
    service.handle(Lab())
    lab = LabClient(service)
    for _ in range(2):
        async with service:
            assert (await lab.look(Text(value="x"))).value == "x"
        with pytest.raises(micro.FailedPrecondition, match="service 'lab' is not started"):
            await lab.look(Text())


async def test_it_does_not_run_twice_at_once(address: str) -> None:
    async with micro.Service("web", registry=address) as service:
        with pytest.raises(RuntimeError, match="runs already"):
            await service.__aenter__()
        with pytest.raises(RuntimeError, match="before the service starts"):
            service.handle(Lab())


async def test_the_lifespan_surrounds_serving_and_can_call(address: str) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(service: micro.Service) -> AsyncIterator[None]:
        events.append(f"up, listed: {await listed(address)}")
        yield
        events.append(f"down, listed: {await listed(address)}")
        with pytest.raises(micro.Unavailable):
            await LabClient(service, retry=micro.RetryPolicy(attempts=1)).look(Text())

    service = micro.Service("lab", registry=address, lifespan=lifespan)
    service.handle(Lab())
    async with service:
        events.append("running")
    assert events == ["up, listed: {}", "running", "down, listed: {}"]


async def test_a_start_that_fails_leaves_nothing_behind(address: str) -> None:
    @asynccontextmanager
    async def lifespan(service: micro.Service) -> AsyncIterator[None]:
        yield

    service = micro.Service("lab", registry=address, address="256.0.0.1:0", lifespan=lifespan)
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition, match=r"cannot listen on 256\.0\.0\.1:0.*MICRO_ADDRESS"):
        await service.__aenter__()
    assert await listed(address) == {}
    with pytest.raises(micro.FailedPrecondition, match="not started"):
        _ = service.nodes


async def test_calls_in_flight_get_their_grace(address: str) -> None:
    release = asyncio.Event()

    class Slow(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            self.started.set()
            await release.wait()
            return request

    slow = Slow()
    service = micro.Service("lab", registry=address, grace=30)
    service.handle(slow)
    await service.__aenter__()
    async with micro.Service("web", registry=address) as web:
        call = asyncio.create_task(LabClient(web).act(Text(value="x")))
        await slow.started.wait()
        stopping = asyncio.create_task(service.__aexit__(None, None, None))
        await asyncio.sleep(0.2)
        assert not stopping.done()
        release.set()
        assert (await call).value == "x"
        await asyncio.wait_for(stopping, 20)


async def test_calls_that_outstay_their_grace_are_cut_off(address: str) -> None:
    lab = Lab()
    service = micro.Service("lab", registry=address, grace=0.1)
    service.handle(lab)
    await service.__aenter__()
    async with micro.Service("web", registry=address) as web:
        call = asyncio.create_task(LabClient(web).act(Text(value="hang")))
        await lab.started.wait()
        await service.__aexit__(None, None, None)
        assert lab.cancelled.is_set()
        with pytest.raises(micro.Unavailable, match="may have run, and is not declared idempotent") as caught:
            await call
        assert caught.value.may_have_run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"registry": "nowhere"}, r"registry='nowhere' is not an address.*'local:'"),
        (
            {"registry": "zookeeper://x"},
            r"registry='zookeeper': there is no such registry; known: .*local, mdns, memory",
        ),
        ({"transport": "pigeon"}, r"transport='pigeon': there is no such transport; known: grpc, grpclib, memory"),
        (
            {"selector": "best"},
            r"selector='best': there is no such selector; known: consistent_hash, least_loaded, random, round_robin",
        ),
    ],
)
async def test_a_part_that_does_not_exist_is_named_with_those_that_do(options: dict[str, str], message: str) -> None:
    service = micro.Service("lab", **{"registry": "memory:", **options})  # type: ignore[arg-type]
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition, match=message):
        await service.__aenter__()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("consul://127.0.0.1:8500/?token=abc&dc=eu&size=5", "consul://127.0.0.1:8500/?token=***&dc=eu&***"),
        ("etcd://root:p@ss:w@127.0.0.1:2379/?size=5", "etcd://***@127.0.0.1:2379/?size=***"),
        ("kafka://me:secret@127.0.0.1:9092/?size=5", "kafka://***@127.0.0.1:9092/?size=***"),
        ("nothing?Token=abc", "nothing?***"),
        ("consul://[::1]:8500/?size=5", "consul://[::1]:8500/?size=***"),
    ],
)
async def test_an_address_that_is_wrong_is_shown_without_its_secrets(address: str, shown: str) -> None:
    part = "broker" if address.startswith("kafka") else "registry"
    service = micro.Service("lab", **{"registry": "memory:", part: address})  # type: ignore[arg-type]
    with pytest.raises(micro.FailedPrecondition) as caught:
        async with service:
            await service.broker()
    assert f"{part}={shown!r}" in str(caught.value)
    assert not [secret for secret in ("abc", "p@ss", "ss:w", "secret@") if secret in str(caught.value)]


@pytest.mark.parametrize("given", ["pigeon", "from the environment"])
async def test_a_transport_that_does_not_exist_is_refused_without_handlers_too(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("MICRO_TRANSPORT", "pigeon")
    service = micro.Service("web", registry="memory:", transport=given if given == "pigeon" else None)
    with pytest.raises(micro.FailedPrecondition, match="='pigeon': there is no such transport"):
        await service.__aenter__()


class CountingTransport(GrpclibTransport):
    """Counts the connections that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0

    def connection(self, address: str) -> Connection:
        self.connections += 1
        return super().connection(address)


async def test_nodes_name_the_protocol_and_the_services_own_transport_calls_them(address: str) -> None:
    server = micro.Service("lab", registry=address, transport="grpclib")
    server.handle(Lab())
    transport = CountingTransport()
    async with server, micro.Service("web", registry=address, transport=transport) as web:
        assert server.node is not None
        assert server.node.transport == "grpc"
        assert (await LabClient(web).look(Text(value="x"))).value == "x"
    assert transport.connections == 1


def test_the_transport_of_a_name_speaks_its_protocol() -> None:
    transports = Transports("grpclib")
    assert isinstance(transports.own, GrpclibTransport)
    assert transports.speaking("grpc") is transports.own
    assert transports.speaking("memory") is transports.speaking("memory")
    with pytest.raises(micro.FailedPrecondition, match="transport of a node='pigeon': there is no such transport"):
        transports.speaking("pigeon")


async def test_the_environment_speaks_where_the_code_does_not(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MICRO_REGISTRY", address)
    monkeypatch.setenv("MICRO_TRANSPORT", "memory")
    monkeypatch.setenv("MICRO_SELECTOR", "random")
    service = micro.Service("lab")
    service.handle(Lab())
    async with service:
        assert await listed(address) == {"lab": 1}
        assert service.node is not None
        assert service.node.transport == "memory"
    monkeypatch.setenv("MICRO_REGISTRY", "zookeeper:")
    with pytest.raises(micro.FailedPrecondition, match="MICRO_REGISTRY='zookeeper': there is no such"):
        await micro.Service("lab").__aenter__()


class FarRegistry(MemoryRegistry):
    """A registry that other machines see."""

    loopback = False


async def test_a_loopback_address_is_not_told_to_other_machines(address: str) -> None:
    service = micro.Service("lab", registry=FarRegistry(address), address="127.0.0.1:0")
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition, match=r"127\.0\.0\.1 would be registered .* advertise="):
        await service.__aenter__()
    assert await listed(address) == {}


@pytest.mark.parametrize(
    ("advertise", "expected"), [("lab.example", "lab.example:{port}"), ("lab.example:80", "lab.example:80")]
)
async def test_what_is_advertised_is_what_others_get(address: str, advertise: str, expected: str) -> None:
    service = micro.Service("lab", registry=FarRegistry(address), address="127.0.0.1:0", advertise=advertise)
    service.handle(Lab())
    async with service:
        assert service.node is not None
        assert service.node.address.startswith(expected.format(port=""))


def test_what_is_no_handler_is_refused(address: str) -> None:
    service = micro.Service("lab", registry=address)
    wrong: Any = LabClient
    with pytest.raises(TypeError, match="derives from a generated base"):
        service.handle(wrong)
    with pytest.raises(TypeError, match="derives from a generated base"):
        service.handle(Lab)  # type: ignore[type-var]
    service.handle(Lab())
    with pytest.raises(ValueError, match=r"lab\.Lab has a handler already"):
        service.handle(Lab())
    with pytest.raises(ValueError, match="needs a name"):
        micro.Service("")


SERVER = """
    import asyncio, sys
    import micro_rt as micro
    from tests.protos.lab_micro import LabBase

    class Lab(LabBase):
        async def act(self, request, context):
            print("started", flush=True)
            try:
                await asyncio.sleep(3600)
            finally:
                print("cancelled", flush=True)

    service = micro.Service("lab", grace=60)
    service.handle(Lab())
    service.run()
    print("over", flush=True)
"""


def start(tmp_path: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "MICRO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "serves lab.Lab at 127.0.0.1:" in line
        assert "registered as lab" in line
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert out == "over\n"
    assert process.returncode == 0


async def test_a_second_signal_cuts_off_what_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))
    with start(tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        await asyncio.to_thread(process.stderr.readline)
        async with micro.Service("web") as web:
            call = asyncio.create_task(LabClient(web).act(Text(), timeout=60))
            assert await asyncio.to_thread(process.stdout.readline) == "started\n"
            process.send_signal(signal.SIGTERM)
            assert "1 calls in flight" in await asyncio.to_thread(process.stderr.readline)
            process.send_signal(signal.SIGTERM)
            out, _ = await asyncio.to_thread(process.communicate, timeout=30)
            with pytest.raises(micro.Unavailable):
                await call
    assert out == "cancelled\nover\n"
    assert process.returncode == 0


def test_it_can_be_served_in_one_loop_after_another(address: str) -> None:
    service = micro.Service("lab", registry=address)
    service.handle(Lab())

    async def briefly(text: str) -> str:
        serving = asyncio.create_task(service.serve())
        await eventually(lambda: service.node is not None or serving.done())
        assert not serving.done(), "it ended before anybody asked it to"
        reply = await LabClient(service).act(Text(value=text))
        assert not serving.done()
        service.stop()
        await soon(serving)
        assert service.node is None
        return reply.value

    assert [asyncio.run(briefly(text)) for text in ("first", "second")] == ["first", "second"]


async def test_stopping_before_the_start_is_not_forgotten(address: str) -> None:
    service = micro.Service("lab", registry=address)
    serving = asyncio.create_task(service.serve())
    service.stop()
    await asyncio.wait_for(serving, 20)
    assert service.node is None


async def test_run_in_a_loop_says_what_to_do_instead(address: str) -> None:
    with pytest.raises(RuntimeError, match=r"await service\.serve\(\) instead"):
        micro.Service("lab", registry=address).run()


async def test_a_registry_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="registry=5 is neither an address"):
        await micro.Service("lab", registry=5).__aenter__()  # type: ignore[arg-type]
    monkeypatch.setenv("MICRO_REGISTRY", "local:?x=1")
    with pytest.raises(micro.FailedPrecondition, match=r"MICRO_REGISTRY='local:\?x=\*\*\*': "):
        await micro.Service("lab").__aenter__()


async def test_an_advertised_ipv6_host_gets_its_brackets(address: str) -> None:
    service = micro.Service("lab", registry=address, advertise="::1")
    service.handle(Lab())
    async with service:
        assert service.node is not None
        assert service.node.address.startswith("[::1]:")


TWO = """
    import asyncio
    import micro_rt as micro
    from tests.protos.lab_micro import LabBase

    async def main():
        services = [micro.Service(name) for name in ("one", "two")]
        for service in services:
            service.handle(LabBase())
        waiting = asyncio.gather(*(service.serve() for service in services))
        while not all(service.node for service in services):
            await asyncio.sleep(0.01)
        print("up", flush=True)
        await waiting
        print("over", flush=True)

    asyncio.run(main())
"""

HANGS = """
    import asyncio, contextlib
    import micro_rt as micro

    @contextlib.asynccontextmanager
    async def lifespan(service):
        print("up", flush=True)
        if WHEN == "start":
            await asyncio.sleep(3600)
        yield
        await asyncio.sleep(3600)

    service = micro.Service("lab", lifespan=lifespan)
    from tests.protos.lab_micro import LabBase
    service.handle(LabBase())
    service.run()
    print("over", flush=True)
"""


@pytest.mark.parametrize(
    ("program", "signals"), [(TWO, 1), ("    WHEN = 'start'" + HANGS, 1), ("    WHEN = 'end'" + HANGS, 3)]
)
def test_a_signal_reaches_everything_that_runs(tmp_path: Path, program: str, signals: int) -> None:
    env = {**os.environ, "MICRO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with Program(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "up\n"
        if signals == 3:
            assert "serves lab.Lab" in process.stderr.readline()
        for number in range(signals):
            process.send_signal(signal.SIGTERM)
            if signals == 3 and number < 2:
                process.stderr.readline()  # what it says to the first, and to the second
        out, err = process.communicate(timeout=30)
    assert out == "over\n", err
    assert process.returncode == 0


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
async def test_a_handler_that_wants_to_end_the_process_stops_it_in_good_order(
    address: str, error: BaseException
) -> None:
    hung = asyncio.Event()

    class Exiting(Lab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            if request.value == "exit":
                raise error
            hung.set()
            await asyncio.sleep(0.3)
            return request

    server = micro.Service("lab", registry=address)
    server.handle(Exiting())

    async def calls() -> Text:
        async with micro.Service("client", registry=address) as service:
            client = LabClient(service)
            other = asyncio.create_task(client.act(Text(value="other")))
            await hung.wait()
            with pytest.raises(micro.Unavailable):
                await client.act(Text(value="exit"))
            return await other

    calling = asyncio.create_task(calls())
    with pytest.raises(type(error)) as caught:
        await server.serve()
    assert caught.value is error
    assert (await asyncio.wait_for(calling, 20)).value == "other"
    assert await listed(address) == {}
