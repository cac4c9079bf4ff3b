"""``events``: publishing and consuming on Kafka, beside plain aiokafka, confluent-kafka and FastStream; and on ``local:``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.children import Child
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table
from tests.servers.cache import Unobtainable
from tests.servers.shared import Servers

__all__ = ["run"]

NAMES = {
    "micro": "micro-rt",
    "aiokafka": "aiokafka, the same headers",
    "bare": "aiokafka, no headers",
    "confluent": "confluent-kafka",
    "faststream": "FastStream",
}
BASE = "aiokafka"
ALLOWED = 15
"""Per cent that the typed layer may cost over plain aiokafka."""
LOCAL_TARGET = 20_000
"""Events per second through ``local:``, published in batches and consumed by one group."""
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """What one stack did in one round."""

    count: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.count / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU microseconds for each event."""
        return self.cpu / self.count * 1e6


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives the tables; those with Kafka only where one can be had."""
    yield from _local(plan)
    servers = Servers()
    try:
        kafka = servers.shared("kafka")
    except Unobtainable as reason:
        plan.progress(f"no Kafka, so nothing is measured there: {reason}")
        return
    try:
        yield from _kafka(plan, kafka.url)
    finally:
        servers.close()


def _kafka(plan: Plan, url: str) -> Iterator[Table]:
    rounds, count = plan.count(7, 3), 20_000 if plan.quick else 60_000
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        children = {name: stack.enter_context(Child("benchmarks.event_child", name, url, home=home)) for name in NAMES}
        for batch in (500, 16):
            plan.progress(f"publishing, {batch} at a time")
            publish = partial(_publish, children, url, count, batch)
            published = take_turns(list(NAMES), rounds, publish, plan.progress)
            yield _throughput(f"publishing to Kafka, {batch} at a time, awaited until accepted", published)
        plan.progress("consuming")
        topic = _topic(url)
        children["aiokafka"].ask(do="publish", topic=topic, count=count, batch=500)
        consumers = [name for name in NAMES if name != "bare"]  # which differs only in what it publishes
        consumed = take_turns(consumers, rounds, lambda name: _consume(children[name], topic, count), plan.progress)
        yield _throughput("consuming from Kafka: read, decoded, handled, committed", consumed)
        plan.progress("latency")
        timed = take_turns(consumers, rounds, lambda name: _latency(children[name], url, plan), plan.progress)
        yield _latencies("from the call that publishes to the handler, one event at a time, on Kafka", timed)


def _local(plan: Plan) -> Iterator[Table]:
    rounds, count = plan.count(5, 3), 20_000 if plan.quick else 60_000
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        one = stack.enter_context(Child("benchmarks.event_child", "local", "local:", home=home))
        other = stack.enter_context(Child("benchmarks.event_child", "local", "local:", home=home))
        plan.progress("local:")
        published: list[Sample] = []
        consumed: list[Sample] = []
        for number in range(rounds):
            plan.progress(f"round {number + 1} of {rounds}")
            topic = f"bench-{uuid.uuid4().hex}"
            answer = one.ask(do="publish", topic=topic, count=count, batch=500)
            published.append(Sample(count, answer["seconds"], answer["cpu"]))
            consumed.append(_consume(other, topic, count))
        latency = one.ask(do="latency", topic=f"bench-{uuid.uuid4().hex}", count=100 if plan.quick else 300)[
            "latencies"
        ]
    rows = [
        [name, f"{Rounds({'': samples}).median('', _rate):,.0f}", f"{Rounds({'': samples}).median('', _cpu):,.1f}"]
        for name, samples in (("published, 500 at a time", published), ("consumed by one group", consumed))
    ]
    worst = min(median(sample.rate for sample in samples) for samples in (published, consumed))
    yield Table(
        "local: between two processes",
        ["", "events/s", "µs CPU"],
        rows,
        [
            f"From the call that publishes to the handler: p50 {_at(latency, 0.5):.1f} ms, p99 {_at(latency, 0.99):.1f} ms.",
            f"Target: {LOCAL_TARGET:,} events a second each way. {'It holds' if worst >= LOCAL_TARGET else 'MISSED'}.",
        ],
    )


def _publish(children: Mapping[str, Child], url: str, count: int, batch: int, name: str) -> Sample:
    answer = children[name].ask(do="publish", topic=_topic(url), count=count, batch=batch)
    return Sample(count, answer["seconds"], answer["cpu"])


def _consume(child: Child, topic: str, count: int) -> Sample:
    answer = child.ask(do="consume", topic=topic, count=count)
    return Sample(count, answer["seconds"], answer["cpu"])


def _latency(child: Child, url: str, plan: Plan) -> list[float]:
    latencies: list[float] = child.ask(do="latency", topic=_topic(url), count=100 if plan.quick else 300)["latencies"]
    return latencies


def _throughput(title: str, rounds: Rounds[Sample]) -> Table:
    rows: list[list[str]] = []
    for name in rounds.results:
        row = [NAMES[name], f"{rounds.median(name, _rate):,.0f}"]
        row.append("1" if name == BASE else rounds.ratio(name, BASE, _rate).text())
        row.append(f"{rounds.median(name, _cpu):,.1f}")
        row.append("1" if name == BASE else rounds.ratio(name, BASE, _cpu).text())
        rows.append(row)
    cost = (rounds.ratio("micro", BASE, _cpu).middle - 1) * 100
    held = "it holds" if cost <= ALLOWED else "MISSED"
    ahead = rounds.ratio("micro", "faststream", _rate).middle
    return Table(
        title,
        ["", "events/s", f"x {NAMES[BASE]}", "µs CPU", "x"],
        rows,
        [
            f"Target: at most {ALLOWED} % more CPU than plain aiokafka. It is {cost:+.0f} %: {held}.",
            f"Target: ahead of FastStream. {ahead:.2f} times its rate: {'it holds' if ahead > 1 else 'MISSED'}.",
        ],
    )


def _latencies(title: str, rounds: Rounds[list[float]]) -> Table:
    rows = [
        [
            NAMES[name],
            rounds.spread(name, lambda latencies: _at(latencies, 0.5)).text(1),
            rounds.spread(name, lambda latencies: _at(latencies, 0.99)).text(1),
        ]
        for name in rounds.results
    ]
    return Table(title, ["", "p50 ms", "p99 ms"], rows)


def _at(latencies: Sequence[float], share: float) -> float:
    """Returns milliseconds that a share of the latencies stays within."""
    return sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sample.microseconds


def _topic(url: str) -> str:
    """Makes a topic that is nobody else's."""
    return asyncio.run(_make_topic(url))


async def _make_topic(url: str) -> str:
    from micro_rt.backends.kafka.broker import KafkaBroker
    from micro_rt.broker.base import TopicOptions

    topic = f"bench-{uuid.uuid4().hex}"
    broker = KafkaBroker(url)
    await broker.open()
    try:
        await broker.prepare({topic: TopicOptions(partitions=PARTITIONS)})
    finally:
        await broker.close()
    return topic
