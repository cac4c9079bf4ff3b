"""What requests have in common is found out once, and changes no verdict: blocks that begin with the same entries.

Each block is decoded on a connection that has seen others, and is compared with the same fields by themselves.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro_rt.backends.grpc.requests import Request, read_request
from micro_rt.http2.errors import StreamError
from micro_rt.http2.hpack import Decoder, Field, Fields
from micro_rt.http2.messages import REQUEST, RESPONSE, TRAILERS, check

Pairs = list[tuple[bytes, bytes]]

START: Pairs = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/shop.Orders/Place"),
    (b":authority", b"shop:50051"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
    (b"x-tenant", b"acme"),
]
VARYING = (
    (b"grpc-timeout", b"5S"),
    (b"grpc-timeout", b"later"),
    (b"traceparent", b"00-1"),
    (b"traceparent", b"\1"),
    (b"tracestate", b""),
    (b"x-user", b"ada"),
    (b"x-bin", b"AAA"),
    (b"x-bin", b"!"),
    (b"te", b"gzip"),
    (b"host", b"other"),
    (b"host", b"shop:50051"),
    (b"connection", b"close"),
    (b"Upper", b"x"),
    (b"x", b"a\0"),
    (b"x", b" a"),
    (b":path", b"/shop.Orders/Cancel"),
    (b":status", b"200"),
    (b"content-type", b"text/html"),
    (b"content-type", b"application/grpc+json"),
    (b"content-length", b"5"),
    (b"content-length", b"-"),
    (b"grpc-encoding", b"gzip"),
    (b"grpc-encoding", b"identity"),
)


class Connection:
    """A connection whose client indexes every field, as grpc-go does."""

    def __init__(self) -> None:
        self._encoder, self._decoder = hpack.Encoder(), Decoder()

    def send(self, pairs: Pairs) -> Fields:
        return self._decoder.decode(self._encoder.encode(pairs))


def alone(pairs: Pairs) -> Fields:
    """Returns fields that nothing is known of."""
    return Fields([Field(name, value) for name, value in pairs])


def verdict(kind: int, fields: Fields) -> tuple[Any, ...] | str:
    try:
        head = check(kind, 1, fields)
    except StreamError as error:
        return error.reason
    return head.kind, head.length, head.interim


def said(request: Request) -> dict[str, Any]:
    """Returns all that a request says, to be compared."""
    all_of_it = {name: getattr(request, name) for name in Request.__slots__}
    refusal = request.refusal and (request.refusal.code, str(request.refusal))
    return all_of_it | {
        "refusal": refusal,
        "metadata": request.metadata.pairs,
        "response": request.response.fields,
    }


@pytest.mark.parametrize("kind", [REQUEST, RESPONSE, TRAILERS])
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.just(len(START)), st.integers(0, len(START))
            ),  # how many of the usual fields the block begins with
            st.lists(st.sampled_from(VARYING), max_size=4),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_what_is_known_changes_no_verdict(kind: int, blocks: list[tuple[int, Pairs]]) -> None:
    connection = Connection()
    for count, more in blocks:
        pairs = START[:count] + more
        fields = connection.send(pairs)
        found = verdict(kind, fields)
        assert found == verdict(kind, alone(pairs))
        if kind == REQUEST and not isinstance(found, str):
            assert said(read_request(fields)) == said(read_request(alone(pairs)))


def test_blocks_that_begin_alike_share_what_is_known_of_that() -> None:
    connection = Connection()
    connection.send(START)
    leads = set()
    for number in range(5):
        fields = connection.send([*START, (b"grpc-timeout", b"%dm" % number), (b"traceparent", b"00-%d" % number)])
        assert fields.lead is not None
        assert [(field.name, field.value) for field in fields.lead.fields] == START
        assert [field.name for field in fields.rest] == [b"grpc-timeout", b"traceparent"]
        check(REQUEST, 1, fields)
        assert read_request(fields).timeout == number / 1000
        leads.add(fields.lead)
    (lead,) = leads
    assert lead.verdict.kind == REQUEST
    assert lead.note.path == "/shop.Orders/Place"


def test_what_is_known_of_other_kinds_of_sections_does_not_count() -> None:
    connection = Connection()
    ordinary: Pairs = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
    connection.send(ordinary)
    assert verdict(TRAILERS, connection.send([*ordinary, (b"e", b"5")]))[0] == TRAILERS
    assert verdict(REQUEST, connection.send([*ordinary, (b"e", b"6")])) == "a request without :method, :scheme or :path"


def test_two_methods_of_a_connection_take_turns() -> None:
    connection = Connection()
    paths = [b"/shop.Orders/Place", b"/shop.Orders/Cancel"]
    for number in range(40):  # Entries are pushed out meanwhile, and come again.
        path = paths[number % 2]
        pairs = [(name, path if name == b":path" else value) for name, value in START]
        fields = connection.send([*pairs, (b"traceparent", b"%d" % number * 50)])
        check(REQUEST, 1, fields)
        request = read_request(fields)
        assert request.path == path.decode()
        assert request.metadata["traceparent"] == f"{number}" * 50


def test_what_is_kept_is_bounded() -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    blocks: list[bytes] = []
    for number in range(500):
        start = [(b"x%d" % name, b"%d" % number * 20) for name in range(4)]
        blocks += (encoder.encode(start), encoder.encode([*start, (b"y", b"%d" % number)]))
    for block in blocks[:10]:
        decoder.decode(block)
    tracemalloc.start()
    try:
        leads = sum([decoder.decode(block).lead is not None for block in blocks[10:]])
        assert tracemalloc.get_traced_memory()[0] < 64 * 1024, "a table of 4 KiB, and what is known"
    finally:
        tracemalloc.stop()
    assert leads == 495, "nothing was to be kept"


def test_a_lead_that_is_larger_than_all_that_may_be_kept_is_not() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\1x\x7f\xa1\x1e" + b"a" * 4_000)  # An entry of 4,033 bytes
    fields = decoder.decode(b"\xbe" * 4 + b"\0\1y\1z")
    assert not fields.too_large
    assert fields.lead is None
