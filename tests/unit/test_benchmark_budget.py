"""The budget of a call replays a conversation for each side, and tells what each part costs."""

from __future__ import annotations

import pytest

from benchmarks import budget
from benchmarks.measure import Plan


def test_each_part_of_a_call_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "TURNS", 5)
    (table,) = budget.run(Plan(quick=True, rounds=1))
    rows = {row[0].strip(): row for row in table.rows}
    for side, parts in budget.PARTS.items():
        assert int(rows[f"the {side}"][1].replace(",", "")) > 0
        assert all(part in rows for part in parts)
    assert set(budget.COMING) <= set(rows)
