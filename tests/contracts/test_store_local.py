import contextlib
from pathlib import Path

import pytest

from micro_rt.backends.local.store import FileStore, LocalStore
from micro_rt.store.base import StoreEngine
from micro_rt.testing.contracts import OtherStore, StoreContract
from tests.contracts.test_registry_local import unwritable


class LocalContract(StoreContract):
    """Subclasses say where the file is."""

    folder: Path

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def cut_off(self) -> contextlib.AbstractAsyncContextManager[None]:
        return unwritable()


class TestLocalStore(LocalContract):
    async def make(self) -> StoreEngine:
        return LocalStore("local:", home=self.folder)

    def other_process(self) -> OtherStore:
        environment = {"MICRO_HOME": str(self.folder), "MICRO_NAMESPACE": "default"}
        return OtherStore("micro_rt.backends.local.store:LocalStore", "local:", environment)


class TestFileStoreWithFullSync(LocalContract):
    many = 300

    async def make(self) -> StoreEngine:
        return FileStore(f"file:{self.folder}/data/store.db?sync=full")

    def other_process(self) -> OtherStore:
        return OtherStore("micro_rt.backends.local.store:FileStore", f"file:{self.folder}/data/store.db?sync=full")
