"""Messages of this dialect in a store: the same bytes, so a program of either dialect reads what the other has written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from tests.codegen.dialect.conftest import Modules


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
