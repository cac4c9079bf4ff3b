"""Locks in a file of ``local:`` whose holders are killed, stopped, forked and cancelled, or have a wrong time of day."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.sync import LocalSync
from micro_rt.backends.local.sync_file import Seat, SyncFile
from micro_rt.kit.clock import boot_clock
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, LockLost, LockTimeout
from micro_rt.sync.sync import Sync
from micro_rt.testing.contracts import OtherSync
from micro_rt.testing.contracts.processes import another_process
from tests.helpers.faked_clocks import faked_clock
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon

FACTORY = "micro_rt.backends.local.sync:LocalSync"
Run = Callable[[str], Awaitable[str]]

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows stops no process")


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Sync]:
    async with Sync.over(LocalSync(home=home)) as sync:
        yield sync


@contextlib.asynccontextmanager
async def process(home: Path, **environment: str) -> AsyncGenerator[Run]:
    """Starts another process, whose loop runs while it runs a line."""
    other = OtherSync(FACTORY, "local:", {"MICRO_HOME": str(home), "MICRO_NAMESPACE": "default", **environment})
    async with another_process(Sync, "sync", other) as run:
        yield run


def rows(home: Path, query: str, *arguments: object) -> list[tuple[object, ...]]:
    """Reads the file, or changes it, as a person does with ``sqlite3``."""
    file = sqlite3.connect(home / "default" / "sync.db", timeout=60, isolation_level=None)
    with contextlib.closing(file):
        return file.execute(query, arguments).fetchall()


def claims(home: Path) -> int:
    return len(rows(home, "SELECT id FROM claims"))


def holding(name: str, ttl: float, *, then: str = "") -> str:
    """Returns a line that holds a lock until it is lost, and says so with what was known of it."""
    return (
        f"lock = await sync.try_lock({name!r}, ttl={ttl}); held = lock.token; await lock.lost(); {then}"
        "return held, lock.held, lock._lease.deadline"
    )


# Holders that are killed or stopped


@needs_signals
async def test_a_lock_whose_holder_is_killed_goes_to_the_next(tmp_path: Path) -> None:
    async with process(tmp_path) as run, opened(tmp_path) as sync:
        pid = int(await run("import os; return os.getpid()"))
        held = asyncio.ensure_future(run(holding("a", 1.0)))
        await eventually(lambda: claims(tmp_path), equals=1)
        await eventually(lambda: _until(tmp_path) > boot_clock().now() + 0.9)  # It renews.
        os.kill(pid, signal.SIGKILL)
        until = _until(tmp_path)
        async with sync.lock("a", ttl=5) as lock:
            assert boot_clock().now() >= until, "it had not ended"
            assert lock.token > 1
        await held


@needs_signals
async def test_a_holder_that_was_stopped_past_its_ttl_has_lost_its_lock(tmp_path: Path) -> None:
    """https://github.com/etcd-io/etcd/issues/11457: it went on, with a lock that another one had."""
    async with process(tmp_path) as run, opened(tmp_path) as sync:
        pid = int(await run("import os; return os.getpid()"))
        held = asyncio.ensure_future(run(holding("a", 3.0)))
        await eventually(lambda: claims(tmp_path), equals=1)
        first = _until(tmp_path)
        await eventually(lambda: _until(tmp_path) > first, "it knows that it has the lock, and renews it")
        os.kill(pid, signal.SIGSTOP)
        async with sync.lock("a", ttl=60) as lock:
            now = boot_clock().now()
            os.kill(pid, signal.SIGCONT)
            token, still, deadline = eval(await soon(held))
            assert not still
            assert token < lock.token
            assert deadline <= now, "both had it within their deadlines"
            lock.check()


@needs_signals
async def test_a_process_that_is_stopped_while_it_writes_keeps_others_from_writing_and_gives_nobody_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.backends.local.sqlite_file._BUSY", 0.5)
    async with opened(tmp_path) as sync:
        lock = await sync.try_lock("a", ttl=1.0)
        assert lock is not None
        script = (
            "import sqlite3, sys, time\n"
            "file = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "file.execute('BEGIN IMMEDIATE')\n"
            "print('holds', flush=True)\n"
            "time.sleep(3600)\n"
        )
        path = str(tmp_path / "default" / "sync.db")
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, path, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert writer.stdout is not None
            assert await writer.stdout.readline() == b"holds\n"
            writer.send_signal(signal.SIGSTOP)
            await soon(lock.lost())
            assert not lock.held
            with pytest.raises((LockTimeout, micro.Unavailable)):
                async with sync.lock("a", timeout=1.0):
                    raise AssertionError
        finally:
            writer.kill()
            await writer.communicate()
        async with sync.lock("a") as again:
            assert again.token > 1


async def test_a_contender_with_a_wrong_time_of_day_takes_nothing_early(tmp_path: Path) -> None:
    """https://github.com/kubernetes/client-go/issues/448: times of day in leases are refused for the skew of clocks."""
    clocks = [faked_clock(offset) for offset in ("+1h", "-1h")]
    async with opened(tmp_path) as sync, contextlib.AsyncExitStack() as stack:
        async with sync.lock("a", ttl=1.0) as lock:
            contending: list[asyncio.Future[str]] = []
            for environment in clocks:
                run = await stack.enter_async_context(process(tmp_path, **environment))
                shift = float(await run("import time; return time.time()")) - float(
                    subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout
                )
                assert 3000 < abs(shift) < 4000, "libfaketime has no effect"
                assert await run("return await sync.try_lock('a', ttl=1.0)") == "None"
                line = "async with sync.lock('a', ttl=1.0) as lock: return lock.epoch, lock.token"
                contending.append(asyncio.ensure_future(run(line)))
            await eventually(lambda: claims(tmp_path), equals=3)
            deadline = lock.remaining + boot_clock().now()
            await eventually(lambda: lock.remaining + boot_clock().now() > deadline + 1.0)  # More than its ttl later.
            assert not any(each.done() for each in contending)
            tokens = [(lock.epoch, lock.token)]
        tokens += [eval(await soon(each)) for each in contending]
        assert len(set(tokens)) == 3
        assert min(tokens) == tokens[0]


def _until(home: Path) -> float:
    return max((float(str(until)) for (until,) in rows(home, "SELECT until FROM claims")), default=0.0)


# Several processes


@pytest.mark.verify("sync")
async def test_processes_take_turns_and_never_overlap(tmp_path: Path, size: Size, figures: Figures) -> None:
    turns = size(2500, ci=50)
    line = (
        "import time; now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME); found = []; scope = {**globals(), **locals()}; "
        'exec(\'async def turn():\\n async with sync.lock("a", ttl=60) as lock:\\n  begun = now()\\n  lock.check()\\n  '
        "found.append((lock.epoch, lock.token, begun, now()))', scope); "
        f"[await scope['turn']() for _ in range({turns})]; return found"
    )
    async with contextlib.AsyncExitStack() as stack:
        runs = [await stack.enter_async_context(process(tmp_path)) for _ in range(4)]
        said = await asyncio.gather(*(run(line) for run in runs))
    found = sorted(turn for each in said for turn in eval(each))
    assert len(found) == 4 * turns
    assert len({epoch for epoch, *_ in found}) == 1
    for (_, token, _, ended), (_, next, begun, _) in itertools.pairwise(found):
        assert token < next
        assert ended <= begun, "two had it at once"
    figures.add("turns", len(found))


async def test_ten_processes_create_one_file_at_once(tmp_path: Path) -> None:
    """token-savior 70, moflo 1471: the switch to WAL does not wait; some opens failed."""
    script = (
        "import asyncio, os, sys; from pathlib import Path; from micro_rt.backends.local.sync import LocalSync\n"
        "from micro_rt.sync.sync import Sync\n"
        "async def main(home):\n"
        " async with Sync.over(LocalSync('local:', home=home)) as sync, sync.lock('a') as lock:\n"
        "  os.write(1, f'{lock.epoch} {lock.token}\\n'.encode())\n"
        "children = []\n"
        "for number in range(10):\n"
        " child = os.fork()\n"
        " if not child:\n"
        "  asyncio.run(main(Path(sys.argv[1])))\n"
        "  os._exit(0)\n"
        " children.append(child)\n"
        "ends = [os.waitpid(child, 0)[1] for child in children]\n"
        "assert not any(ends), ends\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), env=environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await soon(child.communicate())
    assert child.returncode == 0
    grants = [tuple(map(int, line.split())) for line in said.splitlines()]
    assert len(grants) == 10
    assert len({epoch for epoch, _ in grants}) == 1
    assert [token for _, token in grants] == list(range(1, 11))


async def test_a_lock_that_is_deleted_by_hand_goes_to_who_came_first_in_any_process(tmp_path: Path) -> None:
    """A holder that somebody deletes grants nothing, and those who wait find the seat."""
    line = "async with sync.lock('a', ttl=3600) as lock: return lock.token"  # They ask again by themselves after long only.
    async with process(tmp_path) as one, process(tmp_path) as two, opened(tmp_path) as sync:
        lock = await sync.try_lock("a", ttl=60)
        assert lock is not None
        waiting: list[asyncio.Future[str]] = []
        for number, run in enumerate((two, one)):
            waiting.append(asyncio.ensure_future(run(line)))
            await eventually(lambda: claims(tmp_path), equals=number + 2)
        rows(tmp_path, "DELETE FROM claims WHERE token = ?", lock.token)
        await soon(lock.lost())
        assert [await soon(each) for each in waiting] == ["2", "3"]


# Processes that fork


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_releases_nothing_and_is_refused(tmp_path: Path) -> None:
    script = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from micro_rt.backends.local.sync import LocalSync
from micro_rt.sync.sync import Sync

def forked(child):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            said = asyncio.Runner().run(child())
        except BaseException as error:
            said = f"{type(error).__name__}: {getattr(error, 'message', error)}"
        os.write(1, f"{said}\\n".encode())
        os._exit(0)
    os.waitpid(pid, 0)

async def main(home):
    engine = LocalSync(home=home)
    await engine.open()
    claim = engine.claim("a", seats=1, ttl=60, value=b"", id="1")
    grant = await claim.acquire()
    async def release():
        return await claim.release()
    async def anew():
        async with Sync.over(LocalSync(home=home)) as sync:
            return await sync.try_lock("a")
    async def close():
        await engine.close()
        return "closed"
    for child in (release, anew, close):
        forked(child)
    print(await claim.renew(), await claim.acquire() == grant, await claim.release(), flush=True)
    await engine.close()

asyncio.run(main(sys.argv[1]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    release, anew, close, parent = done.stdout.splitlines()
    for refused in (release, anew):
        assert "FailedPrecondition" in refused and "was open when this process was forked" in refused
    assert close == "closed"
    assert parent == "True True True"


# Requests that are cancelled


@contextlib.asynccontextmanager
async def engine(home: Path) -> AsyncGenerator[LocalSync]:
    found = LocalSync(home=home)
    await found.open()
    try:
        yield found
    finally:
        await found.close()


def claim(engine: LocalSync, name: str = "a", ttl: float = 600) -> Claim:
    return engine.claim(name, seats=1, ttl=ttl, value=b"", id=new_id())


async def _cut(request: Awaitable[object], passes: int) -> bool:
    """Cancels a request after so many passes of the loop; returns whether it was cancelled before it ended."""
    task = asyncio.ensure_future(request)
    for _ in range(passes):
        await asyncio.sleep(0.0003 if passes > 4 else 0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("what", ["acquire", "release", "renew"])
async def test_a_request_that_is_cancelled_at_any_moment_leaves_nothing(tmp_path: Path, what: str) -> None:
    """https://github.com/redis/redis-py/issues/3847: a release that was cancelled forgot what it was to release."""
    async with engine(tmp_path) as one:
        cut = done = passes = 0
        while not done or passes < 8:
            found = claim(one)
            if what != "acquire":
                assert await found.acquire() is not None
            if await _cut(getattr(found, what)(), passes):
                cut += 1
            else:
                done += 1
            passes += 1
            await soon(found.release())
            assert not await found.release()
            assert claims(tmp_path) == 0
            next = claim(one)
            assert await next.acquire() is not None
            assert await next.release()
        assert cut >= 2


# Many who wait


@pytest.mark.verify("sync")
async def test_a_hand_over_wakes_one_of_many_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Size, figures: Figures
) -> None:
    waiters = size(1000, ci=200)
    asked = 0
    enter = SyncFile.enter

    async def counted(file: SyncFile, seat: Seat) -> bool:
        nonlocal asked
        asked += 1
        return await enter(file, seat)

    monkeypatch.setattr(SyncFile, "enter", counted)
    async with opened(tmp_path) as sync:
        order: list[int] = []

        async def wait(number: int) -> None:
            async with sync.lock("a", ttl=3600):
                order.append(number)

        async with sync.lock("a", ttl=3600):
            waiting: list[asyncio.Task[None]] = []
            for number in range(waiters):
                waiting.append(asyncio.create_task(wait(number)))
                await asyncio.sleep(0)
            await eventually(lambda: claims(tmp_path), equals=waiters + 1)
        await soon(asyncio.gather(*waiting))
        assert order == list(range(waiters))
        # Each asks when it comes, and once more when it is woken.
        assert asked <= 2 * waiters + 1 + waiters // 50, "others were woken, too"
    figures.add("requests beside those at arrival, per hand-over", (asked - waiters - 1) / waiters)


async def test_a_grant_is_the_same_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        first, second = claim(one), claim(one)
        grant = await first.acquire()
        assert isinstance(grant, Grant)
        assert await second.acquire() is None
        assert [await first.acquire() for _ in range(3)] == [grant] * 3
        assert await first.release()
        await soon(second.changed(60))
        next = await second.acquire()
        assert next is not None and next > grant
        await second.release()


async def test_a_lock_is_lost_at_its_end_also_if_nothing_renews_it(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        found = claim(one, ttl=0.5)
        assert await found.acquire() is not None
        assert "ttl has passed" in await soon(found.lost())
        assert not await found.renew()
        with pytest.raises(LockLost):
            async with Sync.over(LocalSync(home=tmp_path)) as sync, sync.lock("a", ttl=600) as lock:
                rows(tmp_path, "DELETE FROM claims")
                await soon(lock.lost())
                await asyncio.sleep(60)
