"""Tests of watches."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import base64
import contextlib
import json

import pytest

from micro_rt.errors import InvalidArgument
from micro_rt.store.base import Change, ChangeKind, Changes, Cursor, StoreEngine
from micro_rt.store.cursors import position_of
from micro_rt.store.store import Store
from micro_rt.store.watch import StoreWatch
from micro_rt.testing.contracts.store.suite import StoreSuite, next_change, prefix, until, until_synced
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Watching"]


class Watching(StoreSuite):
    """Tests of watches."""

    async def test_a_watch_delivers_writes_and_deletions(self) -> None:
        async with self.store() as store:
            place = prefix()
            await store.write(place + "before", b"")
            async with store.watch(place) as watch:
                version = await store.write(place + "a", b"1", metadata={"a": "b"})
                change = await _of(watch, place + "a", self.settle)
                assert (change.kind, change.version, change.value) == (ChangeKind.PUT, version, b"1")
                assert change.record is not None
                assert change.record.metadata == {"a": "b"}
                await store.delete(place + "a")
                change = await _of(watch, place + "a", self.settle)
                assert (change.kind, change.record, change.value) == (ChangeKind.DELETED, None, b"")
                assert change.version > version

    async def test_a_watch_delivers_all_records_first(self) -> None:
        """nats-server 4824: the end of the snapshot came early, and keys were missing."""
        async with self.store() as store:
            place = prefix()
            values = {f"{place}{number:05}": b"%d" % number for number in range(self.many)}
            versions = await store.write_many(values)
            await store.delete(f"{place}00000")
            del versions[f"{place}00000"]
            async with store.watch(place, initial=True) as watch:
                found = await until_synced(watch, self.settle)
                assert [(change.key, change.version) for change in found] == list(versions.items())
                assert all(change.kind is ChangeKind.PUT for change in found)
                last = await store.write(place + "new", b"")
                assert place + "new" in await until(watch, place + "new", last, self.settle)

    async def test_a_watch_of_nothing_is_synced_at_once(self) -> None:
        """Deno 22953: it panicked."""
        async with self.store() as store, store.watch(prefix(), initial=True) as watch:
            assert await until_synced(watch, self.settle) == []

    async def test_a_watch_sees_its_prefix_alone(self) -> None:
        async with self.store() as store:
            one, other = prefix(), prefix()
            async with store.watch(one) as watch, store.watch() as everything:
                await store.write(other + "a", b"")
                version = await store.write(one + "a", b"")
                assert (await next_change(watch, self.settle)).key == one + "a"
                seen = await until(everything, one + "a", version, self.settle)
                assert other + "a" in seen

    async def test_a_watch_misses_nothing_that_writers_commit(self) -> None:
        """Eventstore 3, Eventuous 222, pdo-event-store 189: gaps in a sequence hid events."""
        async with self.store() as one, self.store() as other, self.store() as watching:
            place = prefix()
            committed: dict[str, int] = {}

            async def write(number: int) -> None:
                store = (one, other)[number % 2]
                for count in range(self.many // 20):
                    key = f"{place}{(number * 7 + count) % 60}"
                    if count % 9 == 8:
                        await store.delete(key)
                    else:
                        committed[key] = max(committed.get(key, 0), await store.write(key, b"%d" % count))

            async with watching.watch(place) as watch:
                seen: dict[str, list[Change]] = {}

                async def follow() -> None:
                    async for change in watch:
                        seen.setdefault(change.key, []).append(change)
                        if change.key == place + "end":
                            break

                following = asyncio.ensure_future(follow())
                await asyncio.gather(*(write(number) for number in range(self.writers)))
                await one.write(place + "end", b"")
                async with asyncio.timeout(self.settle):
                    await following
            for key, changes in seen.items():
                assert [change.version for change in changes] == sorted(change.version for change in changes), key
            now = {record.key: record.version async for record in one.list(place)}
            last = {key: changes[-1] for key, changes in seen.items()}
            assert {key: change.version for key, change in last.items() if change.kind is ChangeKind.PUT} == now
            assert committed.keys() <= last.keys()

    async def test_a_watch_that_begins_among_writes_ends_with_what_there_is(self) -> None:
        async with self.store() as store, self.store() as watching:
            place = prefix()
            stop = asyncio.Event()

            async def write(number: int) -> None:
                count = 0
                while not stop.is_set():
                    count += 1
                    key = f"{place}{number}-{count % 40}"
                    await (store.delete(key) if count % 7 == 0 else store.write(key, b"%d" % count))

            writers = [asyncio.ensure_future(write(number)) for number in range(4)]
            try:
                held: dict[str, int] = {}
                async with watching.watch(place, initial=True) as watch:
                    for change in await until_synced(watch, self.settle):
                        assert change.key not in held
                        held[change.key] = change.version
                    stop.set()
                    await asyncio.gather(*writers)
                    last = await store.write(place + "end", b"")
                    for key, change in (await until(watch, place + "end", last, self.settle)).items():
                        if change.kind is ChangeKind.PUT:
                            held[key] = change.version
                        else:
                            held.pop(key, None)
                assert held == {record.key: record.version async for record in store.list(place)}
            finally:
                stop.set()
                await asyncio.gather(*writers)

    async def test_a_slow_watch_gets_the_latest_version(self) -> None:
        async with self.store() as store:
            place = prefix()
            async with store.watch(place) as watch:
                last = 0
                for number in range(500):
                    last = await store.write(place + "a", b"%d" % number)
                change = await next_change(watch, self.settle)
                assert (change.version, change.value) == (last, b"499")

    async def test_a_watch_continues_where_another_has_ended(self) -> None:
        async with self.store() as store:
            place = prefix()
            async with store.watch(place) as watch:
                await store.write(place + "a", b"1")
                position = (await next_change(watch, self.settle)).position
            version = await store.write(place + "b", b"2")
            await store.write(place + "c", b"3")
            gone = await store.delete(place + "c")
            async with store.watch(place, since=position) as watch:
                seen = await until(watch, place + "b", version, self.settle)
                assert place + "a" not in seen
                last = await store.write(place + "end", b"")
                seen |= await until(watch, place + "end", last, self.settle)
                assert gone
                assert seen[place + "c"].kind is ChangeKind.DELETED
            async with store.watch(place, initial=True) as watch:
                async with asyncio.timeout(self.settle):
                    async for change in watch:
                        if change.kind is ChangeKind.SYNCED:
                            position = change.position
                            break
                last = await store.write(place + "a", b"2")
            async with store.watch(place, since=position) as watch:
                assert (await until(watch, place + "a", last, self.settle))[place + "a"].value == b"2"

    async def test_a_watch_from_an_unknown_place_starts_over(self) -> None:
        async with self.store() as store:
            place = prefix()
            versions = await store.write_many({place + "a": b"1", place + "b": b"2"})
            async with store.watch(place) as watch:
                await store.write(place + "c", b"3")
                position = (await next_change(watch, self.settle)).position
            padded = position + "=" * (-len(position) % 4)
            epoch, *numbers = json.loads(base64.urlsafe_b64decode(padded))
            for unknown in (
                Cursor("another history", tuple(numbers)),
                Cursor(epoch, tuple((1 << 62) for _ in numbers)),
                Cursor("x", (1, 2, 3, 4)),
            ):
                async with store.watch(place, since=position_of(unknown)) as watch:
                    assert (await next_change(watch, self.settle)).kind is ChangeKind.RESYNC
                    found = {change.key: change.version for change in await until_synced(watch, self.settle)}
                    assert versions.items() <= found.items()
                    last = await store.write(place + "d", b"4")
                    assert place + "d" in await until(watch, place + "d", last, self.settle)

    async def test_a_watch_that_was_left_before_its_first_position_starts_over(self) -> None:
        """Whoever keeps the position of each change, and has none yet, must not miss what was written meanwhile."""
        async with self.store() as store:
            place = prefix()
            await store.write(place + "a", b"1")
            async with store.watch(place, initial=True) as watch:
                position = (await next_change(watch, self.settle)).position
            assert position == ""
            version = await store.write(place + "a", b"2")
            async with store.watch(place, since=position) as watch:
                assert (await next_change(watch, self.settle)).kind is ChangeKind.RESYNC
                assert [change.version for change in await until_synced(watch, self.settle)] == [version]
                last = await store.write(place + "b", b"")
                assert place + "b" in await until(watch, place + "b", last, self.settle)

    async def test_positions_that_cannot_be_are_refused(self) -> None:
        async with self.store() as store:
            for broken in ("x", "é", "bnVsbA", "WzFd", "W10", "A" * 100_000, base64.b64encode(b'["a",-1]').decode()):
                with pytest.raises(InvalidArgument, match="position"):
                    store.watch(since=broken)
            for given in ("x", ""):
                with pytest.raises(ValueError, match="one of them"):
                    store.watch(since=given, initial=True)
            with pytest.raises(TypeError):
                store.watch(since=5)  # type: ignore[arg-type]

    async def test_a_watch_in_another_process_sees_writes(self) -> None:
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees this store")
        async with self.store() as store, self.another_process(other) as run:
            place = prefix()
            async with store.watch(place) as watch:
                for number in range(5):
                    version = int(await run(f"return await store.write({place!r} + 'a', b'{number}')"))
                    change = (await until(watch, place + "a", version, self.settle))[place + "a"]
                    assert change.value == b"%d" % number

    async def test_a_watch_that_is_cancelled_misses_nothing(self) -> None:
        async with self.store() as store:
            place = prefix()
            async with store.watch(place) as watch:
                seen: list[int] = []
                for number in range(40):
                    await store.write(f"{place}{number}", b"")
                    with_patience = asyncio.ensure_future(anext(watch))
                    await asyncio.sleep(0 if number % 3 else 0.001)
                    if not with_patience.done():
                        with_patience.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        seen.append(int((await with_patience).key.removeprefix(place)))
                last = await store.write(place + "100", b"")
                seen += [int(key.removeprefix(place)) for key in await until(watch, place + "100", last, self.settle)]
                assert sorted(set(seen)) == [*range(40), 100]

    async def test_a_watch_has_one_consumer_and_ends_with_its_store(self) -> None:
        async with self.store() as store:
            watch = store.watch(prefix())
            with pytest.raises(RuntimeError, match="async with"):
                await anext(watch)
            async with watch:
                waiting = asyncio.ensure_future(anext(watch, None))
                await asyncio.sleep(0)
                with pytest.raises(RuntimeError, match="open another"):
                    await anext(watch)
            assert await waiting is None
            assert [change async for change in watch] == []
            with pytest.raises(RuntimeError, match="once"):
                await watch.__aenter__()
            left = store.watch(prefix(), initial=True)
            await left.__aenter__()
            assert (await next_change(left, self.settle)).kind is ChangeKind.SYNCED
            waiting = asyncio.ensure_future(anext(left, None))
            await asyncio.sleep(0.01)
        async with asyncio.timeout(self.settle):
            assert await waiting is None
        await left.__aexit__(None, None, None)

    async def test_a_watch_of_large_values_reads_them_in_parts(self) -> None:
        async with self.store() as store:
            place = prefix()
            values = {f"{place}{number}": bytes([number]) * self.large for number in range(5)}
            async with store.watch(place) as watch:
                for key, value in values.items():
                    await store.write(key, value, timeout=self.settle)
                for key, value in values.items():
                    change = await _of(watch, key, self.settle)
                    assert change.value == value
            async with store.watch(place, initial=True) as watch:
                for key, value in values.items():
                    change = await _of(watch, key, self.settle)
                    assert change.value == value
                assert (await next_change(watch, self.settle)).kind is ChangeKind.SYNCED

    async def test_an_engine_gives_what_fits_at_once(self) -> None:
        """What is asked for at once is bounded, in records and in bytes, so that no consumer needs more memory than that."""
        async with self.store():
            engine = await self.make()
            await engine.open()
            try:
                place = prefix()
                store = Store(lambda: _itself(engine))
                begin = await engine.end()
                keys = [f"{place}{number}" for number in range(6)]
                for key in keys:
                    await store.write(key, b"0123456789")
                for most, max_bytes, fit in (
                    (6, 1000, 6),
                    (4, 1000, 4),
                    (1, 1000, 1),
                    (6, 20, 2),
                    (6, 21, 3),
                    (6, 1, 1),
                ):

                    async def enough(most: int = most, max_bytes: int = max_bytes, fit: int = fit) -> Changes | None:
                        found = await engine.changes(place, begin, limit=most, max_bytes=max_bytes)
                        assert found is not None
                        return found if len(found.entries) >= fit else None

                    changes = await eventually(enough, within=self.settle)
                    assert changes is not None
                    assert [entry.record.key for entry in changes.entries] == keys[:fit]
                    assert changes.more or fit == len(keys)
                    rest = await engine.changes(place, changes.cursor, limit=100, max_bytes=1000)
                    assert rest is not None
                    assert [entry.record.key for entry in rest.entries] == keys[fit:]
                    scan = await engine.scan(place, "", suffix="", limit=most, max_bytes=max_bytes, values=True)
                    assert [entry.record.key for entry in scan.entries] == keys[:fit]
                    assert scan.more or fit == len(keys)
            finally:
                await engine.close()

    async def test_many_watches_see_the_same(self) -> None:
        async with self.store() as store:
            place = prefix()
            watches = [store.watch(f"{place}{number % 10}") for number in range(50)]
            for watch in watches:
                await watch.__aenter__()
            versions = [await store.write(f"{place}{number}", b"") for number in range(10)]
            for number, watch in enumerate(watches):
                change = await next_change(watch, self.settle)
                assert change.version == versions[number % 10]
            for watch in watches:
                await watch.__aexit__(None, None, None)


async def _itself(engine: StoreEngine) -> StoreEngine:
    return engine


async def _of(watch: StoreWatch, key: str, within: float) -> Change:
    """Takes the next change, which is of a key."""
    change = await next_change(watch, within)
    assert change.key == key
    return change
