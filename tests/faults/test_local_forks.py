"""A process that is forked while it has a file of ``local:`` open loses nothing, and its child is refused at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no fork", allow_module_level=True)

ROOT = Path(__file__).parent.parent.parent

SCRIPT = """
import asyncio, os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)  # This forks although there are threads, as users do.
import micro_rt as micro
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.node import Node
from micro_rt.registry.base import Registration

home = Path(sys.argv[1])

def forked(child):
    "Runs a coroutine function in a forked child, and prints what it returns or raises."
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            said = asyncio.Runner().run(child())
        except BaseException as error:
            said = f"{type(error).__name__}: {getattr(error, 'message', error)}"
        os.write(1, f"{said}\\n".encode())  # In one piece: other children write as well.
        os._exit(0)
    return pid

async def opened():
    broker = LocalBroker(home=home)
    await broker.open()
    await broker.prepare({"t": TopicOptions(partitions=1)})
    return broker

def record(n):
    return OutgoingRecord("t", b"%d" % n, None)

"""


def run(script: str, home: Path) -> list[str]:
    """Runs a script after the one above; returns the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(script), str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


REMEDY = "after the fork (in a hook such as gunicorn's post_fork or Celery's worker_process_init), or start the process with the method"


def test_a_child_is_refused_whatever_it_uses(tmp_path: Path) -> None:
    lines = run(
        """
        broker = None
        registry = LocalRegistry(home=home)

        async def inherited():
            return await broker.publish([record(1)])

        async def resolved():
            return await registry.resolve("a")

        async def anew():
            return await opened()

        async def a_service():
            os.environ["MICRO_HOME"] = str(home)
            async with micro.Service("child", registry="local:", broker="local:"):
                return "started"

        async def closing():
            await registry.close()
            await broker.close()
            return "closed"

        async def main():
            global broker
            broker = await opened()
            await registry.open()
            for child in (inherited, resolved, anew, a_service, closing):
                os.waitpid(forked(child), 0)
            (accepted,) = await broker.publish([record(2)])
            assert isinstance(accepted, Position)
            await registry.register(Registration(Node("1", "127.0.0.1:1"), ("a",)))
            await broker.close()
            await registry.close()

        asyncio.run(main())
        """,
        tmp_path / "home",
    )
    *refused, closed = lines
    assert len(refused) == 4
    for line in refused:
        assert "was open when this process was forked" in line
        assert REMEDY in line
    assert closed == "closed"


def test_a_child_of_a_process_that_closed_the_file_opens_it(tmp_path: Path) -> None:
    lines = run(
        """
        async def publish():
            broker = await opened()
            (result,) = await broker.publish([record(1)])
            await broker.close()
            return result.offset

        print(asyncio.run(publish()))
        os.waitpid(forked(publish), 0)
        print(asyncio.run(publish()))
        """,
        tmp_path / "home",
    )
    assert lines == ["0", "1", "2"]


def test_no_accepted_event_is_lost_when_a_parent_closes_while_its_children_publish(tmp_path: Path) -> None:
    lines = run(
        """
        async def publishing():
            # Of all ways to publish, those that the parent's fork refuses accept nothing.
            accepted = 0
            for n in range(200):
                try:
                    broker = await opened()
                    results = await broker.publish([record(n)])
                    await broker.close()
                    accepted += sum(isinstance(each, Position) for each in results)
                except micro.FailedPrecondition:
                    await asyncio.sleep(0.005)
            return accepted

        async def main():
            broker = await opened()
            children = [forked(publishing) for _ in range(3)]
            accepted = 0
            for n in range(50):
                (result,) = await broker.publish([record(n)])
                accepted += isinstance(result, Position)
            await broker.close()
            for child in children:
                os.waitpid(child, 0)
            broker = await opened()
            reader = broker.read("t", "earliest")
            print(accepted, "of", await reader.remaining())

        asyncio.run(main())
        """,
        tmp_path / "home",
    )
    *children, (parent) = lines
    accepted, kept = map(int, parent.split(" of "))
    assert accepted == 50
    assert kept == accepted + sum(map(int, children))


def test_spawned_processes_open_the_file(tmp_path: Path) -> None:
    async def main() -> list[bytes]:
        from micro_rt.backends.local.broker import LocalBroker

        broker = LocalBroker(home=tmp_path / "home")
        await broker.open()
        child = "import asyncio\nbroker = asyncio.run(opened())\nprint('opened')"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT + child, str(tmp_path / "home"), stdout=subprocess.PIPE, cwd=ROOT
        )
        out, _ = await process.communicate()
        await broker.close()
        return out.splitlines()

    assert asyncio.run(main()) == [b"opened"]
