"""The benchmark of connections attacks, opens and waits, and says what that cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import connections
from benchmarks.measure import Plan

MIB = 60
"""The most that an attack may cost."""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells how much memory a process had")
def test_each_attack_is_made_and_what_it_costs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "NAMES", {"micro": "micro-rt"})
    hostile, idle, waiting = connections.run(Plan(quick=True, rounds=1))
    attacks = [row for row in hostile.rows if row[0].startswith("  ")]
    assert len(attacks) == len(connections.ATTACKS)
    for row in attacks:
        assert row[2] == "0", f"good calls failed: {row}"
        assert float(row[3].split()[0]) <= MIB, f"an attack takes too much memory: {row}"
    assert len(idle.rows) == len(waiting.rows) == 1
    assert float(idle.rows[0][1].split()[0]) > 0
