"""examples/mesh/demo.py does what it says: nodes and clients of both languages on a Consul of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.helpers.mesh import RegistryServer, go_program

MESH = Path(__file__).parent.parent.parent / "examples" / "mesh"
LIMIT = 300.0
"""Seconds; far more than it needs."""


async def test_the_demo_shows_what_it_promises(consul: RegistryServer) -> None:
    # The fixture is asked so that this is skipped where there is no Consul.
    for package in ("./server", "./client"):
        await asyncio.to_thread(go_program, MESH / "go", package)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MICRO_REGISTRY")}
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        str(MESH / "demo.py"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT):
            output = (await demo.communicate())[0].decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.communicate()
    assert demo.returncode == 0, output
    steps = re.split(r"\n(?=\d  )", output)
    assert len(steps) == 7, output
    _, _, registry, python, go, stopped, killed = steps
    assert (registry.count("go-micro"), registry.count("micro-rt")) == (2, 2)
    assert python.count("micro.NotFound greeter.absent: Godot has not come, from go-micro") == 2
    assert python.count("micro.NotFound greeter.absent: Godot has not come, from micro-rt") == 2
    assert "errors.Error 404 greeter.absent: Godot has not come" in go
    assert sorted(re.findall(r"(Go|Python) \d+ +answered", go)) == ["Go", "Go", "Python", "Python"]
    assert "0 lost" in go
    assert "has left in good order" in stopped
    assert "0 lost" in stopped
    assert "0 were lost" in killed
    assert re.search(r"Go \d+ +answered +[1-9]\d* before, +0 after", killed), "the killed node answered nothing after"
    assert len(re.findall(r"answered +[1-9]\d* before, +[1-9]\d* after", killed)) == 2
