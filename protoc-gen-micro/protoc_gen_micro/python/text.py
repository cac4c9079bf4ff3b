"""What templates may call to write Python: docstrings, indentation, calls that are laid out, literals."""

from __future__ import annotations

import re
from collections.abc import Iterable

from protoc_gen_micro.schema.comments import cleaned

__all__ = [
    "WIDTH",
    "annotated",
    "broken",
    "bytes_literal",
    "docstring",
    "indented",
    "layout",
    "literal",
    "returned",
    "signature",
    "tuple_of",
]

WIDTH = 120
"""How wide a generated line may be."""


def docstring(text: str, deprecated: bool = False) -> str:
    """Returns a comment as a docstring that reads back as the comment, as the formatters write it.

    Every docstring of the output is written here.

    >>> eval(docstring('Says "hello".'))
    'Says "hello".'

    Args:
        text: the comment: any text. What the formatters would change in it is changed first, by ``cleaned``.
        deprecated: whether the docstring also says that the thing is deprecated.
    """
    text = cleaned(text)
    if deprecated:
        text = f"{text}\n\nDeprecated." if text else "Deprecated."
    if not deprecated and text.isprintable() and not _SPECIAL.search(text):
        return f'"""{text}"""'
    first, *rest = text.split("\n")
    text = text.replace("\\", "\\\\")
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = "".join(letter if letter in "\n\t" or letter.isprintable() else _escaped(letter) for letter in text)
    if not rest and not first.startswith('"'):
        # A quote at the end would be one of those that close the docstring.
        body = text.rstrip('"')
        return f'"""{_without_triple_quotes(body)}{_QUOTE * (len(text) - len(body))}"""'
    if first[:1] in ('"', " ") or (first and all(line[0] == " " for line in rest if line)):
        # Formatters would move such a first line, or lines that are further to the right than it.
        text = f"\n{text}"
    return f'"""{_without_triple_quotes(text)}\n"""'


_SPECIAL = re.compile(r'["\\]')
"""The letters that a docstring may have to escape."""

_QUOTE = '\\"'


def _without_triple_quotes(text: str) -> str:
    return text.replace('"""', _QUOTE * 3)


def indented(text: str, levels: int = 1) -> str:
    """Returns the text, without newlines at its end, with all lines but the first and blank ones moved to the right."""
    text = text.rstrip("\n")
    if not levels or "\n" not in text:
        return text
    blank = "    " * levels
    lines = text.replace("\n", f"\n{blank}")
    return lines.replace(f"\n{blank}\n", "\n\n").replace(f"\n{blank}\n", "\n\n") if "\n\n" in text else lines


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
        if len(joined) + 4 <= room and not _is_display(head):
            return f"{head}\n    {joined}\n{tail}"
    name, equals, call = head.partition(" = ")
    if equals and len(head) > room:
        inner = layout(call, parts, tail, levels + 1)
        if all(len(line) + 4 <= room for line in inner.split("\n")):
            return f"{name} = (\n    {indented(inner)}\n)"
    if len(parts) == 1 and not _is_display(head):
        return f"{head}\n    {indented(broken(parts[0], levels + 1))}\n{tail}"
    return f"{head}\n{_each(parts, levels)}{tail}"


def _each(parts: Iterable[str], levels: int) -> str:
    """Returns arguments or parameters, each on lines of its own."""
    most = WIDTH - 4 * levels - 5
    return "".join(
        [
            f"    {part},\n"
            if len(part) <= most and "\n" not in part
            else f"    {indented(broken(part, levels + 1))},\n"
            for part in parts
        ]
    )


def tuple_of(items: Iterable[str], levels: int, head: str = "", comma: str = ",") -> str:
    """Returns a tuple laid out as an argument of a call, on a line of its own.

    Args:
        items: what is in the tuple.
        levels: how far the result will be moved to the right.
        head: what comes before it on its line; the result does not begin with it.
        comma: what comes behind it: nothing, if it is the only argument; the result does not end with it.
    """
    parts = list(items)
    if len(parts) != 1:
        return layout(f"{head}(", parts, f"){comma}", levels).removesuffix(comma)[len(head) :]
    if len(head) + len(parts[0]) + len("(,)") + len(comma) <= WIDTH - 4 * levels:
        return f"({parts[0]},)"
    return f"(\n    {indented(parts[0])},\n)"


def _is_display(head: str) -> bool:
    """Returns whether what begins so is a list, a tuple, a set or a dict."""
    return head[-1:] in "[({" and (len(head) < 2 or head[-2] in "= ")


def annotated(name: str, hint: str, levels: int = 0) -> str:
    """Returns an annotated name, laid out as the formatters do.

    Args:
        name: the name.
        hint: its type.
        levels: how far the result will be moved to the right.
    """
    room = WIDTH - 4 * levels
    if len(name) + len(hint) + 2 <= room:
        return f"{name}: {hint}"
    opens = hint.endswith("]") and len(name) + hint.index("[") + 3 <= room
    if not opens and max(len(name) + 3, len(hint) + 4) <= room:
        return f"{name}: (\n    {hint}\n)"
    return f"{name}: {_exploded(hint, levels) if hint.endswith(']') else hint}"


def signature(head: str, parameters: Iterable[str], hint: str, tail: str, levels: int = 0) -> str:
    """Returns the head of a function, laid out as the formatters do.

    Args:
        head: what comes before the parameters, with the opening bracket.
        parameters: the parameters.
        hint: the type of what it returns.
        tail: what comes behind, with the colon.
        levels: how far the result will be moved to the right.
    """
    parts = list(parameters)
    joined = ", ".join(parts)
    room = WIDTH - 4 * levels
    if len(head) + len(joined) + len(hint) + len(tail) + 5 <= room:
        return f"{head}{joined}) -> {hint}{tail}"
    inner = f"    {joined}\n" if len(parts) > 1 and len(joined) + 4 <= room else _each(parts, levels)
    return f"{head}\n{inner}) -> {returned(hint, tail, levels)}"


def returned(hint: str, tail: str, levels: int = 0) -> str:
    """Returns the type of what a function returns, and what comes behind it, where ``)`` begins the line.

    Args:
        hint: the type.
        tail: what comes behind, with the colon.
        levels: how far the result will be moved to the right.
    """
    room = WIDTH - 4 * levels
    if len(hint) + len(tail) + 5 <= room:
        return hint + tail
    if _OR in hint:
        if len(hint) + 4 <= room:
            return f"(\n    {hint}\n){tail}"
        first, *others = hint.split(_OR)
        parts = [_member(first, room - 4, levels), *(f"| {_member(other, room - 6, levels)}" for other in others)]
        return "(\n" + "\n".join(f"    {part}" for part in parts) + f"\n){tail}"
    if hint.endswith("]"):
        return _exploded(hint, levels) + tail
    return f"(\n    {hint}\n){tail}" if len(hint) + 4 <= room else hint + tail


_OR = " | "
"""What is between the members of a union. No member has it inside."""


def _member(hint: str, room: int, levels: int) -> str:
    """Returns a member of a union, which stands on lines of its own."""
    return indented(_exploded(hint, levels + 1)) if len(hint) > room and hint.endswith("]") else hint


def broken(part: str, levels: int) -> str:
    """Returns an annotated parameter, broken where it is too long for a line with the comma behind it.

    Args:
        part: the parameter, on one line.
        levels: how far the result will be moved to the right.
    """
    room = WIDTH - 4 * levels
    if "\n" in part or len(part) + 1 <= room or (part.startswith('"') and ": " not in part):
        return part
    hint, equals, default = part.partition(" = ")
    return _wrapped(hint, equals + default, levels, 1)


def _wrapped(hint: str, default: str, levels: int, behind: int) -> str:
    """Breaks a type before each ``|``, or behind its bracket where it has none.

    Args:
        hint: the type, with the name before it.
        default: what comes behind it.
        levels: how far the result will be moved to the right.
        behind: how long what follows the default is.
    """
    room = WIDTH - 4 * levels
    first, *others = _split(hint, " | ")
    operands = [first, *(f"| {other}" for other in others)]
    operands[-1] += default
    ends = [0] * len(others) + [behind]
    lines = [
        _exploded(operand, levels) if len(operand) + end > room and operand.endswith("]") else operand
        for operand, end in zip(operands, ends, strict=True)
    ]
    return "\n".join(lines)


def _exploded(hint: str, levels: int) -> str:
    """Breaks what ends with a subscript behind its bracket."""
    head, _, inner = hint[:-1].partition("[")
    items = _split(inner, ", ")
    room = WIDTH - 4 * (levels + 1)
    if len(inner) <= room:
        return f"{head}[\n    {inner}\n]"
    more = len(items) > 1
    lines = [indented(_wrapped(item, "", levels + 1, more)) if len(item) + more > room else item for item in items]
    return f"{head}[\n    {lines[0]}\n]" if len(lines) == 1 else f"{head}[\n    " + ",\n    ".join(lines) + ",\n]"


def _split(hint: str, separator: str) -> list[str]:
    """Splits a type at the separators outside of its brackets."""
    parts, depth = [""], 0
    for piece in hint.split(separator):
        if depth:
            parts[-1] += separator + piece
        else:
            parts.append(piece)
        depth += piece.count("[") - piece.count("]")
    return parts[1:]


def literal(text: str) -> str:
    r"""Returns a string literal, with the quotes that the formatters choose.

    >>> print(literal('a "b"'))
    'a "b"'
    """
    return f'"{text}"' if text.isidentifier() and text.isascii() else _quoted(repr(text))


def bytes_literal(data: bytes) -> str:
    r"""Returns a literal of bytes: pieces, one a line; all in one piece if it fits on a line that is indented once.

    >>> print(bytes_literal(b'\n\x07ab'))
    b"\n\x07ab"
    """
    if len(data) <= WIDTH and len(whole := f"b{_quoted(repr(data)[1:])}") <= WIDTH - 4:
        return whole
    pieces: list[str] = []
    start = 0
    while start < len(data):
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
    if '"' not in body and "\\'" not in body:
        return f'"{body}"'  # Most literals have no quotes.
    if literal[0] == '"' or body.count('"') > body.count("'"):
        return literal
    body = body.replace("\\'", "'").replace('"', '\\"')
    return f'"{body}"'


def _escaped(letter: str) -> str:
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
