"""Tests of lists and pages."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import base64
import json

import pytest

from micro_rt.errors import InvalidArgument
from micro_rt.kit.chance import shuffle
from micro_rt.store.base import MAX_KEY, Record
from micro_rt.store.store import Store
from micro_rt.testing.contracts.store.records import TEXTS
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix

__all__ = ["Lists"]


class Lists(StoreSuite):
    """Tests of lists and pages."""

    async def test_keys_are_ordered_by_their_bytes(self) -> None:
        async with self.store() as store:
            place = prefix()
            keys = [place + one + other for one in TEXTS for other in ("", *TEXTS[:8])]
            shuffle(keys)
            await store.write_many(dict.fromkeys(keys, b""))
            ordered = sorted(dict.fromkeys(keys), key=str.encode)
            assert [record.key async for record in store.list(place)] == ordered
            assert [record.key for record in await _pages(store, place, limit=7)] == ordered

    async def test_a_prefix_is_a_prefix_and_nothing_else(self) -> None:
        """LIKE takes the signs % and _ of a prefix for any text."""
        async with self.store() as store:
            place = prefix()
            await store.write_many(dict.fromkeys([place + text + "x" for text in TEXTS], b""))
            for text in TEXTS:
                expected = sorted((place + each + "x" for each in TEXTS if each.startswith(text)), key=str.encode)
                assert [record.key async for record in store.list(place + text)] == expected, text
            assert [record async for record in store.list(place + "nothing")] == []

    async def test_all_keys_are_listed_without_a_prefix(self) -> None:
        async with self.store() as store:
            place = prefix()
            await store.write(place + "a", b"")
            assert place + "a" in [record.key async for record in store.list(values=False)]

    async def test_a_suffix_is_looked_for_before_the_limit(self) -> None:
        """go-micro applied the limit first."""
        async with self.store() as store:
            place = prefix()
            await store.write_many(
                {f"{place}{number:04}{'!' if number % 50 == 49 else '.'}": b"" for number in range(500)}
            )
            expected = [f"{place}{number:04}!" for number in range(49, 500, 50)]
            assert [record.key async for record in store.list(place, suffix="!")] == expected
            page = await store.page(place, suffix="!", limit=4)
            assert [record.key for record in page.records] == expected[:4]
            page = await store.page(place, suffix="!", limit=100, cursor=page.cursor)
            assert [record.key for record in page.records] == expected[4:]
            assert page.cursor == ""

    async def test_a_list_begins_behind_a_key(self) -> None:
        async with self.store() as store:
            place = prefix()
            keys = [f"{place}{number:03}" for number in range(20)]
            await store.write_many(dict.fromkeys(keys, b"v"))
            assert [record.key async for record in store.list(place, after=keys[4])] == keys[5:]
            assert [record.key async for record in store.list(place, after=keys[4] + "x")] == keys[5:]
            assert [record.key async for record in store.list(place, after=keys[-1])] == []
            assert {record.value async for record in store.list(place, values=False)} == {b""}

    async def test_pages_hold_every_record_once(self) -> None:
        """go-micro's file store panicked."""
        async with self.store() as store:
            place = prefix()
            keys = [f"{place}{number:05}" for number in range(self.many)]
            await store.write_many(dict.fromkeys(keys, b"v"))
            for limit in (1000, 333):
                assert [record.key for record in await _pages(store, place, limit=limit)] == keys
            page = await store.page(place + keys[0].removeprefix(place), limit=1)
            assert (len(page.records), page.cursor) == (1, "")
            assert await store.page(place + "nothing") == await store.page(place + "nothing")

    async def test_records_that_go_or_come_meanwhile_disturb_no_page(self) -> None:
        async with self.store() as store:
            place = prefix()
            keys = [f"{place}{number:03}" for number in range(100)]
            await store.write_many(dict.fromkeys(keys, b""))
            seen: list[str] = []
            cursor = ""
            while True:
                page = await store.page(place, limit=10, cursor=cursor)
                seen += [record.key for record in page.records]
                cursor = page.cursor
                if not cursor:
                    break
                await store.delete(seen[-1])
                await store.write(f"{place}{len(seen) - 5:03}!", b"")
            assert seen == keys

    async def test_a_list_of_large_values_is_read_in_parts(self) -> None:
        async with self.store() as store:
            place = prefix()
            for number in range(5):
                await store.write(f"{place}{number}", bytes([number]) * self.large)
            page = await store.page(place)
            assert 1 <= len(page.records) < 5
            assert page.cursor
            found = [(record.key, len(record.value), record.value[:1]) async for record in store.list(place)]
            assert found == [(f"{place}{number}", self.large, bytes([number])) for number in range(5)]

    async def test_pages_continue_behind_the_longest_keys(self) -> None:
        """A cursor holds the prefix, the suffix and the key, and JSON makes six characters of each of these."""
        async with self.store() as store:
            place = prefix() + "\x00" * 900
            keys = [place + "\x00" * more + "a" for more in (110, 9, 8)]
            await store.write_many(dict.fromkeys(keys, b""))
            assert [record.key for record in await _pages(store, place, limit=1)] == keys
            assert [record.key for record in await _pages(store, place, limit=1, suffix="\x00" * 900 + "a")] == keys

    async def test_cursors_that_cannot_be_are_refused(self) -> None:
        async with self.store() as store:
            place = prefix()
            await store.write_many({f"{place}{number}": b"" for number in range(9)})
            cursor = (await store.page(place, limit=2)).cursor
            assert (await store.page(place, limit=2, cursor=cursor)).records
            for other in (place + "1", "", "x"):
                with pytest.raises(InvalidArgument, match="cursor"):
                    await store.page(other, cursor=cursor)
            with pytest.raises(InvalidArgument, match="cursor"):
                await store.page(place, suffix="1", cursor=cursor)
            deep = base64.urlsafe_b64encode(b"[" * 3000).decode()
            foreign = base64.urlsafe_b64encode(json.dumps([place, "", "elsewhere"]).encode()).decode()
            surrogate = base64.urlsafe_b64encode(json.dumps([place, "", place + "\ud800"]).encode()).decode()
            long = base64.urlsafe_b64encode(json.dumps([place, "", place + "a" * MAX_KEY]).encode()).decode()
            for broken in (
                surrogate,
                long,
                "x",
                "é",
                cursor[:-2],
                cursor + "A" * 100_000,
                deep,
                foreign,
                "bnVsbA",
                "WzFd",
            ):
                with pytest.raises(InvalidArgument, match="cursor"):
                    await store.page(place, cursor=broken)
            with pytest.raises(TypeError):
                await store.page(place, cursor=5)  # type: ignore[arg-type]
            for limit in (0, -1, 1001):
                with pytest.raises(InvalidArgument, match="1 to 1000"):
                    await store.page(place, limit=limit)


async def _pages(store: Store, place: str, *, limit: int, suffix: str = "") -> list[Record]:
    found: list[Record] = []
    cursor = ""
    while True:
        page = await store.page(place, limit=limit, cursor=cursor, suffix=suffix)
        assert len(page.records) <= limit
        found += page.records
        cursor = page.cursor
        if not cursor:
            return found
