"""Calls to nodes with simulated latencies, in simulated time: what a selector makes of them, without a wait."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from micro_rt.client.load import CallRecord
from micro_rt.errors import Unavailable
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import LoadSelector, Selector

__all__ = ["Measured", "Simulation", "nodes_of", "percentile"]


def nodes_of(count: int, first: int = 0) -> tuple[Node, ...]:
    """Returns so many nodes, sorted by their ids."""
    return tuple(Node(f"node-{number:03}", f"127.0.0.1:{number + 1}") for number in range(first, first + count))


def percentile(values: Sequence[float], part: float) -> float:
    """Returns the value that a part of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class Measured:
    """The load of a simulated node, with the record that the client keeps of a real one."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, in_flight: int = 0) -> None:
        self.in_flight = in_flight
        self.record = CallRecord(clock)

    @property
    def latency(self) -> float | None:
        return self.record.latency(self.in_flight)

    @property
    def failures(self) -> float:
        return self.record.failures


@dataclass
class Simulation:
    """Clients that each make one call after another.

    Attributes:
        selector: picks the nodes.
        latency: returns the seconds that a call to a node takes.
        fails: returns whether a call to a node fails.
        nodes: that there are; may be replaced between runs.
        now: the simulated time.
        seconds: how long each call took that has ended.
        calls: how many calls each node got.
    """

    selector: Selector
    latency: Callable[[str], float]
    nodes: tuple[Node, ...]
    fails: Callable[[str], bool] = lambda node_id: False
    now: float = 0.0
    seconds: list[float] = field(default_factory=list[float])
    calls: Counter[str] = field(default_factory=Counter[str])
    loads: dict[str, Measured] = field(default_factory=dict[str, Measured])

    def run(
        self,
        calls: int,
        clients: int,
        *,
        pause: float = 0.0,
        metadata: Callable[[int], Metadata] = lambda number: EMPTY,
    ) -> None:
        """Makes calls.

        Args:
            calls: how many.
            clients: how many call at the same time.
            pause: seconds that a client waits after each call.
            metadata: of each call, by its number.
        """
        for node in self.nodes:
            self.loads.setdefault(node.id, Measured(lambda: self.now))
        ending: list[tuple[float, int, str, float]] = []
        numbers, order = iter(range(calls)), count()

        def begin(at: float) -> None:
            number = next(numbers, None)
            if number is None:
                return
            heapq.heappush(ending, (at, next(order), "", float(number)))

        for _ in range(clients):
            begin(self.now)
        while ending:
            self.now, _, id, value = heapq.heappop(ending)
            if not id:
                id = self._select(metadata(int(value))).id
                self.calls[id] += 1
                self.loads[id].in_flight += 1
                took = self.latency(id)
                heapq.heappush(ending, (self.now + took, next(order), id, took))
                continue
            load = self.loads[id]
            load.in_flight -= 1
            self.seconds.append(value)
            if self.fails(id):
                load.record.noted(Unavailable("this node is broken"))
            else:
                load.record.took(value)
            begin(self.now + pause)

    def _select(self, metadata: Metadata) -> Node:
        if isinstance(self.selector, LoadSelector):
            return self.selector.select(self.nodes, (), self.loads, metadata)
        return self.selector.select(self.nodes, ())
