"""The bytes of a conversation, cut in two at every boundary: each of the three packages makes the same of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from micro_rt.http2.frames import HEADER_BYTES
from tests.helpers.sizes import Figures, Size
from tests.unit.http2.engines import ENGINES, Engine, Event, Heard, Ours
from tests.unit.http2.seeds import load

LONG = 2_000
"""Bytes of a conversation that is cut around its frames only."""


def heard(engine: Engine, pieces: Iterable[bytes]) -> tuple[Heard, int]:
    """Returns what an engine makes of all pieces together, and how many it has taken until it takes nothing more."""
    total, taken = Heard(), 0
    for piece in pieces:
        total = total.then(engine.hear(piece))
        taken += 1
        if total.fatal or engine.deaf:
            break
    return total, taken


def places(data: bytes, frames: Sequence[bytes]) -> Sequence[int]:
    """Returns where a conversation is cut in two."""
    if len(data) <= LONG:
        return range(1, len(data))
    starts = [sum(map(len, frames[:number])) for number in range(len(frames))]
    near = {start + offset for start in starts for offset in range(-HEADER_BYTES, 2 * HEADER_BYTES)}
    return sorted(place for place in near if 0 < place < len(data))


def begins(whole: Sequence[Event], part: Sequence[Event]) -> bool:
    """Whether some events are the first of others; of the last data, it may be a part."""
    if part and part[-1][0] == "data" and len(part) <= len(whole):
        kind, stream, data = whole[len(part) - 1]
        cut = (kind, stream, data[: len(part[-1][2])])
        return (*whole[: len(part) - 1], cut) == tuple(part)
    return tuple(whole[: len(part)]) == tuple(part)


@pytest.mark.verify("calls")
@pytest.mark.parametrize("make", ENGINES)
def test_where_bytes_are_cut_makes_no_difference(make: type[Engine], size: Size, figures: Figures) -> None:
    step = size(1, ci=1 if make is Ours else 9)
    cuts = 0
    for number, seed in enumerate(load()):
        whole, taken = heard(make(seed.side, greeted=seed.greeted), seed.frames)
        frames = seed.frames[:taken]  # What comes later, not every package takes.
        data = b"".join(frames)
        ways: list[Sequence[bytes]] = [
            (data,),
            *((data[:place], data[place:]) for place in places(data, frames)[number % step :: step]),
        ]
        if len(data) <= LONG:
            ways.append(tuple(data[place : place + 1] for place in range(len(data))))
        for pieces in ways:
            total, _ = heard(make(seed.side, greeted=seed.greeted), pieces)
            lengths = [len(piece) for piece in pieces]
            assert total.verdicts == whole.verdicts, (seed.name, lengths)
            if total.lost:  # h2 raises, and does not tell what came before in the same read.
                assert begins(whole.events, total.events), (seed.name, lengths)
            else:
                assert total.events == whole.events, (seed.name, lengths)
            cuts += 1
    figures.add("cuts", cuts)
