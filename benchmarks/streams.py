"""``streams``: messages of server streams, and ping-pong on bidirectional ones, against the peers."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.calls import NAMES, measure, pairs, tabulate
from benchmarks.children import loop_name
from benchmarks.measure import Plan
from benchmarks.table import Table

__all__ = ["run"]

SUBJECTS = (
    ("server streaming, 500 messages each, one stream at a time", "repeat", 1, "message"),
    ("bidirectional ping-pong, one stream", "ping_pong", 1, "exchange"),
    ("bidirectional ping-pong, 16 streams", "ping_pong", 16, "exchange"),
)


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for each kind of stream."""
    with pairs() as running:
        for title, kind, concurrency, unit in SUBJECTS:
            plan.progress(f"{title}: {', '.join(NAMES.values())}")
            rounds = measure(running, kind, concurrency, plan, plan.count(5, 2), plan.seconds(1.0, 0.4))
            yield tabulate(f"{title}, all on {loop_name()}", unit, rounds, latency=False)
