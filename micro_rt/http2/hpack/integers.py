"""Integers (RFC 7541, section 5.1).

An integer begins in the low bits of an octet, its prefix; the high bits tell what the integer is for. If the value does
not fit in there, or is all 1s, then the prefix is all 1s, and what remains of the value follows in groups of seven
bits, the lowest first. The high bit of each octet tells whether another one follows. With a prefix of five bits::

    10     xxx01010
    1337   xxx11111 10011010 00001010      31 + 26 + 10 * 128
"""

from __future__ import annotations

from micro_rt.http2.hpack.errors import HpackError

__all__ = ["encode_integer", "decode_rest"]

_OCTETS: tuple[bytes, ...] = tuple(bytes((octet,)) for octet in range(256))
"""Each octet as a string of its own."""
_SHIFTS = (0, 7, 14, 21, 28)
"""Where the groups of seven bits belong: five of them hold any number of 32 bits, which is the largest in HTTP/2."""


def encode_integer(value: int, prefix: int, kind: int = 0) -> bytes:
    """Encodes an integer.

    Args:
        value: the integer, not negative.
        prefix: how many bits the prefix has, from 1 to 8.
        kind: the high bits of the first octet.
    """
    full = (1 << prefix) - 1
    if value < full:
        return _OCTETS[kind | value]
    octets = [kind | full]
    value -= full
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def decode_rest(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """Decodes what follows a prefix whose bits are all 1.

    The reader of a field looks at the prefix itself: nearly all integers end there.

    Args:
        block: the header block.
        position: of the octet after the prefix.
        prefix: the value of the prefix.

    Returns:
        The integer, and the position after it.

    Raises:
        HpackError: more than five octets follow the prefix. The RFC lets each implementation set this limit.
        IndexError: the block ends within the integer.
    """
    value = prefix
    for shift in _SHIFTS:
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
    raise HpackError("an integer is longer than six octets")
