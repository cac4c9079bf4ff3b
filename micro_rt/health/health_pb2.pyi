"""Messages of micro_rt/health/health.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "HealthCheckRequest",
    "HealthCheckResponse",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class HealthCheckRequest(_message.Message):
    """grpc.health.v1.HealthCheckRequest."""

    service: str
    """Full proto name of the service that is asked for; empty for the server as a whole."""

    def __init__(self, *, service: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["service"]) -> None: ...

    SERVICE_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class HealthCheckResponse(_message.Message):
    """grpc.health.v1.HealthCheckResponse."""

    status: HealthCheckResponse.ServingStatus
    """Whether calls are welcome."""

    def __init__(self, *, status: HealthCheckResponse.ServingStatus | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["status"]) -> None: ...

    STATUS_FIELD_NUMBER: _typing.Final = 1

    class ServingStatus(int, metaclass=_enums.EnumTypeWrapper):
        """Whether calls are welcome."""

        UNKNOWN: _typing.ClassVar[HealthCheckResponse.ServingStatus]
        """Nothing is known."""
        SERVING: _typing.ClassVar[HealthCheckResponse.ServingStatus]
        """Calls are welcome."""
        NOT_SERVING: _typing.ClassVar[HealthCheckResponse.ServingStatus]
        """Calls should go elsewhere."""
        SERVICE_UNKNOWN: _typing.ClassVar[HealthCheckResponse.ServingStatus]
        """There is no such service here; only Watch says so."""

        @classmethod
        def Value(cls, name: str) -> HealthCheckResponse.ServingStatus: ...
        @classmethod
        def values(cls) -> list[HealthCheckResponse.ServingStatus]: ...
        @classmethod
        def items(cls) -> list[tuple[str, HealthCheckResponse.ServingStatus]]: ...

    UNKNOWN: _typing.ClassVar[HealthCheckResponse.ServingStatus]
    SERVING: _typing.ClassVar[HealthCheckResponse.ServingStatus]
    NOT_SERVING: _typing.ClassVar[HealthCheckResponse.ServingStatus]
    SERVICE_UNKNOWN: _typing.ClassVar[HealthCheckResponse.ServingStatus]
