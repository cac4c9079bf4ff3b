"""The source ``file:`` in every format, alone and in a folder, watched and polled."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from micro_rt.config.base import Source, Tree, Value
from micro_rt.config.files import source
from micro_rt.config.files.source import File
from micro_rt.kit.file_watch import FileWatch
from micro_rt.testing.contracts import SourceContract


def in_json(tree: Tree) -> str:
    return json.dumps(tree, indent=1, ensure_ascii=False)


def in_yaml(tree: Tree) -> str:
    stream = io.StringIO()
    yaml: Any = YAML(typ="safe", pure=True)  # Its methods have no types.
    yaml.allow_unicode = True
    yaml.dump(tree, stream)
    return stream.getvalue()


def in_toml(tree: Tree) -> str:
    return "".join(f"{_text(name)} = {_toml(value)}\n" for name, value in tree.items())


def _toml(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return _text(value)


def _text(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)


def replace(file: Path, text: str) -> None:
    """Saves as careful editors do: into another file, which then takes the name."""
    other = file.with_name(".saving")
    other.write_text(text, encoding="utf-8")
    other.rename(file)


class _FileContract(SourceContract):
    suffix = ".json"
    write: Callable[[Tree], str] = staticmethod(in_json)
    broken = '{"a": "Canary7'

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / f"app{self.suffix}"

    async def make(self) -> Source:
        return File(f"file:{self.path}")

    async def put(self, tree: Tree) -> None:
        replace(self.path, type(self).write(tree))

    async def spoil(self) -> bool:
        replace(self.path, self.broken)
        return True

    @contextlib.asynccontextmanager
    async def cut_off(self) -> AsyncGenerator[None]:
        away = self.path.with_name("away")
        self.path.rename(away)
        yield
        away.rename(self.path)


class TestJson(_FileContract):
    pass


class TestToml(_FileContract):
    suffix = ".toml"
    write = staticmethod(in_toml)
    broken = "a = Canary7"

    async def put(self, tree: Tree) -> None:
        if tree == {"a": {"b": None, "c": 1}}:
            pytest.skip("TOML has no null")
        await super().put(tree)


class TestYaml(_FileContract):
    suffix = ".yaml"
    write = staticmethod(in_yaml)
    broken = "a: [Canary7"


class TestPolledJson(_FileContract):
    """Without watchfiles."""

    @pytest.fixture(autouse=True)
    def polling(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def polled(*args: object) -> FileWatch:
            return FileWatch(*args, polling=True)  # type: ignore[arg-type]

        monkeypatch.setattr(source, "FileWatch", polled)


class TestFolder(_FileContract):
    """Files of all formats, of which one update changes all: as Kubernetes does, by a symbolic link ``..data``."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "conf"
        self.path.mkdir()
        self.updates = 0

    async def make(self) -> Source:
        return File(f"file:{self.path}/")

    async def put(self, tree: Tree) -> None:
        writers = {"json": in_json, "yaml": in_yaml, "toml": in_json if _has_null(tree) else in_toml}
        files: dict[str, dict[str, Value]] = {}
        for number, (name, value) in enumerate(tree.items()):
            format = ("json", "yaml", "toml")[number % 3]
            files.setdefault(f"{number % 3}.{'json' if writers[format] is in_json else format}", {})[name] = value
        self.update({name: writers[name.partition(".")[2]](each) for name, each in files.items()})

    async def spoil(self) -> bool:
        self.update({"0.json": '{"a": "good"}', "1.yaml": "b: [Canary7"})
        return True

    def update(self, files: Mapping[str, str]) -> None:
        self.updates += 1
        new = self.path / f"..{self.updates}"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        link = self.path / "..data"
        old = link.resolve() if link.is_symlink() else None
        (self.path / "..data_tmp").symlink_to(new.name)
        (self.path / "..data_tmp").rename(link)
        for each in self.path.iterdir():
            if not each.name.startswith(".") and each.name not in files:
                each.unlink()
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        if old is not None:
            for each in old.iterdir():
                each.unlink()
            old.rmdir()


def _has_null(value: Value) -> bool:
    if isinstance(value, Mapping):
        return any(_has_null(each) for each in value.values())
    return value is None
