"""Leaders that Consul elects, while Consul itself is killed, is away for long, and comes back with its data."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from micro_rt.errors import Error
from micro_rt.kit.clock import loop_time
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import LockLost
from micro_rt.sync.sync import Sync
from tests.helpers import sync_engines
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
    name, inside, numbers = f"leader-{new_id()}", 0, list[int]()
    outages = size((5.0, 30.0, 120.0), ci=(1.0,))

    async def stand(sync: Sync) -> None:
        nonlocal inside
        while True:
            with contextlib.suppress(LockLost, Error):
                async with sync.leader(name, ttl=TTL) as term:
                    try:
                        inside += 1
                        numbers.append(term.number)
                        while inside == 1:
                            await asyncio.sleep(0.01)
                        raise AssertionError("two lead")
                    finally:
                        inside -= 1

    async with contextlib.AsyncExitStack() as stack:
        url = f"{server.url}/?timeout=2"
        syncs = [await stack.enter_async_context(Sync.over(sync_engines.consul(url))) for _ in range(3)]
        candidates = [asyncio.create_task(stand(sync)) for sync in syncs]
        for outage in outages:
            await eventually(lambda: inside, "somebody leads", equals=1)
            led = len(numbers)
            await server.kill()
            await asyncio.sleep(outage)
            assert not inside or outage < TTL, "the leader has outlived its lease"
            await server.start()
            begun = loop_time()
            await eventually(lambda: inside, "somebody leads again", equals=1)
            assert len(numbers) > led or outage < TTL
            figures.add(f"seconds until somebody leads after {outage:g} s", round(loop_time() - begun, 2))
        for task in candidates:
            task.cancel()
        ended = await asyncio.gather(*candidates, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert numbers == sorted(set(numbers))
