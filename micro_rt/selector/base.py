"""The interface of a selector, and what every selector promises.

- It returns one of the nodes that it is given, as it is given: the address and the metadata of a node may change while its id
  stays.
- It returns a node to avoid only if there is no other. Ids to avoid may be those of nodes that are not given.
- It answers at once: it does not wait, does not fail, and changes nothing that it is given.
- It copes with any change of the nodes from one call to the next: nodes come, go and come back.
- What it remembers does not grow with the nodes that have gone.

A selector is made without arguments, one for each service that is looked up in a process, so it may keep what it learns. It is
used in one event loop. ``micro_rt.testing.contracts.SelectorContract`` checks these promises.

A selector that derives from ``LoadSelector`` is also given the load of each node and the metadata of the call. Other selectors
are not, and their calls are not measured. ``micro_rt.testing.contracts.LoadSelectorContract`` checks what such a selector promises
besides:

- It selects without loads too, and with loads of some nodes only.
- It changes no load, and keeps none: a node that comes back has another one.

A class that has options has a class method ``with_options``. For ``selector="name?option=value"`` it is called with the text after
the question mark, and returns a selector. It raises ``ValueError`` for options that make no sense.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node

__all__ = ["NO_LOADS", "Load", "LoadSelector", "Selector"]


class Selector(Protocol):
    """Picks a node for each call; found by its name in the entry points ``micro_rt.selector``."""

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks a node; called for each attempt of each call, so its time counts.

        Args:
            nodes: at least one; sorted by their ids, which are unique.
            avoid: ids of nodes that failed, or that this call has been to; often empty.
        """
        ...


class Load(Protocol):
    """What this process knows of the calls to one node, over all of its clients. It is for reading only."""

    @property
    def in_flight(self) -> int:
        """Calls that have begun and have not ended; streams count too."""
        ...

    @property
    def latency(self) -> float | None:
        """Seconds that a unary call to the node takes: a mean in which new replies count most; None if it is not known.

        While the node has no call in flight, the mean halves for each half-life (5 s) without a reply, so that a node that was
        slow is tried again. It is not known before the first reply, and 10 half-lives after the last one. Streams and
        failures do not count.
        """
        ...

    @property
    def failures(self) -> float:
        """Failures of the node, at most 10: each counts 1 when it happens, and half as much after each half-life (5 s).

        An attempt counts as a failure if it could not reach the node or got no answer in time, or if the node answered
        ``Unavailable``, ``ResourceExhausted``, ``DeadlineExceeded``, ``Internal``, ``DataLoss`` or ``Unknown``. Other errors
        are answers.
        """
        ...


NO_LOADS: Mapping[str, Load] = MappingProxyType({})
"""The loads of nodes of which nothing is known."""


class LoadSelector(ABC):
    """A selector that is given the load of each node and the metadata of the call. It is a ``Selector`` too."""

    @abstractmethod
    def select(
        self,
        nodes: Sequence[Node],
        avoid: Collection[str],
        loads: Mapping[str, Load] = NO_LOADS,
        metadata: Metadata = EMPTY,
    ) -> Node:
        """Picks a node; called for each attempt of each call, so its time counts.

        Args:
            nodes: at least one; sorted by their ids, which are unique.
            avoid: ids of nodes that failed, or that this call has been to; often empty.
            loads: what is known of nodes, by their ids. It may lack a node, and have others.
            metadata: what the call sends.
        """
