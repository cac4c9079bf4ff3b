from micro_rt.backends.memory.sync import MemorySync
from micro_rt.sync.base import SyncEngine
from micro_rt.testing.contracts import SyncContract


class TestMemorySync(SyncContract):
    async def make(self) -> SyncEngine:
        return MemorySync("memory:contract")

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        assert isinstance(engine, MemorySync)
        engine.drop(name)
        return True
