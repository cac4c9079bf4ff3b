"""Histories of locks from several processes that are stopped, killed and cut off, with clocks that are wrong: nobody is wrong about
holding a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from micro_rt.kit.ids import new_id
from tests.helpers.lock_histories import Lockers, Moment, check_history, violations
from tests.helpers.sizes import Figures, Size


def test_the_checker_finds_overlaps_and_tokens_that_go_back() -> None:
    good = [Moment(0, 1, 1, 5, "a"), Moment(2, 3, 1, 5, "a"), Moment(3.5, 4, 1, 6, "b"), Moment(5, 6, 2, 1, "c")]
    assert not violations(good)
    assert violations([*good, Moment(7, 8, 1, 6, "b")]), "a body that overlaps"
    assert violations([*good, Moment(7, 8, 2, 1, "d")]), "a token that was given out twice"
    assert violations([*good, Moment(7, 8, 1, 7, "d")]), "a token that goes back"
    assert not violations([Moment(0, 10, 1, 2, "b"), Moment(1, 2, 1, 1, "a")]), "it may have been after it"


@pytest.mark.verify("sync")
async def test_histories_of_local_locks(tmp_path: Path, size: Size, figures: Figures) -> None:
    environment = {"MICRO_HOME": str(tmp_path / "home")}
    folder = tmp_path / "lines"
    folder.mkdir()
    lockers = Lockers("tests.helpers.sync_engines:local", "local:", environment, new_id(), 1.0, folder)
    holds = size(10_000, ci=100)
    counts = await check_history(lockers, processes=4, holds=holds, disturb=[], disturbances=size(60, ci=4))
    figures.add_all(counts)
