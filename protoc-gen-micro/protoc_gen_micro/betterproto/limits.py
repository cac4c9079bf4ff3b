"""What a .proto can say and betterproto cannot hold: some of it is refused, the rest is left out with a warning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf import descriptor_pb2

from protoc_gen_micro.schema.comments import Path, Source

__all__ = ["INSTEAD", "Losses", "examine"]

SHOWN = 20
"""How many places a warning names; it counts the others."""


class Losses:
    """What betterproto leaves out of the files of a run.

    A loss is a pair of its kind and its place, which is empty where the file has so many others before it that no warning names it.
    """

    def __init__(self) -> None:
        self._noted: list[tuple[str, str]] = []
        self._counts = dict.fromkeys(_LOSSES, 0)

    def required(self, source: Source, path: Path, symbol: str) -> None:
        """Notes a required field."""
        self._note("required", source, path, symbol)

    def extension(self, source: Source, path: Path, symbol: str) -> None:
        """Notes an extension."""
        self._note("extension", source, path, symbol)

    def take(self) -> list[tuple[str, str]]:
        """Returns what the file read last loses; called once after each file, in whichever process."""
        noted, self._noted = self._noted, []
        self._counts = dict.fromkeys(_LOSSES, 0)
        return noted

    @staticmethod
    def warnings(losses: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yields a warning of several lines for each kind of loss: what happens, then the places.

        Args:
            losses: what ``take`` returned, in the order of the files.
        """
        places: dict[str, list[str]] = {kind: [] for kind in _LOSSES}
        for kind, place in losses:
            places[kind].append(place)
        for kind, text in _LOSSES.items():
            if places[kind]:
                yield _warning(text, places[kind][:SHOWN], len(places[kind]))

    def _note(self, kind: str, source: Source, path: Path, symbol: str) -> None:
        self._counts[kind] += 1
        # Looking for a place takes time.
        place = f"{source.error(path, symbol, '')}" if self._counts[kind] <= SHOWN else ""
        self._noted.append((kind, place))


_LOSSES = {
    "required": "messages=betterproto treats required fields as optional: a message without them is encoded and decoded without an error",
    "extension": "messages=betterproto leaves extensions out: they have no attribute, and stay among the unknown fields",
}
"""What a warning says of each kind of loss."""


def examine(file: descriptor_pb2.FileDescriptorProto, losses: Losses, absent: Mapping[str, str]) -> None:
    """Refuses what betterproto cannot hold, and notes what it leaves out.

    Args:
        file: the file.
        losses: notes what is left out.
        absent: the messages and enums that there are no classes of, as fields name them, with the reason.

    Raises:
        GenerateError: the file has groups or message sets, or uses what is absent; the error names all of them.
    """
    source = Source(file)
    prefix = f"{file.package}." if file.package else ""
    for index, extension in enumerate(file.extension):
        _examine_extension(source, losses, extension, (7, index), prefix)
    for index, message in enumerate(file.message_type):
        _examine_message(source, losses, file, message, (4, index), f"{prefix}{message.name}")
        if absent:
            _examine_uses(source, message, (4, index), f"{prefix}{message.name}", absent)
    for index, service in enumerate(file.service):
        for number, method in enumerate(service.method):
            for used in dict.fromkeys((method.input_type, method.output_type)):
                if used in absent:
                    source.refuse((6, index, 2, number), f"{prefix}{service.name}.{method.name}", absent[used])
    source.check()


INSTEAD = "generate this file with messages=protobuf"
"""What to do with a file that betterproto cannot hold."""


def _warning(text: str, places: list[str], count: int) -> str:
    lines = [text, *(f"  {place}" for place in places)]
    if count > len(places):
        lines.append(f"  and {count - len(places)} more")
    return "\n".join(lines)


def _examine_message(
    source: Source,
    losses: Losses,
    file: descriptor_pb2.FileDescriptorProto,
    message: descriptor_pb2.DescriptorProto,
    path: Path,
    name: str,
) -> None:
    if message.options.message_set_wire_format:
        source.refuse(path, name, f"is a message set, which betterproto cannot hold; {INSTEAD}")
    for index, field in enumerate(message.field):
        place, symbol = (*path, 2, index), f"{name}.{field.name}"
        if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_GROUP:
            problem = f"is a group, which betterproto cannot hold; make it a field of a message type, or {INSTEAD}"
            source.refuse(place, symbol, problem)
        if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE and _delimited(file, field, message):
            problem = (
                "is encoded as a group (message_encoding = DELIMITED), which betterproto cannot hold; "
                f"encode it LENGTH_PREFIXED, or {INSTEAD}"
            )
            source.refuse(place, symbol, problem)
        if _required(file, field):
            losses.required(source, place, symbol)
    for index, extension in enumerate(message.extension):
        _examine_extension(source, losses, extension, (*path, 6, index), f"{name}.")
    for index, nested in enumerate(message.nested_type):
        _examine_message(source, losses, file, nested, (*path, 3, index), f"{name}.{nested.name}")


def _examine_uses(
    source: Source, message: descriptor_pb2.DescriptorProto, path: Path, name: str, absent: Mapping[str, str]
) -> None:
    """Refuses fields of types that there are no classes of."""
    maps = {nested.name: nested.field for nested in message.nested_type if nested.options.map_entry}
    for index, field in enumerate(message.field):
        entry = maps.get(field.type_name.rpartition(".")[2])
        for used in [field.type_name] if entry is None else [part.type_name for part in entry]:
            if used in absent:
                source.refuse((*path, 2, index), f"{name}.{field.name}", absent[used])
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            _examine_uses(source, nested, (*path, 3, index), f"{name}.{nested.name}", absent)


def _examine_extension(
    source: Source, losses: Losses, extension: descriptor_pb2.FieldDescriptorProto, path: Path, prefix: str
) -> None:
    if not extension.extendee.startswith(".google.protobuf."):  # that would be an option: only compilers read it
        losses.extension(source, path, prefix + extension.name)


def _delimited(
    file: descriptor_pb2.FileDescriptorProto,
    field: descriptor_pb2.FieldDescriptorProto,
    message: descriptor_pb2.DescriptorProto,
) -> bool:
    entries: Mapping[str, bool] = {nested.name: nested.options.map_entry for nested in message.nested_type}
    if entries.get(field.type_name.rpartition(".")[2]) or message.options.map_entry:
        return False  # maps, and what is in them, are never
    for options in (field.options, file.options):
        if options.features.HasField("message_encoding"):
            return options.features.message_encoding == descriptor_pb2.FeatureSet.DELIMITED
    return False


def _required(file: descriptor_pb2.FileDescriptorProto, field: descriptor_pb2.FieldDescriptorProto) -> bool:
    if field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REQUIRED:
        return True
    features = field.options.features
    if not features.HasField("field_presence"):
        features = file.options.features
    return features.field_presence == descriptor_pb2.FeatureSet.LEGACY_REQUIRED
