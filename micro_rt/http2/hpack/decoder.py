"""The decoder of header blocks (RFC 7541).

A header block is a sequence of representations. The first octet of each tells which one it is (section 6)::

    1xxxxxxx  an indexed field:                      an entry of the table
    01xxxxxx  a literal with incremental indexing:   a field that becomes the newest entry
    001xxxxx  a dynamic table size update
    0001xxxx  a literal never indexed:               a secret
    0000xxxx  a literal without indexing

The rules that the decoder keeps, and why:

- **One list is the whole index space** (section 2.3.3): the static table at 1 to 61, then the dynamic table, the newest
  entry first. An entry is the decoded field: however its index shifts, nothing is decoded twice.
- **Every string is decoded when it arrives.** A malformed one is an error of its block (section 5.2). The length of the
  decoded string decides at once which entries are evicted (section 4.1) and whether the list is too large. To put off
  decoding would save little: only to count the symbols of a Huffman string takes more than half of the time.
- **A block seen before is not decoded again as long as the table is as it was.** Blocks that change the table are not
  kept. All blocks are forgotten as soon as one does.
- **Blocks that begin with the same entries share what is noted about these** (``Lead``), wherever the entries are in the
  table. An encoder that indexes a fresh deadline in each request moves all others, and no block comes twice.
- **A list that is too large is decoded to its end, but not kept**, because the next block needs the table that this one
  leaves behind (RFC 9113, section 4.3).
- **The length of a block bounds what it costs.** An octet makes at most one field, and all references to an entry share
  one object, however large it is. The caller bounds the length.
"""

from __future__ import annotations

from micro_rt.http2.hpack.errors import HpackError
from micro_rt.http2.hpack.fields import Field, Fields, Lead
from micro_rt.http2.hpack.huffman import decode as decode_huffman
from micro_rt.http2.hpack.integers import decode_rest
from micro_rt.http2.hpack.static import STATIC_TABLE

__all__ = ["Decoder"]

_FIRST = 62
"""The index of the newest entry of the dynamic table."""
_START: tuple[Field, ...] = tuple(Field(name, value) for name, value in ((b"", b""), *STATIC_TABLE))
"""The index space of an empty dynamic table. Nothing can refer to index 0."""

_MEMORY = 16384
"""How much memory the blocks that were seen may take, and the leads as much again, in octets. It is estimated:"""
_PER_BLOCK = 256
"""for a place among the others,"""
_PER_OCTET = 9
"""for each octet of the block, with a reference to a field,"""
_PER_LITERAL = 4
"""for each octet in the size of a field that is no entry: an object is larger than the RFC reckons."""
_PER_ENTRY = 64
"""for each field of a lead, besides its size: it may be no entry any more."""
_WORTHWHILE = 4
"""How many fields a lead has at least."""


class Decoder:
    """Decodes the header blocks that one end of a connection sends, in the order in which they arrive.

    Args:
        max_table_size: how large the dynamic table may be, in octets. It is 4,096 on each connection until both ends
            have agreed on another size (RFC 9113, section 6.5.2): see the property of the same name.
        max_list_size: how large the fields of one block may be together, in octets, as SETTINGS_MAX_HEADER_LIST_SIZE
            counts them: each field 32 more than its name and value.
    """

    __slots__ = (
        "_capacity",
        "_entries",
        "_last",
        "_last_begins",
        "_lead_memory",
        "_leads",
        "_limit",
        "_lowest",
        "_max_list_size",
        "_memory",
        "_seen",
        "_size",
    )

    def __init__(self, max_table_size: int = 4096, max_list_size: int = 16384) -> None:
        self._max_list_size = max_list_size

        self._entries = list(_START)
        self._size = 0  # of the dynamic entries together
        self._capacity = max_table_size  # as the encoder at the other end has set it
        self._limit = max_table_size  # of the capacity, as this end has set it
        self._lowest = max_table_size  # limit since the last block

        self._seen: dict[bytes, Fields] = {}
        self._memory = 0  # that it takes
        self._leads: dict[tuple[int, ...], Lead] = {}  # by the identities of their fields, which they keep alive
        self._lead_memory = 0
        self._last: Lead | None = None  # of the last block that has one, and its fields
        self._last_begins: list[Field] = []

    @property
    def max_table_size(self) -> int:
        """How large the dynamic table may be, in octets: what this end has sent as SETTINGS_HEADER_TABLE_SIZE.

        Set it when the peer has acknowledged the setting. The next block must begin with a size update if the table
        may have been larger than that (RFC 7541, section 4.2).
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
            block: the whole block, from all frames that it came in.

        Returns:
            The fields in order. See ``Fields.too_large``.

        Raises:
            HpackError: the block breaks a rule of the RFC. The decoder is of no use any more.
        """
        if self._seen and (fields := self._seen.get(block)) is not None:
            return fields
        try:
            return self._decode(block)
        except IndexError:
            raise HpackError("a header block ends within a field") from None

    def _decode(self, block: bytes) -> Fields:
        if self._lowest < self._capacity:
            self._require_update(block)
        entries = self._entries
        limit = self._max_list_size
        fields: list[Field] = []
        size = 0
        literals = 0  # size of the fields that are no entries
        lead = -1  # fields before the first literal
        unchanged = True  # the table
        position = 0
        end = len(block)
        while position < end:
            first = block[position]
            position += 1
            if first > 0x80:  # an indexed field
                index = first & 0x7F
                if index == 0x7F:
                    index, position = decode_rest(block, position, 0x7F)
                try:
                    field = entries[index]
                except IndexError:
                    raise _beyond(index) from None
            else:  # a literal, most likely
                if lead < 0:
                    lead = len(fields)
                if first & 0x40:
                    prefix = 0x3F
                elif first < 0x20:
                    prefix = 0x0F
                elif first < 0x40 and not size:  # no field yet
                    position = self._update(block)
                    unchanged = False
                    continue
                else:
                    raise _misplaced(first)

                # The name: an index of an entry that has it, or 0 and a string.
                index = first & prefix
                if index:
                    if index == prefix:
                        index += block[position]
                        position += 1
                        if index >= prefix + 0x80:
                            index, position = decode_rest(block, position - 1, prefix)
                    try:
                        name = entries[index].name
                    except IndexError:
                        raise _beyond(index) from None
                else:
                    name, position = _string(block, position)

                # The value: as _string decodes it; a call would take long beside the rest.
                octet = block[position]
                position += 1
                length = octet & 0x7F
                if length == 0x7F:
                    length, position = decode_rest(block, position, 0x7F)
                value = block[position : position + length]
                position += length
                if position > end:
                    raise _cut()
                if octet > 0x7F:
                    value = decode_huffman(value)

                if first & 0x40:
                    # A field that is larger than the table pushes out all entries, then itself (section 4.4).
                    field = Field(name, value)
                    entries.insert(_FIRST, field)
                    self._size += field.size
                    while self._size > self._capacity:
                        self._size -= entries.pop().size
                    if unchanged:
                        unchanged = False
                        self._forget()
                else:
                    field = Field(name, value, first >= 0x10)
                    literals += field.size
            size += field.size
            if size <= limit:
                fields.append(field)

        found = Fields(fields)
        if size > limit:
            found.too_large = True
            return found
        if unchanged:
            self._remember(block, found, literals)
        if lead >= _WORTHWHILE:
            begins = fields[:lead]
            found.lead = self._last if begins == self._last_begins else self._find_lead(begins)
            self._last_begins = begins  # The same entries are compared at once: equal ones take longer.
            found.rest = fields[lead:]
        return found

    def _update(self, block: bytes) -> int:
        """Applies the size updates that a block begins with; returns the position after them (section 4.2).

        There are at most two: if the limit was lower for a while, this lowest size comes before the final one.
        """
        position = 0
        sizes: list[int] = []
        while position < len(block) and block[position] & 0xE0 == 0x20:
            size = block[position] & 0x1F
            position += 1
            if size == 0x1F:
                size, position = decode_rest(block, position, 0x1F)
            sizes.append(size)
        if len(sizes) > 2:
            raise HpackError("a header block begins with more than two dynamic table size updates")
        if max(sizes) > self._limit:
            raise HpackError(f"a dynamic table size update to {max(sizes)} is above the limit of {self._limit}")
        if min(self._capacity, *sizes) > self._lowest:
            raise HpackError(f"a dynamic table size update to {self._lowest} is missing")
        for size in sizes:
            while self._size > size:
                self._size -= self._entries.pop().size
            self._capacity = size
        self._lowest = self._limit
        self._forget()
        return position

    def _require_update(self, block: bytes) -> None:
        if not block or block[0] & 0xE0 != 0x20:
            raise HpackError(f"a dynamic table size update to {self._lowest} is missing")

    def _remember(self, block: bytes, fields: Fields, literals: int) -> None:
        """Keeps the fields of a block, within the memory that there is for blocks."""
        memory = _PER_BLOCK + _PER_OCTET * len(block) + _PER_LITERAL * literals
        if memory > _MEMORY:
            return
        if self._memory + memory > _MEMORY:
            self._forget()
        self._memory += memory
        self._seen[block] = fields

    def _find_lead(self, fields: list[Field]) -> Lead | None:
        """Returns what is shared by the blocks that begin with these entries, within the memory that there is for it."""
        key = tuple(map(id, fields))
        lead = self._leads.get(key)
        if lead is None:
            memory = _PER_BLOCK + sum([field.size + _PER_ENTRY for field in fields])
            if memory > _MEMORY:
                self._last = None
                return None
            if self._lead_memory + memory > _MEMORY:
                self._leads.clear()
                self._lead_memory = 0
            self._lead_memory += memory
            lead = self._leads[key] = Lead(Fields(fields))
        self._last = lead
        return lead

    def _forget(self) -> None:
        """Forgets all blocks: the same octets may mean other fields now."""
        self._seen.clear()
        self._memory = 0


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """Decodes a string; returns it and the position after it (section 5.2)."""
    octet = block[position]
    position += 1
    length = octet & 0x7F
    if length == 0x7F:
        length, position = decode_rest(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise _cut()
    text = block[position:end]
    return (decode_huffman(text) if octet > 0x7F else text), end


def _cut() -> HpackError:
    return HpackError("a string is longer than the header block")


def _beyond(index: int) -> HpackError:
    return HpackError(f"the index {index} is beyond the table")


def _misplaced(first: int) -> HpackError:
    if first == 0x80:
        return HpackError("an indexed field has the index 0")
    return HpackError("a dynamic table size update comes after a field")
