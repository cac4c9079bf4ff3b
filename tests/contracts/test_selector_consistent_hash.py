from micro_rt.metadata import Metadata
from micro_rt.selector.base import LoadSelector
from micro_rt.selector.consistent_hash import ConsistentHash
from micro_rt.testing.contracts import LoadSelectorContract


class TestConsistentHash(LoadSelectorContract):
    calls = (Metadata(), Metadata({"x-hash-key": "a"}), Metadata({"x-hash-key": "b"}))

    def make(self) -> LoadSelector:
        return ConsistentHash()


class TestConsistentHashOfBytes(LoadSelectorContract):
    calls = (Metadata({"x-key-bin": b"\x00\xff"}),)

    def make(self) -> LoadSelector:
        return ConsistentHash.with_options("key=x-key-bin&bound=none")
