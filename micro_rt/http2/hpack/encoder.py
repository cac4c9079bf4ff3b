"""The encoder of header blocks (RFC 7541).

The RFC leaves it to an encoder how to send a field. What this one does, and why:

- **It indexes a field that comes again**: the first block that has the field makes it an entry of the dynamic table,
  and each later one takes an octet or two for it. ``INDEXED`` has the names of such fields. The caller knows more.
- **It does not index a field that varies.** No later block would refer to the entry, but all indexes in it would be
  others, so that neither end could use again what it has made of an earlier block. Only the first field of each name in
  ``VARYING`` becomes an entry, if there is room: the later ones refer to its name.
- **It never indexes a secret.** Somebody who can add fields to a block and see its length could guess what is in the
  table, one guess after the other (section 7.1). ``SECRET`` has the names of such fields. If the caller says that a
  secret comes again, it is indexed, as a long token may be: a guess is of no use unless all of it is right.
- **It rarely makes an entry that pushes out others**, at most once in ``interval`` blocks. If more fields come again
  than the table can hold, they would otherwise push out each other in turn. Until then, it sends such a field without
  indexing.
- **It sends strings as they are**, as most are entries soon. To encode and decode the rest in the Huffman code would
  take more time than all other work on the block. It is an option.
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

__all__ = ["INDEXED", "SECRET", "VARYING", "Encoder", "Group"]

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
"""Names of fields that come again: they have few values on one connection."""

VARYING = frozenset({b"grpc-timeout", b"traceparent"})
"""Names of fields that are in nearly every block with another value."""

SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
"""Names of fields that are secrets."""

_STATIC: Mapping[tuple[bytes, bytes], bytes] = MappingProxyType(
    {field: encode_integer(index, 7, 0x80) for index, field in enumerate(STATIC_TABLE, 1)}
)
"""The fields of the static table, encoded."""
_STATIC_NAMES: Mapping[bytes, int] = MappingProxyType(
    {name: index for index, (name, _) in reversed([*enumerate(STATIC_TABLE, 1)])}
)
"""The lowest index of each name in the static table."""

_LENGTHS = tuple(encode_integer(size, 7) for size in range(0x7F))
"""What comes before a string of a length that one octet tells (section 5.2)."""

_PREPARED = 256
"""How many groups an encoder keeps prepared at most, and how many names."""


class Group:
    """Fields that are sent together again and again, such as those that all requests of a method have in common.

    A group belongs to no connection. Each encoder keeps the octets that it has made of a group, as long as they hold.

    Args:
        fields: names, in lower case, and values.
        stable: names of fields to index, as for ``Encoder.encode``.
    """

    __slots__ = ("fields", "stable")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]], *, stable: Collection[bytes] = ()) -> None:
        self.fields = tuple(fields)
        self.stable = frozenset(stable)


class Encoder:
    """Encodes the header blocks that one end of a connection sends, in the order in which they are sent.

    Args:
        max_table_size: how large the dynamic table may be, in octets. It is 4,096 on each connection until the peer
            wants another size (RFC 9113, section 6.5.2): see the property of the same name.
        limit: how large the table becomes at most, in octets, whatever the peer allows.
        indexed: names of fields that come again.
        varying: names of fields that vary, and are in nearly every block.
        secret: names of fields that are secrets.
        interval: how many blocks it takes from one entry that pushes out others to the next one.
        huffman: whether to send strings in the Huffman code unless it makes them longer.
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
        "_varying",
    )

    def __init__(
        self,
        max_table_size: int = 4096,
        *,
        limit: int = 4096,
        indexed: Collection[bytes] = INDEXED,
        varying: Collection[bytes] = VARYING,
        secret: Collection[bytes] = SECRET,
        interval: int = 64,
        huffman: bool = False,
    ) -> None:
        self._indexed = indexed
        self._varying = varying
        self._secret = secret
        self._interval = interval
        self._huffman = huffman
        self._blocks = 0
        self._next_push = 0  # the first block that may have an entry that pushes out others

        # The dynamic table. The number of an entry says how many were inserted before it: unlike its index, it stays.
        self._entries: deque[tuple[bytes, bytes]] = deque()  # the oldest first
        self._inserted = 0
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._names: dict[bytes, int] = {}  # the newest entry that has the name
        self._size = 0

        self._limit = limit
        self._capacity = max_table_size
        self._signalled = max_table_size  # what the peer knows of the capacity
        self._lowest = max_table_size  # capacity since the last block
        self._updates = b""  # what the next block begins with

        # What is prepared holds until an entry comes or goes.
        self._groups: dict[Group, bytes] = {}
        self._heads: dict[bytes, bytes] = {}  # of fields that vary, by name: what comes before the value

        self.max_table_size = max_table_size

    @property
    def max_table_size(self) -> int:
        """How large the dynamic table is at most, in octets. Set it to each SETTINGS_HEADER_TABLE_SIZE of the peer.

        The next block begins with the size updates that this takes (RFC 7541, section 4.2).
        """
        return self._capacity

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        size = min(size, self._limit)
        self._capacity = size
        self._lowest = min(self._lowest, size)
        self._evict(0)
        updates = [size] if size != self._signalled else []
        if self._lowest < min(size, self._signalled):
            updates = [self._lowest, size]
        self._updates = b"".join([encode_integer(update, 5, 0x20) for update in updates])

    def encode(
        self,
        fields: Iterable[tuple[bytes, bytes]] = (),
        *,
        group: Group | None = None,
        stable: Collection[bytes] = (),
    ) -> bytes:
        """Encodes a header block.

        Args:
            fields: names, in lower case, and values.
            group: fields that come before them.
            stable: names of fields to index, because the caller knows that they come again. They may be secrets.

        Returns:
            The block.
        """
        self._blocks += 1
        if self._blocks == self._next_push:
            self._groups.clear()  # One may have a field that had to wait for this block to be indexed.
        parts: list[bytes] = []
        if self._updates:
            parts.append(self._updates)
            self._updates = b""
            self._signalled = self._lowest = self._capacity
        if group is not None:
            octets = self._groups.get(group) or self._prepare(group)
            if not parts and not fields:
                return octets
            parts.append(octets)
        for name, value in fields:
            parts.append(self._field(name, value, stable))
        return b"".join(parts)

    def encode_group(self, group: Group) -> bytes:
        """Encodes a header block of a group alone: does what ``encode`` does, in less time.

        Args:
            group: the fields.
        """
        octets = self._groups.get(group)
        if octets is None or self._updates or self._blocks + 1 == self._next_push:
            return self.encode(group=group)
        self._blocks += 1
        return octets

    def _prepare(self, group: Group) -> bytes:
        """Encodes a group, and keeps the octets unless that has changed the table."""
        inserted = self._inserted
        octets = b"".join([self._field(name, value, group.stable) for name, value in group.fields])
        if inserted == self._inserted:
            _keep(self._groups, group, octets)
        return octets

    def _field(self, name: bytes, value: bytes, stable: Collection[bytes]) -> bytes:
        """Encodes a field in the way that its name asks for (section 6)."""
        if name not in stable:
            if head := self._heads.get(name):
                return head + self._string(value)
            if name in self._secret:
                return self._head(name, 4, 0x10) + self._string(value)
            if name not in self._indexed and not self._worth_an_entry(name, value):
                head = self._head(name, 4, 0x00)
                _keep(self._heads, name, head)
                return head + self._string(value)
        field = (name, value)
        if octets := _STATIC.get(field):
            return octets
        if (number := self._numbers.get(field)) is not None:
            return encode_integer(self._index(number), 7, 0x80)
        size = len(name) + len(value) + OVERHEAD
        if not self._has_room(size):
            return self._head(name, 4, 0x00) + self._string(value)
        octets = self._head(name, 6, 0x40) + self._string(value)
        self._insert(field, size)
        return octets

    def _worth_an_entry(self, name: bytes, value: bytes) -> bool:
        """Whether a field that varies shall become an entry, as none has its name yet."""
        free = self._capacity - self._size
        return name in self._varying and name not in self._names and len(name) + len(value) + OVERHEAD <= free

    def _head(self, name: bytes, prefix: int, kind: int) -> bytes:
        """Encodes what a literal has before its value: the index of an entry with that name, or 0 and the name."""
        if index := _STATIC_NAMES.get(name):
            return encode_integer(index, prefix, kind)
        if (number := self._names.get(name)) is not None:
            return encode_integer(self._index(number), prefix, kind)
        return encode_integer(0, prefix, kind) + self._string(name)

    def _string(self, text: bytes) -> bytes:
        """Encodes a string (section 5.2)."""
        size = len(text)
        if size < 0x7F and not self._huffman:
            return _LENGTHS[size] + text
        if self._huffman and len(octets := encode_huffman(text)) <= len(text):
            return encode_integer(len(octets), 7, 0x80) + octets
        return encode_integer(size, 7) + text

    def _index(self, number: int) -> int:
        """Returns the index of an entry: the newest one comes right after the static table (section 2.3.3)."""
        return len(STATIC_TABLE) + self._inserted - number

    def _has_room(self, size: int) -> bool:
        """Whether a field of that size may become an entry now."""
        if self._size + size <= self._capacity:
            return True
        return size <= self._capacity and self._blocks >= self._next_push

    def _insert(self, field: tuple[bytes, bytes], size: int) -> None:
        """Makes a field the newest entry (section 4.4)."""
        if self._size + size > self._capacity:
            self._next_push = self._blocks + self._interval
            self._evict(size)
        self._entries.append(field)
        self._numbers[field] = self._names[field[0]] = self._inserted
        self._inserted += 1
        self._size += size
        self._forget()

    def _evict(self, size: int) -> None:
        """Removes the oldest entries until there is room for one of that size (section 4.3)."""
        while self._size + size > self._capacity:
            number = self._inserted - len(self._entries)
            field = self._entries.popleft()
            name, value = field
            self._size -= len(name) + len(value) + OVERHEAD
            del self._numbers[field]
            if self._names[name] == number:
                del self._names[name]
            self._forget()

    def _forget(self) -> None:
        """Drops what is prepared: the indexes in it may be others now."""
        self._groups.clear()
        self._heads.clear()


def _keep(prepared: dict[KeyT, bytes], key: KeyT, octets: bytes) -> None:
    """Keeps something that is prepared. If there is too much, all the rest is dropped."""
    if len(prepared) >= _PREPARED:
        prepared.clear()
    prepared[key] = octets
