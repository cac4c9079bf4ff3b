from micro_rt.selector.base import LoadSelector
from micro_rt.selector.least_loaded import LeastLoaded
from micro_rt.testing.contracts import LoadSelectorContract


class TestLeastLoaded(LoadSelectorContract):
    def make(self) -> LoadSelector:
        return LeastLoaded()
