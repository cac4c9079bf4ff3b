"""Messages of gRPC in the DATA of a stream, without I/O ("Length-Prefixed-Message" of PROTOCOL-HTTP2.md).

Each message has five bytes before it: a flag that says whether it is compressed, and its length. DATA frames are cut
anywhere, and are no unit of gRPC.

Rules kept here, and why:

- A message that is announced as larger than the limit is refused as soon as its prefix is there. Nothing of it is kept,
  so an announcement of 4 GiB costs nothing.
- A message that is whole in one DATA frame, as most are, costs one slice, and is ready at once. Only ``_READY`` of them
  are kept as objects of their own: tiny ones take more memory than their bytes.
- A larger message is kept as the chunks in which it comes, and they are joined once. Chunks are cut into messages when
  somebody takes a message, and not before: thousands of tiny messages take no more memory than their bytes, of which
  the window of the stream allows only so many.
- Tiny chunks are put together: as objects of their own they would take twenty times the memory of their bytes.
- A message with the flag for compression is an error, unless the headers have said how messages are compressed
  (compression.md: INTERNAL). It is given as it came, as ``Compressed``, and never at once.
- A stream that ends inside of a message is an error.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from struct import Struct
from typing import Final

from micro_rt.errors import Error, Internal, ResourceExhausted
from micro_rt.transport.compression import LEAST, Compressed, compress
from micro_rt.transport.limits import MAX_MESSAGE, MORE

__all__ = ["PREFIX_BYTES", "MessageReader", "compressed_frame", "frame", "pack_prefix", "read_prefix"]

PREFIX_BYTES: Final = 5

_PREFIX = Struct(">BI")
read_prefix = _PREFIX.unpack_from
"""Unpacks the flag for compression and the length from a buffer at a position."""
pack_prefix = _PREFIX.pack
"""Returns the prefix of a message: of the flag for compression and the length."""

_TINY: Final = 512
"""Bytes of a chunk below which it is put together with the one before it."""
_POOL: Final = 16 << 10
"""Bytes from which on no tiny chunk is added to those that were put together."""
_READY: Final = 1024
"""Messages that are kept as objects of their own."""
_LARGEST: Final = (1 << 32) - 1
"""Bytes that the prefix can announce."""


def frame(message: bytes) -> bytes:
    """Returns a message with its prefix, not compressed.

    Raises:
        ResourceExhausted: the prefix has no room for its length.
    """
    size = len(message)
    if size > _LARGEST:
        raise ResourceExhausted(f"a message of {size} bytes; gRPC has room for {_LARGEST}", may_have_run=False)
    return pack_prefix(0, size) + message


async def compressed_frame(name: str, message: bytes) -> bytes:
    """Returns a message with its prefix, compressed unless it is short.

    Args:
        name: of the algorithm.
        message: the message.
    """
    if len(message) < LEAST:
        return frame(message)
    data = await compress(name, message)
    return pack_prefix(1, len(data)) + data


class MessageReader:
    """Reads the messages of one direction of a stream.

    Give it the data of each DATA frame by ``feed``, and take messages by ``take`` until there is none. ``end`` checks
    that the stream ended between two messages.

    Args:
        limit: bytes that a message may have, as it comes.
        compressed: whether messages may be compressed.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_first",
        "_flagged",
        "_kept",
        "_position",
        "_size",
        "compressed",
        "held",
        "limit",
        "ready",
        "refused",
    )

    def __init__(self, limit: int = MAX_MESSAGE, *, compressed: bool = False) -> None:
        self.limit = limit
        self.compressed = compressed
        """Whether messages may be compressed. To be set before the first one comes."""
        self.held = 0
        """Bytes that have come and were not taken, prefixes included."""
        self.ready: deque[bytes] = deque()
        """The next messages, as far as each came whole in one frame: ``take`` gives them first. Not to be changed."""
        self._kept = 0
        """Bytes after them, in chunks."""
        self._first: bytes | bytearray = b""
        """The chunk that is being read, from a position on."""
        self._position = 0
        self._chunks: deque[bytes | bytearray] = deque()
        """The chunks after it."""
        self._size = -1
        """Bytes of the message that is being read; -1 before its prefix is there."""
        self._flagged = False
        """Whether that message is compressed."""
        self.refused = False
        """Whether a message is not acceptable: ``take`` tells, after the messages before it, and no more is kept."""
        self._error: Error | None = None

    def feed(self, data: bytes) -> None:
        """Takes the data of a DATA frame; of any length.

        Never raises: what is wrong with it is raised by ``take`` in its turn, and nothing is kept from then on.
        """
        there = len(data)
        if self.refused or not there:
            return
        kept = self._kept
        self.held += there
        if kept:
            self._kept = kept + there
            if there >= _TINY:
                self._chunks.append(data)
            else:
                self._add_tiny(data)
            if self._size < 0 and kept < PREFIX_BYTES:
                self._begin()
            return
        if self._size < 0 and there >= PREFIX_BYTES:
            compressed, size = read_prefix(data)
            if size > self.limit or (compressed and not self._may_be(compressed)):
                self.held -= there
                self._refuse(compressed, size)
                return
            if size == there - PREFIX_BYTES and not compressed and len(self.ready) < _READY:
                self.ready.append(data[PREFIX_BYTES:])
                return
        self._kept = there
        self._first, self._position = data, 0

    def take(self) -> bytes | None:
        """Returns the next message; None if it is not complete.

        Raises:
            ResourceExhausted: it is larger than the limit.
            Internal: it is compressed.
        """
        if self.ready:
            message = self.ready.popleft()
            self.held -= len(message) + PREFIX_BYTES
            return message
        size = self._size
        if size < 0:
            first, start = self._first, self._position + PREFIX_BYTES
            if start <= len(first):
                compressed, size = read_prefix(first, start - PREFIX_BYTES)
                stop = start + size
                if not compressed and size <= self.limit and stop <= len(first):
                    self.held -= size + PREFIX_BYTES
                    self._kept -= size + PREFIX_BYTES
                    if stop < len(first):
                        self._position = stop
                    else:
                        self._next_chunk()
                    cut = first[start:stop]
                    return cut if type(cut) is bytes else bytes(cut)
            size = self._begin()
            if size < 0:
                if self._error is not None:
                    raise copy(self._error)
                return None
        if self._kept < size:
            return None
        self._size = -1
        self.held -= size
        self._kept -= size
        if self._flagged:
            return Compressed(self._joined(size))
        return self._joined(size)

    @property
    def missing(self) -> int:
        """Bytes that must come until ``take`` gives a message, once it has given None; as far as is known."""
        return 0 if self.ready else (self._size if self._size >= 0 else PREFIX_BYTES) - self._kept

    def end(self) -> None:
        """Checks that the stream may end here, after the last message was taken.

        Raises:
            Internal: the stream ends inside of a message.
        """
        if self.held or self._size >= 0:
            raise Internal("the stream ended in the middle of a message")

    def clear(self) -> None:
        """Drops what was not taken."""
        self.held = 0
        self.ready.clear()
        self._drop_chunks()

    # Helpers

    def _begin(self) -> int:
        """Reads the prefix of the next message; returns its size, -1 if the prefix is not there or not acceptable."""
        if self._kept < PREFIX_BYTES:
            return -1
        compressed, size = read_prefix(self._joined(PREFIX_BYTES))
        self.held -= PREFIX_BYTES
        self._kept -= PREFIX_BYTES
        if size > self.limit or (compressed and not self._may_be(compressed)):
            self._refuse(compressed, size)
            return -1
        self._size = size
        self._flagged = bool(compressed)
        return int(size)

    def _may_be(self, flag: int) -> bool:
        """Whether a message may have a flag that is not 0."""
        return self.compressed and flag == 1

    def _refuse(self, compressed: int, size: int) -> None:
        """Keeps nothing from now on but what is ready, since a message is not acceptable."""
        self.held -= self._kept
        self._drop_chunks()
        self.refused = True
        if compressed and not self._may_be(compressed):
            self._error = Internal(
                f"the flag of a message is {compressed}, neither 0 nor 1"
                if self.compressed
                else "a message is compressed, although no compression was agreed on"
            )
        else:
            self._error = ResourceExhausted(
                f"a message of {size} bytes was announced; {self.limit} is the most that is taken; {MORE}"
            )

    def _drop_chunks(self) -> None:
        self._first, self._position, self._size, self._kept = b"", 0, -1, 0
        self._chunks.clear()

    def _next_chunk(self) -> None:
        """Goes on with the next chunk: all of the present one was taken."""
        self._first = self._chunks.popleft() if self._chunks else b""
        self._position = 0

    def _joined(self, size: int) -> bytes:
        """Takes bytes that may be in several chunks."""
        parts: list[bytes | bytearray | memoryview] = []
        while size:
            first, start = self._first, self._position
            there = len(first) - start
            if there > size:
                parts.append(memoryview(first)[start : start + size])
                self._position = start + size
                break
            parts.append(memoryview(first)[start:] if start else first)
            size -= there
            self._next_chunk()
        return b"".join(parts)

    def _add_tiny(self, data: bytes) -> None:
        """Puts a chunk together with those before it."""
        chunks = self._chunks
        if not chunks or type(last := chunks[-1]) is bytes or len(last) > _POOL:
            chunks.append(bytearray(data))
        else:
            assert isinstance(last, bytearray)  # noqa: S101 - the type checkers cannot know
            last += data
