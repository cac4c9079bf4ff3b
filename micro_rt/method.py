"""What a .proto file says of a service and its methods, as the generated stubs hand it to the runtime."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from micro_rt.errors import Code, Error

if TYPE_CHECKING:
    from typing_extensions import deprecated

__all__ = [
    "AuthPolicy",
    "Idempotency",
    "Kind",
    "LimitPolicy",
    "Method",
    "Policy",
    "RetryPolicy",
    "ServiceInfo",
    "deprecated",
]

_PATH = re.compile(r"[!-~]+").fullmatch
"""What HTTP/2 carries as a path."""

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


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How calls are tried again.

    A call that provably reached no handler goes to other nodes first, at once, whatever the policy says: it did not
    run. It moves on 16 times and for 10 s at most, and does not give up while there is a connected node. A call that may have run is tried again only if its method is declared idempotent in the
    .proto (``idempotency_level``), or if ``idempotent`` says so here.

    Attributes:
        attempts: how many times a call is sent at most, the first time included.
        backoff: seconds; the wait before the second try is a random part of it, and it doubles with each try
            ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        max_backoff: seconds; the longest wait.
        codes: the codes after which trying again makes sense.
        idempotent: whether calls may run twice, where the .proto does not say; None leaves it to the .proto.
        attempt_timeout: seconds; the longest time of one attempt at a unary call that may run twice. After it, the
            call goes to another node, as after ``UNAVAILABLE``; so one node that hangs does not use up the whole
            deadline. None lets an attempt take as long as the call may. It does not bound calls that may not run
            twice, nor streams.
    """

    attempts: int = 5
    backoff: float = 0.05
    max_backoff: float = 2.0
    codes: frozenset[Code] = field(default=frozenset({Code.UNAVAILABLE}))
    idempotent: bool | None = None
    attempt_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"RetryPolicy(attempts={self.attempts}): at least 1, which means no retry")
        if self.backoff < 0 or self.max_backoff < self.backoff:
            raise ValueError(
                f"RetryPolicy(backoff={self.backoff}, max_backoff={self.max_backoff}): 0 <= backoff <= max_backoff"
            )

        if self.attempt_timeout is not None and not self.attempt_timeout > 0:
            raise ValueError(f"RetryPolicy(attempt_timeout={self.attempt_timeout}): more than 0, or None for no limit")

    def repeatable(self, method: Method[Any, Any]) -> bool:
        """Returns whether calls of a method may run twice."""
        return method.idempotent if self.idempotent is None else self.idempotent

    def allows(self, method: Method[Any, Any], error: Error) -> bool:
        """Whether a call may be sent again after this error, if attempts and budget are left."""
        if not error.may_have_run:
            return True
        return self.repeatable(method) and error.code in self.codes


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """Who may call a method: data for an interceptor that enforces it.

    A service with such a method starts only if an interceptor around the method has ``enforces_auth = True``, if the method
    is ``public``, or if the service has ``auth="off"``.

    Attributes:
        scopes: the caller needs one of these.
        public: whether anybody may call it, without a name too.
    """

    scopes: tuple[str, ...] = ()
    public: bool = False


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """How large the messages of a method may be, on clients and servers alike. A larger one is ``ResourceExhausted``.

    Attributes:
        max_request_bytes: bytes of a request, or of each of them; None as ``max_message=`` of the service says.
        max_reply_bytes: the same for replies.
    """

    max_request_bytes: int | None = None
    max_reply_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What ``option (micro.method)`` says of a method; None where it says nothing.

    Attributes:
        timeout: seconds; of calls that do not say, on clients that do not either, and the longest that a handler
            may take in any case.
        retry: how failed calls are tried again, on clients that do not say.
        auth: who may call it.
        limits: how large its messages may be, on clients that do not say.
        compression: how its messages are compressed, on clients that do not say; ``"identity"`` for not at all.
    """

    timeout: float | None = None
    retry: RetryPolicy | None = None
    auth: AuthPolicy | None = None
    limits: LimitPolicy | None = None
    compression: str | None = None


@dataclass(frozen=True, eq=False)
class Method(Generic[RequestT, ReplyT]):
    """One rpc of a service. Compared and hashed by identity: there is one object per rpc.

    Raises:
        ValueError: service or name has a character that no path can hold.
    """

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
    policy: Policy = Policy()
    path: str = field(init=False)
    """The HTTP/2 path: ``"/greeter.Greeter/SayHello"``."""

    def __post_init__(self) -> None:
        path = f"/{self.service}/{self.name}"
        if not _PATH(path):
            raise ValueError(
                f"{path!r} is not the path of a method: service and name are printable ASCII without blanks"
            )
        object.__setattr__(self, "path", path)

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
    descriptors: bytes = field(default=b"", repr=False)
    """A serialized ``FileDescriptorSet`` of its .proto file and what that imports, where its messages carry no descriptors."""


if not TYPE_CHECKING:
    FunctionT = TypeVar("FunctionT")

    class deprecated:  # noqa: N801 - it stands for that of warnings, which came with Python 3.13
        """Marks a method of a client as deprecated: type checkers and editors say so where it is called.

        Args:
            message: what they say; it is in ``__deprecated__`` at run time, where nothing else happens.
        """

        def __init__(self, message: str) -> None:
            self._message = message

        def __call__(self, function: FunctionT) -> FunctionT:
            """Marks a function, and returns it."""
            function.__deprecated__ = self._message
            return function
