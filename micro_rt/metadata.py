"""Metadata: the headers and trailers that travel with a call.

The rules are gRPC's (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Custom-Metadata"):
keys are lower case, a key that ends in ``-bin`` holds bytes and any other key printable ASCII, and a
key may occur more than once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Union, cast

__all__ = ["EMPTY", "RESERVED", "Metadata", "MetadataLike", "MetadataValue"]

MetadataValue = Union[str, bytes]
MetadataLike = Union[Mapping[str, MetadataValue], Iterable[tuple[str, MetadataValue]]]

_KEY = re.compile(r"[0-9a-z_.\-]+").fullmatch
_TEXT = re.compile(r"[ -~]*").fullmatch

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

    Args:
        items: a mapping, or pairs of key and value. Keys are lowered.

    Raises:
        ValueError: a key or value that cannot travel, with its name.
        TypeError: a value of the wrong type for its key.
    """

    __slots__ = ("pairs",)

    pairs: tuple[tuple[str, MetadataValue], ...]
    """Every key and value, in order."""

    def __init__(self, items: MetadataLike = ()) -> None:
        pairs = cast("Mapping[str, MetadataValue]", items).items() if isinstance(items, Mapping) else items
        self.pairs = tuple(_checked(key, value) for key, value in pairs)

    @classmethod
    def received(cls, pairs: Iterable[tuple[str, MetadataValue]]) -> Metadata:
        """Wraps pairs that come from the wire, without checking them again."""
        metadata = cls.__new__(cls)
        metadata.pairs = tuple(pairs)
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

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

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
        return Metadata.received((*self.pairs, *Metadata(items).pairs))


def _checked(key: str, value: MetadataValue) -> tuple[str, MetadataValue]:
    lowered = key.lower()
    if not _KEY(lowered):
        raise ValueError(f"metadata key {key!r}: only letters, digits, '_', '.' and '-' are allowed")
    if lowered.startswith("grpc-") or lowered in RESERVED:
        raise ValueError(f"metadata key {key!r} is reserved by gRPC or HTTP; choose another name")
    if lowered.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(
                f"metadata key {key!r} ends in -bin, so its value must be bytes, not {type(value).__name__}"
            )
    elif not isinstance(value, str):
        raise TypeError(
            f"metadata key {key!r} holds text, not {type(value).__name__}; for bytes, name it {key!r} + '-bin'"
        )
    elif not _TEXT(value):
        raise ValueError(
            f"metadata key {key!r}: its value must be printable ASCII; for other data, name it {key!r} + '-bin' and give bytes"
        )
    return lowered, value


EMPTY = Metadata()
"""No metadata."""
