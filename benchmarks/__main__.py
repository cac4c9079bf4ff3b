"""The command: runs benchmarks and prints their tables."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import FrameType

from benchmarks import (
    budget,
    compression,
    connections,
    discovery,
    engine,
    events,
    generate,
    messages,
    path,
    profile,
    store,
    streams,
    trees,
    unary,
)
from benchmarks.machine import Others, describe
from benchmarks.measure import Plan
from benchmarks.table import Table

BENCHMARKS: Mapping[str, Callable[[Plan], Iterator[Table]]] = {
    "unary": unary.run,
    "streams": streams.run,
    "engine": engine.run,
    "connections": connections.run,
    "path": path.run,
    "tls": lambda plan: chain(engine.run_tls(plan), connections.run_tls(plan)),
    "compression": compression.run,
    "budget": budget.run,
    "messages": messages.run,
    "generate": generate.run,
    "trees": trees.run,
    "events": events.run,
    "discovery": discovery.run,
    "store": store.run,
    "profile": profile.run,
}
USUAL = (
    "unary",
    "streams",
    "engine",
    "connections",
    "path",
    "tls",
    "compression",
    "budget",
    "messages",
    "generate",
    "trees",
    "events",
    "discovery",
    "store",
)

DESCRIPTION = """\
Measures micro-rt against its peers in one run; docs/benchmarks.md says what the figures mean.

  unary      small unary calls between two processes, 1, 16 and 128 at a time
  streams    server streaming, and ping-pong on bidirectional streams
  engine     servers under a load of grpc-go's client, and clients against grpc-go's server
  tls        the same with TLS on all connections, and what that costs
  connections  one hostile client beside a good one, connections without a call, and calls that wait
  compression  messages of 1 MiB, and how long the event loop waits for them
  path       what resolving, selecting and interceptors cost alone
  budget     what each part of a unary call costs, without sockets
  messages   constructing, encoding, decoding and reading messages, in both dialects
  generate   generating one small file, as a whole process
  trees      generating whole trees, and importing what was generated
  events     publishing and consuming on Kafka and on local:
  discovery  picking a node, what registries are asked, and a node that is killed, beside go-micro
  store      records in a file beside plain sqlite3, and in PostgreSQL beside plain asyncpg
  profile    which library the CPU of a unary call goes to (not part of a usual run)
"""


def main() -> int:
    """Runs what was asked for; tables go to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(
        "benchmarks", description=DESCRIPTION, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to run (default: {' '.join(USUAL)})")
    parser.add_argument("--quick", action="store_true", help="rough figures within a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure each subject that many times")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds is at least 1")

    signal.signal(signal.SIGTERM, _terminated)
    plan = Plan(arguments.quick, arguments.rounds)
    start = time.monotonic()
    others = Others()
    print(describe(), flush=True)
    for name in arguments.names or USUAL:
        print(f"{name} …", file=sys.stderr, flush=True)
        for table in BENCHMARKS[name](plan):
            print(f"\n\n{table}", flush=True)
    print(f"\n\n{time.monotonic() - start:.0f} s; others used {others.share()} of the machine meanwhile")
    return 0


def _terminated(number: int, frame: FrameType | None) -> None:
    """Ends the run in good order, as Ctrl-C does: its children with it."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
