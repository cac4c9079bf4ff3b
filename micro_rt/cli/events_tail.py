"""``micro-rt events tail``: shows the events of a topic as they arrive."""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from micro_rt.broker.base import Partition, Record, Start, TopicReader
from micro_rt.cli.commands import no_address
from micro_rt.cli.events_common import (
    LONGEST_MESSAGE,
    EventTypes,
    add_broker,
    add_schema,
    as_text,
    checked,
    content_of,
    finish,
    known_events,
    names_of,
    opened_broker,
)
from micro_rt.cli.messages import report, say
from micro_rt.errors import Unavailable
from micro_rt.events.envelope import rfc3339
from micro_rt.kit.address import count, seconds
from micro_rt.kit.clock import wall_time
from micro_rt.kit.secrets import without_secrets
from micro_rt.text import printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Prints the events of a topic as they arrive, one a line: time, place, type, key, id, and the message as JSON. A message in
protobuf needs --module or --descriptors; one in JSON needs neither.

The command joins no group: it takes no event from a service, and commits nothing. Ctrl-C ends it.

Exit status: 0 after --limit or --no-follow; 1 if there is no such topic, or the broker cannot be reached; 2 if the command line or
the schema makes no sense; 130 after Ctrl-C."""

_BATCH = 500
_WAIT = 0.5
_TRY_AGAIN = 1.0
_LONGEST_TIME = 120
_PLACE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?", re.ASCII).fullmatch


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("topic", type=no_address, metavar="TOPIC", help="the topic to read")
    add_broker(command)
    add_schema(command, required=False)
    command.add_argument(
        "--from",
        dest="start",
        type=_start,
        default="latest",
        metavar="PLACE",
        help="earliest, latest (the default), a time (2026-11-28T09:30:00Z), or how long ago (15m)",
    )
    command.add_argument("--limit", type=checked(count), metavar="N", help="end after N events")
    command.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait for more events (the default), or end when those that are there are printed",
    )
    command.add_argument(
        "--json", action="store_true", help="print each event as a JSON object on a line, for programs"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints them."""
    return finish("tail", lambda: _tail(arguments, known_events(arguments)))


async def _tail(arguments: argparse.Namespace, types: EventTypes) -> None:
    left: int | None = arguments.limit
    show = _as_json if arguments.json else _as_line
    async with opened_broker(arguments) as (broker, address):
        reader = broker.read(arguments.topic, arguments.start)
        try:
            found = await reader.fetch(_BATCH, 0.0)
            if arguments.follow:
                say(f"reading {arguments.topic} at {without_secrets(address)}; Ctrl-C ends it")
            while True:
                records = list(heapq.merge(*found.values(), key=_time))
                for record in records[:left]:
                    print(show(record, types))
                print(end="", flush=True)  # Also where the process has no standard output.
                left = None if left is None else max(0, left - len(records))
                if left == 0 or (not found and not arguments.follow and not await reader.remaining()):
                    return
                found = await _next(reader, arguments.follow)
        finally:
            await reader.close()


async def _next(reader: TopicReader, follow: bool) -> Mapping[Partition, Sequence[Record]]:
    """Fetches more; while the command follows the topic, it waits for a broker that cannot be reached."""
    reported = False
    while True:
        try:
            return await reader.fetch(_BATCH, _WAIT)
        except Unavailable as error:
            if not follow:
                raise
            if not reported:
                report("events tail", f"{error.message}; trying again")
                reported = True
            await asyncio.sleep(_TRY_AGAIN)


def _time(record: Record) -> float:
    return record.timestamp


def _as_line(record: Record, types: EventTypes) -> str:
    """Returns a record for a person; nothing in it can control a terminal."""
    content = content_of(record, types)
    if record.tombstone:
        shown = "(a tombstone: what has this key is deleted)"
    elif content.problem:
        shown = f"({len(record.value)} bytes; {printable(content.problem, LONGEST_MESSAGE)})"
    else:
        text = json.dumps(content.message, ensure_ascii=False, separators=(",", ":"))
        shown = printable(text, LONGEST_MESSAGE)
    when = content.envelope.text("ce_time") or rfc3339(record.timestamp).decode()
    place = f"{printable(record.topic)}/{record.partition}@{record.offset}"
    return "  ".join([printable(when, _LONGEST_TIME), place, *names_of(content, record.key), shown])


def _as_json(record: Record, types: EventTypes) -> str:
    """Returns a record for a machine: ASCII alone, on one line."""
    content = content_of(record, types)
    envelope = content.envelope
    event: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "accepted": rfc3339(record.timestamp).decode(),
        "time": envelope.text("ce_time") or None,
        "type": content.type or None,
        "id": envelope.text("ce_id") or None,
        "source": envelope.text("ce_source") or None,
        "key": None if record.key is None else as_text(record.key),
        "headers": {name: as_text(value) for name, value in envelope.headers.items() if not name.startswith("ce_")},
    }
    if record.tombstone:
        return json.dumps(event | {"tombstone": True})
    if not content.problem:
        return json.dumps(event | {"message": content.message})
    return json.dumps(event | {"problem": content.problem, "data_base64": b64encode(envelope.data).decode()})


def _start(text: str) -> Start:
    if text in ("earliest", "latest"):
        return "earliest" if text == "earliest" else "latest"
    if _PLACE(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not a time: {error}") from None
        if moment.tzinfo is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} has no time zone: write {text}{'' if 'T' in text else 'T00:00'}Z for UTC"
            )
        return moment
    try:
        if text[-1:].isdigit():
            raise ValueError
        return datetime.fromtimestamp(wall_time(), UTC) - timedelta(seconds=seconds(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not earliest, latest, a time (2026-11-28T09:30:00Z) or a duration (15m)"
        ) from None
