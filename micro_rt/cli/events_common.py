"""What the commands that look at events, and publish them, have in common: their broker, and the events that they know."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from micro_rt.broker.base import Broker, Record
from micro_rt.cli.commands import no_address, path_argument
from micro_rt.cli.descriptor_sets import DescriptorSetError, read_descriptor_set
from micro_rt.cli.messages import report
from micro_rt.codec.proto import ProtoCodec
from micro_rt.errors import Error
from micro_rt.event import Event, EventsInfo
from micro_rt.events.envelope import Envelope, open_envelope
from micro_rt.events.framing import reads_framed
from micro_rt.events.subscriber import by_type
from micro_rt.kit.variables import standing_in
from micro_rt.service.configuration import configured_setting
from micro_rt.service.parts import part_at, setting_of
from micro_rt.text import printable

__all__ = [
    "LONGEST_MESSAGE",
    "Content",
    "EventTypes",
    "InputError",
    "add_broker",
    "add_schema",
    "as_text",
    "checked",
    "content_of",
    "decoded",
    "finish",
    "known_events",
    "names_of",
    "opened_broker",
    "plain_json",
]

LONGEST_MESSAGE = 4000
"""Characters of a message that a person is shown."""
_LONGEST_NAME = 120

ValueT = TypeVar("ValueT")


class InputError(Exception):
    """An argument or the input of a command makes no sense; the message says which, and why."""


class Content(NamedTuple):
    """What a record holds."""

    envelope: Envelope
    type: str
    """The type of the event; empty if it is not known."""
    message: object
    """The message as JSON has it; None if it is a tombstone or cannot be shown."""
    problem: str
    """Why the message cannot be shown; empty otherwise."""


def finish(command: str, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Does the work of a command.

    Args:
        command: its name.
        work: what it does; called outside the event loop that its coroutine then runs in.

    Returns:
        The exit status: 0, 1 for an error of the broker, 2 for a command line that makes no sense. Errors are printed.
    """
    try:
        asyncio.run(work())
    except InputError as error:
        report(f"events {command}", str(error))
        return 2
    except Error as error:
        report(f"events {command}", error.message)
        return 1
    return 0


def checked(read: Callable[[str], ValueT]) -> Callable[[str], ValueT]:
    """Returns a function that reads an argument as another one does; argparse shows the message of its errors.

    Args:
        read: raises a ``ValueError`` that says what is wrong. Of such an error, argparse shows the name of the function instead.
    """

    def reader(text: str) -> ValueT:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reader


def add_broker(command: argparse.ArgumentParser) -> None:
    """Adds the argument that names the broker."""
    command.add_argument(
        "--broker",
        metavar="ADDRESS",
        help="address of the broker (default: MICRO_BROKER, else micro.broker in MICRO_CONFIG, else local:)",
    )


def add_schema(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds the arguments that name the schema of events."""
    group = command.add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--module",
        type=no_address,
        metavar="NAME",
        help="the generated module of the events, such as shop.orders_micro",
    )
    group.add_argument(
        "--descriptors",
        type=path_argument,
        metavar="FILE",
        help="a descriptor set, written by protoc --include_imports -o FILE, or buf build -o FILE",
    )


@contextlib.asynccontextmanager
async def opened_broker(arguments: argparse.Namespace) -> AsyncGenerator[tuple[Broker, str]]:
    """Opens the broker that the command line, the environment or the config names, and returns it with its address."""
    given: str | None = arguments.broker or None
    configured, variables = await configured_setting("broker")
    address, setting = setting_of(given or configured, "broker", "local:")
    with standing_in(variables):
        broker: Broker = part_at("broker", str(address), "--broker" if given else setting)
        await broker.open()
    try:
        yield broker, str(address)
    finally:
        await broker.close()


class EventTypes:
    """The events that a command knows.

    Args:
        source: the module or file that they come from, for errors.
        events: all of them.
        pool: the pool that has the messages in an ``Any``; None for the default pool, which generated code uses.
    """

    def __init__(
        self, source: str, events: Iterable[Event[Any]], pool: descriptor_pool.DescriptorPool | None = None
    ) -> None:
        self.source = source
        self.pool = pool
        self.by_name: Mapping[str, Event[Any]] = {event.name: event for event in events}

    def on_topic(self, topic: str) -> list[Event[Any]]:
        """Returns the events of a topic."""
        return [event for event in self.by_name.values() if event.topic == topic]

    def of_type(self, topic: str, type: str) -> Event[Any] | None:
        """Returns the event that a record of a topic holds; None if it is not known."""
        return by_type(self.on_topic(topic)).get(type) or self.by_name.get(type)


def known_events(arguments: argparse.Namespace) -> EventTypes:
    """Returns the events of the schema that the command line names; no events if it names none.

    Raises:
        InputError: there is no such module or file, or it has no events.
    """
    if arguments.module:
        return _of_module(arguments.module)
    if arguments.descriptors:
        return _of_descriptors(arguments.descriptors)
    return EventTypes("", ())


def content_of(record: Record, types: EventTypes) -> Content:
    """Returns what a record holds, as far as it can be read."""
    try:
        envelope = open_envelope(record)
    except ValueError as error:
        envelope = Envelope("", "", record.value, {name.lower(): value for name, value in record.headers})
        return Content(envelope, "", None, "" if record.tombstone else str(error))
    if record.tombstone:
        return Content(envelope, envelope.type, None, "")
    try:
        return Content(envelope, *decoded(envelope, record, types), "")
    except ValueError as error:
        return Content(envelope, envelope.type, None, str(error))


def names_of(content: Content, key: bytes | None) -> list[str]:
    """Returns the type, the key and the id of an event for a person; nothing in them can control a terminal."""
    return [
        printable(content.type, _LONGEST_NAME) or "-",
        f"key={'-' if key is None else printable(as_text(key), _LONGEST_NAME)}",
        f"id={printable(content.envelope.text('ce_id'), _LONGEST_NAME) or '-'}",
    ]


def decoded(envelope: Envelope, record: Record, types: EventTypes) -> tuple[str, object]:
    """Returns the type of an event, and its message as JSON has it.

    Raises:
        ValueError: the message cannot be shown; the text says why.
    """
    name = envelope.type
    events = types.on_topic(record.topic)
    if not name and len(events) == 1:
        name = events[0].type
    if envelope.is_json:
        return name, plain_json(envelope.data.decode())
    event = types.of_type(record.topic, name)
    if event is None:
        if types.source:
            raise ValueError(f"{types.source} has no event {name!r}" if name else "it does not say its type")
        raise ValueError("it is protobuf: --module or --descriptors names its schema")
    try:
        message = reads_framed(ProtoCodec().decoder(event.message_type), json=False)(envelope.data)
        if getattr(event.message_type, "DESCRIPTOR", None) is None:
            return name, message.to_dict()
        return name, json_format.MessageToDict(message, descriptor_pool=types.pool)
    except (ValueError, TypeError, RecursionError, json_format.Error) as error:
        raise ValueError(str(error)) from None


def as_text(value: bytes) -> str:
    """Returns bytes as text; those that are not UTF-8 are escaped."""
    return value.decode(errors="backslashreplace")


def plain_json(text: str) -> Any:
    """Reads JSON, as strictly as it is written.

    Raises:
        ValueError: it is not JSON, or has a name twice; the message says where.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: it is nested too deeply") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {json.dumps(twice)} occurs twice in one object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f'{constant} is not JSON: write it as text, "{constant}"')


def _of_module(name: str) -> EventTypes:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # As python -m does.
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (error.name == name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"--module {name}: there is no module {error.name} in {here}, nor where Python looks"
            ) from None
        raise InputError(f"--module {name} needs the module {error.name}, which is not there") from None
    except Exception as error:
        raise InputError(f"--module {name} cannot be imported: {type(error).__name__}: {error}") from None
    infos = [value for value in vars(module).values() if isinstance(value, EventsInfo)]
    if not infos:
        raise InputError(
            f"--module {name} has no events: name the module that protoc-gen-micro wrote, such as shop.orders_micro"
        )
    return EventTypes(name, [event for info in infos for event in info.events])


def _of_descriptors(path: Path) -> EventTypes:
    # Loaded when they are needed: reading a schema is the larger part of starting a command.
    from protoc_gen_micro.errors import GenerateError
    from protoc_gen_micro.python.shipped import bundled
    from protoc_gen_micro.schema.reader import Reader

    place = f"--descriptors {path}"
    try:
        files, pool = read_descriptor_set(path)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}") from None
    except DecodeError:
        raise InputError(
            f"{place} is not a descriptor set: write it with protoc --include_imports -o, or buf build -o"
        ) from None
    except DescriptorSetError as error:
        raise InputError(f"{place} {error}") from None
    try:
        reader, names = Reader(files.file), [file.name for file in files.file]
        found = [event for name in sorted(names) if not bundled(name) for event in reader.read(name).events]
    except (GenerateError, TypeError, ValueError, KeyError) as error:
        raise InputError(f"{place}: {error}") from None
    if not found:
        raise InputError(f"{place} has no message with option (micro.event)")
    return EventTypes(
        os.fspath(path),
        [
            Event(
                event.full_name,
                event.python_name,
                event.topic,
                message_factory.GetMessageClass(pool.FindMessageTypeByName(event.full_name)),
                event.key,  # Its attributes have the names of the .proto.
                event.version,
                event.retention,
                event.partitions,
                event.type,
            )
            for event in found
        ],
        pool,
    )
