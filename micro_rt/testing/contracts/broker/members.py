"""What the contract suite of brokers reads with: listeners that remember, members that read on their own, other processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from micro_rt.broker.base import NO_TYPES, Broker, Partition, Record, Start, Subscription
from micro_rt.errors import Aborted
from micro_rt.testing.contracts.registry import OtherProcess
from micro_rt.testing.contracts.suite import eventually

__all__ = ["OtherMember", "Reader", "Recorder"]


class Recorder:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.partitions: set[Partition] = set()
        self.history: list[tuple[str, frozenset[Partition]]] = []
        self.on_assigned: Callable[[Collection[Partition]], None] | None = None
        self._busy = False

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Adds partitions."""
        await self._told("assigned", partitions)
        assert self.partitions.isdisjoint(partitions), "assigned twice"
        self.partitions.update(partitions)
        if self.on_assigned is not None:
            self.on_assigned(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Takes partitions away."""
        await self._told("revoked", partitions)
        assert self.partitions.issuperset(partitions), "revoked what was not assigned"
        self.partitions.difference_update(partitions)

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Takes partitions away."""
        await self._told("lost", partitions)
        assert self.partitions.issuperset(partitions), "lost what was not assigned"
        self.partitions.difference_update(partitions)

    async def _told(self, what: str, partitions: Collection[Partition]) -> None:
        assert not self._busy, "two calls of a listener at once"
        self._busy = True
        await asyncio.sleep(0)
        self._busy = False
        if partitions:  # To be told of none says nothing.
            self.history.append((what, frozenset(partitions)))


class Reader(Recorder):
    """A member that reads in a task of its own until it is stopped.

    Args:
        broker: where to read.
        topics: what to read.
        group: whose member it is.
        start: where a new group begins.
        commit: whether to commit after each fetch, and before a partition goes.
        limit: records of one fetch.
        board: who reads which partition, of all readers that have the same one: no two may at once.
        settle: seconds that stopping may take.
        types: the types that it announces, by topic.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Collection[str],
        group: str,
        start: Start,
        commit: bool,
        limit: int,
        board: dict[Partition, Reader] | None,
        settle: float,
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> None:
        super().__init__()
        self.records: list[Record] = []
        self.commit_on_revoke = commit
        self._commit = commit
        self._limit = limit
        self._board = board
        self._settle = settle
        self._done: dict[Partition, int] = {}
        self._going = True
        self._subscription: Subscription = broker.subscribe(topics, group, start, self, types=types)
        self._task = asyncio.ensure_future(self._run())

    async def until(self, count: int, within: float | None = None) -> None:
        """Waits until as many records have been read."""
        within = self._settle if within is None else within
        await eventually(lambda: len(self.records) >= count or self._task.done(), f"not {count} records", within=within)
        if len(self.records) < count:
            await self._task  # It failed.

    def announced(self, topic: str, type: str) -> bool:
        """Returns whether a member of the group has announced a type, as far as this one knows."""
        return self._subscription.announced(topic, type)

    async def stop(self) -> None:
        """Leaves the group; raises what went wrong."""
        self._going = False
        async with asyncio.timeout(self._settle):
            await self._task

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Adds partitions."""
        if self._board is not None:
            for partition in partitions:
                assert self._board.get(partition, self) is self, "read by two at once"
                self._board[partition] = self
        await super().assigned(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Commits what has been read of partitions, and takes them away."""
        if self.commit_on_revoke:
            await self._subscription.commit({each: self._done[each] for each in partitions if each in self._done})
        await self._gone(partitions)
        await super().revoked(partitions)

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Takes partitions away."""
        await self._gone(partitions)
        await super().lost(partitions)

    def expect_no_repetition(self) -> None:
        """Raises AssertionError if a record was read twice."""
        repeated = {each: times for each, times in Counter(record[:3] for record in self.records).items() if times > 1}
        assert not repeated, f"read more than once: {repeated}"

    def expect_order(self) -> None:
        """Raises AssertionError if a partition was not read in its order."""
        offsets: dict[tuple[str, int], list[int]] = {}
        for record in self.records:
            offsets.setdefault(record[:2], []).append(record.offset)
        for partition, found in offsets.items():
            assert all(one < then for one, then in pairwise(found)), f"{partition} was read in this order: {found}"

    async def _run(self) -> None:
        try:
            while self._going:
                found = await self._subscription.fetch(self._limit, 0.1)
                for partition, records in found.items():
                    self.records += records
                    self._done[partition] = records[-1].offset + 1
                if self._commit and found:
                    with contextlib.suppress(Aborted):  # They are another's by now, who reads them again.
                        await self._subscription.commit(
                            {each: self._done[each] for each in found if each in self._done}
                        )
        finally:
            await self._subscription.close()

    async def _gone(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._done.pop(partition, None)
            if self._board is not None and self._board.get(partition) is self:
                del self._board[partition]


class OtherMember:
    """A member of a group, or a publisher, in another process that can be stopped and killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._heard: list[dict[str, Any]] = []
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def start(cls, how: OtherProcess, topic: str, group: str) -> OtherMember:
        """Starts the process."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SCRIPT, how.factory, how.address, topic, group),
            env={**os.environ, **how.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def read_and_commit(self, count: int, within: float) -> set[tuple[int, int]]:
        """Has it read and commit at least as many records, and returns the partition and offset of each of those."""
        await self._tell({"read": count})
        (answer,) = await self._wait("committed", within)
        return {(partition, offset) for partition, offset in answer}

    async def hold(self, within: float) -> None:
        """Has it fetch no more until the next command."""
        await self._tell({"hold": True})
        await self._wait("holding", within)

    async def commit_zero(self, within: float) -> str:
        """Has it commit that it has done nothing; returns the name of the error, or nothing."""
        await self._tell({"commit": 0})
        (answer,) = await self._wait("error", within)
        return str(answer)

    async def lost(self, within: float) -> None:
        """Waits until it was told that its partitions are lost."""
        await self._wait("lost", within)

    async def publish_until_killed(self, count: int, within: float) -> set[int]:
        """Has it publish numbers without end; kills it when as many are accepted, and returns all that are."""
        await self._tell({"publish": True})
        await self._wait("accepted", within, count)
        await self.kill()
        return {message["accepted"] for message in self._heard if "accepted" in message}

    def pause(self) -> None:
        """Stops it with SIGSTOP; skips the test on a system without that signal."""
        if not hasattr(signal, "SIGSTOP"):
            pytest.skip("this system cannot stop a process and let it go on later")
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Has it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kills it with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def _wait(self, name: str, within: float, count: int = 1) -> Sequence[Any]:
        def found() -> list[Any]:
            return [message[name] for message in self._heard if name in message]

        await eventually(
            lambda: len(found()) >= count or self._listening.done(), f"it did not say {name!r}", within=within
        )
        assert len(found()) >= count, "the other process ended"
        return found()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"\n"):
                self._heard.append(json.loads(line))


_SCRIPT = """
import asyncio, importlib, json, sys

from micro_rt.broker.base import OutgoingRecord, Partition, Position
from micro_rt.errors import Error

def say(**message):
    print(json.dumps(message), flush=True)

class Listener:
    def __init__(self):
        self.partitions = set()
        self.has_lost = False

    async def assigned(self, partitions):
        self.partitions.update(partitions)
        say(assigned=sorted(partitions))

    async def revoked(self, partitions):
        self.partitions.difference_update(partitions)
        say(revoked=sorted(partitions))

    async def lost(self, partitions):
        self.partitions.difference_update(partitions)
        self.has_lost = True
        say(lost=sorted(partitions))

async def read(subscription, count):
    done, positions = [], {}
    while len(done) < count:
        for partition, records in (await subscription.fetch(10, 1.0)).items():
            done += [(record.partition, record.offset) for record in records]
            positions[partition] = records[-1].offset + 1
    await subscription.commit(positions)
    say(committed=done)
    return positions

async def publish(broker, topic):
    number = 0
    while True:
        numbers = range(number, number + 5)
        results = await broker.publish([OutgoingRecord(topic, b"%d" % each, b"%d" % (each % 3)) for each in numbers])
        for each, result in zip(numbers, results):
            assert isinstance(result, Position), result
            say(accepted=each)
        number += 5

async def commit(subscription, positions):
    try:
        await subscription.commit(dict.fromkeys(positions, 0))
    except Error as error:
        say(error=type(error).__name__)
    else:
        say(error="")

async def main(factory, address, topic, group):
    module, _, attribute = factory.partition(":")
    broker = getattr(importlib.import_module(module), attribute)(address)
    await broker.open()
    listener = Listener()
    subscription = broker.subscribe([topic], group, "earliest", listener)
    commands = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def listen():
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            commands.put_nowait(json.loads(line))

    listening = asyncio.ensure_future(listen())
    positions = {}
    reading = False
    while True:
        if not reading:
            command = await commands.get()
        elif commands.empty():
            subscription.pause(positions)
            await subscription.fetch(10, 0.1)
            continue
        else:
            command = commands.get_nowait()
        if "read" in command:
            reading = True
            positions = await read(subscription, command["read"])
        elif "hold" in command:
            reading = False
            say(holding=True)
        elif "commit" in command:
            reading = True
            # Where it was told of its loss already, it may have got some of them back since.
            await commit(subscription, positions.keys() - (listener.partitions if listener.has_lost else set()))
        elif "publish" in command:
            await publish(broker, topic)

asyncio.run(main(*sys.argv[1:]))
"""
