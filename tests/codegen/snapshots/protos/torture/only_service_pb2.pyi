"""Messages of torture/only_service.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor as _descriptor

__all__: list[str] = []

DESCRIPTOR: _descriptor.FileDescriptor
