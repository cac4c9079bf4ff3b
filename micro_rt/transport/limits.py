"""What peers may make a service spend, and how large messages may be: what a service says, and a transport keeps.

Not every transport has limits that can be set. One that has them declares so (``Capabilities``), and has a method ``limited``.
A service with a setting that its transport cannot keep does not start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from micro_rt.errors import FailedPrecondition, ResourceExhausted
from micro_rt.method import LimitPolicy, Method
from micro_rt.transport.base import Transport
from micro_rt.transport.compression import compression_of

__all__ = [
    "MAX_MESSAGE",
    "MORE",
    "Limits",
    "MessageRules",
    "ServiceLimits",
    "Sizes",
    "SupportsLimits",
    "UNSAID",
    "rules_of",
    "too_large",
]

MAX_MESSAGE: Final = 4 << 20
"""Bytes that a message may have unless something else is said."""
MORE: Final = "allow more with max_message= (MICRO_MAX_MESSAGE), or with limits in the .proto"
"""What errors say of messages that are larger than the limit."""
_LARGEST: Final = (1 << 31) - 1
"""Bytes that a message of protobuf can have."""
_KINDS: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "float | None": (int, float)}
"""What a field of a type may hold."""
_MAY_BE_ZERO: Final = frozenset({"ping_interval", "ping_strikes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may make a server spend: ``micro.Service("orders", limits=micro.Limits(streams=200))``.

    Each holds for one connection unless it says otherwise. Times are in seconds; None means no limit. How large messages
    may be is ``max_message=`` of the service, and ``limits`` of a method in the .proto.

    Raises:
        ValueError: a limit is out of its range.
    """

    streams: int = 1_000
    """Calls at once. One more is refused: the client may make it elsewhere, or again."""
    header_list: int = 16 << 10
    """Bytes of the metadata of a request, as HTTP/2 counts them. A larger one ends its call."""
    large_messages: int = 16 << 20
    """Bytes of messages that are larger than the window of a stream, together. They take turns. At least one may be
    under way, however large."""
    connections: int = 16_384
    """Connections of the listener. One more is closed at once."""
    begin: int = 64
    """Calls of one connection that begin in a row, before other connections have their turn."""
    waiting: int = 256
    """Calls that were accepted and have not begun, above which the connection is not read."""
    replies: int = 8 << 20
    """Bytes of replies that wait for windows, above which no further call of the connection begins."""
    handshake: float = 10.0
    """From a connection to the client's first SETTINGS frame. A silent client is cut off."""
    idle: float | None = None
    """Without a call, until the connection is ended gently (gRFC A9)."""
    age: float | None = None
    """Until a connection is ended gently (gRFC A9); up to a tenth longer, so that not all go at once."""
    age_grace: float | None = None
    """Which calls get to end after that, until they are cut off (gRFC A9)."""
    keepalive: float | None = 7200.0
    """Of silence, until the client gets a PING (gRFC A8)."""
    keepalive_timeout: float = 20.0
    """Within which anything must come after that, or the connection is cut (gRFC A8)."""
    ping_interval: float = 300.0
    """Which a client must leave between two PINGs unless the server has sent something meanwhile (gRFC A8)."""
    pings_without_calls: bool = False
    """Whether it may send them at that interval while it has no call; otherwise one in two hours (gRFC A8)."""
    ping_strikes: int = 2
    """PINGs too many that are forgiven. One more ends the connection with ``too_many_pings`` (gRFC A8)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            kind = _KINDS.get(str(field.type))
            if kind is None or (value is None and "None" in str(field.type)):
                continue
            whole = float not in kind
            least = 0 if field.name in _MAY_BE_ZERO else 1 if whole else 1e-3
            if type(value) not in kind or not _is_within(value, least):
                said = "a whole number" if whole else "a number of seconds"
                raise ValueError(f"{field.name}={value!r}: it is {said} from {least:g} to {2**31 - 1:,}")


class MessageRules(NamedTuple):
    """What is said of the messages of a method; None as the service says otherwise."""

    request: int | None = None
    """Bytes that a request may have."""
    reply: int | None = None
    """Bytes that a reply may have."""
    compression: str | None = None
    """How messages that are sent are compressed, as ``compression_of`` gives it."""

    def within(self, request: int, reply: int) -> tuple[int, int]:
        """Returns the bytes of a request and of a reply; those given where nothing is said."""
        return self.request or request, self.reply or reply


Sizes: TypeAlias = MessageRules
"""What ``MessageRules`` was called when it had no ``compression``."""
UNSAID: Final = MessageRules()
"""What a call says that has no rules of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """All that a service says to its transport; None is left to the transport.

    Attributes:
        server: what clients may make it spend.
        max_message: bytes that a message may have, in both directions.
        compression: how messages that are sent are compressed, as ``compression_of`` gives it.
        sizes: returns what the .proto says of the messages of the method that a request's path leads to; None if no
            method that is served says anything.
        sized: whether any of that is how large messages may be.
        compressed: whether any of that is how they are compressed.
        largest_request: bytes of the largest request that such a method takes.

    Raises:
        ValueError: ``max_message`` is out of its range.
    """

    server: Limits | None = None
    max_message: int | None = None
    compression: str | None = None
    sizes: Callable[[str], MessageRules | None] | None = None
    sized: bool = True
    compressed: bool = False
    largest_request: int = 0

    def __post_init__(self) -> None:
        if self.max_message is not None and not 1 <= self.max_message <= _LARGEST:
            raise ValueError(f"max_message={self.max_message!r}: from 1 to {_LARGEST:,} bytes")


class SupportsLimits(Protocol):
    """A transport that keeps what a service says: it declares ``Capabilities.limits``, ``message_sizes`` or ``compression``."""

    def limited(self, limits: ServiceLimits) -> Transport:
        """Returns the same transport with the limits of a service."""
        ...


def rules_of(method: Method[Any, Any]) -> MessageRules | None:
    """Returns what the .proto says of the messages of a method; None if it says nothing.

    Raises:
        FailedPrecondition: it names an algorithm of compression that cannot be used here.
    """
    limits, compression = method.policy.limits, method.policy.compression
    if limits is None and compression is None:
        return None
    limits = limits or LimitPolicy()
    try:
        name = None if compression is None else compression_of(compression)
    except ValueError as error:
        raise FailedPrecondition(f"{method.path}: {error}", may_have_run=False) from None
    return MessageRules(limits.max_request_bytes, limits.max_reply_bytes, name)


def too_large(path: str, size: int, most: int, doing: str, *, may_have_run: bool = True) -> ResourceExhausted:
    """Returns what a call ends with whose message is larger than the limit.

    Args:
        path: of the call.
        size: bytes of the message.
        most: bytes that it may have.
        doing: what was to be done with it: ``"sent"`` or ``"taken"``.
        may_have_run: whether a handler can have begun the call.
    """
    problem = f"{path}: a message of {size} bytes; {most} is the most that is {doing}; {MORE}"
    return ResourceExhausted(problem, may_have_run=may_have_run)


def _is_within(value: Any, least: float) -> bool:
    return bool(least <= value < 2**31)
