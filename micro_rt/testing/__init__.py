"""For users' tests: a service and its clients in one process. The suites for backends are in ``contracts``."""

from micro_rt.testing.serving import serve

__all__ = ["serve"]
