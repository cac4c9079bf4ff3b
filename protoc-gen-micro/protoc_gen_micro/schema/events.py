"""From messages with ``(micro.event)`` to the events of the schema. Loaded only when a file of the run imports the options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from google.protobuf import descriptor_pb2

from protoc_gen_micro.schema.comments import Path, Source
from protoc_gen_micro.schema.model import Event, Field, Message, TypeName
from protoc_gen_micro.schema.names import class_name, event_names
from protoc_gen_micro.schema.options import EVENT, EventOption, Options

__all__ = ["fields_of_key", "read_events"]

Find = Callable[[TypeName], Message]
"""Returns a message by its type, whichever file defines it."""


def read_events(
    file: descriptor_pb2.FileDescriptorProto,
    source: Source,
    options: Options,
    find: Find,
    find_type: Callable[[str], TypeName],
) -> tuple[Event, ...]:
    """Reads the events of one file.

    Args:
        file: the file.
        source: of the file; mistakes are noted there.
        options: reads the options.
        find: returns messages by their types.
        find_type: returns types by their full names.

    Raises:
        GenerateError: an event says what cannot be.
    """
    prefix = f"{file.package}." if file.package else ""
    found = list(_declared(file.message_type, (4,), prefix, options, source))
    python_names = event_names(full_name[len(prefix) :] for full_name, _, _ in found)
    by_python_name: dict[str, str] = {}
    by_type: dict[tuple[str, str], str] = {}
    for full_name, _, option in found:
        by_type.setdefault((option.topic, full_name), full_name)
    events: list[Event] = []
    for full_name, path, option in found:
        python_name = python_names[full_name[len(prefix) :]]
        other = by_python_name.setdefault(python_name, full_name)
        if other != full_name:
            problem = f"would be the method {python_name!r} in Python, as {other} is; rename one of the two"
            source.refuse(path, full_name, problem)
        other = by_type.setdefault((option.topic, option.type), full_name) if option.type else full_name
        if other != full_name:
            problem = f"would travel with the type {option.type!r} on topic {option.topic}, as {other} does; give each a type of its own"
            source.refuse((*path, 7, EVENT), full_name, problem)
        message = find(find_type(full_name))
        try:
            fields = fields_of_key(message, option.key, find) if option.key else []
        except ValueError as error:
            source.refuse((*path, 7, EVENT), full_name, str(error))
            continue
        events.append(
            Event(
                full_name=full_name,
                type=option.type or full_name,
                python_name=python_name,
                type_name=message.type_name,
                topic=option.topic,
                key=option.key,
                python_key=option.key,
                key_type=fields[-1].type if fields else "",
                version=option.version,
                retention=option.retention,
                partitions=option.partitions,
                comment=message.comment,
                deprecated=message.deprecated,
            )
        )
    if events:
        _check_classes(file, source, prefix)
    return tuple(events)


def fields_of_key(message: Message, key: str, find: Find) -> list[Field]:
    """Returns the fields that a key names: that of the message itself first, the one with the value last.

    Args:
        message: the event.
        key: ``"order_id"``, or ``"order.id"`` for a field of a field.
        find: returns messages by their types.

    Raises:
        ValueError: there is no such field, or events cannot be ordered by it.
    """
    fields: list[Field] = []
    *outer, last = key.split(".")
    for name in outer:
        field = _field(message, key, name)
        if field.type_name is None or field.type != "message" or field.repeated or field.map_key:
            raise ValueError(
                f"key {key!r} of option (micro.event) looks for a field inside {message.type_name.full_name}.{name}, "
                f"which is {_what(field)}, not one message; name the field that has the value"
            )
        if field.type_name.file.startswith("google/protobuf/"):
            raise ValueError(
                f"key {key!r} of option (micro.event) looks for a field inside {field.type_name.full_name}, which "
                "some languages have a type of their own for; name a field of a message of yours"
            )
        fields.append(field)
        message = find(field.type_name)
    field = _field(message, key, last)
    if field.repeated or field.map_key or field.type in ("message", "float", "double"):
        raise ValueError(
            f"key {key!r} of option (micro.event) is {_what(field)}, which orders nothing; take a field with one "
            "string, bytes, integer, bool or enum"
        )
    return [*fields, field]


def _declared(
    messages: Iterable[descriptor_pb2.DescriptorProto], path: Path, prefix: str, options: Options, source: Source
) -> Iterator[tuple[str, Path, EventOption]]:
    """Yields the messages that are events: full name, place and option; what is nested in one behind it."""
    for index, message in enumerate(messages):
        here, full_name = (*path, index), prefix + message.name
        if message.HasField("options"):
            try:
                option = options.event(message.options)
            except ValueError as error:
                source.refuse((*here, 7, EVENT), full_name, str(error))
                option = None
            if option is not None:
                if message.options.map_entry:
                    source.refuse(here, full_name, "is the entry of a map, which cannot be an event; take a message")
                else:
                    yield full_name, here, option
        if message.nested_type:
            yield from _declared(message.nested_type, (*here, 3), f"{full_name}.", options, source)


def _check_classes(file: descriptor_pb2.FileDescriptorProto, source: Source, prefix: str) -> None:
    """Refuses a service whose classes would be called like those of the file's events."""
    name = class_name(file.name)
    classes = {f"{name}Publisher", f"{name}SubscriberBase"}
    for index, service in enumerate(file.service):
        for own in (f"{service.name}Client", f"{service.name}Base"):
            if own in classes:
                problem = (
                    f"would be the class {own!r} in Python, as that of the events of {file.name} is; "
                    "rename the service, or move one of them into another file"
                )
                source.refuse((6, index), prefix + service.name, problem)


def _field(message: Message, key: str, name: str) -> Field:
    """Returns a field on the way to a key's value."""
    for field in message.fields:
        if field.name == name:
            if field.oneof:
                raise ValueError(
                    f"key {key!r} of option (micro.event) goes by {message.type_name.full_name}.{name}, which is in the "
                    f"oneof {field.oneof!r}, so that an event may have none; take a field that every event has"
                )
            return field
    from difflib import get_close_matches

    names = [field.name for field in message.fields]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"its fields: {', '.join(names)}" if names else "it has no fields"
    raise ValueError(
        f"key {key!r} of option (micro.event): {message.type_name.full_name} has no field {name!r}; {hint}"
    )


def _what(field: Field) -> str:
    if field.map_key:
        return "a map"
    return "a list" if field.repeated else f"a {field.type}"
