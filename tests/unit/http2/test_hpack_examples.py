"""The examples of RFC 7541, appendix C, octet by octet, and its tables against those of the package hpack."""

from __future__ import annotations

import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.http2.hpack.huffman import CODES, decode, encode
from micro_rt.http2.hpack.integers import decode_rest, encode_integer
from micro_rt.http2.hpack.static import STATIC_TABLE

DATE = b"Mon, 21 Oct 2013 20:13:%d GMT"
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
SITE = b"https://www.example.com"

REQUESTS = (
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
        (b"cache-control", b"no-cache"),
    ],
    [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ],
)
RESPONSES = (
    [(b":status", b"302"), (b"cache-control", b"private"), (b"date", DATE % 21), (b"location", SITE)],
    [(b":status", b"307"), (b"cache-control", b"private"), (b"date", DATE % 21), (b"location", SITE)],
    [
        (b":status", b"200"),
        (b"cache-control", b"private"),
        (b"date", DATE % 22),
        (b"location", SITE),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", COOKIE),
    ],
)
NAMES = frozenset(name for fields in (*REQUESTS, *RESPONSES) for name, _ in fields)

SEQUENCES = {
    "C.3": (
        REQUESTS,
        4096,
        False,
        (
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ),
        (57, 110, 164),
    ),
    "C.4": (
        REQUESTS,
        4096,
        True,
        (
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ),
        (57, 110, 164),
    ),
    "C.5": (
        RESPONSES,
        256,
        False,
        (
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32"
                "3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d"
            ),
            "4803 3330 37c1 c0bf",
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970"
                "7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61"
                "6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31"
            ),
        ),
        (222, 222, 215),
    ),
    "C.6": (
        RESPONSES,
        256,
        True,
        (
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad"
                "1718 63c7 8f0b 97c8 e9ae 82ae 43d3"
            ),
            "4883 640e ffc1 c0bf",
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2"
                "e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07"
            ),
        ),
        (222, 222, 215),
    ),
}


@pytest.mark.parametrize(("value", "prefix", "octets"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")])
def test_integers_of_c1(value: int, prefix: int, octets: str) -> None:
    assert encode_integer(value, prefix).hex() == octets
    full = (1 << prefix) - 1
    block = bytes.fromhex(octets)
    assert value == (decode_rest(block, 1, full)[0] if block[0] == full else block[0])


@pytest.mark.parametrize(
    ("octets", "name", "value", "never_indexed", "table_size"),
    [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            b"custom-key",
            b"custom-header",
            False,
            55,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", b":path", b"/sample/path", False, 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", b"password", b"secret", True, 0),
        ("82", b":method", b"GET", False, 0),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
)
def test_representations_of_c2(octets: str, name: bytes, value: bytes, never_indexed: bool, table_size: int) -> None:
    block = bytes.fromhex(octets)
    decoder = Decoder()
    (field,) = decoder.decode(block)
    assert (field.name, field.value, field.never_indexed) == (name, value, never_indexed)
    assert sum(entry.size for entry in decoder.dynamic_table) == table_size
    encoder = Encoder(indexed=[b"custom-key", b":method"], secret=[b"password"])
    assert encoder.encode([(name, value)]) == block


@pytest.mark.parametrize("example", SEQUENCES)
def test_sequences_of_c3_to_c6(example: str) -> None:
    lists, size, huffman, blocks, table_sizes = SEQUENCES[example]
    encoder = Encoder(size, indexed=NAMES, secret=(), interval=0, huffman=huffman)
    decoder = Decoder(size)
    for fields, octets, table_size in zip(lists, blocks, table_sizes, strict=True):
        block = bytes.fromhex(octets)
        assert [(field.name, field.value) for field in decoder.decode(block)] == fields
        assert sum(field.size for field in decoder.dynamic_table) == table_size
        assert encoder.encode(fields) == block


def test_the_dynamic_table_after_c5() -> None:
    decoder = Decoder(256)
    for octets in SEQUENCES["C.5"][3]:
        decoder.decode(bytes.fromhex(octets))
    assert [(field.name, field.value) for field in decoder.dynamic_table] == [
        (b"set-cookie", COOKIE),
        (b"content-encoding", b"gzip"),
        (b"date", DATE % 22),
    ]


def test_the_static_table() -> None:
    assert STATIC_TABLE == HeaderTable.STATIC_TABLE
    indexed = Decoder().decode(bytes(0x80 | index for index in range(1, 62)))
    assert tuple((field.name, field.value) for field in indexed) == STATIC_TABLE


def test_the_huffman_table() -> None:
    assert [int(code, 2) for code in CODES] == REQUEST_CODES
    assert [len(code) for code in CODES] == REQUEST_CODES_LENGTH


def test_every_symbol_next_to_every_other() -> None:
    for first in range(256):
        text = bytes(octet for second in range(256) for octet in (first, second))
        assert decode(encode(text)) == text
