"""Metadata: the headers and trailers that travel with a call.

The rules are gRPC's (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Custom-Metadata"):
keys are lower case, a key that ends in ``-bin`` holds bytes and any other key printable ASCII, and a
key may occur more than once. Blanks around a value do not travel (RFC 9113, section 8.2.1): they are
stripped where metadata is made, and where it is received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Union, cast

__all__ = ["EMPTY", "FACTS_KEY", "NODE_KEY", "RESERVED", "Metadata", "MetadataLike", "MetadataValue"]

MetadataValue = Union[str, bytes]
MetadataLike = Union[Mapping[str, MetadataValue], Iterable[tuple[str, MetadataValue]]]

_KEY = re.compile(r"[0-9a-z_.\-]+").fullmatch
_BLANKS = " \t"
_TEXT = re.compile(r"(?! )[ -~]*+(?<! )").fullmatch
_FOREIGN_TEXT = re.compile(r"[^\0-\x08\x0a-\x1f\x7f]*").fullmatch  # a "field-value" of RFC 9110, section 5.5

NODE_KEY = "micro-node"
"""The key of the id of the node that a request is for. The client adds it to each attempt, and the server that gets it takes it
out: a request that reaches another process, which has taken the address since, is refused before it runs."""

FACTS_KEY = "micro-error"
"""The key of the trailer in which the runtime of a server says whether a call that failed ran. No handler can set it."""

RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""Keys that mean something to gRPC, or to HTTP/2: a peer may close the whole connection when it gets one of these
(RFC 9113, sections 8.1.1 and 8.2.2)."""


class Metadata(Mapping[str, MetadataValue]):
    """Immutable metadata: a mapping from key to first value that also keeps repeated keys.

    Two are equal if every key has the same values in the same order; how keys are ordered among each other means
    nothing. To another mapping metadata is equal if that has the same keys, in lower case, and the first value of each.

    Args:
        items: a mapping, or pairs of key and value. Keys are lowered, and blanks around text are stripped.

    Raises:
        ValueError: a key or value that cannot travel, with its name.
        TypeError: neither a mapping nor pairs, or a value of the wrong type for its key.
    """

    __slots__ = ("pairs",)

    pairs: tuple[tuple[str, MetadataValue], ...]
    """Every key and value, in order."""

    def __init__(self, items: MetadataLike = ()) -> None:
        self.pairs = tuple(_checked(key, value) for key, value in _pairs(items))

    @classmethod
    def received(cls, pairs: Iterable[tuple[str, MetadataValue]]) -> Metadata:
        """Wraps pairs that come from the wire.

        Everything in it can be sent on: as ``metadata=context.metadata``, as pairs, or in a mapping with others. A foreign
        peer may put more than printable ASCII into a text key. Such a value is kept, one character for each byte, and is
        sent on as the same bytes. A pair that no peer may send (RFC 9113, section 8.2.1) is left out.

        Args:
            pairs: lower-case keys and their values.
        """
        return cls._of(tuple([kept for pair in pairs if (kept := _as_received(pair)) is not None]))

    def with_received(self, *pairs: tuple[str, MetadataValue]) -> Metadata:
        """Returns a copy with more pairs at the end, which ``received`` let through."""
        return Metadata._of((*self.pairs, *pairs))

    def without(self, key: str) -> Metadata:
        """Returns a copy without the pairs of a key."""
        return Metadata._of(tuple([pair for pair in self.pairs if pair[0] != key]))

    def completed(self, received: Metadata) -> Metadata:
        """Returns a copy with the pairs of received metadata whose keys are not here, at the end."""
        keys = {key for key, _ in self.pairs}
        return Metadata._of((*self.pairs, *(pair for pair in received.pairs if pair[0] not in keys)))

    @classmethod
    def _of(cls, pairs: tuple[tuple[str, MetadataValue], ...]) -> Metadata:
        metadata = cls.__new__(cls)
        metadata.pairs = pairs
        return metadata

    def __getitem__(self, key: str) -> MetadataValue:
        key = key.lower()
        for name, value in self.pairs:
            if name == key:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(dict(self.pairs))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Metadata):
            return self.pairs == other.pairs or _by_key(self.pairs) == _by_key(other.pairs)
        if isinstance(other, Mapping):
            return dict(self.items()) == dict(cast("Mapping[object, object]", other))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))

    def __repr__(self) -> str:
        return f"Metadata({list(self.pairs)!r})"

    def text(self, key: str, default: str | None = None) -> str | None:
        """Returns the first value of a text key, or the default."""
        value = self.get(key, default)
        return default if isinstance(value, bytes) else value

    def binary(self, key: str, default: bytes | None = None) -> bytes | None:
        """Returns the first value of a ``-bin`` key, or the default."""
        value = self.get(key, default)
        return default if isinstance(value, str) else value

    def all(self, key: str) -> list[MetadataValue]:
        """Returns every value of a key, in order."""
        key = key.lower()
        return [value for name, value in self.pairs if name == key]

    def merged(self, items: MetadataLike) -> Metadata:
        """Returns a copy with more pairs at the end; what is here already stays and comes first."""
        return Metadata._of((*self.pairs, *Metadata(items).pairs))


class _ReceivedText(str):
    """Text of a foreign peer that is not printable ASCII: only what was received may be sent like this."""

    __slots__ = ()


def _as_received(pair: tuple[str, MetadataValue]) -> tuple[str, MetadataValue] | None:
    """Returns a pair from the wire as it can be sent on; None if no peer may send it."""
    key, value = pair
    if not _KEY(key):
        return None
    if isinstance(value, bytes) or _TEXT(value):
        return pair
    value = value.strip(_BLANKS)
    if _TEXT(value):
        return key, value
    return (key, _ReceivedText(value)) if _FOREIGN_TEXT(value) else None


def _by_key(pairs: Iterable[tuple[str, MetadataValue]]) -> list[tuple[str, MetadataValue]]:
    return sorted(pairs, key=itemgetter(0))  # which leaves the values of a key in order


def _pairs(items: object) -> Iterable[tuple[object, object]]:
    """The pairs in what was given."""
    if isinstance(items, Metadata):
        return items.pairs
    if isinstance(items, Mapping):
        return cast("Mapping[object, object]", items).items()
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise TypeError(f"metadata is a mapping of keys to values, or pairs of them, not {type(items).__name__}")
    pairs = list(cast("Iterable[object]", items))
    for pair in pairs:
        if not _is_pair(pair):  # what it holds is not told: it may be secret
            raise TypeError(f"metadata is made of (key, value) pairs; one item, of type {type(pair).__name__}, is none")
    return cast("list[tuple[object, object]]", pairs)


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple | list) and len(cast("tuple[object, ...]", item)) == 2


def _checked(key: object, value: object) -> tuple[str, MetadataValue]:
    if not isinstance(key, str):
        raise TypeError(f"metadata keys are text, not {type(key).__name__}: {key!r}")
    lowered = key.lower()
    if not _KEY(lowered):
        raise ValueError(f"metadata key {key!r}: only letters, digits, '_', '.' and '-' are allowed")
    if lowered.startswith("grpc-") or lowered in RESERVED:
        raise ValueError(f"metadata key {key!r} is reserved by gRPC or HTTP; choose another name")
    if lowered in (NODE_KEY, FACTS_KEY):
        raise ValueError(f"metadata key {key!r} is set by the runtime; choose another name")
    if lowered.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(
                f"metadata key {key!r} ends in -bin, so its value must be bytes, not {type(value).__name__}"
            )
    elif not isinstance(value, str):
        raise TypeError(
            f"metadata key {key!r} holds text, not {type(value).__name__}; for bytes, name it {key!r} + '-bin'"
        )
    elif not _TEXT(value) and not isinstance(value, _ReceivedText):
        stripped = value.strip(" ")
        if not _TEXT(stripped):
            raise ValueError(
                f"metadata key {key!r}: its value must be printable ASCII; for other data, name it {key!r} + '-bin' and give bytes"
            )
        return lowered, stripped
    return lowered, value


EMPTY = Metadata()
"""No metadata."""
