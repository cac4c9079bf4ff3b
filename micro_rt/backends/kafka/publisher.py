"""Publishing to Kafka: a lane for each partition, at most one batch of each under way, an idempotent producer beneath.

The rules that it keeps, and why:

- aiokafka could batch by itself, but could then neither withdraw what it has not sent nor go on after a batch that the
  broker refused: the sequence numbers of an idempotent producer have a gap from then on. So what waits is kept here,
  and a producer that had a batch refused is replaced. Its other batches may still be under way, and it ends when they
  have.
- One batch of a partition is under way at a time. So records of one key stay in order, also when a batch is sent again.
- A batch is sent as soon as the one before it is answered (and after ``linger=``, if that is given): a busy partition
  fills its batches by itself, and an idle one does not wait.
- A record with a key goes to the partition that Kafka's default partitioner chooses. Records without a key stay with
  one partition until it has ``STICK`` bytes, so that batches fill.
- Bytes that wait are bounded by ``buffer=``. Beyond that, callers wait in the order in which they came. A record that
  is larger than the buffer is admitted when nothing else is under way.
- A publish gives up when a lane that it waits for had no answer for ``timeout=``, and a call that waits for the buffer when
  the whole cluster had none. A slow record alone is no reason: as long as answers arrive, waiting helps.
- What was not sent is withdrawn, and certainly is not there (``may_have_run`` False). What was sent may be there.
- A caller that is cancelled withdraws its records in the same way. Others in the same lane are not affected.
- Each record of a call has an outcome of its own. The first outcome stands.
- Whether a topic exists, and how many partitions it has, is asked again every ``TOPIC_AGE`` seconds, also during a long
  call, so that a topic that grows is used as it grows. While the cluster does not answer, what was known stands.
- A topic that is not found is asked for again for a moment, once: brokers learn of a new topic after it was made, and of all
  topics after they have started.
- While nothing is accepted of a topic, it is looked whether it is still there: the partitions of one that was removed never answer.
- What the broker answers each time is the reason of the error, where it answers.
- One timer watches all calls: a publish takes less time than setting a timer does.
- ``close`` lets open calls finish, for at most ``timeout=``, and then ends those that still wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from micro_rt.backends.kafka.client import STOP, Cluster
from micro_rt.backends.kafka.lane import Call, Entry, Lane
from micro_rt.backends.kafka.producer import Producer
from micro_rt.broker.base import OutgoingRecord, Position, partition_of
from micro_rt.broker.embedded import problem_of, size_of
from micro_rt.errors import Error, FailedPrecondition, NotFound, Unavailable
from micro_rt.kit.chance import below
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import TaskSet, wait_for_event

__all__ = ["Publisher"]

STICK = 16 << 10
"""Bytes of messages without a key that go to one partition before it is another's turn, so that batches get full."""
AROUND = 128
"""Bytes that are counted for the framing of a message."""
SWEEPS = 20
"""How many times during ``timeout=`` the calls are checked for whether it has passed."""
KEYS = 10_000
"""Keys of a topic whose partitions are cached: computing one takes as long as everything else that finds the lane."""
KEY_BYTES = 64
"""The longest key that is cached, in bytes."""
LOOK_AFTER = 2.0
"""Seconds without an answer after which the publisher checks whether the topic still exists."""
TOPIC_AGE = 30.0
"""Seconds after which the publisher asks again whether a topic exists."""


class Publisher:
    """Publishes to a cluster.

    Args:
        cluster: open.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.problem = ""
        """What keeps messages from being accepted, as far as is known; empty if nothing does."""
        self._cluster = cluster
        self._address = cluster.address
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._topics: dict[str, _Topic] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._missing: set[str] = set()
        """Topics that did not exist when they were asked for last."""
        self._producer: Producer | None = None
        self._connecting = asyncio.Lock()
        self._retired = TaskSet[None]()
        self._bytes = 0
        self._room: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._progress = 0.0
        self._waiting: OrderedSet[Call] = OrderedSet()
        self._sweeping: asyncio.TimerHandle | None = None
        self._looks = TaskSet[None]()
        self._looking: set[str] = set()
        """Topics that are being looked for."""
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closed = False
        self._ended = False

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and waits until they are durably accepted; see ``Broker.publish``."""
        if self._closed:
            raise FailedPrecondition(f"the broker Kafka at {self._address.place} is not open", may_have_run=False)
        call = Call(len(records))
        loop = asyncio.get_running_loop()
        began = now = loop.time()
        self._calls += 1
        self._quiet.clear()
        try:
            for index, record in enumerate(records):
                size = size_of(record)
                topic = self._topics.get(record.topic)
                if topic is None or now >= topic.known_until or size > self._address.max_message:
                    known = problem_of(record, self._address.max_message) or await self._ask(record.topic)
                    now = loop.time()
                    if isinstance(known, Error):
                        call.finish(index, known)
                        continue
                    topic = known
                entry = Entry(call, index, record, size + AROUND)
                if self._room or not self._fits(entry.size):
                    error = await self._wait_for_room(entry.size)
                    now = loop.time()
                    if error is not None:
                        call.finish(index, error)
                        continue
                    topic = self._topics.get(record.topic, topic)  # It may have more partitions now.
                else:
                    self._bytes += entry.size
                self._line_up(entry, topic)
            await self._wait(call, max(began, self._progress))
        except BaseException:
            for lane in call.lanes:
                lane.withdraw(call, None)
            raise
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()
        return cast("list[Position | Error]", call.results)

    async def close(self) -> None:
        """Finishes what is being published, for as long as ``timeout=`` says, and disconnects; cancelled, it waits for nothing."""
        self._closed = True
        try:
            await wait_for_event(self._quiet, self._address.timeout)
        finally:
            self._ended = True
            if self._sweeping is not None:
                self._sweeping.cancel()
            for look in self._looks:
                look.cancel()
            await self._looks.wait()
            for _, admitted in self._room:
                admitted.cancel()
            for lane in self._lanes.values():
                lane.give_up()
            producer, self._producer = self._producer, None
            try:
                if running := [lane.task for lane in self._lanes.values() if lane.task is not None]:
                    await asyncio.wait(running)
            finally:
                try:
                    if producer is not None:
                        await producer.stop()
                finally:
                    self._retired.cancel()
            await self._retired.wait(STOP)

    # What lanes ask for: a LaneHost

    async def producer(self) -> Producer:
        """Returns a producer that can be used; raises what aiokafka raises."""
        current = self._producer
        if current is not None and not current.refused:
            return current
        async with self._connecting:
            current = self._producer
            if current is not None and not current.refused:
                return current
            self._producer = None
            if current is not None:
                # It may still be sending batches of other partitions, and stops after them.
                self._retired.start(current.retire(self._address.timeout))
            made = Producer(self._cluster)
            await made.start()
            self._producer = made
            return made

    def leave(self, size: int) -> None:
        """Frees the bytes of messages that are accepted, refused or withdrawn."""
        self._bytes -= size
        if self._room:
            self._admit()

    def answered(self) -> None:
        """Takes note that the cluster has accepted or refused something."""
        self._progress = asyncio.get_running_loop().time()

    # Where a message goes

    def _line_up(self, entry: Entry, topic: _Topic) -> None:
        """Puts a message into its lane; its bytes are counted already."""
        record = entry.record
        if self._ended:
            self.leave(entry.size)
            reason = f"Kafka at {self._address.place} was closed before it was sent"
            entry.call.finish(entry.index, Unavailable(reason, may_have_run=False))
            return
        key = (record.topic, topic.partition(record.key, entry.size))
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self, self._address, *key)
        lane.add(entry)

    async def _ask(self, name: str) -> _Topic | Error:
        """Returns what the cluster says of a topic, or why it cannot be published to."""
        async with self._asking.setdefault(name, asyncio.Lock()):
            topic = self._topics.get(name)
            if topic is not None and asyncio.get_running_loop().time() < topic.known_until:
                return topic
            missing = name in self._missing
            ask = self._cluster.partitions if missing else self._cluster.partitions_of_new
            try:
                count = (await ask((name,)))[name]
            except Unavailable as error:
                # The topic existed. If the cluster does not answer now, its lanes find out.
                return error if topic is None else topic
            if isinstance(count, Error):
                self._topics.pop(name, None)
                self._missing.add(name)
                return count
            self._missing.discard(name)
            if topic is None or topic.partitions != count:
                topic = self._topics[name] = _Topic(count)
            topic.known_until = asyncio.get_running_loop().time() + TOPIC_AGE
            return topic

    # Back pressure, and waiting

    def _fits(self, size: int) -> bool:
        return self._bytes + size <= self._address.buffer or not self._bytes

    def _admit(self) -> None:
        while self._room and not self._ended and self._fits(self._room[0][0]):
            size, admitted = self._room.popleft()
            self._bytes += size
            admitted.set_result(None)

    async def _wait_for_room(self, size: int) -> Error | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        admitted: asyncio.Future[None] = loop.create_future()
        self._room.append((size, admitted))
        try:
            while not admitted.done():
                left = max(began, self._progress) + self._address.timeout - loop.time()
                if left <= 0:
                    break
                await asyncio.wait((admitted,), timeout=left)
        except BaseException:
            self._no_room(size, admitted)
            raise
        if admitted.done() and not admitted.cancelled():
            return None
        self._no_room(size, admitted)
        return Unavailable(
            f"Kafka at {self._address.place} accepts nothing, and {self._bytes} bytes wait already (buffer=)"
            + (f": {self.problem}" if self.problem else ""),
            may_have_run=False,
        )

    def _no_room(self, size: int, admitted: asyncio.Future[None]) -> None:
        if (size, admitted) in self._room:
            self._room.remove((size, admitted))
        else:
            self._bytes -= size
        self._admit()

    async def _wait(self, call: Call, began: float) -> None:
        """Waits until a call is done."""
        if not call.missing:
            return
        call.began = began
        self._waiting.add(call)
        if self._sweeping is None:
            self._sweep_later()
        try:
            await call.done
        finally:
            self._waiting.discard(call)

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(
            min(self._address.timeout / SWEEPS, LOOK_AFTER / 2), self._sweep
        )

    def _sweep(self) -> None:
        """Ends calls that make no progress. All calls share one timer, because setting one takes longer than a publish."""
        self._sweeping = None
        if not self._waiting:
            return
        self._sweep_later()
        timeout = self._address.timeout
        now = asyncio.get_running_loop().time()
        long_ago = now - timeout
        silent = f"Kafka at {self._address.place} did not answer in {timeout:g} s"
        for call in list(self._waiting):
            for lane in call.lanes:
                since = max(call.began, lane.progress)
                if since > now - LOOK_AFTER:
                    continue
                if answer := lane.answer:
                    self.problem = f"Kafka at {self._address.place} accepts nothing for {lane.topic}: {answer}"
                if since <= long_ago:
                    reason = f"{silent}: {self.problem}" if self.problem and self.problem != silent else silent
                    if answer:
                        reason = f"Kafka at {self._address.place} did not accept it in {timeout:g} s: {answer}"
                    if lane.withdraw(call, reason):
                        self.problem = self.problem or silent
                elif lane.busy and lane.topic not in self._looking:
                    self._looking.add(lane.topic)
                    self._looks.start(self._look(lane.topic))

    async def _look(self, name: str) -> None:
        """Checks whether a topic whose messages are not accepted still exists; if not, fails its messages at once."""
        try:
            found = (await self._cluster.partitions_of_new((name,)))[name]
            if isinstance(found, NotFound):
                self._topics.pop(name, None)
                await self._abandon(name, 0, found)
            elif isinstance(found, int):
                topic = self._topics.get(name)
                if topic is not None and topic.partitions != found:
                    self._topics[name] = _Topic(found)
                reason = f"topic {name} was made again, and has {found} partitions now: publish again"
                await self._abandon(name, found, NotFound(reason, may_have_run=False))
        except Error:  # The cluster does not answer; the calls wait for that.
            pass
        finally:
            self._looking.discard(name)

    async def _abandon(self, topic: str, first: int, error: Error) -> None:
        """Ends the messages of the partitions of a topic from a number on, which do not exist any more."""
        for (name, number), lane in list(self._lanes.items()):
            if name == topic and number >= first and lane.busy:
                await lane.abandon(error)


class _Topic:
    """A topic that exists, and its number of partitions."""

    __slots__ = ("_next", "_of_keys", "_stuck", "known_until", "partitions")

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.known_until = 0.0
        self._of_keys: dict[bytes, int] = {}
        self._next = below(1 << 16)
        self._stuck = 0

    def partition(self, key: bytes | None, size: int) -> int:
        """Returns where a message goes."""
        if key is not None:
            partition = self._of_keys.get(key)
            if partition is None:
                partition = partition_of(key, self.partitions)
                if len(key) <= KEY_BYTES:
                    if len(self._of_keys) >= KEYS:
                        self._of_keys.clear()
                    self._of_keys[key] = partition
            return partition
        if self._stuck >= STICK:
            self._stuck = 0
            self._next += 1
        self._stuck += size
        return self._next % self.partitions
