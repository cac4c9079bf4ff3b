"""The Huffman code of strings (RFC 7541, section 5.2 and appendix B).

Each octet of a string is replaced by a code of 5 to 30 bits: a frequent octet by a short one. No code is the beginning
of another one, so nothing has to separate them. The last octet is filled up with 1s.

**How a string is decoded.** Read it bit by bit: whenever the bits in hand are a code, write down its symbol and let go
of them. So what is in hand after any bit is the beginning of a code, one of 256, the empty one included. For each of
these there is a row that says what any next octet leads to: which symbols it completes, and which beginning is in
hand after it. So decoding an octet is one look-up in the row of what is in hand::

    in hand   next octet   symbols   then in hand
              00011 001    a         001
    001       00 00101 1   c e       1             which may end a string

All rows have 65,536 entries together, most of them for symbols that text does not contain. Codes longer than 15 bits
all begin with fifteen 1s. The table leaves these beginnings out. A string that leads there is decoded with a second
table, which has all beginnings, but takes half an octet at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from micro_rt.http2.hpack.errors import HpackError

__all__ = ["CODES", "EOS", "decode", "encode"]

EOS = 256
"""The symbol that no string contains. Its code is all 1s; the beginning of it fills up the last octet."""

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
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5"
    b"\xe7\xef",
    24: b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
    b"\xdc\xf9",
    30: b"\x0a\x0d\x16",
}
"""All symbols but EOS, by the length of their codes in bits.

This is all of appendix B, because the code is canonical: in this order, the first code is 0, and each is the one before
it plus 1, followed by as many 0s as the codes have become longer. EOS comes last.
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
    row = _START
    text: list[bytes] = []
    try:
        for octet in octets:
            row, symbols = row[octet]
            text.append(symbols)
    except IndexError:
        pass  # The row is empty, and no end.
    return b"".join(text) if id(row) in _ENDS else _decode_by_half(octets)


def _decode_by_half(octets: bytes) -> bytes:
    row = _START_BY_HALF
    text: list[bytes] = []
    try:
        for octet in octets:
            row, symbols = row[octet >> 4]
            text.append(symbols)
            row, symbols = row[octet & 0xF]
            text.append(symbols)
    except IndexError:
        raise HpackError("a Huffman string contains EOS") from None
    if id(row) not in _ENDS:
        raise HpackError("a Huffman string ends with something else than a code and at most seven 1s")
    return b"".join(text)


def _codes() -> Sequence[str]:
    """Returns the code of each symbol, EOS included, as a string of 0s and 1s."""
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
"""What each next octet leads to, or half of one. It is empty where the table ends."""
_Entry: TypeAlias = tuple[_Row, bytes]
"""The row of what is in hand then, and the symbols that are complete."""


def _rows(width: int, left_out: str) -> Sequence[_Row]:
    """Builds a table.

    Args:
        width: how many bits are read at a time.
        left_out: the beginning of all beginnings that have an empty row.

    Returns:
        The rows. The first eight are those of no 1, one 1, up to seven 1s in hand.
    """
    beginnings = sorted({code[:length] for code in CODES for length in range(len(code))}, key=_ones_first)
    rows: dict[str, list[_Entry]] = {begun: [] for begun in beginnings if not begun.startswith(left_out)}
    symbols = {code: bytes((symbol,)) for symbol, code in enumerate(CODES[:EOS])}
    texts: dict[bytes, bytes] = {}  # to have equal ones only once

    def after(bits: str) -> list[_Entry]:
        """Returns where the paths end that go on from these bits."""
        if symbol := symbols.get(bits):
            return [(row, texts.setdefault(text := symbol + more, text)) for row, more in paths[""]]
        return paths.get(bits) or [((), b"")] * len(paths[""])

    # From each beginning, paths of no bits lead to itself. A path that is a bit longer goes on after either bit.
    paths: dict[str, list[_Entry]] = {begun: [(row, b"")] for begun, row in rows.items()}
    for _ in range(width):
        paths = {begun: after(begun + "0") + after(begun + "1") for begun in rows}
    for begun, row in rows.items():
        row.extend(paths[begun])
    return tuple(rows.values())


def _ones_first(beginning: str) -> tuple[bool, int]:
    return "0" in beginning, len(beginning)


CODES: Sequence[str] = _codes()
"""The code of each symbol, as a string of 0s and 1s; the last one is that of EOS."""
_BY_OCTET: Sequence[_Row] = _rows(8, left_out=_RARE)
_BY_HALF: Sequence[_Row] = _rows(4, left_out=CODES[EOS])
_START: _Row = _BY_OCTET[0]
_START_BY_HALF: _Row = _BY_HALF[0]
_ENDS: frozenset[int] = frozenset(id(row) for rows in (_BY_OCTET, _BY_HALF) for row in rows[:8])
"""Which rows may be reached at the end of a string."""
