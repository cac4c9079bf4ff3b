"""The bounds of the retry budget hold at every moment, whatever happens."""

from __future__ import annotations

import random

import pytest

from micro_rt.client.retry import RetryBudget


@pytest.mark.parametrize("good", [0.0, 0.02, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_retries_never_exceed_what_the_documentation_says(good: float, seed: int) -> None:
    rng = random.Random(f"{seed} {good}")
    budget = RetryBudget()
    earned = spent = 0
    lowest = 0.0
    for _ in range(20_000):
        if rng.random() < good:
            budget.earn()
            earned += 1
        elif budget.spend():
            spent += 1
        assert spent <= 10 + earned / 5
        # Within any period: the balance now is at most 200 above the lowest one before.
        balance = spent - earned / 5
        lowest = min(lowest, balance)
        assert balance - lowest <= 200


def test_what_is_saved_up_is_bounded() -> None:
    budget = RetryBudget()
    for _ in range(1_000_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(1_000)) == 200


def test_five_calls_that_went_well_pay_for_one_retry() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    for number in range(1, 51):
        budget.earn()
        assert budget.spend() == (number % 5 == 0)
