"""Tests of locks that are lost while they are held."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from micro_rt.kit.clock import loop_time
from micro_rt.sync.base import LockLost
from micro_rt.sync.held import Lock
from micro_rt.testing.contracts.suite import eventually
from micro_rt.testing.contracts.sync.suite import SyncSuite, fresh

__all__ = ["Ends"]


class Ends(SyncSuite):
    """Tests of locks that are lost while they are held."""

    async def test_a_lock_that_is_deleted_ends_its_block(self) -> None:
        """https://github.com/segmentio/consul-go/pull/14: only the session was watched, and a release by hand went unseen."""
        async with self.engine() as engine, self.sync() as sync:
            name = fresh()
            held: list[Lock] = []
            begun = loop_time()
            with pytest.raises(LockLost) as lost:
                async with sync.lock(name, ttl=600, timeout=self.settle) as lock:
                    held.append(lock)
                    if not await self.drop(engine, name):
                        pytest.skip("nobody but the engine reaches these locks")
                    await asyncio.sleep(600)
            assert "is lost" in str(lost.value)
            assert isinstance(lost.value.__cause__, asyncio.CancelledError)
            assert loop_time() - begun < 100, "only its deadline has ended it"
            with pytest.raises(LockLost):
                _ = held[0].token
            async with sync.lock(name, timeout=self.settle) as again:
                again.check()

    async def test_a_holder_whose_loop_stands_still_loses_its_lock_in_time(self, tmp_path: Path) -> None:
        """https://github.com/etcd-io/etcd/issues/11457: a holder that was suspended went on with a lock of somebody else."""
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees these locks")
        async with self.sync() as sync, self.another_process(other) as run:
            name = fresh()
            ttl = max(self.ttl, (await sync.capabilities()).min_ttl)
            taken = f"global lock; lock = await sync.try_lock({name!r}, ttl={ttl}); return lock.token"
            token = int(await run(taken))
            sign = tmp_path / "another has it"
            waits = f"while not os.path.exists({str(sign)!r}): time.sleep(0.05)"
            blocked = asyncio.ensure_future(run(f"import os, time; {waits}; return lock.token if lock.held else 0"))
            async with sync.lock(name, timeout=self.expires) as lock:
                assert lock.token > token
                sign.touch()
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
