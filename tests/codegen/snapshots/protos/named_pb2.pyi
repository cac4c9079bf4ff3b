"""Messages of named.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Ping",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Ping(_message.Message):
    def __init__(self) -> None: ...
