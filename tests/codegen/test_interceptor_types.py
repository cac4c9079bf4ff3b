"""Interceptors in a user's code: under mypy --strict and pyright strict, and on the wrong side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
import micro_rt.testing
from tests.codegen.tools import ROOT, SCRIPTS, run, write
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase
from tests.protos.shop_pb2 import Ping

HEAD = """\
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import micro_rt as micro
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.protos.shop_micro import ShopPublisher
from tests.protos.shop_pb2 import OrderPlaced
"""

GOOD = (
    HEAD
    + """

class Typed(micro.ServerInterceptor[Text, Text]):
    async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext[Text, Text]) -> Text:
        reply = await proceed(Text(value=request.value + call.peer), call)
        return Text(value=reply.value)

    async def stream(
        self, requests: AsyncIterator[Text], call: micro.Context, proceed: micro.StreamNext[Text, Text]
    ) -> AsyncIterator[Text]:
        async for reply in proceed(requests, call):
            yield Text(value=reply.value)


class Bare(micro.ServerInterceptor):
    enforces_auth = True

    async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any:
        call.add_trailer("x-seen", call.peer)
        return await proceed(request, call)

    def stream(
        self, requests: AsyncIterator[Any], call: micro.Context, proceed: micro.StreamNext
    ) -> AsyncIterator[Any]:
        return proceed(requests, call)

    async def event(self, event: OrderPlaced, context: micro.EventContext, proceed: micro.EventNext) -> None:
        print(context.attempt, event.order_id)
        await proceed(event, context)


class Half(micro.ServerInterceptor[Text]):
    async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext[Text]) -> Any:
        return await proceed(request, call)


class Sends(micro.ClientInterceptor[Number, Number]):
    async def unary(
        self, request: Number, call: micro.ClientCall, proceed: micro.UnaryNext[Number, Number]
    ) -> Number:
        reply = await proceed(request, call)
        return Number(value=reply.value + call.info.attempts)


class Publishes(micro.ClientInterceptor):
    async def unary(self, request: Any, call: micro.ClientCall, proceed: micro.UnaryNext) -> Any:
        call.target = "elsewhere"
        return await proceed(request, call)

    async def publish(
        self, event: Any, publishing: micro.Publishing, proceed: micro.PublishNext
    ) -> micro.Published:
        publishing.headers += (("x-a", b"b"),)
        published: micro.Published = await proceed(event, publishing)
        return published


class Both(micro.Interceptor):
    async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
        print(call.method.path)
        return await proceed(request, call)

    async def event(self, event: Any, context: Any, proceed: micro.EventNext) -> None:
        await proceed(event, context)

    async def publish(self, event: Any, publishing: Any, proceed: micro.PublishNext) -> Any:
        return await proceed(event, publishing)


RequestT = TypeVar("RequestT")


class Own(micro.ServerInterceptor[RequestT, Text]):
    async def unary(self, request: RequestT, call: micro.Context, proceed: micro.UnaryNext[RequestT, Text]) -> Text:
        return await proceed(request, call)


def serve() -> tuple[LabClient, ShopPublisher]:
    coming_in = [Typed(), Bare(), Half(), Both()]
    by_method: micro.InterceptorsByMethod = {"act": [Both()]}
    service = micro.Service("s", interceptors=coming_in, client_interceptors=[Sends(), Publishes(), Both()])
    service.handle(Lab(), interceptors=[Own[Text](), Both()], method_interceptors={"act": [Typed()]})
    LabClient(service, method_interceptors=by_method)
    client = LabClient(service, interceptors=[Sends()], method_interceptors={"act": [Publishes(), Both()]})
    return client, ShopPublisher(service, interceptors=[Publishes(), Both()])
"""
)

WRONG = {
    "one for servers beside clients": "micro.Service('s', client_interceptors=[Bare()])",
    "one for clients beside servers": "micro.Service('s', interceptors=[Sends()])",
    "one for servers at a client": "def f(s: micro.Service) -> None: LabClient(s, interceptors=[Bare()])",
    "one for servers at a client's method": (
        "def f(s: micro.Service) -> None: LabClient(s, method_interceptors={'act': [Bare()]})"
    ),
    "one for servers at a publisher": "def f(s: micro.Service) -> None: ShopPublisher(s, interceptors=[Bare()])",
    "one for clients at a handler": "def f(s: micro.Service) -> None: s.handle(Lab(), interceptors=[Sends()])",
    "one for clients at a handler's method": (
        "def f(s: micro.Service) -> None: s.handle(Lab(), method_interceptors={'act': [Sends()]})"
    ),
    "a class and no object": "micro.Service('s', interceptors=[Bare])",
    "a ClientCall on the server": (
        "class C(micro.ServerInterceptor):\n"
        "    async def unary(self, request: Any, call: micro.ClientCall, proceed: micro.UnaryNext) -> Any: ..."
    ),
    "a Context on the client": (
        "class C(micro.ClientInterceptor):\n"
        "    async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any: ..."
    ),
    "another request": (
        "class C(micro.ServerInterceptor[Text, Text]):\n"
        "    async def unary(self, request: Number, call: micro.Context, proceed: micro.UnaryNext) -> Text: ..."
    ),
    "another reply": (
        "class C(micro.ServerInterceptor[Text, Text]):\n"
        "    async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext) -> Number: ..."
    ),
    "another request passed on": (
        "class C(micro.ServerInterceptor[Text, Text]):\n"
        "    async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext[Text, Text]) -> Text:\n"
        "        return await proceed(Number(), call)"
    ),
    "another reply of a stream": (
        "class C(micro.ServerInterceptor[Text, Text]):\n"
        "    async def stream(\n"
        "        self, requests: AsyncIterator[Text], call: micro.Context, proceed: micro.StreamNext[Text, Text]\n"
        "    ) -> AsyncIterator[Text]:\n"
        "        yield Number()"
    ),
    "what a Context does not have": (
        "class C(micro.ServerInterceptor):\n"
        "    async def unary(self, request: Any, call: micro.Context, proceed: micro.UnaryNext) -> Any:\n"
        "        return call.target"
    ),
    "an event's context of another kind": (
        "class C(micro.ServerInterceptor):\n"
        "    async def event(self, event: Any, context: micro.Publishing, proceed: micro.EventNext) -> None: ..."
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program that is right, and one with a wrong use of each kind."""
    folder = tmp_path_factory.mktemp("project")
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    wrong = HEAD + "from good import Bare, Sends\n"
    for number, (name, code) in enumerate(WRONG.items()):
        wrong += f"# {name}\n{code.replace('def f(', f'def f{number}(').replace('class C(', f'class C{number}(')}\n"
    files = {
        "good.py": GOOD,
        "wrong.py": wrong,
        "mypy.ini": f"[mypy]\nstrict = true\npython_version = 3.11\nmypy_path = {ROOT}\nfollow_imports = silent\n",
        "pyrightconfig.json": json.dumps(config),
    }
    write(folder, files)
    return folder


def test_mypy_takes_every_style_and_reports_every_wrong_use(project: Path) -> None:
    said = run(SCRIPTS / "mypy", "--explicit-package-bases", "good.py", "wrong.py", cwd=project, check=False).stdout
    errors = [line.split(": error: ")[0] for line in said.splitlines() if ": error: " in line]
    assert {line.split(":")[0] for line in errors} == {"wrong.py"}, said
    assert caught({int(line.split(":")[1]) for line in errors}, project) == set(WRONG)


def test_pyright_takes_every_style_and_reports_every_wrong_use(project: Path) -> None:
    said = run(SCRIPTS / "pyright", "--outputjson", "--pythonpath", SCRIPTS / "python", cwd=project, check=False).stdout
    report = json.loads(said)
    errors = [entry for entry in report["generalDiagnostics"] if entry["severity"] != "information"]
    assert report["summary"]["filesAnalyzed"] == 2
    assert {Path(entry["file"]).name for entry in errors} == {"wrong.py"}, said
    found = {entry["range"]["start"]["line"] + 1 for entry in errors if entry["rule"] != "reportUnusedImport"}
    assert caught(found, project) == set(WRONG)


def caught(lines: set[int], project: Path) -> set[str]:
    """Returns the wrong uses that have an error in one of their lines."""
    found: set[str] = set()
    name = ""
    for number, line in enumerate((project / "wrong.py").read_text().splitlines(), 1):
        if line.startswith("# "):
            name = line[2:]
        elif number in lines:
            found.add(name)
    return found


def test_every_style_works_at_run_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "good"}
    monkeypatch.setenv("MICRO_HOME", str(project))
    exec(compile((project / "good.py").read_text(), "good.py", "exec"), names)
    client, publisher = names["serve"]()
    assert isinstance(client, LabClient)
    assert isinstance(publisher, ShopPublisher)


class ForServers(micro.ServerInterceptor):
    """Passes everything through."""


class ForClients(micro.ClientInterceptor):
    """Passes everything through."""


class Pings(ShopSubscriberBase):
    async def ping(self, event: Ping, context: micro.EventContext) -> None:
        pass


def test_an_interceptor_on_the_wrong_side_is_told_where_it_belongs() -> None:
    service = micro.Service("s", registry="memory:")
    incoming: Any = [ForServers()]
    outgoing: Any = [ForClients()]
    with pytest.raises(TypeError, match=r"ForServers is a micro\.ServerInterceptor.* in interceptors= of micro\.Serv"):
        micro.Service("s", client_interceptors=incoming)
    with pytest.raises(TypeError, match=r"ForServers is a .* interceptors= of micro\.Service, of service\.handle"):
        LabClient(service, interceptors=incoming)
    with pytest.raises(TypeError, match="ForServers is a "):
        LabClient(service, method_interceptors={"act": incoming})
    with pytest.raises(TypeError, match="ForServers is a "):
        ShopPublisher(service, interceptors=incoming)
    with pytest.raises(TypeError, match=r"ForClients is a micro\.ClientInterceptor.* in client_interceptors= of micro"):
        micro.Service("s", interceptors=outgoing)
    with pytest.raises(TypeError, match=r"ForClients is a .* interceptors= of a client or of a publisher"):
        service.handle(Lab(), interceptors=outgoing)
    with pytest.raises(TypeError, match="ForClients is a "):
        service.handle(Lab(), method_interceptors={"act": outgoing})
    with pytest.raises(TypeError, match="ForClients is a "):
        service.subscribe(Pings(), interceptors=outgoing)


async def test_what_a_typed_interceptor_leaves_alone_is_not_in_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks of the bases pass through, and none of them runs."""

    def run_nothing(*_: Any) -> Any:
        raise AssertionError("a hook that is not overridden runs")

    class Louder(micro.ServerInterceptor[Text, Text]):
        async def unary(self, request: Text, call: micro.Context, proceed: micro.UnaryNext[Text, Text]) -> Text:
            return await proceed(Text(value=request.value.upper()), call)

    for base in (micro.ServerInterceptor, micro.ClientInterceptor, micro.Interceptor):
        for hook in {"unary", "stream", "event", "publish"} & vars(base).keys():
            monkeypatch.setattr(base, hook, run_nothing)
    incoming = [ForServers(), Louder(), micro.Interceptor()]
    outgoing = [ForClients(), micro.Interceptor()]
    async with micro_rt.testing.serve(Lab(), interceptors=incoming, client_interceptors=outgoing) as service:
        lab = LabClient(service)
        assert (await lab.act(Text(value="a"))).value == "A"
        assert [each.value async for each in lab.talk([Text(value="b")])] == ["re: b", "bye"]
