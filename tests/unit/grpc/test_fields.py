"""Header fields: which of them are indexed, and what is sent of metadata."""

from __future__ import annotations

import pytest

from micro_rt.backends.grpc.fields import (
    OK_TRAILERS,
    FieldEncoder,
    Recurring,
    code_of_reset,
    headers_of,
    metadata_fields,
    request_group,
    response_group,
    size_of_pairs,
    timeout_of,
)
from micro_rt.errors import Code
from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.metadata import Metadata
from micro_rt.transport.wire import decode_timeout, request_headers

TOKEN = (b"authorization", b"Bearer 0123456789012345678901234567890123456789")


class Line:
    """The header blocks of one connection."""

    def __init__(self) -> None:
        self.encoder = FieldEncoder(Encoder())
        self.decoder = Decoder()
        self.recurring = Recurring()
        self.group = request_group("/a.B/C", "localhost:1", "proto")

    def size_of_call(self, *pairs: tuple[bytes, bytes]) -> int:
        """Sends the headers of a call, and returns their bytes."""
        octets = self.encoder.encode((self.group, pairs, self.recurring.among(pairs)))
        fields = self.decoder.decode(octets)
        assert [(field.name, field.value) for field in fields] == [*self.group.fields, *pairs]
        return len(octets)


def test_what_all_calls_of_a_method_have_takes_an_octet_each() -> None:
    line = Line()
    first, *later = [line.size_of_call() for _ in range(3)]
    assert first > 60
    assert later == [len(line.group.fields)] * 2


def test_a_token_is_indexed_from_the_second_call_on() -> None:
    line = Line()
    sizes = [line.size_of_call(TOKEN) for _ in range(4)]
    assert sizes[1] > len(TOKEN[1])
    assert sizes[2:] == [len(line.group.fields) + 1] * 2


def test_what_all_calls_send_takes_an_octet_each_and_is_not_looked_at_again() -> None:
    line = Line()
    metadata, other = Metadata({"tenant": "acme"}), Metadata({"tenant": "acme"})
    group = line.group
    pairs = metadata_fields(metadata)
    for number in range(1, 4):
        line.size_of_call(*pairs)
        line.recurring.note(metadata, pairs)
        assert line.recurring.constant is None, number
    line.size_of_call(*pairs)
    line.recurring.note(metadata, pairs)
    assert line.recurring.constant is metadata
    whole = line.recurring.group_of(group)
    assert line.recurring.group_of(group) is whole
    for _ in range(2):
        octets = line.encoder.encode(whole)
        assert [(field.name, field.value) for field in line.decoder.decode(octets)] == [*group.fields, *pairs]
        assert len(octets) == len(group.fields) + 1
    line.recurring.note(other, metadata_fields(other))
    assert line.recurring.constant is None
    for _ in range(4):
        line.recurring.note(metadata, pairs)
    assert line.recurring.group_of(group) is not whole


def test_a_short_secret_is_never_indexed_though_all_calls_send_it() -> None:
    line = Line()
    metadata = Metadata({"authorization": "Bearer 1234"})
    pairs = metadata_fields(metadata)
    for _ in range(5):
        line.size_of_call(*pairs)
        line.recurring.note(metadata, pairs)
    octets = line.encoder.encode(line.recurring.group_of(line.group))
    assert b"Bearer 1234" in octets
    assert line.decoder.decode(octets)[-1].never_indexed


def test_a_short_secret_is_never_indexed() -> None:
    line = Line()
    sizes = [line.size_of_call((b"authorization", b"Bearer 1234")) for _ in range(4)]
    assert min(sizes) > len(b"Bearer 1234")
    assert all(field.never_indexed for field in line.decoder.decode(b"\x1f\x08\x01x"))


def test_a_field_that_varies_pushes_nothing_out() -> None:
    line = Line()
    for number in range(300):
        timeout = (b"grpc-timeout", b"%du" % number)
        trace = (b"traceparent", b"00-%032x-%016x-01" % (number, number))
        assert line.size_of_call(timeout, trace, (b"order", b"%d" % number)) < 400
    assert line.size_of_call() == len(line.group.fields)


def test_repeated_names_and_other_values_are_sent_as_they_are() -> None:
    line = Line()
    for _ in range(4):
        line.size_of_call((b"a", b"1"), (b"a", b"2"), (b"b", b""), (b"c-bin", b"AA"))
    for number in range(200):
        line.size_of_call((b"name-%d" % number, b"x"))


def test_a_response_and_trailers_are_small() -> None:
    encoder, decoder = FieldEncoder(Encoder()), Decoder()
    blocks = [encoder.encode(fields) for _ in range(3) for fields in (response_group("proto"), OK_TRAILERS)]
    assert list(map(len, blocks[2:])) == [2, 1] * 2
    assert headers_of(decoder.decode(blocks[0])) == [(":status", "200"), ("content-type", "application/grpc")]
    assert headers_of(decoder.decode(blocks[1])) == [("grpc-status", "0")]
    more = encoder.encode((OK_TRAILERS, [(b"a", b"b")], ()))
    assert headers_of(decoder.decode(more)) == [("grpc-status", "0"), ("a", "b")]


def test_groups_have_what_grpc_asks_for() -> None:
    fields = dict(request_group("/a.B/C", "host:1", "json", scheme="https").fields)
    assert fields[b":method"] == b"POST"
    assert fields[b":scheme"] == b"https"
    assert fields[b":path"] == b"/a.B/C"
    assert fields[b":authority"] == b"host:1"
    assert fields[b"content-type"] == b"application/grpc+json"
    assert fields[b"te"] == b"trailers"
    assert {name.encode() for name, _ in request_headers("json")} <= fields.keys()
    assert dict(response_group("proto").fields) == {b":status": b"200", b"content-type": b"application/grpc"}


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 5e-5, 0.0001, 0.25, 1.0, 4.999999, 98.9, 99.0, 3600.0, 99_998.9999])
def test_a_timeout_is_rounded_up_to_a_millisecond(seconds: float) -> None:
    decoded = decode_timeout(timeout_of(seconds).decode())
    assert seconds <= decoded <= seconds + 0.0010001


@pytest.mark.parametrize("seconds", [99_999.0, 1e6, 1e7, 1e12, float("inf")])
def test_a_long_timeout_is_as_long_as_the_wire_has_it(seconds: float) -> None:
    decoded = decode_timeout(timeout_of(seconds).decode())
    assert min(seconds, 99_999_999) - 1 <= decoded <= seconds


def test_a_timeout_of_whole_seconds_is_part_of_the_group() -> None:
    line, metadata = Line(), Metadata([("a", "1")])
    for _ in range(4):
        line.recurring.note(metadata, metadata_fields(metadata))
    whole = line.recurring.timed_group_of(line.group, 29.99999)
    assert whole is not None
    assert whole.fields == (*line.group.fields, (b"grpc-timeout", b"30S"), (b"a", b"1"))
    assert line.recurring.timed_group_of(line.group, 29.9998) is whole
    other = line.recurring.timed_group_of(line.group, 5.0)
    assert other is not None
    assert other.fields[-2] == (b"grpc-timeout", b"5S")
    for varies in (29.9, 0.0, -1.0, -0.5, 1e6, float("inf")):
        assert line.recurring.timed_group_of(line.group, varies) is None
    for seconds in range(1, 1000):
        assert line.recurring.timed_group_of(line.group, seconds) is not None
    assert len(line.recurring._timed) <= 16
    changed = Metadata([("a", "2")])
    line.recurring.note(changed, metadata_fields(changed))
    again = line.recurring.timed_group_of(line.group, 30.0)
    assert again is not None
    assert again.fields[-1] == (b"a", b"2")


@pytest.mark.parametrize(("seconds", "sent"), [(30.0, b"30S"), (29.9995, b"30S"), (29.998, b"29998m"), (0.0, b"0S")])
def test_whole_seconds_are_sent_as_such(seconds: float, sent: bytes) -> None:
    assert timeout_of(seconds) == sent


def test_a_timeout_that_all_calls_have_is_indexed() -> None:
    line = Line()
    sizes = [line.size_of_call((b"grpc-timeout", timeout_of(4.9999 - number / 1e6))) for number in range(5)]
    assert sizes[2:] == [len(line.group.fields) + 1] * 3


def test_metadata_is_bytes_on_the_wire() -> None:
    foreign = Metadata.received([("name", "Zo\xc3\xab")])
    pairs = metadata_fields(
        Metadata([("a", "1"), ("b-bin", b"\xff\xfe"), ("c-bin", b"")]).with_received(*foreign.pairs)
    )
    assert pairs == [(b"a", b"1"), (b"b-bin", b"//4"), (b"c-bin", b""), (b"name", "Zoë".encode())]
    assert size_of_pairs(pairs[:2]) == (1 + 1 + 32) + (5 + 3 + 32)


def test_text_beyond_bytes_is_sent_as_utf_8() -> None:
    pairs = metadata_fields(Metadata.received([("snow", "\u2603")]))
    assert pairs == [(b"snow", "\u2603".encode())]


@pytest.mark.parametrize(
    ("code", "status"),
    [(7, Code.UNAVAILABLE), (8, Code.CANCELLED), (11, Code.RESOURCE_EXHAUSTED), (12, Code.PERMISSION_DENIED)]
    + [(code, Code.INTERNAL) for code in (0, 1, 2, 3, 4, 5, 6, 9, 10, 13, 14, 2**32 - 1)],
)
def test_a_reset_is_a_status(code: int, status: Code) -> None:
    assert code_of_reset(code) is status
