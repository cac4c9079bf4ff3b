"""``micro-rt events replay``: replays dead letters."""

from __future__ import annotations

import argparse
import json

from micro_rt.broker.base import Record
from micro_rt.cli.commands import no_address
from micro_rt.cli.events_common import (
    LONGEST_MESSAGE,
    EventTypes,
    add_broker,
    add_schema,
    checked,
    content_of,
    finish,
    known_events,
    names_of,
    opened_broker,
)
from micro_rt.cli.messages import say
from micro_rt.events.dead_letter import DeadLetter, dead_letter_topic
from micro_rt.events.envelope import event_time
from micro_rt.events.replay import replay
from micro_rt.kit.address import count
from micro_rt.text import printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Publishes the events that a group could not handle to their topic again, oldest first, for that group alone: other groups
skip them. An event that was replayed is not replayed again.

Prints one line for each: where it was, its time, type, key and id, how often it was tried, the reason, and its message. With
--module or --descriptors a protobuf message is shown as JSON; without a schema, as its size and its first bytes.

Exit status: 0 when all are replayed; 1 if the group has no dead letters of the topic, the broker cannot be reached, or it does
not accept an event (those printed are replayed); 2 if the command line or the schema makes no sense; 130 after Ctrl-C. If the
output is closed or Ctrl-C ends the command, up to 500 events more than were printed may have been replayed."""

_LONGEST_REASON = 1000
_FIRST_BYTES = 32


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "topic",
        type=no_address,
        metavar="TOPIC",
        help="the topic that the events were published to: orders, not orders.billing.dead",
    )
    command.add_argument("--group", required=True, help="the group that could not handle them")
    add_broker(command)
    add_schema(command, required=False)
    command.add_argument("--limit", type=checked(count), metavar="N", help="how many at most")
    command.add_argument("--dry-run", action="store_true", help="show them, and change nothing")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replays them."""
    return finish("replay", lambda: _replay(arguments, known_events(arguments)))


async def _replay(arguments: argparse.Namespace, types: EventTypes) -> None:
    shown = 0
    async with opened_broker(arguments) as (broker, _):
        letters = replay(broker, arguments.topic, arguments.group, limit=arguments.limit, dry_run=arguments.dry_run)
        async for letter in letters:
            print(_line(letter, types), flush=True)
            shown += 1
    what = "would be replayed" if arguments.dry_run else "replayed"
    say(f"{shown} of {dead_letter_topic(arguments.topic, arguments.group)} {what}")


def _line(letter: DeadLetter, types: EventTypes) -> str:
    """Returns a dead letter for a person; nothing in it can control a terminal."""
    record = letter.record._replace(topic=letter.topic, timestamp=letter.published)
    content = content_of(record, types)
    if record.tombstone or content.problem:  # The problem may be why it is a dead letter.
        message = _beginning(record)
    else:
        text = json.dumps(content.message, ensure_ascii=False, separators=(",", ":"))
        message = printable(text, LONGEST_MESSAGE)
    parts = [
        f"{printable(letter.topic)}/{letter.partition}@{letter.offset}",
        event_time(content.envelope, record).isoformat(timespec="seconds").replace("+00:00", "Z"),
        *names_of(content, record.key),
        f"{letter.attempts} attempts",
        printable(" ".join(letter.reason.split()), _LONGEST_REASON),
        message,
    ]
    return "  ".join(parts)


def _beginning(record: Record) -> str:
    """Returns what is shown in place of a message that cannot be decoded."""
    if record.tombstone:
        return "(tombstone)"
    value = record.value
    more = "…" if len(value) > _FIRST_BYTES else ""
    return f"({len(value)} bytes: {value[:_FIRST_BYTES].hex()}{more})" if value else "(0 bytes)"
