"""Messages of micro_rt/annotations.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.internal import extension_dict as _extensions
from google.protobuf.descriptor_pb2 import (
    MessageOptions,
    MethodOptions as _MethodOptions,
    ServiceOptions as _ServiceOptions,
)
from google.protobuf.duration_pb2 import Duration

__all__ = [
    "AuthOptions",
    "CODE_ABORTED",
    "CODE_ALREADY_EXISTS",
    "CODE_CANCELLED",
    "CODE_DATA_LOSS",
    "CODE_DEADLINE_EXCEEDED",
    "CODE_FAILED_PRECONDITION",
    "CODE_INTERNAL",
    "CODE_INVALID_ARGUMENT",
    "CODE_NOT_FOUND",
    "CODE_OUT_OF_RANGE",
    "CODE_PERMISSION_DENIED",
    "CODE_RESOURCE_EXHAUSTED",
    "CODE_UNAUTHENTICATED",
    "CODE_UNAVAILABLE",
    "CODE_UNIMPLEMENTED",
    "CODE_UNKNOWN",
    "CODE_UNSPECIFIED",
    "Code",
    "EVENT_FIELD_NUMBER",
    "EventOptions",
    "METHOD_FIELD_NUMBER",
    "MethodOptions",
    "RetryOptions",
    "SERVICE_FIELD_NUMBER",
    "ServiceOptions",
    "event",
    "method",
    "service",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Code(int, metaclass=_enums.EnumTypeWrapper):
    """The status codes of gRPC, with gRPC's numbers."""

    CODE_UNSPECIFIED: _typing.ClassVar[Code]
    """No code."""
    CODE_CANCELLED: _typing.ClassVar[Code]
    """The caller gave up."""
    CODE_UNKNOWN: _typing.ClassVar[Code]
    """Something that has no code."""
    CODE_INVALID_ARGUMENT: _typing.ClassVar[Code]
    """The request is wrong."""
    CODE_DEADLINE_EXCEEDED: _typing.ClassVar[Code]
    """It took too long."""
    CODE_NOT_FOUND: _typing.ClassVar[Code]
    """There is no such thing."""
    CODE_ALREADY_EXISTS: _typing.ClassVar[Code]
    """There is such a thing already."""
    CODE_PERMISSION_DENIED: _typing.ClassVar[Code]
    """The caller may not."""
    CODE_RESOURCE_EXHAUSTED: _typing.ClassVar[Code]
    """A limit is reached."""
    CODE_FAILED_PRECONDITION: _typing.ClassVar[Code]
    """Something else has to be done first."""
    CODE_ABORTED: _typing.ClassVar[Code]
    """Another call was in the way."""
    CODE_OUT_OF_RANGE: _typing.ClassVar[Code]
    """Past the end."""
    CODE_UNIMPLEMENTED: _typing.ClassVar[Code]
    """The server does not have the method."""
    CODE_INTERNAL: _typing.ClassVar[Code]
    """The server is broken."""
    CODE_UNAVAILABLE: _typing.ClassVar[Code]
    """The server cannot be reached, or not now."""
    CODE_DATA_LOSS: _typing.ClassVar[Code]
    """Data is lost."""
    CODE_UNAUTHENTICATED: _typing.ClassVar[Code]
    """The caller did not say who it is."""

    @classmethod
    def Value(cls, name: str) -> Code: ...
    @classmethod
    def values(cls) -> list[Code]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Code]]: ...

CODE_UNSPECIFIED: Code
CODE_CANCELLED: Code
CODE_UNKNOWN: Code
CODE_INVALID_ARGUMENT: Code
CODE_DEADLINE_EXCEEDED: Code
CODE_NOT_FOUND: Code
CODE_ALREADY_EXISTS: Code
CODE_PERMISSION_DENIED: Code
CODE_RESOURCE_EXHAUSTED: Code
CODE_FAILED_PRECONDITION: Code
CODE_ABORTED: Code
CODE_OUT_OF_RANGE: Code
CODE_UNIMPLEMENTED: Code
CODE_INTERNAL: Code
CODE_UNAVAILABLE: Code
CODE_DATA_LOSS: Code
CODE_UNAUTHENTICATED: Code

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

@_typing.final
class MethodOptions(_message.Message):
    """How a method is called and served. What is not set is left to the client and the service."""

    @property
    def timeout(self) -> Duration:
        """How long a call takes at most: for clients, unless the call or the client says otherwise (`timeout=`); and for
        the server in any case, which cancels a handler that takes longer and answers DEADLINE_EXCEEDED.
        """
    @property
    def retry(self) -> RetryOptions:
        """How failed calls are sent again, unless the client says otherwise (`retry=`)."""
    @property
    def auth(self) -> AuthOptions:
        """Who may call the method. An interceptor enforces it, and finds it as `call.method.policy.auth`. A service with such
        a method starts only if an interceptor has `enforces_auth = True`, or if the service has `auth="off"`.
        """

    def __init__(
        self, *, timeout: Duration | None = ..., retry: RetryOptions | None = ..., auth: AuthOptions | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["timeout", "retry", "auth"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["timeout", "retry", "auth"]) -> None: ...

    TIMEOUT_FIELD_NUMBER: _typing.Final = 1
    RETRY_FIELD_NUMBER: _typing.Final = 2
    AUTH_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class RetryOptions(_message.Message):
    """How failed calls are sent again."""

    attempts: int
    """How many times a call is sent at most, the first time included; 1 means never again."""
    @property
    def backoff(self) -> Duration:
        """The wait before the second try is a random part of this, and doubles with each further try."""
    @property
    def max_backoff(self) -> Duration:
        """The longest wait."""
    @property
    def codes(self) -> _containers.RepeatedScalarFieldContainer[Code]:
        """The codes after which a call is sent again; UNAVAILABLE alone when none is given."""
    idempotent: bool
    """Whether a call may run twice, where `idempotency_level` does not say: a call that may have run is never sent
    again unless one of the two says so.
    """
    @property
    def attempt_timeout(self) -> Duration:
        """The longest time of one attempt at a unary call that may run twice: after it, the call goes to another node."""

    def __init__(
        self,
        *,
        attempts: int | None = ...,
        backoff: Duration | None = ...,
        max_backoff: Duration | None = ...,
        codes: _abc.Iterable[Code] | None = ...,
        idempotent: bool | None = ...,
        attempt_timeout: Duration | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["attempts", "backoff", "max_backoff", "idempotent", "attempt_timeout"]
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal["attempts", "backoff", "max_backoff", "codes", "idempotent", "attempt_timeout"],
    ) -> None: ...

    ATTEMPTS_FIELD_NUMBER: _typing.Final = 1
    BACKOFF_FIELD_NUMBER: _typing.Final = 2
    MAX_BACKOFF_FIELD_NUMBER: _typing.Final = 3
    CODES_FIELD_NUMBER: _typing.Final = 4
    IDEMPOTENT_FIELD_NUMBER: _typing.Final = 5
    ATTEMPT_TIMEOUT_FIELD_NUMBER: _typing.Final = 6

@_typing.final
class AuthOptions(_message.Message):
    """Who may call a method."""

    @property
    def scopes(self) -> _containers.RepeatedScalarFieldContainer[str]:
        """The caller needs one of these."""
    public: bool
    """Anybody may call it, without a name too."""

    def __init__(self, *, scopes: _abc.Iterable[str] | None = ..., public: bool | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["scopes", "public"]) -> None: ...

    SCOPES_FIELD_NUMBER: _typing.Final = 1
    PUBLIC_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class EventOptions(_message.Message):
    """What a message says of itself as an event."""

    topic: str
    """Where it is published: letters, digits, `.`, `_` and `-`, at most 249. Several messages may share a topic; what
    a record is travels in its headers.
    """
    key: str
    """The field whose value orders events: those with the same value arrive in order. `order.id` is the field `id` of
    the message in the field `order`. Without a key, events are in no order.
    """
    version: str
    """The version of the schema, for the AsyncAPI document and for whoever reads `Event.version`."""
    @property
    def retention(self) -> Duration:
        """How long records are to be kept: a hint for whoever creates the topic."""
    partitions: int
    """Into how many partitions the topic is to be divided: a hint for whoever creates it."""
    type: str
    """The CloudEvents type that travels with it (`ce_type`), for topics that others write or read too; without it, the
    full name of the message.
    """

    def __init__(
        self,
        *,
        topic: str | None = ...,
        key: str | None = ...,
        version: str | None = ...,
        retention: Duration | None = ...,
        partitions: int | None = ...,
        type: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["retention"]) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["topic", "key", "version", "retention", "partitions", "type"]
    ) -> None: ...

    TOPIC_FIELD_NUMBER: _typing.Final = 1
    KEY_FIELD_NUMBER: _typing.Final = 2
    VERSION_FIELD_NUMBER: _typing.Final = 3
    RETENTION_FIELD_NUMBER: _typing.Final = 4
    PARTITIONS_FIELD_NUMBER: _typing.Final = 5
    TYPE_FIELD_NUMBER: _typing.Final = 6

SERVICE_FIELD_NUMBER: int
service: _extensions._ExtensionFieldDescriptor[_ServiceOptions, ServiceOptions]
"""What a service says of itself: `option (micro.service) = { name: "greetings" };`"""

METHOD_FIELD_NUMBER: int
method: _extensions._ExtensionFieldDescriptor[_MethodOptions, MethodOptions]
"""The policy of a method: `option (micro.method) = { timeout: { seconds: 2 } retry: { attempts: 3 } };`"""

EVENT_FIELD_NUMBER: int
event: _extensions._ExtensionFieldDescriptor[MessageOptions, EventOptions]
"""Makes a message an event: `option (micro.event) = { topic: "orders.placed" key: "order_id" };`

The events of a file become a typed publisher, a typed base of subscribers, and an AsyncAPI document.
"""
