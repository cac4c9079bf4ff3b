from __future__ import annotations

import json
from pathlib import Path

import pytest

from micro_rt.backends.local.store import LocalStore
from micro_rt.config.base import Source, Tree
from micro_rt.service.store_config import StoreConfig
from micro_rt.store.store import Store
from micro_rt.testing.contracts import SourceContract


class TestStoreConfig(SourceContract):
    folder: Path

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> Source:
        return StoreConfig("store:app/settings.json", store=LocalStore("local:", home=self.folder))

    async def put(self, tree: Tree) -> None:
        async with Store.over(LocalStore("local:", home=self.folder)) as store:
            await store.write("app/settings.json", json.dumps(tree).encode())

    async def spoil(self) -> bool:
        async with Store.over(LocalStore("local:", home=self.folder)) as store:
            await store.write("app/settings.json", b'{"a": "Canary7')
        return True
