"""The options of ``micro_rt/annotations.proto``, read from the descriptors of one run.

The plugin does not import ``micro_rt``: the request itself brings the descriptor of every file, so the
options are read with the version of ``annotations.proto`` that the user's file imports. A run whose files
do not import it pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.schema.model import Auth, Limits, Policy, Retry

__all__ = ["ANNOTATIONS", "EVENT", "METHOD", "SERVICE", "EventOption", "Options", "ServiceOption"]

ResultT = TypeVar("ResultT")

ANNOTATIONS = "micro_rt/annotations.proto"
"""The file that declares the options, as users import it."""

EVENT = METHOD = SERVICE = 51234
"""The numbers of ``(micro.event)``, ``(micro.method)`` and ``(micro.service)``."""


class ServiceOption(NamedTuple):
    """``(micro.service)``."""

    name: str
    """Empty if it is not given."""
    timeout: float | None
    """Seconds, for unary methods that have no timeout of their own."""


class EventOption(NamedTuple):
    """``(micro.event)``, as ``schema.Event`` has it."""

    topic: str
    key: str
    version: str
    retention: float | None
    partitions: int | None
    type: str


class Options:
    """Reads the options; knows none when no file of the run imports them.

    Args:
        files: every file of the run, by its name.
    """

    def __init__(self, files: Mapping[str, descriptor_pb2.FileDescriptorProto]) -> None:
        self._pool = _pool(files) if ANNOTATIONS in files else None

    @property
    def known(self) -> bool:
        """Whether a file of the run imports them; else none can be given."""
        return self._pool is not None

    def service(self, options: descriptor_pb2.ServiceOptions) -> ServiceOption:
        """Returns ``(micro.service)``; what it would say if it were empty where it is not given.

        Raises:
            ValueError: the option says what cannot be.
        """
        return self._read("micro.service", options, _service) or ServiceOption("", None)

    def policy(self, options: descriptor_pb2.MethodOptions) -> Policy | None:
        """Returns ``(micro.method)``, or None.

        Raises:
            ValueError: the option says what cannot be.
        """
        return self._read("micro.method", options, _policy)

    def event(self, options: descriptor_pb2.MessageOptions) -> EventOption | None:
        """Returns ``(micro.event)``, or None.

        Raises:
            ValueError: the option says what cannot be.
        """
        return self._read("micro.event", options, _event)

    def _read(self, name: str, options: Message, convert: Callable[[dict[str, Any]], ResultT]) -> ResultT | None:
        """Returns what an option is converted to, or None where it is not given."""
        if self._pool is None or not (data := options.SerializeToString()):
            return None
        try:
            known = self._pool.FindMessageTypeByName(options.DESCRIPTOR.full_name)
            said: Any = message_factory.GetMessageClass(known).FromString(data)
            extension = self._pool.FindExtensionByName(name)
            return convert(_fields(name, said.Extensions[extension])) if said.HasExtension(extension) else None
        except (AttributeError, DecodeError, KeyError, TypeError) as error:
            raise _foreign(error) from error


_DEFAULT_BACKOFF, _DEFAULT_MAX_BACKOFF = 0.05, 2.0
"""Those of ``micro_rt.RetryPolicy``."""

_KNOWN = {
    "micro.service": {"name", "timeout"},
    "micro.method": {"timeout", "retry", "auth", "limits", "compression"},
    "micro.event": {"topic", "key", "version", "retention", "partitions", "type"},
    "micro.RetryOptions": {"attempts", "backoff", "max_backoff", "codes", "idempotent", "attempt_timeout"},
    "micro.AuthOptions": {"scopes", "public"},
    "micro.LimitOptions": {"max_request_bytes", "max_reply_bytes"},
}


def _pool(files: Mapping[str, descriptor_pb2.FileDescriptorProto]) -> descriptor_pool.DescriptorPool:
    """Returns a pool of their own for the options and what they import."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added:
            return
        added.add(name)
        for dependency in files[name].dependency:
            add(dependency)
        pool.AddSerializedFile(files[name].SerializeToString())

    try:
        add(ANNOTATIONS)
    except (KeyError, TypeError) as error:
        raise _foreign(error) from error
    return pool


def _foreign(error: Exception) -> GenerateError:
    return GenerateError(
        f"is not the file that comes with micro-rt ({error}); take that of protoc-gen-micro --include", path=ANNOTATIONS
    )


def _fields(option: str, message: Any) -> dict[str, Any]:
    """Returns the fields that a message sets, by name; none that this plugin does not know is passed over."""
    known = _KNOWN.get(message.DESCRIPTOR.full_name, _KNOWN[option])
    fields = {field.name: value for field, value in message.ListFields()}
    for name in fields:
        if name not in known:
            raise ValueError(
                f"option ({option}) has {name!r}, which this protoc-gen-micro does not know: update micro-rt"
            )
    return fields


def _service(said: dict[str, Any]) -> ServiceOption:
    timeout = said.get("timeout")
    return ServiceOption(
        name=str(said.get("name", "")),
        timeout=None if timeout is None else _seconds("timeout of option (micro.service)", timeout),
    )


def _policy(said: dict[str, Any]) -> Policy:
    timeout, retry, auth, limits = (said.get(name) for name in ("timeout", "retry", "auth", "limits"))
    return Policy(
        timeout=None if timeout is None else _seconds("timeout of option (micro.method)", timeout),
        retry=None if retry is None else _retry(_fields("micro.method", retry)),
        auth=None if auth is None else _auth(_fields("micro.method", auth)),
        limits=None if limits is None else _limits(_fields("micro.method", limits)),
        compression=_compression(str(said.get("compression", ""))),
    )


def _event(said: dict[str, Any]) -> EventOption:
    topic, retention = str(said.get("topic", "")), said.get("retention")
    if not topic:
        raise ValueError('option (micro.event) has no topic; give it one: topic: "orders.placed"')
    if topic in (".", "..") or len(topic) > _MAX_TOPIC or not _TOPIC.issuperset(topic):
        raise ValueError(
            f"topic of option (micro.event) cannot be {topic!r}: letters, digits, '.', '_' and '-' are what a topic is "
            f"made of, {_MAX_TOPIC} at most, and it is neither '.' nor '..'; rename it"
        )
    type = str(said.get("type", ""))
    if type and (len(type) > _MAX_TYPE or not type.isprintable() or type != type.strip()):
        raise ValueError(
            f"type of option (micro.event) cannot be {type!r}: it has at most {_MAX_TYPE} characters that can be printed, and no "
            'space around them, such as "com.example.order.placed"'
        )
    return EventOption(
        topic=topic,
        key=str(said.get("key", "")),
        version=str(said.get("version", "")),
        retention=None if retention is None else _seconds("retention of option (micro.event)", retention),
        partitions=said.get("partitions"),
        type=type,
    )


_MAX_TOPIC = 249
_MAX_TYPE = 200
_TOPIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
"""What Kafka's topics are made of; whatever the broker, a topic must be able to move to it."""


def _seconds(name: str, duration: Any) -> float:
    seconds = float(duration.seconds + duration.nanos / 1e9)
    if seconds <= 0:
        raise ValueError(f"{name} is {seconds:g} s; it must be more than 0")
    return seconds


def _retry(said: dict[str, Any]) -> Retry:
    retry = Retry(
        attempts=said.get("attempts"),
        backoff=_seconds("backoff of option (micro.method)", said["backoff"]) if "backoff" in said else None,
        max_backoff=_seconds("max_backoff of option (micro.method)", said["max_backoff"])
        if "max_backoff" in said
        else None,
        codes=tuple(_code(code) for code in said.get("codes", ())),
        idempotent=said.get("idempotent"),
        attempt_timeout=_seconds("attempt_timeout of option (micro.method)", said["attempt_timeout"])
        if "attempt_timeout" in said
        else None,
    )
    if retry.attempts == 0:
        raise ValueError("attempts of option (micro.method) is 0; the least is 1, which means no retry")
    first, longest = retry.backoff or _DEFAULT_BACKOFF, retry.max_backoff or _DEFAULT_MAX_BACKOFF
    if first > longest:
        raise ValueError(
            f"backoff of option (micro.method) is {first:g} s, more than max_backoff, which is {longest:g} s; "
            "set both so that backoff <= max_backoff"
        )
    return retry


def _code(number: int) -> str:
    if not 1 <= number < len(_CODES):
        raise ValueError(f"codes of option (micro.method) holds {number}, after which no call can be sent again")
    return _CODES[number]


def _auth(said: dict[str, Any]) -> Auth:
    auth = Auth(scopes=tuple(said.get("scopes", ())), public=bool(said.get("public", False)))
    if auth.public and auth.scopes:
        raise ValueError("auth of option (micro.method) is public, and asks for scopes; give one of the two")
    return auth


def _compression(name: str) -> str | None:
    if name and name not in _ALGORITHMS:
        known = ", ".join(_ALGORITHMS)
        raise ValueError(f"compression of option (micro.method) is {name!r}; it is one of {known}")
    return name or None


_ALGORITHMS = ("gzip", "deflate", "zstd", "identity")
_LARGEST = (1 << 31) - 1
"""Bytes of the largest message of protobuf."""


def _limits(said: dict[str, Any]) -> Limits | None:
    for name, value in said.items():
        if not value:
            raise ValueError(f"{name} of option (micro.method) is 0; leave it out for the limit of the service")
        if value > _LARGEST:
            raise ValueError(f"{name} of option (micro.method) is {value}; protobuf has room for {_LARGEST} bytes")
    return Limits(said.get("max_request_bytes"), said.get("max_reply_bytes")) if said else None


# fmt: off
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)
# fmt: on
