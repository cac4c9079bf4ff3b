"""What a handler serves, described as go-micro describes it in a registry: endpoints with the fields of their messages.

https://github.com/micro/go-micro/blob/v5.8.0/server/extractor.go takes it from Go's types; here it comes from descriptors, and
says the same, but that the members of a oneof are fields here and one field of an interface type there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from micro_rt.method import Kind, Method, ServiceInfo
from micro_rt.node import EndpointInfo, ValueInfo

__all__ = ["describe_endpoints"]

DEPTH = 3
"""Levels that are described: a message, its fields, and theirs."""


def describe_endpoints(info: ServiceInfo) -> tuple[EndpointInfo, ...]:
    """Returns the endpoints of a proto service.

    Messages of a dialect without descriptors are described by their names alone.
    """
    return tuple([_endpoint(method) for method in info.methods])


def _endpoint(method: Method[Any, Any]) -> EndpointInfo:
    name = f"{method.service.rpartition('.')[2]}.{method.name}"
    if method.kind is not Kind.UNARY:
        return EndpointInfo(name, ValueInfo("Context", "Context"), ValueInfo("Stream", "Stream"), {"stream": "true"})
    return EndpointInfo(name, _message(method.request_type), _message(method.reply_type))


def _message(message_type: type) -> ValueInfo:
    descriptor = getattr(message_type, "DESCRIPTOR", None)
    if not isinstance(descriptor, Descriptor):
        return ValueInfo(message_type.__name__, message_type.__name__)
    name = _go_name(descriptor)
    return ValueInfo(name, name, _fields(descriptor, 1))


def _fields(message: Descriptor, depth: int) -> tuple[ValueInfo, ...]:
    return () if depth == DEPTH else tuple([_field(field, depth) for field in message.fields])


def _field(field: FieldDescriptor, depth: int) -> ValueInfo:
    message: Descriptor | None = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return ValueInfo(field.name, "")
    if message is not None:
        name = _go_name(message)
    elif field.enum_type is not None:
        name = _go_name(field.enum_type)
    else:
        name = _GO_TYPES[field.type]
    if field.is_repeated:
        return ValueInfo(field.name, "[]" if name == "[]uint8" else f"[]{name}")  # as Go names a slice of slices
    return ValueInfo(field.name, name, () if message is None else _fields(message, depth + 1))


def _go_name(descriptor: Any) -> str:
    """The name of the Go type: nested ones are joined by underscores."""
    outer = descriptor.containing_type
    return descriptor.name if outer is None else f"{_go_name(outer)}_{descriptor.name}"


_GO_TYPES: Mapping[int, str] = {
    FieldDescriptor.TYPE_DOUBLE: "float64",
    FieldDescriptor.TYPE_FLOAT: "float32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_FIXED64: "uint64",
    FieldDescriptor.TYPE_FIXED32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "[]uint8",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_SFIXED32: "int32",
    FieldDescriptor.TYPE_SFIXED64: "int64",
    FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SINT64: "int64",
}
