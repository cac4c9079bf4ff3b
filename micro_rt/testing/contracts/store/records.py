"""Tests of writing, reading and deleting records."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from micro_rt.errors import FailedPrecondition, InvalidArgument, NotFound
from micro_rt.store.base import KEEP, MAX_KEY, MAX_METADATA, StoreEngine
from micro_rt.store.store import Store
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix

__all__ = ["Records"]

TEXTS = (
    "a",
    "A",
    "_",
    "~",
    " ",
    "a b",
    "a/b",
    "ä",
    "☃",
    "🎉",
    "\x00",
    "a\x00b",
    "%",
    "_%\\",
    "'\"`;--",
    "\uffff",
    "\U0010ffff",
    "\u00e9",
    "e\u0301",
)
"""Texts that some engine has taken for something else, or put in another order."""


class Records(StoreSuite):
    """Tests of writing, reading and deleting records."""

    async def test_a_record_comes_back_as_it_was_written(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            for value in (b"", b"\x00", bytes(range(256)), b"x" * 100_000):
                version = await store.write(key, value, metadata={"": "", "é☃": "\x00'\"\\", "n": "1"})
                record = await store.read(key)
                assert (record.key, record.value, record.version) == (key, value, version)
                assert record.metadata == {"": "", "é☃": "\x00'\"\\", "n": "1"}
                assert record.expires is None

    async def test_values_may_be_buffers(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            await store.write(key, bytearray(b"abc"))
            assert (await store.read(key)).value == b"abc"
            await store.write(key, memoryview(b"abcd")[1:])
            assert (await store.read(key)).value == b"bcd"

    async def test_what_was_never_written_is_not_found(self) -> None:
        async with self.store() as store:
            with pytest.raises(NotFound, match="no record"):
                await store.read(prefix() + "a")

    async def test_several_records_are_read_at_once(self) -> None:
        async with self.store() as store:
            place = prefix()
            await store.write_many({place + text: text.encode() for text in TEXTS})
            found = await store.read_many([place + text for text in (*TEXTS, "missing", TEXTS[0])])
            assert {key: record.value for key, record in found.items()} == {place + t: t.encode() for t in TEXTS}
            assert await store.read_many([]) == {}

    async def test_many_records_are_written_and_read_at_once(self) -> None:
        async with self.store() as store:
            place = prefix()
            values = {f"{place}{number}": b"%d" % number for number in range(self.many)}
            versions = await store.write_many(values)
            assert list(versions) == list(values)
            found = await store.read_many(values)
            assert {key: record.version for key, record in found.items()} == versions
            assert {key: record.value for key, record in found.items()} == values

    async def test_a_write_is_seen_by_another_store(self) -> None:
        async with self.store() as one, self.store() as other:
            key = prefix() + "a"
            version = await one.write(key, b"1")
            assert (await other.read(key)).version == version
            await other.write(key, b"2")
            assert (await one.read(key)).value == b"2"

    async def test_a_write_is_seen_by_another_process(self) -> None:
        """nats-server 4710: reads were hours stale."""
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees this store")
        async with self.store() as store, self.another_process(other) as run:
            key = prefix() + "a"
            for number in range(20):
                await store.write(key, b"%d" % number)
                assert await run(f"return (await store.read({key!r})).value") == repr(b"%d" % number)
                await run(f"await store.write({key!r}, b'other{number}')")
                assert (await store.read(key)).value == f"other{number}".encode()

    async def test_records_outlive_the_store(self) -> None:
        key = prefix() + "a"
        async with self.store() as keeper:
            async with self.store() as store:
                version = await store.write(key, b"1")
            async with self.store() as store:
                assert (await store.read(key)).version == version
            assert (await keeper.read(key)).version == version

    async def test_versions_only_grow_and_are_never_used_twice(self) -> None:
        async with self.store() as store:
            place = prefix()
            seen: list[int] = []
            for _ in range(10):
                seen += [await store.write(place + key, b"") for key in ("a", "b")]
                await store.delete(place + "a")
            assert seen == sorted(set(seen))
            assert seen[0] > 0

    async def test_a_deleted_record_is_gone(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            assert not await store.delete(key)
            await store.write(key, b"1", metadata={"a": "b"})
            assert await store.delete(key)
            with pytest.raises(NotFound):
                await store.read(key)
            assert not await store.delete(key)
            assert [record async for record in store.list(key)] == []
            await store.write(key, b"2", metadata=KEEP, ttl=KEEP)
            record = await store.read(key)
            assert (record.value, record.metadata, record.expires) == (b"2", {}, None)

    async def test_metadata_is_replaced_or_kept(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            await store.write(key, b"1", metadata={"a": "b"})
            await store.write(key, b"2", metadata=KEEP)
            assert (await store.read(key)).metadata == {"a": "b"}
            await store.write(key, b"3")
            assert (await store.read(key)).metadata == {}

    async def test_the_longest_key_and_metadata_are_taken(self) -> None:
        async with self.store() as store:
            place = prefix()
            key = place + "é" * ((MAX_KEY - len(place)) // 2)
            metadata = {"a": "b" * (MAX_METADATA - 1)}
            await store.write(key, b"1", metadata=metadata)
            record = await store.read(key)
            assert (record.key, record.metadata) == (key, metadata)

    async def test_what_cannot_be_a_key_is_refused(self) -> None:
        async with self.store() as store:
            for key in ("", "a" * (MAX_KEY + 1), "\ud800"):
                with pytest.raises(InvalidArgument):
                    await store.write(key, b"1")
                with pytest.raises(InvalidArgument):
                    await store.read(key)
                with pytest.raises(InvalidArgument):
                    await store.delete(key)
            with pytest.raises(TypeError):
                await store.read(b"a")  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await store.read_many("abc")

    async def test_what_cannot_be_written_is_refused_and_changes_nothing(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            version = await store.write(key, b"1")
            impossible: tuple[dict[str, Any], ...] = (
                {"ttl": 0},
                {"ttl": -1},
                {"ttl": float("nan")},
                {"ttl": float("inf")},
                {"ttl": 10**400},
                {"ttl": 10**5000},
                {"if_version": 10**5000},
                {"metadata": {"a": "b" * MAX_METADATA}},
                {"metadata": {"\ud800": ""}},
                {"if_version": -1},
                {"if_version": 1 << 63},
                {"if_version": "1"},
                {"if_version": True},
            )
            for arguments in impossible:
                with pytest.raises(InvalidArgument):
                    await store.write(key, b"2", **arguments)
            of_wrong_types: list[Any] = [("text", None), (1, None), (b"", {"a": 1}), (b"", [])]
            for value, metadata in of_wrong_types:
                with pytest.raises(TypeError):
                    await store.write(key, value, metadata=metadata)
            assert (await store.read(key)).version == version

    async def test_a_value_of_the_largest_size_is_taken_and_one_byte_more_is_refused(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            most = (await store.capabilities()).max_value
            assert most >= 1 << 20
            with pytest.raises(InvalidArgument, match=f"{most} at most"):
                await store.write(key, bytes(most + 1))
            with pytest.raises(NotFound):
                await store.read(key)
            value = bytes(most - 3) + b"end"
            await store.write(key, value, timeout=self.settle)
            assert (await store.read(key, timeout=self.settle)).value == value
            await store.delete(key)

    async def test_many_tasks_write_at_once(self) -> None:
        async with self.store() as store:
            place = prefix()
            keys = [f"{place}{number}" for number in range(200)]
            versions = await asyncio.gather(*(store.write(key, key.encode()) for key in keys))
            assert len(set(versions)) == len(keys)
            assert [record.key async for record in store.list(place)] == sorted(keys)

    async def test_a_store_is_opened_again_and_closed_twice(self) -> None:
        async with self.store():
            engine = await self.make()
            store = Store(lambda: _itself(engine))
            for _ in range(3):
                await engine.open()
                await store.write(prefix() + "a", b"1")
                await engine.close()
                await engine.close()
            with pytest.raises(FailedPrecondition, match="not open"):
                await store.read("a")


async def _itself(engine: StoreEngine) -> StoreEngine:
    return engine
