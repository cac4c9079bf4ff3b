"""A client in a process of its own: many workers that call without end, every other time a method that may run twice.

python -m tests.faults.failover_client WORKERS TIMEOUT

A line on standard input begins the next phase; its end stops the workers, and what became of every call is written
to standard output. On standard error: "nobody" at the first call that found no server, "first" at the first answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import micro_rt as micro
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

phase = 0
calls: list[dict[str, Any]] = []
printed: set[str] = set()


def tell(word: str) -> None:
    if word not in printed:
        printed.add(word)
        print(word, file=sys.stderr, flush=True)


async def call(client: LabClient, id: str, idempotent: bool, timeout: float) -> None:
    info = micro.CallInfo()
    record: dict[str, Any] = {"id": id, "idempotent": idempotent, "phase": phase, "server": "", "may_have_run": True}
    method = client.look if idempotent else client.act
    try:
        reply = await method(Text(value=id), timeout=timeout, info=info)
        record |= {"outcome": "OK", "server": reply.value}
        tell("first")
    except micro.Error as error:
        record |= {"outcome": error.code.name, "may_have_run": error.may_have_run, "message": error.message}
        if error.id == "micro.no_nodes":
            tell("nobody")
    except Exception as error:
        record |= {"outcome": f"{type(error).__name__} is not a micro.Error", "message": str(error)}
    record |= {"attempts": info.attempts, "ended": phase}
    calls.append(record)


async def work(client: LabClient, worker: int, timeout: float, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        await call(client, f"{worker}-{number}", bool(number % 2), timeout)
        await asyncio.sleep(random.uniform(0, 0.01))


async def main(workers: int, timeout: float) -> None:
    global phase
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with micro.Service("load") as service:
        client = LabClient(service)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for worker in range(workers):
                group.create_task(work(client, worker, timeout, stop))
            while await lines.readline():
                phase += 1
                print(f"phase {phase}", file=sys.stderr, flush=True)
            stop.set()
    json.dump(calls, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
