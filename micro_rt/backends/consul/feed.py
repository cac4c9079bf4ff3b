"""What is known of a watched name."""

from __future__ import annotations

import asyncio

from micro_rt.backends.consul.entries import EntryReader, has_check, host_of
from micro_rt.backends.consul.http import Answer, list_of
from micro_rt.errors import Error
from micro_rt.node import Node

__all__ = ["Feed"]


class Feed:
    """A watched name and its present nodes.

    Args:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.users = 0
        """Watches of it."""
        self.nodes: tuple[Node, ...] = ()
        self.ready = asyncio.Event()
        """Set when the nodes were read for the first time, or could not be."""
        self.error: Error | None = None
        """Why they cannot be read, if waiting does not help."""
        self.hosts: frozenset[str] = frozenset()
        """The agents that list it: their health is its health."""
        self.unchecked = False
        """Whether it has nodes without a check of their own."""
        self.task: asyncio.Task[None] | None = None
        """What follows it, if that is for it alone."""
        self._index = 0

    def take(self, answer: Answer, reader: EntryReader) -> bool:
        """Takes what an answer says, unless newer things are known; returns whether the nodes are others now.

        Raises:
            TypeError: the answer is not a list.
        """
        if answer.index < self._index:
            return False
        entries = list_of(answer.data)
        nodes = reader.nodes(entries)
        self._index = answer.index
        self.hosts = frozenset(host for entry in entries if (host := host_of(entry)))
        self.unchecked = not all(has_check(entry) for entry in entries)
        changed = self.error is not None or not self.ready.is_set() or nodes != self.nodes
        self.nodes = nodes
        self.error = None
        self.ready.set()
        return changed

    def fail(self, error: Error) -> None:
        """It cannot be read, and waiting will not help."""
        self.error = error
        self.ready.set()

    def begin_anew(self) -> None:
        """Consul may have begun anew: what was seen of it says nothing of what is newer."""
        self._index = 0
