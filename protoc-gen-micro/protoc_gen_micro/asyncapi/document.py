"""The events of a file as an AsyncAPI 3.1 document, built as data. Loaded only for files with events.

The document describes the application that owns the file, which publishes its events: every operation sends. Whoever
subscribes writes a document of its own, as AsyncAPI advises, and refers to the channels and messages of this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2

from protoc_gen_micro.asyncapi.json_schema import Schema, Schemas
from protoc_gen_micro.asyncapi.proto_text import imports_of, proto_text
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.shipped import bundled
from protoc_gen_micro.schema.events import fields_of_key
from protoc_gen_micro.schema.model import Event, File
from protoc_gen_micro.schema.reader import Reader, edition_of

__all__ = ["CONTENT_TYPE", "document", "document_path", "document_text"]

CONTENT_TYPE = "application/protobuf"
"""What a record's value is."""


def document_path(file: File, modules: Modules) -> str:
    """Returns the path of the document, which is beside that of the stubs."""
    return f"{modules.name(file.path, '_micro').removesuffix('_micro').replace('.', '/')}.asyncapi.json"


def document_text(file: File, reader: Reader) -> str:
    """Returns the document as JSON, the same bytes for the same files."""
    return json.dumps(document(file, reader), indent=2, ensure_ascii=False) + "\n"


def document(file: File, reader: Reader) -> dict[str, Any]:
    """Returns the document.

    Args:
        file: a file with events.
        reader: has read it, and knows whatever it refers to.
    """
    required = _Required(reader)
    schemas = Schemas(reader.message, reader.enum, required)
    messages = {event.full_name: _message(event, reader, schemas) for event in file.events}
    by_topic: dict[str, list[Event]] = {}
    for event in file.events:
        by_topic.setdefault(event.topic, []).append(event)
    components = schemas.collect()
    files = _closure([file.path, *schemas.files], reader)
    texts = {name: _protobuf(reader.files[name], reader) for name in files}
    info = {"title": f"Events of {file.path}", "version": _version(file.events)}
    if file.comment:
        info["description"] = file.comment
    return {
        "asyncapi": "3.1.0",
        "info": info,
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic: _channel(topic, events) for topic, events in by_topic.items()},
        "operations": {event.python_name: _operation(event) for event in file.events},
        "components": {
            "messages": messages,
            "schemas": {**components, _CLOUD_EVENTS: _CLOUD_EVENTS_HEADERS},
            # Not among the schemas: AsyncAPI's own tools take a text with several messages, or with imports, for an error.
            "x-protobuf": texts,
        },
    }


def _channel(topic: str, events: list[Event]) -> Schema:
    partitions = max((event.partitions for event in events if event.partitions), default=None)
    retention = max((event.retention for event in events if event.retention), default=None)
    kafka: Schema = {}
    if partitions is not None:
        kafka["partitions"] = partitions
    if retention is not None:
        kafka["topicConfiguration"] = {"retention.ms": round(retention * 1000)}
    channel: Schema = {"address": topic}
    if len(events) > 1:
        channel["description"] = "The header `ce_type` says which of the messages a record is."
    channel["messages"] = {event.full_name: {"$ref": f"#/components/messages/{event.full_name}"} for event in events}
    if kafka:
        channel["bindings"] = {"kafka": {**kafka, "bindingVersion": _BINDING}}
    return channel


def _operation(event: Event) -> Schema:
    operation: Schema = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{event.topic}"},
        "title": event.full_name,
    }
    if event.comment:
        operation["description"] = event.comment
    operation["messages"] = [{"$ref": f"#/channels/{event.topic}/messages/{event.full_name}"}]
    return operation


def _message(event: Event, reader: Reader, schemas: Schemas) -> Schema:
    type_name = reader.type(event.full_name)
    message: Schema = {"name": event.full_name, "title": type_name.names[-1]}
    if event.comment:
        message["description"] = event.comment
    if event.deprecated:
        message["deprecated"] = True
    message["contentType"] = CONTENT_TYPE
    message["headers"] = _headers(event)
    message["payload"] = schemas.message(type_name)
    if event.key:
        fields = fields_of_key(reader.message(type_name), event.key, reader.message)
        message["correlationId"] = {
            "description": f"Records with the same {event.key} arrive in order.",
            "location": "$message.payload#/" + "/".join(field.json_name for field in fields),
        }
        key = {**_key(event.key_type), "description": f"{_KEY.get(event.key_type, _KEY_TEXT)} {event.key}."}
        message["bindings"] = {"kafka": {"key": key, "bindingVersion": _BINDING}}
    if event.version:
        message["x-version"] = event.version
    message["x-protobuf"] = {
        "message": event.full_name,
        "schema": {"$ref": f"#/components/x-protobuf/{type_name.file.replace('~', '~0').replace('/', '~1')}"},
    }
    return message


def _headers(event: Event) -> Schema:
    return {
        "type": "object",
        "properties": {
            "ce_type": {
                "type": "string",
                "const": event.type,
                "description": "The full name of the message."
                if event.type == event.full_name
                else "What the event is called on the wire.",
            }
        },
        "required": ["ce_type"],
        "allOf": [{"$ref": f"#/components/schemas/{_CLOUD_EVENTS}"}],
    }


_CLOUD_EVENTS = "cloudevents-headers"
_CLOUD_EVENTS_HEADERS: Schema = {
    "title": "CloudEvents 1.0 on Kafka, binary mode",
    "type": "object",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "The version of CloudEvents."},
        "ce_id": {"type": "string", "minLength": 1, "description": "Tells the event from any other of its source."},
        "ce_source": {"type": "string", "format": "uri-reference", "minLength": 1, "description": "Who published it."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
        "content-type": {"type": "string", "const": CONTENT_TYPE, "description": "What the value is."},
    },
    "required": ["ce_specversion", "ce_id", "ce_source", "content-type"],
}


def _key(kind: str) -> Schema:
    """Returns the schema of a record's key: numbers are decimal text, those of bools and enums too."""
    if kind == "bytes":
        return {"type": "string", "contentEncoding": "base64"}
    if kind == "string":
        return {"type": "string"}
    if kind == "bool":
        return {"type": "string", "enum": ["0", "1"]}
    return {"type": "string", "pattern": "^[0-9]+$" if kind in _UNSIGNED else "^-?[0-9]+$"}


_UNSIGNED = ("uint32", "uint64", "fixed32", "fixed64")
_KEY_TEXT = "The decimal text of the field"
_KEY = {
    "bool": "Whether the field is set to true:",
    "bytes": "The bytes of the field",
    "enum": "The decimal text of the number of the field",
    "string": "The text of the field",
}


def _protobuf(file: descriptor_pb2.FileDescriptorProto, reader: Reader) -> Schema:
    """Returns a file as AsyncAPI's multi format schema object."""
    version = edition_of(file).removeprefix("proto")
    return {
        "schemaFormat": f"application/vnd.google.protobuf;version={version}",
        "schema": proto_text(file, reader.files),
    }


_BINDING = "0.5.0"
"""The version of the bindings of Kafka."""


class _Required:
    """Says which fields must be set: those of proto2 that are required, and those of editions that count as such."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, frozenset[str]] = {}

    def __call__(self, message: str, field: str) -> bool:
        if message not in self._known:
            self._read(self._reader.type(message).file)
        return field in self._known[message]

    def _read(self, path: str) -> None:
        file = self._reader.files[path]
        everywhere = file.options.features.field_presence
        pending = [(f"{file.package}." if file.package else "", file.message_type)]
        while pending:
            prefix, messages = pending.pop()
            for message in messages:
                pending.append((f"{prefix}{message.name}.", message.nested_type))
                self._known[prefix + message.name] = frozenset(
                    field.name
                    for field in message.field
                    if field.label == _FIELD.LABEL_REQUIRED
                    or (field.options.features.field_presence or everywhere) == _LEGACY_REQUIRED
                )


_FIELD = descriptor_pb2.FieldDescriptorProto
_LEGACY_REQUIRED = descriptor_pb2.FeatureSet.LEGACY_REQUIRED


def _closure(paths: Iterable[str], reader: Reader) -> list[str]:
    """Returns the files, and all that they import for their messages; without those that everybody has."""
    found: set[str] = set()
    pending = list(paths)
    while pending:
        path = pending.pop()
        if path not in found and not bundled(path):
            found.add(path)
            pending += imports_of(reader.files[path], reader.files)
    return sorted(found)


def _version(events: Iterable[Event]) -> str:
    """Returns the highest version of the events, ``"1.10.0"`` being higher than ``"1.9"``; or the first of all."""

    def order(version: str) -> list[tuple[int, str]]:
        return [_part_order(part) for part in version.split(".")]

    return max((event.version for event in events if event.version), key=order, default="1.0.0")


def _part_order(part: str) -> tuple[int, str]:
    """Returns what orders the parts of versions. It makes no number of the digits, of which there may be any number."""
    if not (part.isascii() and part.isdecimal()):
        return -1, part
    digits = part.lstrip("0")
    return len(digits), digits
