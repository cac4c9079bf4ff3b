"""Histories of locks from several processes that are stopped, killed and cut off, with clocks that are wrong: nobody is wrong about
holding a lock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from micro_rt.kit.ids import new_id
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.lock_histories import Counts, Lockers, Moment, check_history, violations
from tests.helpers.sizes import Figures, Size
from tests.servers.etcd import Etcd
from tests.servers.server import Server

HOLDS = 10_000
Disturb = Callable[[], Awaitable[None]]


def test_the_checker_finds_overlaps_and_tokens_that_go_back() -> None:
    good = [Moment(0, 1, 1, 5, "a"), Moment(2, 3, 1, 5, "a"), Moment(3.5, 4, 1, 6, "b"), Moment(5, 6, 2, 1, "c")]
    assert not violations(good)
    assert violations([*good, Moment(7, 8, 1, 6, "b")]), "a body that overlaps"
    assert violations([*good, Moment(7, 8, 2, 1, "d")]), "a token that was given out twice"
    assert violations([*good, Moment(7, 8, 1, 7, "d")]), "a token that goes back"
    assert not violations([Moment(0, 10, 1, 2, "b"), Moment(1, 2, 1, 1, "a")]), "it may have been after it"


async def history(
    engine: str, address: str, ttl: float, folder: Path, holds: int, disturbances: int, *disturb: Disturb
) -> Counts:
    lines = folder / "lines"
    lines.mkdir()
    environment = {"MICRO_HOME": str(folder / "home")}
    lockers = Lockers(f"tests.helpers.sync_engines:{engine}", address, environment, new_id(), ttl, lines)
    counts = await check_history(lockers, processes=4, holds=holds, disturb=disturb, disturbances=disturbances)
    assert counts.held >= holds
    assert counts.stops
    return counts


def restarting(server: Server) -> Disturb:
    """Kills a server, and starts it again."""

    async def restart() -> None:
        await server.kill()
        await asyncio.sleep(0.5)
        await server.start()

    return restart


@pytest.mark.verify("sync")
async def test_histories_of_local_locks(tmp_path: Path, size: Size, figures: Figures) -> None:
    counts = await history("local", "local:", 1.0, tmp_path, size(HOLDS, ci=100), size(60, ci=4))
    figures.add_all(counts)


@pytest.mark.verify("sync")
async def test_histories_of_locks_in_etcd(
    make_etcd: Callable[..., Etcd], tmp_path: Path, size: Size, figures: Figures
) -> None:
    server = make_etcd()
    await server.start()
    holds, disturbances = size(HOLDS, ci=100), size(60, ci=3)
    counts = await history("etcd", server.url, 3.0, tmp_path, holds, disturbances, restarting(server))
    figures.add_all(counts)


@pytest.mark.verify("sync")
async def test_histories_of_locks_in_consul(consul: Server, tmp_path: Path, size: Size, figures: Figures) -> None:
    """Its development agent forgets everything when it is restarted, so its connections are cut instead."""
    async with FaultProxy(consul.address) as proxy:

        async def cut() -> None:
            await proxy.cut()
            await asyncio.sleep(1.0)
            await proxy.restore()

        holds, disturbances = size(HOLDS, ci=60), size(40, ci=3)
        counts = await history("consul", f"consul://{proxy.address}", 10.0, tmp_path, holds, disturbances, cut)
    figures.add_all(counts)
