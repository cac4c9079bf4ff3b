"""The Huffman code of strings (RFC 7541, section 5.2 and appendix B).

Each octet of a string is replaced by a code of 5 to 30 bits: the more frequent an octet, the shorter its code. No code begins with
another one, so the codes need nothing between them. The bits after the last code, up to the next octet, are 1.

**How decoding works.** Whoever reads the bits one by one always has some bits in hand that do not make a code yet: the beginning
of one. There are 256 such beginnings, the empty one included. For each of them, a row tells what any next octet leads to: which
symbols are complete then, and which beginning is in hand after them. So decoding takes one look-up for each octet::

    in hand  next octet      complete           in hand then
    (none)   00000 001       "0"                001
    001      01 00011 1      "i" "a"            1

All rows together would hold 65,536 entries, and nearly all of them would wait for symbols that text does not contain. Every code
longer than 15 bits begins with fifteen 1s. The table by octets leaves out the beginnings from there on: a string that
reaches one is decoded again with a second table, which is complete but takes four bits at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from micro_rt.http2.hpack.errors import HpackError

__all__ = ["CODES", "EOS", "decode", "encode"]

EOS = 256
"""The symbol that no string may contain: the beginning of its code is what pads a string."""

_BY_LENGTH: Mapping[int, bytes] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7"
    b"\xef",
    24: b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc"
    b"\xf9",
    30: b"\x0a\x0d\x16",
}
"""The symbols by the number of bits of their codes.

The code is canonical: this is all of appendix B. The first code is all zeros. Each next one, in this order, is the one before
plus one, with zeros behind it where codes get longer.
"""

_RARE = "1" * 15
"""How every code longer than 15 bits begins."""


def encode(text: bytes) -> bytes:
    """Encodes a string, padded to whole octets."""
    bits = "".join([CODES[symbol] for symbol in text])
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def decode(octets: bytes) -> bytes:
    """Decodes a string.

    Raises:
        HpackError: the padding has more than seven bits or one that is not 1, or the string contains EOS.
    """
    text = _read(octets, _BY_OCTET)
    if text is None:  # It is malformed, or contains a symbol that the table leaves out.
        text = _read(_halves(octets), _BY_HALF)
    if text is None:
        raise HpackError("a Huffman string contains EOS, or ends with something else than a code and up to seven 1s")
    return text


def _read(digits: bytes, rows: Sequence[_Row]) -> bytes | None:
    """Decodes a string with a table; returns None if it does not end as it must, or leads out of the table."""
    row = rows[0]
    text: list[bytes] = []
    try:
        for digit in digits:
            row, symbols = row[digit]
            text.append(symbols)
    except IndexError:
        return None
    return b"".join(text) if id(row) in _ENDS else None


def _halves(octets: bytes) -> bytes:
    """Returns the upper and the lower four bits of each octet, one after the other."""
    return bytes([half for octet in octets for half in (octet >> 4, octet & 0xF)])


def _codes() -> Sequence[str]:
    """Returns the code of each symbol, EOS included, as a string of 0 and 1."""
    codes = [""] * (EOS + 1)
    code, before = 0, 0
    for length, symbols in _BY_LENGTH.items():
        code <<= length - before
        before = length
        for symbol in symbols:
            codes[symbol] = f"{code:0{length}b}"
            code += 1
    codes[EOS] = f"{code:0{before}b}"
    return tuple(codes)


_Row: TypeAlias = "Sequence[_Entry]"
"""What each next octet, or half of one, leads to, while one beginning of a code is in hand. It is empty where the table ends."""
_Entry: TypeAlias = tuple[_Row, bytes]
"""The row of the beginning that is in hand then, and the symbols that are complete."""


def _rows(bits: int, left_out: str) -> Sequence[_Row]:
    """Builds a table.

    Args:
        bits: how many bits are read at a time.
        left_out: the rows of beginnings that begin with this are empty.

    Returns:
        All rows; the first eight are those of zero to seven bits that are 1, which may end a string.
    """
    beginnings = sorted({code[:length] for code in CODES for length in range(len(code))}, key=_padding_first)
    rows: dict[str, list[_Entry]] = {begun: [] for begun in beginnings if not begun.startswith(left_out)}
    symbols = {code: bytes((symbol,)) for symbol, code in enumerate(CODES[:EOS])}
    texts: dict[bytes, bytes] = {}  # each text once

    def after(begun: str) -> list[_Entry]:
        if symbol := symbols.get(begun):
            return [(row, texts.setdefault(text := symbol + more, text)) for row, more in paths[""]]
        return paths.get(begun) or [((), b"")] * len(paths[""])

    # What no bit leads to from each beginning; then what each value of one bit leads to, of two bits, and so on.
    paths: dict[str, list[_Entry]] = {begun: [(row, b"")] for begun, row in rows.items()}
    for _ in range(bits):
        paths = {begun: after(begun + "0") + after(begun + "1") for begun in rows}
    for begun, row in rows.items():
        row.extend(paths[begun])
    return tuple(rows.values())


def _padding_first(beginning: str) -> tuple[bool, int, str]:
    return "0" in beginning, len(beginning), beginning


CODES: Sequence[str] = _codes()
"""The code of each symbol as a string of 0 and 1; the last one is that of EOS."""
_BY_OCTET: Sequence[_Row] = _rows(8, left_out=_RARE)
_BY_HALF: Sequence[_Row] = _rows(4, left_out=CODES[EOS])
_ENDS: frozenset[int] = frozenset(id(row) for rows in (_BY_OCTET, _BY_HALF) for row in rows[:8])
"""The rows of what may be in hand at the end of a string."""
