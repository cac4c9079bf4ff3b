"""For users' tests: a service and its clients in one process, a faulty network; suites for backends are in ``contracts``."""

from micro_rt.testing.proxy import FaultProxy
from micro_rt.testing.serving import serve

__all__ = ["FaultProxy", "serve"]
