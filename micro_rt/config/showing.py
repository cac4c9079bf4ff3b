"""What ``explain`` and ``dump`` show: every value with its source and place, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from micro_rt.config.base import Path, Value
from micro_rt.config.frozen import Text, at
from micro_rt.config.layers import Layer
from micro_rt.config.merging import Merged
from micro_rt.config.paths import shown_path
from micro_rt.config.secret import is_secret_name, mentions_secret
from micro_rt.kit.secrets import HIDDEN, scrubbed
from micro_rt.text import printable

__all__ = ["Setting", "Shown"]

_LONGEST = 200
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What one source says of one path, as it may be shown."""

    path: str
    """``"limits.rps"``."""
    value: str
    """The value as JSON, ``***`` for a secret, or ``null (deletes)``."""
    source: str
    """The name of the source."""
    place: str
    """Where the source has it: ``"conf/a.yaml:12"``, ``"APP_LIMITS__RPS"``; else the name of the source."""
    wins: bool
    """Whether it is the value that programs get."""

    def __str__(self) -> str:
        return f"{self.path} = {self.value}  ({self.place})"


class Shown:
    """Shows merged settings.

    Args:
        merged: the settings.
        secrets: paths at which everything is a secret, in lower case.
    """

    def __init__(self, merged: Merged, secrets: frozenset[Path]) -> None:
        self._merged = merged
        self._secrets = secrets

    def explain(self, path: Path) -> Iterator[Setting]:
        """Yields what every source says of a path and what is below it, the source that counts least first."""
        for layer in self._merged.layers:
            for where, value in _leaves(layer, path):
                yield self._setting(layer, where, value, wins=self._wins(layer, where, value))

    def winners(self) -> Iterator[Setting]:
        """Yields every setting, in the order of the tree."""
        for where, value in _below(self._merged.tree, ()):
            layer = self._merged.winner(where)
            if layer is not None:
                yield self._setting(layer, where, value, wins=True)

    def _wins(self, layer: Layer, path: Path, value: Value) -> bool:
        if value is None or self._merged.winner(path) is not layer:
            return False
        # A mapping without anything in it is one of several that are merged.
        return not isinstance(value, Mapping) or at(self._merged.tree, path) == {}

    def _setting(self, layer: Layer, path: Path, value: Value, *, wins: bool) -> Setting:
        hidden = layer.rules.secret or self._is_secret(path)
        shown = "null (deletes)" if value is None else HIDDEN if hidden else _text(value)
        return Setting(shown_path(path), shown, layer.source, layer.place(path), wins)

    def _is_secret(self, path: Path) -> bool:
        if any(map(is_secret_name, path)):
            return True
        lower = tuple(name.lower() for name in path)
        return any(lower[:end] in self._secrets for end in range(len(lower) + 1))


def _leaves(layer: Layer, path: Path) -> Iterator[tuple[Path, Value]]:
    """Yields what a layer has at a path: its values, its nulls, and its mappings without anything in them."""
    value: Value = layer.tree
    for depth, name in enumerate(path, 1):
        if not isinstance(value, Mapping) or name not in value:
            return
        value = value[name]
        if value is None and depth < len(path):
            yield path[:depth], None  # It deletes what is below.
            return
    yield from _below(value, path)


def _below(value: Value, path: Path) -> Iterator[tuple[Path, Value]]:
    if isinstance(value, Mapping) and (value or path):
        for name, each in value.items():
            yield from _below(each, (*path, name))
        if not value:
            yield path, value
    elif path:
        yield path, value


def _text(value: Value) -> str:
    return printable(json.dumps(_masked(value), ensure_ascii=False), _LONGEST)


def _masked(value: Value) -> object:
    """Returns a value as it may be shown: without secrets by name, and without those of addresses."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if is_secret_name(name) else _masked(each) for name, each in value.items()}
    if isinstance(value, str):
        text = value.given if isinstance(value, Text) else value
        return HIDDEN if mentions_secret(text) else scrubbed(text)
    if isinstance(value, Sequence):
        return [_masked(each) for each in value]
    return value
