"""The bytes of a conversation, cut in two at every boundary: each of the three packages makes the same of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from micro_rt.http2.frames import HEADER_BYTES
from tests.helpers.sizes import Figures, Size
from tests.unit.http2.engines import ENGINES, Engine, Heard, Ours
from tests.unit.http2.seeds import Seed, load

LONG = 2_000
"""Bytes of a conversation that is cut around its frames only."""


def heard(engine: Engine, pieces: Iterable[bytes]) -> Heard:
    """Returns what an engine makes of all pieces together, until the connection has ended."""
    total = Heard()
    for piece in pieces:
        total = total.then(engine.hear(piece))
        if total.fatal or engine.deaf:
            break
    return total


def places(seed: Seed) -> Sequence[int]:
    """Returns where a conversation is cut in two."""
    size = len(seed.data)
    if size <= LONG:
        return range(1, size)
    starts = [sum(map(len, seed.frames[:number])) for number in range(len(seed.frames))]
    near = {start + offset for start in starts for offset in range(-HEADER_BYTES, 2 * HEADER_BYTES)}
    return sorted(place for place in near if 0 < place < size)


def check(seed: Seed, make: type[Engine], pieces: Sequence[bytes], whole: Heard) -> None:
    total = heard(make(seed.side, greeted=seed.greeted), pieces)
    assert total.verdicts == whole.verdicts, (seed.name, make.name, [len(piece) for piece in pieces])
    if total.lost:  # h2 raises, and does not tell what came before in the same read.
        assert whole.events[: len(total.events)] == total.events, seed.name
    else:
        assert total.events == whole.events, (seed.name, make.name, [len(piece) for piece in pieces])


@pytest.mark.verify("calls")
@pytest.mark.parametrize("make", ENGINES)
def test_where_bytes_are_cut_makes_no_difference(make: type[Engine], size: Size, figures: Figures) -> None:
    step = size(1, ci=1 if make is Ours else 9)
    cuts = 0
    for number, seed in enumerate(load()):
        data = seed.data
        whole = heard(make(seed.side, greeted=seed.greeted), seed.frames)
        check(seed, make, [data], whole)
        if len(data) <= LONG:
            check(seed, make, [data[place : place + 1] for place in range(len(data))], whole)
        for place in places(seed)[number % step :: step]:
            check(seed, make, [data[:place], data[place:]], whole)
            cuts += 1
    figures.add("cuts", cuts)
