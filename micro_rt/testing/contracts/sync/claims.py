"""Tests of claims that nobody renews, that are asked twice, and that are given up at any moment."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib

import pytest

from micro_rt.errors import Error
from micro_rt.kit.clock import loop_time
from micro_rt.sync.base import Claim
from micro_rt.testing.contracts.suite import eventually
from micro_rt.testing.contracts.sync.suite import SyncSuite, fresh

__all__ = ["Claims"]


class Claims(SyncSuite):
    """Tests of claims that nobody renews, that are asked twice, and that are given up at any moment."""

    async def test_a_claim_that_nobody_renews_expires(self) -> None:
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            dead, next = self.claim(one, name), self.claim(two, name)
            begun = loop_time()
            first = await dead.acquire()
            assert first is not None
            assert await next.acquire() is None
            renewing = asyncio.create_task(self._keep(next))
            second = await eventually(next.acquire, within=self.expires)
            renewing.cancel()
            assert second is not None
            assert loop_time() - begun >= self.ttl - 0.01, "it was granted twice within its ttl"
            assert (second.epoch, second.token) > (first.epoch, first.token)
            assert not await dead.renew()
            assert not await dead.renew()
            assert not await dead.release()
            assert await next.renew()
            assert await next.acquire() == second
            assert await next.release()

    async def test_a_claim_that_is_renewed_stays(self) -> None:
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            held, other = self.claim(one, name), self.claim(two, name)
            grant = await held.acquire()
            until = loop_time() + 3 * self.ttl
            while loop_time() < until:
                assert await held.renew()
                assert await held.acquire() == grant
                if await other.acquire() is not None:
                    raise AssertionError("it was granted twice")
                await asyncio.sleep(self.ttl / 10)
            await other.release()
            await held.release()

    async def test_a_claim_that_waits_longer_than_its_ttl_keeps_its_place(self) -> None:
        """https://github.com/jplana/python-etcd/issues/181: a waiter whose own key expired waited for ever."""
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            held, waiting = self.claim(one, name), self.claim(two, name)
            assert await held.acquire() is not None
            assert await waiting.acquire() is None
            until = loop_time() + 3 * self.ttl
            while loop_time() < until:
                assert await held.renew()
                assert await waiting.renew()
                await waiting.changed(self.ttl / 10)
            assert await waiting.acquire() is None
            await held.release()
            assert await self.granted(waiting) is not None
            await waiting.release()

    async def test_asking_again_makes_no_second_claim(self) -> None:
        """https://github.com/docker/libkv/pull/186: an error at first, success at the second try, and two holders."""
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            claim = self.claim(one, name)
            grants = [await claim.acquire() for _ in range(3)]
            assert grants[0] is not None
            assert len(set(grants)) == 1
            assert await claim.release()
            assert not await claim.release()
            other = self.claim(two, name)
            assert await self.granted(other) is not None
            await other.release()

    async def test_a_request_that_is_cancelled_leaves_nothing_behind_once_it_is_released(self) -> None:
        """https://github.com/python-zk/kazoo/pull/760 and redis-py 3847: a try that failed left a claim behind."""
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            for step in range(12):
                claim = self.claim(one, name, ttl=max(self.ttl, 10.0))
                asking = asyncio.ensure_future(claim.acquire())
                await asyncio.sleep(0 if step < 4 else 0.0005 * (step - 3))
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asking
                await claim.release()
                begun = loop_time()
                other = self.claim(two, name, ttl=max(self.ttl, 10.0))
                grant = await eventually(other.acquire, within=self.settle)
                assert grant is not None
                assert loop_time() - begun < self.settle
                releasing = asyncio.ensure_future(other.release())
                await asyncio.sleep(0)
                releasing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await releasing
                await other.release()

    async def test_releasing_one_claim_leaves_the_others(self) -> None:
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            held, first, second = (
                self.claim(one, name, ttl=10),
                self.claim(two, name, ttl=10),
                self.claim(two, name, ttl=10),
            )
            assert await held.acquire() is not None
            assert await first.acquire() is None
            assert await second.acquire() is None
            assert not await first.release()
            assert await held.renew()
            assert await held.release()
            assert await self.granted(second) is not None
            assert await second.renew()
            await second.release()

    async def test_a_seat_that_is_free_wakes_a_waiter(self) -> None:
        async with self.engine() as one, self.engine() as two:
            name = fresh()
            held, waiting = self.claim(one, name, ttl=30), self.claim(two, name, ttl=30)
            assert await held.acquire() is not None
            assert await waiting.acquire() is None
            woken = asyncio.ensure_future(waiting.changed(20.0))
            await asyncio.sleep(0.05)
            begun = loop_time()
            await held.release()
            await woken
            grant = await eventually(waiting.acquire, within=self.settle)
            assert grant is not None
            assert loop_time() - begun < 19, "nothing woke it"
            await waiting.release()

    async def test_an_engine_that_is_cut_off_says_so_in_time(self) -> None:
        cut = self.cut_off()
        if cut is None:
            pytest.skip("nothing cuts off memory of this process")
        async with self.engine() as engine:
            name = fresh()
            claim = self.claim(engine, name, ttl=max(self.ttl, 30.0))
            grant = await claim.acquire()
            assert grant is not None
            async with cut:
                begun = loop_time()
                with pytest.raises((Error, TimeoutError)):
                    async with asyncio.timeout(1.0):
                        await claim.renew()
                assert loop_time() - begun < self.settle
            assert await eventually(lambda: _renewed(claim), within=self.settle)
            assert await claim.acquire() == grant
            await claim.release()

    async def _keep(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self.ttl / 4)
            await claim.renew()


async def _renewed(claim: Claim) -> bool:
    try:
        async with asyncio.timeout(1.0):
            return await claim.renew()
    except (Error, TimeoutError):
        return False
