"""Messages of the dialect in a ``TypedStore``."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.ids import new_id
from micro_rt.store.store import Store
from tests.helpers.waiting import soon


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
