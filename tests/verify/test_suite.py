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
def test_the_tests_pass_twice_in_a_row_beside_a_load(size: Size, figures: Figures) -> None:
    # Every test, as `make test` runs them; or a few that wait for each other and for time.
    what = size([], ci=["tests/unit/test_kit.py", "tests/calls/test_stopping.py"])
    workers = size("3", ci="0")
    for number in (1, 2):
        begin = time.monotonic()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-n",
                workers,
                "--dist",
                "worksteal",
                *what,
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:]
        closing = done.stdout.splitlines()[-1].strip("= ")
        assert re.match(r"\d+ passed", closing), closing
        figures.add(f"run {number}", f"{closing.partition(' in ')[0]}; {time.monotonic() - begin:.0f} s")
