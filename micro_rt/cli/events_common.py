"""What the commands that look at events, and publish them, have in common: their broker, and the events that they know."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from micro_rt.broker.base import Broker, Record
from micro_rt.codec.proto import ProtoCodec
from micro_rt.event import Event, EventsInfo
from micro_rt.events.envelope import Envelope, open_envelope
from micro_rt.events.framing import reads_framed
from micro_rt.events.subscriber import by_type
from micro_rt.service.parts import part_at, setting_of

__all__ = [
    "EventTypes",
    "InputError",
    "add_broker",
    "add_schema",
    "as_text",
    "decoded",
    "known_events",
    "opened_broker",
    "opened_envelope",
    "plain_json",
]


class InputError(Exception):
    """What was given to a command makes no sense; the message says what, and why."""


def add_broker(command: argparse.ArgumentParser) -> None:
    """Adds the argument that names the broker."""
    command.add_argument("--broker", metavar="ADDRESS", help="else MICRO_BROKER, else local:")


def add_schema(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds the arguments that name what events there are."""
    group = command.add_mutually_exclusive_group(required=required)
    group.add_argument("--module", metavar="NAME", help="the generated module that has the events: shop.orders_micro")
    group.add_argument(
        "--descriptors",
        type=Path,
        metavar="FILE",
        help="a descriptor set: protoc --include_imports -o FILE, or buf build -o FILE",
    )


@contextlib.asynccontextmanager
async def opened_broker(arguments: argparse.Namespace) -> AsyncGenerator[tuple[Broker, str]]:
    """Opens the broker that the command line or the environment names, and returns it with its address."""
    given: str | None = arguments.broker or None
    address, setting = setting_of(given, "broker", "local:")
    broker: Broker = part_at("broker", address, "--broker" if given else setting)
    await broker.open()
    try:
        yield broker, address
    finally:
        await broker.close()


class EventTypes:
    """The events that a command knows.

    Args:
        source: where they come from, for errors.
        events: all of them.
        pool: what knows the messages in an ``Any``; None for the one of generated code.
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
    """Returns the events that the command line names; none if it names no schema.

    Raises:
        InputError: there is no such module or file, or it has no events.
    """
    if arguments.module:
        return _of_module(arguments.module)
    if arguments.descriptors:
        return _of_descriptors(arguments.descriptors)
    return EventTypes("", ())


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


def opened_envelope(record: Record) -> tuple[Envelope, str]:
    """Returns what a record holds, and what is wrong with its envelope; empty if nothing is."""
    try:
        return open_envelope(record), ""
    except ValueError as error:
        return Envelope("", "", record.value, {name.lower(): value for name, value in record.headers}), str(error)


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
    from protoc_gen_micro.python.modules import shipped
    from protoc_gen_micro.schema.reader import Reader

    place = f"--descriptors {path}"
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}") from None
    except DecodeError:
        raise InputError(
            f"{place} is not a descriptor set: write it with protoc --include_imports -o, or buf build -o"
        ) from None
    known = {file.name for file in files.file}
    missing = sorted({name for file in files.file for name in file.dependency} - known)
    if missing or not known:
        what = f"lacks {', '.join(missing)}" if missing else "is empty"
        raise InputError(f"{place} {what}: write it with --include_imports")
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in _ordered(files.file):
            pool.Add(file)
        reader = Reader(files.file)
        found = [event for name in sorted(known) if not shipped(name) for event in reader.read(name).events]
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


def _ordered(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Returns files behind those that they import."""
    by_name = {file.name: file for file in files}
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    waiting = list(by_name)
    while waiting:
        left = [
            name
            for name in waiting
            if any(each in by_name and each not in ordered for each in by_name[name].dependency)
        ]
        ordered |= {name: by_name[name] for name in waiting if name not in left}
        if len(left) == len(waiting):
            raise ValueError(f"{left[0]} imports itself")
        waiting = left
    return list(ordered.values())
