"""Orders, billing and shipping: rpc and events together, one of two billing processes killed in the middle.

python examples/orders/demo.py

Runs on embedded engines; with MICRO_REGISTRY=consul://… and MICRO_BROKER=kafka://… the same processes meet there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
ORDERS = 300
WORKERS = 8
PATIENCE = 120.0
"""Seconds until every order must be shipped; some engines take a while to notice who is dead."""

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-orders-") as temporary:
        folder = Path(temporary)
        os.environ.setdefault("MICRO_HOME", str(folder / "state"))  # away from the user's own
        os.environ["PYTHONPATH"] = str(folder)
        sys.path.insert(0, str(folder))

        title("1", "From a .proto to typed calls and typed events")
        generate(folder)

        title("2", f"An order service, two of billing, one of shipping, on {os.environ.get('MICRO_BROKER', 'local:')}")
        processes = [
            start(folder, name, number) for number, name in enumerate(("orders", "billing", "billing", "shipping"))
        ]
        try:
            lost = asyncio.run(follow(processes[1], folder))
        finally:
            for process in processes:
                if process.poll() is None:
                    process.terminate()
            codes = [process.wait(60) for process in processes]
        say(f"the {codes.count(0)} processes left stopped in good order")
    return 1 if lost else 0


def generate(folder: Path) -> None:
    say("$ micro-rt generate orders.proto")
    command = ["-m", "micro_rt.cli.main", "generate", "-I", str(HERE), "--out", str(folder), str(HERE / "orders.proto")]
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    for path in sorted(folder.glob("orders*")):
        say(f"  {path.name:<22} {len(path.read_text().splitlines()):>4} lines")


def start(folder: Path, name: str, number: int) -> subprocess.Popen[bytes]:
    say(f"$ python {name}.py")
    with (folder / f"{number}-{name}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, str(HERE / f"{name}.py")], stdout=log, stderr=log)


async def follow(victim: subprocess.Popen[bytes], folder: Path) -> int:
    """Places orders, kills one billing process meanwhile, and waits for what becomes of the orders; returns how many are lost."""
    from orders_micro import OrdersClient
    from orders_pb2 import STATUS_SHIPPED, GetRequest, PlaceRequest

    async with micro.Service("demo") as service:
        orders = OrdersClient(service)
        await up(service, folder)

        title("3", f"{ORDERS} orders by rpc, and kill -9 in the middle")
        numbers = iter(range(1, ORDERS + 1))

        async def place() -> None:
            for number in numbers:
                if number == ORDERS // 2:
                    victim.send_signal(signal.SIGKILL)
                    say(paint("31", f"kill -9 {victim.pid}, one of billing's two"))
                await orders.place(PlaceRequest(order_id=str(number), total_cents=100 * number), timeout=30)

        await asyncio.gather(*(place() for _ in range(WORKERS)))
        await orders.place(PlaceRequest(order_id="poison", total_cents=-5))
        say(f"{ORDERS} orders are placed, and one that nobody can bill")

        title("4", "What became of them")
        open_orders = {str(number) for number in range(1, ORDERS + 1)}
        began = time.monotonic()
        while open_orders and time.monotonic() < began + PATIENCE:
            for number in list(open_orders):
                if (await orders.get(GetRequest(order_id=number), timeout=30)).status == STATUS_SHIPPED:
                    open_orders.discard(number)
            await asyncio.sleep(0.2)
        say(
            f"{ORDERS - len(open_orders)} of {ORDERS} are paid and shipped, "
            + paint("32;1", f"{len(open_orders)} were lost")
            + f"; that took {time.monotonic() - began:.1f} s"
        )
        await show_dead_letter(service)
        return len(open_orders)


async def up(service: micro.Service, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not await service.registry.resolve("orders"):
        if time.monotonic() > deadline:
            raise SystemExit(f"the order service did not come up; the logs:\n{logs(folder)}")
        await asyncio.sleep(0.05)


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))


async def show_dead_letter(service: micro.Service) -> None:
    """Shows why the last order could not be billed, and puts it back."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(micro.NotFound):  # Billing tries again before it puts the order aside.
            async for letter in micro.replay(await service.broker(), "orders", "billing"):
                say(f"orders.billing.dead: after {letter.attempts} attempts: {letter.reason}")
                say("put back for billing, as `micro-rt events replay orders --group billing` does")
                return
        await asyncio.sleep(0.2)


def title(number: str, text: str) -> None:
    print(f"\n{paint('36;1', f'{number}  {text}')}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def paint(style: str, text: str) -> str:
    return f"\033[{style}m{text}\033[0m" if COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
