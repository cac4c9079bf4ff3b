"""Our HPACK against the package hpack: the same fields and tables, and the same verdict on what is malformed.

Where the two differ is in ``DIFFERENCES``, with the sentence of the RFC.
"""

from __future__ import annotations

from collections.abc import Callable

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given, settings
from hypothesis import strategies as st

from micro_rt.http2.hpack import Decoder, Encoder, Group, HpackError
from micro_rt.http2.hpack import huffman as our_huffman
from micro_rt.http2.hpack.static import STATIC_TABLE
from tests.helpers.sizes import Size

Sent = tuple[bytes, bytes, bool]
"""Name, value, and whether the field is a secret."""

UNLIMITED = 2**40
SIZES = st.sampled_from([0, 31, 32, 33, 64, 100, 256, 1000, 4096])

DIFFERENCES = {
    "more than two dynamic table size updates": (
        "4.2: The final maximum size is always signaled, resulting in at most two dynamic table size updates."
    ),
    "is missing": (
        "4.2: In the case that this size is changed more than once in this interval, the smallest maximum table size "
        "that occurs in that interval MUST be signaled in a dynamic table size update."
    ),
}
"""What is in our errors for blocks that hpack accepts, and why they are errors."""

names = st.one_of(
    st.sampled_from([name for name, _ in STATIC_TABLE]),
    st.sampled_from([b"grpc-timeout", b"traceparent", b"x", b""]),
    st.binary(max_size=12),
)
values = st.one_of(
    st.sampled_from([b"", b"GET", b"200", b"0", b"gzip, deflate", b"application/grpc"]),
    st.text("0123456789abcdef-", max_size=60).map(str.encode),
    st.binary(max_size=40),
    st.binary(max_size=3).map(lambda text: text * 100),
)
field_lists = st.lists(st.tuples(names, values, st.booleans()), max_size=8)


def their_encoder_block(encoder: hpack.Encoder, fields: list[Sent], huffman: bool) -> bytes:
    return encoder.encode(
        [
            (hpack.NeverIndexedHeaderTuple if secret else hpack.HeaderTuple)(name, value)
            for name, value, secret in fields
        ],
        huffman=huffman,
    )


def their_fields(decoder: hpack.Decoder, block: bytes) -> list[Sent]:
    return [(bytes(field[0]), bytes(field[1]), not field.indexable) for field in decoder.decode(block, raw=True)]


def our_fields(decoder: Decoder, block: bytes) -> list[Sent]:
    return [(field.name, field.value, field.never_indexed) for field in decoder.decode(block)]


def their_table(decoder: hpack.Decoder) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in decoder.header_table.dynamic_entries]


def our_table(decoder: Decoder) -> list[tuple[bytes, bytes]]:
    return [(field.name, field.value) for field in decoder.dynamic_table]


def decoders() -> tuple[Decoder, hpack.Decoder]:
    return Decoder(max_list_size=UNLIMITED), hpack.Decoder(max_header_list_size=UNLIMITED)


def same_verdict(ours: Decoder, theirs: hpack.Decoder, block: bytes) -> bool:
    """Decodes a block twice and compares; returns whether both connections live on."""
    try:
        expected = their_fields(theirs, block)
    except hpack.HPACKError:
        with pytest.raises(HpackError):
            ours.decode(block)
        return False
    try:
        fields = our_fields(ours, block)
    except HpackError as error:
        assert any(difference in str(error) for difference in DIFFERENCES), (error, block.hex())
        return False
    assert fields == expected
    assert our_table(ours) == their_table(theirs)
    return True


@st.composite
def their_blocks(draw: st.DrawFn) -> list[bytes]:
    """The blocks of one connection: lists that come again, and sizes of the table that change between two blocks."""
    encoder = hpack.Encoder()
    blocks: list[bytes] = []
    lists = draw(st.lists(field_lists, min_size=1, max_size=4))
    for _ in range(draw(st.integers(1, 8))):
        for size in draw(st.one_of(st.just([]), st.lists(SIZES, max_size=2))):
            if size != encoder.header_table_size:  # It would not say any of the changes before.
                encoder.header_table_size = size
        blocks.append(their_encoder_block(encoder, draw(st.sampled_from(lists)), draw(st.booleans())))
    return blocks


@given(their_blocks())
def their_encoder_and_our_decoder(blocks: list[bytes]) -> None:
    ours, theirs = decoders()
    for block in blocks:
        assert same_verdict(ours, theirs, block)
        assert same_verdict(
            ours, theirs, b"".join(bytes((0x80 | index,)) for index in range(1, 62 + len(ours.dynamic_table)))
        )


@given(st.data())
def our_encoder_and_their_decoder(data: st.DataObject) -> None:
    indexed = data.draw(st.frozensets(names, max_size=6))
    ours, theirs = decoders()
    again, _ = decoders()
    encoder = Encoder(
        indexed=indexed, secret=[b"x"], interval=data.draw(st.sampled_from([0, 3])), huffman=data.draw(st.booleans())
    )
    pairs = st.tuples(st.one_of(names, st.sampled_from(sorted(indexed) or [b"x"])), values)
    lists = data.draw(st.lists(st.lists(pairs, max_size=6), min_size=1, max_size=4))
    groups = [Group(fields, stable=fields[0][:1] if fields else ()) for fields in lists]
    for _ in range(data.draw(st.integers(1, 12))):
        for size in data.draw(st.one_of(st.just([]), st.lists(SIZES, max_size=4))):
            encoder.max_table_size = size
        fields = data.draw(st.sampled_from(lists))
        group = data.draw(st.sampled_from([None, *groups]))
        block = encoder.encode(fields, group=group, stable=data.draw(st.frozensets(names, max_size=2)))
        assert same_verdict(ours, theirs, block)
        assert [(name, value) for name, value, _ in our_fields(again, block)] == [
            *(group.fields if group else ()),
            *fields,
        ]
        assert our_table(again) == our_table(ours)


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    """The blocks of one connection, some with octets that are replaced, inserted, removed or repeated."""
    blocks = draw(their_blocks())
    for number, block in enumerate(blocks):
        octets = bytearray(block)
        for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
            place = draw(st.integers(0, len(octets)))
            end = place + draw(st.integers(0, 3))
            octets[place:end] = draw(
                st.one_of(
                    st.binary(max_size=3),
                    st.sampled_from(
                        [b"\x80", b"\xff", b"\xff\x80", b"\x20", b"\x3f\xe1\x1f", b"\x7f", b"\x00", b"\xff\xff\xff\xff"]
                    ),
                    st.just(bytes(octets[place : end + 8]) * 2),
                )
            )
        blocks[number] = bytes(octets)
    return blocks


@given(st.one_of(mutated(), st.lists(st.binary(max_size=60), max_size=4)))
@example([b"\x20\x21\x22"])
@example([b"\x42\x85\x7f\xff\xf7\xff\xf0"])
def the_same_verdict_on_what_is_malformed(blocks: list[bytes]) -> None:
    ours, theirs = decoders()
    for block in blocks:
        if not same_verdict(ours, theirs, block):
            break


@given(st.lists(st.tuples(st.lists(SIZES, max_size=3), st.lists(SIZES, max_size=3)), min_size=1, max_size=4))
def the_same_verdict_on_sizes_that_change_at_both_ends(changes: list[tuple[list[int], list[int]]]) -> None:
    ours, theirs = decoders()
    encoder = hpack.Encoder()
    for limits, sizes in changes:
        for limit in limits:
            ours.max_table_size = theirs.max_allowed_table_size = limit
        for size in sizes:
            if size != encoder.header_table_size:
                encoder.header_table_size = size
        if not same_verdict(ours, theirs, their_encoder_block(encoder, [(b"name", b"value" * 5, False)], False)):
            break


@given(st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode)))
def the_same_huffman_code(text: bytes) -> None:
    coded = our_huffman.encode(text)
    assert coded == HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)
    for octets in (coded, text):
        try:
            expected = bytes(decode_huffman(octets))
        except hpack.HPACKError:
            with pytest.raises(HpackError):
                our_huffman.decode(octets)
        else:
            assert our_huffman.decode(octets) == expected


@given(st.one_of(mutated(), st.lists(st.binary(max_size=200), max_size=4)), st.integers(0, 200), SIZES)
def nothing_but_our_error_comes_out(blocks: list[bytes], max_list_size: int, max_table_size: int) -> None:
    decoder = Decoder(max_table_size, max_list_size)
    for block in blocks:
        try:
            fields = decoder.decode(block)
        except HpackError:
            continue  # Even on a connection that should be over.
        size = sum(field.size for field in fields)
        assert size <= max_list_size
        assert sum(field.size for field in decoder.dynamic_table) <= max_table_size


@pytest.mark.verify("calls")
@pytest.mark.parametrize(
    "check",
    [
        their_encoder_and_our_decoder,
        our_encoder_and_their_decoder,
        the_same_verdict_on_what_is_malformed,
        the_same_verdict_on_sizes_that_change_at_both_ends,
        the_same_huffman_code,
        nothing_but_our_error_comes_out,
    ],
    ids=lambda check: check.__name__,
)
def test_against_hpack(check: Callable[[], None], size: Size) -> None:
    settings(max_examples=size(5_000, ci=40))(check)()
