"""What reports that interfaces have changed: the kernel where it does, and a look every few seconds everywhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from micro_rt.kit import interfaces
from micro_rt.kit.interfaces import InterfaceWatch, is_in_use
from tests.helpers.namespaces import network_namespace, switch
from tests.helpers.waiting import eventually


@pytest.fixture
def alone() -> Iterator[None]:
    with network_namespace() as entered:
        if not entered:
            pytest.skip("a network namespace is not permitted here")
        yield


async def noticed(change: Any) -> int:
    """Returns how many looks there were until one saw a change."""
    looks: list[bool] = []
    watch = InterfaceWatch(lambda: looks.append(is_in_use("127.0.0.1")))
    await watch.open()
    try:
        change()
        await eventually(lambda: False in looks)
    finally:
        await watch.close()
    return len(looks)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_kernel_reports_a_change(alone: None, monkeypatch: pytest.MonkeyPatch, make_loop: Any) -> None:
    monkeypatch.setattr(interfaces, "LOOK", 3600.0)  # Nobody looks without a report.
    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(noticed(lambda: switch("lo", up=False)))


async def test_many_reports_are_one_reason_to_look(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "LOOK", 3600.0)

    def change() -> None:
        for _ in range(3000):  # More than the kernel keeps for one socket.
            switch("lo", up=True)
            switch("lo", up=False)

    assert await noticed(change) == 1


async def test_where_the_kernel_reports_nothing_a_look_sees_a_change(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(interfaces, "LOOK", 0.05)
    monkeypatch.setattr(socket, "AF_NETLINK", -1)  # As in a sandbox that knows no such sockets.
    assert interfaces._subscribed() is None
    assert await noticed(lambda: switch("lo", up=False))
