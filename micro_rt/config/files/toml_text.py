"""Reads TOML with the line of each name.

``tomllib`` of Python reads the values and refuses whatever is not TOML, but keeps no lines. They come from a walk over the same
text that knows names, strings and brackets only. The walk is first, because it bounds nesting: ``tomllib`` takes a time that grows with the
square of the parts of a dotted name. Where the walk does not understand the text, it ends, and ``tomllib`` says what is wrong.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any, cast

from micro_rt.config.base import MAX_DEPTH, Path, Value
from micro_rt.config.files.document import Document, Malformed, Values, table

__all__ = ["read_toml_document"]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"'([^'\n]*)'")
_BASIC = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_LONG_LITERAL = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}')
_OTHER = re.compile(r"[^,\]}#\r\n]+")
_AT = re.compile(r"\(at line (\d{1,9}), column \d+\)")
_AT_END = "(at end of document)"

_PROBLEMS = (
    ("Cannot overwrite", "a name is given twice, or is both a value and a table"),
    ("Cannot declare", "a table is given twice, or its name is that of a value"),
    ("Cannot mutate", "a name adds to a table or a list that is complete"),
    ("Cannot redefine", "a table is given twice, or its name is that of a value"),
    ("Duplicate inline table key", "a name is given twice in one table"),
    ("Invalid value", "a value is not TOML: put texts into quotes"),
    ("Expected '=' after a key", "a name has no = after it"),
    ("Expected newline or end of document", "something follows a value in its line: put texts into quotes"),
    (
        "Invalid initial character for a key",
        "a line begins with a character that no name has: put the name into quotes",
    ),
    ("Invalid statement", "a line begins with a character that no name has: put the name into quotes"),
    ("Unterminated", "a text is not closed"),
    ('Expected "\'"', "a text is not closed"),
    ("Unclosed array", "a [ is not closed, or a comma is missing"),
    ("Unclosed inline table", "a { is not closed, or a comma is missing"),
    ("Unescaped", "a text in double quotes has an unknown escape: write two backslashes for one"),
    ("Illegal character", "a text in one pair of quotes holds a line break or another control character"),
)
"""What the library's messages begin with, and what is said instead: the messages may repeat what is in the file."""


def read_toml_document(text: str) -> Document:
    """Reads TOML 1.0.

    Raises:
        Malformed: it is not TOML, or breaks a rule of ``document``.
    """
    text = text.replace("\r\n", "\n")
    walk = _Walk(text)
    walk.run()
    problem, line = "it is not TOML", 0
    try:
        found: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        said = str(error)
        problem = next((shown for begin, shown in _PROBLEMS if said.startswith(begin)), problem)
        at = _AT.search(said)
        line = int(at[1]) if at else text.count("\n") + 1 if said.endswith(_AT_END) else 0
    else:
        converter = _Converter(walk.lines)
        return Document(table(converter.convert(found, (), 0, 1), "such as port = 8080"), walk.lines)
    raise Malformed(problem, line)


class _Converter:
    def __init__(self, lines: Mapping[Path, int]) -> None:
        self._lines = lines
        self._values = Values()

    def convert(self, value: Any, path: Path | None, depth: int, line: int) -> Value:
        self._values.enter(depth, line)
        if isinstance(value, dict):
            tree: dict[str, Value] = {}
            for key, each in cast("dict[str, Any]", value).items():
                inside = None if path is None else (*path, self._values.text(key, line))
                there = line if inside is None else self._lines.get(inside, line)
                tree[key] = self.convert(each, inside, depth + 1, there)
            return tree
        if isinstance(value, list):
            return [self.convert(each, None, depth + 1, line) for each in cast("Iterable[Any]", value)]
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._values.whole(value, line)
        if isinstance(value, float):
            return self._values.number(value, line)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        return self._values.text(str(value), line)


class _Lost(Exception):  # noqa: N818
    """The walk does not understand the text."""


class _Walk:
    """Finds the line of each name that is not within a list."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._lists: set[Path] = set()
        self._counted = (0, 1)

    def run(self) -> None:
        header: Path | None = ()
        try:
            while True:
                self._skip(_BLANK)
                if self._at == len(self._text):
                    return
                line = self._line()
                if self._take("["):
                    many = self._take("[")
                    header = self._note((), self._key(), line)
                    if not self._take("]") or (many and not self._take("]")):
                        return
                    if many and header is not None:
                        self._lists.add(header)
                        header = None
                else:
                    self._pair(header, line, 1)
        except _Lost:
            return

    def _pair(self, header: Path | None, line: int, depth: int) -> None:
        key = self._key()
        inside = self._note(header, key, line)
        self._skip(_SPACE)
        if not self._take("="):
            raise _Lost
        self._skip(_SPACE)
        self._value(inside, depth + len(key))

    def _note(self, header: Path | None, key: Path, line: int) -> Path | None:
        """Notes the line of a name and of the tables that it makes; returns its path, None within a list."""
        if len(key) + len(header or ()) > MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep", line)
        if header is None:
            return None
        for part in key:
            header = (*header, part)
            if header in self._lists:
                return None
            self.lines.setdefault(header, line)
        return header

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            parts.append(self._part())
            if len(parts) > MAX_DEPTH:
                raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep", self._line())
            self._skip(_SPACE)
            if not self._take("."):
                return tuple(parts)

    def _part(self) -> str:
        if bare := self._match(_BARE):
            return bare[0]
        if literal := self._match(_LITERAL):
            return str(literal[1])
        basic = self._match(_BASIC)
        if basic is None:
            raise _Lost
        try:
            return next(iter(tomllib.loads(f"{basic[0]}=0")))
        except ValueError:
            raise _Lost from None

    def _value(self, path: Path | None, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep", self._line())
        if self._take("{"):
            self._inline(path, depth)
        elif self._take("["):
            self._list(depth)
        elif not any(self._match(each) for each in (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL, _OTHER)):
            raise _Lost

    def _inline(self, path: Path | None, depth: int) -> None:
        while True:
            self._skip(_BLANK)
            if self._take("}"):
                return
            self._pair(path, self._line(), depth)
            self._skip(_BLANK)
            if not self._take(","):
                if self._take("}"):
                    return
                raise _Lost

    def _list(self, depth: int) -> None:
        while True:
            self._skip(_BLANK)
            if self._take("]"):
                return
            self._value(None, depth + 1)
            self._skip(_BLANK)
            if not self._take(","):
                if self._take("]"):
                    return
                raise _Lost

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _take(self, character: str) -> bool:
        taken = self._text.startswith(character, self._at)
        self._at += taken
        return taken

    def _line(self) -> int:
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line
