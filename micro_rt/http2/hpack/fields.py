"""What a decoded header block consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = ["OVERHEAD", "Field", "Fields", "Lead"]

OVERHEAD = 32
"""Octets that the RFC adds to the size of each field for what an implementation needs (RFC 7541, section 4.1)."""


class Field:
    """A header field. It does not change, so a table and any number of blocks share it.

    Args:
        name: as it was sent.
        value: as it was sent.
        never_indexed: the sender wants no table to hold the field, as it is a secret (RFC 7541, section 7.1.3). Whoever
            forwards it must send it in the same way.
    """

    __slots__ = ("name", "value", "never_indexed", "note", "role", "size")

    def __init__(self, name: bytes, value: bytes, never_indexed: bool = False) -> None:
        self.name: Final = name
        self.value: Final = value
        self.never_indexed: Final = never_indexed
        self.size: Final = len(name) + len(value) + OVERHEAD
        """What the field counts in the dynamic table, and in the size of a list, in octets."""
        self.role = 0
        """Free for whoever judges the field: blocks and the table share the object, so each is judged once."""
        self.note: Any = None
        """Free for a server that reads the fields of requests, such as for what they mean. All connections of the
        process share the fields of the static table, so all must mean the same by it."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return (self.name, self.value, self.never_indexed) == (other.name, other.value, other.never_indexed)

    def __hash__(self) -> int:
        return hash((self.name, self.value))

    def __repr__(self) -> str:
        value = "(secret)" if self.never_indexed else repr(self.value)
        return f"<Field {self.name!r}: {value}>"


class Lead:
    """The fields that a block begins with, as far as they are entries of the table.

    The requests of a method differ in fields at the end, such as a deadline and a trace. They begin with the same
    entries, and with the same object of this class: what is found out about these fields is noted here.

    Args:
        fields: the entries.
    """

    __slots__ = ("fields", "note", "verdict")

    def __init__(self, fields: Fields) -> None:
        self.fields: Final = fields
        self.verdict: Any = None
        """Free for whoever judges the fields."""
        self.note: Any = None
        """Free for whoever reads the fields."""


class Fields(tuple[Field, ...]):  # noqa: SLOT001 - a tuple cannot have slots
    """The fields of a header block, in order.

    A block that is seen again, while the dynamic table has not changed, gives the same object again.
    """

    too_large: bool = False
    """Whether the list is larger than allowed. Then it holds only the fields before the one that was too much."""
    verdict: Any = None
    """Free for whoever judges the fields: who gets the same object again finds it there."""
    note: Any = None
    """Free for whoever reads the fields, such as for what they mean: who gets the same object again finds it there."""
    lead: Lead | None = None
    """What blocks have in common that begin as this one does; None if that is not worth noting."""
    rest: Sequence[Field] = ()
    """The fields after those of ``lead``."""
