"""Processes that write to a store and are killed, while a watch follows: what was committed and what was seen must agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import micro_rt as micro
from micro_rt.kit.ids import new_id
from micro_rt.store.store import Store
from tests.helpers.waiting import eventually
from tests.helpers.workers import Workers

__all__ = ["Counts", "Writers", "check_committed_is_seen"]


@dataclass
class Counts:
    """What was counted."""

    acknowledged: int = 0
    seen: int = 0
    kills: int = 0
    lost: int = 0
    unseen: int = 0


class Writers(Workers):
    """Processes that write.

    Args:
        factory: ``"module:name"`` of the engine's class.
        address: its only argument.
        environment: what is set for them besides.
        folder: of the files in which they write down what was acknowledged.
    """

    def __init__(self, factory: str, address: str, environment: Mapping[str, str], folder: Path) -> None:
        self.prefix = f"{new_id(12)}/"
        super().__init__("tests.faults.store_worker", (factory, address, self.prefix), environment, folder)
        self._acknowledged: list[tuple[str, int]] = []

    async def start(self) -> None:
        """Starts one more."""
        await self.begin(str(self.started + 1))

    def acknowledged(self) -> list[tuple[str, int]]:
        """Returns the key and the version of each write that was acknowledged."""
        for line in self.new_lines():
            match line.split():
                case [key, version, "put"]:
                    self._acknowledged.append((key, int(version)))
                case _:
                    pass
        return self._acknowledged


async def check_committed_is_seen(
    store: Store,
    writers: Writers,
    *,
    processes: int,
    kills: int,
    commits: int,
    disturb: Callable[[], Awaitable[None]] | None = None,
) -> Counts:
    """Watches what several processes write, some of which are killed, and compares it with what is there afterwards.

    Args:
        store: watches and reads.
        writers: that write.
        processes: how many at once.
        kills: how many of them are killed and replaced.
        commits: how many writes are to be acknowledged at least.
        disturb: is called instead of every other kill: kills the server, for one.
    """
    counts = Counts()
    seen: dict[str, micro.Change] = {}
    end = f"{writers.prefix}end"

    async def follow(watch: micro.StoreWatch) -> None:
        held: set[str] | None = None
        async for change in watch:
            if change.kind is micro.ChangeKind.RESYNC:
                held = set()
                continue
            if change.kind is micro.ChangeKind.SYNCED:
                for key in [key for key in seen if held is not None and key not in held]:
                    del seen[key]
                held = None
                continue
            if held is not None:
                held.add(change.key)
            before = seen.get(change.key)
            assert before is None or before.version <= change.version, "a watch went back"
            seen[change.key] = change
            counts.seen += 1
            if change.key == end:
                return

    async with store.watch(writers.prefix) as watch:
        following = asyncio.ensure_future(follow(watch))
        try:
            for _ in range(processes):
                await writers.start()
            for number in range(1, kills + 1):
                most = commits * number // (kills + 1)
                await eventually(lambda most=most: len(writers.acknowledged()) >= most, within=600)
                if disturb is not None and number % 2:
                    await disturb()
                else:
                    await writers.kill()
                    await writers.start()
                counts.kills += 1
            await eventually(lambda: len(writers.acknowledged()) >= commits, within=600)
            await writers.finish()
            await store.write(end, b"", timeout=60)
            async with asyncio.timeout(120):
                await following
        finally:
            following.cancel()
            writers.kill_all()
    acknowledged = writers.acknowledged()
    counts.acknowledged = len(acknowledged)
    now = {record.key: record.version async for record in store.list(writers.prefix, values=False)}
    alive = {key: change.version for key, change in seen.items() if change.kind is micro.ChangeKind.PUT}
    counts.unseen = len(now.items() ^ alive.items())
    counts.lost = sum(key not in seen or seen[key].version < version for key, version in acknowledged)
    assert now == alive
    assert not counts.lost
    return counts
