"""A node is killed under load: who still tries it, whose calls fail, and when it is gone from the view."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.children import Child
from benchmarks.measure import Plan, Spread
from benchmarks.table import Table

__all__ = ["killed"]

SERVERS = 3
TTL = 10
"""Seconds that a node stays listed after it died."""
CALLS = 16
"""Calls at a time, of each client."""
PAUSE = 0.05
"""Seconds between two calls of each: so that the machine has time for all registries at once."""
WARM = 2.0
"""Seconds of calls before, at least; go-micro begins to watch a moment after the first."""
AFTER = 1.0
"""Seconds of calls after it is gone from every view."""
LIMIT = 90.0
"""Seconds to be gone in."""
GO_CLIENTS = {"go-micro": (), "go-micro, RetryAlways": ("always",)}
"""Clients of go-micro's, and what their program is told."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one client did after a kill.

    Attributes:
        attempts: when it went to the dead node, in seconds since the kill.
        gone: when the node was gone from its view.
        calls: those that ended.
    """

    attempts: Sequence[float]
    gone: float
    calls: int
    failed: int
    seconds: float


def killed(plan: Plan, urls: Mapping[str, str], program: Path | None, home: str) -> Table:
    """Kills one of three servers in each round, on all registries at once."""
    rounds = plan.count(5, 3)
    samples: dict[tuple[str, str], list[Sample]] = {}
    with ThreadPoolExecutor(len(urls)) as pool:
        for number in range(rounds):
            plan.progress(f"killing a server: round {number + 1} of {rounds}")
            each = partial(_round, program=program, home=home)
            for kind, samples_by_stack in zip(urls, pool.map(each, urls.values()), strict=True):
                for stack, sample in samples_by_stack.items():
                    samples.setdefault((kind, stack), []).append(sample)

    rows = [[f"{kind}: {stack}", *_cells(collected)] for (kind, stack), collected in samples.items()]
    return Table(
        f"one of {SERVERS} servers is killed, with a lease of {TTL} s; {rounds} rounds",
        ["", "last attempt s", "attempts", "calls/s", "calls", "failed", "gone s"],
        rows,
        [
            f"Of each client, with {CALLS} calls at a time; seconds are since the kill, and calls are counted from then on.",
            "By default, go-micro tries a call again after a timeout, not when nobody answers; RetryAlways does after any error.",
            "failed is of all rounds; the rest is the median [least-most] of the rounds.",
        ],
    )


def _round(url: str, program: Path | None, home: str) -> dict[str, Sample]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    kind, _, address = url.partition("://")
    with ExitStack() as stack:
        servers = [
            Child("benchmarks.discovery_child", "server", url, name, str(TTL), home=home) for _ in range(SERVERS)
        ]
        clients = {"micro-rt": Child("benchmarks.discovery_child", "client", url, home=home)}
        if program and address:
            for title, arguments in GO_CLIENTS.items():
                clients[title] = Child("", "client", kind, address, *arguments, home=home, program=program)
        for child in (*servers, *clients.values()):
            stack.push(child)
        for child in (*servers, *clients.values()):
            child.__enter__()
        for client in clients.values():
            client.ask(do="load", name=name, workers=CALLS, pause=PAUSE)
        _until(lambda: all(len(client.ask(do="view")) == SERVERS for client in clients.values()), f"{url}: all known")
        time.sleep(WARM + random.uniform(0, TTL / 3))  # Any time between two heartbeats.
        dead = servers[0].ask()
        since = time.time()
        os.kill(dead["pid"], signal.SIGKILL)
        _until(
            lambda: not any(dead["address"] in client.ask(do="view") for client in clients.values()),
            f"{url}: the killed server gone from the views",
        )
        time.sleep(AFTER)
        return {
            stack_name: Sample(**client.ask(do="stop", address=dead["address"], since=since))
            for stack_name, client in clients.items()
        }


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so after {LIMIT:g} s: {what}")
        time.sleep(0.1)


def _cells(samples: Sequence[Sample]) -> list[str]:
    return [
        Spread.of([max(sample.attempts, default=0.0) for sample in samples]).text(1),
        Spread.of([len(sample.attempts) for sample in samples]).text(0),
        f"{Spread.of([sample.calls / sample.seconds for sample in samples]).middle:,.0f}",
        f"{sum(sample.calls for sample in samples):,}",
        f"{sum(sample.failed for sample in samples):,}",
        Spread.of([sample.gone for sample in samples]).text(1),
    ]
