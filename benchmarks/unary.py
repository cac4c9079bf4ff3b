"""``unary``: small unary calls between two processes, against the peers."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.calls import NAMES, Sample, measure, pairs, tabulate
from benchmarks.children import loop_name
from benchmarks.measure import Plan, Rounds
from benchmarks.table import Table

__all__ = ["CONCURRENCIES", "run", "whole_call"]

CONCURRENCIES = (1, 16, 128)


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for each number of calls at a time."""
    with pairs() as running:
        for concurrency in CONCURRENCIES:
            plan.progress(f"unary, {concurrency} at a time: {', '.join(NAMES.values())}")
            rounds = measure(running, "echo", concurrency, plan, plan.count(5, 2), plan.seconds(1.5, 0.4))
            calls = "one call at a time" if concurrency == 1 else f"{concurrency} calls at a time"
            yield tabulate(f"unary, 24 bytes, {calls}, all on {loop_name()}", "call", rounds, latency=True)


def whole_call(plan: Plan, concurrency: int) -> Rounds[Sample]:
    """Measures briefly what a whole call of micro-rt costs, for what is told as a part of it."""
    with pairs(("micro",)) as running:
        return measure(running, "echo", concurrency, plan, plan.count(3, 2), plan.seconds(1.0, 0.5))
