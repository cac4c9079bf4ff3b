"""A node's own log is no weapon: what requests cause is logged once per second, with a count."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.logs import logger, sparsely
from tests.helpers.shop import Publishes, Shop, subscribed
from tests.helpers.site import Site
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.protos.shop_pb2 import OrderPlaced

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


async def test_events_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
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
                await publish.placed(f"k{number}")
            await eventually(lambda: handled, equals=400)
    took = loop.time() - began
    loud = [record for record in caplog.records if record.name == "micro_rt.events" and record.levelno >= logging.INFO]
    assert any("is in" in record.getMessage() for record in loud)
    assert len(loud) <= 3 * (took + 2), f"{len(loud)} lines in {took:.1f} s"


ACCEPT = """
import asyncio, logging, resource, socket, sys, time
import micro_rt as micro
from micro_rt.backends.grpclib.transport import GrpclibTransport

class Counting(logging.Handler):
    lines = 0
    def emit(self, record):
        Counting.lines += 1

logging.getLogger().addHandler(Counting())

async def main():
    async def dispatch(stream):
        pass
    listener = await GrpclibTransport().listen("127.0.0.1:0", dispatch)
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


def test_at_the_limit_of_file_descriptors_a_server_logs_once_per_second() -> None:
    program = ACCEPT.replace("FILES", "100").replace("SECONDS", "4")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines, cpu = done.stdout.split()
    assert 1 <= int(lines) <= 8, done.stdout
    assert float(cpu) < 2.0, "it tries again and again"
