"""The same frames to our connection and to those of ``h2`` and ``ngh2``: the same events and the same verdict.

A verdict is what a package sends because a frame breaks a rule: nothing, RST_STREAM or GOAWAY, with its code. Where two
packages differ, the table of differences.py names the sentence of RFC 9113 that decides, or leaves the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import pytest

from micro_rt.http2.errors import ErrorCode
from tests.helpers.sizes import Figures, Size
from tests.unit.http2.cases import TABLE, rows
from tests.unit.http2.differences import Comparison, Difference, Found
from tests.unit.http2.engines import ENGINES, HABITS, SIDES, Engine
from tests.unit.http2.peers import GET, headers, raw
from tests.unit.http2.seeds import load
from tests.unit.http2.test_hostile_bytes import FRAMES

HABITS_OF = {"server": HABITS, "client": ("silent",)}
"""A client has nothing to react to."""


def compared(side: str, habit: str, frames: Iterable[bytes]) -> Iterator[Found]:
    """Gives all three the same frames, one by one; returns where a peer differs from us."""
    comparison = Comparison(side, habit)
    for frame in frames:
        yield from comparison.hear(frame)
        if comparison.over:
            return


def test_every_difference_is_in_the_table_and_every_row_is_a_difference() -> None:
    unknown: dict[str, list[Found]] = {}
    seen: set[Difference] = set()
    for seed in load():
        for habit in HABITS_OF[seed.side] if seed.greeted else ():
            found = list(compared(seed.side, habit, seed.frames))
            seen.update(row for each in found for row in rows(each))
            if any(not rows(each) for each in found):
                unknown[f"{seed.name} ({habit})"] = found
    assert not unknown
    assert [row for row in TABLE if row not in seen] == []


@pytest.mark.verify("calls")
def test_whatever_frame_follows_whichever_the_differences_are_in_the_table(size: Size, figures: Figures) -> None:
    sequences = [*product(FRAMES, repeat=1), *product(FRAMES, repeat=2)]
    if size.full:
        sequences += list(product(FRAMES[::2], repeat=3))
    unknown: dict[Found, object] = {}
    differences = 0
    for side, habits in HABITS_OF.items():
        for habit in habits:
            for sequence in sequences[:: size(1, ci=40)]:
                for found in compared(side, habit, sequence):
                    differences += 1
                    if not rows(found):
                        unknown[found] = side, habit, [frame.hex() for frame in sequence]
    figures.add("sequences", len(sequences))
    figures.add("differences", differences)
    assert not unknown
    assert differences


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("side", SIDES)
def test_the_comparison_sees_what_it_compares(engine: type[Engine], side: str) -> None:
    connection = engine(side)
    ping = connection.hear(raw(6, 0, 0, b"12345678"))
    assert ping == ((("ping", 0, b"12345678"),), (), False)
    if side == "server":
        assert connection.hear(headers(1, GET, True)).events == (("request", 1, tuple(GET)), ("end", 1))
    else:
        told = connection.hear(headers(1, ((b":status", b"200"), (b"a", b"b"))) + raw(0, 1, 1, b"x")).events
        assert told == (
            ("response", 1, ((b":status", b"200"), (b"a", b"b"))),
            ("data", 1, b"x"),
            ("end", 1),
        )
    fatal = connection.hear(raw(6, 0, 1, b"12345678"))
    assert fatal.fatal
    assert fatal.verdicts == (("fatal", 0, ErrorCode.PROTOCOL_ERROR),)
