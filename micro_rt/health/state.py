"""What a service says of itself: whether it takes calls, and what troubles it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from micro_rt.kit.ordered import OrderedSet

__all__ = ["Health"]


class Health:
    """Whether a service takes calls, as a whole and for each proto service; and what troubles its parts.

    Others learn the first over ``grpc.health.v1``; trouble is for those who run it, and does not turn calls away.
    """

    def __init__(self) -> None:
        self._running = False
        self._refused: OrderedSet[str] = OrderedSet()
        self._known: OrderedSet[str] = OrderedSet()
        self._parts: dict[str, Callable[[], str]] = {}
        self._changed = asyncio.Event()

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by part: ``{"registry": "Consul at … does not answer"}``; empty if nothing is."""
        found = {part: problem() for part, problem in self._parts.items()}
        return {part: problem for part, problem in found.items() if problem}

    def set_serving(self, serving: bool, service: str = "") -> None:
        """Says whether calls are welcome; they are, until this says otherwise.

        Args:
            serving: False if callers should go elsewhere.
            service: full proto name of the service that it is said of; empty for all of them.

        Raises:
            ValueError: it is not served here.
        """
        if service and service not in self._known:
            served = ", ".join(sorted(self._known)) or "nothing"
            raise ValueError(f"{service!r} is not served here, so it has no health; served: {served}")
        (self._refused.discard if serving else self._refused.add)(service)
        self._notify()

    def serving(self, service: str = "") -> bool | None:
        """Whether calls of a service are welcome now; None if it is not served here."""
        if service and service not in self._known:
            return None
        return self._running and "" not in self._refused and service not in self._refused

    @property
    def services(self) -> tuple[str, ...]:
        """Full names of the proto services that are served."""
        return tuple(self._known)

    @property
    def running(self) -> bool:
        """Whether the service has started, and has not begun to stop."""
        return self._running

    def change(self) -> asyncio.Event:
        """Returns what is set when something of it may be different from now."""
        return self._changed

    # For the service that it is of

    def know(self, service: str) -> None:
        """Says that a proto service is served."""
        self._known.add(service)

    def observe(self, part: str, problem: Callable[[], str]) -> None:
        """Says how to ask a part what is wrong with it."""
        self._parts[part] = problem

    def run(self, running: bool) -> None:
        """Says that the service takes calls from now on, or that it has begun to stop."""
        self._running = running
        self._notify()

    def forget(self) -> None:
        """Says that its parts are gone."""
        self._parts.clear()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
