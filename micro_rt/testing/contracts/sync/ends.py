"""Tests of locks that are lost while they are held."""

from __future__ import annotations

import asyncio

import pytest

from micro_rt.kit.clock import loop_time
from micro_rt.sync.base import LockLost
from micro_rt.testing.contracts.suite import eventually
from micro_rt.testing.contracts.sync.suite import SyncSuite, fresh

__all__ = ["Ends"]


class Ends(SyncSuite):
    """Tests of locks that are lost while they are held."""

    async def test_a_lock_that_is_deleted_ends_its_block(self) -> None:
        """https://github.com/segmentio/consul-go/pull/14: only the session was watched, and a release by hand went unseen."""
        async with self.engine() as engine, self.sync() as sync:
            name = fresh()
            left = 0.0
            with pytest.raises(LockLost) as lost:
                async with sync.lock(name, timeout=self.settle) as lock:
                    if not await self.drop(engine, name):
                        pytest.skip("nobody but the engine reaches these locks")
                    left = lock.remaining
                    await asyncio.sleep(self.settle)
            assert "is lost" in str(lost.value)
            assert isinstance(lost.value.__cause__, asyncio.CancelledError)
            assert left > 0
            with pytest.raises(LockLost):
                _ = lock.token
            async with sync.lock(name, timeout=self.settle) as again:
                again.check()

    async def test_a_holder_whose_loop_stands_still_loses_its_lock_in_time(self) -> None:
        """https://github.com/etcd-io/etcd/issues/11457: a holder that was suspended went on with a lock of somebody else."""
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees these locks")
        async with self.sync() as sync, self.another_process(other) as run:
            name = fresh()
            ttl = max(self.ttl, (await sync.capabilities()).min_ttl)
            taken = f"global lock; lock = await sync.try_lock({name!r}, ttl={ttl}); return lock.token"
            token = int(await run(taken))
            blocked = asyncio.ensure_future(
                run(f"import time; time.sleep({2 * ttl}); return lock.token if lock.held else 0")
            )
            async with sync.lock(name, timeout=self.expires) as lock:
                assert lock.token > token
                assert await blocked == "0"
                assert (await run("return await lock.release()")) == "False"
                lock.check()

    async def test_an_outage_shorter_than_the_ttl_loses_no_lock(self) -> None:
        """https://github.com/hashicorp/consul/pull/912 and 1162: one renewal that failed lost every lock."""
        cut = self.cut_off()
        if cut is None:
            pytest.skip("nothing cuts off memory of this process")
        async with self.sync() as sync, sync.lock(fresh(), ttl=30, timeout=self.settle) as lock:
            token = lock.token
            async with cut:
                await asyncio.sleep(0.5)
            begun = loop_time()
            await eventually(lambda: lock.remaining > 20, within=self.settle)
            assert loop_time() - begun < self.settle
            assert lock.token == token
