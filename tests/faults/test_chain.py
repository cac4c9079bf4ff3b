"""What goes on from call to call through a chain of four processes: deadlines, cancellation, metadata and the trace."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text

ROOT = Path(__file__).parent.parent.parent
NODES = ("chain-1", "chain-2", "chain-3", "chain-4")
TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
    "baggage": "user=7",
}
SENT = {**TRACE, "x-tenant": "acme", "x-secret": "for the first node alone"}


@pytest.fixture
async def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[micro.Service]:
    """Four nodes, each a process, and a service to call them with."""
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MICRO_NAMESPACE", "chain")
    async with AsyncExitStack() as stack:
        for name, following in zip(NODES, (*NODES[1:], None), strict=True):
            arguments = [name] if following is None else [name, following]
            said = tmp_path / f"{name}.err"
            with said.open("wb") as errors:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.faults.chain_node", *arguments),
                    cwd=ROOT,
                    env=dict(os.environ),
                    stderr=errors,
                )
            stack.push_async_callback(_end, process)
            await eventually(lambda: " serves " in said.read_text(), f"{name} does not serve")  # noqa: B023
        yield await stack.enter_async_context(micro.Service("test"))


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await soon(process.wait())


def client(service: micro.Service) -> LabClient:
    return LabClient(service, target=NODES[0])


def check(seen: list[dict[str, Any]], most: float) -> None:
    """Checks what each node has seen of a call that had so many seconds."""
    assert [each["node"] for each in seen] == list(NODES)
    assert [each["metadata"] for each in seen] == [SENT, *[{**TRACE, "x-tenant": "acme"}] * 3]
    remaining = [each["remaining"] for each in seen]
    assert all(0 < seconds <= most for seconds in remaining), remaining


async def test_the_deadline_the_trace_and_declared_metadata_reach_the_last_process(chain: micro.Service) -> None:
    check(json.loads((await client(chain).act(Text(value="a"), timeout=500, metadata=SENT)).value), 500)
    requests = [Text(value="a"), Text(value="b")]
    replies = [reply async for reply in client(chain).talk(requests, timeout=500, metadata=SENT)]
    assert len(replies) == 2
    for reply in replies:
        check(json.loads(reply.value), 500)


async def test_the_default_deadline_holds_in_the_whole_chain(chain: micro.Service) -> None:
    seen = json.loads((await client(chain).act(Text(value="a"), metadata=SENT)).value)
    check(seen, 30)


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_deadline_ends_the_handlers_of_the_whole_chain(chain: micro.Service, kind: str) -> None:
    with pytest.raises(micro.DeadlineExceeded):
        if kind == "unary":
            await soon(client(chain).act(Text(value="hang"), timeout=1.0))
        else:
            async for _ in client(chain).talk([Text(value="hang")], timeout=1.0):
                pass
    await _nothing_runs(chain)


async def test_calls_that_are_cancelled_at_random_leave_no_handler_running(chain: micro.Service) -> None:
    lab, chance = client(chain), random.Random(7)
    await lab.act(Text(value="a"))  # All connections are made.

    async def unary() -> None:
        await lab.act(Text(value="hang"))

    async def streaming() -> None:
        async for _ in lab.talk([Text(value="a"), Text(value="hang")]):
            pass

    async def feeding() -> None:
        async with lab.sum() as call:
            while True:
                await call.send(Number(value=1))
                await asyncio.sleep(0)

    kinds = (unary, streaming, feeding)
    for _ in range(20):
        calls = [asyncio.create_task(chance.choice(kinds)()) for _ in range(50)]
        chance.shuffle(calls)
        for call in calls:
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * 0.01)
            call.cancel()
        outcomes = await soon(asyncio.gather(*calls, return_exceptions=True))
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
    most = await _nothing_runs(chain)
    assert all(each > 0 for each in most), f"no call has reached some node: {most}"


async def _nothing_runs(service: micro.Service) -> list[int]:
    """Waits until no handler runs on any node; returns how many ran at once on each at most."""
    most: list[int] = []

    async def idle() -> bool:
        counts = [json.loads((await LabClient(service, target=name).look(Text())).value) for name in NODES]
        most[:] = [at_once for _, at_once in counts]
        return not any(running for running, _ in counts)

    async with asyncio.timeout(60):
        while not await idle():
            await asyncio.sleep(0.05)
    return most
