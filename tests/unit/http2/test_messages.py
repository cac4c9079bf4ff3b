"""Header sections (RFC 9113, sections 8.1 to 8.5): which are well-formed."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import contextlib

import pytest

from micro_rt.http2.errors import ErrorCode, StreamError
from micro_rt.http2.messages import NO_LENGTH, REQUEST, RESPONSE, TRAILERS, Head, check
from tests.unit.http2.peers import GET, OK, FieldList, Pairs

METHOD, SCHEME, PATH, AUTHORITY = GET


def checked(kind: int, pairs: Pairs) -> Head:
    fields = FieldList(pairs)
    verdicts: list[object] = []
    for _ in range(2):  # What is noted on fields makes no difference.
        try:
            verdicts.append(vars_of(check(kind, 7, fields)))
        except StreamError as error:
            verdicts.append(str(error))
    assert verdicts[0] == verdicts[1]
    for each in (REQUEST, RESPONSE, TRAILERS):
        with contextlib.suppress(StreamError):
            check(each, 1, fields)
    return check(kind, 7, fields)


def vars_of(head: Head) -> tuple[int, int, bool]:
    return head.kind, head.length, head.interim


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
        (NO_LENGTH, (*GET, (b"user-agent", b""), (b"tracestate", b"a b"), (b"grpc-message", b"\x01"))),
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
    assert vars_of(head) == (REQUEST, length, False)


@pytest.mark.parametrize(
    ("reason", "pairs"),
    [
        ("without :method", GET[1:]),  # 8.3.1
        ("without :method, :scheme or :path", (METHOD, PATH)),
        ("without :method, :scheme or :path", (METHOD, SCHEME)),
        ("without :method, :scheme or :path", (METHOD, SCHEME, (b":path", b""))),
        ("without :method, :scheme or :path", (METHOD, PATH, (b":scheme", b""))),
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
        ("after a regular field", (*GET[:3], (b"te", b"trailers"), AUTHORITY)),
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
        *[("field value", (*GET, (b"user-agent", value))) for value in (b"x\0y", b"x\ry", b"x\ny")],
        *[("a blank", (*GET, (b"user-agent", value))) for value in (b" x", b"\tx", b"x ", b"x\t", b" ")],
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
    assert vars_of(head) == (RESPONSE, 3, interim)


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


@pytest.mark.parametrize("value", [b" x", b"x\t", b" "])
def test_a_blank_around_a_value_is_let_through_in_a_response(value: bytes) -> None:  # grpc-go sends it
    for name in (b"grpc-message", b"x"):
        assert checked(TRAILERS, ((name, value),)).kind == TRAILERS
        assert checked(RESPONSE, (*OK, (name, value))).kind == RESPONSE
    for pairs in (((b":status", b"200 "),), ((b"x", b"y"), (b":status", value)), (*OK, (b"te", b"trailers "))):
        with pytest.raises(StreamError):
            checked(RESPONSE, pairs)
    with pytest.raises(StreamError):
        checked(RESPONSE, (*OK, (b"content-length", b"1 ")))
    with pytest.raises(StreamError, match="after a regular field"):
        checked(RESPONSE, ((b"x", value), *OK))


def test_a_field_is_judged_once() -> None:
    fields = FieldList([*GET, (b"te", b"trailers"), (b"x", b"y")])
    check(REQUEST, 1, fields)
    (*pseudo, te, regular) = [field.role for field in fields]
    assert len({*pseudo, te, regular}) == 3
    assert 0 not in (*pseudo, te, regular)
