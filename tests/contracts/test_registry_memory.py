import uuid

import pytest

from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.registry.base import Registry
from micro_rt.testing.contracts import RegistryContract


class TestMemoryRegistry(RegistryContract):
    async def make(self) -> Registry:
        return MemoryRegistry("memory:")


class TestNamedMemoryRegistry(RegistryContract):
    @pytest.fixture(autouse=True)
    def name(self) -> None:
        self.address = f"memory:{uuid.uuid4()}"

    async def make(self) -> Registry:
        return MemoryRegistry(self.address)
