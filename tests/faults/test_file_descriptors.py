"""A server that has no file descriptor left: it goes on with the connections that it has, says so, and recovers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, contextlib, json, logging, os, resource, socket, sys
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.context import CallInfo
from micro_rt.metadata import EMPTY

lines = []

class Keeping(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

logging.getLogger().addHandler(Keeping())

async def echo(stream):
    await stream.send(await stream.receive())
    await stream.finish(None)

async def until(holds):
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)

async def main():
    transport = GrpcTransport()
    listener = await transport.listen("127.0.0.1:0", echo)

    def call(connection):
        deadline = asyncio.get_running_loop().time() + 60
        return connection.unary("/a.B/C", "proto", EMPTY, deadline, CallInfo(), b"hi")

    there = transport.connection(listener.address)
    assert await call(there) == b"hi"
    host, _, port = listener.address.rpartition(":")
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 30, highest + 100))
    clients = []
    with contextlib.suppress(OSError):
        while True:
            clients.append(socket.socket())
            clients[-1].setblocking(False)
            clients[-1].connect_ex((host, int(port)))
    # The last ones wait in the backlog: there is no descriptor to accept them.
    await until(lambda: any("accept" in line for line in lines))
    answered = [await call(there) for _ in range(20)]
    for client in clients:
        client.close()
    late = transport.connection(listener.address)

    async def recovered():
        while True:
            try:
                return await call(late)
            except Exception as error:
                last = error
                await asyncio.sleep(0.1)

    async with asyncio.timeout(60):
        found = await recovered()
    print(json.dumps([len(answered), found.decode(), len(lines), lines[:5]]))
    await there.close()
    await late.close()
    await listener.close()

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_server_without_file_descriptors_goes_on_and_recovers(loop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, loop], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    answered, found, count, lines = json.loads(done.stdout)
    assert (answered, found) == (20, "hi")
    assert 1 <= count < 100, lines
