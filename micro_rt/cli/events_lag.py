"""``micro-rt events lag``: shows the lag of a group."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping

from micro_rt.broker.base import GroupOffset, Partition
from micro_rt.cli.commands import no_address
from micro_rt.cli.events_common import add_broker, opened_broker
from micro_rt.cli.messages import report, say
from micro_rt.errors import Error
from micro_rt.text import printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Shows the position that a group has committed in each partition, the end of the partition, the number of events between them
(the lag), and the member that reads it. In a partition without a committed position, all events that are kept count.

The command does not join the group, so it can be used while members run.

Exit status: 0, however large the lag is; 1 if there is no such group or topic, or the broker cannot be reached; 2 if the command
line makes no sense; 130 after Ctrl-C."""

_LONGEST_MEMBER = 80


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "topics", type=no_address, nargs="*", metavar="TOPIC", help="topics to show (default: all that the group reads)"
    )
    command.add_argument("--group", required=True, help="the group whose lag is shown")
    add_broker(command)
    command.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    try:
        offsets = asyncio.run(_offsets(arguments))
    except Error as error:
        report("events lag", error.message)
        return 1
    if not offsets:
        say(f"group {arguments.group} reads nothing at present, and has committed nothing")
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
