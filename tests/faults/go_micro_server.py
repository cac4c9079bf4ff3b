"""A node of ours for a mesh with go-micro's, in a process of its own that can be killed.

python -m tests.faults.go_micro_server NAME REGISTRY TTL
"""

from __future__ import annotations

import sys

import micro_rt as micro
from tests.helpers.mesh import PythonMesh

if __name__ == "__main__":
    name, registry, ttl = sys.argv[1:]
    service = micro.Service(name, version="latest", registry=registry, address="127.0.0.1:0", ttl=float(ttl))
    service.handle(PythonMesh())
    service.run()
