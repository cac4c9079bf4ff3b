"""Settings that change while a service runs: saved, misspelt, mended, and explained.

python examples/live_config/demo.py
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
PATIENCE = 60.0
"""Seconds; everything that the demo waits for takes a fraction of one."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as temporary:
        folder = Path(temporary)
        (folder / "conf").mkdir()
        os.environ.update(
            MICRO_HOME=str(folder / "state"),  # the registry's file, away from the user's own
            MICRO_CONFIG="file:conf/,env:TICKETS",
            TICKETS_LIMITS__SOLD_OUT="Hamlet,Faust",
            PYTHONPATH=os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))),
        )
        sys.path.insert(0, str(folder))
        generate(folder)

        title("1", "A service, its settings in a file and in a variable")
        save(folder, "[limits]\nper_order = 2\n")
        say("$ export MICRO_CONFIG=file:conf/,env:TICKETS TICKETS_LIMITS__SOLD_OUT=Hamlet,Faust")
        say("$ python server.py")
        log = folder / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, str(HERE / "server.py")], cwd=folder, stdout=output, stderr=output
            )
        try:
            asyncio.run(change_settings(folder, log, server))
            explain(folder)
        finally:
            server.terminate()
            code = server.wait(20)
        say(f"the server left with exit code {code}")
    return code


async def change_settings(folder: Path, log: Path, server: subprocess.Popen[bytes]) -> None:
    # The demo is a client; the settings of the server are not its own.
    async with micro.Service("demo", config=[]) as service:
        await until(lambda: "serves tickets.Tickets" in logged(log) or server.poll() is not None, log)
        await show("Hamlet", 1, service)
        await show("Macbeth", 4, service)

        title("2", "The file is saved: the next call has the new limit")
        save(folder, "[limits]\nper_order = 6\n")
        await until_allowed("Macbeth", 4, service, log)
        await show("Macbeth", 4, service)

        title("3", "A misspelt name: nothing changes, and the log says where it is")
        save(folder, "[limits]\nper_ordr = 1\n")
        await until(lambda: "per_ordr" in logged(log), log)
        say(next(line for line in logged(log).splitlines() if "per_ordr" in line).partition("micro_rt.config: ")[2])
        await show("Macbeth", 4, service)

        title("4", "Mended: everything follows again")
        save(folder, "[limits]\nper_order = 8\n")
        await until_allowed("Macbeth", 8, service, log)
        await show("Macbeth", 8, service)


async def order(name: str, count: int, service: micro.Service) -> str:
    from tickets_micro import TicketsClient
    from tickets_pb2 import OrderRequest

    try:
        reply = await TicketsClient(service).order(OrderRequest(show=name, count=count), timeout=PATIENCE)
    except (micro.InvalidArgument, micro.FailedPrecondition) as error:
        return f"{type(error).__name__}: {error.message}"
    return reply.message


async def show(name: str, count: int, service: micro.Service) -> None:
    say(f"order {count} for {name:<8} ->  {await order(name, count, service)}")


async def until_allowed(name: str, count: int, service: micro.Service, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while ":" in await order(name, count, service):
        if time.monotonic() > deadline:
            raise SystemExit(f"the settings did not change; the log of the server:\n{logged(log)}")
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"the server does not do what it should; its log:\n{logged(log)}")
        await asyncio.sleep(0.02)


def logged(log: Path) -> str:
    return log.read_text()


def explain(folder: Path) -> None:
    title("5", "Where a value comes from")
    say("$ micro-rt config explain limits")
    command = [sys.executable, "-m", "micro_rt", "config", "explain", "limits"]
    for line in subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines():
        say(line)


def save(folder: Path, text: str) -> None:
    """Saves the file as editors do: a new file takes the place of the old one."""
    for line in text.splitlines()[1:]:
        say(f"conf/limits.toml: {line}")
    new = folder / "conf" / ".limits.toml.new"
    new.write_text(text)
    new.replace(folder / "conf" / "limits.toml")


def generate(folder: Path) -> None:
    command = ["generate", "-I", str(HERE), "--out", str(folder), str(HERE / "tickets.proto")]
    subprocess.run([sys.executable, "-m", "micro_rt", *command], check=True, stdout=subprocess.DEVNULL)


def title(number: str, text: str) -> None:
    print(f"\n\033[1m{number}. {text}\033[0m" if COLOUR else f"\n{number}. {text}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
