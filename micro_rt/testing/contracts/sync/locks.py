"""Tests of locks and semaphores that are taken, waited for and released."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from micro_rt.errors import InvalidArgument
from micro_rt.kit.clock import loop_time
from micro_rt.sync.base import LockLost, LockTimeout
from micro_rt.testing.contracts.suite import eventually
from micro_rt.testing.contracts.sync.suite import SyncSuite, fresh

__all__ = ["Locks"]


class Locks(SyncSuite):
    """Tests of locks and semaphores that are taken, waited for and released."""

    async def test_a_lock_is_held_by_one(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh()
            async with one.lock(name, timeout=self.settle) as lock:
                assert lock.token > 0
                assert lock.remaining > 0
                lock.check()
                with pytest.raises(LockTimeout, match="others hold it"):
                    async with two.lock(name, timeout=0):
                        raise AssertionError
                assert await two.try_lock(name) is None
                with pytest.raises(LockTimeout, match=r"within 0\.2 s"):
                    async with two.lock(name, timeout=0.2):
                        raise AssertionError
            async with two.lock(name, timeout=self.settle) as other:
                assert (other.epoch, other.token) == (other.fence.epoch, other.fence.token)

    async def test_tokens_grow_with_each_holder(self) -> None:
        name = fresh()
        tokens: list[tuple[int, int]] = []
        for _ in range(3):
            async with self.sync() as one, self.sync() as two:
                for sync in (one, two, two):
                    async with sync.lock(name, timeout=self.settle) as lock:
                        tokens.append((lock.epoch, lock.token))
        assert tokens == sorted(set(tokens))
        if (await self.make()).capabilities.durable:
            assert len({epoch for epoch, _ in tokens}) == 1

    async def test_a_lock_that_was_released_is_held_no_more(self) -> None:
        async with self.sync() as sync:
            name = fresh()
            async with sync.lock(name, timeout=self.settle) as lock:
                pass
            for read in (lambda: lock.token, lambda: lock.epoch, lambda: lock.fence, lock.check):
                with pytest.raises(LockLost, match="was released"):
                    read()
            assert not lock.remaining
            assert not lock.held
            assert not await lock.release()
            async with sync.lock(name, timeout=self.settle) as lock:
                assert await lock.release()
                assert not await lock.release()
                async with sync.lock(name, timeout=self.settle) as other:
                    assert not await lock.release()
                    other.check()

    async def test_a_lock_without_a_block(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh()
            lock = await one.try_lock(name)
            assert lock is not None
            assert await two.try_lock(name) is None
            assert await lock.release()
            await lock.lost()
            other = await eventually(lambda: two.try_lock(name), within=self.settle)
            assert other is not None
            assert not await lock.release()
            other.check()
            await other.release()

    async def test_bodies_never_overlap(self) -> None:
        name = fresh()
        inside = 0
        tokens: list[int] = []
        async with contextlib.AsyncExitStack() as stack:
            syncs = [await stack.enter_async_context(self.sync()) for _ in range(self.workers)]

            async def work(number: int) -> None:
                nonlocal inside
                for _ in range(self.turns):
                    async with syncs[number].lock(name, timeout=self.timeout) as lock:
                        inside += 1
                        assert inside == 1
                        await asyncio.sleep(0)
                        assert inside == 1
                        tokens.append(lock.token)
                        inside -= 1

            await asyncio.gather(*(work(number) for number in range(self.workers)))
        assert len(tokens) == self.workers * self.turns
        assert tokens == sorted(set(tokens))

    async def test_many_wait_for_one_lock(self) -> None:
        async with self.sync() as sync:
            name = fresh()
            order: list[int] = []

            async def wait(number: int) -> None:
                async with sync.lock(name, timeout=self.timeout):
                    order.append(number)

            async with sync.lock(name, timeout=self.settle):
                waiting: list[asyncio.Task[None]] = []
                for number in range(self.waiters):
                    waiting.append(asyncio.create_task(wait(number)))
                    await asyncio.sleep(0)
                await asyncio.sleep(0.1)
            await asyncio.gather(*waiting)
            assert sorted(order) == list(range(self.waiters))

    async def test_a_fair_engine_keeps_the_order(self) -> None:
        async with self.sync() as one, self.sync() as two, self.engine() as engine:
            if not engine.capabilities.fair:
                pytest.skip("this engine knows no order")
            name = fresh()
            order: list[int] = []

            async def wait(number: int) -> None:
                async with (one, two)[number % 2].lock(name, timeout=self.timeout):
                    order.append(number)

            async with one.lock(name, timeout=self.settle):
                waiting: list[asyncio.Task[None]] = []
                for number in range(6):
                    waiting.append(asyncio.create_task(wait(number)))
                    await asyncio.sleep(0.2)  # Long enough for a request, beside a load; a false order alone fails.
            await asyncio.gather(*waiting)
            assert len(order) == 6
            assert order == sorted(order)

    async def test_one_who_is_cancelled_while_waiting_leaves_nothing(self) -> None:
        async with self.sync() as one, self.sync() as two:
            name = fresh()

            async def wait() -> None:
                async with two.lock(name):
                    raise AssertionError("it was cancelled")

            for turn in range(10):
                async with one.lock(name, timeout=self.settle):
                    waiting = asyncio.create_task(wait())
                    await asyncio.sleep(0.003 * turn)
                    waiting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await waiting
            begun = loop_time()
            async with one.lock(name, timeout=self.settle):
                assert loop_time() - begun < self.settle

    async def test_a_semaphore_has_as_many_holders_as_its_limit(self) -> None:
        name = fresh("semaphore")
        inside, most, done = 0, 0, 0
        async with self.sync() as one, self.sync() as two:

            async def work(number: int) -> None:
                nonlocal inside, most, done
                async with (one, two)[number % 2].semaphore(name, 3, timeout=self.timeout) as permit:
                    inside += 1
                    most = max(most, inside)
                    await eventually(lambda: most == 3 or done, within=self.settle)
                    permit.check()
                    inside -= 1
                    done += 1

            await asyncio.gather(*(work(number) for number in range(12)))
            assert (most, done) == (3, 12)
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(3):
                    await stack.enter_async_context(one.semaphore(name, 3, timeout=self.settle))
                with pytest.raises(LockTimeout):
                    await stack.enter_async_context(two.semaphore(name, 3, timeout=0))
                # Permits of another limit, and a lock of that name, are other things.
                await stack.enter_async_context(two.semaphore(name, 1, timeout=self.settle))
                await stack.enter_async_context(two.lock(name, timeout=self.settle))

    async def test_names_are_any_text(self) -> None:
        async with self.sync() as one, self.sync() as two:
            base = fresh()
            names = [base, base + "/a", base + "/", base + "é", base + " \\%_'\"?#&\n\t", base + "☃" * 50, base + "A"]
            names.append(base + "a")
            async with contextlib.AsyncExitStack() as stack:
                for name in names:
                    await stack.enter_async_context(one.lock(name, timeout=self.settle))
                for name in names:
                    assert await two.try_lock(name) is None, name
            with pytest.raises(InvalidArgument):
                one.lock("")
            with pytest.raises(InvalidArgument):
                one.lock("x" * 257)
            with pytest.raises(InvalidArgument):
                one.lock("a\udc80")

    async def test_a_ttl_that_cannot_be_is_refused(self) -> None:
        async with self.sync() as sync:
            least = (await sync.capabilities()).min_ttl
            for ttl in (least / 2, 0, -1, float("nan"), float("inf"), 1e6):
                with pytest.raises(InvalidArgument, match="ttl="):
                    async with sync.lock(fresh(), ttl=ttl):
                        raise AssertionError

    async def test_another_process_is_kept_out(self) -> None:
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees these locks")
        async with self.sync() as sync, self.another_process(other) as run:
            name = fresh()
            token = 0
            async with sync.lock(name, timeout=self.settle) as lock:
                assert await run(f"return await sync.try_lock({name!r})") == "None"
                token = lock.token
            taken = f"global lock; lock = await sync.try_lock({name!r}); return lock and lock.token"
            theirs = int(await eventually(lambda: _number(run, taken), within=self.settle))
            assert theirs > token
            assert await sync.try_lock(name) is None
            assert await run("return await lock.release()") == "True"
            async with sync.lock(name, timeout=self.settle) as lock:
                assert lock.token > theirs


async def _number(run: Callable[[str], Awaitable[str]], line: str) -> int:
    said = await run(line)
    return 0 if said == "None" else int(said)
