"""Whether a .proto file states rules with ``buf.validate``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

__all__ = ["RULES_FILE", "has_rules"]

RULES_FILE = "buf/validate/validate.proto"
"""The file that declares the rules."""
_OPTION = 1159
"""The number of the rules among the options of a message, a field and a oneof."""


def has_rules(file: descriptor_pb2.FileDescriptorProto) -> bool:
    """Returns whether a message, a field or a oneof of the file has rules."""
    return any(_states(options) for options in _options(file.message_type))


def _options(messages: Iterable[descriptor_pb2.DescriptorProto]) -> Iterator[Message]:
    for message in messages:
        yield message.options
        yield from (field.options for field in message.field if field.HasField("options"))
        yield from (oneof.options for oneof in message.oneof_decl if oneof.HasField("options"))
        yield from _options(message.nested_type)


def _states(options: Message) -> bool:
    if any(field.number == _OPTION for field, _ in options.ListFields()):
        return True
    unknown = UnknownFieldSet(options)
    return any(unknown[place].field_number == _OPTION for place in range(len(unknown)))
