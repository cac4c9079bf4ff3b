from micro_rt.backends.memory.store import MemoryStore
from micro_rt.store.base import StoreEngine
from micro_rt.testing.contracts import StoreContract


class TestMemoryStore(StoreContract):
    async def make(self) -> StoreEngine:
        return MemoryStore("memory:contract")
