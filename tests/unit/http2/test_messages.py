"""Header sections (RFC 9113, sections 8.1 to 8.5): which are well-formed."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import contextlib

import pytest

from micro_rt.http2.errors import ErrorCode, StreamError
from micro_rt.http2.messages import NO_LENGTH, REQUEST, RESPONSE, TRAILERS, Checker, Head
from tests.unit.http2.peers import GET, OK, FieldList, Pairs

METHOD, SCHEME, PATH, AUTHORITY = GET


def checked(kind: int, pairs: Pairs) -> Head:
    checker = Checker()
    for other in (GET, OK, ((b"a", b"b"),)):  # What it has seen before makes no difference.
        for each in (REQUEST, RESPONSE, TRAILERS):
            with contextlib.suppress(StreamError):
                checker.check(each, 1, FieldList(other))
    with contextlib.suppress(StreamError):
        checker.check(kind, 5, FieldList([(name, b"") for name, _ in pairs]))
    return checker.check(kind, 7, FieldList(pairs))


@pytest.mark.parametrize(
    ("length", "pairs"),
    [
        (NO_LENGTH, GET),
        (NO_LENGTH, (METHOD, SCHEME, PATH)),
        (NO_LENGTH, (PATH, AUTHORITY, SCHEME, METHOD)),
        (NO_LENGTH, (*GET, (b"te", b"trailers"))),  # 8.2.2
        (NO_LENGTH, (*GET, (b"te", b"Trailers"))),
        (NO_LENGTH, (*GET, (b"host", b"localhost"))),  # 8.3.1
        (NO_LENGTH, (METHOD, SCHEME, PATH, (b"host", b"a"))),
        (NO_LENGTH, (*GET, (b"x", b""), (b"x", b"a b\tc"), (b"x-bin", b"\x80\xff"))),
        (NO_LENGTH, (*GET, (b"!#$%&'*+-.^_`|~09az", b"every character of a name"))),
        (5, (*GET, (b"content-length", b"5"))),
        (0, (*GET, (b"content-length", b"0"))),
        (10**19 - 1, (*GET, (b"content-length", b"9" * 19))),
        (NO_LENGTH, ((b":method", b"OPTIONS"), SCHEME, (b":path", b"*"))),
        (NO_LENGTH, ((b":method", b"CONNECT"), (b":authority", b"a:443"))),  # 8.5
        (NO_LENGTH, (METHOD, (b":scheme", b"urn"), (b":path", b"not/a/slash"))),
    ],
)
def test_a_request_is_well_formed(length: int, pairs: Pairs) -> None:
    head = checked(REQUEST, pairs)
    assert (head.kind, head.length, head.interim) == (REQUEST, length, False)


@pytest.mark.parametrize(
    ("reason", "pairs"),
    [
        ("without :method", GET[1:]),  # 8.3.1
        ("without :method, :scheme or :path", (METHOD, PATH)),
        ("without :method, :scheme or :path", (METHOD, SCHEME)),
        ("empty", (METHOD, SCHEME, (b":path", b""))),
        ("empty", (METHOD, PATH, (b":scheme", b""))),
        ("without :method", ((b":method", b""), SCHEME, PATH)),
        ("begin with a slash", (METHOD, SCHEME, (b":path", b"a"))),
        ("begin with a slash", (METHOD, SCHEME, (b":path", b"*"))),
        ("a user in", (METHOD, SCHEME, PATH, (b":authority", b"me@there"))),
        ("contradicts", (*GET, (b"host", b"elsewhere"))),
        ("host twice", (METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"a"))),
        ("te twice", (*GET, (b"te", b"trailers"), (b"te", b"trailers"))),
        ("twice", (*GET, METHOD)),  # 8.3
        ("twice", (METHOD, *GET)),
        ("no place there", (*GET, (b":status", b"200"))),
        ("no place there", (*GET, (b":protocol", b"websocket"))),
        ("no place there", (*GET, (b":", b"x"))),
        ("after a regular field", (*GET[:3], (b"x", b"y"), AUTHORITY)),
        ("CONNECT", ((b":method", b"CONNECT"),)),  # 8.5
        ("CONNECT", ((b":method", b"CONNECT"), AUTHORITY, PATH)),
        ("CONNECT", ((b":method", b"CONNECT"), AUTHORITY, SCHEME)),
        ("of a connection", (*GET, (b"connection", b"close"))),  # 8.2.2
        ("of a connection", (*GET, (b"proxy-connection", b"close"))),
        ("of a connection", (*GET, (b"keep-alive", b"5"))),
        ("of a connection", (*GET, (b"transfer-encoding", b"chunked"))),
        ("of a connection", (*GET, (b"upgrade", b"h2c"))),
        ("te other", (*GET, (b"te", b"gzip"))),
        ("te other", (*GET, (b"te", b"trailers, gzip"))),
        ("field name", (*GET, (b"", b"x"))),  # 8.2.1
        ("field name", (*GET, (b"Upper", b"x"))),
        ("field name", (*GET, (b"a b", b"x"))),
        ("field name", (*GET, (b"a:b", b"x"))),
        ("field name", (*GET, (b"a\x7f", b"x"))),
        ("field name", (*GET, (b"\xe9", b"x"))),
        ("field value", (*GET, (b"a", b"x\0"))),
        ("field value", (*GET, (b"a", b"x\ry"))),
        ("field value", (*GET, (b"a", b"x\ny"))),
        ("field value", (*GET, (b"a", b"\n"))),
        ("field value", (*GET, (b"a", b"\n"), (b"b", b""))),
        ("a blank", (*GET, (b"a", b" x"))),
        ("a blank", (*GET, (b"a", b"x\t"))),
        ("a blank", (*GET, (b"a", b" "))),
        ("field value", (METHOD, SCHEME, (b":path", b"/\n"))),
        ("content-length", (*GET, (b"content-length", b""))),  # 8.1.1
        ("content-length", (*GET, (b"content-length", b"-1"))),
        ("content-length", (*GET, (b"content-length", b"+1"))),
        ("content-length", (*GET, (b"content-length", b"1_0"))),
        ("content-length", (*GET, (b"content-length", b"1, 1"))),
        ("content-length", (*GET, (b"content-length", b"9" * 20))),
        ("content-length", (*GET, (b"content-length", b"1"), (b"content-length", b"1"))),
        ("contradicts", ((b":method", b"CONNECT"), AUTHORITY, (b"host", b"elsewhere"))),
    ],
)
def test_a_request_is_malformed(reason: str, pairs: Pairs) -> None:
    with pytest.raises(StreamError, match=reason) as caught:
        checked(REQUEST, pairs)
    assert (caught.value.stream_id, caught.value.code) == (7, ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("interim", "status"), [(True, b"100"), (True, b"103"), (True, b"199"), (False, b"200"), (False, b"999")]
)
def test_a_response_is_well_formed(interim: bool, status: bytes) -> None:  # 8.3.2
    head = checked(RESPONSE, ((b":status", status), (b"content-length", b"3")))
    assert (head.kind, head.length, head.interim) == (RESPONSE, 3, interim)


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        ((b"x", b"y"),),
        ((b":status", b""),),
        ((b":status", b"20"),),
        ((b":status", b"2000"),),
        ((b":status", b"2x0"),),
        ((b":status", b"099"),),
        ((b":status", b"101"),),  # 8.6
        (*OK, *OK),
        (*OK, METHOD),
        ((b"x", b"y"), *OK),
        (*OK, (b"connection", b"close")),
    ],
)
def test_a_response_is_malformed(pairs: Pairs) -> None:  # 8.3.2
    with pytest.raises(StreamError):
        checked(RESPONSE, pairs)


def test_trailers_are_well_formed() -> None:  # 8.1
    assert checked(TRAILERS, ((b"grpc-status", b"0"), (b"x", b""))).kind == TRAILERS
    assert checked(TRAILERS, ()).kind == TRAILERS


@pytest.mark.parametrize("pairs", [OK, (PATH,), ((b"te", b"gzip"),), ((b"A", b"x"),)])
def test_trailers_are_malformed(pairs: Pairs) -> None:  # 8.1
    with pytest.raises(StreamError):
        checked(TRAILERS, pairs)


def test_the_shapes_that_are_remembered_are_bounded() -> None:
    checker = Checker()
    for number in range(100):
        checker.check(REQUEST, 1, FieldList([*GET, (b"x%d" % number, b"")]))
        checker.check(REQUEST, 1, FieldList([*GET, (b"y" * (1_000 + number), b"")]))
        checker.check(REQUEST, 1, FieldList([*GET, *[(b"z", b"")] * (29 + number)]))
    assert 0 < len(checker._shapes) <= 32
    assert all(len(names) <= 32 and sum(map(len, names)) <= 1_024 for _, names in checker._shapes)
