from micro_rt.selector.base import Selector
from micro_rt.selector.random import Random
from micro_rt.testing.contracts import SelectorContract


class TestRandom(SelectorContract):
    def make(self) -> Selector:
        return Random()
