"""Leaders that Consul elects, while Consul itself is killed, is away for long, and comes back with its data."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_id
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
from tests.helpers.candidates import Candidates
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.servers.consul import Consul

TTL = 10.0
"""Seconds: the shortest that Consul has."""


@pytest.mark.verify("sync")
async def test_terms_never_overlap_while_consul_is_away(
    make_consul: Callable[..., Consul], size: Size, figures: Figures
) -> None:
    """Who leads goes on over a short outage, gives up in time in a long one, and the next term has a higher number."""
    server = make_consul(data=True)
    await server.start()
    candidates = Candidates(f"leader-{new_id()}", TTL)
    outages = size((5.0, 30.0, 120.0), ci=(1.0,))

    async with contextlib.AsyncExitStack() as stack:
        url = f"{server.url}/?timeout=2"
        syncs = [await stack.enter_async_context(Sync.over(sync_engines.consul(url))) for _ in range(3)]
        tasks = [asyncio.create_task(candidates.stand(sync)) for sync in syncs]
        for outage in outages:
            await eventually(lambda: candidates.leading, "somebody leads", equals=1)
            led = len(candidates.numbers)
            await server.kill()
            await asyncio.sleep(outage)
            assert not candidates.leading or outage < TTL, "the leader has outlived its lease"
            await server.start()
            begun = loop_time()
            await eventually(lambda: candidates.leading, "somebody leads again", equals=1)
            assert len(candidates.numbers) > led or outage < TTL
            figures.add(f"seconds until somebody leads after {outage:g} s", round(loop_time() - begun, 2))
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert candidates.numbers == sorted(set(candidates.numbers))
