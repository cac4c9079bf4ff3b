"""``micro-rt events replay``: replays dead letters."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from micro_rt.broker.base import Record
from micro_rt.cli.events_common import (
    EventTypes,
    InputError,
    add_broker,
    add_schema,
    as_text,
    decoded,
    known_events,
    opened_broker,
    opened_envelope,
)
from micro_rt.errors import Error
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic
from micro_rt.events.envelope import event_time
from micro_rt.events.replay import replay
from micro_rt.text import printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Publishes the events that a group could not handle to their topic again, oldest first, for that group alone: other groups
pass them over. An event that was replayed is not replayed again.

Prints one line for each: where it was, its time, type, key and id, how often it was tried, the reason, and its message. With
--module or --descriptors the message of protobuf is JSON; without, its size and its first bytes are shown.

Ends with 0 when all are replayed, with 1 if the broker cannot be reached or does not accept one (those printed are replayed), and
with 2 if the schema makes no sense."""

_LONGEST_NAME = 120
_LONGEST_REASON = 1000
_LONGEST_MESSAGE = 4000
_FIRST_BYTES = 32


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("topic", metavar="TOPIC", help="where the events were: orders, not orders.billing.dead")
    command.add_argument("--group", required=True, help="which could not handle them")
    add_broker(command)
    add_schema(command, required=False)
    command.add_argument("--limit", type=_count, metavar="N", help="how many at most")
    command.add_argument("--dry-run", action="store_true", help="only show them")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replays them."""
    try:
        count = asyncio.run(_replay(arguments, known_events(arguments)))
    except InputError as error:
        print(f"micro-rt events replay: {printable(str(error))}", file=sys.stderr)
        return 2
    except Error as error:
        print(f"micro-rt events replay: {printable(error.message)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    what = "would be replayed" if arguments.dry_run else "replayed"
    print(f"{count} of {dead_letter_topic(arguments.topic, arguments.group)} {what}", file=sys.stderr)
    return 0


async def _replay(arguments: argparse.Namespace, types: EventTypes) -> int:
    async with opened_broker(arguments) as (broker, _):
        count = 0
        letters = replay(broker, arguments.topic, arguments.group, limit=arguments.limit, dry_run=arguments.dry_run)
        async for letter in letters:
            print(_line(letter, types), flush=True)
            count += 1
        return count


def _line(letter: DeadLetter, types: EventTypes) -> str:
    """Returns a dead letter for a person; nothing in it can control a terminal."""
    record = letter.record._replace(topic=letter.topic, timestamp=letter.published)
    envelope, problem = opened_envelope(record)
    name, message = envelope.type, ""
    if not problem and not record.tombstone:
        try:
            name, value = decoded(envelope, record, types)
            message = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")), _LONGEST_MESSAGE)
        except ValueError:
            pass  # It may be why it is a dead letter.
    parts = [
        f"{printable(letter.topic)}/{letter.partition}@{letter.offset}",
        event_time(envelope, record).isoformat(timespec="seconds").replace("+00:00", "Z"),
        printable(name, _LONGEST_NAME) or "-",
        f"key={'-' if record.key is None else printable(as_text(record.key), _LONGEST_NAME)}",
        f"id={printable(envelope.text('ce_id'), _LONGEST_NAME) or '-'}",
        f"{letter.attempts} attempts",
        printable(" ".join(letter.reason.split()), _LONGEST_REASON),
        message or _beginning(record),
    ]
    return "  ".join(parts)


def _beginning(record: Record) -> str:
    """Returns what is said of a message that cannot be shown."""
    if record.tombstone:
        return "(tombstone)"
    value = record.value
    more = "…" if len(value) > _FIRST_BYTES else ""
    return f"({len(value)} bytes: {value[:_FIRST_BYTES].hex()}{more})" if value else "(0 bytes)"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
