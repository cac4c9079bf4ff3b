"""Types as wide as protoc's own stubs and the runtime: the same user code under both stubs.

Code that is clean with protoc's stubs, or with those of mypy-protobuf, must stay clean with ours.
``test_runtimes`` runs the same code on the oldest and the newest protobuf.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.codegen.tools import PROTOS, SCRIPTS, protoc, run, write

HEAD = """\
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2, type_pb2, wrappers_pb2

from torture.wide_pb2 import STATUS_OK, Inner, Item, Keywords, LastAssigned, OnlyStrings, Status

now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
point = timestamp_pb2.Timestamp()
words: dict[str, str] = {"name": "a"}
anything: dict[str, Any] = {"name": "a", "next": {"name": "b"}}
arguments: dict[str, Any] = {"text": "a"}
keywords: dict[str, Any] = {"from": "a", "in": {"seconds": 1}}
mapping: Mapping[str, object] = words
item = Item()
"""

PROTOC = """\
Item(at=now, life=day, third=now, last_life=day)
Item(at=point, life=duration_pb2.Duration(), third=point)
Item(at={"seconds": 1}, life={"seconds": 1, "nanos": 2})
Item(inner={"name": "a"}, first={"next": {"name": "a"}})
Item(inner=words)
Item(inner=anything)
Item(inner={"name": "a"} | {})
Item(inner=Inner(next={"next": {}}))
Item(inners=[{"name": "a"}, Inner()])
Item(inners=({"name": name} for name in "ab"))
Item(inners=[words, anything])
Item(status="STATUS_OK", maybe="STATUS_OK", second="STATUS_OK")
Item(status=STATUS_OK, maybe=Status.STATUS_OK)
Item(statuses=["STATUS_OK", STATUS_OK])
Item(statuses={"STATUS_OK"})
Item(statuses=map(str, ["STATUS_OK"]))
Item(ats=[point, {"seconds": 1}])
Item(lives=({"seconds": number} for number in range(3)))
Item(struct={"fields": {}}, value={"number_value": 1.5}, list_value={"values": []})
Item(struct={"a": [1, None, {"b": True}]})
Item(struct=mapping, structs=[{"fields": {}}])
Item(null="NULL_VALUE", nulls=["NULL_VALUE"], syntax="SYNTAX_PROTO3")
Item(any={"type_url": "a"}, mask={"paths": ["a"]}, wrapped={"value": 5}, empty={})
Item(inner_by={"a": Inner()}, status_by={"a": STATUS_OK}, at_by={"a": point})
Item(at=None, inner=None, inners=None, status=None, inner_by=None, text=None, null=None)
Item(**arguments)
LastAssigned(at=now)
Keywords(**keywords)
OnlyStrings(**{"from": "a", "name": "b"})
Item.InnerByEntry(key="a", value={"name": "a"}).value.name
Item.StatusByEntry(key="a", value="STATUS_OK").key
Item.RawByEntry(key=1, value=b"a").value
Inner(name="a").next.next.name
item.inner.CopyFrom(Inner())
item.inner.MergeFrom(Inner())
item.at.CopyFrom(point)
item.at.FromDatetime(now)
item.inners.append(Inner())
item.inners.extend([Inner()])
item.inners.add(name="a", next={"name": "b"})
item.inners.insert(0, Inner())
item.statuses.append(STATUS_OK)
item.statuses.extend([STATUS_OK])
item.statuses[0] = STATUS_OK
item.numbers[:] = [1, 2]
item.status_by["a"] = STATUS_OK
item.status_by.update({"a": STATUS_OK})
item.inner_by["a"].CopyFrom(Inner())
item.raw_by[1] = b"a"
item.struct["a"] = 1
item.struct.update({"a": [1, {"b": None}]})
item.status = STATUS_OK
item.number = 1
item.HasField("at")
item.ClearField("one")
if item.WhichOneof("one") == "first": print(item.first)
numbers: list[int] = Status.values()
pairs: list[tuple[str, int]] = Status.items()
names: dict[str, int] = dict(Status.items())
number: int = Status.Value("STATUS_OK")
label: str = Status.Name(1)
keys: list[str] = Status.keys()
number = Status.STATUS_OK + item.status + Item.AT_FIELD_NUMBER
copy: Item = Item.FromString(item.SerializeToString())
for status in item.statuses: number += status
for key, inner in item.inner_by.items(): print(key, inner.name)
"""
"""What is clean with protoc's stubs, a statement a line."""

MYPY_PROTOBUF = """\
kind: Status.ValueType = Status.STATUS_OK
kind = Status.Value("STATUS_OK")
kinds: list[Status.ValueType] = Status.values()
kind_pairs: list[tuple[str, Status.ValueType]] = Status.items()
kind = Status.ValueType(1)
item.status = kind
item.statuses.extend(kinds)
item.null = struct_pb2.NULL_VALUE
item.null = struct_pb2.NullValue.Value("NULL_VALUE")
item.syntax = type_pb2.SYNTAX_PROTO3
item.nulls.append(struct_pb2.NULL_VALUE)
item.null_by["a"] = struct_pb2.NULL_VALUE
null: struct_pb2.NullValue.ValueType = item.null
Item(null=struct_pb2.NULL_VALUE, nulls=[struct_pb2.NULL_VALUE], syntax=type_pb2.SYNTAX_PROTO3)
Item(null_by={"a": struct_pb2.NULL_VALUE}, wrapped=wrappers_pb2.Int32Value(value=1))
Item.NullByEntry(key="a", value=struct_pb2.NULL_VALUE)
syntax: str = type_pb2.Syntax.Name(item.syntax)
"""
"""What is clean with the stubs of mypy-protobuf, a statement a line."""

RUNTIME = """\
Item(inner_by={"a": {"name": "a"}}, at_by={"a": {"seconds": 1}})
Item(list_value=[1, "a", None])
Item(at_by={"a": point, "b": {"seconds": 1}})
item.at = now
item.third = now
item.life = day
item.struct = {"a": 1}
item.struct = struct_pb2.Struct()
item.list_value = [1, "a"]
item.list_value = struct_pb2.ListValue()
LastAssigned().at = now
"""
"""What protoc's stubs do not accept, and every supported runtime does."""

NEWER = "Item(ats=[now], lives=[day])\n"
"""What protoc's stubs accept, and the runtime from protobuf 6.33 on."""

WRONG = """\
Item(at=1)
Item(at=day)
Item(life=now)
Item(ats=now)
Item(inner=OnlyStrings())
Item(inners={"name": 1}.values())
Item(inner_by=[Inner()])
Item(inner_by={1: Inner()})
Item(at_by={"a": now})
Item(status=1)
Item(statuses=[1])
Item(status_by={"a": "STATUS_OK"})
Item(null=1)
Item(list_values=[1])
Item(text=1)
Item(wrapped=5)
Item(mask=["a"])
item.at = point
item.at = 1
item.life = now
item.inner = Inner()
item.wrapped = 5
item.status = "STATUS_OK"
item.null = "NULL_VALUE"
item.struct = 1
item.statuses.append("STATUS_OK")
item.inners.append({"name": "a"})
item.HasField("text")
item.WhichOneof("two")
"""
"""What some supported runtime refuses, or what is no mistake to it but one of its author."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    protoc(folder, [PROTOS], ["torture/wide.proto"])
    return folder


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize(
    ("plugin", "code"), [("pyi", PROTOC + NEWER), ("mypy", MYPY_PROTOBUF)], ids=["protoc", "mypy-protobuf"]
)
def test_what_is_clean_with_other_stubs_is_clean_with_ours(
    plugin: str, code: str, checker: str, ours: Path, tmp_path: Path
) -> None:
    run(SCRIPTS / "protoc", f"-I{PROTOS}", f"--{plugin}_out={tmp_path}", "torture/wide.proto")
    assert _wrong(HEAD + code, tmp_path, checker) == []
    assert _wrong(HEAD + code, ours, checker) == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_every_runtime_accepts_is_clean(checker: str, ours: Path) -> None:
    assert _wrong(HEAD + RUNTIME, ours, checker) == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_is_wrong_is_an_error(checker: str, ours: Path) -> None:
    assert _wrong(HEAD + WRONG, ours, checker) == WRONG.splitlines()


def _wrong(code: str, folder: Path, checker: str) -> list[str]:
    """Returns the lines of a program that a strict checker finds a mistake in."""
    write(folder, {"use.py": code})
    if checker == "mypy":
        said = run(SCRIPTS / "mypy", "--strict", "--python-version=3.11", "use.py", cwd=folder, check=False).stdout
        lines = [
            int(line.split(":")[1]) for line in said.splitlines() if line.startswith("use.py:") and ": error:" in line
        ]
        assert "1 source file" in said, said
    else:
        config: dict[str, object] = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}
        # Each program uses a part of what they all import, and looks at some values without using them.
        config |= {"reportUnusedImport": False, "reportUnusedExpression": False}
        write(folder, {"pyrightconfig.json": json.dumps(config)})
        python = SCRIPTS / "python"
        said = run(
            SCRIPTS / "pyright", "--outputjson", "--pythonpath", python, "use.py", cwd=folder, check=False
        ).stdout
        report = json.loads(said)
        assert report["summary"]["filesAnalyzed"] == 1, report
        found = [entry for entry in report["generalDiagnostics"] if entry["severity"] == "error"]
        lines = [entry["range"]["start"]["line"] + 1 for entry in found]
    return [code.splitlines()[number - 1] for number in sorted(set(lines))]
