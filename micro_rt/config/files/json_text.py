"""Reads JSON with the line of each name; ``json`` of Python keeps no lines, and takes the last of two equal names."""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from micro_rt.config.base import Path, Value
from micro_rt.config.files.document import Document, Malformed, Values, check_new, table

__all__ = ["read_json_document"]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![0-9A-Za-z.+-])")
_WORD = re.compile(r"[A-Za-z_]+")
_LONGEST = 400
"""Characters of a number; more are refused before they are converted."""


def read_json_document(text: str) -> Document:
    """Reads JSON (RFC 8259).

    Raises:
        Malformed: it is not JSON, or breaks a rule of ``document``.
    """
    reader = _Reader(text)
    return Document(table(reader.whole(), 'in braces, such as {"port": 8080}'), reader.lines)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._values = Values()
        self._breaks = [found.start() for found in re.finditer("\n", text)]

    def whole(self) -> Value:
        self._skip()
        if self._at == len(self._text):
            raise Malformed("it is empty; an empty configuration is {}", self._line())
        value = self._value((), 0)
        self._skip()
        if self._at != len(self._text):
            raise self._wrong("something follows the end of the outermost value")
        return value

    def _value(self, path: Path | None, depth: int) -> Value:
        line = self._line()
        self._values.enter(depth, line)
        first = self._text[self._at : self._at + 1]
        if first == "{":
            return self._object(path, depth)
        if first == "[":
            return self._array(depth)
        if first == '"':
            return self._string()
        if first and first in "-0123456789":
            return self._number()
        word = _WORD.match(self._text, self._at)
        if word is not None and word[0] in ("true", "false", "null"):
            self._at = word.end()
            return {"true": True, "false": False, "null": None}[word[0]]
        if word is not None and word[0] in ("NaN", "Infinity"):
            raise self._wrong("JSON has no NaN and no Infinity")
        raise self._wrong(
            "a value is expected: a text in double quotes, a number, true, false, null, an object or a list"
        )

    def _object(self, path: Path | None, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        firsts: dict[str, int] = {}
        self._at += 1
        if self._take("}"):
            return found
        while True:
            self._skip()
            line = self._line()
            if self._text[self._at : self._at + 1] != '"':
                raise self._wrong("a name in double quotes is expected")
            key = self._string()
            check_new(key, line, firsts.get(key))
            firsts[key] = line
            if not self._take(":"):
                raise self._wrong("a colon is expected after a name")
            self._skip()
            inside = None if path is None else (*path, key)
            if inside is not None:
                self.lines[inside] = line
            found[key] = self._value(inside, depth + 1)
            if self._take("}"):
                return found
            if not self._take(","):
                raise self._wrong("a comma or } is expected after a value")

    def _array(self, depth: int) -> list[Value]:
        found: list[Value] = []
        self._at += 1
        if self._take("]"):
            return found
        while True:
            self._skip()
            found.append(self._value(None, depth + 1))
            if self._take("]"):
                return found
            if not self._take(","):
                raise self._wrong("a comma or ] is expected after a value")

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            raise self._wrong(
                "a text is not closed, or holds a line break, another control character or a wrong escape"
            )
        text = self._values.text(str(json.loads(found[0])), self._line())
        self._at = found.end()
        return text

    def _number(self) -> int | float:
        found = _NUMBER.match(self._text, self._at)
        if found is None or len(found[0]) > _LONGEST:
            raise self._wrong("a number is not written as JSON has it, or is too long")
        whole = not (found[1] or found[2])
        line = self._line()
        number = self._values.whole(int(found[0]), line) if whole else self._values.number(float(found[0]), line)
        self._at = found.end()
        return number

    def _take(self, character: str) -> bool:
        """Goes past spaces and a character; returns whether it was there."""
        self._skip()
        if self._text[self._at : self._at + 1] != character:
            return False
        self._at += 1
        return True

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1

    def _wrong(self, problem: str) -> Malformed:
        if self._at >= len(self._text):
            return Malformed("it ends too early", self._line())
        return Malformed(problem, self._line())
