"""Code that blocks the event loop of a server is named in its log."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

import pytest

import micro_rt as micro
from micro_rt.kit.clock import pause_thread
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text

LONG = 1.0
"""Seconds: many looks long."""


def spin(seconds: float) -> None:
    """Uses the processor for so long, however busy it is."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Blocks(Lab):
    """Blocks the loop as the text says."""

    async def act(self, request: Text, context: micro.Context) -> Text:
        if request.value == "spin":
            spin(LONG / 2)
        elif request.value == "sleep":
            pause_thread(LONG)
        elif request.value == "lock":
            sum(range(50_000_000))  # One call of C code, which lets no other thread run.
            spin(LONG / 2)  # The thread that looks gets its turn here at the latest.
        elif request.value == "later":
            await asyncio.sleep(0.01)
            self._deeper()
        elif request.value == "task":
            await asyncio.create_task(self.helper())
        elif request.value == "await":
            await asyncio.sleep(LONG)
        elif request.value == "thread":
            await asyncio.to_thread(pause_thread, LONG)
        return request

    def _deeper(self) -> None:
        pause_thread(LONG)

    async def helper(self) -> None:
        pause_thread(LONG)

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        yield request
        pause_thread(LONG)
        yield request


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "has blocked the event loop" in record.getMessage()]


@pytest.mark.parametrize("how", ["spin", "sleep", "lock", "later", "task"])
async def test_it_is_named_once_with_its_stack(serve: Serve, caplog: pytest.LogCaptureFixture, how: str) -> None:
    caplog.set_level(logging.WARNING)
    async with serve(Blocks()) as service:
        for _ in range(2):
            await soon(LabClient(service).act(Text(value=how)))
    (message,) = said(caplog)
    what = "Blocks.helper (" if how == "task" else "/lab.Lab/Act has blocked"
    assert message.startswith(what)
    where = {
        "spin": "in spin",
        "sleep": "in pause_thread",
        "lock": "in Blocks.act",
        "later": "in Blocks._deeper",
        "task": "in Blocks.helper",
    }[how]
    assert f"{__file__}:" in message
    assert where in message
    assert "micro_rt/server/routes" not in message


async def test_a_stream_is_named_too(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Blocks()) as service:
        assert len([number async for number in LabClient(service).count(Number())]) == 2
    (message,) = said(caplog)
    assert message.startswith("/lab.Lab/Count has blocked the event loop for ")


@pytest.mark.parametrize("how", ["await", "thread"])
async def test_what_awaits_is_not_named(serve: Serve, caplog: pytest.LogCaptureFixture, how: str) -> None:
    async with serve(Blocks()) as service:
        await soon(LabClient(service).act(Text(value=how)))
    assert not said(caplog)


async def test_a_server_without_calls_looks_at_nothing(serve: Serve) -> None:
    def watching() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "micro-rt watches for blocking code"]

    async with serve(Blocks()) as service:
        assert not watching()
        await LabClient(service).act(Text(value="x"))
        assert len(watching()) == 1
    await eventually(lambda: not watching())
