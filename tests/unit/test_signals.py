"""The signals of a process that a service shares with another program."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import micro_rt as micro
from tests.helpers.handlers import Lab
from tests.helpers.programs import Program as Child

ROOT = Path(__file__).parent.parent.parent
NUMBERS = [signal.SIGINT, signal.SIGTERM]


class Program:
    """Another program in this process, which has set handlers of its own."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.got.append(number)


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    before = [signal.signal(number, program.handle) for number in NUMBERS]
    yield program
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


async def serving(service: micro.Service, *, signals: bool = True) -> asyncio.Task[None]:
    """Returns the task that serves, once it does."""
    task = asyncio.create_task(service.serve(signals=signals))
    while service.node is None:
        await asyncio.sleep(0.01)
    return task


@pytest.fixture
def service() -> micro.Service:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", transport="memory")
    service.handle(Lab())
    return service


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_handler_that_was_there_before_gets_the_signal_too(
    program: Program, service: micro.Service, number: signal.Signals
) -> None:
    task = await serving(service)
    signal.raise_signal(number)
    await asyncio.wait_for(task, 20)
    assert program.got == [number]
    assert [signal.getsignal(each) for each in NUMBERS] == [program.handle] * 2


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_handler_that_the_loop_had_before_gets_the_signal_too(
    program: Program, service: micro.Service, number: signal.Signals
) -> None:
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    loop.add_signal_handler(number, called.set)
    try:
        task = await serving(service)
        signal.raise_signal(number)
        await asyncio.wait_for(task, 20)
        await asyncio.wait_for(called.wait(), 20)
        called.clear()
        signal.raise_signal(number)
        await asyncio.wait_for(called.wait(), 20)
        assert task.done()
        assert program.got == [], "only the handler of the loop was there before"
    finally:
        loop.remove_signal_handler(number)


async def test_without_signals_they_are_the_programs_alone(program: Program, service: micro.Service) -> None:
    task = await serving(service, signals=False)
    assert [signal.getsignal(each) for each in NUMBERS] == [program.handle] * 2
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(0.05)
    assert program.got == [signal.SIGTERM]
    assert not task.done()
    service.stop()
    await asyncio.wait_for(task, 20)


async def test_a_handler_that_is_set_later_is_left_alone(program: Program, service: micro.Service) -> None:
    task = await serving(service)
    ours = signal.getsignal(signal.SIGTERM)
    later = Program()
    signal.signal(signal.SIGTERM, later.handle)
    service.stop()
    await asyncio.wait_for(task, 20)
    assert signal.getsignal(signal.SIGTERM) == later.handle
    # As a program does that puts back what it found.
    signal.signal(signal.SIGTERM, ours)
    signal.raise_signal(signal.SIGTERM)
    assert program.got == [signal.SIGTERM]
    assert later.got == []


BESIDE = """
    import asyncio, signal
    import micro_rt as micro
    from tests.protos.lab_micro import LabBase

    class Server:
        # A web server that ends by signals, as uvicorn does: it catches them, puts back what it found, and raises them again.
        async def serve(self):
            self.got = []
            before = {number: signal.signal(number, self.caught) for number in (signal.SIGINT, signal.SIGTERM)}
            while not self.got:
                await asyncio.sleep(0.01)
            for number, handler in before.items():
                signal.signal(number, handler)
            print("server is over", flush=True)
            for number in self.got:
                signal.raise_signal(number)

        def caught(self, number, frame):
            self.got.append(number)

    async def main():
        service = micro.Service("lab")
        service.handle(LabBase())
        server = Server()
        waiting = asyncio.gather(service.serve(), server.serve())
        while not service.node:
            await asyncio.sleep(0.01)
        print("up", flush=True)
        await waiting
        print("over", service.node, flush=True)

    RUN(main())
"""


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("run", ["asyncio.run", "__import__('uvloop').run"], ids=["asyncio", "uvloop"])
def test_a_service_and_a_web_server_beside_it_both_end(tmp_path: Path, run: str, number: signal.Signals) -> None:
    if "uvloop" in run:
        pytest.importorskip("uvloop")
    env = {**os.environ, "MICRO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    program = textwrap.dedent(BESIDE).replace("RUN", run)
    with Child(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert out == "server is over\nover None\n", err
    assert process.returncode == 0
