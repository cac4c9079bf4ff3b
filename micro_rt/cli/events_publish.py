"""``micro-rt events publish``: publishes events that are written as JSON."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, ClassVar

from micro_rt.broker.base import Broker
from micro_rt.cli.events_common import (
    EventTypes,
    InputError,
    add_broker,
    add_schema,
    checked,
    finish,
    known_events,
    opened_broker,
)
from micro_rt.cli.events_message import message_of
from micro_rt.event import Event, EventsInfo
from micro_rt.events.publisher import Published, Publisher
from micro_rt.kit.address import seconds
from micro_rt.text import near, printable

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Publishes events, and prints the place and the id of each one when the broker has durably accepted it. A message is written in
protobuf's JSON mapping. Without MESSAGE, each line of standard input is a message; empty lines are skipped.

Exit status: 0 when all are published; 1 if the broker cannot be reached or does not accept an event; 2 if the command line, the
schema or a message makes no sense; 130 after Ctrl-C. The command stops at the first event that fails; those printed are
published."""

_LONGEST_LINE = 64 << 20
_CHUNK = 1 << 16


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "event", metavar="TOPIC|TYPE", help="the topic, if it has one type; else the type: shop.OrderPaid or OrderPaid"
    )
    command.add_argument(
        "message", nargs="?", metavar="MESSAGE", help="the message as JSON (default: the lines of standard input)"
    )
    add_broker(command)
    add_schema(command, required=True)
    command.add_argument("--key", help="the key, in place of the value of the key field")
    command.add_argument(
        "--header",
        dest="headers",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a header of each event; may be given more than once",
    )
    command.add_argument(
        "--timeout",
        type=checked(seconds),
        default=30.0,
        metavar="SECONDS",
        help="for each event, such as 5 or 1m30s (default: 30)",
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Publishes them."""

    def publish() -> Coroutine[Any, Any, None]:
        types = known_events(arguments)
        return _publish(arguments, types, _chosen(arguments.event, types))

    return finish("publish", publish)


class _Publisher(Publisher):
    _info_: ClassVar[EventsInfo]

    async def one(self, event: Event[Any], message: Any, key: str | None, timeout: float) -> Published:
        """Publishes an event."""
        return await self._publish(event, message, key, None, None, timeout)


class _Host:
    """What a publisher needs of a service."""

    name = "micro-rt"
    client_interceptors = ()
    flow = ()

    opened: Broker | None = None

    async def broker(self) -> Broker:
        assert self.opened is not None  # noqa: S101  # for type checkers: used only while it is open
        return self.opened


async def _publish(arguments: argparse.Namespace, types: EventTypes, event: Event[Any]) -> None:
    given: str | None = arguments.message
    # A message on the command line is checked before the command connects to the broker.
    only = None if given is None else _message(given, event, types, "MESSAGE")
    kind = type("CommandPublisher", (_Publisher,), {"_info_": EventsInfo(types.source, (event,))})
    host = _Host()
    try:
        publisher: _Publisher = kind(host, headers=_headers(arguments.headers))
    except ValueError as error:
        raise InputError(f"--header: {error}") from None
    async with opened_broker(arguments) as (broker, _):
        host.opened = broker
        if only is not None:
            _print(await publisher.one(event, only, arguments.key, arguments.timeout))
            return
        number = 0
        async for line in _lines():
            number += 1
            if line.strip():
                message = _message(line, event, types, f"line {number}")
                _print(await publisher.one(event, message, arguments.key, arguments.timeout))


def _print(published: Published) -> None:
    print(f"{printable(published.topic)}/{published.partition}@{published.offset}  {published.id}", flush=True)


def _message(text: str, event: Event[Any], types: EventTypes, place: str) -> Any:
    try:
        return message_of(text, event.message_type, types.pool)
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None


def _chosen(name: str, types: EventTypes) -> Event[Any]:
    """Returns the event that a type or a topic names."""
    event = types.by_name.get(name)
    if event is not None:
        return event
    known = types.by_name.values()
    found = (
        [each for each in known if each.type == name]
        or types.on_topic(name)
        or [each for each in known if each.name.rpartition(".")[2] == name]
    )
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(each.name for each in found)
        raise InputError(f"{name} is several types in {types.source}: {listed}; name one of them")
    names = sorted({*types.by_name, *(each.topic for each in types.by_name.values())})
    meant = near(name, [*names, *(each.rpartition(".")[2] for each in types.by_name)])
    hint = f"did you mean {' or '.join(meant)}?" if meant else f"there are {', '.join(names[:20])}"
    raise InputError(f"{types.source} has no event and no topic {name!r}; {hint}")


def _headers(given: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--header {text!r} is not NAME=VALUE")
        pairs.append((name, value))
    return pairs


async def _lines() -> AsyncIterator[str]:
    """Yields the lines of standard input as they come.

    A thread reads them, because a terminal and a file cannot be waited for in one way. Nobody ends the thread: as a daemon, it
    does not keep the process.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)
    file = sys.stdin.fileno()

    def read() -> None:
        while True:
            try:
                chunk = os.read(file, _CHUNK)
            except OSError:
                chunk = b""
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except Exception:  # The loop is closed.
                return
            if not chunk:
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
    kept = b""
    number = 1
    while chunk := await chunks.get():
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            yield _decoded(line, number)
            number += 1
        if len(kept) > _LONGEST_LINE:
            raise InputError(f"line {number} is longer than {_LONGEST_LINE} bytes")
    if kept:
        yield _decoded(kept, number)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"line {number}, byte {error.start + 1}: not UTF-8") from None
