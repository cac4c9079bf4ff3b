"""Reads YAML 1.2 with the line of each name.

ruamel.yaml splits the text into events; everything that decides what a value is happens here, by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema). So ``no`` and ``12:30:45`` are texts and ``012`` is 12, whatever the library's
version. Beyond the schema, the merge key ``<<`` is understood, because files with anchors use it.

Aliases are followed when the tree is built, and counted as often as they are used: a short text can stand for billions of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from micro_rt.config.base import Path, Value
from micro_rt.config.files.document import Document, Malformed, Values, check_new, table
from micro_rt.kit.optional import optional

__all__ = ["has_yaml", "read_yaml_document"]

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"([-+]?[0-9]+)")
_OCT = re.compile(r"0o([0-7]+)")
_HEX = re.compile(r"0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST = 400
"""Characters of a number."""
_PREFIX = "tag:yaml.org,2002:"
_MERGE = "<<"
_TABLE = "such as port: 8080"

_PROBLEMS = (
    (
        "mapping values are not allowed",
        "a colon stands where no name can be: put the value into quotes, or correct the indentation",
    ),
    ("could not find expected ':'", "a name has no colon after it"),
    ("found character '\\t'", "a tab indents a line, or begins a value; YAML takes spaces only"),
    ("that cannot start any token", "a value begins with a special character: put it into quotes"),
    ("found unexpected end of stream", "a text in quotes is not closed"),
    ("found unknown escape character", "a text in double quotes has an unknown escape: write two backslashes for one"),
    ("expected the node content", "a value is missing, or a bracket is not closed"),
    ("expected <block end>", "the indentation is wrong, or a - is missing"),
    ("expected ',' or '}'", "a { is not closed, or a comma is missing"),
    ("expected ',' or ']'", "a [ is not closed, or a comma is missing"),
    ("incompatible YAML document", "it says that it is not YAML 1"),
)
"""What the library's messages begin with or hold, and what is said instead: the messages may repeat what is in the file."""


def has_yaml() -> bool:
    """Returns whether the library is installed."""
    return optional("ruamel.yaml") is not None


def read_yaml_document(text: str) -> Document:
    """Reads YAML 1.2: one document.

    Raises:
        Malformed: it is not YAML, or breaks a rule of ``document``.
    """
    root = _parsed(text)
    if root is None or (isinstance(root, _Scalar) and root.value is None):
        return Document({})
    if not isinstance(root, _Table):
        table(None, _TABLE)
    builder = _Builder()
    return Document(table(builder.build(root, (), 0), _TABLE), builder.lines)


@dataclass(slots=True, eq=False, repr=False)
class _Scalar:
    line: int
    value: Value
    text: str


@dataclass(slots=True, eq=False, repr=False)
class _List:
    line: int
    items: list[_Node] = field(default_factory=list["_Node"])


@dataclass(slots=True, eq=False, repr=False)
class _Table:
    line: int
    entries: dict[str, tuple[int, _Node]] = field(default_factory=dict[str, "tuple[int, _Node]"])
    merged: list[_Node] = field(default_factory=list["_Node"])


_Node = _Scalar | _List | _Table


def _parsed(text: str) -> _Node | None:
    library = optional("ruamel.yaml")
    if library is None:  # Whoever asks has looked at has_yaml.
        raise Malformed("ruamel.yaml is not installed")
    problem, line = "", 0
    try:
        return _Parser(library.YAML(typ="safe", pure=True).parse(text)).document()
    except library.error.YAMLError as error:
        said = str(getattr(error, "problem", "") or "")
        begins = "expected ',' or" in said or "unexpected end of stream" in said
        marks = [
            getattr(error, "context_mark" if begins else "problem_mark", None),
            getattr(error, "context_mark", None),
        ]
        mark = next(filter(None, marks), None)
        problem = next((shown for begin, shown in _PROBLEMS if begin in said), "it is not YAML")
        line = mark.line + 1 if mark is not None else 0
        if isinstance(position := getattr(error, "position", None), int):
            problem, line = "it holds a control character", text.count("\n", 0, position) + 1
    except (RecursionError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
        problem = "it is not YAML"  # What the library raises for what it did not expect.
    raise Malformed(problem, line)


class _Parser:
    """Makes nodes of events."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Node] = {}
        self._values = Values()

    def document(self) -> _Node | None:
        root: _Node | None = None
        documents = 0
        for event in self._events:
            kind = _kind(event)
            if kind == "DocumentStart":
                documents += 1
                if documents > 1:
                    raise Malformed("it holds more than one document: leave out what follows ---", _line(event))
                if event.version is not None and tuple(event.version) < (1, 2):
                    raise Malformed("it says that it is YAML 1.1, and YAML 1.2 is read: leave out %YAML", _line(event))
            elif kind not in ("StreamStart", "DocumentEnd", "StreamEnd"):
                root = self._node(event, 0)
        return root

    def _node(self, event: Any, depth: int) -> _Node:
        kind, line = _kind(event), _line(event)
        self._values.enter(depth, line)
        if kind == "Alias":
            node = self._anchors.get(event.anchor)
            if node is None:
                raise Malformed("an alias has no anchor before it", line)
            return node
        if kind == "Scalar":
            return self._keep(event, _Scalar(line, _scalar(event, line), event.value))
        tag = _tag(event)
        if kind == "SequenceStart":
            _check_tag(tag, ("", "!", "seq"), line)
            sequence = _List(line)
            self._keep(event, sequence)
            for inside in self._until("SequenceEnd"):
                sequence.items.append(self._node(inside, depth + 1))
            return sequence
        _check_tag(tag, ("", "!", "map"), line)
        mapping = _Table(line)
        self._keep(event, mapping)
        merge = 0
        for inside in self._until("MappingEnd"):
            key_line = _line(inside)
            merges = _kind(inside) == "Scalar" and inside.value == _MERGE and inside.implicit[0]
            key = self._node(inside, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if merges:
                if merge:
                    check_new(_MERGE, key_line, merge)
                merge = key_line
                mapping.merged += value.items if isinstance(value, _List) else [value]
                continue
            if not isinstance(key, _Scalar):
                raise Malformed("a name must be a text, not a list or a mapping", key_line)
            name = Values.text(key.text, key_line)
            before = mapping.entries.get(name)
            check_new(name, key_line, None if before is None else before[0])
            mapping.entries[name] = (key_line, value)
        return mapping

    def _until(self, end: str) -> Iterator[Any]:
        for event in self._events:
            if _kind(event) == end:
                return
            yield event

    def _keep(self, event: Any, node: _Node) -> _Node:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node


class _Builder:
    """Makes the tree of nodes."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._values = Values()

    def build(self, node: _Node, path: Path | None, depth: int) -> Value:
        self._values.enter(depth, node.line)
        if isinstance(node, _Scalar):
            return node.value
        if isinstance(node, _List):
            return [self.build(item, None, depth + 1) for item in node.items]
        tree: dict[str, Value] = {}
        for key, (line, value) in self._entries(node, depth).items():
            inside = None if path is None else (*path, key)
            if inside is not None:
                self.lines[inside] = line
            tree[key] = self.build(value, inside, depth + 1)
        return tree

    def _entries(self, node: _Table, depth: int) -> dict[str, tuple[int, _Node]]:
        """Returns the entries of a table, with those that it merges and does not have itself."""
        entries = dict(node.entries)
        for each in node.merged:
            self._values.enter(depth, node.line)
            if not isinstance(each, _Table):
                raise Malformed("<< takes a mapping, or a list of mappings", each.line)
            for key, entry in self._entries(each, depth + 1).items():
                self._values.enter(depth, node.line)
                entries.setdefault(key, entry)
        return entries


def _scalar(event: Any, line: int) -> Value:
    """Returns the value of a scalar, by the core schema."""
    text: str = event.value
    tag = _tag(event)
    if tag in ("!", "str") or (not tag and not event.implicit[0]):
        return Values.text(text, line)
    _check_tag(tag, ("", "null", "bool", "int", "float"), line)
    found, value = _resolved(text, line)
    if tag and (found != tag and (tag, found) != ("float", "int")):
        raise Malformed("a value is not what its tag says", line)
    if tag == "float" and isinstance(value, int):
        return float(value)
    return value


def _resolved(text: str, line: int) -> tuple[str, Value]:
    if _NULL.fullmatch(text):
        return "null", None
    if flag := _BOOL.fullmatch(text):
        return "bool", bool(flag[1])
    if _SPECIAL.fullmatch(text):
        return "float", Values.number(float("inf"), line)
    for pattern, base in ((_INT, 10), (_OCT, 8), (_HEX, 16)):
        if whole := pattern.fullmatch(text):
            return "int", Values.whole(int(whole[1], base) if len(text) <= _LONGEST else 1 << 64, line)
    if len(text) <= _LONGEST and _FLOAT.fullmatch(text):
        return "float", Values.number(float(text), line)
    return "str", Values.text(text, line)


def _tag(event: Any) -> str:
    """Returns an explicit tag: the name of one of YAML's own, another as it is, and an empty text if there is none."""
    tag = event.tag
    return "" if tag is None else str(tag).removeprefix(_PREFIX)


def _check_tag(tag: str, known: tuple[str, ...], line: int) -> None:
    if tag not in known:
        raise Malformed("a tag is not supported; those of the core schema are, such as !!str", line)


def _kind(event: Any) -> str:
    return str(event.__class__.__name__).removesuffix("Event")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
