"""Every service of the test protos, whatever its names: served, and each of its methods called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.testing import serve
from tests.codegen.tools import tree


@pytest.fixture(params=["root", "package"])
def stubs(
    request: pytest.FixtureRequest, generated: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[ModuleType]]:
    """The stub modules, imported at the import root or inside a package that is the output folder."""
    prefix = f"{generated.name}." if request.param == "package" else ""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(generated.parent if prefix else generated)
    names = [path.removesuffix(".py").replace("/", ".") for path in tree(generated) if path.endswith("_micro.py")]
    yield [importlib.import_module(prefix + name) for name in names]
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(generated)):
            del sys.modules[name]


async def test_every_method_of_every_service(stubs: list[ModuleType]) -> None:
    called = 0
    for module in stubs:
        for name in module.__all__:
            if name.endswith("Base") and not name.endswith("SubscriberBase"):
                client = getattr(module, f"{name.removesuffix('Base')}Client")
                called += await _call_everything(getattr(module, name), client)
    assert called > 50


async def _call_everything(base: type[Any], client: type[Any]) -> int:
    methods: tuple[micro.Method[Any, Any], ...] = base._info_.methods
    handler = type("Handler", (base,), {method.python_name: _answer(method) for method in methods})()
    async with serve(handler, auth="off") as service:
        stub = client(service)
        for method in methods:
            call = getattr(stub, method.python_name)
            request, reply = _message(method.request_type), _message(method.reply_type)
            if method.kind is micro.Kind.UNARY:
                assert await call(request) == reply
            elif method.kind is micro.Kind.CLIENT_STREAM:
                assert await call([request, request]) == reply
            else:
                requests = [request, request] if method.kind.client_streams else request
                assert [item async for item in call(requests)] == [reply, reply]
    return len(methods)


def _answer(method: micro.Method[Any, Any]) -> Any:
    """Returns the method of a handler, which answers with empty messages."""
    reply = _message(method.reply_type)

    async def unary(self: object, request: Any, context: micro.Context) -> Any:
        assert type(request) is method.request_type
        return reply

    async def server_stream(self: object, request: Any, context: micro.Context) -> AsyncIterator[Any]:
        yield reply
        yield await unary(self, request, context)

    async def client_stream(self: object, requests: AsyncIterator[Any], context: micro.Context) -> Any:
        return [await unary(self, request, context) async for request in requests][-1]

    async def bidi_stream(self: object, requests: AsyncIterator[Any], context: micro.Context) -> AsyncIterator[Any]:
        async for request in requests:
            yield await unary(self, request, context)

    return {
        micro.Kind.UNARY: unary,
        micro.Kind.SERVER_STREAM: server_stream,
        micro.Kind.CLIENT_STREAM: client_stream,
        micro.Kind.BIDI_STREAM: bidi_stream,
    }[method.kind]


def _message(kind: type[Any]) -> Any:
    """Returns a message that has nothing but what it must have."""
    message = kind()
    for name in message.FindInitializationErrors():
        setattr(message, name, 1)
    return message
