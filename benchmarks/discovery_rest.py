"""What clients and servers ask a registry while nothing changes: counted on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Child
from benchmarks.measure import Plan
from benchmarks.table import Table

__all__ = ["at_rest"]

WATCHED = (1, 100)
"""Services that a client watches."""
NODES = 3
"""Nodes of each."""
SETTLE = 10.0
"""Seconds from the first lookups until counting begins."""
LEASES = {
    "with a lease of 30 s, renewed every 10 s": ("30", "30s", "10s"),
    "go-micro's default: 90 s, every 30 s": ("", "90s", "30s"),
}
"""Of servers with one handler: ours, go-micro's, and how often that renews its own."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One process, whose requests are counted."""

    row: str
    stack: str
    kind: str
    arguments: Sequence[str]
    watched: int = 0


def at_rest(plan: Plan, urls: Mapping[str, str], program: Path | None, home: str) -> Table:
    """Starts all of them at once, each behind a proxy of its own, and counts for a while."""
    seconds = plan.seconds(300.0, 60.0)
    subjects = [subject for kind in urls for subject in _subjects(kind) if program or subject.stack == "micro"]
    names = [f"rest-{time.time_ns():x}-{number}" for number in range(max(WATCHED))]
    plan.progress(f"registering {len(names) * NODES} nodes, and watching them")
    with ExitStack() as stack:
        for child in _started(
            stack, [Child("benchmarks.discovery_child", "nodes", url, home=home) for url in urls.values()]
        ):
            child.ask(names=names, nodes=NODES)
        targets = [_address(urls[subject.kind]) for subject in subjects]
        (proxies,) = _started(stack, [Child("benchmarks.discovery_proxy", *targets, home=home)])
        addresses = [proxy["address"] for proxy in proxies.ask()]
        children = [_child(*each, program, home) for each in zip(subjects, addresses, strict=True)]
        _started(stack, children)
        for subject, child in zip(subjects, children, strict=True):
            if subject.watched:
                child.ask(do="watch", names=names[: subject.watched])
        time.sleep(SETTLE)
        plan.progress(f"counting for {seconds:g} s")
        before, start = proxies.ask(), time.monotonic()
        time.sleep(seconds)
        after, took = proxies.ask(), time.monotonic() - start
        # All at once: a server waits until others have seen it leave.
        with ThreadPoolExecutor(len(children)) as pool:
            list(pool.map(_end, children))
    counted = {
        (subject.row, subject.stack): [
            f"{(last['requests'] - first['requests']) / took * 60:,.1f}",
            f"{last['connections']}",
        ]
        for subject, first, last in zip(subjects, before, after, strict=True)
    }
    stacks = ["micro", "go"] if program else ["micro"]
    rows = [
        [row, *(cell for stack in stacks for cell in counted.get((row, stack), ["", ""]))]
        for row in dict.fromkeys(subject.row for subject in subjects)
    ]
    columns = [
        "",
        "micro-rt requests/min",
        "connections",
        *(["go-micro requests/min", "connections"] if program else []),
    ]
    return Table(
        f"what a registry is asked while nothing changes, counted for {seconds:g} s",
        columns,
        rows,
        [
            f"Each service has {NODES} nodes whose leases are renewed; the client picks a node of each service every second.",
            "On etcd, a request is a message that is sent to it.",
        ],
    )


def _subjects(kind: str) -> Iterator[Subject]:
    for count in WATCHED:
        row = f"{kind}: a client, {count} service{'s' if count > 1 else ''} watched"
        yield Subject(row, "micro", kind, ("client",), count)
        yield Subject(row, "go", kind, ("client",), count)
    for text, (own, ttl, interval) in LEASES.items():
        row = f"{kind}: a server, {text}"
        if own:
            yield Subject(row, "micro", kind, ("server", own))
        yield Subject(row, "go", kind, ("server", ttl, interval))


def _child(subject: Subject, address: str, program: Path | None, home: str) -> Child:
    role, *lease = subject.arguments
    name = [f"rest-{subject.stack}-{time.time_ns():x}"] if lease else []
    if subject.stack == "go":
        return Child("", role, subject.kind, address, *name, *lease, home=home, program=program)
    return Child("benchmarks.discovery_child", role, f"{subject.kind}://{address}", *name, *lease, home=home)


def _started(stack: ExitStack, children: Sequence[Child]) -> Sequence[Child]:
    """Waits for processes that have been started together."""
    for child in children:
        stack.push(child)
    for child in children:
        child.__enter__()
    return children


def _end(child: Child) -> None:
    child.__exit__(None, None, None)


def _address(url: str) -> str:
    return url.partition("://")[2]
