"""What the tests of ``mdns:`` on several hosts share: programs on hosts, and lines of JSON from them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.interop.hosts import Host

__all__ = ["PYTHON", "Program", "program", "service", "shown"]

ROOT = Path(__file__).parent.parent.parent
PYTHON = (sys.executable, str(Path(__file__).with_name("mdns_peer.py")))
PATIENCE = 60.0
"""Seconds; everything takes far less, however busy the machine is."""


class Program:
    """A peer that runs."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Returns the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def until(self, expected: Any) -> None:
        """Reads lines of JSON until one is as expected."""
        seen: list[Any] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while text := await self.line():
                    seen.append(json.loads(text))
                    if seen[-1] == expected:
                        return
        raise AssertionError(f"no {expected} in {seen}")

    async def end(self) -> None:
        """Has it deregister, and waits until it did."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert await self.line() == "deregistered"

    def kill(self) -> None:
        """Ends it without a goodbye."""
        self.process.kill()


@contextlib.asynccontextmanager
async def program(host: Host, *command: str) -> AsyncIterator[Program]:
    """Runs a peer on a host until the block ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    process = await host.run(*command, stdin=PIPE, stdout=PIPE, env=environment)
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def service(name: str, id: str, address: str, version: str = "1.0.0", **metadata: str) -> dict[str, Any]:
    """Returns a service with one node, in the form of go-micro's registry."""
    request = {
        "name": "HelloRequest",
        "type": "HelloRequest",
        "values": [{"name": "name", "type": "string", "values": None}],
    }
    endpoint = {"name": "Greeter.Hello", "request": request, "response": None, "metadata": {"stream": "true"}}
    node = {"id": id, "address": address, "metadata": {"protocol": "grpc", **metadata}}
    return {"name": name, "version": version, "metadata": {}, "endpoints": [endpoint], "nodes": [node]}


def shown(service: dict[str, Any]) -> dict[str, Any]:
    """Returns a service's node as mdns_peer.py shows it."""
    (node,) = service["nodes"]
    return {
        "id": node["id"],
        "address": node["address"],
        "transport": "grpc",
        "version": service["version"],
        "services": [],
        "metadata": node["metadata"],
        "endpoints": service["endpoints"],
    }
