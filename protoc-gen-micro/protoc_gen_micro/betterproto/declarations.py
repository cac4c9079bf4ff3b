"""How a field of a dataclass is declared, laid out as the formatters do."""

from __future__ import annotations

from collections.abc import Sequence

from protoc_gen_micro.python.text import WIDTH, indented, layout

__all__ = ["declaration"]


def declaration(name: str, hint: str, call: str, arguments: Sequence[str]) -> str:
    """Returns the line that declares a field in a class, or the lines if one is too long.

    Args:
        name: the name of the attribute.
        hint: its type, on one line.
        call: how the call begins whose result is the value, with the opening bracket.
        arguments: the arguments of the call.
    """
    head = f"{name}: {hint} = "
    if len(head) + len(call) <= _WIDTH:
        return layout(f"{head}{call}", _with_lambdas(arguments, 2), ")", 1)
    if len(head) + 1 <= _WIDTH:
        inner = indented(layout(call, _with_lambdas(arguments, 3), ")", 2))
        if all(len(line) <= _WIDTH for line in inner.split("\n")):
            return f"{head}(\n    {inner}\n)"
    broken = _broken_hint(hint)
    joined = ", ".join(arguments)
    if "\n" in broken and len(") = ") + len(call) + len(joined) + 1 <= _WIDTH:
        return f"{name}: {broken} = {call}{joined})"
    parts = _with_lambdas(arguments, 2)
    joined = ", ".join(parts)
    if "\n" in joined or len(joined) + 4 > _WIDTH:
        joined = ",\n    ".join(indented(part) for part in parts) + ","
    return f"{name}: {broken} = {call}\n    {joined}\n)"


_WIDTH = WIDTH - 4
"""How wide a line in a class may be."""


def _broken_hint(hint: str) -> str:
    """Returns a hint that is too long for the line of its name."""
    if hint.endswith("]"):
        head, _, inner = hint[:-1].partition("[")
        if len(inner) + 4 > _WIDTH and ", " in inner:
            inner = inner.replace(", ", ",\n    ") + ","
        return f"{head}[\n    {inner}\n]"
    value = hint.removesuffix(" | None")
    if value == hint:
        return hint
    return f"(\n    {hint if len(hint) + 4 <= _WIDTH else f'{value}{chr(10)}    | None'}\n)"


def _with_lambdas(arguments: Sequence[str], levels: int) -> list[str]:
    """Returns arguments, with the results of lambdas in brackets where the line is too long.

    Args:
        arguments: the arguments.
        levels: how far each of them is moved to the right, on a line of its own.
    """
    room = WIDTH - 4 * levels - 1
    return [
        argument.replace("lambda: ", "lambda: (\n    ") + "\n)"
        if len(argument) > room and argument.startswith("lambda: ")
        else argument
        for argument in arguments
    ]
