"""The names and lines that ``stubs.py.j2`` writes for the events of a file."""

from __future__ import annotations

from protoc_gen_micro.python.imports import Imports
from protoc_gen_micro.python.text import WIDTH, layout, literal, signature, tuple_of
from protoc_gen_micro.schema.model import Event, File
from protoc_gen_micro.schema.names import class_name, constant_name, unused

__all__ = ["EventStubs", "classes_of"]


def classes_of(file: File) -> list[str]:
    """Returns the names of the classes that the events of a file become: of the publisher, and of the subscriber."""
    if not file.events:
        return []
    name = class_name(file.path)
    return [f"{name}Publisher", f"{name}SubscriberBase"]


class EventStubs:
    """The stubs of the events of one file.

    Args:
        file: the file.
        imports: how the messages are imported.
        micro: the name of the runtime.
        float: the name of the builtin.
        taken: the names that the module has, or brings, for something else.

    Attributes:
        publisher: the name of the publisher's class.
        subscriber: the name of the subscriber's class.
        info: the name of the constant that describes the events of the file.
        builtins: the lines that import builtins whose names are taken.
    """

    def __init__(self, file: File, imports: Imports, micro: str, float: str, taken: set[str]) -> None:
        self._file = file
        self._imports = imports
        self._micro = micro
        self._timeout = f"timeout: {float} | None = None"
        self._names = {name: name for name in ("bytes", "list", "str")}
        self._constants: dict[str, str] = {}
        self.publisher = self.subscriber = self.info = ""
        self.builtins: list[str] = []
        if not file.events:
            return
        self.publisher, self.subscriber = classes_of(file)
        for name in taken & self._names.keys():
            self._names[name] = unused(f"_{name}", taken)
        self.builtins = [f"from builtins import {name} as {own}" for name, own in self._names.items() if name != own]
        for name in ("Iterable", "datetime"):
            self._names[name] = unused(name, taken)

    @property
    def iterable(self) -> tuple[str, str]:
        """The class that takes many events, and its name here."""
        return "Iterable", self._names["Iterable"]

    @property
    def datetime(self) -> tuple[str, str]:
        """The class of a moment, and its name here."""
        return "datetime", self._names["datetime"]

    def name_constants(self, taken: set[str]) -> None:
        """Chooses the names of the constants, which give way to those of the services.

        Args:
            taken: the names that the module has for something else; those chosen are added.
        """
        if not self._file.events:
            return
        for event in self._file.events:
            # Not by the message's name: one that begins with an underscore would get two, which Python mangles in classes.
            name = unused(constant_name(event.python_name), taken)
            taken.add(name)
            self._constants[event.full_name] = name
        self.info = unused(constant_name(class_name(self._file.path), "Events"), taken)
        taken.add(self.info)

    def constant(self, event: Event) -> str:
        """Returns the name of the constant that describes an event."""
        return self._constants[event.full_name]

    def tuple(self) -> str:
        """Returns the constants of all events, as a tuple."""
        return tuple_of(self._constants.values(), 1)

    def arguments(self, event: Event) -> list[str]:
        """Returns the arguments of an event's constant."""
        arguments = [
            literal(event.full_name),
            literal(event.python_name),
            literal(event.topic),
            self._imports.name(event.type_name),
        ]
        if event.python_key:
            arguments.append(f"key={literal(event.python_key)}")
        if event.version:
            arguments.append(f"version={literal(event.version)}")
        if event.retention is not None:
            arguments.append(f"retention={event.retention!r}")
        if event.partitions is not None:
            arguments.append(f"partitions={event.partitions}")
        if event.type != event.full_name:
            arguments.append(f"type={literal(event.type)}")
        return arguments

    def deprecation(self, event: Event) -> str:
        """Returns the decorator of the method that publishes a deprecated event."""
        return layout(f"@{self._micro}.deprecated(", [literal(f"{event.full_name} is deprecated")], ")", 1)

    def publish(self, event: Event) -> list[str]:
        """Returns the parameters of the method that publishes an event."""
        names = self._names
        return [
            "self",
            f"event: {self._imports.name(event.type_name)}",
            "*",
            f"key: {names['str']} | {names['bytes']} | None = None",
            f"headers: {self._micro}.HeadersLike | None = None",
            f"time: {names['datetime']} | None = None",
            self._timeout,
        ]

    def publish_all(self) -> list[str]:
        """Returns the parameters of the method that publishes many events."""
        return ["self", self._all(), "*", f"headers: {self._micro}.HeadersLike | None = None", self._timeout]

    def published(self) -> str:
        """Returns what the method that publishes many events returns."""
        return f"{self._names['list']}[{self._micro}.Published]"

    def handle(self, event: Event) -> str:
        """Returns the head of the method that handles an event."""
        parameters = ["self", f"event: {self._imports.name(event.type_name)}", f"context: {self._micro}.EventContext"]
        return signature(f"async def {event.python_name}(", parameters, "None", ":", 1)

    def _all(self) -> str:
        """Returns the parameter that takes events of every kind, laid out as the formatters do."""
        types = [self._imports.name(event.type_name) for event in self._file.events]
        head, joined = f"events: {self._names['Iterable']}[", " | ".join(types)
        if len(head) + len(joined) + 2 <= WIDTH - 8:
            return f"{head}{joined}]"
        lines = joined if len(joined) <= WIDTH - 12 else "\n    | ".join(types)
        return f"{head}\n    {lines}\n]"
