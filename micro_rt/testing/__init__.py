"""For users' tests: a service, its clients and its events in one process, a faulty network; suites for backends are in ``contracts``."""

from micro_rt.testing.events import PublishedEvent
from micro_rt.testing.proxy import FaultProxy
from micro_rt.testing.serving import MakesHandlers, MakesSubscriber, TestService, serve

__all__ = ["FaultProxy", "MakesHandlers", "MakesSubscriber", "PublishedEvent", "TestService", "serve"]
