"""What stubs are at run time: docstrings, descriptions of methods, names."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import micro_rt
from tests.codegen.tools import generate


@pytest.fixture
def load(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(generated)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(generated)):
            del sys.modules[name]


def _described(module: ModuleType, service: str) -> micro_rt.ServiceInfo:
    info: object = getattr(module, f"{service}Client")._info_
    assert isinstance(info, micro_rt.ServiceInfo)
    assert getattr(module, f"{service}Base")._info_ is info
    return info


def test_services_say_what_the_proto_says(load) -> None:  # type: ignore[no-untyped-def]
    module, messages = load("greeter_micro"), load("greeter_pb2")
    info = _described(module, "Greeter")
    assert (info.name, info.target) == ("greeter.Greeter", "greeter")
    assert [(m.name, m.python_name, m.path, m.kind.name, m.idempotency.name) for m in info.methods] == [
        ("SayHello", "say_hello", "/greeter.Greeter/SayHello", "UNARY", "NO_SIDE_EFFECTS"),
        ("Repeat", "repeat", "/greeter.Greeter/Repeat", "SERVER_STREAM", "NO_SIDE_EFFECTS"),
        ("Gather", "gather", "/greeter.Greeter/Gather", "CLIENT_STREAM", "UNKNOWN"),
        ("Chat", "chat", "/greeter.Greeter/Chat", "BIDI_STREAM", "UNKNOWN"),
    ]
    assert info.methods[1].request_type is messages.RepeatRequest
    assert info.methods[1].reply_type is messages.HelloReply


def test_targets(load) -> None:  # type: ignore[no-untyped-def]
    assert _described(load("named_micro"), "Named").target == "the.name"
    assert _described(load("named_micro"), "Unnamed").target == "named.v1"
    assert _described(load("bare_micro"), "BareService").target == "BareService"
    assert _described(load("names_micro"), "Nothing").methods == ()


def test_names_that_python_keeps_for_itself(load) -> None:  # type: ignore[no-untyped-def]
    module = load("names_micro")
    names = [method.python_name for method in _described(module, "Keywords").methods]
    assert names == [
        "import_",
        "import__",
        "list",
        "float",
        "match",
        "rpc_hidden",
        "rpc__init__",
        "self",
        "thing",
    ]
    for name in names:
        assert inspect.isfunction(getattr(module.KeywordsClient, name))
        assert inspect.isfunction(getattr(module.KeywordsBase, name))


def test_unary_methods_of_clients_are_coroutine_functions_and_those_of_handlers_may_be_plain(load) -> None:  # type: ignore[no-untyped-def]
    module = load("greeter_micro")
    coroutines = {name for name, value in vars(module.GreeterClient).items() if inspect.iscoroutinefunction(value)}
    assert coroutines == {"say_hello"}
    coroutines = {name for name, value in vars(module.GreeterBase).items() if inspect.iscoroutinefunction(value)}
    assert coroutines == set()


def test_comments_are_docstrings(load) -> None:  # type: ignore[no-untyped-def]
    module = load("comments_micro")
    for stub in (module.TalkClient, module.TalkBase):
        assert inspect.getdoc(stub) == 'Says "everything".\n\\'
        assert stub.say.__doc__ == "Ends with a backslash \\"
        assert inspect.getdoc(stub.old) == "Old.\n\nVery old.\n\nDeprecated."
        assert stub.older.__doc__ == "Deprecated."
    module = load("greeter_micro")
    assert module.GreeterClient.__doc__ == "The greeting service."
    assert module.GreeterBase.chat.__doc__ == "Greets everybody who comes by, as they come."


def test_reserved_members_of_the_bases(tmp_path: Path) -> None:
    """An rpc cannot take the name of something that its base class has."""
    members = {name for base in (micro_rt.Client, micro_rt.Handler) for name in dir(base)}
    assert not {name for name in members if not name.startswith("_")}, "reserve these in names.py"


def test_messages_of_another_folder_with_the_same_name(load) -> None:  # type: ignore[no-untyped-def]
    send, describe = _described(load("billing.invoice_list_micro"), "Invoices").methods
    assert send.reply_type is load("top_pb2").Label
    assert describe.reply_type is load("billing.invoice_list_pb2").Label


def test_an_empty_file(tmp_path: Path) -> None:
    response = generate(tmp_path, {"empty.proto": 'syntax = "proto3";\n'})
    assert response.error == ""
    assert [file.name for file in response.file] == ["empty_pb2.py", "empty_pb2.pyi"]
