"""Hosts on one network, as network namespaces of this machine; nothing of the machine's own network is touched.

Each namespace is held by a process that ends with the test run, whatever that ends of, and the system removes the
namespace with it. Run as a program, this file is what holds a namespace, makes its interfaces, or runs something in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Host", "NotPermitted", "connect", "hosts"]

CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000


class NotPermitted(Exception):
    """This user may not make namespaces here; says why."""


class Host:
    """One host: a network namespace with loopback and one interface ``mesh``."""

    def __init__(self, holder: Process, address: str) -> None:
        self.address = address
        self._holder = holder

    @property
    def pid(self) -> int:
        """The process that holds its namespace."""
        return self._holder.pid

    async def run(self, *command: str, **options: Any) -> Process:
        """Starts a program on it."""
        return await asyncio.create_subprocess_exec(*self._inside(*command), **options)

    async def call(self, *command: str) -> str:
        """Runs a program on it to its end; returns what it printed."""
        process = await self.run(*command, stdout=PIPE, stderr=PIPE)
        try:
            output, errors = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert not process.returncode, f"{command}: {errors.decode()}"
        return output.decode()

    async def cut(self) -> None:
        """Takes it off the network, as if the cable were pulled."""
        await self.call(sys.executable, __file__, "switch", "down")

    async def restore(self) -> None:
        """Brings it back."""
        await self.call(sys.executable, __file__, "switch", "up")

    def _inside(self, *command: str) -> Sequence[str]:
        return sys.executable, __file__, "enter", str(self._holder.pid), *command


@contextlib.asynccontextmanager
async def hosts() -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts on one network.

    Raises:
        NotPermitted: namespaces cannot be made here.
    """
    async with contextlib.AsyncExitStack() as stack:
        # The second namespace belongs to the same user namespace as the first, so that one interface reaches into both.
        first = await stack.enter_async_context(_held())
        second = await stack.enter_async_context(_held(first.pid))
        one, two = Host(first, "10.77.0.1"), Host(second, "10.77.0.2")
        await connect(one, two)
        yield one, two


async def connect(one: Host, two: Host) -> None:
    """Connects two hosts that have no interface, and gives them their addresses."""
    await one.call(sys.executable, __file__, "connect", str(two.pid))
    for host in (one, two):
        await host.call(sys.executable, __file__, "address", host.address)


@contextlib.asynccontextmanager
async def _held(within: int | None = None) -> AsyncIterator[Process]:
    command = [sys.executable, __file__, "hold", *([str(within)] if within else [])]
    holder = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert holder.stdout is not None
    try:
        if await holder.stdout.readline() != b"held\n":
            _, errors = await holder.communicate()
            raise NotPermitted(f"network namespaces cannot be made here: {errors.decode().strip()}")
        yield holder
    finally:
        with contextlib.suppress(ProcessLookupError):
            holder.kill()
        await holder.communicate()


# What runs as a program of its own


def hold(within: str | None = None) -> None:
    if within is not None:
        _enter(within, user_only=True)
    elif os.geteuid() != 0:
        user, group = os.geteuid(), os.getegid()
        _system("unshare", CLONE_NEWUSER)
        for name, text in (("uid_map", f"0 {user} 1"), ("setgroups", "deny"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - written in one piece, as it has to be
                file.write(text)
    _system("unshare", CLONE_NEWNET)
    print("held", flush=True)
    sys.stdin.read()


def enter(pid: str, *command: str) -> None:
    _enter(pid)
    os.execvp(command[0], command)


def connect_to(other: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as network:
        network.link("add", ifname="mesh", kind="veth", peer={"ifname": "mesh", "net_ns_pid": int(other)})


def address(own: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as network:
        network.link("set", index=network.link_lookup(ifname="lo")[0], state="up")
        mesh = network.link_lookup(ifname="mesh")[0]
        network.addr("add", index=mesh, address=own, prefixlen=24)
        _up(network, mesh)


def switch(state: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as network:
        mesh = network.link_lookup(ifname="mesh")[0]
        if state == "up":
            _up(network, mesh)
        else:
            network.link("set", index=mesh, state="down")


def _up(network: Any, mesh: int) -> None:
    network.link("set", index=mesh, state="up")
    network.route("replace", dst="224.0.0.0/4", oif=mesh)  # go-micro sends to where the system would.


def _enter(pid: str, *, user_only: bool = False) -> None:
    mine, its = (Path(f"/proc/{process}/ns/user").stat().st_ino for process in ("self", pid))
    # One may not enter the user namespace that one is in.
    kinds = [*(["user"] if mine != its else []), *([] if user_only else ["net"])]
    files = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    for file in files:
        _system("setns", file, 0)
        os.close(file)


def _system(function: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments):
        raise SystemExit(f"{function}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    {"hold": hold, "enter": enter, "connect": connect_to, "address": address, "switch": switch}[sys.argv[1]](
        *sys.argv[2:]
    )
