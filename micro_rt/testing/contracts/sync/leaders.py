"""Tests of leaders and of those who observe them."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from micro_rt.errors import InvalidArgument
from micro_rt.kit.clock import loop_time
from micro_rt.sync.base import LockLost, LockTimeout, SyncEngine
from micro_rt.sync.sync import Leader
from micro_rt.testing.contracts.suite import eventually
from micro_rt.testing.contracts.sync.suite import SyncSuite, fresh

__all__ = ["Leaders"]


class Leaders(SyncSuite):
    """Tests of leaders and of those who observe them."""

    async def test_one_leads_and_the_next_follows(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh("leader")
            async with one.leader(name, timeout=self.settle, value=b"one") as term:
                number = term.number
                assert (term.fence.lock, term.fence.token) == (f"leader of {name}", number)
                with pytest.raises(LockTimeout, match="leadership of"):
                    async with two.leader(name, timeout=0):
                        raise AssertionError
                async with two.lock(name, timeout=self.settle):  # a lock of that name is another thing
                    pass
                assert await term.resign()
                assert not await term.resign()
                await term.lost()
                with pytest.raises(LockLost):
                    _ = term.number
                async with two.leader(name, timeout=self.settle) as next:
                    assert next.number > number

    async def test_observers_see_who_leads(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh("leader")
            async with one.leader(name, timeout=self.settle, value=b"\x00\xff one") as term:
                observing = two.observe(name)
                leader = await self._next(observing)
                assert leader == Leader(b"\x00\xff one", term.number, term.fence.epoch)
                coming = asyncio.ensure_future(self._next(observing))
            assert await coming is None
            coming = asyncio.ensure_future(self._next(observing))
            await asyncio.sleep(0.05)
            async with two.leader(name, timeout=self.settle, value=b"two") as term:
                leader = await coming
                assert leader is not None
                assert (leader.value, leader.term) == (b"two", term.number)
            await observing.aclose()

    async def test_an_observer_sees_that_a_leader_has_died(self) -> None:
        async with self.engine() as engine, self.sync() as sync:
            name = fresh("leader")
            dead = self.claim(engine, f"leader of {name}", value=b"dead")
            assert await dead.acquire() is not None
            observing = sync.observe(name)
            leader = await self._next(observing)
            assert leader is not None
            assert leader.value == b"dead"
            assert await self._next(observing, self.expires) is None
            await observing.aclose()

    async def test_an_observer_misses_no_change_while_it_looks_away(self) -> None:
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            claim = self.claim(one, name, value=b"one", ttl=60)
            for holds in (True, False):
                seen = await two.observe(name)
                assert (seen.holder is None) == holds
                if holds:
                    assert await claim.acquire() is not None
                else:
                    assert await claim.release()
                begun = loop_time()
                await two.changed(name, seen.position, 40.0)
                assert loop_time() - begun < 39, "it has waited for the next change"
                holder = await eventually(lambda: _holds(two, name), equals=holds, within=self.settle)
                assert holder is holds

    async def test_an_observer_sees_the_latest_leader(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh("leader")
            seen: list[Leader | None] = []

            async def observe() -> None:
                async for leader in two.observe(name):
                    seen.append(leader)  # noqa: PERF401 - it never ends

            observing = asyncio.create_task(observe())
            await eventually(lambda: seen == [None], within=self.settle)
            numbers: list[int] = []
            for number in range(10):
                async with one.leader(name, timeout=self.settle, value=b"%d" % number) as term:
                    numbers.append(term.number)
                    if number == 9:
                        await eventually(lambda: bool(seen[-1] and seen[-1].value == b"9"), within=self.settle)
            await eventually(lambda: seen[-1] is None, within=self.settle)
            observing.cancel()
            terms = [leader.term for leader in seen if leader]
            assert terms == sorted(terms)
            assert set(terms) <= set(numbers)

    async def test_a_value_that_is_too_long_is_refused(self) -> None:
        async with self.sync() as sync:
            with pytest.raises(InvalidArgument, match="4096"):
                sync.leader(fresh(), value=b"x" * 4097)
            async with sync.leader(name := fresh(), timeout=self.settle, value=b"x" * 4096):
                observing = sync.observe(name)
                leader = await self._next(observing)
                assert leader is not None
                assert len(leader.value) == 4096
                await observing.aclose()

    async def _next(self, observing: AsyncGenerator[Leader | None], within: float = 0.0) -> Leader | None:
        async with asyncio.timeout(within or self.settle):
            return await anext(observing)


async def _holds(engine: SyncEngine, name: str) -> bool:
    return (await engine.observe(name)).holder is not None
