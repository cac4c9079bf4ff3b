"""Messages of micro_rt/status.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.any_pb2 import Any

__all__ = [
    "ErrorInfo",
    "GoMicroError",
    "Status",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Status(_message.Message):
    """google.rpc.Status: what `grpc-status-details-bin` holds."""

    code: int
    """A gRPC status code."""
    message: str
    """What went wrong, for a person."""
    @property
    def details(self) -> _containers.RepeatedCompositeFieldContainer[Any]:
        """Typed details."""

    def __init__(
        self, *, code: int | None = ..., message: str | None = ..., details: _abc.Iterable[Any] | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["code", "message", "details"]) -> None: ...

    CODE_FIELD_NUMBER: _typing.Final = 1
    MESSAGE_FIELD_NUMBER: _typing.Final = 2
    DETAILS_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class ErrorInfo(_message.Message):
    """google.rpc.ErrorInfo: carries the stable id of an error."""

    reason: str
    """The id: `orders.not_found`."""
    domain: str
    """Who defines the id."""
    @property
    def metadata(self) -> _containers.ScalarMap[str, str]:
        """More, by key."""

    def __init__(
        self, *, reason: str | None = ..., domain: str | None = ..., metadata: _abc.Mapping[str, str] | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["reason", "domain", "metadata"]) -> None: ...

    REASON_FIELD_NUMBER: _typing.Final = 1
    DOMAIN_FIELD_NUMBER: _typing.Final = 2
    METADATA_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class GoMicroError(_message.Message):
    """errors.Error of go-micro (errors/proto/errors.proto), the detail that its clients look for first."""

    id: str
    """Where it comes from, or what it is: `orders.not_found`."""
    code: int
    """An HTTP status code."""
    detail: str
    """What went wrong, for a person."""
    status: str
    """What HTTP calls the code: `Not Found`."""

    def __init__(
        self, *, id: str | None = ..., code: int | None = ..., detail: str | None = ..., status: str | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "code", "detail", "status"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    CODE_FIELD_NUMBER: _typing.Final = 2
    DETAIL_FIELD_NUMBER: _typing.Final = 3
    STATUS_FIELD_NUMBER: _typing.Final = 4
