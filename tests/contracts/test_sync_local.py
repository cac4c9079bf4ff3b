import contextlib
import sqlite3
from pathlib import Path

import pytest

from micro_rt.backends.local.state import state_path
from micro_rt.backends.local.sync import LocalSync
from micro_rt.sync.base import SyncEngine
from micro_rt.testing.contracts import OtherSync, SyncContract
from tests.contracts.test_registry_local import unwritable


class LocalContract(SyncContract):
    """Subclasses say which address is used."""

    folder: Path
    address = "local:"
    ttl = 0.5

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> SyncEngine:
        return LocalSync(self.address, home=self.folder)

    def other_process(self) -> OtherSync:
        environment = {"MICRO_HOME": str(self.folder), "MICRO_NAMESPACE": "default"}
        return OtherSync("micro_rt.backends.local.sync:LocalSync", self.address, environment)

    def cut_off(self) -> contextlib.AbstractAsyncContextManager[None]:
        return unwritable()

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        file = sqlite3.connect(state_path("sync", self.folder, "default"), isolation_level=None, timeout=30)
        with contextlib.closing(file):
            return file.execute("DELETE FROM claims WHERE name = ?", (name,)).rowcount > 0


class TestLocalSync(LocalContract): ...


class TestLocalSyncWithFullSync(LocalContract):
    address = "local:?sync=full"
    waiters = 50
    turns = 10
