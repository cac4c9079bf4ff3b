"""A config that is read while it is reloaded: no reader sees half of an update."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from micro_rt.config import Config, Memory
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually


@dataclass(frozen=True)
class Pair:
    a: int
    b: int
    list: tuple[int, ...]


def tree_of(number: int) -> dict[str, Any]:
    # What is absent in every other update would show a mapping that is filled while it is read.
    extra = {f"extra{each}": number for each in range(20)} if number % 2 else {}
    return {"pair": {"a": number, "b": number, "list": [number] * 5}, "more": {"a": number, "b": number, **extra}}


class Reader(threading.Thread):
    """Reads an invariant as fast as it can: every value that belongs to one update is the same."""

    def __init__(self, config: Config) -> None:
        super().__init__(daemon=True)
        self._config = config
        self._live = config.bind("pair", Pair)
        self.reads = 0
        self.torn: list[Any] = []
        self.ended = threading.Event()
        self.begun = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            pair = self._live.value
            other = self._config.get("pair", Pair)
            more = self._config.get("more", dict[str, int])
            raw: Mapping[str, Any] = self._config.get("")
            found = [
                {pair.a, pair.b, *pair.list},
                {other.a, other.b, *other.list},
                set(more.values()),
                {raw["pair"]["a"], raw["pair"]["b"], *raw["pair"]["list"], *raw["more"].values()},
            ]
            if any(len(values) != 1 for values in found):
                self.torn.append(found)
                return
            if len(more) != (22 if more["a"] % 2 else 2):
                self.torn.append(more)
                return
            self.reads += 4
            self.begun.set()


@pytest.mark.verify("config")
async def test_no_read_is_torn_while_a_config_is_reloaded(size: Size, figures: Figures) -> None:
    """Faults viper#1394 and koanf#305: racing reads, and empty values during a reload."""
    reloads = size(10_000, ci=300)
    source = Memory(tree_of(0))
    async with Config([source, Memory({"more": {"a": 0, "b": 0}}, name="other")][::-1]) as config:
        reader = Reader(config)
        reader.start()
        try:
            await asyncio.to_thread(reader.begun.wait)
            for number in range(1, reloads + 1):
                source.replace(tree_of(number))
                await eventually(lambda number=number: config.get("pair.a", int) == number)  # type: ignore[misc]
        finally:
            reader.ended.set()
            await asyncio.to_thread(reader.join)
        assert not reader.torn
        assert reader.reads
        assert config.revision == reloads + 1
        assert config.get("pair", Pair) == Pair(reloads, reloads, (reloads,) * 5)
    figures.add("reloads", reloads)
    figures.add("reads", reader.reads)
    figures.add("torn", len(reader.torn))
