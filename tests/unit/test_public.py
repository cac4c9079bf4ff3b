"""The public API, as the section "What is public" of docs/architecture.md states it: complete, documented and self-contained."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import importlib
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message

ROOT = Path(__file__).parent.parent.parent
RUNTIME = ROOT / "micro_rt"
PAGE = ROOT / "docs" / "architecture.md"
TITLE = "## What is public"

VOCABULARY = (
    "context",
    "details",
    "errors",
    "event",
    "fence",
    "handler",
    "interceptor",
    "metadata",
    "method",
    "node",
    "status",
)
BASES = sorted(".".join(path.relative_to(RUNTIME).parent.parts) for path in RUNTIME.rglob("base.py"))
PUBLIC = (
    "micro_rt",
    "micro_rt.config",
    "micro_rt.config.files",
    "micro_rt.testing",
    "micro_rt.testing.contracts",
    *(f"micro_rt.{part}.base" for part in BASES),
    *(f"micro_rt.{name}" for name in VOCABULARY),
)
"""The modules that are public: for each of them, the names in its ``__all__`` are."""

PRIVATE = frozenset(
    {
        # The runtime makes these objects, and users get them.
        *(
            f"{kind}.__init__"
            for kind in (
                "BidiStreamCall",
                "ClientStreamCall",
                "DynamicCall",
                "EventSubscription",
                "Lock",
                "Permit",
                "ServerStreamCall",
                "Term",
            )
        ),
        # What these two take is a Service. Their types say how much of it they need, because clients do not import services.
        *("Client.__init__", "Publisher.__init__"),
        # Clients take their nodes from it. Users have Service.registry.
        "Service.nodes",
        "TestService.nodes",
        # A config makes them.
        *("Changes.__init__", "Live.__init__"),
        # The suite's own tests use these.
        *(f"BrokerContract.{name}" for name in ("join", "join_beside_another", "start_other", "start_reader")),
        *(f"BrokerContract.{name}" for name in ("until_all_assigned", "until_assigned", "until_shared")),
    }
)
"""Functions of public classes whose types are not public, and why."""

BY_EXCEPTION = {"micro_rt.backends.grpc.transport", "micro_rt.backends.grpclib.transport"}
"""Modules that a page may import: only there can a TLS context be given."""

FOR_GENERATED_CODE = ("micro_rt.annotations_pb2", "micro_rt.dialects")
"""What generated code imports besides; the modules below these count too."""


def section() -> str:
    """Returns the text of the section that says what is public."""
    text = PAGE.read_text()
    assert text.count(f"\n{TITLE}\n") == 1, f"docs/architecture.md has one section {TITLE!r}"
    return text.partition(f"\n{TITLE}\n")[2].partition("\n## ")[0]


def test_the_architecture_page_lists_what_is_public() -> None:
    listed = set(re.findall(r"`(micro_rt[\w.]*)`", section()))
    assert listed == {*PUBLIC, *FOR_GENERATED_CODE, *BY_EXCEPTION, "micro_rt.http"}, "micro_rt.http is said to come"


@functools.cache
def public_objects() -> dict[int, str]:
    """Returns the id of every public object, with a name that it has."""
    found: dict[int, str] = {}
    for name in PUBLIC:
        module = importlib.import_module(name)
        found.update({id(getattr(module, each)): f"{name}.{each}" for each in module.__all__})
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_says_what_is_in_it(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert module.__all__, "it has __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [each for each in module.__all__ if each.startswith("_") or not hasattr(module, each)]


def ours(thing: object) -> bool:
    """Whether a class or function is defined in the runtime."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "micro_rt"


def functions(module: str) -> Iterator[tuple[str, Any, bool]]:
    """Yields the public functions and methods of a module: name, function, and whether a docstring of its own is needed."""
    for name in importlib.import_module(module).__all__:
        thing = getattr(importlib.import_module(module), name)
        if isinstance(thing, types.FunctionType) and ours(thing):
            yield name, thing, True
        elif isinstance(thing, type) and ours(thing):
            yield from methods(thing)


def methods(kind: type) -> Iterator[tuple[str, Any, bool]]:
    """Yields the public methods of a class, those included that it has from classes that are not public."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not ours(base):
            continue
        for name, member in vars(base).items():
            if (name.startswith("_") and name != "__init__") or name in seen:
                continue
            seen.add(name)
            if name == "__init__" and (dataclasses.is_dataclass(base) or issubclass(base, enum.Enum | tuple)):
                continue  # Its arguments are the fields.
            function = inspect.unwrap(member.__func__ if isinstance(member, classmethod | staticmethod) else member)
            if isinstance(member, property | functools.cached_property):
                function = member.fget if isinstance(member, property) else member.func
            if isinstance(function, types.FunctionType) and ours(function):
                # What a suite's test checks is its name.
                yield f"{kind.__name__}.{name}", function, name != "__init__" and not name.startswith("test_")


def classes(module: str) -> Iterator[type]:
    """Yields the public classes of a module."""
    for name in importlib.import_module(module).__all__:
        thing = getattr(importlib.import_module(module), name)
        if isinstance(thing, type) and ours(thing):
            yield thing


@pytest.mark.parametrize("module", PUBLIC)
def test_everything_public_has_a_docstring(module: str) -> None:
    # What a message is for stands in the stub file: at run time, protobuf makes its class.
    without = [kind.__name__ for kind in classes(module) if not kind.__doc__ and not issubclass(kind, Message)]
    for name, function, needed in functions(module):
        owner, _, method = name.rpartition(".")
        kind = getattr(importlib.import_module(module), owner) if owner else None
        if needed and not inspect.getdoc(getattr(kind, method) if kind else function):
            without.append(name)
    assert not without


@pytest.mark.parametrize("module", PUBLIC)
def test_everything_public_is_annotated(module: str) -> None:
    without: list[str] = []
    for name, function, _ in functions(module):
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if "." in name and not isinstance(inspect.getattr_static(function, "__self__", None), type):
            parameters = [each for each in parameters if each.name not in ("self", "cls")]
        without += [f"{name}({each.name})" for each in parameters if each.annotation is inspect.Parameter.empty]
        if signature.return_annotation is inspect.Signature.empty:
            without.append(f"{name} -> ?")
    assert not without


def private_types(hint: Any) -> Iterator[str]:
    """Yields the types in an annotation that are neither public nor of another package."""
    if isinstance(hint, TypeVar):
        yield from private_types(hint.__bound__)
        for each in hint.__constraints__:
            yield from private_types(each)
        return
    if isinstance(hint, list | tuple):
        for each in hint:
            yield from private_types(each)
        return
    origin = typing.get_origin(hint)
    if origin is not None:
        if origin is not typing.Literal:
            yield from private_types(origin)
            for each in typing.get_args(hint):
                yield from private_types(each)
        return
    if isinstance(hint, type) and ours(hint) and id(hint) not in public_objects():
        yield f"{hint.__module__}.{hint.__qualname__}"


@pytest.mark.parametrize("module", PUBLIC)
def test_no_public_signature_needs_a_private_type(module: str) -> None:
    found: list[str] = []
    for name, function, _ in functions(module):
        hints = {} if name in PRIVATE else typing.get_type_hints(function)
        for parameter, hint in hints.items():
            found += [f"{name}({parameter}): {each}" for each in private_types(hint)]
    for kind in classes(module):
        for base in kind.__mro__:
            if ours(base):
                hints = {
                    key: value
                    for key, value in typing.get_type_hints(base).items()
                    if key in vars(base).get("__annotations__", {})
                }
                for attribute, hint in hints.items():
                    if not attribute.startswith("_"):
                        found += [f"{kind.__name__}.{attribute}: {each}" for each in private_types(hint)]
    assert not sorted(set(found))


def test_what_is_said_to_be_private_is() -> None:
    found = {
        name
        for module in PUBLIC
        for name, function, _ in functions(module)
        for hint in typing.get_type_hints(function).values()
        if list(private_types(hint))
    }
    assert found == PRIVATE


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Yields what a program imports of the runtime: the module, and the name if it takes one from it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "micro_rt")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "micro_rt":
            yield from ((node.module or "", alias.name) for alias in node.names)


def names_used(source: str) -> Iterator[str]:
    """Yields the names that a program takes from ``micro_rt`` by ``import micro_rt as …``."""
    tree = ast.parse(source)
    aliases = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "micro_rt"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield node.attr


def not_public(source: str, *, generated: bool) -> list[str]:
    """Returns what a program takes from the runtime that is not public."""
    public = set(importlib.import_module("micro_rt").__all__)
    found = [f"micro_rt.{name}" for name in names_used(source) if name not in public]
    for module, name in imports(source):
        if generated and any(f"{module}.{name}.".startswith(f"{allowed}.") for allowed in FOR_GENERATED_CODE):
            continue
        if module not in PUBLIC:
            found.append(module)
        elif name and name not in importlib.import_module(module).__all__ and f"{module}.{name}" not in PUBLIC:
            found.append(f"{module}.{name}")
    return found


def blocks(page: Path) -> Iterator[str]:
    """Yields the Python programs in a page; of a fragment that is not a program, its imports."""
    for block in re.findall(r"^ *```(?:python|py)\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE):
        try:
            ast.parse(textwrap.dedent(block))
        except SyntaxError:
            yield "\n".join(re.findall(r"^\s*((?:from|import) .*)", block, re.MULTILINE))
        else:
            yield textwrap.dedent(block)


EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = sorted(
    path
    for folder in ("tests/codegen/snapshots", "tests/protos", "benchmarks/protos")
    for path in (ROOT / folder).rglob("*.py*")
    if path.stem.endswith(("_pb2", "_micro", "_pb")) and path.suffix in (".py", ".pyi")
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_import_only_what_is_public(path: Path) -> None:
    assert not not_public(path.read_text(), generated=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_import_only_what_is_public(page: Path) -> None:
    found = [name for block in blocks(page) for name in not_public(block, generated=False)]
    assert not [name for name in found if name not in BY_EXCEPTION]


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("import micro_rt.kit.clock", ["micro_rt.kit.clock"]),
        ("from micro_rt.broker.base import Broker, ABC", ["micro_rt.broker.base.ABC"]),
        ("from micro_rt import Service, testing, kit", ["micro_rt.kit"]),
        ("import micro_rt as micro\nmicro.Service, micro.service", ["micro_rt.service"]),
        ("from micro_rt.dialects import wire", ["micro_rt.dialects"]),
    ],
)
def test_the_check_of_imports_reports(program: str, found: list[str]) -> None:
    assert not_public(program, generated=False) == found


def test_generated_code_imports_only_what_is_public() -> None:
    found = {str(path.relative_to(ROOT)): not_public(path.read_text(), generated=True) for path in GENERATED}
    assert len(found) > 50
    assert not {path: names for path, names in found.items() if names}
