"""``micro-rt events replay``: replays dead letters."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from micro_rt.broker.base import Broker
from micro_rt.errors import Error
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic
from micro_rt.events.replay import replay
from micro_rt.service.parts import part_at, setting_of

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Publishes the events that a group could not handle to their topic again, oldest first, for that group alone: other groups
pass them over. An event that was replayed is not replayed again. Prints one line for each.

Ends with 0 when all are replayed, and with 1 if the broker cannot be reached or does not accept one; those printed are
replayed."""


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("topic", metavar="TOPIC", help="where the events were: orders, not orders.billing.dead")
    command.add_argument("--group", required=True, help="which could not handle them")
    command.add_argument("--broker", metavar="ADDRESS", help="else MICRO_BROKER, else local:")
    command.add_argument("--limit", type=_count, metavar="N", help="how many at most")
    command.add_argument("--dry-run", action="store_true", help="only show them")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replays them."""
    try:
        count = asyncio.run(_replay(arguments))
    except Error as error:
        print(f"micro-rt events replay: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    what = "would be replayed" if arguments.dry_run else "replayed"
    print(f"{count} of {dead_letter_topic(arguments.topic, arguments.group)} {what}", file=sys.stderr)
    return 0


async def _replay(arguments: argparse.Namespace) -> int:
    given: str | None = arguments.broker or None
    address, setting = setting_of(given, "broker", "local:")
    broker: Broker = part_at("broker", address, "--broker" if given else setting)
    await broker.open()
    try:
        count = 0
        letters = replay(broker, arguments.topic, arguments.group, limit=arguments.limit, dry_run=arguments.dry_run)
        async for letter in letters:
            print(_line(letter), flush=True)
            count += 1
        return count
    finally:
        await broker.close()


def _line(letter: DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    reason = " ".join(letter.reason.split())
    return f"{letter.topic}/{letter.partition}@{letter.offset}  {when}  {letter.attempts} attempts  {reason}"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
