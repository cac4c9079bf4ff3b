"""A core install: what extras bring cannot be imported, and services of the default transport run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.docs import project

ROOT = Path(__file__).parent.parent.parent

REFUSED = frozenset({"grpclib", "h2", "hpack", "hyperframe", "priority"})
"""What the transport ``grpclib`` imports, and what comes with it."""

PROGRAM = """
    import asyncio, sys
    from importlib.abc import MetaPathFinder

    class Refuse(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {refused}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
            return None

    sys.meta_path.insert(0, Refuse())

    import micro_rt as micro
    from tests.protos.lab_micro import LabBase, LabClient
    from tests.protos.lab_pb2 import Text

    class Lab(LabBase):
        async def look(self, request, context):
            return request

    async def main():
        server = micro.Service("lab")
        server.handle(Lab())
        async with server, micro.Service("web") as web:
            print(server.node.transport, server.node.address.rpartition(":")[0])
            print((await LabClient(web).look(Text(value="answered"))).value)
        try:
            import grpclib
        except ModuleNotFoundError as error:
            print(error)
        other = micro.Service("other", transport="grpclib")
        try:
            await other.__aenter__()
        except micro.FailedPrecondition as error:
            print(error.message)

    asyncio.run(main())
"""


def test_the_default_transport_runs_without_grpclib(tmp_path: Path) -> None:
    program = textwrap.dedent(PROGRAM).format(refused=sorted(REFUSED))
    env = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    env |= {"MICRO_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "protoc-gen-micro")))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "grpc 127.0.0.1",
        "answered",
        "No module named 'grpclib'",
        "transport='grpclib' needs grpclib, which is not installed: pip install \"micro-rt[grpclib]\"",
    ]


def test_the_core_requires_nothing_of_grpclib() -> None:
    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=; ]", each)[0] for each in requirements}

    assert not names(project()["dependencies"]) & REFUSED
    assert names(project()["optional-dependencies"]["grpclib"]) == {"grpclib", "h2", "hpack"}
