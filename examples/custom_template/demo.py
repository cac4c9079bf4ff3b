"""Generates stubs by a template of its own, which adds a fake of each service, and tests a function with the fake."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from micro_rt.testing import serve

HERE = Path(__file__).parent


def main() -> None:
    """Generates the stubs, and uses them."""
    with tempfile.TemporaryDirectory() as out:
        option = f"templates={HERE / 'templates'}"
        command = [
            sys.executable,
            "-m",
            "micro_rt.cli.main",
            "generate",
            f"-I{HERE}",
            f"--out={out}",
            f"--opt={option}",
        ]
        subprocess.run([*command, str(HERE / "orders.proto")], check=True, stdout=subprocess.DEVNULL)
        sys.path.insert(0, out)
        asyncio.run(use(import_module("orders_micro"), import_module("orders_pb2")))


async def price(orders: Any, messages: Any, id: str) -> str:
    """What is to be tested: says what an order costs."""
    order = await orders.get(messages.GetRequest(id=id))
    return f"{order.total_cents / 100:.2f}"


async def use(stubs: Any, messages: Any) -> None:
    """Tests a function that calls a service, without the service."""
    fake = stubs.OrdersFake()
    fake.get_replies.append(messages.Order(id="42", total_cents=1999))
    async with serve(fake) as service:
        print("order 42 costs", await price(stubs.OrdersClient(service), messages, "42"))
    print("the service was asked for", [request.id for request in fake.get_requests])


if __name__ == "__main__":
    main()
