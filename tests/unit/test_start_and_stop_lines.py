"""What a service says when it starts and stops, and what stays out of the log."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.protos.shop_micro import ShopSubscriberBase
from tests.protos.shop_pb2 import OrderPlaced

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def address() -> str:
    return f"memory:{uuid.uuid4()}"


Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What services have logged so far."""
    caplog.set_level(logging.INFO, "micro_rt.service")
    return lambda: [record.getMessage() for record in caplog.records]


class OnlyLooks(LabBase):
    async def look(self, request: Text, context: micro.Context) -> Text:
        return request


class Placed(ShopSubscriberBase):
    async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None: ...


async def test_the_start_names_address_registry_and_broker(address: str, lines: Lines) -> None:
    service = micro.Service("laboratory", registry=address, broker="kafka://me:secret@127.0.0.1:1")
    service.handle(Lab())
    async with service:
        assert service.node is not None
        (line,) = lines()
        node = service.node
    assert line.startswith(f"{node.id} serves lab.Lab at {node.address}, registered as laboratory, lab in {address};")
    assert line.endswith("; broker kafka://***@127.0.0.1:1")


async def test_the_start_lists_once_what_a_handler_leaves_out(address: str, lines: Lines) -> None:
    service = micro.Service("lab", registry=address)
    service.handle(OnlyLooks())
    async with service:
        for _ in range(2):
            with pytest.raises(micro.Unimplemented):
                await LabClient(service).act(Text())
    said = [line for line in lines() if "not implemented" in line]
    assert len(said) == 1
    assert "; not implemented: lab.Lab Act, Count, Sum, Talk, Missing, MissingStream; " in said[0]


async def test_the_start_of_a_service_with_subscriptions_says_which(address: str, lines: Lines) -> None:
    service = micro.Service("billing", registry=address, broker=address)
    service.subscribe(Placed(), group="bills")
    async with service:
        (line,) = lines()
    assert line == f"billing handles events of orders in group bills; registry {address}; broker {address}"


async def test_parts_that_are_objects_are_named_by_their_class(address: str, lines: Lines) -> None:
    service = micro.Service("lab", registry=MemoryRegistry(address))
    service.handle(Lab())
    async with service:
        assert " in MemoryRegistry; " in lines()[0]


async def test_nobody_serves_says_where_it_looked(address: str) -> None:
    async with micro.Service("web", registry=address) as web:
        with pytest.raises(micro.Unavailable, match=rf"nobody serves 'lab'.*; looked in {address}$"):
            await LabClient(web, retry=micro.RetryPolicy(attempts=1)).look(Text())


async def test_a_local_registry_is_named_with_its_namespace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: Lines
) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))
    monkeypatch.setenv("MICRO_NAMESPACE", "two")
    service = micro.Service("lab")
    service.handle(Lab())
    place = f"local: (namespace two, MICRO_HOME={tmp_path})"
    async with service:
        assert f" in {place}; " in lines()[0]
        assert lines()[0].endswith(f"; broker {place}")
    monkeypatch.delenv("MICRO_NAMESPACE")
    async with micro.Service("web") as web:
        with pytest.raises(micro.Unavailable, match=r"looked in local: \(namespace default, MICRO_HOME="):
            await LabClient(web, retry=micro.RetryPolicy(attempts=1)).look(Text())


async def test_the_stop_says_what_it_waits_for_and_that_it_is_over(address: str, lines: Lines) -> None:
    service = micro.Service("lab", registry=address, broker=address, grace=7.5)
    service.handle(Lab())
    service.subscribe(Placed())
    serving = asyncio.create_task(service.serve())
    while not service.node:
        await asyncio.sleep(0.01)
    service.stop()
    await serving
    said = lines()
    assert said[1:] == [
        "lab stops: waits up to 7.5 s for 0 calls in flight and for events that are being handled",
        "lab has stopped",
    ]


CHATTER = """
    import logging
    import micro_rt as micro
    from micro_rt.backends.grpclib.transport import GrpclibTransport
    from tests.protos.lab_micro import LabClient
    from tests.helpers.handlers import Lab
    from tests.protos.lab_pb2 import Text
    import asyncio

    logging.basicConfig(level=logging.DEBUG)

    async def main():
        async with micro.Service("lab", registry="memory:", broker="kafka://127.0.0.1:1") as service:
            try:
                await service.broker()
            except micro.Error as error:
                print(error.message)
        service = micro.Service("lab", registry="memory:", transport="grpclib")
        service.handle(Lab())
        async with service:
            await LabClient(service, metadata={"authorization": "Bearer a-token"}).look(Text(value="x"))

    asyncio.run(main())
"""


def test_what_libraries_say_stays_out_of_the_log() -> None:
    pytest.importorskip("aiokafka")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHATTER)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Kafka cannot be reached at 127.0.0.1:1" in done.stdout
    assert "a-token" not in done.stderr
    assert "hpack" not in done.stderr
    assert "aiokafka" not in done.stderr


def test_a_program_that_asks_for_the_log_of_a_library_gets_it() -> None:
    program = textwrap.dedent(CHATTER).replace(
        "async def main", "logging.getLogger('hpack').setLevel(logging.DEBUG)\n\nasync def main", 1
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "hpack" in done.stderr
