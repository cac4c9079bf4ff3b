"""Conversations that a fuzzer makes up, from the seeds in ``corpus``: see fuzzing.py for what they may not do."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from micro_rt.http2 import receiving
from tests.helpers.missing import missing
from tests.helpers.sizes import Figures, Size
from tests.unit.http2.fuzzing import ATHERIS, MOST, packed, target
from tests.unit.http2.seeds import Seed, files, load
from tests.unit.http2.test_hostile_bytes import MUTATIONS, Mutation, mutated

ROOT = Path(__file__).parents[3]
SEEDS = [seed for seed in load() if len(seed.data) < MOST]
FRAMES = sorted({frame for seed in SEEDS for frame in seed.frames})


def test_the_files_of_the_seeds_are_those_of_their_script() -> None:
    assert {path.name: path.read_text() for path, _ in files()} == {path.name: text for path, text in files()}


def test_the_target_sees_a_connection_that_breaks_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(next(seed for seed in SEEDS if seed.name == "server-post-with-trailers"))
    target(data)
    monkeypatch.setattr(receiving, "unpadded", None)
    target(data)  # Nothing is padded there.
    padded = packed(next(seed for seed in SEEDS if seed.name == "server-padding"))
    with pytest.raises(AssertionError):
        target(padded)


@pytest.mark.verify("calls")
def test_mutations_of_the_seeds_break_nothing(size: Size) -> None:
    @settings(max_examples=size(30_000, ci=100), deadline=None, derandomize=not size.full, database=None)
    @given(st.sampled_from(SEEDS), st.lists(st.sampled_from(FRAMES), max_size=3), MUTATIONS, st.integers(0, 255))
    @example(SEEDS[0], [], [], 0)
    def check(seed: Seed, more: list[bytes], mutations: list[Mutation], cut: int) -> None:
        frames = (*seed.frames, *more)
        target(mutated(packed(seed._replace(frames=frames), cut), mutations))

    check()


@pytest.mark.verify("calls")
def test_bytes_that_reach_new_code_break_nothing(size: Size, figures: Figures, tmp_path: Path) -> None:
    """The seeds alone in ``make test``; what atheris makes of them, for minutes, in ``make verify``."""
    for number, seed in enumerate(load()):
        target(packed(seed, 7 * number % 256 if len(seed.data) < MOST else 255))
    if not (seconds := size(300, ci=0)):
        return
    if find_spec(ATHERIS) is None:
        missing("atheris is not installed: it has wheels for some versions of Python on Linux and macOS only")
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed in load():
        (folder / seed.name).write_bytes(packed(seed, 5))
    command = [sys.executable, "-m", "tests.unit.http2.fuzzing", str(folder), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10 * seconds + 300)
    assert done.returncode == 0, f"{done.stderr[-4_000:]}\n{[path.read_bytes().hex() for path in tmp_path.glob('*-*')]}"
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-2_000:]
    assert len(list(folder.iterdir())) >= len(load())
    figures.add("runs", int(runs[1]))
    figures.add("seeds afterwards", len(list(folder.iterdir())))
