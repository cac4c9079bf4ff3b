"""A node's own log is no weapon: what requests cause is logged once per second, with a count."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

import micro_rt as micro
from micro_rt.backends.kafka.batch import RawRecord
from micro_rt.backends.kafka.by_hand import ByHand
from micro_rt.backends.memory.broker import MemoryBroker
from micro_rt.broker.base import UNREADABLE, OutgoingRecord, Partition, TopicOptions
from micro_rt.kit.clock import Clock
from micro_rt.logs import logger, sparsely
from micro_rt.node import Node
from micro_rt.registry.unreadable import Unreadable
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.engines import ENGINES
from tests.helpers.shop import Publishes, Shop, subscribed
from tests.helpers.site import Site
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.protos.shop_pb2 import OrderPlaced

if TYPE_CHECKING:
    from micro_rt.backends.kafka.client import Cluster

ROOT = Path(__file__).parent.parent.parent


def _lines(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == name]


async def test_a_cause_is_logged_once_and_then_how_many_more_there_were(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("micro_rt.test_once")
    for number in range(1000):
        log.warning("it happened %d", number, extra=sparsely("it"))
    assert _lines(caplog, log.name) == ["it happened 0"]
    await eventually(lambda: len(_lines(caplog, log.name)), equals=2, within=10)
    assert _lines(caplog, log.name)[1] == "999 more within a second: it happened 999"
    await asyncio.sleep(1.2)
    assert len(_lines(caplog, log.name)) == 2, "there is nothing more to say"


def _handle(log: logging.Logger, text: str, at: float, cause: str = "it") -> None:
    """Logs a text at a time of day."""
    record = log.makeRecord(log.name, logging.WARNING, __file__, 1, text, (), None, extra=sparsely(cause))
    record.created = at
    log.handle(record)


def test_without_an_event_loop_the_next_line_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("micro_rt.test_thread")
    for at in (1000.0, 1000.1, 1000.9, 1001.5, 501.5):  # The time of day is set back.
        _handle(log, "it happened", at)
    assert _lines(caplog, log.name) == [
        "it happened",
        "it happened (and 2 more like this since it was logged last)",
        "it happened",
    ]


async def test_other_causes_are_logged_meanwhile_and_others_lines_always(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("micro_rt.test_other")

    def fail(error: Exception) -> None:
        try:
            raise error
        except Exception:
            log.exception("failed", extra=sparsely("path"))

    for _ in range(3):
        fail(ValueError())
        fail(KeyError())
        log.warning("one thing", extra=sparsely("a"))
        log.warning("one thing", extra=sparsely("b"))
        log.warning("as it is")
    assert sorted(_lines(caplog, log.name)) == ["as it is"] * 3 + ["failed"] * 2 + ["one thing"] * 2


def test_causes_without_number_fill_neither_memory_nor_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("micro_rt.test_many")
    for number in range(5000):
        _handle(log, "it happened", 1000.0 + number / 10_000, str(number))
    assert len(_lines(caplog, log.name)) <= 300
    _handle(log, "later", 2000.0, "new")
    assert _lines(caplog, log.name)[-1] == "later"


class _Failing(LabBase):
    def __init__(self, what: str) -> None:
        self._what = what

    async def act(self, request: Text, context: micro.Context) -> Text:
        if self._what == "exception":
            raise ValueError(request.value)
        if self._what == "reply":
            return request.value  # type: ignore[return-value]
        context.add_trailer("x", "x" * 20_000)
        raise micro.NotFound("no")


@pytest.mark.parametrize("what", ["exception", "reply", "trailers"])
async def test_requests_fill_no_log(what: str, caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncExitStack() as stack:
        site = Site(stack)
        await site.open()
        await site.list(await site.serve(_Failing(what)))
        client = LabClient(site.client, retry=micro.RetryPolicy(attempts=1))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(50):
            with pytest.raises(micro.Error):
                await client.act(Text(value=str(number)), timeout=5)
        took = loop.time() - began
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(loud) <= 2 + took, f"{len(loud)} lines in {took:.1f} s"


@pytest.mark.parametrize("headers", [{}, {"micro-deadline": "nan"}], ids=["failing", "deadline"])
async def test_events_fill_no_log(headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "micro_rt.events")
    shop, place, handled = Shop(), f"memory:{uuid.uuid4()}", 0

    async def fail(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal handled
        handled += 1
        raise ValueError(event.order_id)

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with micro.Service("publisher", registry=place, broker=place) as service:
        publish = Publishes(shop, service)
        async with subscribed(place, shop.subscriber(order_placed=fail), group="g", attempts=2, backoff=0.01):
            for number in range(200):
                await publish.placed(f"k{number}", headers=headers)
            await eventually(lambda: handled, equals=400)
    took = loop.time() - began
    loud = [record for record in caplog.records if record.name == "micro_rt.events" and record.levelno >= logging.INFO]
    assert any("is in" in record.getMessage() for record in loud)
    assert len(loud) <= 3 * (took + 2), f"{len(loud)} lines in {took:.1f} s"


async def test_registry_entries_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncExitStack() as stack:
        site = Site(stack)
        await site.open()
        await site.list(await site.serve(_Failing("exception")))
        view = site.client.nodes.service_nodes("lab", "lab.Lab")._view
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(200):
            await site.list(Node(f"bad{number}", f"a..b{number}:80", services=frozenset({"lab.Lab"})))
        await eventually(lambda: len(view.left_out), equals=200)
        await asyncio.sleep(1.2)
        took = loop.time() - began
    lines = [record.getMessage() for record in caplog.records if "is left out" in record.getMessage()]
    assert 2 <= len(lines) <= 2 + took, f"{len(lines)} lines in {took:.1f} s"
    assert _counted(lines) == 200


async def test_entries_that_are_not_nodes_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = Unreadable()
    for number in range(200):
        for _ in range(2):
            unreadable.note(f"entry {number}", ValueError("no address"))
    lines = _lines(caplog, "micro_rt.registry")
    assert len(lines) == 1
    await eventually(lambda: len(_lines(caplog, "micro_rt.registry")), equals=2, within=10)
    assert _counted(_lines(caplog, "micro_rt.registry")) == 200, "each is counted once"


def _counted(lines: list[str]) -> int:
    """Returns how many records lines stand for."""
    return sum(int(line.partition(" more ")[0]) if " more within a second: " in line else 1 for line in lines)


async def test_records_that_run_out_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever may write a topic can have a slow reader miss records at each fetch."""
    now = 0.0
    broker = MemoryBroker(f"memory:{uuid.uuid4()}", clock=Clock(lambda: now, "test"))
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=1, retention=100.0)})
    slow = broker.subscribe(["t"], "slow", "earliest", Recorder())
    for _ in range(100):
        await broker.publish([OutgoingRecord("t", b"")])
        now += 200.0
        await broker.publish([OutgoingRecord("t", b"") for _ in range(5)])
        await slow.fetch(1, 0.0)
    await broker.close()
    lines = [text for text in _lines(caplog, "micro_rt.broker") if "ran out before" in text]
    assert 1 <= len(lines) <= 10, len(lines)


async def test_unreadable_records_of_a_kafka_batch_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    partition = Partition("t", 0)
    reader = ByHand(cast("Cluster", None), "group g", None, lambda partition, offset: None)
    reader.begin(partition, 0)
    reading = reader._under_way[partition]
    reading.records = (RawRecord(n, 0, None, b"", ((UNREADABLE, b"no UTF-8"),)) for n in range(200))
    reading.behind = 201
    for _ in range(200):
        assert (await reader.read([partition], 1))[1]
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 1 <= len(lines) <= 2 + loop.time() - began


ACCEPT = """
import asyncio, logging, resource, socket, sys, time
import micro_rt as micro
from tests.helpers.engines import ENGINES

class Counting(logging.Handler):
    lines = 0
    def emit(self, record):
        Counting.lines += 1

logging.getLogger().addHandler(Counting())

async def main():
    async def dispatch(stream):
        pass
    listener = await ENGINES[NUMBER]().listen("127.0.0.1:0", dispatch)
    host, _, port = listener.address.rpartition(":")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    clients = []
    loop = asyncio.get_running_loop()
    try:
        while True:
            client = socket.socket()
            clients.append(client)
            client.setblocking(False)
            client.connect_ex((host, int(port)))
            await asyncio.sleep(0)
    except OSError:
        pass
    clients.pop().close() if clients else None
    began = time.process_time()
    await asyncio.sleep(SECONDS)
    print(Counting.lines, time.process_time() - began)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", range(len(ENGINES)), ids=["grpc", "grpclib"])
def test_at_the_limit_of_file_descriptors_a_server_logs_once_per_second(number: int) -> None:
    program = ACCEPT.replace("FILES", "100").replace("SECONDS", "4").replace("NUMBER", f"{number}")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines, cpu = done.stdout.split()
    assert 1 <= int(lines) <= 8, done.stdout
    assert float(cpu) < 2.0, "it tries again and again"
