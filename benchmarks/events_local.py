"""Events on the broker ``local:``: one process publishes in batches while another, the only member of a group, consumes.

    python -m benchmarks.events_local [--count N] [--batch N] [--size BYTES] [--single N]

Then one publishes single events, some a second, and the other says how long each was on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from typing import Any

from micro_rt.broker.base import Message, Partition, Position, Subscription, TopicOptions
from micro_rt.broker.local import LocalBroker

HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"0a1b2c3d-0000-4000-8000-000000000000"),
    ("ce_source", b"/orders"),
    ("ce_type", b"orders.v1.OrderPlaced"),
    ("content-type", b"application/protobuf"),
)
"""What a CloudEvent has."""


class Listener:
    """Has nothing to do."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        pass

    async def revoked(self, partitions: Collection[Partition]) -> None:
        pass

    async def lost(self, partitions: Collection[Partition]) -> None:
        pass


async def publish(broker: LocalBroker, count: int, batch: int, size: int) -> None:
    """Publishes events in batches, and says how long it took."""
    value = b"x" * size
    start, cpu = time.monotonic(), time.process_time()
    for first in range(0, count, batch):
        messages = [
            Message("orders", value, b"order-%d" % (number % 5000), HEADERS)
            for number in range(first, min(first + batch, count))
        ]
        for result in await broker.publish(messages):
            assert isinstance(result, Position), result
    report(seconds=time.monotonic() - start, cpu=time.process_time() - cpu)


async def publish_single(broker: LocalBroker, count: int, rate: float) -> None:
    """Publishes events one by one, so many a second."""
    start = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        (result,) = await broker.publish([Message("orders", b"%.9f" % time.time(), b"%d" % number, HEADERS)])
        assert isinstance(result, Position), result
    report(seconds=time.monotonic() - start)


async def consume(broker: LocalBroker, count: int, batch: int) -> None:
    """Consumes events, committing after each fetch, and says how long it took since the first one."""
    subscription = broker.subscribe(["orders"], "bench", "earliest", Listener())
    seen = await fetch(subscription, batch)
    start, cpu = time.monotonic(), time.process_time()
    while seen < count:
        seen += await fetch(subscription, batch)
    report(seconds=time.monotonic() - start, cpu=time.process_time() - cpu)
    await subscription.close()


async def time_single(broker: LocalBroker, count: int) -> None:
    """Consumes events, and says how long they were on their way."""
    subscription = broker.subscribe(["orders"], "bench", "earliest", Listener())
    delays: list[float] = []
    while len(delays) < count:
        for records in (await subscription.fetch(100, 1.0)).values():
            now = time.time()
            delays += [now - float(record.value) for record in records if len(record.value) < 30]
    delays.sort()
    report(p50=delays[len(delays) // 2] * 1e3, p99=delays[len(delays) * 99 // 100] * 1e3)
    await subscription.close()


async def fetch(subscription: Subscription, batch: int) -> int:
    """Fetches once and commits; returns how many records there were."""
    found = await subscription.fetch(batch, 1.0)
    if found:
        await subscription.commit({partition: records[-1].offset + 1 for partition, records in found.items()})
    return sum(map(len, found.values()))


def report(**figures: float) -> None:
    """Says figures to the parent."""
    print(json.dumps(figures), flush=True)


async def child(what: str, count: int, batch: int, size: int) -> None:
    """Does one of these."""
    broker = LocalBroker("local:")
    await broker.open()
    await broker.prepare({"orders": TopicOptions(partitions=8)})
    if what == "publish":
        await publish(broker, count, batch, size)
    elif what == "consume":
        await consume(broker, count, batch)
    elif what == "publish-single":
        await publish_single(broker, count, 200.0)
    else:
        await time_single(broker, count)
    await broker.close()


def start(what: str, count: int, options: argparse.Namespace, home: str) -> subprocess.Popen[bytes]:
    """Starts a child."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.events_local", "--child", what, "--count", str(count)),
            *("--batch", str(options.batch), "--size", str(options.size)),
        ],
        env={**os.environ, "MICRO_HOME": home},
        stdout=subprocess.PIPE,
    )


def both(publisher: str, consumer: str, count: int, options: argparse.Namespace, home: str) -> list[dict[str, Any]]:
    """Runs two children at once; returns what they reported."""
    children = [start(consumer, count, options, home), start(publisher, count, options, home)]
    outputs = [each.communicate()[0] for each in children]
    assert not any(each.returncode for each in children)
    return [json.loads(output) for output in outputs]


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--single", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", default="")
    options = parser.parse_args()
    if options.child:
        asyncio.run(child(options.child, options.count, options.batch, options.size))
        return
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as home:
            consumed, published = both("publish", "consume", options.count, options, home)
            print(
                f"published {options.count / published['seconds']:,.0f}/s ({options.count / published['cpu']:,.0f} per CPU s), "
                f"consumed {options.count / consumed['seconds']:,.0f}/s ({options.count / consumed['cpu']:,.0f} per CPU s), "
                f"batches of {options.batch}, {options.size} bytes and {len(HEADERS)} headers"
            )
            delays, _published = both("publish-single", "time-single", options.single, options, home)
            print(f"one by one, 200/s: {delays['p50']:.1f} ms until it is read, 99 %: {delays['p99']:.1f} ms")


if __name__ == "__main__":
    main()
