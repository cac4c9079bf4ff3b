"""What the processes do that ``test_local_broker_faults`` kills: publish numbers, or handle them as a member of a group.

Each writes down what it did, one line each, in a file of its own that outlives it: a publisher what was accepted, a member what
it handled, before it commits that.
"""

import asyncio
import contextlib
import itertools
import sys
from pathlib import Path

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.errors import Aborted, Unavailable
from tests.helpers.shop import Ignores

TOPICS = {"numbers": TopicOptions(partitions=6)}


async def publish(broker: LocalBroker, name: str, path: Path, stop: asyncio.Event) -> None:
    with path.open("a", buffering=1) as accepted:
        for first in itertools.count(step=20):
            numbers = range(first, first + 20)
            messages = [
                OutgoingRecord("numbers", b"%s-%d" % (name.encode(), each), b"%d" % (each % 10)) for each in numbers
            ]
            results = await broker.publish(messages)
            lines = [
                message.value.decode()
                for message, result in zip(messages, results, strict=True)
                if isinstance(result, Position)
            ]
            for result in results:
                assert isinstance(result, Position | Unavailable), result
            accepted.write("".join(f"{line}\n" for line in lines))
            if stop.is_set():
                return


async def handle(broker: LocalBroker, path: Path, stop: asyncio.Event) -> None:
    subscription = broker.subscribe(["numbers"], "group", "earliest", Ignores())
    with path.open("a") as handled:
        while not stop.is_set():
            found = await subscription.fetch(50, 0.2)
            for records in found.values():
                handled.write(
                    "".join(f"{record.partition} {record.offset} {record.value.decode()}\n" for record in records)
                )
            handled.flush()
            with contextlib.suppress(Aborted, Unavailable):
                await subscription.commit({each: records[-1].offset + 1 for each, records in found.items()})
    await subscription.close()


async def main(what: str, name: str, home: str, path: str) -> None:
    broker = LocalBroker("local:?session=1", home=home)
    await broker.open()
    await broker.prepare(TOPICS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, stop.set)
    print("ready", flush=True)
    if what == "publish":
        await publish(broker, name, Path(path), stop)
    else:
        await handle(broker, Path(path), stop)
    loop.remove_reader(sys.stdin)
    await broker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
