"""examples/orders does what it says, on the embedded engines and on Kafka and Consul, by environment variables alone."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parent.parent.parent / "examples" / "orders" / "demo.py"
LIMIT = 300.0
"""Seconds; far more than it needs."""


async def shown(environment: dict[str, str]) -> str:
    """Runs the demo, and returns what it printed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        str(DEMO),
        env={**own, **environment},
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
    return output


def check(output: str) -> None:
    assert "300 of 300 are paid and shipped, 0 were lost" in output
    assert "kill -9" in output
    assert "after 3 attempts: INVALID_ARGUMENT: order poison has a total of -5 cents" in output
    assert "the 3 processes left stopped in good order" in output


async def test_it_runs_with_nothing_installed() -> None:
    check(await shown({}))


async def test_it_runs_on_kafka_and_consul(kafka: Any, consul: Any) -> None:
    output = await shown({"MICRO_BROKER": f"{kafka.url}/?session=6", "MICRO_REGISTRY": consul.url})
    assert f"on {kafka.url}" in output
    check(output)
