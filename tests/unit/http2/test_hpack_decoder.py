"""The decoder: what the RFC forbids is an error, what is hostile is bounded, and a block seen before is never stale."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_rt.http2.hpack import Decoder, Field, Fields, HpackError
from micro_rt.http2.hpack.huffman import CODES, EOS, decode, encode
from micro_rt.http2.hpack.integers import decode_rest, encode_integer

Pair = tuple[bytes, bytes]


def pairs(fields: Fields) -> list[Pair]:
    return [(field.name, field.value) for field in fields]


def table(decoder: Decoder) -> list[Pair]:
    return [(field.name, field.value) for field in decoder.dynamic_table]


def string(text: bytes) -> bytes:
    return encode_integer(len(text), 7) + text


def inserting(name: bytes, value: bytes) -> bytes:
    """A literal with incremental indexing."""
    return b"\x40" + string(name) + string(value)


def size_update(size: int) -> bytes:
    return encode_integer(size, 5, 0x20)


def of_bits(bits: str) -> bytes:
    assert len(bits) % 8 == 0
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# What is malformed


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("80", "the index 0"),
        ("be", "the index 62 is beyond the table"),
        ("ff 00", "the index 127 is beyond the table"),
        ("ff 80 80 80 80 08", "the index 2147483775 is beyond the table"),
        ("7e 00", "the index 62 is beyond the table"),
        ("7f 00 00", "the index 63 is beyond the table"),
        ("0f 2f 00", "the index 62 is beyond the table"),
        ("1f 2f 00", "the index 62 is beyond the table"),
        ("82 20", "a dynamic table size update comes after a field"),
        ("82 3f e1 1f", "a dynamic table size update comes after a field"),
        ("3f e2 1f", "a dynamic table size update to 4097 is above the limit of 4096"),
        ("20 21 22", "more than two dynamic table size updates"),
        ("ff", "ends within a field"),
        ("ff 80", "ends within a field"),
        ("3f", "ends within a field"),
        ("40", "ends within a field"),
        ("41", "ends within a field"),
        ("40 01 61", "ends within a field"),
        ("40 7f", "ends within a field"),
        ("41 01", "longer than the header block"),
        ("41 7f ff ff ff ff 0f", "longer than the header block"),
        ("00 02 61", "longer than the header block"),
        ("ff 80 80 80 80 80 00", "an integer is longer than six octets"),
        ("3f 80 80 80 80 80 00", "an integer is longer than six octets"),
        ("00 7f ff ff ff ff ff ff ff ff ff ff ff 01", "an integer is longer than six octets"),
    ],
)
def test_a_malformed_block_is_an_error(block: str, why: str) -> None:
    with pytest.raises(HpackError, match=why):
        Decoder().decode(bytes.fromhex(block))


def test_a_block_that_is_cut_is_an_error_or_a_shorter_list() -> None:
    value = encode(b"value")
    parts = (
        inserting(b"name", b"value"),
        b"\x0f\x2f" + string(b"x" * 300),
        b"\x10" + string(b"a") + encode_integer(len(value), 7, 0x80) + value,
        b"\xbe",
    )
    block = b"".join(parts)
    fields = pairs(Decoder().decode(block))
    assert len(fields) == 4
    whole = {sum(len(part) for part in parts[:count]): fields[:count] for count in range(5)}
    for end in range(len(block) + 1):
        if end in whole:
            assert pairs(Decoder().decode(block[:end])) == whole[end]
        else:
            with pytest.raises(HpackError):
                Decoder().decode(block[:end])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_an_integer_survives(value: int, prefix: int) -> None:
    octets = encode_integer(value, prefix)
    full = (1 << prefix) - 1
    if value < full:
        assert octets == bytes((value,))
    else:
        assert octets[0] == full
        assert decode_rest(octets, 1, full) == (value, len(octets))


def test_an_overlong_integer_is_accepted_up_to_six_octets() -> None:
    assert pairs(Decoder().decode(bytes.fromhex("0f 80 80 80 80 00 01 61"))) == [(b"accept-charset", b"a")]


# Huffman


@pytest.mark.parametrize(
    "bits",
    [
        "11111111",  # a whole octet of padding
        CODES[ord("0")] + "111" + "11111111",
        CODES[ord("0")] + "110",  # a bit of the padding is 0
        CODES[ord("0")] + "000",
        CODES[ord("&")] + "1" * 16,
        CODES[EOS] + "11",
        CODES[ord("0")] * 2 + CODES[EOS] + CODES[ord("0")] * 4 + "1111",
        CODES[10] + "10",
        CODES[10][:24],
        CODES[ord("<")] + "0",
        "1" * 24,
        "1" * 64,
    ],
)
def test_malformed_huffman_is_an_error(bits: str) -> None:
    with pytest.raises(HpackError, match="Huffman"):
        decode(of_bits(bits))
    value = of_bits(bits)
    for block in (
        b"\x00\x01a" + encode_integer(len(value), 7, 0x80) + value,
        b"\x40" + encode_integer(len(value), 7, 0x80) + value + b"\x01a",
    ):
        with pytest.raises(HpackError, match="Huffman"):
            Decoder().decode(block)


@pytest.mark.parametrize("padding", range(8))
def test_up_to_seven_bits_of_padding_are_accepted(padding: int) -> None:
    text = next(
        text
        for text in (
            b"0" * count + b"%" * more + b":" * most for count in range(8) for more in range(8) for most in range(8)
        )
        if text and sum(len(CODES[symbol]) for symbol in text) % 8 == (8 - padding) % 8
    )
    assert decode(of_bits("".join(CODES[symbol] for symbol in text) + "1" * padding)) == text


def test_the_example_of_the_module() -> None:
    assert decode(of_bits("00011001" + "00001011")) == b"ace"


def test_an_empty_huffman_string_is_empty() -> None:
    assert pairs(Decoder().decode(b"\x00\x80\x80")) == [(b"", b"")]


@given(st.binary(max_size=80))
def test_a_string_survives_huffman(text: bytes) -> None:
    assert decode(encode(text)) == text


# Eviction


def test_an_entry_is_evicted_at_the_exact_size() -> None:
    decoder = Decoder(100)
    decoder.decode(inserting(b"a", b"1" * 16) + inserting(b"b", b"2" * 18))  # 49 + 51
    assert len(decoder.dynamic_table) == 2
    decoder = Decoder(100)
    decoder.decode(inserting(b"a", b"1" * 16) + inserting(b"b", b"2" * 19))  # 49 + 52
    assert table(decoder) == [(b"b", b"2" * 19)]


def test_the_oldest_entries_are_evicted_and_no_more_than_needed() -> None:
    decoder = Decoder(4 * 34)
    decoder.decode(b"".join(inserting(name, b"1") for name in (b"a", b"b", b"c", b"d")))
    decoder.decode(inserting(b"e", b"1" * 35))
    assert table(decoder) == [(b"e", b"1" * 35), (b"d", b"1"), (b"c", b"1")]


def test_an_entry_of_the_size_of_the_table_is_the_only_one() -> None:
    decoder = Decoder(64)
    decoder.decode(inserting(b"a", b"1") + inserting(b"b", b"2" * 31))
    assert table(decoder) == [(b"b", b"2" * 31)]


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = Decoder(64)
    assert pairs(decoder.decode(inserting(b"a", b"1") + inserting(b"b", b"2" * 32))) == [
        (b"a", b"1"),
        (b"b", b"2" * 32),
    ]
    assert table(decoder) == []
    decoder.decode(inserting(b"a", b"1"))
    assert table(decoder) == [(b"a", b"1")]


def test_a_name_may_be_of_the_entry_that_is_evicted() -> None:
    decoder = Decoder(64)
    decoder.decode(inserting(b"name", b"1"))
    assert pairs(decoder.decode(b"\x7e" + string(b"2" * 28))) == [(b"name", b"2" * 28)]
    assert table(decoder) == [(b"name", b"2" * 28)]
    assert pairs(decoder.decode(b"\x7e" + string(b"3" * 29))) == [(b"name", b"3" * 29)]
    assert table(decoder) == []


# Size updates


def test_a_size_update_evicts_and_lasts() -> None:
    decoder = Decoder(100)
    decoder.decode(inserting(b"a", b"1") + inserting(b"b", b"2"))
    decoder.decode(size_update(67))
    assert table(decoder) == [(b"b", b"2")]
    decoder.decode(inserting(b"c", b"3"))
    assert table(decoder) == [(b"c", b"3")]


def test_size_zero_empties_the_table_and_a_second_update_restores_it() -> None:
    decoder = Decoder()
    decoder.decode(inserting(b"a", b"1"))
    decoder.decode(size_update(0) + size_update(4096) + inserting(b"b", b"2"))
    assert table(decoder) == [(b"b", b"2")]


def test_a_lower_limit_must_be_followed_by_an_update() -> None:
    for block in (b"", b"\x82", size_update(101), size_update(4096)):
        decoder = Decoder()
        decoder.decode(inserting(b"a", b"1"))
        decoder.max_table_size = 100
        with pytest.raises(HpackError):
            decoder.decode(block)


def test_the_lowest_limit_since_the_last_block_counts() -> None:
    decoder = Decoder()
    decoder.max_table_size = 100
    decoder.max_table_size = 4096
    with pytest.raises(HpackError, match="update to 100 is missing"):
        decoder.decode(size_update(4096))
    decoder = Decoder()
    decoder.max_table_size = 100
    decoder.max_table_size = 4096
    decoder.decode(size_update(100) + size_update(4096))
    decoder.decode(b"\x82")
    assert decoder.max_table_size == 4096


def test_a_higher_limit_needs_no_update_and_allows_one() -> None:
    decoder = Decoder()
    decoder.max_table_size = 5000
    decoder.decode(b"\x82")
    decoder.decode(size_update(5000) + inserting(b"a", b"1" * 4900))
    assert len(decoder.dynamic_table) == 1


def test_a_limit_above_the_size_in_use_needs_no_update() -> None:
    decoder = Decoder()
    decoder.decode(size_update(100))
    decoder.max_table_size = 200
    assert [field.name for field in decoder.decode(b"\x82")] == [b":method"]


# The size of a list


def test_a_list_of_the_exact_limit_is_not_too_large() -> None:
    for value, too_large in ((b"1" * 67, False), (b"1" * 68, True)):
        fields = Decoder(max_list_size=100).decode(inserting(b"a", value))
        assert fields.too_large is too_large
        assert len(fields) == (not too_large)


def test_a_list_that_is_too_large_keeps_the_table_in_step() -> None:
    decoder, whole = Decoder(max_list_size=100), Decoder()
    block = inserting(b"a", b"1") + inserting(b"b", b"2" * 90) + inserting(b"c", b"3") + b"\xc0\x82"
    fields = decoder.decode(block)
    assert fields.too_large
    assert pairs(fields) == [(b"a", b"1")]
    assert not whole.decode(block).too_large
    assert decoder.dynamic_table == whole.dynamic_table
    assert pairs(decoder.decode(b"\xbe")) == [(b"c", b"3")]


def test_an_error_behind_the_limit_is_an_error() -> None:
    with pytest.raises(HpackError):
        Decoder(max_list_size=10).decode(inserting(b"a", b"1") + b"\x80")


def test_a_bomb_costs_what_its_length_costs() -> None:
    decoder = Decoder()
    decoder.decode(inserting(b"a", b"1" * 4000))
    fields = decoder.decode(b"\xbe" * 60_000)  # 240 MB, were they copied
    assert fields.too_large
    assert len(fields) == 16384 // (4000 + 1 + 32)
    generous = Decoder(max_list_size=2**40)
    generous.decode(inserting(b"a", b"1" * 4000))
    fields = generous.decode(b"\xbe" * 60_000)
    assert len(fields) == 60_000
    assert len({id(field) for field in fields}) == 1
    assert sys.getsizeof(fields) < 10 * 60_000


# Blocks that were seen before


def test_a_block_seen_before_is_the_same_object() -> None:
    decoder = Decoder()
    decoder.decode(inserting(b"a", b"1"))
    fields = decoder.decode(b"\x82\xbe")
    fields.note = "read"
    assert decoder.decode(b"\x82\xbe") is fields
    assert decoder.decode(b"\x82\xbe").note == "read"


@pytest.mark.parametrize(
    "change",
    [
        inserting(b"b", b"2"),
        size_update(0) + size_update(4096) + inserting(b"b", b"2"),
        size_update(36) + inserting(b"b", b"2"),
        inserting(b"b", b"2") * 2 + b"\x82",
    ],
)
def test_a_block_seen_before_has_the_fields_of_the_table_as_it_is(change: bytes) -> None:
    decoder = Decoder()
    decoder.decode(inserting(b"a", b"1"))
    assert pairs(decoder.decode(b"\xbe")) == pairs(decoder.decode(b"\xbe")) == [(b"a", b"1")]
    decoder.decode(change)
    assert pairs(decoder.decode(b"\xbe")) == [(b"b", b"2")]


def test_a_block_seen_before_is_an_error_when_its_entry_is_gone() -> None:
    decoder = Decoder()
    decoder.decode(inserting(b"a", b"1"))
    decoder.decode(b"\xbe")
    decoder.decode(size_update(0))
    with pytest.raises(HpackError, match="beyond the table"):
        decoder.decode(b"\xbe")


def test_a_block_seen_before_is_an_error_when_an_update_is_due() -> None:
    decoder = Decoder()
    decoder.decode(b"\x82")
    decoder.max_table_size = 0
    with pytest.raises(HpackError, match="update"):
        decoder.decode(b"\x82")


@pytest.mark.parametrize("block", [inserting(b"a", b"1"), size_update(0), size_update(4096) + b"\x82"])
def test_a_block_that_may_change_the_table_is_decoded_again(block: bytes) -> None:
    decoder = Decoder()
    decoder.decode(block)
    assert decoder.decode(block) is not decoder.decode(block)


def test_entries_behind_the_one_that_is_too_large_for_the_table_are_gone() -> None:
    decoder = Decoder(64)
    decoder.decode(inserting(b"a", b"1"))
    decoder.decode(b"\xbe")
    decoder.decode(inserting(b"a", b"1" * 100))
    with pytest.raises(HpackError, match="beyond the table"):
        decoder.decode(b"\xbe")


def test_the_blocks_that_are_kept_are_bounded() -> None:
    decoder = Decoder()
    first = decoder.decode(b"\x82")
    assert decoder.decode(b"\x82") is first
    for number in range(100):
        decoder.decode(b"\x00\x01a" + string(b"%d" % number))
    assert decoder.decode(b"\x82") is not first


def test_a_block_that_takes_too_much_memory_is_not_kept() -> None:
    decoder = Decoder(max_list_size=2**40)
    first = decoder.decode(b"\x82")
    for block in (b"\x82" * 2000, b"\x00\x01a" + string(b"1" * 10_000)):
        assert decoder.decode(block) is not decoder.decode(block)
    assert decoder.decode(b"\x82") is first


@pytest.mark.parametrize("literal", [b"\x00\x01a\x00", b"\x0f\x12\x01b", b"\x82"])
@pytest.mark.parametrize("count", [1, 5, 50])
def test_a_peer_makes_a_decoder_keep_little_memory(literal: bytes, count: int) -> None:
    tracemalloc.start()
    try:
        decoder = Decoder()
        for number in range(200):
            decoder.decode(inserting(b"", b"%d" % number))
        for number in range(70):
            decoder.decode(b"\x00\x00" + string(b"%d" % number) + literal * count)
        assert tracemalloc.get_traced_memory()[0] < 32 * 1024
    finally:
        tracemalloc.stop()


def test_a_list_that_is_too_large_is_not_kept() -> None:
    decoder = Decoder(max_list_size=10)
    assert decoder.decode(b"\x82") is not decoder.decode(b"\x82")
    assert decoder.decode(b"\x82").too_large


# Fields


def test_a_secret_is_marked_and_not_shown() -> None:
    (field,) = Decoder().decode(b"\x1f\x08\x06secret")
    assert field.never_indexed
    assert field.name == b"authorization"
    assert "secret" not in repr(field).replace("(secret)", "")


def test_fields_compare_by_what_they_are() -> None:
    assert Field(b"a", b"1") == Field(b"a", b"1")
    assert len({Field(b"a", b"1"), Field(b"a", b"1")}) == 1
    assert Field(b"a", b"1") != Field(b"a", b"1", never_indexed=True)
    assert Field(b"a", b"1") != Field(b"a", b"2")
    assert Field(b"a", b"1") != (b"a", b"1")
    assert repr(Field(b"a\n", b"1\x00")) == r"<Field b'a\n': b'1\x00'>"
