"""macOS and Windows: everything imports there, and what can run does. ``tests/simulated_platform.py`` plays these systems."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

IMPORTS = """
    import importlib
    from tests.simulated_platform import modules

    count = 0
    for name in list(modules()):
        importlib.import_module(name)
        count += 1
    print(count)
"""

CALLS = """
    import asyncio
    import micro_rt as micro
    from micro_rt.broker.base import OutgoingRecord, TopicOptions
    from tests.protos.lab_micro import LabBase, LabClient
    from tests.protos.lab_pb2 import Text

    class Lab(LabBase):
        async def look(self, request, context):
            return request

    async def main():
        for registry, transport in (("memory:", "memory"), ("memory:", "grpclib"), ("local:", "grpc")):
            service = micro.Service("lab", registry=registry, transport=transport, ttl=5.0)
            service.handle(Lab())
            async with service, micro.Service("web", registry=registry) as web:
                print(registry, transport, (await LabClient(web).look(Text(value="answered"))).value)
        async with micro.Service("web") as service:
            broker = await service.broker()
            await broker.prepare({"news": TopicOptions()})
            (position,) = await broker.publish([OutgoingRecord("news", b"hello", b"key")])
            print("broker", position.offset)

    asyncio.run(main())
"""

STOPS = """
    import asyncio, contextlib, logging, signal
    import micro_rt as micro
    from tests.protos.lab_micro import LabBase, LabClient
    from tests.protos.lab_pb2 import Text

    class Lab(LabBase):
        async def act(self, request, context):
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.1)
            if request.value == "hangs":
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(3600)
            return request

    @contextlib.asynccontextmanager
    async def lifespan(service):
        yield
        print("lifespan over")

    async def calling(service, text):
        while service.node is None:
            await asyncio.sleep(0.01)
        try:
            print((await LabClient(service).act(Text(value=text))).value)
        except micro.Error as error:
            print(text, type(error).__name__)

    async def main(service, text):
        call = asyncio.create_task(calling(service, text))
        await service.serve()
        await call

    class Interrupting(logging.Handler):
        def emit(self, record):
            if "serves lab.Lab" in record.getMessage():
                asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGINT)

    service = micro.Service("lab", registry="memory:", transport="memory", lifespan=lifespan, grace=60)
    service.handle(Lab())
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    asyncio.run(main(service, "finishes"))
    asyncio.run(main(service, "hangs"))
    logging.getLogger("micro_rt.service").addHandler(Interrupting())
    service.run()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
"""

LACKS = """
    from pathlib import Path

    for code in %r:
        try:
            exec(code)
        except Exception as error:
            print(type(error).__name__)
        else:
            print(code)
"""


def run(platform: str, program: str, home: Path) -> str:
    simulated = f"from tests.simulated_platform import simulate\nsimulate({platform!r})\n{textwrap.dedent(program)}"
    path = os.pathsep.join([str(ROOT), str(ROOT / "protoc-gen-micro")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", simulated],
        env={**os.environ, "MICRO_HOME": str(home), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_every_module_imports(platform: str, tmp_path: Path) -> None:
    packages = [ROOT / "micro_rt", ROOT / "protoc-gen-micro" / "protoc_gen_micro"]
    files = [path for package in packages for path in package.rglob("*.py") if path.name != "__main__.py"]
    assert run(platform, IMPORTS, tmp_path) == f"{len(files)}\n"


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_calls_and_the_embedded_registry_and_broker_work(platform: str, tmp_path: Path) -> None:
    assert run(platform, CALLS, tmp_path).splitlines() == [
        "memory: memory answered",
        "memory: grpclib answered",
        "local: grpc answered",
        "broker 0",
    ]


def test_ctrl_c_stops_a_service_in_good_order_without_signal_handlers_of_the_loop(tmp_path: Path) -> None:
    assert run("win32", STOPS, tmp_path).splitlines() == [
        "finishes",
        "lifespan over",
        "hangs Unavailable",
        "lifespan over",
        "lifespan over",
    ]


def test_what_windows_lacks_is_missing_here(tmp_path: Path) -> None:
    missing = {
        "import fcntl": "ModuleNotFoundError",
        "import uvloop": "ModuleNotFoundError",
        "from signal import SIGKILL": "ImportError",
        "import os; os.geteuid()": "AttributeError",
        "import socket; socket.AF_UNIX": "AttributeError",
        "import time; time.clock_gettime(time.CLOCK_BOOTTIME)": "AttributeError",
        "import asyncio; asyncio.run(asyncio.start_unix_server(print, '/'))": "AttributeError",
        "import asyncio\nwith asyncio.Runner() as runner: runner.get_loop().add_signal_handler(2, print)": "NotImplementedError",
        "Path('/proc/mounts').read_text()": "FileNotFoundError",
    }
    assert run("win32", LACKS % list(missing), tmp_path).splitlines() == list(missing.values())
