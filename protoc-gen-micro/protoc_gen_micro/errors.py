"""The errors that a user of the generator sees: where in which file, which symbol, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["GenerateError", "SeveralGenerateError"]


class GenerateError(Exception):
    """Something in a .proto file, or in an option, that cannot become Python.

    Args:
        message: what is wrong and what to do about it, in one line.
        path: the .proto file, as protoc names it, or the user's template; empty when no file is to blame.
        line: line in that file, from 1; 0 when unknown.
        column: column in that line, from 1; 0 when unknown.
        symbol: full name of what is wrong, such as ``"greeter.Greeter.SayHello"``.
    """

    def __init__(self, message: str, *, path: str = "", line: int = 0, column: int = 0, symbol: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = f"{path}"  # bytes, where a request is damaged
        self.line = line
        self.column = column
        self.symbol = f"{symbol}"

    def __str__(self) -> str:
        """Returns one line in the form of a compiler: ``file:line:column: symbol: message``."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        if self.column:
            place = f"{place}:{self.column}"
        return ": ".join(part for part in (place, self.symbol, self.message) if part)


class SeveralGenerateError(GenerateError):
    """Several mistakes of one file.

    Args:
        errors: at least one.
    """

    def __init__(self, errors: Sequence[GenerateError]) -> None:
        first = errors[0]
        super().__init__(first.message, path=first.path, line=first.line, column=first.column, symbol=first.symbol)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        """Returns a line for each mistake."""
        return "\n".join(map(str, self.errors))
