"""How everything here is measured: subjects take turns, round by round, and only what they did in one round is compared.

A machine that others use too is slower in one minute than in the next. Each round is short and has every subject,
so what disturbs it disturbs all of them; a ratio is taken within a round, and told as the median of all rounds with
the smallest and the largest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

__all__ = ["Plan", "Rounds", "Spread", "take_turns"]

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run may take.

    Attributes:
        quick: whether figures may be rough.
        rounds: how many rounds to measure, or None for what the benchmark thinks right.
    """

    quick: bool = False
    rounds: int | None = None

    def count(self, usual: int, quick: int) -> int:
        """Returns the number of rounds for a benchmark."""
        return self.rounds or (quick if self.quick else usual)

    def seconds(self, usual: float, quick: float) -> float:
        """Returns how long one subject is measured in one round."""
        return quick if self.quick else usual

    def progress(self, text: str) -> None:
        """Says what is going on, on standard error."""
        print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sums up measurements; there is at least one."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """Returns ``middle [least-most]``."""
        return f"{self.middle:,.{digits}f} [{self.least:,.{digits}f}-{self.most:,.{digits}f}]"


class Rounds(Generic[ResultT]):
    """What each subject did in each round."""

    def __init__(self, results: Mapping[str, Sequence[ResultT]]) -> None:
        self.results = results

    def spread(self, subject: str, figure: Callable[[ResultT], float]) -> Spread:
        """Returns a figure of one subject over all rounds."""
        return Spread.of([figure(result) for result in self.results[subject]])

    def median(self, subject: str, figure: Callable[[ResultT], float]) -> float:
        """Returns the median of a figure of one subject."""
        return self.spread(subject, figure).middle

    def ratio(self, subject: str, base: str, figure: Callable[[ResultT], float]) -> Spread:
        """Returns a figure of one subject in units of another's, taken within each round."""
        pairs = zip(self.results[subject], self.results[base], strict=True)
        return Spread.of([figure(one) / figure(other) for one, other in pairs])

    def difference(self, subject: str, base: str, figure: Callable[[ResultT], float]) -> Spread:
        """Returns by how much a figure of one subject is larger than another's, taken within each round."""
        pairs = zip(self.results[subject], self.results[base], strict=True)
        return Spread.of([figure(one) - figure(other) for one, other in pairs])


def take_turns(
    subjects: Sequence[str],
    rounds: int,
    measure: Callable[[str], ResultT],
    progress: Callable[[str], None],
) -> Rounds[ResultT]:
    """Measures every subject in every round; another one begins each time, so that none always follows the same."""
    results: dict[str, list[ResultT]] = {subject: [] for subject in subjects}
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        first = number % len(subjects)
        for subject in (*subjects[first:], *subjects[:first]):
            results[subject].append(measure(subject))
    return Rounds(results)
