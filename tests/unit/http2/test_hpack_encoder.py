"""The encoder: which fields it indexes, and that what it has prepared is never stale."""

from __future__ import annotations

import pytest

from micro_rt.http2.hpack import Decoder, Encoder, Group

Pair = tuple[bytes, bytes]

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/yard.Echo/Unary"),
    (b":authority", b"127.0.0.1:50051"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
VARYING = [(b"grpc-timeout", b"4999m"), (b"traceparent", b"00-0123-45-01")]


class Peer:
    """A decoder at the other end, which sees every block."""

    def __init__(self, size: int = 4096) -> None:
        self.decoder = Decoder(size)
        self.decoder.max_table_size = 2**32 - 1

    def read(self, block: bytes) -> list[Pair]:
        return [(field.name, field.value) for field in self.decoder.decode(block)]

    @property
    def table(self) -> list[Pair]:
        return [(field.name, field.value) for field in self.decoder.dynamic_table]


# What is indexed


def test_stable_fields_are_one_octet_from_the_second_block_on() -> None:
    encoder, peer = Encoder(), Peer()
    assert peer.read(encoder.encode(REQUEST)) == REQUEST
    block = encoder.encode(REQUEST)
    assert len(block) == len(REQUEST)
    assert peer.read(block) == REQUEST


def test_fields_of_other_names_are_not_indexed() -> None:
    encoder, peer = Encoder(), Peer()
    for number in range(3):
        fields = [(b"x-id", b"%d" % number), (b"x-tenant", b"1")]
        assert peer.read(encoder.encode(fields)) == fields
    assert peer.table == []


def test_of_fields_that_vary_only_the_first_is_indexed_for_its_name() -> None:
    encoder, peer = Encoder(), Peer()
    assert peer.read(encoder.encode(VARYING)) == VARYING
    assert peer.table == VARYING[::-1]
    for number in range(3):
        fields = [(name, value + b"%d" % number) for name, value in VARYING]
        block = encoder.encode(fields)
        assert len(block) == sum(3 + len(value) for _, value in fields)
        assert peer.read(block) == fields
    assert peer.table == VARYING[::-1]


def test_a_field_that_varies_pushes_out_no_entry() -> None:
    encoder, peer = Encoder(100), Peer(100)
    stable = (b":path", b"/" + b"1" * 20)
    for _ in range(3):
        assert peer.read(encoder.encode([stable, *VARYING])) == [stable, *VARYING]
    assert peer.table == [stable]


def test_the_name_of_a_varying_field_is_an_index_where_there_is_one() -> None:
    encoder, peer = Encoder(), Peer()
    assert encoder.encode([(b"date", b"now")]) == b"\x0f\x12\x03now"
    peer.read(encoder.encode([(b"x-name", b"1")], stable=[b"x-name"]))
    block = encoder.encode([(b"x-name", b"2")])
    assert block == b"\x0f\x2f\x012"
    assert peer.read(block) == [(b"x-name", b"2")]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"])
def test_a_secret_is_never_indexed(name: bytes) -> None:
    encoder, peer = Encoder(), Peer()
    for _ in range(2):
        (field,) = peer.decoder.decode(encoder.encode([(name, b"secret")]))
        assert field.never_indexed
        assert (field.name, field.value) == (name, b"secret")
    assert peer.table == []


def test_a_secret_that_was_indexed_is_never_indexed_unless_it_is_stable() -> None:
    encoder, peer = Encoder(), Peer()
    token = (b"authorization", b"Bearer " + b"x" * 500)
    peer.read(encoder.encode([token], stable=[b"authorization"]))
    assert peer.table == [token]
    assert encoder.encode([token], stable=[b"authorization"]) == b"\xbe"
    (field,) = peer.decoder.decode(encoder.encode([token]))
    assert field.never_indexed


def test_a_name_may_be_stable_in_one_block_only() -> None:
    encoder, peer = Encoder(), Peer()
    assert peer.read(encoder.encode([(b"x-tenant", b"1")])) == [(b"x-tenant", b"1")]
    assert peer.table == []
    peer.read(encoder.encode([(b"x-tenant", b"1")], stable=[b"x-tenant"]))
    assert peer.table == [(b"x-tenant", b"1")]


def test_the_caller_chooses_the_names() -> None:
    encoder = Encoder(indexed=[b"a"], secret=[b"b"])
    assert encoder.encode([(b"a", b"1"), (b"b", b"2"), (b"te", b"3")])[:1] == b"\x40"
    assert encoder.encode([(b"a", b"1")]) == b"\xbe"
    assert encoder.encode([(b"b", b"2")]) == b"\x10\x01b\x012"
    assert encoder.encode([(b"te", b"3")]) == b"\x00\x02te\x013"


# The table


def test_a_field_larger_than_the_table_is_not_indexed() -> None:
    encoder, peer = Encoder(), Peer()
    kept = (b":path", b"/")
    long = (b":path", b"/" * 4096)
    exact = (b":path", b"/" * (4096 - 32 - 5))
    peer.read(encoder.encode([(b":authority", b"here"), kept, long]))
    assert peer.table == [(b":authority", b"here")]
    assert peer.read(encoder.encode([exact])) == [exact]
    assert peer.table == [exact]


def test_an_entry_pushes_out_others_at_most_once_in_so_many_blocks() -> None:
    encoder, peer = Encoder(interval=10), Peer()
    paths = [(b":path", b"/%060d" % number) for number in range(100)]  # 98 octets each: 41 fit
    changes = 0
    for count in range(400):
        before = peer.table
        path = paths[count % 100]
        assert peer.read(encoder.encode([path])) == [path]
        changes += peer.table != before and len(before) == 41
    assert 20 <= changes <= 36


def test_a_group_that_had_to_wait_is_indexed_later() -> None:
    encoder, peer = Encoder(interval=10), Peer()
    groups = [Group([(b":path", b"/%060d" % number)]) for number in range(43)]
    for group in groups:
        peer.read(encoder.encode(group=group))
    assert (groups[42].fields[0]) not in peer.table
    for _ in range(12):
        assert peer.read(encoder.encode(group=groups[42])) == list(groups[42].fields)
    assert groups[42].fields[0] in peer.table
    assert len(encoder.encode(group=groups[42])) == 1


def test_eviction_forgets_the_name_too() -> None:
    encoder, peer = Encoder(80, interval=0), Peer(80)
    for name in (b"first", b"second", b"first", b"third", b"second", b"first", b"first"):
        for value in (b"1", b"22"):
            assert peer.read(encoder.encode([(name, value)], stable=[name])) == [(name, value)]
            assert peer.read(encoder.encode([(name, b"varies")])) == [(name, b"varies")]


def test_a_name_outlives_the_older_of_two_entries() -> None:
    encoder, peer = Encoder(80, interval=0), Peer(80)
    for field in ((b"name", b"1"), (b"name", b"2"), (b"other", b"3")):  # 37, 37 and 38 octets
        peer.read(encoder.encode([field], stable=[field[0]]))
    assert peer.table == [(b"other", b"3"), (b"name", b"2")]
    block = encoder.encode([(b"name", b"4")])
    assert block == b"\x0f\x30\x014"
    assert peer.read(block) == [(b"name", b"4")]


def test_entries_may_fill_the_table_while_none_may_push_out_another() -> None:
    encoder, peer = Encoder(76, interval=1000), Peer(76)
    fields = [(b"te", b"1234"), (b"te", b"5678"), (b"te", b"90ab")]  # 38 octets each
    assert peer.read(encoder.encode(fields)) == fields
    assert peer.table == fields[:0:-1]
    encoder.max_table_size = 0
    peer.read(encoder.encode())
    encoder.max_table_size = 76
    assert peer.read(encoder.encode(fields)) == fields
    assert peer.table == fields[1::-1]


# The size of the table


def test_size_updates_say_the_lowest_and_the_final_size() -> None:
    for sizes, updates in (
        ([4096], b""),
        ([8192], b""),
        ([100], b"\x3f\x45"),
        ([0], b"\x20"),
        ([0, 4096], b"\x20\x3f\xe1\x1f"),
        ([100, 0, 50, 4096], b"\x20\x3f\xe1\x1f"),
        ([100, 50], b"\x3f\x13"),
        ([100, 4096, 4096], b"\x3f\x45\x3f\xe1\x1f"),
        ([100, 200], b"\x3f\x45\x3f\xa9\x01"),
        ([5000, 4096], b""),
    ):
        encoder = Encoder()
        for size in sizes:
            encoder.max_table_size = size
        assert encoder.max_table_size == min(sizes[-1], 4096)
        assert encoder.encode([(b":method", b"GET")]) == updates + b"\x82"
        assert encoder.encode([(b":method", b"GET")]) == b"\x82"


def test_a_size_that_grows_again_is_said() -> None:
    encoder, peer = Encoder(), Peer()
    encoder.max_table_size = 0
    assert peer.read(encoder.encode(REQUEST)) == REQUEST
    assert peer.table == []
    encoder.max_table_size = 4096
    block = encoder.encode(REQUEST)
    assert block.startswith(b"\x3f\xe1\x1f")
    assert peer.read(block) == REQUEST
    assert len(encoder.encode(REQUEST)) == len(REQUEST)


def test_a_size_update_says_what_has_changed_since_the_last_block() -> None:
    encoder, peer = Encoder(), Peer()
    for size, update in ((100, b"\x3f\x45"), (4096, b"\x3f\xe1\x1f"), (2000, b"\x3f\xb1\x0f"), (2000, b"")):
        encoder.max_table_size = size
        assert encoder.encode() == update
        peer.read(update)
        assert peer.read(encoder.encode(REQUEST)) == REQUEST


def test_entries_between_two_sizes_are_gone() -> None:
    encoder, peer = Encoder(), Peer()
    peer.read(encoder.encode(REQUEST))
    encoder.max_table_size = 60
    encoder.max_table_size = 4096
    assert peer.read(encoder.encode(REQUEST)) == REQUEST
    assert peer.read(encoder.encode(REQUEST)) == REQUEST


def test_the_table_is_never_larger_than_the_limit() -> None:
    encoder, peer = Encoder(limit=100), Peer()
    encoder.max_table_size = 2**32 - 1
    assert encoder.max_table_size == 100
    assert encoder.encode().startswith(b"\x3f\x45")
    for number in range(200):
        encoder.encode([(b":path", b"/%d" % number)])
    block = Encoder(limit=100, interval=0).encode([(b":path", b"/%d" % number) for number in range(200)])
    peer.read(block)
    assert sum(field.size for field in peer.decoder.dynamic_table) <= 100


# Groups


def test_the_example_of_the_package() -> None:
    encoder, peer = Encoder(), Peer()
    request = Group([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/greet.Greeter/Hello")])
    for timeout, octets in ((b"5S", 41), (b"4S", 8)):
        block = encoder.encode([(b"grpc-timeout", timeout)], group=request)
        assert len(block) == octets
        assert peer.read(block) == [*request.fields, (b"grpc-timeout", timeout)]


def test_a_group_comes_before_the_fields() -> None:
    encoder, peer, group = Encoder(), Peer(), Group(REQUEST)
    for _ in range(3):
        assert peer.read(encoder.encode(VARYING, group=group)) == REQUEST + VARYING
    assert peer.read(encoder.encode(iter(VARYING), group=group)) == REQUEST + VARYING
    assert peer.read(encoder.encode(group=group)) == REQUEST


def test_a_group_is_prepared_once() -> None:
    encoder, group = Encoder(), Group(REQUEST)
    encoder.encode(VARYING, group=group)
    block = encoder.encode(group=group)
    assert encoder.encode(group=group) is block
    encoder.encode(VARYING)
    assert encoder.encode(group=group) is block


def test_a_group_may_hold_a_token_that_is_stable() -> None:
    encoder, peer = Encoder(), Peer()
    token = (b"authorization", b"Bearer " + b"x" * 500)
    secret, stable = Group([token]), Group([token], stable=[b"authorization"])
    assert peer.decoder.decode(encoder.encode(group=secret))[0].never_indexed
    assert peer.read(encoder.encode(group=stable)) == [token]
    assert encoder.encode(group=stable) == b"\xbe"
    assert peer.decoder.decode(encoder.encode(group=secret))[0].never_indexed


@pytest.mark.parametrize("size", [4096, 60])
def test_a_group_follows_the_table(size: int) -> None:
    encoder, peer, group = Encoder(), Peer(), Group([*REQUEST, (b"x-name", b"1")])
    for _ in range(3):
        peer.read(encoder.encode(group=group))
    encoder.max_table_size = size
    assert peer.read(encoder.encode([(b":path", b"/other")])) == [(b":path", b"/other")]
    for _ in range(3):
        assert peer.read(encoder.encode(group=group)) == [*REQUEST, (b"x-name", b"1")]


def test_a_prepared_name_follows_the_table() -> None:
    encoder, peer = Encoder(), Peer()
    peer.read(encoder.encode([(b"x-name", b"1")], stable=[b"x-name"]))
    for number in range(3):
        assert peer.read(encoder.encode([(b"x-name", b"2")])) == [(b"x-name", b"2")]
        peer.read(encoder.encode([(b":path", b"/%d" % number)]))


def test_a_group_after_a_size_update() -> None:
    encoder, peer, group = Encoder(), Peer(), Group(REQUEST)
    for size in (4096, 100, 4096, 0, 4096):
        encoder.max_table_size = size
        for _ in range(3):
            assert peer.read(encoder.encode(VARYING, group=group)) == REQUEST + VARYING


def test_what_is_prepared_is_bounded() -> None:
    encoder, group = Encoder(), Group([(b"x-name", b"1")])
    block = encoder.encode(group=group)
    assert encoder.encode(group=group) is block
    for number in range(300):
        encoder.encode(group=Group([(b"x-%d" % number, b"1")]))
    assert encoder.encode(group=group) is not block
