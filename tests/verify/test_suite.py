"""The tests themselves: they pass beside a load on all cores, twice in a row."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.sizes import Figures, Size

ROOT = Path(__file__).parent.parent.parent
OUTPUT = ROOT / ".verify"
"""Where the output of each run goes: it can be read while the run goes on."""
BUSY = 2
"""Processes that do nothing but use a core."""


@pytest.fixture
def load() -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        yield
        assert all(each.poll() is None for each in busy), "the load ended before the tests"
    finally:
        for each in busy:
            each.kill()
            each.wait()


@pytest.mark.verify("suite")
@pytest.mark.usefixtures("load")
def test_the_tests_pass_twice_in_a_row_beside_a_load(size: Size, figures: Figures, tmp_path: Path) -> None:
    # Every test, as `make test` runs them; or a few that wait for each other and for time.
    what = size([], ci=["tests/unit/test_kit.py", "tests/calls/test_stopping.py"])
    workers = size("4", ci="0")
    folder = size(
        OUTPUT, ci=tmp_path
    )  # This test is one of every test: the inner one must not write to the outer one's.
    folder.mkdir(exist_ok=True)
    for number in (1, 2):
        begin = time.monotonic()
        output = folder / f"suite-{number}.txt"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-n",
            workers,
            "--dist",
            "worksteal",
            *what,
        ]
        with output.open("wb") as file:
            done = subprocess.run(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False
            )
        text = output.read_text(errors="replace")
        assert done.returncode == 0, f"{text[-20_000:]}\n(all of it: {output})"
        closing = text.splitlines()[-1].strip("= ")
        assert re.match(r"\d+ passed", closing), closing
        figures.add(f"run {number}", f"{closing.partition(' in ')[0]}; {time.monotonic() - begin:.0f} s")
