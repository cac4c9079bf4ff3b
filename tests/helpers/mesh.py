"""A mesh of both languages: nodes and clients of this project's and of go-micro's, who find each other through one registry.

The Go side is the program in ``tests/interop/go_micro``: a node, or a client that does what it is told a line at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import micro_rt as micro
from micro_rt.node import Node as RegisteredNode
from micro_rt.registry.base import Registry
from micro_rt.service.parts import backend
from tests.helpers.missing import missing
from tests.helpers.waiting import eventually
from tests.protos.mesh_micro import MeshBase, MeshClient
from tests.protos.mesh_pb2 import Failure, Node, Number, Pairs, Rest, Rests, Shapes, Text
from tests.servers.cache import Unobtainable
from tests.servers.obtain import go_binary

REGISTRIES = ["consul", "etcd"]
"""The fixtures of the registries that both languages know."""
SETTLE = 180.0
"""Seconds within which something must happen, however busy the machine is."""
SHORT_TTL = 10
"""Seconds that a node stays listed after it died, where a test waits for that."""

_FOLDER = Path(__file__).parent.parent / "interop" / "go_micro"


ClientT = TypeVar("ClientT", bound=micro.Client)


class RegistryServer(Protocol):
    """What the fixtures give."""

    @property
    def address(self) -> str: ...
    @property
    def url(self) -> str: ...


class GoNode:
    """A node of go-micro's in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, id: str, address: str) -> None:
        self.process = process
        self.id = id
        self.address = address

    def kill(self) -> None:
        self.process.kill()

    async def terminate(self) -> None:
        """Stops it as it likes to be stopped, and returns when it is gone."""
        self.process.terminate()
        async with asyncio.timeout(SETTLE):
            assert await self.process.wait() == 0


class GoClient:
    """A client of go-micro's in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, service: str = "", **given: Any) -> dict[str, Any]:
        """Tells it to do something, and returns what it says then: see ``go_micro/client.go``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "service": service, **given}).encode() + b"\n")
        async with asyncio.timeout(SETTLE):
            line = await self._process.stdout.readline()
        assert line, f"the Go client ended when it was to {do}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def failure(self, do: str, service: str, **given: Any) -> dict[str, Any]:
        """Tells it to do something that fails, and returns the error as a user of go-micro sees it."""
        (error,) = (await self.ask(do, service, **given))["errors"]
        assert isinstance(error, dict)
        return error


class PythonMesh(MeshBase):
    """What a node of ours serves; ``go_micro/server.go`` is the same in Go."""

    def __init__(self) -> None:
        self.id = ""
        self.ended: list[Rest] = []
        self.seen: list[micro.Context] = []
        """The contexts of the calls of ``headers`` and ``stream_headers``."""

    async def who(self, request: Text, context: micro.Context) -> Node:
        return Node(id=self.id, language="python")

    async def act(self, request: Text, context: micro.Context) -> Node:
        await asyncio.sleep(0.005)
        return Node(id=self.id, language="python")

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        value = 0
        try:
            while value != request.value:
                yield Number(value=value)
                value += 1
                if request.value < 0:
                    await asyncio.sleep(0.005)
        except (asyncio.CancelledError, GeneratorExit):
            self.ended.append(Rest(name="count", end="stopped"))
            raise

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        total = 0
        async for request in requests:
            total += request.value
        return Number(value=total)

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        try:
            async for request in requests:
                if request.value == "fail":
                    raise micro.AlreadyExists("told to fail", id="mesh.talk")
                yield Text(value=f"re: {request.value}")
        except (asyncio.CancelledError, GeneratorExit):
            self.ended.append(Rest(name="talk", end="stopped"))
            raise
        yield Text(value="bye")

    async def fail(self, request: Failure, context: micro.Context) -> Text:
        if request.kind == "plain":
            raise RuntimeError(request.detail)
        raise micro.Error.of(request.code, request.detail, id=request.id, details=[Text(value="of this project's")])

    async def fail_later(self, request: Failure, context: micro.Context) -> AsyncIterator[Number]:
        yield Number(value=1)
        await self.fail(request, context)

    async def sleep(self, request: Rest, context: micro.Context) -> Rest:
        left = context.remaining()
        remaining = -1 if left is None else int(left * 1000)
        try:
            await asyncio.sleep(request.milliseconds / 1000)
        except asyncio.CancelledError:
            self.ended.append(Rest(name=request.name, remaining=remaining, end="stopped"))
            raise
        rest = Rest(name=request.name, milliseconds=request.milliseconds, remaining=remaining, end="slept")
        self.ended.append(rest)
        return rest

    async def sleepers(self, request: Text, context: micro.Context) -> Rests:
        return Rests(rests=self.ended)

    async def headers(self, request: Text, context: micro.Context) -> Pairs:
        self.seen.append(context)
        return Pairs(values={key: str(value) for key, value in context.metadata.items()})

    async def stream_headers(self, request: Text, context: micro.Context) -> AsyncIterator[Pairs]:
        yield await self.headers(request, context)

    async def mirror(self, request: Shapes, context: micro.Context) -> Shapes:
        return request


class Mesh:
    """Everything of one test; its services go by a name that no other test has.

    Args:
        registry: the one that all use.
        folder: for what the Go programs have to say.
        program: the Go program.
        stack: ends what is started here.
    """

    def __init__(self, registry: RegistryServer, folder: Path, program: Path, stack: AsyncExitStack) -> None:
        self.registry = registry
        self.kind = registry.url.partition(":")[0]
        self.name = f"mesh-{uuid.uuid4().hex[:8]}"
        self._folder = folder
        self._program = program
        self._stack = stack

    async def go_node(
        self,
        name: str = "",
        *,
        version: str = "latest",
        ttl: int = 90,
        metadata: Mapping[str, str] | None = None,
        protocol: str = "grpc",
    ) -> GoNode:
        """Starts a node of go-micro's, which is registered when this returns."""
        pairs = ",".join(f"{key}={value}" for key, value in (metadata or {}).items())
        arguments = ["-name", name or self.name, "-version", version, "-ttl", f"{ttl}s", "-metadata", pairs]
        arguments += ["-protocol", protocol]
        process = await self._start("server", *arguments)
        assert process.stdout is not None
        async with asyncio.timeout(SETTLE):
            line = await process.stdout.readline()
        assert line, f"the Go node ended:\n{self.said()}"
        return GoNode(process, **json.loads(line))

    async def go_client(self) -> GoClient:
        """Starts a client of go-micro's."""
        return GoClient(await self._start("client"))

    async def python_node(
        self, name: str = "", *, version: str = "latest", metadata: Mapping[str, str] | None = None
    ) -> PythonNode:
        """Starts a node of ours, which is registered when this returns."""
        registry = backend("registry", self.kind, "registry")(self.registry.url)
        service = micro.Service(
            name or self.name,
            version=version,
            metadata=metadata,
            registry=registry,
            address="127.0.0.1:0",
            ttl=SHORT_TTL,
        )
        node = PythonNode(service, registry)
        await node.start()
        self._stack.push_async_callback(node.end)
        return node

    async def python_client(self, stub: type[ClientT], name: str = "") -> ClientT:
        """Starts a client of ours."""
        service = await self._stack.enter_async_context(micro.Service("client", registry=self.registry.url))
        return stub(service, target=name or self.name)

    async def listed(self, service: micro.Service, *ids: str, name: str = "") -> tuple[RegisteredNode, ...]:
        """Waits until the registry lists these nodes and no others, and returns them."""
        nodes: tuple[RegisteredNode, ...] = ()

        async def all_there() -> bool:
            nonlocal nodes
            nodes = await service.nodes.registry.resolve(name or self.name)
            return {node.id for node in nodes} == set(ids)

        await eventually(all_there, lambda: f"listed are {[node.id for node in nodes]}, not {ids}", within=SETTLE)
        return nodes

    async def calls_reach(self, client: MeshClient, *ids: str) -> None:
        """Calls until each of these nodes has answered, and none but them for as many calls in a row as there are nodes."""
        recent: list[str] = []

        async def all_answer() -> bool:
            recent.append((await client.who(Text(), timeout=SETTLE)).id)
            return set(recent[-2 * len(ids) :]) == set(ids)

        await eventually(all_answer, lambda: f"answered by {recent[-20:]}, not by {ids}", within=SETTLE)

    async def go_calls_reach(self, client: GoClient, *ids: str) -> None:
        """The same, for a client of go-micro's, which picks nodes at random."""
        answer: dict[str, Any] = {}

        async def all_answer() -> bool:
            nonlocal answer
            answer = await client.ask("who", self.name, times=20 * len(ids))
            return "errors" not in answer and set(answer["nodes"]) == set(ids)

        await eventually(all_answer, lambda: f"answered: {answer}, not by {ids}", within=SETTLE)

    async def go_client_watches(self, client: GoClient, *ids: str) -> None:
        """Waits until a client of go-micro's knows these nodes and hears of changes.

        go-micro begins to watch up to a tenth of a second after the first call, and nobody can see when. What changes before
        that, it learns after a minute: so where this pause is too short, a test takes longer.
        """
        await self.go_calls_reach(client, *ids)
        await asyncio.sleep(1.0)

    def said(self) -> str:
        """What the Go programs wrote to standard error."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("go-*.err")))

    async def _start(self, which: str, *arguments: str) -> asyncio.subprocess.Process:
        where = ["-registry", self.kind, "-registry-address", self.registry.address]
        with (self._folder / f"go-{which}-{uuid.uuid4().hex[:8]}.err").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(self._program),
                which,
                *where,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 24,
                env={key: value for key, value in os.environ.items() if not key.startswith("MICRO_")},
            )
        self._stack.push_async_callback(_end, process)
        return process


class PythonNode:
    """A node of ours, in this process."""

    def __init__(self, service: micro.Service, registry: Registry) -> None:
        self.service = service
        self._registry = registry
        self.mesh = service.handle(PythonMesh())
        self._running = False

    async def start(self) -> None:
        await self.service.__aenter__()
        self._running = True
        assert self.service.node is not None
        self.mesh.id = self.service.node.id

    async def stop(self) -> None:
        """Stops it in good order; does nothing if it is stopped."""
        if self._running:
            self._running = False
            await self.service.__aexit__(None, None, None)

    async def end(self) -> None:
        """Stops it with the test: nobody has to see that it leaves."""
        self._registry.propagation = 0.0  # type: ignore[misc]
        await self.stop()

    @property
    def id(self) -> str:
        return self.mesh.id


@asynccontextmanager
async def mesh_on(registry: RegistryServer, folder: Path) -> AsyncIterator[Mesh]:
    """A mesh on a registry's server; everything that is started ends with it."""
    program = await asyncio.to_thread(go_program, _FOLDER)
    async with AsyncExitStack() as stack:
        yield Mesh(registry, folder, program, stack)


def go_program(folder: Path, package: str = ".") -> Path:
    """Returns a program of a Go module; where it cannot be built, the test is skipped, or fails as the servers' would."""
    try:
        return go_binary(folder, package)
    except Unobtainable as reason:
        missing(reason)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()
