"""Checks of the methods of classes that users write: handlers and subscribers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

__all__ = ["is_plain", "misspelled", "takes"]

_NEAR = 0.8
"""How similar two names are, from 0 to 1, of which one counts as a misspelling of the other."""


def takes(function: Any, count: int) -> bool:
    """Returns whether a function can be called with so many positional arguments; True if nothing says that it cannot.

    Args:
        function: bound, if it is a method.
        count: of arguments.
    """
    try:
        # A decorator may pass more arguments on than it takes: what it takes counts.
        signature = inspect.signature(function, follow_wrapped=False)
    except ValueError:
        # Python has no signature for a method that does not take self, nor for some functions written in C.
        return not inspect.ismethod(function)
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def is_plain(function: Any) -> bool:
    """Returns whether a function is written as `def`, and so is what it wraps. Other callables may be anything."""
    inner = inspect.unwrap(function)
    return (
        (inspect.isfunction(inner) or inspect.ismethod(inner))
        and not inspect.iscoroutinefunction(inner)
        and not inspect.isasyncgenfunction(inner)
        and not inspect.iscoroutinefunction(function)
        and not inspect.isasyncgenfunction(function)
    )


def misspelled(cls: type, generated: type, missing: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each method of a class whose name is near that of a method which it should have defined, with that name.

    Names that begin with an underscore, and those that the generated class has, are not misspelled.

    Args:
        cls: the class that a user wrote.
        generated: the class that it derives from.
        missing: the names of the methods of the generated class that it does not define.
    """
    names = {_folded(name): name for name in missing}
    for each in cls.__mro__:
        if each is generated:
            return
        for name, value in vars(each).items():
            if name.startswith("_") or hasattr(generated, name) or not _is_method(value):
                continue
            near = get_close_matches(_folded(name), names, n=1, cutoff=_NEAR)
            if near:
                yield name, names[near[0]]


def _is_method(value: object) -> bool:
    return isinstance(value, staticmethod | classmethod) or inspect.isfunction(value)


def _folded(name: str) -> str:
    """Returns a name as it is however its words are joined: ``sayHello``, ``SayHello`` and ``say_hello`` are one."""
    return name.replace("_", "").lower()
