"""``micro-rt events lag``: how far a group is behind."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping

from micro_rt.broker.base import GroupOffset, Partition
from micro_rt.cli.events_common import add_broker, opened_broker
from micro_rt.errors import Error
from micro_rt.text import printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Shows how far a group is in each partition: the position that it has committed, the end of the partition, how many events are
between them, and which member reads it. Where the group has committed nothing, all that is kept counts.

It does not join the group, so it can be used while members run.

Ends with 0, however large the lag is, and with 1 if there is no such group or topic, or the broker cannot be reached."""

_LONGEST_MEMBER = 80


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("topics", nargs="*", metavar="TOPIC", help="of which topics; else of all that the group reads")
    command.add_argument("--group", required=True, help="whose lag")
    add_broker(command)
    command.add_argument("--json", action="store_true", help="print it as one JSON object, for machines")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    try:
        offsets = asyncio.run(_offsets(arguments))
    except Error as error:
        print(f"micro-rt events lag: {printable(error.message)}", file=sys.stderr)
        return 1
    if not offsets:
        group = printable(arguments.group)
        print(f"group {group} reads nothing at present, and has committed nothing", file=sys.stderr)
    total = sum(offset.lag for offset in offsets.values())
    if arguments.json:
        partitions = [
            {
                "topic": topic,
                "partition": number,
                "committed": offset.committed,
                "end": offset.end,
                "lag": offset.lag,
                "member": offset.member or None,
            }
            for (topic, number), offset in offsets.items()
        ]
        print(json.dumps({"group": arguments.group, "partitions": partitions, "total": total}, indent=2))
        return 0
    rows = [("topic", "partition", "committed", "end", "lag", "member")]
    for (topic, number), offset in offsets.items():
        committed = "-" if offset.committed is None else str(offset.committed)
        member = printable(offset.member, _LONGEST_MEMBER) or "-"
        rows.append((printable(topic), str(number), committed, str(offset.end), str(offset.lag), member))
    rows.append(("total", "", "", "", str(total), ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for topic, *numbers, member in rows:
        cells = [
            topic.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)),
        ]
        print("  ".join([*cells, member]).rstrip())
    return 0


async def _offsets(arguments: argparse.Namespace) -> Mapping[Partition, GroupOffset]:
    async with opened_broker(arguments) as (broker, _):
        return dict(sorted((await broker.offsets(arguments.group, arguments.topics)).items()))
