"""From descriptors, comments and options to the schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2

from protoc_gen_micro.schema.comments import Path, Source
from protoc_gen_micro.schema.model import (
    Enum,
    EnumValue,
    Field,
    File,
    Message,
    Method,
    Oneof,
    Policy,
    Service,
    TypeName,
)
from protoc_gen_micro.schema.names import KEYWORDS, json_name, method_names, unused
from protoc_gen_micro.schema.options import METHOD, SERVICE, Options, ServiceOption

__all__ = ["Reader", "edition_of"]


class Reader:
    """Turns the files of one run into the schema.

    Args:
        files: every file of the run: those to generate, and all that they import.
    """

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        self.files = {file.name: file for file in files}
        """Every file of the run, by its name."""
        self._types: dict[str, TypeName] = {}
        self._map_entries: dict[str, descriptor_pb2.DescriptorProto] = {}
        self._renamed: set[str] = set()  # the files with a type whose name is a keyword
        for file in self.files.values():
            prefix = f".{file.package}." if file.package else "."
            self._index(file.name, prefix, (), file.message_type, file.enum_type, file.extension)
        self.exports = {name: frozenset(self._exported(file)) for name, file in self.files.items()}
        """The names that a star import of each file's module brings."""
        self.public = {
            name: tuple(file.dependency[index] for index in file.public_dependency)
            for name, file in self.files.items()
            if file.public_dependency
        }
        """The files that each file hands on (``import public``), where there are any."""
        self._options = Options(self.files)
        self._messages: dict[str, Message] = {}
        self._enums: dict[str, Enum] = {}

    @property
    def types(self) -> Iterator[TypeName]:
        """Every message and enum of the run, but for the entries of maps."""
        return (known for key, known in self._types.items() if key not in self._map_entries)

    def read(self, path: str) -> File:
        """Reads one file.

        Raises:
            GenerateError: something in the file cannot become Python.
        """
        file, source = self._plain(path)
        if self._options.known:
            from protoc_gen_micro.schema.events import read_events

            events = read_events(self.files[path], source, self._options, self.message, self.type)
            file = file._replace(events=events)
        source.check()
        return file

    def message(self, type_name: TypeName) -> Message:
        """Returns a message, whichever file of the run defines it.

        Raises:
            GenerateError: something in its file cannot become Python.
        """
        if type_name.full_name not in self._messages:
            self._plain(type_name.file)
        return self._messages[type_name.full_name]

    def enum(self, type_name: TypeName) -> Enum:
        """Returns an enum, whichever file of the run defines it.

        Raises:
            GenerateError: something in its file cannot become Python.
        """
        if type_name.full_name not in self._enums:
            self._plain(type_name.file)
        return self._enums[type_name.full_name]

    def size(self, path: str) -> int:
        """Returns about how many elements a file has: how many places its source code info names."""
        return len(self.files[path].source_code_info.location)

    def type(self, full_name: str) -> TypeName:
        """Returns a message or an enum of the run."""
        return self._types[f".{full_name}"]

    def _plain(self, path: str) -> tuple[File, Source]:
        """Reads all of a file but its events, and returns where its mistakes are noted, too."""
        reader = _FileReader(self.files[path], self._types, self._map_entries, self._renamed, self._options)
        file = reader.read()
        if self._options.known:
            messages = list(_nested(file.messages))
            enums = [*file.enums, *(enum for message in messages for enum in message.enums)]
            self._messages.update((message.type_name.full_name, message) for message in messages)
            self._enums.update((enum.type_name.full_name, enum) for enum in enums)
        return file, reader.source

    def _exported(self, file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
        prefix = f".{file.package}." if file.package else "."
        yield from (self._types[prefix + message.name].names[0] for message in file.message_type)
        for enum in file.enum_type:
            yield self._types[prefix + enum.name].names[0]
            yield from (value.name for value in enum.value)
        for extension in file.extension:
            yield extension.name
            yield f"{extension.name.upper()}_FIELD_NUMBER"
        for index in file.public_dependency:
            yield from self._exported(self.files[file.dependency[index]])

    def _index(
        self,
        file: str,
        prefix: str,
        outer: tuple[str, ...],
        messages: Iterable[descriptor_pb2.DescriptorProto],
        enums: Iterable[descriptor_pb2.EnumDescriptorProto],
        fields: Iterable[descriptor_pb2.FieldDescriptorProto],
    ) -> None:
        """Notes where each type is defined, under its full name with the leading dot that references have.

        Args:
            file: the file of the types.
            prefix: what their full names begin with.
            outer: the classes that hold them.
            messages: the messages.
            enums: the enums.
            fields: what else has a name beside them.
        """
        names = [thing.name for things in (enums, messages) for thing in things]
        python_names: dict[str, str] = {}
        if not KEYWORDS.isdisjoint(names):
            taken = {*names, *(field.name for field in fields), *(value.name for enum in enums for value in enum.value)}
            python_names = {name: unused(f"{name}_", taken) for name in names if name in KEYWORDS}
            self._renamed.add(file)
        for enum in enums:
            key = prefix + enum.name
            own = (*outer, python_names.get(enum.name, enum.name))
            self._types[key] = TypeName(key[1:], file, own, enum.HasField("options") and enum.options.deprecated)
        for message in messages:
            key = prefix + message.name
            own = (*outer, python_names.get(message.name, message.name))
            options = message.options if message.HasField("options") else None
            self._types[key] = TypeName(key[1:], file, own, options is not None and options.deprecated)
            if options is not None and options.map_entry:
                self._map_entries[key] = message
                continue  # It has two fields, and nothing in it.
            self._index(file, f"{key}.", own, message.nested_type, message.enum_type, message.field)


class _FileReader:
    """Reads one file; the paths are those of source code info.

    It works on a copy, and takes out of each field that it reads what protoc's own Python output does not hold: a second
    pass over all fields would take as long as the first.
    """

    def __init__(
        self,
        file: descriptor_pb2.FileDescriptorProto,
        types: dict[str, TypeName],
        map_entries: dict[str, descriptor_pb2.DescriptorProto],
        renamed: set[str],
        options: Options,
    ) -> None:
        self.source = Source(file)
        self._file = _without_comments(file)
        self._types = types
        self._map_entries = map_entries
        self._renamed = renamed
        self._options = options
        self._explicit_presence = _explicit_presence(file)
        self._packs = _packs(file)

    def read(self) -> File:
        file = self._file
        prefix = f"{file.package}." if file.package else ""
        messages, _ = self._messages(file.message_type, (4,), prefix)
        extensions = tuple(self._field(field, (7, index), ()) for index, field in enumerate(file.extension))
        return File(
            path=file.name,
            package=file.package,
            edition=edition_of(file),
            comment=self.source.file_comment(),
            dependencies=tuple(file.dependency),
            public_dependencies=tuple(file.dependency[index] for index in file.public_dependency),
            messages=messages,
            enums=self._enums(file.enum_type, (5,), prefix),
            extensions=extensions,
            services=tuple(self._service(service, (6, index)) for index, service in enumerate(file.service)),
            descriptor=file.SerializeToString(),
            descriptors=b"",
            aliases=tuple(self._aliases("", prefix, (*file.message_type, *file.enum_type)))
            if file.name in self._renamed
            else (),
            events=(),
        )

    def _aliases(
        self,
        outer: str,
        prefix: str,
        things: Iterable[descriptor_pb2.DescriptorProto | descriptor_pb2.EnumDescriptorProto],
    ) -> Iterator[tuple[str, str, str]]:
        """Yields the types whose names are keywords: who holds each, its name, and the one that Python can write."""
        for thing in things:
            key = prefix + thing.name
            *_, name = self._types[f".{key}"].names
            if name != thing.name:
                yield outer, thing.name, name
            if isinstance(thing, descriptor_pb2.DescriptorProto):
                inner = f"{outer}.{name}" if outer else name
                yield from self._aliases(inner, f"{key}.", (*thing.nested_type, *thing.enum_type))

    def _messages(
        self, messages: Iterable[descriptor_pb2.DescriptorProto], path: Path, prefix: str
    ) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """Returns the messages, and apart from them the entries of maps."""
        plain: list[Message] = []
        entries: list[Message] = []
        for index, message in enumerate(messages):
            if f".{prefix}{message.name}" in self._map_entries:
                entries.append(self._entry(message, (*path, index), prefix))
            else:
                plain.append(self._message(message, (*path, index), prefix))
        return tuple(plain), tuple(entries)

    def _entry(self, message: descriptor_pb2.DescriptorProto, path: Path, prefix: str) -> Message:
        """Reads the entry of a map, which the compiler makes: it holds a key and a value, and has no comment."""
        key, value = message.field
        return Message(
            name=message.name,
            type_name=self._types[f".{prefix}{message.name}"],
            fields=(self._field(key, path, ()), self._field(value, path, ())),
            oneofs=(),
            messages=(),
            entries=(),
            enums=(),
            extensions=(),
            comment="",
            deprecated=False,
        )

    def _message(self, message: descriptor_pb2.DescriptorProto, path: Path, prefix: str) -> Message:
        full_name = prefix + message.name
        oneofs = [oneof.name for oneof in message.oneof_decl]
        if oneofs:
            # An `optional` of proto3 is a oneof of its own on the wire, and no oneof to its user.
            synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
            oneofs = ["" if index in synthetic else name for index, name in enumerate(oneofs)]
        fields = tuple(self._field(field, (*path, 2, index), oneofs) for index, field in enumerate(message.field))
        messages, entries = self._messages(message.nested_type, (*path, 3), f"{full_name}.")
        return Message(
            name=message.name,
            type_name=self._types[f".{full_name}"],
            fields=fields,
            oneofs=tuple(
                Oneof(
                    name=name,
                    fields=tuple(field.name for field in fields if field.oneof == name),
                    comment=self.source.comment((*path, 8, index)),
                )
                for index, name in enumerate(oneofs)
                if name
            ),
            messages=messages,
            entries=entries,
            enums=self._enums(message.enum_type, (*path, 4), f"{full_name}."),
            extensions=tuple(
                self._field(field, (*path, 6, index), ()) for index, field in enumerate(message.extension)
            ),
            comment=self.source.comment(path),
            deprecated=self._types[f".{full_name}"].deprecated,
        )

    def _field(
        self, field: descriptor_pb2.FieldDescriptorProto, path: Path, oneofs: list[str] | tuple[str, ...]
    ) -> Field:
        name = field.name
        number = field.type
        type_name = field.type_name
        map_key = ""
        repeated = field.label == _REPEATED
        if repeated and type_name in self._map_entries:
            key, value = self._map_entries[type_name].field
            map_key = _TYPES[key.type]
            number = value.type
            type_name = value.type_name
        kind = _TYPES[number]
        extendee = field.extendee
        # Few fields have options, and asking each for what it has not takes time.
        options = field.options if field.HasField("options") else None
        in_oneof = field.HasField("oneof_index")
        # A JSON name that is what it would be anyway is not in the descriptor: with it, the same file, loaded from protoc's
        # output too, would count as a different one.
        usual = json_name(name)
        if (stated := field.json_name) == usual:
            field.ClearField("json_name")
        # In the order of the class: a tree has many fields, and arguments with names take twice as long.
        return Field(
            name,
            field.number,
            kind,
            self._type(type_name, path) if kind in _NAMED else None,
            repeated and not map_key,
            map_key,
            not repeated and (kind == "message" or in_oneof or bool(extendee) or self._explicit(options)),
            oneofs[field.oneof_index] if oneofs and in_oneof else "",
            self._type(extendee, path) if extendee else None,
            field.proto3_optional,
            repeated and kind not in _NEVER_PACKED and self._packed(options),
            stated or usual,
            self.source.comment(path),
            options is not None and options.deprecated,
        )

    def _type(self, name: str, path: Path) -> TypeName:
        known = self._types.get(name)
        if known is None or name in self._map_entries:
            raise self.source.error(path, name, "is no type that a file of the request defines")
        return known

    def _explicit(self, options: descriptor_pb2.FieldOptions | None) -> bool:
        """Returns whether a field with these options, of a type that leaves it open, has presence."""
        if options is not None and options.features.HasField("field_presence"):
            return options.features.field_presence != descriptor_pb2.FeatureSet.IMPLICIT
        return self._explicit_presence

    def _packed(self, options: descriptor_pb2.FieldOptions | None) -> bool:
        if options is not None:
            if options.HasField("packed"):
                return options.packed
            if options.features.HasField("repeated_field_encoding"):
                return options.features.repeated_field_encoding == descriptor_pb2.FeatureSet.PACKED
        return self._packs

    def _enums(self, enums: Iterable[descriptor_pb2.EnumDescriptorProto], path: Path, prefix: str) -> tuple[Enum, ...]:
        return tuple(
            Enum(
                name=enum.name,
                type_name=self._types[f".{prefix}{enum.name}"],
                values=tuple(
                    EnumValue(
                        name=value.name,
                        number=value.number,
                        comment=self.source.comment((*path, index, 2, place)),
                        deprecated=value.HasField("options") and value.options.deprecated,
                    )
                    for place, value in enumerate(enum.value)
                ),
                comment=self.source.comment((*path, index)),
                deprecated=enum.HasField("options") and enum.options.deprecated,
            )
            for index, enum in enumerate(enums)
        )

    def _service(self, service: descriptor_pb2.ServiceDescriptorProto, path: Path) -> Service:
        package = self._file.package
        full_name = f"{package}.{service.name}" if package else service.name
        python_names = method_names(method.name for method in service.method)
        option = self._service_option(service, path, full_name)
        by_python_name: dict[str, str] = {}
        methods: list[Method] = []
        for index, proto in enumerate(service.method):
            place = (*path, 2, index)
            method = self._method(proto, place, full_name, python_names[proto.name], option.timeout)
            other = by_python_name.setdefault(method.python_name, method.full_name)
            if other != method.full_name:
                problem = f"would be the method {method.python_name!r} in Python, as {other} is; rename one of the two"
                self.source.refuse(place, method.full_name, problem)
            methods.append(method)
        return Service(
            name=service.name,
            full_name=full_name,
            target=option.name or package or service.name,
            methods=tuple(methods),
            comment=self.source.comment(path),
            deprecated=service.options.deprecated,
        )

    def _service_option(
        self, service: descriptor_pb2.ServiceDescriptorProto, path: Path, full_name: str
    ) -> ServiceOption:
        try:
            return self._options.service(service.options)
        except ValueError as error:
            self.source.refuse((*path, 3, SERVICE), full_name, str(error))
            return ServiceOption("", None)

    def _method(
        self,
        method: descriptor_pb2.MethodDescriptorProto,
        path: Path,
        service: str,
        python_name: str,
        timeout: float | None,
    ) -> Method:
        """Reads one rpc.

        Args:
            method: what the .proto says.
            path: where it is.
            service: its full name.
            python_name: the name of its method in Python.
            timeout: seconds that the service has for unary methods without a timeout of their own.
        """
        full_name = f"{service}.{method.name}"
        try:
            policy = self._options.policy(method.options)
        except ValueError as error:
            self.source.refuse((*path, 4, METHOD), full_name, str(error))
            policy = None
        if timeout is not None and not (method.client_streaming or method.server_streaming):
            policy = policy or Policy()
            policy = policy if policy.timeout is not None else policy._replace(timeout=timeout)
        return Method(
            name=method.name,
            full_name=full_name,
            python_name=python_name,
            request=self._type(method.input_type, path),
            reply=self._type(method.output_type, path),
            client_streams=method.client_streaming,
            server_streams=method.server_streaming,
            idempotency=_IDEMPOTENCY[method.options.idempotency_level],
            policy=policy,
            comment=self.source.comment(path),
            deprecated=method.options.deprecated,
        )


_REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_IDEMPOTENCY = ("UNKNOWN", "NO_SIDE_EFFECTS", "IDEMPOTENT")
_NAMED = frozenset({"message", "enum"})
_NEVER_PACKED = frozenset({"string", "bytes", "message"})
_TYPES: dict[int, str] = {
    number: "message" if name == "TYPE_GROUP" else name.removeprefix("TYPE_").lower()
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}


def _nested(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        yield message
        yield from _nested(message.messages)


def edition_of(file: descriptor_pb2.FileDescriptorProto) -> str:
    """Returns ``"proto2"``, ``"proto3"``, ``"2023"``, ``"2024"`` or ``"2026"``."""
    if file.syntax == "editions":
        return descriptor_pb2.Edition.Name(file.edition).removeprefix("EDITION_")
    return file.syntax or "proto2"


def _explicit_presence(file: descriptor_pb2.FileDescriptorProto) -> bool:
    """Returns whether a plain field of the file tells "not set" from "set to its default"."""
    if file.options.features.HasField("field_presence"):
        return file.options.features.field_presence != descriptor_pb2.FeatureSet.IMPLICIT
    return file.syntax != "proto3"


def _packs(file: descriptor_pb2.FileDescriptorProto) -> bool:
    """Returns whether a plain list of numbers of the file is packed on the wire."""
    if file.options.features.HasField("repeated_field_encoding"):
        return file.options.features.repeated_field_encoding == descriptor_pb2.FeatureSet.PACKED
    return edition_of(file) != "proto2"


def _without_comments(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    copy = descriptor_pb2.FileDescriptorProto()
    copy.CopyFrom(file)
    copy.ClearField("source_code_info")
    return copy
