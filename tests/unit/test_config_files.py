"""What the source ``file:`` reads, refuses and says of it, format by format."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from micro_rt.config import File
from micro_rt.config.base import MAX_DEPTH, Reading, Tree, Value
from micro_rt.config.base import Path as ValuePath
from micro_rt.config.files import merge, snapshot, source
from micro_rt.config.files.document import Malformed
from micro_rt.config.files.json_text import read_json_document
from micro_rt.config.files.toml_text import read_toml_document
from micro_rt.config.files.yaml_text import read_yaml_document
from micro_rt.errors import Error, FailedPrecondition, NotFound, Unavailable
from tests.contracts.test_config_file import in_yaml

CANARY = "Canary7"
READERS = {"json": read_json_document, "toml": read_toml_document, "yaml": read_yaml_document}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is written while it is read."""
    monkeypatch.setattr(source, "HALFWAY", 0.0)
    monkeypatch.setattr(source, "SETTLE", 0.001)


async def read(address: str | Path) -> Reading:
    file = File(address)
    await file.open()
    try:
        return await file.read()
    finally:
        await file.close()


async def error_of(path: Path, kind: type[Error] = FailedPrecondition) -> str:
    with pytest.raises(kind) as caught:
        await read(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown, "an error shows what is in the file"
    return caught.value.message.replace(f"file:{path.parent}/", "").replace(f"{path.parent}/", "")


VALUES: list[tuple[str, str, Value]] = [
    ("json", '{"it": "Ünï \\u0041\\n \\ud83d\\ude00"}', "Ünï A\n 😀"),
    ("json", '{"it": [1, -2.5e3, true, false, null, {"a": []}]}', [1, -2500.0, True, False, None, {"a": []}]),
    ("json", '\ufeff{"it" : {}}\r\n', {}),
    ("json", '{"it": -9223372036854775808}', -(1 << 63)),
    ("json", '{"it": "2001-02-03"}', "2001-02-03"),
    ("toml", "it = 'text'", "text"),
    ("toml", 'it = """\nlines\n"""', "lines\n"),
    ("toml", "it = 0x1F", 31),
    ("toml", "it = 1_000", 1000),
    ("toml", "it = 1e3", 1000.0),
    ("toml", "it = 1979-05-27T07:32:00Z", "1979-05-27T07:32:00+00:00"),
    ("toml", "it = 1979-05-27", "1979-05-27"),
    ("toml", "it = 07:32:00", "07:32:00"),
    ("toml", "[it.a]\nb = 1\n[it]\nc = [{d = 2}]", {"a": {"b": 1}, "c": [{"d": 2}]}),
    ("toml", "[[it]]\na = 1\n[[it]]\n[it.b]\nc = 2", [{"a": 1}, {"b": {"c": 2}}]),
    ("yaml", "it: no", "no"),
    ("yaml", "it: 012", 12),
    ("yaml", "it: 0o14", 12),
    ("yaml", "it: 0x1F", 31),
    ("yaml", "it: 12:30:45", "12:30:45"),
    ("yaml", "it: 1_000", "1_000"),
    ("yaml", "it: 1e3", 1000.0),
    ("yaml", "it: .5", 0.5),
    ("yaml", "it: 2001-02-03", "2001-02-03"),
    ("yaml", "it: 2001-02-03T04:05:06Z", "2001-02-03T04:05:06Z"),
    ("yaml", "it: ~", None),
    ("yaml", "it:", None),
    ("yaml", "it: True", True),
    ("yaml", "it: 'true'", "true"),
    ("yaml", 'it: "\\u0041\\x41"', "AA"),
    ("yaml", "it: !!str 12", "12"),
    ("yaml", "it: ! 12", "12"),
    ("yaml", "it: !!float 12", 12.0),
    ("yaml", "it: !!seq [!!map {a: !!int 1}]", [{"a": 1}]),
    ("yaml", "it: |\n  two\n  lines\n", "two\nlines\n"),
    ("yaml", "it: >-\n  one\n  line\n", "one line"),
    ("yaml", "it: {8080: a, true: b, null: c, 1.0: d}", {"8080": "a", "true": "b", "null": "c", "1.0": "d"}),
    ("yaml", "base: &base {a: 1, b: 2}\nit: {<<: *base, b: 3}", {"a": 1, "b": 3}),
    ("yaml", "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nit:\n  <<: [*a, *b]\n", {"x": 1, "y": 1, "z": 2}),
    ("yaml", 'it: {"<<": 1}', {"<<": 1}),
    ("yaml", "---\nit: 1\n...\n", 1),
    ("yaml", "%YAML 1.2\n---\nit: no", "no"),
]


@pytest.mark.parametrize(("format", "text", "value"), VALUES)
async def test_a_value_is_what_json_can_say(tmp_path: Path, format: str, text: str, value: Value) -> None:
    """PyYAML reads 012 as 10, 12:30:45 as 45045, 1e3 as a text and no as False."""
    path = tmp_path / f"app.{format}"
    path.write_text(text, encoding="utf-8")
    found = (await read(path)).tree["it"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("format", "text"),
    [("toml", ""), ("toml", "# nothing\n"), ("yaml", ""), ("yaml", "# nothing\n"), ("yaml", "---\n"), ("json", "{}")],
)
async def test_nothing_is_an_empty_tree(tmp_path: Path, format: str, text: str) -> None:
    (tmp_path / f"app.{format}").write_text(text)
    assert await read(tmp_path / f"app.{format}") == Reading({})


REFUSED = [
    ("json", '{"a": 1,\n "b": 2,\n "a": "Canary7"}', "app.json:3: 'a' is given twice; the first is in line 1"),
    ("json", '{"x": {"a": 1, "a": "Canary7"}}', "app.json:1: 'a' is given twice; the first is in line 1"),
    ("json", '{"x": [{"a": 1,\n"a": "Canary7"}]}', "app.json:2: 'a' is given twice; the first is in line 1"),
    ("json", "", "app.json:1: it is empty; an empty configuration is {}"),
    ("json", '{\n"a": "Canary7"', "app.json:2: it ends too early"),
    ("json", '["Canary7"]', 'app.json:1: it must hold names and values, in braces, such as {"port": 8080}'),
    (
        "json",
        '{"a":\n Canary7}',
        "app.json:2: a value is expected: a text in double quotes, a number, true, false, null, an object or a list",
    ),
    ("json", '{"a": NaN}', "app.json:1: JSON has no NaN and no Infinity"),
    (
        "json",
        '{"a": 1e999}',
        "app.json:1: a number is infinite or not a number; write it as a text, in quotes, or leave it out",
    ),
    (
        "json",
        '{"a": 9223372036854775808}',
        "app.json:1: a whole number does not fit into 64 bits; write it as a text, in quotes",
    ),
    ("json", '{"a": ' + "1" * 5000 + "}", "app.json:1: a number is not written as JSON has it, or is too long"),
    (
        "json",
        '{"a": "Canary7\n"}',
        "app.json:1: a text is not closed, or holds a line break, another control character or a wrong escape",
    ),
    ("json", '{"a": "Canary7\\ud800"}', "app.json:1: a text holds a surrogate, which is not a character"),
    ("json", '{"a": "b"} Canary7', "app.json:1: something follows the end of the outermost value"),
    ("json", '{"a": ' + "[" * 5000, f"app.json:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("toml", "a = 1\nb = 2\na = 'Canary7'", "app.toml:3: a name is given twice, or is both a value and a table"),
    ("toml", "[a]\n[b]\n[a]\nc = 'Canary7'", "app.toml:3: a table is given twice, or its name is that of a value"),
    ("toml", "x = {a = 1, a = 'Canary7'}", "app.toml:1: a name is given twice in one table"),
    ("toml", "a.b = 1\na = 'Canary7'", "app.toml:2: a name is given twice, or is both a value and a table"),
    ("toml", "a = Canary7", "app.toml:1: a value is not TOML: put texts into quotes"),
    ("toml", "a = 'Canary7", "app.toml:1: a text is not closed"),
    ("toml", "a = 1 Canary7", "app.toml:1: something follows a value in its line: put texts into quotes"),
    ("toml", "\nCanary7", "app.toml:2: a name has no = after it"),
    (
        "toml",
        "a = inf",
        "app.toml:1: a number is infinite or not a number; write it as a text, in quotes, or leave it out",
    ),
    (
        "toml",
        "\na = 9223372036854775808",
        "app.toml:2: a whole number does not fit into 64 bits; write it as a text, in quotes",
    ),
    ("toml", "b = 1\na = " + "[" * 5000, f"app.toml:2: it is nested more than {MAX_DEPTH} levels deep"),
    ("toml", "a = " + "{a = " * 5000, f"app.toml:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("toml", ".".join(["a"] * 200_000) + " = 1", f"app.toml:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("toml", "[" + ".".join(["a"] * 200_000) + "]", f"app.toml:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("yaml", "a: 1\nb: 2\na: Canary7", "app.yaml:3: 'a' is given twice; the first is in line 1"),
    ("yaml", "x: {a: 1, 'a': Canary7}", "app.yaml:1: 'a' is given twice; the first is in line 1"),
    (
        "yaml",
        "a: b: Canary7",
        "app.yaml:1: a colon stands where no name can be: put the value into quotes, or correct the indentation",
    ),
    ("yaml", "a:\n\t- Canary7", "app.yaml:2: a tab indents a line, or begins a value; YAML takes spaces only"),
    ("yaml", "a: @Canary7", "app.yaml:1: a value begins with a special character: put it into quotes"),
    ("yaml", "a: [Canary7", "app.yaml:1: a [ is not closed, or a comma is missing"),
    ("yaml", "a: [\n", "app.yaml:2: a value is missing, or a bracket is not closed"),
    ("yaml", "a: 'Canary7", "app.yaml:1: a text in quotes is not closed"),
    ("yaml", "a: Canary7\x01", "app.yaml:1: it holds a control character"),
    ("yaml", "- Canary7", "app.yaml:1: it must hold names and values, such as port: 8080"),
    ("yaml", "Canary7", "app.yaml:1: it must hold names and values, such as port: 8080"),
    (
        "yaml",
        "a: .inf",
        "app.yaml:1: a number is infinite or not a number; write it as a text, in quotes, or leave it out",
    ),
    (
        "yaml",
        "a: .NaN",
        "app.yaml:1: a number is infinite or not a number; write it as a text, in quotes, or leave it out",
    ),
    (
        "yaml",
        "a: 0x" + "f" * 400,
        "app.yaml:1: a whole number does not fit into 64 bits; write it as a text, in quotes",
    ),
    ("yaml", "a: *Canary7", "app.yaml:1: an alias has no anchor before it"),
    ("yaml", "a: !!binary Canary7", "app.yaml:1: a tag is not supported; those of the core schema are, such as !!str"),
    ("yaml", "a: !Canary7 b", "app.yaml:1: a tag is not supported; those of the core schema are, such as !!str"),
    ("yaml", "a: !!int Canary7", "app.yaml:1: a value is not what its tag says"),
    (
        "yaml",
        "%YAML 1.1\n---\na: Canary7",
        "app.yaml:2: it says that it is YAML 1.1, and YAML 1.2 is read: leave out %YAML",
    ),
    ("yaml", "a: 1\n---\na: Canary7", "app.yaml:2: it holds more than one document: leave out what follows ---"),
    ("yaml", "? [Canary7]\n: 1", "app.yaml:1: a name must be a text, not a list or a mapping"),
    ("yaml", "<<: Canary7", "app.yaml:1: << takes a mapping, or a list of mappings"),
    ("yaml", "a: &a [*a]", f"app.yaml:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("yaml", "a: &a {<<: *a}", f"app.yaml:1: it is nested more than {MAX_DEPTH} levels deep"),
    ("yaml", "a: " + "{a: " * 5000, f"app.yaml:1: it is nested more than {MAX_DEPTH} levels deep"),
    (
        "yaml",
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)),
        "app.yaml:1: it has more than 100000 values, those of repeated aliases included",
    ),
    (
        "yaml",
        "a: &a {"
        + ", ".join(f"k{n}: 1" for n in range(500))
        + "}\n"
        + "".join(f"b{n}: {{<<: [{', '.join(['*a'] * 10)}]}}\n" for n in range(50)),
        "app.yaml:20: it has more than 100000 values, those of repeated aliases included",
    ),
]


@pytest.mark.parametrize(
    ("format", "text", "message"), REFUSED, ids=[f"{each[0]}-{number}" for number, each in enumerate(REFUSED)]
)
async def test_what_makes_no_sense_is_refused_with_its_line_and_without_a_value(
    tmp_path: Path, format: str, text: str, message: str
) -> None:
    path = tmp_path / f"app.{format}"
    path.write_text(text, encoding="utf-8")
    assert await error_of(path) == message


async def test_what_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_bytes(b'{"a": 1,\n"b": "Canary7\xff"}')
    assert await error_of(path) == "app.json:2: it is not UTF-8"


async def test_a_name_that_is_no_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.conf"
    path.write_text("a = 1")
    assert await error_of(path) == (
        "app.conf: its name does not say its format: it must end with .json, .toml, .yaml, .yml, or format=json, toml or yaml must "
        "follow its address after a question mark"
    )
    assert (await read(f"file:{path}?format=toml")).tree == {"a": 1}


async def test_yaml_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "has_yaml", lambda: False)
    path = tmp_path / "app.yaml"
    path.write_text("a: 1")
    assert await error_of(path) == 'app.yaml: reading YAML needs ruamel.yaml: pip install "micro-rt[yaml]"'


async def test_sizes_are_bounded_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert await error_of(path, Unavailable) == "app.json cannot be read: it is larger than 1 MiB"
    path.unlink()
    monkeypatch.setattr(snapshot, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.json").write_text("{}")
    assert (await error_of(tmp_path, Unavailable)).endswith("cannot be read: it holds more than 3 files")
    (tmp_path / "3.json").rename(tmp_path / "3.md")
    assert await read(tmp_path) == Reading({})
    monkeypatch.setattr(snapshot, "TOTAL", 1 << 20)
    for number in range(3):
        (tmp_path / f"{number}.json").write_text('{"a": "' + "x" * (400 << 10) + '"}')
    assert (await error_of(tmp_path, Unavailable)).endswith(
        "/2.json cannot be read: it is larger than 1 MiB, together with the others"
    )


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert await error_of(tmp_path / "pipe.json", Unavailable) == "pipe.json cannot be read: it is not a file"
    (tmp_path / "pipe.json").unlink()
    (tmp_path / "folder.json").mkdir()
    assert (await error_of(tmp_path, Unavailable)).endswith("folder.json cannot be read: is a directory")
    with pytest.raises(Unavailable, match="cannot be read: it is not a file"):
        await read("file:/dev/zero?format=json")


async def test_a_missing_file_is_an_error_unless_it_is_optional(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    assert await error_of(path, NotFound) == (
        "app.json: there is no such file; create it, or add ?optional=true to its address"
    )
    assert await read(f"file:{path}?optional=true") == Reading({})
    assert File(f"file:{path}?optional=true").optional
    path.write_text("{")
    with pytest.raises(FailedPrecondition, match="it ends too early"):
        await read(f"file:{path}?optional=true")
    with pytest.raises(Unavailable, match="it is not a folder; write its address without the slash at the end"):
        await read(f"file:{path}/")


async def test_a_relative_path_begins_where_the_program_is_when_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "app.json").write_text('{"a": "home"}')
    (tmp_path / "app 50%?.json").write_text('{"a":\n "here"}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = File("file:app 50%25%3F.json")
    monkeypatch.chdir(tmp_path)
    await file.open()
    monkeypatch.chdir("/")
    assert await file.read() == Reading({"a": "here"}, {("a",): "app 50%?.json:1"})
    await file.close()
    with pytest.raises(FailedPrecondition, match="is not open"):
        await file.read()
    assert await read("file:~/app.json") == Reading({"a": "home"}, {("a",): "~/app.json:1"})
    assert (await read(f"file://{tmp_path}/home/app.json")).tree == {"a": "home"}
    assert (await read(str(tmp_path / "app 50%25%3F.json"))).tree == {"a": "here"}
    assert (await read(tmp_path / "app 50%?.json")).tree == {"a": "here"}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("file:", "file: takes a path: file:conf/app.yaml, or file:conf/ for all files of a folder"),
        ("file:a%00b", "file: takes a path: file:conf/app.yaml, or file:conf/ for all files of a folder"),
        ("file://conf/app.yaml", "file: takes a path and no host: file:conf/app.yaml, or file:/etc/app.yaml"),
        ("file:app.yaml?optinal=true", "file:app.yaml: there is no option 'optinal'; known: format, optional, secret"),
        ("file:app.yaml?optional=maybe", "file:app.yaml: optional=***: it has a value that makes no sense"),
        ("file:app.yaml?format=ini", "file:app.yaml: format=***: it can be json, toml or yaml"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match="file:") as caught:
        File(address)
    assert str(caught.value) == message


LINES: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "json": (
        '{"a": {"b": 1,\n"c": [1,\n{"x": 2}]},\n\n"d.e": "\\n\\n",\n"f": {}, "g": null}',
        {"a": 1, "a/b": 1, "a/c": 2, "d.e": 5, "f": 6, "g": 6},
    ),
    "toml": (
        (
            "# a = 0\r\na.b = 1\r\na.\"c d\" = '''\r\n[x]\r\n'''\n[t]\nx = {y = 1, z = [1,\n 2] }\n[[l]]\nq = 1\n[l.m]\nz = 1\n[t.u] # end\n"
            'v = 1979-05-27 07:32:00Z\n"w#" = """\\\n  "" \\""" """\nz = 1'
        ),
        {
            "a": 2, "a/b": 2, "a/c d": 3, "t": 6, "t/x": 7, "t/x/y": 7, "t/x/z": 7, "l": 9, "t/u": 13, "t/u/v": 14, "t/u/w#": 15,
            "t/u/z": 17,
        },
    ),
    "yaml": (
        "# a: 0\na:\n  b: 1\n  'c d': |\n    e: 1\n    f: 2\n  g: {h: 1,\n    i: 2}\n&x j: &y\n  - k: 1\n? l\n: 1\nm: *y\n",
        {"a": 2, "a/b": 3, "a/c d": 4, "a/g": 7, "a/g/h": 7, "a/g/i": 8, "j": 9, "l": 11, "m": 13},
    ),
}  # fmt: skip


@pytest.mark.parametrize("format", LINES)
async def test_every_value_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.chdir(tmp_path)
    text, lines = LINES[format]
    (tmp_path / f"app.{format}").write_bytes(text.encode())
    places = (await read(f"file:app.{format}")).places
    assert {"/".join(path): place for path, place in places.items()} == {
        name: f"app.{format}:{line}" for name, line in lines.items()
    }


async def test_the_files_of_a_folder_are_merged_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "10-base.toml").write_text("a = 1\nb.c = 1\nb.d = 1\nl = [1, 2]\ng.h = 1\n")
    (folder / "20-more.yaml").write_text("b:\n  c: 2\nl: [3]\ng: null\nn: null\n")
    (folder / "30-last.JSON").write_text('{"b":\n{"e": 3}}')
    for name in (".hidden.json", "..2024.json", "README.md", "20-more.yaml~", ".20-more.yaml.swp", "4913"):
        (folder / name).write_text("a: broken: x")
    (folder / "sub").mkdir()
    (folder / "sub" / "40.json").write_text('{"a": 4}')
    (folder / "dangling.json").symlink_to("nowhere")
    reading = await read("file:conf")
    assert reading.tree == {"a": 1, "b": {"c": 2, "d": 1, "e": 3}, "l": [3], "g": None, "n": None}
    assert {"/".join(path): place for path, place in reading.places.items()} == {
        "a": "conf/10-base.toml:1",
        "b": "conf/30-last.JSON:1",
        "b/c": "conf/20-more.yaml:2",
        "b/d": "conf/10-base.toml:3",
        "b/e": "conf/30-last.JSON:2",
        "l": "conf/20-more.yaml:3",
        "g": "conf/20-more.yaml:4",
        "n": "conf/20-more.yaml:5",
    }


async def test_a_volume_of_kubernetes_is_read_through_its_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The links of new files are made after an update, and those of old ones are deleted after it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "..1" / "new.json").write_text('{"new": 1}')
    (tmp_path / "..1" / "kept.json").write_text('{"kept": 1}')
    (tmp_path / "kept.json").symlink_to("..data/kept.json")
    (tmp_path / "old.json").symlink_to("..data/old.json")
    (tmp_path / "own.json").write_text('{"own": 1}')
    assert await read("file:.") == Reading(
        {"kept": 1, "new": 1, "own": 1},
        {("kept",): "./kept.json:1", ("new",): "./new.json:1", ("own",): "./own.json:1"},
    )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"a": {"b": CANARY}}, {"a": {"b": {"c": CANARY}}}, "'a.b' is a value in 1.json:1, and a mapping in 2.json:1"),
        ({"a": {"b": CANARY}}, {"a": CANARY}, "'a' is a mapping in 1.json:1, and a value in 2.json:1"),
        ({"a": [CANARY]}, {"a": {"c": CANARY}}, "'a' is a value in 1.json:1, and a mapping in 2.json:1"),
    ],
)
async def test_a_mapping_over_a_value_is_refused_with_both_files(
    tmp_path: Path, first: Tree, second: Tree, message: str
) -> None:
    (tmp_path / "1.json").write_text(json.dumps(first))
    (tmp_path / "2.json").write_text(json.dumps(second))
    assert (await error_of(tmp_path)).replace(f"{tmp_path}/", "").replace(f"{tmp_path.name}/", "") == message


# What the readers make of any text.

_names = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _names
)
_inner = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=6
)
_trees = st.dictionaries(_names, _inner, max_size=4)


def paths_of(tree: Tree, above: ValuePath = ()) -> Iterator[ValuePath]:
    """Yields the path of each name that is not within a list."""
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from paths_of(value, (*above, name))


@given(_trees, st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_as_python_reads_it(tree: dict[str, Value], indent: int | None, ascii: bool) -> None:
    document = read_json_document(json.dumps(tree, indent=indent, ensure_ascii=ascii))
    assert document.tree == tree
    assert set(document.lines) == set(paths_of(tree))


@given(_trees, st.integers(0, 200), st.sampled_from('{}[]":,\\ \n0-.eEtn\x00\ud800x'), st.integers(0, 2))
def test_what_python_refuses_as_json_is_refused(tree: dict[str, Value], at: int, put: str, gone: int) -> None:
    text = json.dumps(tree)
    text = text[:at] + put + text[at + gone :]

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def constant(_: str) -> None:
        raise ValueError("no number")

    expected: Any = None
    try:
        expected = json.loads(text, object_pairs_hook=plain, parse_constant=constant)
        ours = isinstance(expected, dict) and _allowed(expected)
    except ValueError:
        ours = False
    try:
        assert read_json_document(text).tree == expected
        assert ours
    except Malformed:
        assert not ours


def _allowed(value: Any) -> bool:
    """Whether a value keeps the rules that JSON does not have."""
    if isinstance(value, dict):
        return all(_allowed(each) for pair in cast("dict[str, Any]", value).items() for each in pair)
    if isinstance(value, list):
        return all(map(_allowed, cast("Iterable[Any]", value)))
    if isinstance(value, str):
        return not any("\ud800" <= each <= "\udfff" for each in value)
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return not isinstance(value, float) or math.isfinite(value)


def _reads_back(text: str, tree: dict[str, Value]) -> bool:
    """Whether the library reads what it has written: "[?a]" is a table to it, and "{:0: null}" an error."""
    library: Any = YAML(typ="safe", pure=True)  # Its methods have no types.
    try:
        return bool(library.load(text) == tree)
    except YAMLError:
        return False


@given(_trees)
@example({":0": None})
def test_yaml_is_read_as_its_library_writes_it(tree: dict[str, Value]) -> None:
    text = in_yaml(tree)
    assume(_reads_back(text, tree))
    document = read_yaml_document(text)
    assert document.tree == tree
    assert set(document.lines) == set(paths_of(tree))


_parts = ["a", "a", "a", "b-1", "b-1", '"c d"', "'e.f'", '"\\u0041#="']
_keys = st.lists(st.sampled_from(_parts), min_size=1, max_size=3).map(" . ".join)
_texts = ["'a # [b]'", '"x\\"=[y]"', '"""\n[a]\n""\\"\\\n b = 1"""', "'''\n[b]\n''\n'''", "1", "-1.5e3", "true"]
_texts += ["1979-05-27 07:32:00Z", "07:32:00", '""""q""""', "''''q''''", '""', "''", "[]", "{}"]
_values = st.recursive(
    st.sampled_from(_texts),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # ]\n" + ",\n".join(items) + " ]")
        | st.lists(st.tuples(_keys, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=4,
)
_statements = st.one_of(
    _keys.map(lambda key: f"[{key}]"),
    _keys.map(lambda key: f"[[ {key} ]] # [x]"),
    st.tuples(_keys, _values).map(lambda pair: f"{pair[0]} = {pair[1]} # y = 1"),
    st.sampled_from(["", "# z = 1", "  "]),
)


@given(st.lists(_statements, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_name_of_toml_has_the_line_that_holds_it(statements: Sequence[str], end: str) -> None:
    kept: list[str] = []
    for statement in statements:  # What makes the text invalid is left out.
        try:
            tomllib.loads("\n".join([*kept, statement]))
            kept.append(statement)
        except tomllib.TOMLDecodeError:
            pass
    text = "\n".join(kept)
    document = read_toml_document(text.replace("\n", end))
    assert set(document.lines) == set(paths_of(document.tree))
    lines = text.split("\n")
    for path, line in document.lines.items():
        name = {"c d": '"c d"', "e.f": "'e.f'", "A#=": '"\\u0041#="'}.get(path[-1], path[-1])
        assert name in lines[line - 1]


@given(
    st.sampled_from(sorted(READERS)),
    st.text(st.sampled_from("ab1:=.-[]{}\"'#&*!|>?%@,\n\t \\~<e\ufeff\x85\u2028"), max_size=60),
)
def test_any_text_is_read_or_refused(format: str, text: str) -> None:
    try:
        READERS[format](text)
    except Malformed as error:
        assert 0 <= error.line <= len(text.splitlines()) + 1


PLANTED = {
    "json": '{"a": "Canary7", "b": ["Kanari8", {"c": "Xanary9"}],\n "d": {"e": 77777777, "f": 7.7777777}}\n',
    "toml": 'a = \'Canary7\'\nb = ["Kanari8", {c = "Xanary9"}]\n[d]\ne = 77777777\nf = 7.7777777\n',
    "yaml": "a: Canary7\nb:\n- 'Kanari8'\n- {c: \"Xanary9\"}\nd: &x\n  e: 77777777\n  f: 7.7777777\ng: *x\n",
}


@given(
    st.sampled_from(sorted(PLANTED)),
    st.integers(0, 110),
    st.sampled_from(
        [
            "",
            '"',
            "'",
            "{",
            "}",
            "[",
            ":",
            "=",
            ",",
            "\n",
            "\\",
            "*",
            "&",
            "!",
            "#",
            "\x00",
            "\xff",
            "\t",
            "%",
            "a: ",
            "1",
        ]
    ),
    st.integers(0, 30),
)
def test_no_error_shows_a_value_however_the_file_is_broken(format: str, at: int, put: str, gone: int) -> None:
    """Faults pydantic#9139 and pydantic-settings#937: an error of another field, or of a number, showed a secret."""
    text = PLANTED[format]
    broken = (text[:at] + put + text[at + gone :]).encode("latin-1")
    try:
        merge.parsed("app", "app", broken, format)
    except Error as error:
        shown = "".join(traceback.format_exception(error)) + repr(error)
        assert not re.search(r"Canary|Kanari|Xanary|77777", shown)
        assert error.message.isprintable()
