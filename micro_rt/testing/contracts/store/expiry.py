"""Tests of the time to live."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from micro_rt.errors import NotFound
from micro_rt.kit.clock import wall_time
from micro_rt.store.base import KEEP, ChangeKind, Record, VersionConflict
from micro_rt.store.store import Store
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix, until
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Expiry"]


class Expiry(StoreSuite):
    """Tests of the time to live."""

    async def test_an_expired_record_is_gone_for_everybody(self) -> None:
        """Langchain 8354: expired rows were readable until they were swept. go-micro: only expired rows were returned."""
        async with self.store() as store:
            place = prefix()
            key, other = place + "a", place + "b"
            version = await store.write(key, b"1", ttl=self.ttl)
            await store.write(other, b"2", ttl=1000)
            await eventually(lambda: _gone(store, key), within=self.settle)
            assert [record.key async for record in store.list(place)] == [other]
            assert [record.key for record in (await store.page(place)).records] == [other]
            assert list(await store.read_many([key, other])) == [other]
            assert not await store.delete(key)
            with pytest.raises(VersionConflict) as conflict:
                await store.write(key, b"2", if_version=version)
            assert conflict.value.current == 0
            seen: list[Record | None] = []

            def change(record: Record | None) -> bytes:
                seen.append(record)
                return b"new"

            assert (await store.update(key, change)).expires is None
            assert seen == [None]

    async def test_a_record_that_does_not_expire_stays(self) -> None:
        async with self.store() as store:
            place = prefix()
            await store.write(place + "gone", b"", ttl=self.ttl)
            await store.write(place + "kept", b"")
            await eventually(lambda: _gone(store, place + "gone"), within=self.settle)
            assert (await store.read(place + "kept")).expires is None

    async def test_a_write_ends_keeps_or_sets_the_time_to_live(self) -> None:
        """nats.go 1994: an update of a record with a time to live made it immortal."""
        async with self.store() as store:
            key = prefix() + "a"
            for ttl, kept in ((100, True), (None, False), (KEEP, False), (100, True), (KEEP, True), (1000, True)):
                await store.write(key, b"1", ttl=ttl)
                assert ((await store.read(key)).expires is not None) is kept, ttl
            expires = (await store.read(key)).expires
            assert expires is not None
            left = (expires - datetime.fromtimestamp(wall_time(), UTC)).total_seconds()
            assert 500 < left < 1500

    async def test_keep_takes_over_what_is_left(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            await store.write(key, b"1", ttl=self.ttl)
            try:
                await store.write(key, b"2", ttl=KEEP, if_version=(await store.read(key)).version)
            except (VersionConflict, NotFound):  # The machine was so busy that it has expired already.
                return
            await eventually(lambda: _gone(store, key), within=self.settle)

    async def test_a_watch_learns_that_a_record_has_expired(self) -> None:
        """nats-server 4640: watches never saw it. nats.py 966: it came as a write without a value."""
        async with self.store() as store:
            place = prefix()
            async with store.watch(place) as watch:
                version = await store.write(place + "a", b"1", ttl=self.ttl)
                async with asyncio.timeout(self.settle):
                    async for change in watch:
                        assert change.key == place + "a"
                        if change.kind is ChangeKind.EXPIRED:
                            assert change.record is None
                            assert change.value == b""
                            break
                        assert change.kind is ChangeKind.PUT
                        assert (change.version, change.value) == (version, b"1")

    async def test_a_record_that_was_written_again_does_not_expire(self) -> None:
        async with self.store() as store:
            place = prefix()
            async with store.watch(place) as watch:
                await store.write(place + "a", b"1", ttl=self.ttl)
                await store.write(place + "b", b"1", ttl=self.ttl)
                kept = await store.write(place + "a", b"2")
                await eventually(lambda: _gone(store, place + "b"), within=self.settle)
                last = await store.write(place + "c", b"")
                changes = await until(watch, place + "c", last, self.settle)
                assert changes[place + "a"].kind is ChangeKind.PUT
                assert changes[place + "a"].version == kept
            assert (await store.read(place + "a")).value == b"2"


async def _gone(store: Store, key: str) -> bool:
    try:
        await store.read(key)
    except NotFound:
        return True
    return False
