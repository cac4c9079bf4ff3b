"""Messages of this dialect in a store: the same bytes, so a program of either dialect reads what the other has written."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.ids import new_id
from micro_rt.store.store import Store
from tests.codegen.dialect.conftest import Modules
from tests.helpers.waiting import soon


def test_a_store_holds_messages_of_both_dialects(everything: Modules) -> None:
    async def check() -> None:
        ours, google = everything.ours.Scalars, everything.google.Scalars
        async with micro.Store.over(MemoryStore()) as store:
            items: micro.TypedStore[Any] = micro.TypedStore(store, ours, prefix="items/")
            others: micro.TypedStore[Any] = micro.TypedStore(store, google, prefix="items/")
            await items.write("one", ours(an_int32=5))
            assert (await items.read("one")).value == ours(an_int32=5)
            assert (await others.read("one")).value == google(an_int32=5)

            def more(item: Any) -> Any:
                item.an_int32 += 1
                return item

            assert (await items.update("one", more)).value.an_int32 == 6
            assert (await others.update("one", more)).value.an_int32 == 7
            async with items.watch(initial=True) as changes:
                change = await anext(changes)
                assert change.record is not None
                assert change.record.value == ours(an_int32=7)
            await store.write("items/broken", b"\xff\xff")
            with pytest.raises(micro.DataLoss, match="items/broken"):
                await items.read("broken")
            with pytest.raises(TypeError, match="Scalars"):
                await items.write("two", google(an_int32=5))

    asyncio.run(check())


async def test_messages_of_the_dialect_are_stored(importable: None) -> None:
    money: Any = importlib.import_module("till.money_pb").Money
    async with Store.over(MemoryStore(f"memory:{new_id()}")) as store:
        sums: micro.TypedStore[Any] = micro.TypedStore(store, money, prefix="sums/")
        version = await sums.write("a", money(units=1), metadata={"a": "b"})
        record = await sums.read("a")
        assert (record.value, record.version) == (money(units=1), version)

        def more(found: Any) -> Any:
            found.units += 1
            return found

        changed = await sums.update("a", more, metadata={"c": "d"})
        assert changed is not None
        assert (changed.value.units, changed.metadata) == (2, {"c": "d"})
        changed = await sums.update("a", more)
        assert changed is not None
        assert changed.metadata == {"c": "d"}
        async with contextlib.aclosing(sums.list()) as found:
            assert [each.value.units async for each in found] == [3]
        await store.write("sums/broken", b"\xff\xff\xff")
        async with sums.watch(initial=True) as changes:
            assert (await soon(anext(changes))).key == "a"
            with pytest.raises(micro.DataLoss, match="sums/broken"):
                await anext(changes)
            assert (await soon(anext(changes))).kind is micro.ChangeKind.SYNCED
