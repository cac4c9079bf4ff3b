"""What the connection needs of HPACK (RFC 7541): two small interfaces.

The connection takes an encoder and a decoder as arguments. This keeps header compression out of the protocol's rules,
and lets tests use others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

__all__ = ["Decoder", "Encoder", "Field", "Fields", "Lead"]


class Field(Protocol):
    """A field of a header section.

    A decoder gives the same object again for each reference to an entry of its table.
    """

    @property
    def name(self) -> bytes:
        """Its name, as it came."""
        ...

    @property
    def value(self) -> bytes:
        """Its value, as it came."""
        ...

    role: int
    """The role that the field may play, by the rules of messages.py, so that it is judged once; 0 at first."""


class Lead(Protocol):
    """What header sections have in common that begin with the same entries of the table."""

    verdict: Any
    """What the connection has found out about the entries; None at first."""


class Fields(Protocol):
    """The fields of a header section, in their order.

    A decoder that gets the same block again may return the same object again: nobody changes it but for ``verdict``.
    """

    @property
    def too_large(self) -> bool:
        """Whether the list was larger than the limit. Its fields are then incomplete."""
        ...

    verdict: Any
    """What the connection has found out about the fields, so that it need not look twice; None at first."""

    @property
    def lead(self) -> Lead | None:
        """The fields that the section begins with, if there may be others that begin so."""
        ...

    @property
    def rest(self) -> Sequence[Field]:
        """The fields after those."""
        ...

    def __iter__(self) -> Iterator[Field]: ...


class Decoder(Protocol):
    """Decodes the header blocks of one connection, all of them, in their order."""

    @property
    def max_table_size(self) -> int:
        """Bytes that its table may have: our SETTINGS_HEADER_TABLE_SIZE."""
        ...

    @max_table_size.setter
    def max_table_size(self, size: int) -> None: ...

    def decode(self, block: bytes) -> Fields:
        """Returns the fields of a block.

        Raises:
            Exception: whichever: the block is not legal. The connection ends with COMPRESSION_ERROR.
        """
        ...


class Encoder(Protocol):
    """Encodes the header blocks of one connection, in the order in which they are sent."""

    @property
    def max_table_size(self) -> int:
        """Bytes that its table may have: the peer's SETTINGS_HEADER_TABLE_SIZE."""
        ...

    @max_table_size.setter
    def max_table_size(self, size: int) -> None: ...

    def encode(self, fields: Any) -> bytes:
        """Returns the block of some fields, in whatever form the encoder takes them."""
        ...
