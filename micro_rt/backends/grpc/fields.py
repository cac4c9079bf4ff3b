"""The header fields of gRPC, as both sides send and read them ("Requests" and "Responses" of PROTOCOL-HTTP2.md).

Rules kept here, and why:

- What all calls of a method have in common is one ``Group``, made once: the encoder keeps its octets.
- A field that comes again with the same value is indexed, and one that varies is not (see hpack/encoder.py). Which
  metadata comes again, ``Recurring`` finds out: what has the value that it had in the block before. So a token takes
  an octet or two from the third call on, and so does a timeout that all calls have. A short secret is never indexed,
  as it could be guessed (RFC 7541, section 7.1.3).
- Most clients send the same metadata with each call: the id of the node. So metadata that is the same object
  ``_CONSTANT`` times in a row becomes part of the group of the method, and is not looked at again. So does a timeout of whole
  seconds, such as the default of a service.
- Fields are bytes on the wire, and text here has one character for each byte, as latin-1 has.
- What a block of fields means is found out once, and noted on the block (``Fields.note``): the decoder gives the same
  object again for the same octets.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from math import ceil
from types import MappingProxyType
from typing import Final, TypeAlias

from micro_rt.errors import Code
from micro_rt.http2.blocks import Field
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.hpack import OVERHEAD, SECRET, Encoder, Group
from micro_rt.metadata import Metadata, MetadataValue
from micro_rt.text import utf8
from micro_rt.transport.compression import ACCEPTED, IDENTITY
from micro_rt.transport.wire import Headers, content_type_of, encode_timeout, request_headers

__all__ = [
    "OK_TRAILERS",
    "FieldEncoder",
    "Pairs",
    "Recurring",
    "Section",
    "code_of_reset",
    "compressed_response",
    "headers_of",
    "metadata_fields",
    "pairs_of",
    "request_group",
    "response_group",
    "size_of_pairs",
    "timeout_of",
]

Pairs: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names and values, as they are sent."""

Section: TypeAlias = Group | tuple[Group | None, Pairs, Collection[bytes]]
"""What ``FieldEncoder`` takes: a group alone; or a group, the fields after it, and the names of those to index."""

OK_TRAILERS: Final = Group([(b"grpc-status", b"0")])
"""The trailers of a call that went well, and has no metadata to send with them."""

_ACCEPTED: Final = ("grpc-accept-encoding", ",".join((IDENTITY, *ACCEPTED)))
"""What says how the other side may compress its messages."""
_LARGEST_TIMEOUT: Final = 99_999_999
_MOST_MILLISECONDS: Final = 99_999
"""Seconds that fit into a timeout in milliseconds."""
_LEAST_SECRET: Final = 24
"""Bytes of a secret that can be indexed: one as long as that cannot be guessed."""
_MOST_RECURRING: Final = 64
"""Names of metadata whose values are remembered."""
_MOST_TIMEOUTS: Final = 16
"""Timeouts whose groups are kept."""
_CONSTANT: Final = 4
"""Calls in a row that send the same object until it counts as constant."""
_MOST_GROUPS: Final = 256
"""Methods whose fields are kept together with metadata."""
_TIMEOUT: Final = b"grpc-timeout"
_NEVER_THE_SAME: Final = frozenset({b"traceparent"})
"""Names of fields whose values are not remembered."""


class FieldEncoder:
    """The encoder that a connection is made with: it takes sections.

    Args:
        encoder: of the connection.
    """

    __slots__ = ("_encode", "_encode_group", "_encoder")

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._encode = encoder.encode
        self._encode_group = encoder.encode_group

    @property
    def max_table_size(self) -> int:
        """Octets that the dynamic table may have: see ``Encoder``."""
        return self._encoder.max_table_size

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._encoder.max_table_size = size

    def encode(self, fields: Section) -> bytes:
        """Returns the block of a section."""
        if type(fields) is tuple:
            group, pairs, stable = fields
            return self._encode(pairs, group=group, stable=stable)
        return self._encode_group(fields)  # type: ignore[arg-type]


class Recurring:
    """Finds out which metadata comes again and again on a connection, such as a token or the id of a node."""

    __slots__ = ("_groups", "_last", "_metadata", "_timed", "_times", "constant", "pairs")

    def __init__(self) -> None:
        self.constant: Metadata | None = None
        """What all of the last calls have sent, if that was the same object: see ``group_of``."""
        self._last: dict[bytes, bytes] = {}
        self._metadata: Metadata | None = None
        """What the last call has sent, and how often in a row."""
        self._times = 0
        self.pairs: Pairs = ()
        """The fields of that metadata."""
        self._groups: dict[Group, Group] = {}
        """Of methods, each with the same and the constant metadata."""
        self._timed: dict[int, dict[Group, Group]] = {}
        """The same by timeouts in whole seconds."""

    def note(self, metadata: Metadata, pairs: Pairs) -> None:
        """Notes what a call sends.

        Args:
            metadata: of the call.
            pairs: its fields.
        """
        if metadata is self._metadata:
            self._times += 1
            if self._times == _CONSTANT:
                self.constant = metadata
        else:
            self._metadata, self._times, self.constant = metadata, 1, None
            self.pairs = pairs
            self._groups.clear()
            self._timed.clear()

    def group_of(self, group: Group) -> Group:
        """Returns the fields of a method with the constant metadata after them."""
        return self._groups.get(group) or self._with_metadata(self._groups, group, ())

    def timed_group_of(self, group: Group, seconds: float) -> Group | None:
        """Returns the fields of a method with a timeout and the constant metadata after them; None for one that varies.

        Args:
            group: the fields of the method.
            seconds: the timeout, which is rounded up to a millisecond; only one of whole seconds is constant.
        """
        milliseconds = ceil(seconds * 1000) if 0 < seconds < _MOST_MILLISECONDS else 1
        groups = self._timed.get(milliseconds)
        if groups is None:
            if milliseconds % 1000:
                return None
            if len(self._timed) >= _MOST_TIMEOUTS:
                self._timed.clear()
            groups = self._timed[milliseconds] = {}
        # A timeout comes before metadata ("Requests" of PROTOCOL-HTTP2.md).
        return groups.get(group) or self._with_metadata(groups, group, ((_TIMEOUT, timeout_of(seconds)),))

    def _with_metadata(self, groups: dict[Group, Group], group: Group, before: Pairs) -> Group:
        if len(groups) >= _MOST_GROUPS:
            groups.clear()
        stable = (*group.stable, *self.among(self.pairs), *(name for name, _ in before))
        whole = groups[group] = Group((*group.fields, *before, *self.pairs), stable=stable)
        return whole

    def among(self, pairs: Pairs) -> Collection[bytes]:
        """Returns the names of the fields that have the value that they had the last time.

        Args:
            pairs: the metadata of a call.
        """
        last = self._last
        found: list[bytes] = []
        for name, value in pairs:
            if last.get(name) == value:
                if name not in SECRET or len(value) >= _LEAST_SECRET:
                    found.append(name)
            elif name not in _NEVER_THE_SAME:
                if len(last) >= _MOST_RECURRING and name not in last:
                    last.clear()
                last[name] = value
        return found


def request_group(
    path: str,
    authority: str,
    content_subtype: str,
    *,
    scheme: str = "http",
    method: str = "POST",
    compression: str = "",
) -> Group:
    """Returns the fields that all requests of a method begin with.

    Args:
        path: ``/package.Service/Method``.
        authority: of the server.
        content_subtype: of the codec.
        scheme: ``http``, or ``https`` with TLS.
        method: of HTTP.
        compression: of the messages of the request; empty for none.
    """
    fields = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    fields += request_headers(content_subtype)
    if compression:
        fields.append(("grpc-encoding", compression))
    return Group(pairs_of([*fields, _ACCEPTED]))


def response_group(content_subtype: str, status: str = "200", *, compression: str = "", asked: bool = False) -> Group:
    """Returns the fields that all responses with messages of a content subtype begin with.

    Args:
        content_subtype: of the codec.
        status: of HTTP.
        compression: of the messages; empty for none.
        asked: whether to say how a client may compress its messages.
    """
    fields = [(":status", status), ("content-type", content_type_of(content_subtype))]
    if compression:
        fields.append(("grpc-encoding", compression))
    return Group(pairs_of([*fields, _ACCEPTED] if asked else fields))


@lru_cache(maxsize=64)
def compressed_response(content_subtype: str, compression: str) -> Group:
    """Returns the fields that responses with compressed messages begin with; the same object for the same arguments."""
    return response_group(content_subtype, compression=compression)


def timeout_of(seconds: float) -> bytes:
    """Returns a ``grpc-timeout``: in whole milliseconds, rounded up, as far as they fit; whole seconds as such, as in ``30S``.

    Calls with the same timeout have the same header then, which is indexed. The client
    keeps its own time, so a server may end the call that little later.
    """
    milliseconds = ceil(seconds * 1000) if seconds < _MOST_MILLISECONDS else _LARGEST_TIMEOUT + 1
    if not milliseconds % 1000 and milliseconds <= _LARGEST_TIMEOUT:
        return b"%dS" % (milliseconds // 1000)
    return b"%dm" % milliseconds if milliseconds <= _LARGEST_TIMEOUT else encode_timeout(seconds).encode()


def metadata_fields(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Returns "Custom-Metadata" as fields; bytes as base64 without padding."""
    return [
        (key.encode(), value.encode() if isinstance(value, str) and value.isascii() else _as_sent(value))
        for key, value in metadata.pairs
    ]


def pairs_of(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Returns headers as fields, a byte for each character."""
    return [(name.encode(), _raw(value)) for name, value in headers]


def headers_of(fields: Iterable[Field]) -> Headers:
    """Returns fields as headers, a character for each byte."""
    return [(field.name.decode("latin-1"), field.value.decode("latin-1")) for field in fields]


def size_of_pairs(pairs: Pairs) -> int:
    """Returns the size of fields as HTTP/2 counts it (RFC 9113, section 10.5.1)."""
    return len(b"".join(chain.from_iterable(pairs))) + OVERHEAD * len(pairs)


def code_of_reset(code: int) -> Code:
    """Returns the status of a call whose stream was reset ("HTTP2 Transport Mapping", "Errors").

    Args:
        code: the HTTP/2 error code, as it is on the wire.
    """
    return _RESET.get(code, Code.INTERNAL)


_RESET: Mapping[int, Code] = MappingProxyType(
    {
        ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
        ErrorCode.CANCEL: Code.CANCELLED,
        ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
        ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
    }
)


def _as_sent(value: MetadataValue) -> bytes:
    return _raw(value) if isinstance(value, str) else b64encode(value).rstrip(b"=")


def _raw(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # It came through a transport that carries text, not bytes.
        return utf8(value).encode()
