"""What the fields of a request say to a server."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from micro_rt.backends.grpc.requests import Request, read_request
from micro_rt.errors import Code
from micro_rt.http2.hpack import Decoder, Encoder, Field, Fields
from tests.unit.grpc.served import REQUEST, changed


def read(fields: Any) -> Request:
    return read_request(Fields([Field(name, value) for name, value in fields]))


def test_a_usual_request() -> None:
    request = read(changed(grpc_timeout=b"1500m", user_agent=b"x", key=b"value", data_bin=b64encode(b"\0\xff")))
    assert (request.path, request.content_subtype, request.timeout) == ("/test.Test/Call", "proto", 1.5)
    assert request.metadata.pairs == (("key", "value"), ("data-bin", b"\0\xff"))
    assert request.refusal is None
    assert not request.malformed
    assert request.response.fields == ((b":status", b"200"), (b"content-type", b"application/grpc"))


@pytest.mark.parametrize(
    ("content_type", "subtype", "answer"),
    [
        (b"application/grpc", "proto", b"application/grpc"),
        (b"application/grpc+proto", "proto", b"application/grpc"),
        (b"Application/gRPC+Acme; v=1", "acme", b"application/grpc+acme"),
    ],
)
def test_the_content_type_is_answered(content_type: bytes, subtype: str, answer: bytes) -> None:
    request = read(changed(content_type=content_type))
    assert (request.content_subtype, request.response.fields[1][1]) == (subtype, answer)


@pytest.mark.parametrize(
    ("fields", "http", "code"),
    [
        (changed(method=b"GET"), b"405", Code.UNKNOWN),
        (changed(method=b"HEAD"), b"405", Code.UNKNOWN),
        (changed(method=b"GET", content_type=b"text/html"), b"405", Code.UNKNOWN),
        (changed(content_type=b"text/html"), b"415", Code.UNKNOWN),
        (changed(content_type=b"application/grpc-web"), b"415", Code.UNKNOWN),
        ([pair for pair in REQUEST if pair[0] != b"content-type"], b"415", Code.UNKNOWN),
        (changed(grpc_encoding=b"br"), b"200", Code.UNIMPLEMENTED),
        (changed(grpc_timeout=b"soon"), b"200", Code.INVALID_ARGUMENT),
        (changed(grpc_timeout=b"999999999S"), b"200", Code.INVALID_ARGUMENT),
        (changed(grpc_timeout="٣S".encode()), b"200", Code.INVALID_ARGUMENT),
        (changed(data_bin=b"!!!"), b"200", Code.INVALID_ARGUMENT),
        (changed(data_bin=b"\xff\xff"), b"200", Code.INVALID_ARGUMENT),
    ],
)
def test_a_request_that_is_wrong(fields: Any, http: bytes, code: Code) -> None:
    request = read(fields)
    assert request.refusal is not None
    assert (request.response.fields[0], request.refusal.code) == ((b":status", http), code)


@pytest.mark.parametrize(("method", "text"), [(b"GET", True), (b"PUT", True), (b"HEAD", False), (b"POST", False)])
def test_who_asks_as_a_browser_does_gets_a_text(method: bytes, text: bool) -> None:
    assert bool(read(changed(method=method)).text) is text  # A response to HEAD has none (RFC 9110, section 9.3.2).


def test_a_request_that_is_not_grpc_ran_nothing() -> None:
    refusal = read(changed(grpc_encoding=b"br")).refusal
    assert refusal is not None
    assert not refusal.may_have_run


@pytest.mark.parametrize("path", [b"/a\x01b", b"/a\x7f", b"/a\x85", b"/\xa0"])
def test_a_path_with_a_control_character_is_malformed(path: bytes) -> None:
    assert read(changed(path=path)).malformed


@pytest.mark.parametrize(
    "name", ["data", "user_agent", "content_type", "grpc_timeout", "grpc_encoding", "traceparent", "x_bin"]
)
@pytest.mark.parametrize("value", [b"a\x01b", b"\x1b[2J", b"5S\x7f", b"\0"])
def test_a_field_with_a_control_character_is_malformed(name: str, value: bytes) -> None:
    assert read(changed(**{name: value})).malformed


def test_fields_that_are_not_metadata_are_left_out() -> None:
    fields = [(b"grpc-accept-encoding", b"gzip"), (b"te", b"trailers"), (b"content-length", b"5"), (b"host", b"x")]
    bad = [(b"a\x01", b"x"), (b"un(", b"x"), (b"good", b"Zo\xeb")]
    assert read([*REQUEST, *fields, *bad]).metadata.pairs == (("good", "Zo\xeb"),)


def test_values_that_are_joined_by_commas_are_several() -> None:
    pairs = read(changed(data_bin=b"AA,AQ==,")).metadata.pairs
    assert pairs == (("data-bin", b"\0"), ("data-bin", b"\1"), ("data-bin", b""))


def test_what_comes_again_is_read_once() -> None:
    encoder, decoder = Encoder(), Decoder()
    stable = [(b"authorization", b"Bearer " + b"x" * 40), (b"tenant", b"acme")]

    def block(trace: bytes) -> Any:
        return decoder.decode(
            encoder.encode([*REQUEST, *stable, (b"traceparent", trace)], stable=(b"authorization", b"tenant"))
        )

    first = read_request(block(b"1"))
    fields = block(b"2")
    read_before = [field for field in fields if field.note is not None]
    second = read_request(fields)
    assert [field.name for field in read_before][:6] == [name for name, _ in REQUEST]
    assert first.metadata["tenant"] == second.metadata["tenant"] == "acme"
    assert (first.metadata["traceparent"], second.metadata["traceparent"]) == ("1", "2")
