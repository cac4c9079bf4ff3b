from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from micro_rt.config.base import Source, Tree, Value
from micro_rt.config.flags import Flags
from micro_rt.testing.contracts import SourceContract


class TestFlags(SourceContract):
    live = False
    names = ("plain", "under_score", "with-dash", "two words", "UPPER", "ümlaut", "7")

    @pytest.fixture(autouse=True)
    def arguments(self) -> None:
        self.argv: list[str] = []

    async def make(self) -> Source:
        return Flags(self.argv)

    async def put(self, tree: Tree) -> None:
        self.argv = [each for path, value in flags(tree, "--") for each in written(path, value)]


def flags(tree: Mapping[str, Value], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flags(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def written(flag: str, value: str) -> list[str]:
    """Returns one of the two forms of a flag."""
    return [flag, value] if len(flag) % 2 else [f"{flag}={value}"]
