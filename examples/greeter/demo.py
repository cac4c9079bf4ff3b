"""The whole story in half a minute: generate, start three servers, call them, kill one, see what happens.

python examples/greeter/demo.py
"""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
SERVERS = 3
CALLS = 3000
WORKERS = 16

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as temporary:
        folder = Path(temporary)
        os.environ["MICRO_HOME"] = str(folder / "state")  # the registry's file, away from the user's own
        os.environ["PYTHONPATH"] = str(folder)
        sys.path.insert(0, str(folder))

        title("1", "From a .proto to typed Python")
        generate(folder)

        title("2", f"{SERVERS} servers, no configuration")
        servers = [start_server(folder, number) for number in range(1, SERVERS + 1)]
        try:
            asyncio.run(call_everything(servers, folder))
        finally:
            for server in servers:
                if server.poll() is None:
                    server.terminate()
            codes = [server.wait(20) for server in servers]
        say(f"the {codes.count(0)} servers left stopped in good order")
    return 0


def generate(folder: Path) -> None:
    command = ["micro-rt", "generate", "-I", str(HERE), "--out", str(folder), str(HERE / "greeter.proto")]
    say("$ micro-rt generate greeter.proto")
    subprocess.run([sys.executable, "-m", "micro_rt.cli.main", *command[1:]], check=True, stdout=subprocess.DEVNULL)
    for path in sorted(folder.glob("greeter*")):
        say(f"  {path.name:<18} {len(path.read_text().splitlines()):>4} lines")


def start_server(folder: Path, number: int) -> subprocess.Popen[bytes]:
    say(f"$ python server.py      # terminal {number}")
    with (folder / f"server-{number}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, str(HERE / "server.py")], stdout=log, stderr=log)


async def call_everything(servers: list[subprocess.Popen[bytes]], folder: Path) -> None:
    from greeter_micro import GreeterClient
    from greeter_pb2 import HelloRequest, RepeatRequest

    async with micro.Service("demo") as service:
        await all_listed(service, folder, servers)
        greeter = GreeterClient(service)

        title("3", "The four kinds of calls")
        reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=5)
        say(f"await say_hello(...)             {reply.message}")
        async for reply in greeter.repeat(RepeatRequest(name="Grace", times=2)):
            say(f"async for ... in repeat(...)     {reply.message}")
        people = [HelloRequest(name=name) for name in ("Ada", "Grace", "Barbara")]
        say(f"await gather(people)             {(await greeter.gather(people)).message}")
        async with greeter.chat() as call:
            for person in people:
                await call.send(person)
                say(f"chat: send, receive              {(await call.receive()).message}")
        try:
            await greeter.say_hello(HelloRequest())
        except micro.InvalidArgument as error:
            say(f"and an error, typed              micro.{type(error).__name__}: {error.message}")

        title("4", f"{CALLS} calls, and kill -9 in the middle")
        await load_and_kill(greeter, servers)


async def all_listed(service: micro.Service, folder: Path, servers: list[subprocess.Popen[bytes]]) -> None:
    """Waits until the registry lists every server."""
    deadline = time.monotonic() + 30
    while len(nodes := await service.registry.resolve("greeter")) < SERVERS:
        if time.monotonic() > deadline or any(server.poll() is not None for server in servers):
            raise SystemExit(f"the servers did not come up; their logs:\n{logs(folder)}")
        await asyncio.sleep(0.05)
    for node in nodes:
        say(f"  {node.id}  at {node.address}")


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("server-*.log")))


async def load_and_kill(greeter: object, servers: list[subprocess.Popen[bytes]]) -> None:
    from greeter_micro import GreeterClient
    from greeter_pb2 import HelloRequest

    assert isinstance(greeter, GreeterClient)
    before, after = collections.Counter[str](), collections.Counter[str]()
    retried = lost = done = 0
    killed_at = 0.0
    killed = servers[0]

    async def work() -> None:
        nonlocal retried, lost, done, killed_at
        while done < CALLS:
            done += 1
            if done == CALLS // 3:
                killed.send_signal(signal.SIGKILL)
                killed_at = time.monotonic()
                say(paint("31", f"kill -9 {killed.pid}"))
            info = micro.CallInfo()
            try:
                await greeter.say_hello(HelloRequest(name="Ada"), timeout=10, info=info)
            except micro.Error as error:
                lost += 1
                say(f"lost: {error}")
            else:
                retried += info.attempts > 1
                (after if killed_at else before)[info.node] += 1

    started = time.monotonic()
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    took = time.monotonic() - started
    for node in sorted(before | after):
        say(f"  {node}  answered {before[node]:>4} before, {after[node]:>4} after")
    say(
        f"{CALLS} calls in {took:.1f} s: {retried} were sent again to another node, "
        + paint("32;1", f"{lost} were lost")
    )
    if lost:
        raise SystemExit(1)


def title(number: str, text: str) -> None:
    print(f"\n{paint('36;1', f'{number}  {text}')}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def paint(style: str, text: str) -> str:
    return f"\033[{style}m{text}\033[0m" if COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
