"""What is done with the bytes of a fuzzer: hypothesis makes them up in ``make test``, atheris in ``make verify``.

The first byte says whose side hears the others, what it does with requests, and whether the connection is established;
the second says how they are cut. ``python -m tests.unit.http2.fuzzing FOLDER SECONDS`` is the process of atheris.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.unit.http2.seeds import Seed

__all__ = ["ATHERIS", "MOST", "main", "packed", "target"]

ATHERIS: Final = "atheris"
"""The module that makes up bytes, and keeps those that reach new code."""
MOST: Final = 2_048
"""The most bytes that are made up at once."""


def packed(seed: Seed, cut: int = 0) -> bytes:
    """Returns a conversation as the target takes it.

    Args:
        seed: the conversation.
        cut: from 0 to 255, how it is cut.
    """
    from tests.unit.http2.engines import HABITS, SIDES

    first = SIDES.index(seed.side) | HABITS.index(seed.habit) << 1 | (not seed.greeted) << 3
    return bytes((first, cut)) + seed.data


def target(data: bytes) -> None:
    """Gives bytes to a connection of ours.

    Raises:
        AssertionError: the connection does not keep what it promises. It raises nothing, and keeps no more than its
            limits say. How bytes are cut makes no difference. What it takes, ``h2`` takes too, and sees the same
            events, but for the table.
    """
    # Here, so that atheris can watch the modules while they are imported.
    from tests.unit.http2.cases import rows
    from tests.unit.http2.differences import Comparison
    from tests.unit.http2.engines import GREETING, H2, HABITS, SIDES, Heard, Ours
    from tests.unit.http2.peers import GET, client, server
    from tests.unit.http2.test_hostile_bytes import SMALL, torment

    if len(data) < 3:
        return
    side, greeted, cut, data = SIDES[data[0] & 1], not data[0] & 8, data[1], data[2:]
    habit = HABITS[(data[0] >> 1) % len(HABITS)] if side == "server" else HABITS[0]
    sizes = (1 + cut % 16, 1 + cut // 16 * 9)

    # It raises nothing, and keeps no more than its limits say.
    if side == "server":
        torment(server(established=greeted, **SMALL), data, list(sizes))
    else:
        connection = client(established=greeted, **SMALL)
        for _ in range(3):
            connection.request(GET, ended=True)
        connection.data_to_send()
        torment(connection, data, list(sizes))

    # How bytes are cut makes no difference.
    whole, parts = (Ours(side, greeted=greeted) for _ in range(2))
    heard = Heard()
    for piece in _pieces(data, sizes):
        heard = heard.then(parts.hear(piece))
    assert heard == whole.hear(data)

    # What it takes, h2 takes too.
    if not greeted:
        data = data.removeprefix(GREETING[side])
    comparison = Comparison(side, habit, [H2])
    for frame in _frames(data):
        for found in comparison.hear(frame):
            assert found.ours or rows(found), found
        if comparison.over:
            break


def _pieces(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        yield data[position : position + size]
        position += size
        turn += 1


def _frames(data: bytes) -> Iterator[bytes]:
    """Gives the whole frames in some bytes."""
    while len(data) >= (size := 9 + int.from_bytes(data[:3], "big")):
        yield data[:size]
        data = data[size:]


def main(arguments: Sequence[str]) -> None:
    """Runs atheris until the time is over, or something is found; never returns.

    Args:
        arguments: the folder of the corpus, which grows; how long, in seconds; and options of libFuzzer.
    """
    folder, seconds, *options = arguments
    atheris: Any = importlib.import_module(ATHERIS)
    with atheris.instrument_imports(include=["micro_rt.http2"]):
        target(b"\0\0\0")
    places = f"-artifact_prefix={Path(folder).parent}/", f"-max_total_time={seconds}", f"-max_len={MOST}"
    atheris.Setup([sys.argv[0], folder, *places, "-timeout=60", "-rss_limit_mb=1024", *options], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
