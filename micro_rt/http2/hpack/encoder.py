"""The encoder of header blocks (RFC 7541).

The RFC lets an encoder choose how it sends a field. What this one chooses, and why:

- **A field that comes again is indexed**: it is sent once, becomes an entry of the dynamic table, and is one or two octets from then on.
  ``INDEXED`` names such fields; the caller names others.
- **A field that varies is not.** As an entry it would be of no use to a later block, would push out those that are, and would change the
  index of every other entry, so that neither end could use again what it has made of a block.
- **A secret is never indexed**, because the size of a block would tell whoever can add fields to it whether a guess was right
  (section 7.1). ``SECRET`` names such fields. If the caller says that one comes again, such as a long token, it is indexed:
  only the same value as a whole matches, and nobody guesses all of a token (section 7.1.3).
- **An entry that pushes out others comes rarely**: at most once in so many blocks. So fields that come again, but are too many for the
  table, do not push out each other all the time. Until then, the field is sent as one that varies.
- **Strings are sent as they are.** The Huffman code would save a quarter of the octets of what varies, and cost both ends more
  than all the rest of the block. It is an option.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from micro_rt.http2.hpack.fields import OVERHEAD
from micro_rt.http2.hpack.huffman import encode as encode_huffman
from micro_rt.http2.hpack.integers import encode_integer
from micro_rt.http2.hpack.static import STATIC_TABLE

__all__ = ["INDEXED", "SECRET", "Encoder", "Group"]

KeyT = TypeVar("KeyT")

INDEXED = frozenset(
    {
        b":authority",
        b":method",
        b":path",
        b":scheme",
        b":status",
        b"accept-encoding",
        b"content-type",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-status",
        b"server",
        b"te",
        b"user-agent",
    }
)
"""Names of fields that are sent with few values, again and again."""

SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
"""Names of fields whose values are secrets."""

_PREPARED = 256
"""How many groups an encoder keeps at most, and how many names."""

_STATIC: Mapping[tuple[bytes, bytes], bytes] = MappingProxyType(
    {field: encode_integer(index, 7, 0x80) for index, field in enumerate(STATIC_TABLE, 1)}
)
"""The indexed fields of the static table, encoded."""
_STATIC_NAMES: Mapping[bytes, int] = MappingProxyType(
    {name: index for index, (name, _) in reversed([*enumerate(STATIC_TABLE, 1)])}
)
"""The lowest index of each name."""


class Group:
    """Fields that are sent together again and again, such as those that all requests of one method have.

    It belongs to no connection: prepare it once. Each encoder keeps the octets that it has made of it.

    Args:
        fields: names in lower case, and values.
        stable: names of fields that are indexed, whatever their names say otherwise: see ``Encoder.encode``.
    """

    __slots__ = ("fields", "stable")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]], *, stable: Collection[bytes] = ()) -> None:
        self.fields = tuple(fields)
        self.stable = frozenset(stable)


class Encoder:
    """Encodes the header blocks that one end of a connection sends, in the order in which they are sent.

    Args:
        max_table_size: how large the dynamic table is, in octets: 4,096 until the peer says otherwise (RFC 9113, section 6.5.2).
        limit: how large it becomes at most, in octets, even if the peer allows more. It bounds what the encoder keeps.
        indexed: names of fields that come again with the same value.
        secret: names of fields that are never indexed.
        interval: how many blocks must lie between two entries that push out others.
        huffman: whether to send a string in the Huffman code where that is not longer.
    """

    __slots__ = (
        "_blocks",
        "_capacity",
        "_entries",
        "_groups",
        "_heads",
        "_huffman",
        "_indexed",
        "_inserted",
        "_interval",
        "_limit",
        "_lowest",
        "_names",
        "_next_push",
        "_numbers",
        "_secret",
        "_signalled",
        "_size",
        "_updates",
    )

    def __init__(
        self,
        max_table_size: int = 4096,
        *,
        limit: int = 4096,
        indexed: Collection[bytes] = INDEXED,
        secret: Collection[bytes] = SECRET,
        interval: int = 64,
        huffman: bool = False,
    ) -> None:
        self._limit = limit
        self._indexed = indexed
        self._secret = secret
        self._interval = interval
        self._huffman = huffman
        self._blocks = 0
        self._next_push = 0  # the first block that may push out an entry

        # The dynamic table. Entries are numbered from 0 in the order of insertion, as their indexes change.
        self._entries: deque[tuple[bytes, bytes]] = deque()  # the oldest first
        self._inserted = 0
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._names: dict[bytes, int] = {}  # the newest entry with that name
        self._size = 0

        # The size of the table, and what the peer knows of it.
        self._capacity = self._signalled = self._lowest = max_table_size
        self._updates = b""

        # What is prepared. It holds as long as nothing is inserted and nothing removed.
        self._groups: dict[Group, bytes] = {}
        self._heads: dict[bytes, bytes] = {}  # of fields that vary: all octets before the value

        self.max_table_size = max_table_size

    @property
    def max_table_size(self) -> int:
        """How large the dynamic table may be, in octets: what the peer says in SETTINGS_HEADER_TABLE_SIZE.

        The next block begins with the size updates that this takes (RFC 7541, section 4.2).
        """
        return self._capacity

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        size = min(size, self._limit)
        self._capacity = size
        self._lowest = min(self._lowest, size)
        updates = [size] if size != self._signalled else []
        if self._lowest < min(size, self._signalled):
            updates = [self._lowest, size]
        self._updates = b"".join([encode_integer(update, 5, 0x20) for update in updates])
        self._evict(size)

    def encode(
        self,
        fields: Iterable[tuple[bytes, bytes]] = (),
        *,
        group: Group | None = None,
        stable: Collection[bytes] = (),
    ) -> bytes:
        """Encodes a header block.

        Args:
            fields: names in lower case, and values.
            group: what to send before the fields.
            stable: names of fields that come again with the same value, even if their names are of secrets.

        Returns:
            The block.
        """
        self._blocks += 1
        if self._blocks == self._next_push:
            self._groups.clear()  # One of them may have waited for this to have a field indexed.
        parts: list[bytes] = []
        if self._updates:
            parts.append(self._take_updates())
        if group is not None:
            octets = self._groups.get(group) or self._prepare(group)
            if not parts and not fields:
                return octets
            parts.append(octets)
        for name, value in fields:
            parts.append(self._field(name, value, stable))
        return b"".join(parts)

    def _take_updates(self) -> bytes:
        updates, self._updates = self._updates, b""
        self._signalled = self._lowest = self._capacity
        return updates

    def _prepare(self, group: Group) -> bytes:
        """Encodes a group, and keeps the octets unless they have changed the table."""
        inserted = self._inserted
        octets = b"".join([self._field(name, value, group.stable) for name, value in group.fields])
        if inserted == self._inserted:
            _keep(self._groups, group, octets)
        return octets

    def _field(self, name: bytes, value: bytes, stable: Collection[bytes]) -> bytes:
        """Encodes a field as its name demands (section 6)."""
        if name not in stable:
            if head := self._heads.get(name):
                return head + self._string(value)
            if name in self._secret:
                return self._head(name, 4, 0x10) + self._string(value)
            if name not in self._indexed:
                return self._varying(name, value)
        field = (name, value)
        if (octets := _STATIC.get(field)) is not None:
            return octets
        if (number := self._numbers.get(field)) is not None:
            return encode_integer(self._index(number), 7, 0x80)
        size = len(name) + len(value) + OVERHEAD
        if not self._has_room(size):
            return self._head(name, 4, 0x00) + self._string(value)
        octets = self._head(name, 6, 0x40) + self._string(value)
        self._insert(field, size)
        return octets

    def _varying(self, name: bytes, value: bytes) -> bytes:
        head = self._head(name, 4, 0x00)
        _keep(self._heads, name, head)
        return head + self._string(value)

    def _head(self, name: bytes, prefix: int, kind: int) -> bytes:
        """Encodes what comes before the value of a literal: the first octet, and the name or its index (section 6.2)."""
        if (index := _STATIC_NAMES.get(name)) is not None:
            return encode_integer(index, prefix, kind)
        if (number := self._names.get(name)) is not None:
            return encode_integer(self._index(number), prefix, kind)
        return encode_integer(0, prefix, kind) + self._string(name)

    def _string(self, octets: bytes) -> bytes:
        """Encodes a string (section 5.2)."""
        if self._huffman and len(coded := encode_huffman(octets)) <= len(octets):
            return encode_integer(len(coded), 7, 0x80) + coded
        return encode_integer(len(octets), 7) + octets

    def _index(self, number: int) -> int:
        return len(STATIC_TABLE) + self._inserted - number

    def _has_room(self, size: int) -> bool:
        """Whether an entry may be inserted now."""
        if self._size + size <= self._capacity:
            return True
        return size <= self._capacity and self._blocks >= self._next_push

    def _insert(self, field: tuple[bytes, bytes], size: int) -> None:
        """Makes a field the newest entry (section 4.4)."""
        if self._size + size > self._capacity:
            self._next_push = self._blocks + self._interval
        self._evict(self._capacity - size)
        self._entries.append(field)
        self._numbers[field] = self._names[field[0]] = self._inserted
        self._inserted += 1
        self._size += size
        self._forget()

    def _evict(self, size: int) -> None:
        """Removes the oldest entries until the rest is not larger than a size (section 4.3)."""
        while self._size > size:
            number = self._inserted - len(self._entries)
            name, value = field = self._entries.popleft()
            del self._numbers[field]
            if self._names[name] == number:
                del self._names[name]
            self._size -= len(name) + len(value) + OVERHEAD
            self._forget()

    def _forget(self) -> None:
        """Drops what is prepared, because the indexes in it may be others now."""
        self._groups.clear()
        self._heads.clear()


def _keep(prepared: dict[KeyT, bytes], key: KeyT, octets: bytes) -> None:
    """Keeps something that is prepared, after it has dropped everything if that is too much."""
    if len(prepared) >= _PREPARED:
        prepared.clear()
    prepared[key] = octets
