"""The engine's benchmark makes each kind of call on each stack, beside grpc-go."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import engine
from benchmarks.measure import Plan
from tests.helpers.missing import missing
from tests.servers.cache import Unobtainable
from tests.servers.obtain import go_binary


def test_every_stack_makes_each_kind_of_call_with_grpc_go(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        go_binary(Path(engine.__file__).parent / "go_grpc")
    except Unobtainable as reason:
        missing(reason)
    jobs = [
        engine.Job("unary", "echo", 2),
        engine.Job("traced", "echo", 2, vary=True),
        engine.Job("large", "large", 2),
        engine.Job("streaming", "repeat", 1),
        engine.Job("ping-pong", "ping_pong", 2),
    ]
    monkeypatch.setattr(engine, "JOBS", jobs)
    servers, clients = engine.run(Plan(quick=True, rounds=1))
    for table in (servers, clients):
        rates = [int(row[1].replace(",", "")) for row in table.rows if row[0].startswith("  ")]
        assert len(rates) == len(jobs) * len(engine.NAMES)
        assert all(rate > 0 for rate in rates)
