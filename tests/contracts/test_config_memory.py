from __future__ import annotations

import pytest

from micro_rt.config.base import Source, Tree
from micro_rt.config.memory import Memory
from micro_rt.testing.contracts import SourceContract


class TestMemory(SourceContract):
    places = False

    @pytest.fixture(autouse=True)
    def sources(self) -> None:
        self.tree: Tree = {}
        self.made: list[Memory] = []

    async def make(self) -> Source:
        source = Memory(self.tree)
        self.made.append(source)
        return source

    async def put(self, tree: Tree) -> None:
        self.tree = tree
        for source in self.made:
            source.replace(tree)
