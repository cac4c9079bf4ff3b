"""Entries of a registry that cannot be read.

Whoever may write a registry may write anything. An entry that cannot be read is left out, whatever reading it raises, and the other
entries of the name count. The log counts each such entry once. If many are found within a second, it names the first and the last.
"""

from __future__ import annotations

from micro_rt.kit.ids import new_id
from micro_rt.logs import logger, sparsely
from micro_rt.node import Node

__all__ = ["Unreadable", "checked"]

_REMEMBERED = 1000
"""Entries that are remembered as logged; further ones are not logged, so that they fill neither memory nor the log."""
_log = logger("micro_rt.registry")


class Unreadable:
    """The entries of one registry that could not be read, and were logged."""

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self._cause = sparsely(new_id(12))  # Each registry counts for itself.

    def note(self, what: str, error: Exception) -> None:
        """Logs that an entry is left out, unless that was logged or counted before.

        Args:
            what: names the entry.
            error: what reading it raised.
        """
        if what not in self._logged and len(self._logged) < _REMEMBERED:
            self._logged.add(what)
            text = "%s is not a node, and is left out: %s: %s"
            _log.warning(text, what, type(error).__name__, error, extra=self._cause)


def checked(node: Node) -> Node:
    """Returns a node that was read from a registry.

    Raises:
        ValueError: a field is not of its type.
    """
    texts: list[object] = [node.id, node.address, node.transport, node.version, *node.services]
    texts += [*node.metadata, *node.metadata.values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a field that must be text is something else")
    if not isinstance(node.registered, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("the number of its registration is not a whole number")
    return node
