"""The interface of a selector, and what every selector promises.

- It returns one of the nodes that it is given, as it is given: the address and the metadata of a node may change while its id
  stays.
- It returns a node to avoid only if there is no other. Ids to avoid may be those of nodes that are not given.
- It answers at once: it does not wait, does not fail, and changes nothing that it is given.
- It copes with any change of the nodes from one call to the next: nodes come, go and come back.
- What it remembers does not grow with the nodes that have gone.

A selector is made without arguments, one for each service that is looked up in a process, so it may keep what it learns. It is
used in one event loop. ``micro_rt.testing.contracts.SelectorContract`` checks these promises.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from micro_rt.node import Node

__all__ = ["Selector"]


class Selector(Protocol):
    """Picks a node for each call; found by its name in the entry points ``micro_rt.selector``."""

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks a node; called for each attempt of each call, so its time counts.

        Args:
            nodes: at least one; sorted by their ids, which are unique.
            avoid: ids of nodes that failed, or that this call has been to; often empty.
        """
        ...
