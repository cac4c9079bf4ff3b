"""What must be the same in every run: who reads which partition, and who is woken first."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.broker.base import Partition
from micro_rt.broker.groups.base import balance
from micro_rt.node import Node
from micro_rt.registry.base import Registration

ROOT = Path(__file__).parents[2]

SHARING = """
import asyncio, json, sys
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.memory.broker import MemoryBroker
from micro_rt.broker.base import TopicOptions

TOPICS = {"orders": 3, "payments": 5, "users": 4, "returns": 2, "invoices": 7}

class Reads:
    def __init__(self):
        self.events = []
        self.partitions = {}
    async def assigned(self, partitions):
        self.events.append(["assigned", [list(each) for each in partitions]])
        self.partitions.update(dict.fromkeys(partitions))
    async def revoked(self, partitions):
        self.events.append(["revoked", [list(each) for each in partitions]])
        for each in partitions:
            self.partitions.pop(each, None)
    lost = revoked

async def main(broker):
    await broker.open()
    await broker.prepare({name: TopicOptions(partitions=count) for name, count in TOPICS.items()})
    group = []
    for _ in range(3):
        reads = Reads()
        # A set, as a caller may give one: its order differs between processes.
        group.append((reads, broker.subscribe(set(TOPICS), "g", "earliest", reads)))
        # Each fetch changes something or nothing; after this many, everybody has what it is to read.
        for _ in range(6):
            for _, member in group:
                await member.fetch(1, 0.0)
    print(json.dumps([[reads.events, list(reads.partitions)] for reads, _ in group]))
    for _, member in group:
        await member.close()
    await broker.close()

asyncio.run(main(MemoryBroker() if sys.argv[1] == "memory" else LocalBroker(home=sys.argv[2])))
"""


def shared_out(kind: str, seed: str, home: Path) -> object:
    """Returns what three members of a group are told of their partitions, in a process with a hash seed of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    script = [sys.executable, "-c", SHARING, kind, str(home)]
    run = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_the_hash_seed_does_not_decide_who_reads_which_partition(kind: str, tmp_path: Path) -> None:
    runs = [shared_out(kind, seed, tmp_path / seed) for seed in ("1", "2", "3")]
    assert runs[0] == runs[1] == runs[2]
    assert "revoked" in json.dumps(runs[0]), "the partitions were shared out anew as members came"


def test_the_order_in_which_topics_are_named_does_not_decide_who_reads_which_partition() -> None:
    counts = {"orders": 3, "payments": 5, "users": 4}
    owners = {Partition("users", 0): "b"}
    one = balance(counts, {"a": ["orders", "payments", "users"], "b": ["orders", "payments", "users"]}, owners)
    two = balance(
        dict(reversed(counts.items())),
        {"a": ["users", "orders", "payments"], "b": ["payments", "users", "orders"]},
        owners,
    )
    assert one == two
    assert list(one) == list(two)


async def test_watches_are_woken_in_the_order_in_which_they_were_opened() -> None:
    registry = MemoryRegistry("memory:order")
    await registry.open()
    begun: list[int] = []
    woken: list[int] = []

    async def follow(number: int) -> None:
        watch = registry.watch("name")
        await anext(watch)
        begun.append(number)
        await anext(watch)
        woken.append(number)

    tasks = [asyncio.create_task(follow(number)) for number in range(100)]
    while len(begun) < len(tasks):
        await asyncio.sleep(0)
    for _ in range(10):  # Now each waits for a change.
        await asyncio.sleep(0)
    lease = await registry.register(Registration(Node("id", "memory:1", "memory"), ("name",)))
    await asyncio.gather(*tasks)
    assert woken == list(range(100))
    await lease.revoke()
    await registry.close()
