"""One service, two languages: Python and Go nodes behind one Consul, clients in both, and one of each killed or stopped.

python examples/mesh/demo.py

What to see:

1. The same service twice: server.py serves greeter.proto with micro-rt, go/server/main.go serves it with go-micro. The stubs
   come from each project's own generator. Nothing in server.py says Go, and nothing in main.go says Python.
2. Two nodes of each register under one name in one Consul, and each language reads what the other wrote there.
3. A Python client calls: its calls rotate over all four. An error that a Go handler returns is a typed exception here.
4. A Go client calls: its calls are spread over all four too. An error that a Python handler raises is an errors.Error there.
5. SIGTERM of a Python node while Go calls: it leaves the registry first and finishes what it was asked, and go-micro's client,
   which sends nothing again, does not notice.
6. `kill -9` of a Go node while Python calls: no call is lost, what was in flight is sent again to another node. (A client of
   go-micro's would go on calling the dead node, and fail, until the registry drops it after its time to live.)

Consul is found, or built once, by the repository's tests/servers, and so are the Go programs (this takes Go, and some minutes
the first time). With MICRO_REGISTRY=consul://127.0.0.1:8500 the demo uses a Consul that runs already; it has to be on this
machine, because the nodes listen on loopback.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.servers.cache import Unobtainable  # noqa: E402
from tests.servers.obtain import go_binary  # noqa: E402
from tests.servers.shared import Servers  # noqa: E402

NODES = 2  # of each language
CALLS = 2000
WORKERS = 8
GO_CALLS = 1500

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as temporary:
        folder = Path(temporary)
        try:
            title("1", "One .proto, two languages")
            generate(folder)
            go_server, go_client = build("./server"), build("./client")
            title("2", "One Consul, and nodes of both languages under one name")
            with registry():
                return run(folder, go_server, go_client)
        except Unobtainable as error:
            print(f"\n   this demo cannot run here: {error}", file=sys.stderr)
            return 1


def generate(folder: Path) -> None:
    say("$ micro-rt generate greeter.proto")
    subprocess.run(
        [sys.executable, "-m", "micro_rt.cli.main", "generate", "-I", HERE, "--out", folder, HERE / "greeter.proto"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))


def build(package: str) -> Path:
    say(f"$ go build {package}")
    return go_binary(HERE / "go", package, say=lambda line: say(paint("2", line)))


@contextmanager
def registry() -> Iterator[None]:
    """A Consul, named in MICRO_REGISTRY: the one that is there already, or one of our own."""
    given = os.environ.get("MICRO_REGISTRY", "")
    if given.startswith("consul://"):
        say(f"{given} is there already")
        yield
        return
    servers = Servers(say=lambda line: say(paint("2", line)))
    try:
        os.environ["MICRO_REGISTRY"] = servers.shared("consul").url
        say(f"$ export MICRO_REGISTRY={os.environ['MICRO_REGISTRY']}")
        yield
    finally:
        servers.close()


def run(folder: Path, go_server: Path, go_client: Path) -> int:
    python = [start(folder, "python server.py", sys.executable, HERE / "server.py") for _ in range(NODES)]
    go = [start(folder, "./server", go_server) for _ in range(NODES)]
    nodes = [*python, *go]
    try:
        return asyncio.run(call_everything(folder, python, go, go_client))
    finally:
        for node in nodes:
            if node.poll() is None:
                node.terminate()
        for node in nodes:
            node.wait(30)


def start(folder: Path, shown: str, *command: str | Path) -> subprocess.Popen[bytes]:
    with tempfile.NamedTemporaryFile(dir=folder, prefix="node-", suffix=".log", delete=False) as log:
        node = subprocess.Popen(command, stdout=log, stderr=log)
    say(f"$ {shown:<18} # pid {node.pid}")
    return node


async def call_everything(
    folder: Path, python: list[subprocess.Popen[bytes]], go: list[subprocess.Popen[bytes]], go_client: Path
) -> int:
    from greeter_micro import GreeterClient
    from greeter_pb2 import HelloRequest

    async with micro.Service("demo") as service:
        made_with = await all_listed(service, folder, [*python, *go])
        greeter = GreeterClient(service)

        title("3", "A Python client")
        reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=10)
        say(f"await say_hello(...)             {reply.message}, from {reply.greeter}")
        async with greeter.chat() as call:
            for name in ("Grace", "Barbara"):
                await call.send(HelloRequest(name=name))
                reply = await call.receive()
                say(f"chat: send, receive              {reply.message}, from {reply.greeter}")
        for _ in range(2 * NODES):  # once at every node
            info = micro.CallInfo()
            try:
                await greeter.say_hello(HelloRequest(name="Godot"), timeout=10, info=info)
            except micro.NotFound as error:
                what = f"micro.NotFound {error.id}: {error.message}"
                say(f"and an error, typed              {what}, from {made_with[info.node]}")

        title("4", "A Go client")
        lost = await run_go_client(go_client, 400)

        title("5", f"{GO_CALLS} calls from Go, and SIGTERM of a Python node in the middle")
        lost += await run_go_client(go_client, GO_CALLS, python[0])

        title("6", f"{CALLS} calls from Python, and kill -9 of a Go node in the middle")
        lost += await load_and_kill(greeter, go[0])
    return 1 if lost else 0


async def all_listed(service: micro.Service, folder: Path, nodes: list[subprocess.Popen[bytes]]) -> dict[str, str]:
    """Waits until the registry lists every node, and returns what each is made with."""
    deadline = time.monotonic() + 60
    while len(listed := await service.registry.resolve("greeter")) < len(nodes):
        if time.monotonic() > deadline or any(node.poll() is not None for node in nodes):
            raise SystemExit(f"the nodes did not come up; their logs:\n{logs(folder)}")
        await asyncio.sleep(0.05)
    made_with = {node.id: "go-micro" if node.go_micro else "micro-rt" for node in listed}
    for node in listed:
        say(f"  {node.id:<46} at {node.address:<16} {made_with[node.id]}")
    return made_with


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("node-*.log")))


async def run_go_client(program: Path, calls: int, stopped: subprocess.Popen[bytes] | None = None) -> int:
    """Runs the Go client, stops a node once it is at it, and returns how many of its calls were lost."""
    say(f"$ ./client {calls}")
    client = await asyncio.create_subprocess_exec(program, str(calls), stdout=asyncio.subprocess.PIPE)
    assert client.stdout is not None
    stopping: asyncio.Task[None] | None = None
    async for line in client.stdout:
        text = line.decode().rstrip()
        say(text)
        if stopped is not None and "one after the other" in text:
            stopping = asyncio.create_task(stop_soon(stopped))
    if stopping is not None:
        await stopping
    return await client.wait()


async def stop_soon(node: subprocess.Popen[bytes]) -> None:
    await asyncio.sleep(0.5)
    node.terminate()
    say(paint("31", f"kill {node.pid}"))
    code = await asyncio.to_thread(node.wait, 30)
    say(f"{node.pid} has left in good order" if code == 0 else paint("31", f"{node.pid} ended with {code}"))


async def load_and_kill(greeter: object, killed: subprocess.Popen[bytes]) -> int:
    """Calls, kills a node in the middle, and returns how many calls were lost."""
    from greeter_micro import GreeterClient
    from greeter_pb2 import HelloRequest

    assert isinstance(greeter, GreeterClient)
    before, after = collections.Counter[str](), collections.Counter[str]()
    retried = lost = done = 0
    dead = False

    async def work() -> None:
        nonlocal retried, lost, done, dead
        while done < CALLS:
            done += 1
            if done == CALLS // 2:
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                dead = True
                say(paint("31", f"kill -9 {killed.pid}"))
            info, when = micro.CallInfo(), after if dead else before
            try:
                reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=10, info=info)
            except micro.Error as error:
                lost += 1
                say(f"lost: {error}")
            else:
                retried += info.attempts > 1
                when[reply.greeter] += 1

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    for name in sorted(before | after):
        say(f"  {name:<14} answered {before[name]:>4} before, {after[name]:>4} after")
    say(f"{retried} were sent again to another node, " + paint("32;1", f"{lost} were lost"))
    return lost


def title(number: str, text: str) -> None:
    print(f"\n{paint('36;1', f'{number}  {text}')}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def paint(style: str, text: str) -> str:
    return f"\033[{style}m{text}\033[0m" if COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
