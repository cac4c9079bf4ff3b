"""Locks in a file of ``local:`` that is deleted, restored, foreign or on a full disk, and whose clocks are others than usual."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.sync import LocalSync
from micro_rt.backends.local.sync_claims import History, Lock, View
from micro_rt.kit.clock import Clock, boot_clock, monotonic, wall_time_us
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim
from micro_rt.sync.sync import Sync
from tests.faults.test_local_registry_full_disk import FILLER, program
from tests.helpers.disks import fill, small_disk
from tests.helpers.waiting import eventually, soon


class OwnClock:
    """A boot clock that a test moves. Engines with clocks of their own do not share a file: they are as in two processes."""

    def __init__(self, epoch: str = "", *, jumps: bool = False) -> None:
        self.ahead = 0.0
        real = boot_clock()
        now = monotonic if jumps else real.now
        self.clock = Clock(lambda: now() + self.ahead, epoch or real.epoch, from_boot=not jumps, jumps=jumps)


@contextlib.asynccontextmanager
async def engine(home: Path, own: OwnClock | None = None) -> AsyncGenerator[LocalSync]:
    found = LocalSync(home=home, clock=(own or OwnClock()).clock)
    await found.open()
    try:
        yield found
    finally:
        await found.close()


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Sync]:
    async with Sync.over(LocalSync(home=home, clock=OwnClock().clock)) as sync:
        yield sync


def claim(engine: LocalSync, name: str = "a", ttl: float = 600, value: bytes = b"") -> Claim:
    return engine.claim(name, seats=1, ttl=ttl, value=value, id=new_id())


def file_of(home: Path) -> Path:
    return home / "default" / "sync.db"


def change(home: Path, query: str, *arguments: object) -> list[tuple[object, ...]]:
    file = sqlite3.connect(file_of(home), timeout=60, isolation_level=None)
    with contextlib.closing(file):
        return file.execute(query, arguments).fetchall()


def delete(home: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file_of(home)}{suffix}").unlink(missing_ok=True)


def back_up(home: Path, target: Path) -> None:
    source, copy = sqlite3.connect(file_of(home)), sqlite3.connect(target)
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy)


# Files that are deleted and restored


async def test_a_file_that_is_deleted_ends_the_locks_in_it_and_begins_a_new_epoch(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        held, other = await one.try_lock("a", ttl=600), await one.try_lock("b", ttl=600)
        assert held is not None and other is not None
        epoch = held.epoch
        assert 0 < epoch <= wall_time_us()
        waiting = asyncio.ensure_future(_once(two, "a"))
        await eventually(lambda: change(tmp_path, "SELECT count(*) FROM claims"), equals=[(3,)])
        delete(tmp_path)
        await soon(held.lost())
        await soon(other.lost())
        assert (await soon(waiting))[0] > epoch


async def test_a_backup_that_is_restored_ends_the_locks_and_begins_a_new_epoch(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        first = await _once(one, "a")
        kept = await one.try_lock("b", ttl=600)
        assert kept is not None
        back_up(tmp_path, tmp_path / "backup.db")
        later = await _once(one, "a")
        held = await two.try_lock("a", ttl=600)
        assert held is not None
        (tmp_path / "backup.db").rename(file_of(tmp_path))
        await soon(held.lost())
        await soon(kept.lost())  # The backup has it, and yet it may have been given to others since.
        async with one.lock("a") as lock, two.lock("b") as another:
            assert lock.epoch == another.epoch > later[0] == first[0]


async def test_a_backup_that_was_restored_while_nothing_ran_begins_a_new_epoch(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        kept = await claim(one).acquire()
        assert kept is not None
        back_up(tmp_path, tmp_path / "backup.db")
        later = await claim(one, "b").acquire()
        assert later is not None
    (tmp_path / "backup.db").rename(file_of(tmp_path))
    async with engine(tmp_path) as two:
        assert (await two.observe("a")).holder is None
        next = await claim(two, "b").acquire()
        assert next is not None and next.epoch > later.epoch
    async with engine(tmp_path) as again:
        assert await claim(again, "b").acquire() is None, "it begins a new epoch each time"


async def test_a_backup_that_is_copied_over_the_file_is_noticed_by_its_tokens(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        await _once(two, "a")
        back_up(tmp_path, tmp_path / "backup.db")
        held = await one.try_lock("a", ttl=600)
        assert held is not None
        epoch = held.epoch
        source, target = sqlite3.connect(tmp_path / "backup.db"), sqlite3.connect(file_of(tmp_path), timeout=60)
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)
        await soon(held.lost())
        assert (await _once(one, "a"))[0] > epoch


async def test_an_epoch_grows_also_if_the_time_of_day_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as sync:
        epoch, _ = await _once(sync, "a")
        monkeypatch.setattr("micro_rt.backends.local.sync_claims.wall_time_us", lambda: 1)
        delete(tmp_path)
        assert (await _once(sync, "a"))[0] == epoch + 1


async def test_who_holds_a_lock_sees_that_it_is_deleted_and_believes_no_older_look(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        file = one._file  # pyright: ignore[reportPrivateUsage]  # Nothing public says what was seen.
        assert file is not None
        held = claim(one)
        grant = await held.acquire()
        assert grant is not None
        lost = asyncio.ensure_future(held.lost())
        ((last,),) = change(tmp_path, "SELECT max(number) FROM changes")
        await eventually(lambda: file._change, equals=last)  # pyright: ignore[reportPrivateUsage]
        old = View(History(grant.epoch, grant.token - 1, int(str(last)) - 1), False, {Lock("a", 1): {}}, [], False, 0.0)
        file._found(old)  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        assert not lost.done()
        assert await held.acquire() == grant
        change(tmp_path, "DELETE FROM claims")
        assert "somebody has deleted it" in await soon(lost)
        assert await held.acquire() is None


async def _once(sync: Sync, name: str) -> tuple[int, int]:
    async with sync.lock(name, ttl=600, timeout=100) as lock:
        return lock.epoch, lock.token


# Clocks


async def test_after_a_reboot_nothing_is_held_and_tokens_are_far_above(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        held, waiting = claim(one), claim(one)
        grant = await held.acquire()
        assert grant is not None
        assert await waiting.acquire() is None
    async with engine(tmp_path, OwnClock("another boot")) as two:
        assert change(tmp_path, "SELECT * FROM claims") == []
        assert (await two.observe("a")).holder is None
        next = await claim(two).acquire()
        assert next is not None
        # A loss of power may have undone commits, and the tokens that they gave are used elsewhere.
        assert next.epoch == grant.epoch
        assert next.token > grant.token + (1 << 31)


async def test_a_machine_that_was_suspended_past_the_ttl_has_lost_its_locks(tmp_path: Path) -> None:
    clock = OwnClock()
    async with engine(tmp_path, clock) as one:
        held, waiting = claim(one, ttl=600), claim(one, ttl=3600)
        assert await held.acquire() is not None
        assert await waiting.acquire() is None
        clock.ahead += 599
        assert await waiting.acquire() is None
        clock.ahead += 2
        assert await waiting.acquire() is not None
        assert "ttl has passed" in await soon(held.lost())
        assert not await held.renew()
        assert not await held.release()


@pytest.mark.parametrize("ahead", [599.0, 601.0])
async def test_a_claim_is_renewed_before_its_end_and_never_after_it(tmp_path: Path, ahead: float) -> None:
    clock = OwnClock()
    async with engine(tmp_path, clock) as one:
        held = claim(one, ttl=600)
        grant = await held.acquire()
        clock.ahead += ahead
        alive = ahead < 600
        assert await held.renew() is alive
        assert await held.acquire() == (grant if alive else None)
        assert await held.release() is alive


async def test_a_grant_that_has_ended_is_not_given_again(tmp_path: Path) -> None:
    clock = OwnClock()
    async with engine(tmp_path, clock) as one:
        held = claim(one, ttl=600)
        assert await held.acquire() is not None
        clock.ahead += 601
        assert await held.acquire() is None
        assert await claim(one).acquire() is not None
        assert await held.acquire() is None


@pytest.mark.parametrize("jumps", [True, False], ids=["no boot clock", "another time namespace"])
async def test_a_claim_whose_clock_cannot_be_compared_ends_when_it_was_seen_unchanged_for_its_ttl(
    tmp_path: Path, jumps: bool
) -> None:
    boot = boot_clock().epoch
    clocks = [OwnClock(jumps=True) if jumps else OwnClock(f"{boot} time:[{number}]") for number in range(2)]
    clocks[1].ahead = 1e6  # They read any times.
    async with engine(tmp_path, clocks[0]) as one, engine(tmp_path, clocks[1]) as two:
        held, other = claim(one, ttl=1.0), claim(two, ttl=30)
        first = await held.acquire()
        assert first is not None
        begun = renewed = monotonic()
        while monotonic() < begun + 3:
            renewed = monotonic()
            assert await held.renew()
            assert await other.acquire() is None
            assert (await two.observe("a")).holder is not None
            await asyncio.sleep(0.1)

        async def granted() -> object:
            await other.changed(0.2)
            return await other.acquire()

        assert await eventually(granted) > first
        assert monotonic() - renewed >= 0.99, "it was taken early"
        assert not await held.renew()


async def test_durable_is_what_notices_a_reboot_or_waits_for_the_disk(tmp_path: Path) -> None:
    for address, jumps, durable in (("local:", False, True), ("local:", True, False), ("local:?sync=full", True, True)):
        found = LocalSync(address, home=tmp_path, clock=OwnClock(jumps=jumps).clock)
        await found.open()
        assert found.capabilities.durable is durable
        await found.close()


# Files that hold anything


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM history",
        "UPDATE history SET token = 'x'",
        "UPDATE history SET token = -1",
        "UPDATE history SET epoch = 1.5",
        "UPDATE history SET boot = x'00'",
        "UPDATE claims SET clock = x'ff'",
        "UPDATE claims SET value = 1",
        "UPDATE claims SET token = 'secret'",
        "UPDATE claims SET name = x'ff', until = 0",
        "UPDATE claims SET seats = 1e30, until = 0",
        "UPDATE claims SET ttl = 'x', clock = 'other'",
        "INSERT INTO changes VALUES (9223372036854775807, x'00', 'x')",
        "DROP TABLE changes",
        "DROP TABLE claims",
    ],
)
async def test_what_no_lock_wrote_is_data_loss_or_does_not_matter(tmp_path: Path, query: str) -> None:
    async with engine(tmp_path) as one:
        held = claim(one, value=b"secret")
        assert await held.acquire() is not None
        change(tmp_path, query)
        for request in (lambda: claim(one).acquire(), held.renew, lambda: one.observe("a"), held.release):
            try:
                await soon(request())
            except micro.DataLoss as error:
                assert str(file_of(tmp_path)) in error.message
                assert "secret" not in error.message


async def test_the_last_token_and_the_last_epoch_are_not_passed(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        change(tmp_path, "UPDATE history SET token = 9223372036854775807")
        with pytest.raises(micro.DataLoss, match="the largest that can be"):
            await claim(one).acquire()
        change(tmp_path, "UPDATE history SET token = 1, epoch = 9223372036854775807, inode = 1")
        with pytest.raises(micro.DataLoss, match="the largest that can be"):
            await claim(one).acquire()


@pytest.mark.parametrize("address", ["local:x", "local:?nothing=1", "local:?timeout=x", "memory:", "local://h"])
def test_an_address_that_makes_no_sense_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"local:|option|timeout"):
        LocalSync(address)


async def test_an_engine_that_is_not_open_says_so(tmp_path: Path) -> None:
    found = LocalSync(home=tmp_path)
    with pytest.raises(micro.FailedPrecondition, match="not open"):
        await found.observe("a")
    await found.open()
    held = claim(found)
    assert await held.acquire() is not None
    with pytest.raises(RuntimeError, match="open already"):
        await found.open()
    await found.close()
    with pytest.raises(micro.FailedPrecondition, match="not open"):
        await held.renew()
    await found.open()  # What was not released ends with its ttl.
    assert await claim(found).acquire() is None
    assert await held.renew()
    await found.close()


# Full disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4) as folder:
        yield folder


async def test_locks_are_kept_and_handed_over_on_a_disk_that_another_program_keeps_full(disk: Path) -> None:
    home, ballast = disk / "home", disk / "ballast"
    async with opened(home) as one, opened(home) as two:
        held = await one.try_lock("a", ttl=4)
        assert held is not None
        waiting = asyncio.ensure_future(_once(two, "a"))
        await eventually(lambda: change(home, "SELECT count(*) FROM claims"), equals=[(2,)])
        async with program(FILLER, str(ballast)):
            end = held.remaining + boot_clock().now()
            # More than its ttl later, it has been renewed again and again.
            await eventually(lambda: held.remaining + boot_clock().now() > end + 5)
            with pytest.raises(micro.ResourceExhausted, match="no space left") as caught:
                await two.try_lock("new")
            assert str(home) in caught.value.message
            token = held.token
            assert await held.release()
            assert (await soon(waiting))[1] > token
        ballast.unlink()
        await eventually(lambda: _granted(two, "new"))


async def test_health_names_the_full_disk(disk: Path) -> None:
    async with engine(disk / "home") as one:
        assert not one.problem
        fill(disk / "ballast")
        with pytest.raises(micro.ResourceExhausted):
            await claim(one).acquire()
        assert "no space left" in one.problem
        (disk / "ballast").unlink()
        await eventually(lambda: not one.problem)


async def _granted(sync: Sync, name: str) -> bool:
    with contextlib.suppress(micro.ResourceExhausted):
        lock = await sync.try_lock(name)
        return lock is not None and await lock.release()
    return False
