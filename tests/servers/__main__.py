"""Starts every server and keeps it running (``make servers``), or only gets the programs: ``python -m tests.servers obtain``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterable

from tests.servers.cache import Unobtainable, show
from tests.servers.obtain import RECIPES
from tests.servers.shared import KINDS, Servers
from tests.servers.tools import TOOLS

__all__ = ["main"]

_PARTS = {"consul": "REGISTRY", "kafka": "BROKER", "postgresql": "STORE", "etcd": "SYNC"}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if something could not be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "obtain"], default="run", help="run, if nothing is named")
    parser.add_argument("kinds", nargs="*", metavar="server", help=f"of {', '.join(KINDS)}; all, if none is named")
    options = parser.parse_args(arguments)
    for kind in options.kinds:
        if kind not in KINDS:
            parser.error(f"there is no server {kind!r}, only {', '.join(KINDS)}")
    # Like Ctrl-C, so that what was begun is cleaned up. SIGINT itself may be ignored: a shell starts what it puts into the
    # background like that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.what == "run":
            return _run(options.kinds or list(_PARTS))
        return _obtain(options.kinds) if options.kinds else _obtain(KINDS) | _obtain_tools()
    except KeyboardInterrupt:
        return 130


def _obtain(kinds: Iterable[str]) -> int:
    missing = 0
    for kind in kinds:
        start = time.monotonic()
        try:
            found = RECIPES[kind](show)
        except Unobtainable as error:
            show(f"cannot be obtained: {error}")
            missing += 1
        else:
            show(f"{found} after {time.monotonic() - start:.0f} s: {found.path}")
    return 1 if missing else 0


def _obtain_tools() -> int:
    missing = 0
    for name, tool in TOOLS.items():
        start = time.monotonic()
        try:
            path = tool.path()
        except Unobtainable as error:
            show(f"cannot be obtained: {error}")
            missing += 1
        else:
            show(f"{name} {tool.version} after {time.monotonic() - start:.0f} s: {path}")
    return 1 if missing else 0


def _run(kinds: Iterable[str]) -> int:
    servers = Servers()
    try:
        for kind in kinds:
            try:
                server = servers.shared(kind)
            except Unobtainable as error:
                show(f"cannot be obtained: {error}")
            else:
                print(f"export MICRO_{_PARTS[kind]}={server.url}", flush=True)
        for line in servers.report():
            show(line)
        running = servers.running()
        if not running:
            return 1
        show("Ctrl-C stops them.")
        while all(server.running for server in running):
            time.sleep(0.5)
        for server in running:
            if not server.running:
                show(f"{server.kind} ended by itself:\n{server.tail()}")
        return 1
    except KeyboardInterrupt:
        show("stopping …")
        for server in servers.running():
            server.stop_now()
        return 0
    finally:
        servers.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
