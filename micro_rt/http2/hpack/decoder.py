"""The decoder of header blocks (RFC 7541).

A header block is a sequence of representations, which the high bits of the first octet tell apart (section 6)::

    1xxxxxxx  indexed field:                       an entry of the table
    01xxxxxx  literal with incremental indexing:   a field that also becomes the newest entry
    001xxxxx  dynamic table size update
    0001xxxx  literal never indexed:               a secret
    0000xxxx  literal without indexing

The rules that the decoder keeps, and why:

- **One list is the whole index space** (section 2.3.3): the static table from 1 to 61, then the dynamic table, the newest entry
  first. An entry is the field itself: what was decoded once is not decoded again, however its index shifts.
- **Every string is decoded when it arrives.** The size of a field counts its decoded octets (section 4.1), and decides at once
  which entries are evicted and whether the list is too large. A malformed string is an error of its block (section 5.2).
- **A block that was seen before is not decoded again while the table is as it was.** A block that changes the table, or may, is not
  kept, and all kept blocks are dropped as soon as the table changes.
- **A list that is too large is decoded to its end without being kept**, because the blocks after it need the table that this one
  leaves (RFC 9113, section 4.3).
- **What a block may cost follows from its length.** The caller limits that. Each octet makes at most one field, and fields
  share the entries that they refer to: a reference to a large entry takes no more memory than any other (section 7.3).
"""

from __future__ import annotations

from micro_rt.http2.hpack.errors import HpackError
from micro_rt.http2.hpack.fields import Field, Fields
from micro_rt.http2.hpack.huffman import decode as decode_huffman
from micro_rt.http2.hpack.integers import decode_rest
from micro_rt.http2.hpack.static import STATIC_TABLE

__all__ = ["Decoder"]

_FIRST = len(STATIC_TABLE) + 1
"""The index of the newest entry of the dynamic table."""
_START: tuple[Field, ...] = tuple(Field(name, value) for name, value in ((b"", b""), *STATIC_TABLE))
"""The index space before there are dynamic entries. No representation reaches the field at index 0."""


class Decoder:
    """Decodes the header blocks that one end of a connection sends, in the order in which they arrive.

    After an error it is of no use any more: see ``HpackError``.

    Args:
        max_table_size: how large the dynamic table may be, in octets: 4,096 until both ends have agreed on another size
            (RFC 9113, section 6.5.2). It bounds what the decoder keeps.
        max_list_size: how large the fields of one block may be together, in octets, with 32 more for each field
            (SETTINGS_MAX_HEADER_LIST_SIZE).
    """

    __slots__ = ("_capacity", "_entries", "_limit", "_lowest", "_max_list_size", "_seen", "_seen_size", "_size")

    def __init__(self, max_table_size: int = 4096, max_list_size: int = 16384) -> None:
        self._entries = list(_START)
        self._size = 0  # of the dynamic entries
        self._capacity = max_table_size  # as the encoder has set it
        self._limit = max_table_size  # of the capacity
        self._lowest = max_table_size  # limit since the last block
        self._max_list_size = max_list_size
        self._seen: dict[bytes, Fields] = {}
        self._seen_size = 0  # of all lists in it

    @property
    def max_table_size(self) -> int:
        """How large the dynamic table may be, in octets: what SETTINGS_HEADER_TABLE_SIZE said.

        Set it when the peer has acknowledged the setting. If that makes the limit lower than the table, the next block must
        begin with a size update (RFC 7541, section 4.2).
        """
        return self._limit

    @max_table_size.setter
    def max_table_size(self, size: int) -> None:
        self._limit = size
        self._lowest = min(self._lowest, size)
        self._forget()

    @property
    def dynamic_table(self) -> tuple[Field, ...]:
        """The entries of the dynamic table, the newest first."""
        return tuple(self._entries[_FIRST:])

    def decode(self, block: bytes) -> Fields:
        """Decodes a header block.

        Args:
            block: the whole block, from all its frames.

        Returns:
            The fields in order; look at ``too_large``.

        Raises:
            HpackError: the block breaks a rule of the RFC. The connection must end with COMPRESSION_ERROR.
        """
        if self._seen and (fields := self._seen.get(block)) is not None:
            return fields
        try:
            return self._decode(block)
        except IndexError:
            raise HpackError("the header block ends within a field") from None

    def _decode(self, block: bytes) -> Fields:
        kept: list[Field] = []
        size = 0
        position = 0
        if (block and block[0] & 0xE0 == 0x20) or self._lowest < self._capacity:
            position = self._update_size(block)
        lasting = not position  # whether the table is as it was
        entries = self._entries
        limit = self._max_list_size
        end = len(block)
        while position < end:
            first = block[position]
            position += 1
            if first > 0x80:
                index = first & 0x7F
                if index == 0x7F:
                    index, position = decode_rest(block, position, 0x7F)
                try:
                    field = entries[index]
                except IndexError:
                    raise _beyond(index) from None
            else:
                if first & 0x40:
                    prefix = 0x3F
                elif first < 0x20:
                    prefix = 0x0F
                else:
                    raise _misplaced(first)
                index = first & prefix
                if index:
                    if index == prefix:
                        index, position = decode_rest(block, position, prefix)
                    try:
                        name = entries[index].name
                    except IndexError:
                        raise _beyond(index) from None
                else:
                    name, position = _string(block, position)
                value, position = _string(block, position)
                if first & 0x40:
                    field = Field(name, value)
                    self._insert(field)
                    lasting = False
                else:
                    field = Field(name, value, first >= 0x10)
            size += field.size
            if size <= limit:
                kept.append(field)
        fields = Fields(kept)
        if size > limit:
            fields.too_large = True
        elif lasting:
            self._remember(block, fields, size)
        return fields

    def _insert(self, field: Field) -> None:
        """Makes a field the newest entry; one larger than the table empties it, and is no entry (section 4.4)."""
        size = field.size
        if self._size + size > self._capacity:
            self._evict(self._capacity - size)
        if size <= self._capacity:
            self._entries.insert(_FIRST, field)
            self._size += size
        if self._seen:
            self._forget()

    def _evict(self, size: int) -> None:
        """Removes the oldest entries until the rest is not larger than a size, or nothing is left (section 4.3)."""
        while self._size > size and self._size:
            self._size -= self._entries.pop().size

    def _update_size(self, block: bytes) -> int:
        """Applies the size updates with which a block begins; returns the position after them (section 4.2).

        There are at most two: the lowest limit since the last block, if that was lower than the table, and the final size.
        """
        position, updates, lowest = 0, 0, self._capacity
        while position < len(block) and block[position] & 0xE0 == 0x20:
            size = block[position] & 0x1F
            position += 1
            if size == 0x1F:
                size, position = decode_rest(block, position, 0x1F)
            updates += 1
            if updates > 2:
                raise HpackError("a header block begins with more than two dynamic table size updates")
            if size > self._limit:
                raise HpackError(f"a dynamic table size update to {size} is above the limit of {self._limit}")
            self._capacity = size
            self._evict(size)
            self._forget()
            lowest = min(lowest, size)
        if lowest > self._lowest:
            raise HpackError(f"a header block does not begin with the dynamic table size update to {self._lowest}")
        self._lowest = self._limit
        return position

    def _remember(self, block: bytes, fields: Fields, size: int) -> None:
        """Keeps the fields of a block, and forgets all others first if they would be too much."""
        self._seen_size += size
        if self._seen_size > self._max_list_size:
            self._forget()
            self._seen_size = size
        self._seen[block] = fields

    def _forget(self) -> None:
        """Drops the blocks that were seen, because their fields may be others now."""
        self._seen.clear()
        self._seen_size = 0


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """Decodes a string; returns it and the position after it (section 5.2)."""
    first = block[position]
    length = first & 0x7F
    position += 1
    if length == 0x7F:
        length, position = decode_rest(block, position, 0x7F)
    end = position + length
    octets = block[position:end]
    if len(octets) < length:
        raise HpackError("a string is longer than the header block")
    return (octets if first < 0x80 else decode_huffman(octets)), end


def _beyond(index: int) -> HpackError:
    return HpackError(f"the index {index} is beyond the table")


def _misplaced(first: int) -> HpackError:
    if first == 0x80:
        return HpackError("an indexed field has the index 0")
    return HpackError("a dynamic table size update comes after a field")
