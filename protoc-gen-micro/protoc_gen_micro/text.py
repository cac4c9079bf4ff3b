"""What templates may call to write Python: docstrings, indentation, calls that are laid out, literals."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["WIDTH", "bytes_literal", "docstring", "indented", "layout", "literal"]

WIDTH = 120
"""How wide a generated line may be."""


def docstring(text: str, deprecated: bool = False) -> str:
    """Returns a comment as a docstring that reads back as the comment.

    >>> eval(docstring('Says "hello".'))
    'Says "hello".'
    """
    if deprecated:
        text = f"{text}\n\nDeprecated." if text else "Deprecated."
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = "".join(letter if letter in "\n\t" or letter.isprintable() else _escaped(letter) for letter in text)
    if "\n" in text:
        return f'"""{text}\n"""'
    return f'"""{text[:-1]}\\""""' if text.endswith('"') else f'"""{text}"""'


def indented(text: str, levels: int = 1) -> str:
    """Returns the text, without newlines at its end, with all lines but the first and blank ones moved to the right."""
    text = text.rstrip("\n")
    if not levels or "\n" not in text:
        return text
    first, *rest = text.split("\n")
    blank = "    " * levels
    return "\n".join([first, *(blank + line if line else line for line in rest)])


def layout(head: str, arguments: Iterable[str], tail: str, levels: int = 0) -> str:
    """Returns a call or a signature laid out as the formatters lay it out.

    On one line if that is wide enough, else its arguments on one line of their own, else each on its own.

    Args:
        head: what comes before the arguments, with the opening bracket.
        arguments: the arguments.
        tail: what comes behind them, with the closing bracket.
        levels: how far the result will be moved to the right.
    """
    parts = list(arguments)
    joined = ", ".join(parts)
    room = WIDTH - 4 * levels
    if "\n" not in joined:
        if len(head) + len(joined) + len(tail) <= room:
            return head + joined + tail
        if len(joined) + 4 <= room:
            return f"{head}\n    {joined}\n{tail}"
    return f"{head}\n" + "".join(f"    {indented(part)},\n" for part in parts) + tail


def literal(text: str) -> str:
    r"""Returns a string literal, with the quotes that the formatters choose.

    >>> print(literal('a "b"'))
    'a "b"'
    """
    return _quoted(repr(text))


def bytes_literal(data: bytes) -> str:
    r"""Returns a literal of bytes: pieces, one a line.

    >>> print(bytes_literal(b'\n\x07ab'))
    b"\n\x07ab"
    """
    pieces: list[str] = []
    start = 0
    while start < len(data) or not pieces:
        size = _PIECE
        piece = repr(data[start : start + size])
        while len(piece) > _PIECE_WIDTH:
            size = size * 3 // 4
            piece = repr(data[start : start + size])
        pieces.append(f"b{_quoted(piece[1:])}")
        start += size
    return "\n".join(pieces)


_PIECE, _PIECE_WIDTH = 96, 115


def _quoted(literal: str) -> str:
    """Turns a literal as ``repr`` writes it into one with double quotes, unless that takes more backslashes."""
    body = literal[1:-1]
    if literal[0] == '"' or body.count('"') > body.count("'"):
        return literal
    body = body.replace("\\'", "'").replace('"', '\\"')
    return f'"{body}"'


def _escaped(letter: str) -> str:
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
