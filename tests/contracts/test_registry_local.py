import contextlib
import resource
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.state import state_path
from micro_rt.registry.base import Registry
from micro_rt.testing.contracts import OtherProcess, RegistryContract
from tests.helpers.sizes import Size


class LocalContract(RegistryContract):
    """Subclasses say where the state is."""

    folder: Path
    namespace = "default"

    async def write_raw(self, name: str, id: str, entry: str) -> bool:
        file = sqlite3.connect(state_path("registry", self.folder, self.namespace), isolation_level=None)
        with contextlib.closing(file):
            file.execute(
                "INSERT INTO leases SELECT ?, token || ?, ?, epoch, expires, registered FROM leases LIMIT 1",
                (id, id, entry),
            )
            file.execute("INSERT INTO listings VALUES (?, ?)", (name, id))
        return True

    def cut_off(self) -> contextlib.AbstractAsyncContextManager[None]:
        return unwritable()


@contextlib.asynccontextmanager
async def unwritable() -> AsyncGenerator[None]:
    """Has every write of this process to a file fail, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.verify("registry", tests=["test_many_nodes", "test_quick_changes_converge_and_never_go_back"])
class TestLocalRegistry(LocalContract):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.changes = size((2000, 200), ci=(200, 40))

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> Registry:
        return LocalRegistry("local:", home=self.folder)

    def other_process(self) -> OtherProcess:
        return OtherProcess(
            "micro_rt.backends.local.registry:LocalRegistry",
            "local:",
            {"MICRO_HOME": str(self.folder), "MICRO_NAMESPACE": "default"},
        )


class TestLocalRegistryWithFullSync(LocalContract):
    namespace = "full"
    many = 200
    changes = 50

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        monkeypatch.setenv("MICRO_HOME", str(tmp_path))
        monkeypatch.setenv("MICRO_NAMESPACE", self.namespace)

    async def make(self) -> Registry:
        return LocalRegistry("local:?sync=full")

    def other_process(self) -> OtherProcess:
        return OtherProcess("micro_rt.backends.local.registry:LocalRegistry", "local:?sync=full")
