"""What a .proto file says of a service and its methods, as the generated stubs hand it to the runtime."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["Idempotency", "Kind", "Method", "ServiceInfo"]

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class Kind(enum.Enum):
    """Which sides of a method are streams."""

    UNARY = "unary"
    SERVER_STREAM = "server streaming"
    CLIENT_STREAM = "client streaming"
    BIDI_STREAM = "bidirectional streaming"

    @property
    def client_streams(self) -> bool:
        """Whether requests are a stream."""
        return self in (Kind.CLIENT_STREAM, Kind.BIDI_STREAM)

    @property
    def server_streams(self) -> bool:
        """Whether replies are a stream."""
        return self in (Kind.SERVER_STREAM, Kind.BIDI_STREAM)


class Idempotency(enum.Enum):
    """``google.protobuf.MethodOptions.IdempotencyLevel``: whether running a method twice is safe."""

    UNKNOWN = 0
    NO_SIDE_EFFECTS = 1
    IDEMPOTENT = 2


@dataclass(frozen=True, eq=False)
class Method(Generic[RequestT, ReplyT]):
    """One rpc of a service. Compared and hashed by identity: there is one object per rpc."""

    service: str
    """Full proto name of the service: ``"greeter.Greeter"``."""
    name: str
    """Name in the .proto: ``"SayHello"``."""
    python_name: str
    """Name of the Python method: ``"say_hello"``."""
    kind: Kind
    request_type: type[RequestT]
    reply_type: type[ReplyT]
    idempotency: Idempotency = Idempotency.UNKNOWN
    path: str = field(init=False)
    """The HTTP/2 path: ``"/greeter.Greeter/SayHello"``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.service}/{self.name}")

    @property
    def idempotent(self) -> bool:
        """Whether the .proto declares that running it again is safe."""
        return self.idempotency is not Idempotency.UNKNOWN


@dataclass(frozen=True, eq=False)
class ServiceInfo:
    """One service of a .proto file."""

    name: str
    """Full proto name: ``"greeter.Greeter"``."""
    target: str
    """Name under which it is registered and looked up unless told otherwise: its package."""
    methods: tuple[Method[Any, Any], ...]
