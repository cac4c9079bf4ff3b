"""The client of the soak test: workers that make calls of every kind until it is told to end, and cancel a fifth of them in every way.

python -m tests.faults.soak_client WORKERS

A line on standard input ends the calls. When standard input ends, it writes what became of every call, and what is left of them in this process, to standard output as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import micro_rt as micro
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text

TIMEOUT = 60.0
"""Seconds of the calls that have a deadline; the others have none."""
CANCELLED = 0.2
"""The part of all calls that is cancelled."""
WITHIN = 0.03
"""Seconds within which a call is cancelled."""
SETTLE = 30.0
"""Seconds within which the calls that were cancelled have ended here."""

kept: list[object] = []
"""Tasks that were cancelled, and exceptions, as a program may keep them: that a call ends must not depend on their being
collected."""


class Caller:
    """Makes one call after another.

    Args:
        client: the stub.
        number: of the worker.
        calls: what became of the calls.
    """

    def __init__(self, client: LabClient, number: int, calls: list[dict[str, Any]]) -> None:
        self._client = client
        self._number = number
        self._calls = calls
        self._made = 0

    async def call(self) -> None:
        self._made += 1
        id = f"{self._number}-{self._made}"
        kind = random.choice(("act", "look", "count", "sum", "talk"))
        cancelled = random.random() < CANCELLED
        timeout = random.choice((None, TIMEOUT))
        record: dict[str, Any] = {"id": id, "kind": kind, "cancelled": cancelled, "may_have_run": True, "message": ""}
        options = {"timeout": timeout, "metadata": {"call": id}}
        try:
            if cancelled:
                record["outcome"] = await self._cancelled(kind, options)
            else:
                await self._whole(kind, options)
                record["outcome"] = "OK"
        except micro.Error as error:
            record |= {"outcome": error.code.name, "may_have_run": error.may_have_run, "message": error.message}
        except Exception as error:
            record |= {"outcome": type(error).__name__, "message": str(error)}
        self._calls.append(record)

    async def _whole(self, kind: str, options: Any) -> None:
        """Makes a call to its end, and looks at what it gives."""
        client, size = self._client, random.choice((0, 1, 20))
        got: object
        if kind in ("act", "look"):
            method: Callable[..., Awaitable[Text]] = client.act if kind == "act" else client.look
            expected: object = "x" * size
            got = (await method(Text(value="x" * size), **options)).value
        elif kind == "count":
            expected = list(range(size))
            got = [reply.value async for reply in client.count(Number(value=size), **options)]
        elif kind == "sum":
            expected = sum(range(size))
            got = (await client.sum((Number(value=value) for value in range(size)), **options)).value
        else:
            expected = [str(value) for value in range(size)]
            texts = (Text(value=str(value)) for value in range(size))
            got = [reply.value async for reply in client.talk(texts, **options)]
        if got != expected:
            raise AssertionError(f"{kind} gave {got!r}, not {expected!r}")

    async def _cancelled(self, kind: str, options: Any) -> str:
        """Makes a call that would never end by itself, and cancels it; returns how."""
        how = random.choice(("task", "timeout", "call") if kind in ("count", "talk") else ("task", "timeout"))
        delay = random.uniform(0, WITHIN)
        if how == "task":
            task = asyncio.create_task(self._endless(kind, options))
            await asyncio.sleep(delay)
            task.cancel()
            kept.append(task)
            await asyncio.wait((task,))
        elif how == "timeout":
            try:
                async with asyncio.timeout(delay):
                    await self._endless(kind, options)
            except TimeoutError as error:
                if isinstance(error, micro.Error):
                    raise
                kept.append(error)
        else:
            await self._cancelled_by_hand(kind, options, delay)
        return f"cancelled ({how})"

    async def _endless(self, kind: str, options: Any) -> None:
        client = self._client
        if kind in ("act", "look"):
            await (client.act if kind == "act" else client.look)(Text(value="hang"), **options)
        elif kind == "count":
            async for _ in client.count(Number(value=-5), **options):
                pass
        elif kind == "sum":
            await client.sum(_endless_numbers(), **options)
        else:
            async for _ in client.talk(_endless_texts(), **options):
                pass

    async def _cancelled_by_hand(self, kind: str, options: Any, delay: float) -> None:
        call = (
            self._client.count(Number(value=-5), **options)
            if kind == "count"
            else self._client.talk(_endless_texts(), **options)
        )
        async with call:
            cancelling = asyncio.get_running_loop().call_later(delay, call.cancel)
            try:
                async for _ in call:
                    pass
            except micro.Cancelled:
                pass
            finally:
                cancelling.cancel()


async def _endless_numbers() -> AsyncIterator[Number]:
    while True:
        yield Number(value=1)
        await asyncio.sleep(0.005)


async def _endless_texts() -> AsyncIterator[Text]:
    while True:
        yield Text(value="x")
        await asyncio.sleep(0.005)


def _left(service: micro.Service, before: set[asyncio.Task[Any]]) -> dict[str, int]:
    """Returns what is left in this process of calls that have ended."""
    remotes = list(service.nodes._remotes.values())
    tasks = [task for task in asyncio.all_tasks() if task not in before and not task.done()]
    usual = ("watch", "probe", "connect", "close", "look up")
    return {
        "calls in flight": sum(remote.in_flight for remote in remotes),
        "streams": sum(
            len(protocol.processor.streams)
            for remote in remotes
            for protocol in getattr(remote.connection, "_protocols", ())
        ),
        "tasks": sum(not task.get_name().startswith(usual) for task in tasks),
    }


async def main(workers: int) -> None:
    loop = asyncio.get_running_loop()
    complaints: Counter[str] = Counter()
    loop.set_exception_handler(lambda _, context: complaints.update([str(context)]))
    calls: list[dict[str, Any]] = []
    async with micro.Service("soak") as service:
        client = LabClient(service)
        while True:
            try:
                await client.look(Text(), timeout=TIMEOUT, metadata={"call": "first"})
                break
            except micro.Unavailable:
                await asyncio.sleep(0.05)
        print("first", file=sys.stderr, flush=True)
        before = asyncio.all_tasks()
        told = loop.run_in_executor(None, sys.stdin.readline)

        async def work(number: int) -> None:
            caller = Caller(client, number, calls)
            while not told.done():
                await caller.call()

        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(work(number))
        settled = loop.time() + SETTLE
        while any((left := _left(service, before)).values()) and loop.time() < settled:
            await asyncio.sleep(0.05)
        print("ended", file=sys.stderr, flush=True)
        await asyncio.get_running_loop().run_in_executor(
            None, sys.stdin.read
        )  # until the test has looked at the servers
    kept.clear()
    gc.collect()
    await asyncio.sleep(0)
    json.dump({"calls": calls, "left": left, "complaints": complaints}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
