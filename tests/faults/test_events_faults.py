"""Events while members die, stop, come and go, and while handlers fail; everything is counted.

Published and handled are counted by number within each key: lost must be 0, and none may be handled for the first time before
the one in front of it was. What is handled more than once is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.testing import FaultProxy
from tests.helpers.kafka_lab import proxied
from tests.helpers.shop import Publishes, Shop, broker_address, read_all, subscribed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced
from tests.servers.kafka import Kafka

KEYS = 16


@dataclass
class Count:
    """What became of events."""

    published: int
    handled: int
    lost: int
    repeated: int
    out_of_order: int

    @classmethod
    def of(cls, published: dict[str, int], handled: list[tuple[str, int]]) -> Count:
        """Counts.

        Args:
            published: how many events of each key there are; they are numbered.
            handled: key and number, in the order in which they were handled.
        """
        next_of: dict[str, int] = defaultdict(int)
        seen: Counter[tuple[str, int]] = Counter()
        out_of_order = 0
        for key, number in handled:
            seen[key, number] += 1
            if seen[key, number] == 1:
                out_of_order += number != next_of[key]
                next_of[key] = max(next_of[key], number + 1)
        total = sum(published.values())
        return cls(total, len(handled), total - len(seen), len(handled) - len(seen), out_of_order)


class Workers:
    """Members in processes of their own, and what they have handled."""

    def __init__(self, broker: str, mark: str, folder: Path, seconds: float) -> None:
        self._arguments = (broker, mark, "workers")
        self._seconds = seconds
        self._folder = folder
        self._log = folder / "handled"
        self._log.touch()
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self) -> asyncio.subprocess.Process:
        number = len(self.processes)
        with (self._folder / f"worker-{number}.err").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.events_worker"),
                *(*self._arguments, str(self._log), str(self._seconds)),
                stdout=errors,
                stderr=errors,
                cwd=Path(__file__).parent.parent.parent,
            )
        self.processes.append(process)
        return process

    def handled(self) -> list[tuple[str, int]]:
        lines = [line.split() for line in self._log.read_text().splitlines()]
        return [(key, int(number)) for key, number, _ in lines]

    def by(self, process: asyncio.subprocess.Process) -> int:
        return sum(line.endswith(f" {process.pid}") for line in self._log.read_text().splitlines())

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.terminate()
        for process in self.processes:
            try:
                async with asyncio.timeout(30):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def said(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self._folder.glob("worker-*.err")))


class Publishing:
    """Publishes numbered events of each key in turns, until told to stop; tries again whatever it is not told to be accepted."""

    def __init__(self, publish: Publishes, pause: float) -> None:
        self.published: dict[str, int] = dict.fromkeys((f"key-{number}" for number in range(KEYS)), 0)
        self.failures = 0
        self._publish = publish
        self._pause = pause
        self._going = True
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> dict[str, int]:
        self._going = False
        await self._task
        return self.published

    async def _run(self) -> None:
        while self._going:
            for key in self.published:
                while True:
                    try:
                        await self._publish.placed(key, self.published[key])
                    except micro.Error:
                        self.failures += 1
                        await asyncio.sleep(0.1)
                    else:
                        break
                self.published[key] += 1
            await asyncio.sleep(self._pause)


async def all_handled(published: dict[str, int], handled: Any) -> Count:
    with contextlib.suppress(TimeoutError):  # The test says what is missing.
        await eventually(lambda: Count.of(published, handled()).lost, equals=0)
    return Count.of(published, handled())


@pytest.fixture(params=["local", "kafka"])
def broker(request: pytest.FixtureRequest) -> str:
    """A broker whose members are missed soon."""
    return broker_address(request, local="?session=2", kafka="/?session=6")


@pytest.fixture
async def workers(broker: str, shop: Shop, tmp_path: Path) -> AsyncIterator[Workers]:
    workers = Workers(broker, shop.mark, tmp_path, 0.002)
    yield workers
    await workers.end()


@pytest.mark.verify("events")
async def test_members_that_are_killed_and_stopped(
    broker: str, workers: Workers, publish: Publishes, size: Size, figures: Figures
) -> None:
    publishing = Publishing(publish, 0.02)
    killed, stopped, _ = [await workers.start() for _ in range(3)]
    await eventually(lambda: workers.by(killed) > 50 and workers.by(stopped) > 50, workers.said())
    killed.kill()
    await workers.start()
    await asyncio.sleep(1.0)
    stopped.send_signal(signal.SIGSTOP)
    at_stop = len(workers.handled())
    await asyncio.sleep(size(12.0, ci=1.5 * float(broker.rpartition("=")[2])))  # past its session
    stopped.send_signal(signal.SIGCONT)
    await eventually(lambda: len(workers.handled()) > at_stop)
    await asyncio.sleep(2.0)
    count = await all_handled(await publishing.stop(), workers.handled)
    figures.add_all(count)
    assert (count.lost, count.out_of_order) == (0, 0), f"{count}\n{workers.said()}"
    assert count.repeated < count.published / 4, count


@pytest.mark.verify("events")
async def test_a_storm_of_rebalances(broker: str, shop: Shop, publish: Publishes, size: Size, figures: Figures) -> None:
    """Members join and leave every second: for a minute in full."""
    handled: list[tuple[str, int]] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(random.uniform(0, 0.004))
        handled.append((event.order_id, event.total_cents))

    publishing = Publishing(publish, 0.01)
    until_then = time.monotonic() + size(60.0, ci=5.0)
    members = 0

    async def come_and_go() -> None:
        nonlocal members
        while time.monotonic() < until_then:
            async with subscribed(broker, shop.subscriber(order_placed=handle), group="storm"):
                members += 1
                await asyncio.sleep(random.uniform(0.5, 2.5))

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="storm"):
        await asyncio.gather(*(come_and_go() for _ in range(3)))
        count = await all_handled(await publishing.stop(), lambda: handled)
    figures.add("members", members)
    figures.add_all(count)
    assert (count.lost, count.out_of_order) == (0, 0), count
    assert count.repeated <= count.published / 20, count


async def test_handlers_that_hang_raise_and_are_slow(broker: str, shop: Shop, publish: Publishes) -> None:
    handled: list[tuple[str, int]] = []
    dice = random.Random(5)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        fate = dice.random() if context.attempt < 4 else 1.0
        if fate < 0.02:
            await asyncio.Event().wait()
        if fate < 0.06:
            raise RuntimeError("a fault")
        await asyncio.sleep(0.05 if fate < 0.10 else 0.0)
        handled.append((event.order_id, event.total_cents))

    published = {f"key-{number}": 60 for number in range(KEYS)}
    await publish.many([OrderPlaced(order_id=key, total_cents=number) for number in range(60) for key in published])
    options: Any = {"group": "g", "timeout": 0.3, "backoff": 0.02, "max_backoff": 0.2}
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options):
        count = await all_handled(published, lambda: handled)
    assert count == Count(60 * KEYS, 60 * KEYS, 0, 0, 0)


@pytest.mark.verify("events")
async def test_poison_among_ten_thousand(broker: str, shop: Shop, publish: Publishes, size: Size) -> None:
    each = size(10_000, ci=2_000) // KEYS
    poison = each // 2
    handled: list[tuple[str, int]] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if (event.order_id, event.total_cents) == ("key-3", poison):
            raise micro.InvalidArgument("poison")
        handled.append((event.order_id, event.total_cents))

    published = {f"key-{number}": each for number in range(KEYS)}
    for start in range(0, each, 125):
        await publish.many(
            [
                OrderPlaced(order_id=key, total_cents=number)
                for number in range(start, min(start + 125, each))
                for key in published
            ]
        )
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", attempts=3, backoff=0.05) as (
        service,
        _,
    ):
        await eventually(lambda: len(handled) == each * KEYS - 1)
        (letter,) = await read_all(service, f"{shop.topic('orders')}.g.dead")
    assert OrderPlaced.FromString(letter.value) == OrderPlaced(order_id="key-3", total_cents=poison)
    poisoned = [number for key, number in handled if key == "key-3"]
    assert poisoned == [number for number in range(each) if number != poison]
    count = Count.of(
        {key: count for key, count in published.items() if key != "key-3"},
        [pair for pair in handled if pair[0] != "key-3"],
    )
    assert (count.lost, count.repeated, count.out_of_order) == (0, 0, 0)


@pytest.mark.verify("events")
@pytest.mark.parametrize("fault", ["killed", "cut", "silent"])
async def test_a_broker_that_goes_away(
    request: pytest.FixtureRequest, shop: Shop, fault: str, size: Size, figures: Figures
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if fault == "killed":
            server: Kafka = request.getfixturevalue("own_kafka")
            place = server.address
        else:
            server = request.getfixturevalue("make_kafka")()
            proxy: FaultProxy = await stack.enter_async_context(proxied(server))
            await server.start()
            place = proxy.address
        address = f"kafka://{place}/?session=6&timeout={size(8, ci=3)}"
        handled: list[tuple[str, int]] = []

        async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
            await asyncio.sleep(0.001)
            handled.append((event.order_id, event.total_cents))

        publisher = await stack.enter_async_context(micro.Service("p", registry="memory:", broker=address))
        service, subscription = await stack.enter_async_context(
            subscribed(address, shop.subscriber(order_placed=handle), group="g")
        )
        publishing = Publishing(Publishes(shop, publisher), 0.01)
        await eventually(lambda: len(handled) > 200)
        if fault == "killed":
            await server.kill()
        elif fault == "cut":
            await proxy.cut()
        else:
            await proxy.black_hole()
        await eventually(lambda: service.health.problems, "its health says nothing of the broker that is away")
        await asyncio.sleep(size(10.0, ci=1.0))
        if fault == "killed":
            await server.start()
        else:
            await proxy.restore()
        back = len(handled)
        await eventually(lambda: len(handled) >= back + 200)
        count = await all_handled(await publishing.stop(), lambda: handled)
        figures.add_all(count)
        figures.add("published again", publishing.failures)
        assert (count.lost, count.out_of_order) == (0, 0), count
        await eventually(lambda: service.health.problems, equals={})
        assert not subscription.problem
