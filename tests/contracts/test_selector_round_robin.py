from micro_rt.selector.base import Selector
from micro_rt.selector.round_robin import RoundRobin
from micro_rt.testing.contracts import SelectorContract


class TestRoundRobin(SelectorContract):
    def make(self) -> Selector:
        return RoundRobin()
