"""Messages of micro_rt/annotations.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import extension_dict as _extensions
from google.protobuf.descriptor_pb2 import ServiceOptions as _ServiceOptions

__all__ = [
    "SERVICE_FIELD_NUMBER",
    "ServiceOptions",
    "service",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class ServiceOptions(_message.Message):
    """What a service says of itself."""

    name: str
    """The name under which the service is registered and looked up; without it, the proto package, and without
    that the service's own name.
    """

    def __init__(self, *, name: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1

SERVICE_FIELD_NUMBER: int
service: _extensions._ExtensionFieldDescriptor[_ServiceOptions, ServiceOptions]
"""What a service says of itself: `option (micro.service) = { name: "greetings" };`"""
