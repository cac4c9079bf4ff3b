"""Generated code under mypy --strict and pyright strict, at the import root and inside a package."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.codegen.test_messages import GOOGLEAPIS, GRPC_TOOLS
from tests.codegen.tools import NAMES, PROTOS, PURELIB, ROOT, SCRIPTS, protoc, run, write

GOOD = """\
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import TypedDict

import micro_rt as micro

from PREFIXgreeter_micro import GreeterBase, GreeterClient
from PREFIXgreeter_pb2 import HelloReply, HelloRequest, RepeatRequest
from PREFIXbilling.invoice_list_micro import InvoicesClient
from PREFIXbilling.invoice_list_pb2 import Invoice, Label
from PREFIXnames_pb2 import Fields
from PREFIXnested_pb2 import STATE_GOOD, Outer, State
from PREFIXorder_events_micro import OrderEventsPublisher, OrderEventsSubscriberBase
from PREFIXorder_events_pb2 import Placed
from PREFIXtorture.events_micro import EventsPublisher, EventsSubscriberBase
from PREFIXtorture.events_pb2 import Datetime, PublishAll
from PREFIXodd_pb2 import Odd
from PREFIXold_pb2 import Record, numbers, outside
from PREFIXpresence_pb2 import Presence
from PREFIXshop.order_pb2 import Money, Order


class Greeter(GreeterBase):
    async def say_hello(self, request: HelloRequest, context: micro.Context) -> HelloReply:
        return HelloReply(message=f"Hello {request.name}")

    async def repeat(self, request: RepeatRequest, context: micro.Context) -> AsyncIterator[HelloReply]:
        for _ in range(request.times):
            yield HelloReply(message=request.name)

    async def gather(self, requests: AsyncIterator[HelloRequest], context: micro.Context) -> HelloReply:
        return HelloReply(message=", ".join([request.name async for request in requests]))

    async def chat(self, requests: AsyncIterator[HelloRequest], context: micro.Context) -> AsyncIterator[HelloReply]:
        async for request in requests:
            yield HelloReply(message=request.name)


class Plain(GreeterBase):
    def say_hello(self, request: HelloRequest, context: micro.Context) -> HelloReply:
        other: HelloReply = context.wait(GreeterClient(micro.Service("web")).say_hello(request))
        return other

    def repeat(self, request: RepeatRequest, context: micro.Context) -> Iterator[HelloReply]:
        for _ in range(request.times):
            yield HelloReply(message=request.name)

    def gather(self, requests: Iterator[HelloRequest], context: micro.Context) -> HelloReply:
        return HelloReply(message=", ".join([request.name for request in requests]))

    def chat(self, requests: Iterator[HelloRequest], context: micro.Context) -> Iterator[HelloReply]:
        for request in requests:
            yield HelloReply(message=request.name)


async def call(service: micro.Service) -> str:
    greeter = GreeterClient(service)
    reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=1.0, metadata={"a": "b"}, info=micro.CallInfo())
    text: str = reply.message
    async for reply in greeter.repeat(RepeatRequest(name="Ada", times=2)):
        text += reply.message
    text += (await greeter.gather([HelloRequest(name="Ada")])).message
    async with greeter.chat() as stream:
        await stream.send(HelloRequest(name="Grace"))
        text += (await stream.receive()).message
    sent = await InvoicesClient(service).send(Invoice(orders=[Order(total=Money(cents=1))], label=Label()))
    print(sent.text)
    return text


class Billing(OrderEventsSubscriberBase):
    async def placed(self, event: Placed, context: micro.EventContext) -> None:
        number: str = event.order_id
        print(number, context)

    async def placed_part(self, event: Placed.Part, context: micro.EventContext) -> None:
        print(event.refund.cents)


class Torture(EventsSubscriberBase):
    async def datetime(self, event: Datetime, context: micro.EventContext) -> None:
        print(event)

    async def tombstone(self, context: micro.EventContext) -> None:
        print(context.key)


async def publish(service: micro.Service) -> list[micro.Published]:
    events = OrderEventsPublisher(service)
    now = datetime.now(UTC)
    one: micro.Published = await events.placed(Placed(order_id="1"), key=b"1", headers={"a": "b"}, time=now)
    some = await events.publish_all([Placed(), Placed.Part()], headers={})
    some += await events.publish_all(Placed(order_id=f"{number}") for number in range(3))
    await EventsPublisher(service).publish_all_(PublishAll(), key="a")
    some.append(await events.tombstone(Placed, key="1", headers={"a": "b"}, timeout=1.0))
    return [one, *some]


def read(outer: Outer, presence: Presence, record: Record) -> int:
    inner: Outer.Inner = outer.by_name["x"]
    state: State = inner.state
    inner.state = STATE_GOOD
    inner.state = State.Value("STATE_GOOD")
    inner.kinds.append(Outer.Inner.KIND_ODD)
    outer.words.extend(["a", "b"])
    outer.by_number[1] = "one"
    seconds: int = outer.time.seconds
    name: str = State.Name(state)
    choice = presence.WhichOneof("choice")
    if choice == "first":
        seconds += presence.first
    if presence.HasField("maybe"):
        presence.ClearField("maybe")
    extended: str = record.Extensions[outside]
    seconds += record.Extensions[numbers][0] + len(extended)
    odd: str = Odd(Clear="x").Clear
    number: int = Presence.MAYBE_FIELD_NUMBER
    return seconds + len(name) + len(odd) + number + state


Keywords = TypedDict("Keywords", {"from": str, "class": int})


def spell(keywords: Keywords) -> str:
    return Fields(match="a", **keywords).match
"""

WRONG = {
    "a reply of another type": "async def f(c: GreeterClient, r: HelloRequest) -> int: return await c.say_hello(r)",
    "a request of another type": "async def f(c: GreeterClient) -> None: await c.say_hello(HelloReply())",
    "a deprecated method": "async def f(c: OldServiceClient, r: Nested) -> None: await c.do(r)",
    "a deprecated message": "from PREFIXtorture.deprecated_pb2 import Old; print(Old(field='x'))",
    "a keyword argument of another type": "Fields(**typing.cast(Numbered, {'from': 1}))",
    "a request left out": "async def f(c: GreeterClient) -> None: await c.say_hello()",
    "an unknown argument": "async def f(c: GreeterClient, r: HelloRequest) -> None: await c.say_hello(r, wait=1)",
    "an unknown method": "async def f(c: GreeterClient, r: HelloRequest) -> None: await c.SayHello(r)",
    "a stream awaited": "async def f(c: GreeterClient, r: RepeatRequest) -> None: await c.repeat(r)",
    "another message in a stream": "async def f(c: GreeterClient) -> None: await c.gather([HelloReply()])",
    "an unknown field": "HelloRequest(nam='x')",
    "a field of another type": "HelloRequest(name=1)",
    "an attribute of another type": "HelloRequest().name = 1",
    "an unknown attribute": "HelloRequest().nam = 'x'",
    "a message assigned": "Presence().itself = Presence()",
    "presence of a plain field": "Presence().HasField('plain')",
    "an unknown oneof": "Presence().WhichOneof('choices')",
    "a number for an enum": "Outer(state=1)",
    "a constant assigned": "Outer.Inner().KIND_ODD = Outer.Inner.KIND_UNKNOWN",
    "an extension of another message": "Presence().Extensions[outside]",
    "another key in a map": "Outer().by_number['x'] = 'y'",
    "an override with another reply": (
        "class G(GreeterBase):\n"
        "    async def say_hello(self, request: HelloRequest, context: micro.Context) -> int: return 1"
    ),
    "an override with another request": (
        "class G(GreeterBase):\n"
        "    async def say_hello(self, request: HelloReply, context: micro.Context) -> HelloReply: return request"
    ),
    "another event published": "async def f(p: OrderEventsPublisher) -> None: await p.placed(Placed.Part())",
    "a deprecated event published": "async def f(p: OrderEventsPublisher) -> None: await p.lost(typing.cast(typing.Any, 1))",
    "no event among many": "async def f(p: OrderEventsPublisher) -> None: await p.publish_all([HelloReply()])",
    "a number for a key": "async def f(p: OrderEventsPublisher) -> None: await p.placed(Placed(), key=1)",
    "a tombstone without a key": "async def f(p: OrderEventsPublisher) -> None: await p.tombstone(Placed)",
    "an event for a tombstone": "async def f(p: OrderEventsPublisher) -> None: await p.tombstone(Placed(), key='1')",
    "a number for a time": "async def f(p: OrderEventsPublisher) -> None: await p.placed(Placed(), time=1.0)",
    "an unknown event": "async def f(p: OrderEventsPublisher) -> None: await p.order_placed(Placed())",
    "a handler of another event": (
        "class G(OrderEventsSubscriberBase):\n"
        "    async def placed(self, event: Placed.Part, context: micro.EventContext) -> None: ..."
    ),
    "a handler that is not a coroutine": (
        "class G(OrderEventsSubscriberBase):\n"
        "    def placed(self, event: Placed, context: micro.EventContext) -> None: ..."
    ),
    "the label of another file": "Invoice(label=other.Label())",
}

HEAD = """\
import micro_rt as micro
from PREFIXgreeter_micro import GreeterBase, GreeterClient
from PREFIXgreeter_pb2 import HelloReply, HelloRequest, RepeatRequest
from PREFIXbilling.invoice_list_pb2 import Invoice
from PREFIXnested_pb2 import Outer
from PREFIXold_pb2 import outside
from PREFIXorder_events_micro import OrderEventsPublisher, OrderEventsSubscriberBase
from PREFIXorder_events_pb2 import Placed
from PREFIXpresence_pb2 import Presence
from PREFIXnames_pb2 import Fields
from PREFIXtorture.deprecated_micro import OldServiceClient
from PREFIXtorture.deprecated_pb2 import Nested
import PREFIXtop_pb2 as other
import typing
Numbered = typing.TypedDict("Numbered", {"from": int})
"""


@pytest.fixture(scope="module", params=["root", "package", "named", "relative"])
def layout(request: pytest.FixtureRequest) -> str:
    """Where the code is: at the import root, in a package, in one that it knows the name of, or in one that it knows only of."""
    return str(request.param)


@pytest.fixture(scope="module")
def prefix(layout: str) -> str:
    return "" if layout == "root" else "inside.deep."


@pytest.fixture(scope="module")
def project(layout: str, prefix: str, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated code, a use of it that is right, and a line for each that is wrong."""
    folder = tmp_path_factory.mktemp("project")
    place = folder.joinpath(*prefix.split("."))
    if layout in ("named", "relative"):
        package = "inside.deep" if layout == "named" else "."
        protoc(place, [PROTOS, ROOT], NAMES, f"--micro_opt=package={package}")
    else:
        shutil.copytree(generated, place, dirs_exist_ok=True)
    if prefix:
        packages = {path.parent for path in place.rglob("*.py")} | {place.parent}
        write(folder, {f"{package.relative_to(folder)}/__init__.py": "" for package in packages})
    write(folder, {"good.py": GOOD.replace("PREFIX", prefix), "wrong.py": _wrong(prefix)})
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    write(folder, {"pyrightconfig.json": json.dumps(config)})
    return folder


def test_mypy(project: Path) -> None:
    write(
        project,
        {
            "mypy.ini": f"[mypy]\nstrict = true\npython_version = 3.11\nmypy_path = {ROOT}\nenable_error_code = deprecated\n"
        },
    )
    said = run(SCRIPTS / "mypy", "--explicit-package-bases", ".", cwd=project, check=False).stdout
    errors = [line.split(": error: ")[0] for line in said.splitlines() if ": error: " in line]
    places = {line.split(":")[0] for line in errors}
    assert places == {"wrong.py"}, said
    assert _caught({int(line.split(":")[1]) for line in errors}, project) == set(WRONG)


def test_pyright(project: Path) -> None:
    said = run(SCRIPTS / "pyright", "--outputjson", "--pythonpath", SCRIPTS / "python", cwd=project, check=False).stdout
    report = json.loads(said)
    errors = [entry for entry in report["generalDiagnostics"] if entry["severity"] != "information"]
    assert report["summary"]["filesAnalyzed"] > len(list(project.rglob("*_pb2.py")))
    assert {Path(entry["file"]).name for entry in errors} == {"wrong.py"}, said
    assert _caught({entry["range"]["start"]["line"] + 1 for entry in errors}, project) == set(WRONG)


@pytest.mark.parametrize("types", ["pyi", "mypy"])
def test_messages_that_others_generated(types: str, tmp_path: Path) -> None:
    """Stubs alone, beside the messages of protoc and the types of protoc or of mypy-protobuf."""
    options = [f"--python_out={tmp_path}", f"--{types}_out={tmp_path}", "--micro_opt=messages=none"]
    protoc(tmp_path, [PROTOS], ["greeter.proto"], *options)
    right = "async def f(c: GreeterClient, r: HelloRequest) -> str: return (await c.say_hello(r)).message\n"
    wrong = "async def g(c: GreeterClient, r: HelloRequest) -> int: return (await c.say_hello(r)).message\n"
    head = "from greeter_micro import GreeterClient\nfrom greeter_pb2 import HelloRequest\n"
    write(tmp_path, {"use.py": head + right + wrong})
    said = run(SCRIPTS / "mypy", "--strict", "use.py", "greeter_micro.py", cwd=tmp_path, check=False).stdout
    assert [line.split(" error")[0] for line in said.splitlines() if " error: " in line] == ["use.py:4:"]
    write(tmp_path, {"pyrightconfig.json": json.dumps({"typeCheckingMode": "strict"})})
    python = SCRIPTS / "python"
    files = ["use.py", "greeter_micro.py"]
    said = run(SCRIPTS / "pyright", "--outputjson", "--pythonpath", python, *files, cwd=tmp_path, check=False).stdout
    report = json.loads(said)
    assert [entry["range"]["start"]["line"] for entry in report["generalDiagnostics"]] == [3]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is generated for every .proto of googleapis-common-protos."""
    folder = tmp_path_factory.mktemp("public")
    protoc(folder, [PURELIB, GRPC_TOOLS], GOOGLEAPIS)
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    write(folder, {"pyrightconfig.json": json.dumps(config)})
    write(folder, {"mypy.ini": f"[mypy]\nstrict = true\npython_version = 3.11\nmypy_path = {ROOT}\n"})
    return folder


def test_public_protos_under_mypy(public: Path) -> None:
    files = sorted([*public.rglob("*.pyi"), *public.rglob("*_micro.py")])
    assert len(files) > 60
    run(SCRIPTS / "mypy", "--explicit-package-bases", *files, cwd=public)


def test_public_protos_under_pyright(public: Path) -> None:
    checked = run(SCRIPTS / "pyright", "--stats", "--pythonpath", SCRIPTS / "python", cwd=public).stdout
    assert "0 errors" in checked
    found = re.search(r"Total files checked: (\d+)", checked)
    assert found is not None
    assert int(found[1]) > 60


def test_public_protos_are_formatted(public: Path) -> None:
    checked = run("ruff", "format", "--isolated", "--check", "--line-length", "120", public).stdout
    found = re.search(r"(\d+) files already formatted", checked)
    assert found is not None
    assert int(found[1]) > 60


def _wrong(prefix: str) -> str:
    uses = ""
    for number, (name, code) in enumerate(WRONG.items()):
        code = code.replace("def f(", f"def f{number}(").replace("class G(", f"class G{number}(")
        uses += f"# {name}\n{code}\n"
    return (HEAD + uses).replace("PREFIX", prefix)


def _caught(lines: set[int], project: Path) -> set[str]:
    """Returns the wrong uses that have an error in one of their lines."""
    caught: set[str] = set()
    name = ""
    for number, line in enumerate((project / "wrong.py").read_text().splitlines(), 1):
        if line.startswith("# "):
            name = line.removeprefix("# ")
        elif number in lines:
            caught.add(name)
    return caught
