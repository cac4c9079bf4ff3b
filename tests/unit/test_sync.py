"""Locks as users have them: when they count as lost, what their block notices, and what is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

import micro_rt as micro
from micro_rt.backends.memory.sync import MemorySync
from micro_rt.errors import Error
from micro_rt.kit.clock import Clock, boot_clock, loop_time
from micro_rt.sync.guard import Guard
from micro_rt.sync.lag import LagWatch
from micro_rt.sync.queues import Queues
from micro_rt.sync.sync import Sync
from tests.helpers.scripted_sync import ScriptedSync
from tests.helpers.waiting import eventually, soon


@asynccontextmanager
async def over(engine: ScriptedSync) -> AsyncIterator[Sync]:
    async with Sync.over(engine) as sync:
        yield sync


# What a service has


async def test_a_service_has_locks() -> None:
    async with micro.Service("web", registry="memory:", sync="memory:") as service:
        guard = service.sync.lock("invoice-run", ttl=15, timeout=30)
        async with guard as lock:
            assert lock.token > 0
            with pytest.raises(micro.LockTimeout):
                async with service.sync.lock("invoice-run", timeout=0):
                    raise AssertionError


async def test_operators_see_which_process_of_which_service_has_a_lock() -> None:
    async with Sync.over(engine := MemorySync("memory:seen")) as sync:
        async with micro.Service("web", registry="memory:", sync="memory:seen") as service, service.sync.lock("a"):
            seen = await engine.observe("a")
            assert seen.holder is not None
            assert seen.holder.value.decode() == f"service 'web', process {os.getpid()} on {socket.gethostname()}"
        async with sync.lock("a"):
            seen = await engine.observe("a")
            assert seen.holder is not None
            assert seen.holder.value.decode() == f"process {os.getpid()} on {socket.gethostname()}"


async def test_locks_are_used_while_their_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    service = micro.Service("web", registry="memory:", sync="memory:")
    with pytest.raises(micro.FailedPrecondition, match="not started"):
        _ = service.sync
    async with service:
        sync = service.sync
        held = await sync.try_lock("a")
        assert held is not None
    with pytest.raises(micro.FailedPrecondition, match="has stopped"):
        await sync.try_lock("a")
    monkeypatch.setenv("MICRO_SYNC", "nothing:here")
    async with micro.Service("web", registry="memory:") as service:
        with pytest.raises(micro.FailedPrecondition, match="MICRO_SYNC"):
            await service.sync.try_lock("a")


async def test_locks_that_are_left_are_released_before_the_engine_closes() -> None:
    async with Sync.over(MemorySync("memory:left")) as other:
        service = micro.Service("web", registry="memory:", sync="memory:left")
        async with service, service.sync.lock("a"):
            assert await other.try_lock("a") is None
        assert await other.try_lock("a") is not None


async def test_a_service_that_stops_ends_what_is_still_held() -> None:
    async with Sync.over(MemorySync("memory:left")) as other:
        entered = asyncio.Event()

        async def hold(sync: Sync) -> None:
            async with sync.lock("b"):
                entered.set()
                await asyncio.Event().wait()

        async with micro.Service("web", registry="memory:", sync="memory:left") as service:
            held = await service.sync.try_lock("a")
            holding = asyncio.create_task(hold(service.sync))
            await soon(entered.wait())
        assert held is not None
        assert not held.held
        with pytest.raises(micro.LockLost, match="was closed"):
            await soon(holding)
        assert await other.try_lock("a") is not None
        assert await other.try_lock("b") is not None


# Deadlines


async def test_the_deadline_counts_from_when_the_request_was_sent() -> None:
    """Whatever the network does to the answer, the holder stops before the engine does."""

    engine = ScriptedSync(margin=0.5)
    engine.late = 0.3
    async with over(engine) as sync, sync.lock("a", ttl=10) as lock:
        assert lock.remaining <= 10 - 1 - 0.5 - 0.3


async def test_a_grant_that_comes_too_late_is_not_used() -> None:
    engine = ScriptedSync()
    engine.late = 0.5
    async with over(engine) as sync, sync.lock("a", ttl=0.4) as lock:
        assert lock.remaining > 0
        assert lock.token == 2
        await eventually(lambda: engine.claims[0].released)


async def test_a_renewal_counts_from_when_it_was_sent() -> None:
    engine = ScriptedSync(margin=0.5)
    engine.late_renewal = 0.4
    async with over(engine) as sync, sync.lock("a", ttl=6) as lock:
        before = lock._lease.deadline
        await eventually(lambda: lock._lease.deadline > before)
        assert lock.remaining <= 6 - 0.6 - 0.5 - 0.4


async def test_reading_the_token_after_the_deadline_raises() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        lock = await sync.try_lock("a", ttl=0.3)
        assert lock is not None
        time.sleep(0.35)  # noqa: ASYNC251 - the loop stands still, so no timer of it has run
        reads: list[Callable[[], object]] = [
            lambda: lock.token,
            lambda: lock.epoch,
            lambda: lock.fence,
            lock.check,
        ]
        for read in reads:
            with pytest.raises(micro.LockLost, match="not renewed in time"):
                read()
        assert not lock.held
        assert not await lock.release()


async def test_a_lock_is_lost_by_its_deadline_though_the_loop_clock_stood_still() -> None:
    """The boot clock goes on while the machine is suspended, and the loop's does not."""
    now = boot_clock().now
    ahead = 0.0
    engine = ScriptedSync()
    async with over(engine) as sync:
        sync._now = lambda: now() + ahead
        lost = False
        with pytest.raises(micro.LockLost):
            async with sync.lock("a", ttl=60) as lock:
                ahead = 61.0
                with pytest.raises(micro.LockLost):
                    _ = lock.token
                try:
                    await soon(asyncio.Event().wait())
                finally:
                    lost = True
        assert lost


async def test_an_engine_that_does_not_answer_costs_the_lock_at_its_deadline() -> None:
    engine = ScriptedSync(margin=0.1)
    async with over(engine) as sync:
        begun = loop_time()
        with pytest.raises(micro.LockLost, match="the engine has not answered"):
            async with sync.lock("a", ttl=1.2):
                engine.silent = True
                await soon(asyncio.Event().wait())
        assert loop_time() - begun >= 1.2 - 0.12 - 0.1 - 0.01
        assert engine.claims[0].renewed > 1, "it was not tried again"


async def test_an_engine_that_says_that_the_claim_is_gone_ends_it_at_once() -> None:
    """etcd answers a KeepAlive of a lease that has expired with success."""
    engine = ScriptedSync()
    async with over(engine) as sync:
        begun = loop_time()
        with pytest.raises(micro.LockLost, match="the engine has it no more"):
            async with sync.lock("a", ttl=3):
                engine.dead = True
                await soon(asyncio.Event().wait())
        assert loop_time() - begun < 2.7


async def test_a_loss_that_the_engine_reports_ends_the_block() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        with pytest.raises(micro.LockLost, match="somebody deleted it") as lost:
            async with sync.lock("a", ttl=60):
                asyncio.get_running_loop().call_later(0.01, engine.gone.set)
                await soon(asyncio.Event().wait())
        assert isinstance(lost.value.__cause__, asyncio.CancelledError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await eventually(lambda: engine.claims[0].released)


# Blocks


async def test_a_cancellation_from_outside_stays_one() -> None:
    engine = ScriptedSync()

    async def hold(sync: Sync) -> None:
        async with sync.lock("a", ttl=60):
            await asyncio.Event().wait()

    async with over(engine) as sync:
        for together in (False, True):
            holding = asyncio.create_task(hold(sync))
            await eventually(lambda: engine.claims and engine.claims[-1].grant)
            await asyncio.sleep(0.01)
            if together:
                engine.gone.set()
                await asyncio.sleep(0)
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding
            assert holding.cancelled()
            await eventually(lambda: engine.claims[-1].released)


async def test_a_block_that_ends_without_noticing_ends_with_the_loss() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        with pytest.raises(micro.LockLost):
            async with sync.lock("a", ttl=60):
                engine.gone.set()
                with suppress(asyncio.CancelledError):  # It swallows what tells it.
                    await soon(asyncio.Event().wait())
        with pytest.raises(micro.LockLost):
            async with sync.lock("a", ttl=0.2):
                time.sleep(0.3)  # noqa: ASYNC251 - no timer runs meanwhile


async def test_another_error_leaves_the_block_as_it_is() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        with pytest.raises(ZeroDivisionError):
            async with sync.lock("a", ttl=60):
                engine.gone.set()
                try:
                    await soon(asyncio.Event().wait())
                except asyncio.CancelledError:
                    _ = 1 / 0
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(ZeroDivisionError):
            engine.gone.clear()
            async with sync.lock("a", ttl=60):
                _ = 1 / 0
        await eventually(lambda: engine.claims[-1].released)


async def test_a_timeout_around_a_block_stays_one() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), sync.lock("a", ttl=60):
                await asyncio.Event().wait()
        assert engine.claims[0].released == 1


async def test_a_loss_ends_a_block_with_a_task_group() -> None:
    engine = ScriptedSync()
    async with over(engine) as sync:
        ended: list[int] = []

        async def work(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(number)

        with pytest.raises(micro.LockLost):
            async with sync.lock("a", ttl=60), asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(work(number))
                await asyncio.sleep(0)
                engine.gone.set()
        assert sorted(ended) == [0, 1, 2]


async def test_a_block_is_entered_once() -> None:
    async with over(ScriptedSync()) as sync:
        guard = sync.lock("a")
        async with guard:
            pass
        with pytest.raises(RuntimeError, match="entered already"):
            async with guard:
                pass


async def test_the_engine_that_does_not_answer_does_not_keep_the_block(caplog: pytest.LogCaptureFixture) -> None:
    engine = ScriptedSync()
    engine.slow_release = asyncio.Event()
    async with over(engine) as sync:
        guard = sync.lock("a", ttl=1)
        assert isinstance(guard, Guard)
        guard._patience = 0.05
        with caplog.at_level(logging.WARNING):
            async with guard as lock:
                pass
            assert "was not released" not in caplog.text, "the block has waited"
            with pytest.raises(micro.LockLost, match="was released"):
                lock.check()
            await eventually(lambda: "was not released, and ends with its ttl" in caplog.text)


async def test_a_block_may_outlive_its_service() -> None:
    """The task that closes the service is the one whose block loses its lock: nothing cancels it."""
    service = micro.Service("web", registry="memory:", sync="memory:")
    stopped = False
    await service.__aenter__()
    with pytest.raises(micro.LockLost, match="was closed"):
        async with service.sync.lock("a") as lock:
            await service.__aexit__(None, None, None)
            stopped = not lock.held
            await asyncio.sleep(0)
    assert stopped, "closing was interrupted"


async def test_a_release_waits_for_a_renewal_that_is_under_way() -> None:
    engine = ScriptedSync()
    engine.late_renewal = 0.5
    engine.cleanup = 0.05
    async with over(engine) as sync:
        for _ in range(2):
            lock = await sync.try_lock("a", ttl=6)
            assert lock is not None
            await eventually(lambda: engine.claims[-1].renewed)
            assert await lock.release()
            assert engine.claims[-1].released == 1


async def test_closing_waits_for_what_is_being_released() -> None:
    engine = ScriptedSync()
    engine.slow_release = asyncio.Event()
    async with over(engine) as sync:
        assert await sync.try_lock("a") is not None
        asyncio.get_running_loop().call_later(0.1, engine.slow_release.set)
    assert engine.claims[0].freed


async def test_releasing_goes_on_behind_a_caller_that_is_cancelled() -> None:
    """https://github.com/redis/redis-py/issues/3847: a release that was cancelled forgot the token."""
    engine = ScriptedSync()
    engine.slow_release = asyncio.Event()
    async with over(engine) as sync:
        lock = await sync.try_lock("a")
        assert lock is not None
        releasing = asyncio.create_task(lock.release())
        await eventually(lambda: engine.claims[0].released)
        assert not lock.held, "the state changes before anything is sent"
        releasing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await releasing
        engine.slow_release.set()
        assert not await lock.release()
        assert engine.claims[0].released == 1


# Waiting


async def test_a_try_that_fails_at_first_is_renewed_before_it_counts() -> None:
    engine = ScriptedSync()
    engine.failing = 2
    async with over(engine) as sync, sync.lock("a"):
        claim = engine.claims[0]
        assert (claim.asked, claim.renewed) == (3, 1)
    assert len(engine.claims) == 1


async def test_a_claim_that_has_died_while_it_waited_starts_over() -> None:
    """https://github.com/etcd-io/etcd/issues/11456: a lock was returned though its lease had died while waiting."""
    engine = ScriptedSync()
    engine.free.clear()
    async with over(engine) as sync:
        waiting = asyncio.ensure_future(sync.try_lock("b"))
        assert await soon(waiting) is None
        guard = sync.lock("a", ttl=60)
        entering = asyncio.ensure_future(guard.__aenter__())
        await eventually(lambda: len(engine.claims) == 2 and engine.claims[1].asked)
        engine.dead = True
        engine.free.set()
        await eventually(lambda: len(engine.claims) >= 3)
        engine.dead = False
        await soon(entering)
        assert engine.claims[-1].grant is not None
        await eventually(lambda: engine.claims[1].released)
        await guard.__aexit__(None, None, None)


async def test_a_claim_that_is_woken_for_nothing_blocks_nobody_and_is_looked_at() -> None:
    engine = ScriptedSync()
    engine.free.clear()
    async with over(engine) as sync:
        guard = sync.lock("a", ttl=600)
        entering = asyncio.ensure_future(guard.__aenter__())
        await eventually(lambda: engine.claims and engine.claims[0].asked)
        engine.restless = True
        engine.dead = True
        await eventually(lambda: len(engine.claims) == 2)
        assert engine.claims[0].asked < 100
        engine.restless = engine.dead = False
        engine.free.set()
        await soon(entering)
        await guard.__aexit__(None, None, None)


async def test_trying_once_tells_an_engine_that_does_not_answer_from_a_lock_that_is_held() -> None:
    engine = ScriptedSync()
    engine.timeout = 0.1
    engine.late = 60
    async with over(engine) as sync:
        with pytest.raises(micro.DeadlineExceeded, match="scripted: has not answered") as late:
            await sync.try_lock("a")
        assert not isinstance(late.value, micro.LockTimeout)


async def test_an_engine_that_cannot_be_reached_is_told_though_the_caller_waits_for_ever() -> None:
    engine = ScriptedSync()
    engine.timeout = 0.2
    engine.failing = 1 << 30
    async with over(engine) as sync:
        with pytest.raises(micro.Unavailable, match="answer was lost"):
            async with sync.lock("a"):
                raise AssertionError
        await eventually(lambda: engine.claims[0].released)


async def test_the_deadline_of_a_call_bounds_the_waiting() -> None:
    from micro_rt.context import Scope, current_context

    engine = ScriptedSync()
    engine.free.clear()
    async with over(engine) as sync:
        token = current_context.set(Scope(loop_time() + 0.1))
        try:
            with pytest.raises(micro.LockTimeout):
                async with sync.lock("a"):
                    raise AssertionError
        finally:
            current_context.reset(token)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), True, "1"])
async def test_a_timeout_that_makes_no_sense_is_refused(timeout: float) -> None:
    async with over(ScriptedSync()) as sync:
        with pytest.raises((ValueError, TypeError)):
            sync.lock("a", timeout=timeout)


async def test_one_wake_up_per_hand_over_where_the_engine_knows_no_order() -> None:
    """The waiters of one process wait for each other, and only the first one asks the engine."""
    engine = ScriptedSync()
    async with over(engine) as sync:
        order: list[int] = []

        async def wait(number: int) -> None:
            async with sync.lock("a", ttl=60):
                order.append(number)

        async with sync.lock("a", ttl=60):
            waiting = [asyncio.create_task(wait(number)) for number in range(1000)]
            await asyncio.sleep(0)
            waiting[500].cancel()
            await asyncio.sleep(0)
        await soon(asyncio.gather(*waiting, return_exceptions=True))
        assert order == [*range(500), *range(501, 1000)]
        assert len(engine.claims) == 1000
        assert all(claim.asked == 1 for claim in engine.claims)
        assert not len(sync._queues)


async def test_a_place_in_the_queue_is_left_once() -> None:
    queues = Queues()
    first, second, third = (queues.join("a", 1) for _ in range(3))
    assert (first.come, second.come, third.come) == (True, False, False)
    second.leave()
    second.leave()
    first.leave()
    first.leave()
    assert third.come
    await third.wait()
    third.leave()
    assert not len(queues)


# A blocked loop


async def test_a_blocked_loop_is_told_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with over(ScriptedSync()) as sync:

        async def block() -> None:
            deadline = time.monotonic() + 20
            while "has been blocked" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)  # noqa: ASYNC251 - it blocks the loop

        async with sync.lock("invoice-run", ttl=3):
            with caplog.at_level(logging.WARNING):
                task = asyncio.create_task(block(), name="the culprit")
                with suppress(asyncio.CancelledError):
                    await task
    assert "task 'the culprit' in block" in caplog.text
    assert "lock 'invoice-run'" in caplog.text


async def test_a_process_that_stood_still_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """No line of the program is to blame when the whole process was stopped."""
    script = (
        "import asyncio, logging\n"
        "logging.basicConfig()\n"
        "from micro_rt.backends.memory.sync import MemorySync\n"
        "from micro_rt.sync.sync import Sync\n"
        "async def main():\n"
        "    async with Sync.over(MemorySync()) as sync:\n"
        "        lock = await sync.try_lock('a', ttl=600)\n"
        "        sync._lag._limits['lock \\'a\\''] = [0.2]\n"
        "        print('held', flush=True)\n"
        "        await asyncio.to_thread(input)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert (await soon(process.stdout.readline())).strip() == b"held"

    async def read() -> bytes:
        while b"stood still" not in (line := await process.stderr.readline()):  # type: ignore[union-attr]
            assert line, "the process ended without this line"
        return line

    reading = asyncio.create_task(read())
    for _ in range(60):  # Again if it was stopped before it looked at its clock.
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.0)
        process.send_signal(signal.SIGCONT)
        if (await asyncio.wait([reading], timeout=1.0))[0]:
            break
    line = await soon(reading)
    assert b"lock 'a'" in line
    await soon(process.communicate(b"\n"))


async def test_nobody_watches_the_loop_while_nothing_is_held() -> None:
    watch = LagWatch()
    watch.enter("a", 0.05)
    watch.enter("a", 0.1)
    watch.leave("a")
    assert any(thread.name == "micro-rt watches the loop" for thread in threading.enumerate())
    watch.leave("a")
    await eventually(lambda: watch._thread is None)


async def test_an_event_loop_of_another_kind_is_refused() -> None:
    async with micro.Service("web", registry="memory:", sync="memory:") as service:
        sync = service.sync
        held = await sync.try_lock("a")
        assert held is not None

        def elsewhere() -> None:
            asyncio.run(_try(sync))

        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(elsewhere)


async def _try(sync: Sync) -> None:
    await sync.try_lock("a")


# The engine in memory


async def test_memory_measures_the_ttl_on_the_boot_clock() -> None:
    now = 1000.0
    engine = MemorySync("memory:clock", clock=Clock(lambda: now, "test"))
    await engine.open()
    try:
        one = engine.claim("a", seats=1, ttl=5, value=b"", id="1")
        two = engine.claim("a", seats=1, ttl=500, value=b"", id="2")
        assert await one.acquire() is not None
        assert await two.acquire() is None
        now += 4.9
        assert await two.acquire() is None
        assert await one.renew()
        now += 4.9
        assert await two.renew()
        assert await two.acquire() is None
        now += 0.2
        assert await two.renew()
        assert await two.acquire() is not None
        assert not await one.renew()
    finally:
        await engine.close()


@pytest.mark.parametrize("address", ["memory://a", "memory:a?b=c", "memory:#", "other:"])
def test_an_address_that_memory_does_not_know(address: str) -> None:
    with pytest.raises(ValueError, match="which take no parameters"):
        MemorySync(address)


def test_errors_are_those_of_the_family() -> None:
    assert issubclass(micro.LockLost, Error)
    assert issubclass(micro.LockTimeout, Error)
