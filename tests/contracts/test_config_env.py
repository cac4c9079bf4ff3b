from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from micro_rt.config.base import Source, Tree, Value
from micro_rt.config.env import Env
from micro_rt.testing.contracts import SourceContract


class TestEnv(SourceContract):
    live = False
    names = ("plain", "under_score", "x7")

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    async def make(self) -> Source:
        return Env("CONTRACT")

    async def put(self, tree: Tree) -> None:
        for name, value in variables(tree, "CONTRACT_"):
            self.monkeypatch.setenv(name, value)


def variables(tree: Mapping[str, Value], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from variables(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", str(value)
