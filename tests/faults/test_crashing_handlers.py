"""Handlers that end their process: the event that does it becomes a dead letter, and every other one is handled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.events.dead_letter import dead_letter_topic
from tests.helpers.shop import Publishes, Shop, broker_address, read_all
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced


class Crashing:
    """One member after another, each in a process of its own that is started when the one before it has ended."""

    def __init__(self, broker: str, shop: Shop, folder: Path, crash_attempts: int) -> None:
        self.group = shop.topic("g")  # Static members do not leave: no other test is to wait for their sessions to end.
        self._arguments = (broker, shop.mark, self.group, str(folder / "log"), str(crash_attempts))
        self._folder = folder
        self._log = folder / "log"
        self._log.touch()
        self._running: asyncio.subprocess.Process | None = None
        self._going = True
        self.deaths = 0
        self._task = asyncio.create_task(self._run())

    def lines(self, what: str) -> list[str]:
        return [line.split()[1] for line in self._log.read_text().splitlines() if line.startswith(what)]

    async def stop(self) -> None:
        """Stops the member that runs, in good order."""
        self._going = False
        if self._running is not None and self._running.returncode is None:
            self._running.terminate()
        await self._task

    async def kill(self) -> None:
        """Kills the member that runs, and lets the next one start."""
        process = self._running
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def terminate(self) -> None:
        """Stops the member that runs in good order, and lets the next one start."""
        process = self._running
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def said(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._folder.glob("member-*.err"))[-3:])

    def all_said(self, text: str) -> list[str]:
        """Returns the lines that members have logged with this text."""
        logs = [path.read_text() for path in sorted(self._folder.glob("member-*.err"))]
        return [line for log in logs for line in log.splitlines() if text in line]

    async def _run(self) -> None:
        number = 0
        while self._going:
            with (self._folder / f"member-{number:03}.err").open("wb") as errors:
                self._running = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.faults.crash_worker", *self._arguments),
                    stdout=errors,
                    stderr=errors,
                    cwd=Path(__file__).parent.parent.parent,
                )
                await self._running.wait()
            number += 1
            if self._running.returncode in (17, -signal.SIGKILL):
                self.deaths += 1


@pytest.fixture(params=["local", "kafka"])
def broker(request: pytest.FixtureRequest) -> str:
    """A broker on which a member that has died is missed at once, or soon."""
    # A static member of Kafka that comes back within its session gets its partitions at once.
    return broker_address(request, local="?session=1", kafka=f"/?session=10&instance={uuid.uuid4().hex}")


@pytest.mark.verify("events")
async def test_only_what_ends_the_process_becomes_a_dead_letter(
    broker: str, shop: Shop, publish: Publishes, tmp_path: Path, size: Size, figures: Figures
) -> None:
    attempts, killers = size((5, 3), ci=(2, 2))
    events = [OrderPlaced(order_id=f"o{number}", total_cents=5 * (number % 9)) for number in range(80)]
    for number, at in enumerate((3, 40, 70)[:killers]):
        events.insert(at, OrderPlaced(order_id=f"killer{number}", total_cents=-1 - number % 2))
    await publish.many(events)
    await publish.many([OrderPaid(order_id=f"p{number}", paid_cents=number) for number in range(40)])
    good = {event.order_id for event in events if event.total_cents >= 0} | {f"p{number}" for number in range(40)}
    crashing = Crashing(broker, shop, tmp_path, attempts)
    try:
        await eventually(lambda: good <= set(crashing.lines("done")), crashing.said)
        async with micro.Service("reader", registry="memory:", broker=broker.partition("/?")[0]) as service:
            letters = await read_all(service, dead_letter_topic(shop.topic("orders"), crashing.group), killers)
    finally:
        await crashing.stop()
    dead = {OrderPlaced.FromString(letter.value).order_id: dict(letter.headers) for letter in letters}
    assert set(dead) == {f"killer{number}" for number in range(killers)}
    for headers in dead.values():
        assert headers["micro-dead-attempts"] == str(attempts).encode()
        assert f"the process ended {attempts} times".encode() in headers["micro-dead-reason"]
    begun = Counter(each for each in crashing.lines("begin") if each.startswith("killer"))
    figures.add("processes that ended", crashing.deaths)
    figures.add("handled more than once", len(crashing.lines("done")) - len(good))
    # Once among others, at most; and then alone.
    assert all(attempts <= count <= attempts + killers for count in begun.values()), begun
    assert crashing.deaths <= killers * attempts + killers, crashing.said()


async def test_processes_that_are_killed_from_outside_or_stopped_make_no_dead_letters(
    broker: str, shop: Shop, publish: Publishes, tmp_path: Path
) -> None:
    events = [OrderPlaced(order_id=f"o{number}", total_cents=20 + number % 20) for number in range(150)]
    await publish.many(events)
    crashing = Crashing(broker, shop, tmp_path, 3)
    try:
        for end in (crashing.kill, crashing.terminate, crashing.kill):
            before = len(crashing.lines("done"))
            await eventually(lambda before=before: len(crashing.lines("done")) >= before + 15, crashing.said)
            await end()
        await eventually(lambda: {event.order_id for event in events} <= set(crashing.lines("done")), crashing.said)
    finally:
        await crashing.stop()
    assert not crashing.all_said(dead_letter_topic(shop.topic("orders"), crashing.group))
    assert crashing.deaths == 2
