"""Both sides of a connection for tests: HPACK of the package ``hpack``, raw frames, and a tiny server on top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import pack
from typing import Any, TypeAlias

import hpack

from micro_rt.http2.client import ClientConnection
from micro_rt.http2.connection import Connection
from micro_rt.http2.frames import PREFACE
from micro_rt.http2.limits import Limits
from micro_rt.http2.server import ServerConnection
from micro_rt.http2.streams import Stream

__all__ = [
    "GET",
    "OK",
    "POST",
    "Block",
    "Pairs",
    "Seen",
    "FieldList",
    "PeerDecoder",
    "PeerEncoder",
    "answer_gets",
    "begun",
    "client",
    "exchange",
    "frames_of",
    "headers",
    "kinds",
    "raw",
    "seen",
    "server",
    "settings",
]

Pairs: TypeAlias = Sequence[tuple[bytes, bytes]]

Seen: TypeAlias = tuple[str, Any, Any, bool]
"""An event, to whoever does not look at types."""

GET: Pairs = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"localhost"))
POST: Pairs = ((b":method", b"POST"), *GET[1:])
OK: Pairs = ((b":status", b"200"),)


def answer_gets(connection: ServerConnection, data: bytes, now: float = 0.0) -> bytes:
    """Answers each GET with the path that it asks for: all that a server needs."""
    for event in connection.receive(data, now):
        if event[0] == "request":
            _, stream, fields, _ = event
            request = {field.name: field.value for field in fields}
            if request[b":method"] == b"GET":
                connection.send_headers(stream, [(b":status", b"200")])
                connection.send_data(stream, request[b":path"], ended=True)
            else:
                connection.send_headers(stream, [(b":status", b"405")], ended=True)
    return connection.data_to_send()


class Field:
    """A field, as the connection wants it."""

    def __init__(self, name: bytes, value: bytes) -> None:
        self.name = name
        self.value = value
        self.role = 0


class FieldList:
    """The fields of one block, as the connection wants them."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]], too_large: bool = False) -> None:
        self.fields = [Field(name, value) for name, value in pairs]
        self.too_large = too_large
        self.verdict: Any = None
        self.lead = None
        self.rest: list[Field] = []

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)


class PeerDecoder:
    """The decoder of ``hpack``."""

    def __init__(self, list_size: int = 16 * 1024) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=2**24)
        self._list_size = list_size

    @property
    def max_table_size(self) -> int:
        return self._decoder.max_allowed_table_size

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._decoder.max_allowed_table_size = size

    def decode(self, block: bytes) -> FieldList:
        pairs = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        return FieldList(pairs, sum(len(name) + len(value) + 32 for name, value in pairs) > self._list_size)


class PeerEncoder:
    """The encoder of ``hpack``."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()

    @property
    def max_table_size(self) -> int:
        return self._encoder.header_table_size

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._encoder.header_table_size = size

    def encode(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        return self._encoder.encode(fields)


def server(established: bool = True, **limits: Any) -> ServerConnection:
    """Returns a server; unless told otherwise, one that a client has greeted, and that has nothing to send."""
    connection = ServerConnection(PeerEncoder(), PeerDecoder(), Limits(**limits))
    if established:
        connection.receive(PREFACE + raw(SETTINGS) + raw(SETTINGS, ACK), 0.0)
        connection.data_to_send()
    return connection


def client(established: bool = True, **limits: Any) -> ClientConnection:
    """Returns a client; unless told otherwise, one that a server has greeted, and that has nothing to send."""
    connection = ClientConnection(PeerEncoder(), PeerDecoder(), Limits(**limits))
    if established:
        connection.receive(raw(SETTINGS) + raw(SETTINGS, ACK), 0.0)
        connection.data_to_send()
    return connection


SETTINGS, ACK = 4, 1


def raw(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Returns a frame, whatever sense it makes."""
    return len(payload).to_bytes(3, "big") + pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """Returns a SETTINGS frame."""
    return raw(SETTINGS, 0, 0, b"".join([pack(">HI", *pair) for pair in pairs]))


class Block:
    """Encodes header blocks without a table, so that any decoder takes any of them at any time."""

    @staticmethod
    def of(pairs: Pairs) -> bytes:
        """Returns literals without indexing (RFC 7541, section 6.2.2)."""
        return b"".join([b"\0" + Block._text(name) + Block._text(value) for name, value in pairs])

    @staticmethod
    def _text(text: bytes) -> bytes:
        if len(text) < 127:
            return bytes([len(text)]) + text
        rest, size = len(text) - 127, b"\x7f"
        while rest >= 128:
            size += bytes([rest % 128 + 128])
            rest //= 128
        return size + bytes([rest]) + text


def headers(stream: int, pairs: Pairs, ended: bool = False) -> bytes:
    """Returns a HEADERS frame that ends its block."""
    return raw(1, 4 | ended, stream, Block.of(pairs))


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Cuts what was sent into type, flags, stream and payload; leaves out the preface."""
    frames: list[tuple[int, int, int, bytes]] = []
    data = data.removeprefix(PREFACE)
    while data:
        size = int.from_bytes(data[:3], "big")
        frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        assert len(data) >= 9 + size
        data = data[9 + size :]
    return frames


def seen(connection: Connection, data: bytes, now: float = 0.0) -> list[Seen]:
    """Returns the events of some bytes, as loosely as tests want them."""
    return list(connection.receive(data, now))


def kinds(events: list[Seen]) -> list[str]:
    """Returns what kinds of events there are."""
    return [event[0] for event in events]


def begun(connection: Connection, number: int = 1) -> Stream:
    """Returns a stream whose request has come and goes on."""
    stream = seen(connection, headers(number, POST))[0][1]
    assert isinstance(stream, Stream)
    return stream


def exchange(one: Connection, other: Connection) -> tuple[list[Seen], list[Seen]]:
    """Carries bytes between two connections until none has more to say; returns the events of each."""
    events: tuple[list[Seen], list[Seen]] = ([], [])
    while True:
        there, back = one.data_to_send(), other.data_to_send()
        if not there and not back:
            return events
        if there:
            events[1].extend(other.receive(there, 0.0))
        if back:
            events[0].extend(one.receive(back, 0.0))
