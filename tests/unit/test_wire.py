"""gRPC's wire rules: what is sent can be read, and what cannot be read is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from micro_rt.errors import Code, Error, FailedPrecondition, NotFound
from micro_rt.kit.net import join, split
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.transport.wire import (
    decode_metadata,
    decode_timeout,
    encode_metadata,
    encode_timeout,
    error_of_trailers,
    frame,
    size_of,
    trailers_of,
)


@given(st.floats(min_value=1e-9, max_value=1e7))
def test_a_timeout_arrives_hardly_shorter_and_never_longer(seconds: float) -> None:
    value = encode_timeout(seconds)
    assert len(value) <= 9
    assert seconds * (1 - 1e-5) - 1e-9 <= decode_timeout(value) <= seconds * (1 + 1e-9)


def test_a_timeout_of_ages_is_the_longest_there_is() -> None:
    assert encode_timeout(1e12) == "99999999S"


@pytest.mark.parametrize("value", ["", "1", "S", "-1S", "1.5S", "123456789S", "1s", "1S "])
def test_what_is_no_timeout_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not a gRPC timeout"):
        decode_timeout(value)


@given(st.text(), st.sampled_from([code for code in Code if code]), st.text(), st.text())
def test_an_error_survives_its_trailers(message: str, code: Code, id: str, detail: str) -> None:
    message, id, detail = (text.encode(errors="ignore").decode() for text in (message, id, detail))
    error = Error.of(code, message, id=id, details=[StringValue(value=detail)])
    headers = trailers_of(error, Metadata({"x-tail": "t"}))
    assert all(value.isascii() and value.isprintable() for _, value in headers)
    copy = error_of_trailers(dict(headers))
    assert copy is not None
    assert (type(copy), copy.message, copy.id, copy.details) == (type(error), message, id, error.details)
    assert dict(headers)["x-tail"] == "t"


def test_ok_has_no_error() -> None:
    assert error_of_trailers(dict(trailers_of(None, EMPTY))) is None


def test_trailers_without_a_sensible_status_are_an_unknown_error() -> None:
    for fields in ({}, {"grpc-status": "nonsense"}, {"grpc-status": "77"}):
        error = error_of_trailers(fields)
        assert error is not None
        assert error.code is Code.UNKNOWN


def test_details_that_cannot_be_read_leave_the_status() -> None:
    for details in ("%%%", "AAAA", "////"):
        error = error_of_trailers({"grpc-status": "5", "grpc-message": "m", "grpc-status-details-bin": details})
        assert isinstance(error, NotFound)
        assert (error.message, error.details) == ("m", ())


@given(st.lists(st.tuples(st.sampled_from(["a-bin", "b-bin"]), st.binary())))
def test_binary_metadata_survives(pairs: list[tuple[str, bytes]]) -> None:
    metadata = Metadata(pairs)
    assert decode_metadata(encode_metadata(metadata)).pairs == metadata.pairs


def test_metadata_is_what_is_not_the_protocols() -> None:
    headers = [
        (":path", "/x"),
        ("te", "trailers"),
        ("grpc-timeout", "1S"),
        ("content-length", "5"),
        ("user-agent", "somebody"),
        ("x", "1"),
        ("x", "2"),
        ("y-bin", "AQ,Ag=="),
    ]
    assert decode_metadata(headers).pairs == (("x", "1"), ("x", "2"), ("y-bin", b"\x01"), ("y-bin", b"\x02"))


def test_binary_metadata_that_is_not_base64_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base64|Base64|character"):
        decode_metadata([("x-bin", "!!!")])


def test_a_frame_has_its_length() -> None:
    assert frame(b"abc") == b"\x00\x00\x00\x00\x03abc"


@pytest.mark.parametrize(
    ("address", "parts"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("a.b:1", ("a.b", 1))]
)
def test_addresses_are_taken_apart_and_put_together(address: str, parts: tuple[str, int]) -> None:
    assert split(address) == parts
    assert join(*parts) == address


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":80", "host:", "host:http", "::1", "host:70000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(FailedPrecondition, match="is not an address: write host:port"):
        split(address)


@given(st.text(min_size=1), st.integers(1, 20_000), st.integers(0, 20_000), st.integers(2200, 16_000))
def test_an_error_that_is_too_long_fits_and_keeps_its_beginning(part: str, times: int, tail: int, room: int) -> None:
    part = part.encode(errors="ignore").decode() or "?"
    error = NotFound(part * times, id="lab.nothing")
    headers = trailers_of(error, Metadata({"x-tail": "t" * tail}), room)
    assert size_of(headers) <= room
    copy = error_of_trailers(dict(headers))
    assert isinstance(copy, NotFound)
    assert copy.id == "lab.nothing"
    kept = copy.message.removesuffix("...").rstrip("\N{REPLACEMENT CHARACTER}")
    assert error.message.startswith(kept)
    assert copy.message == error.message or len(quote(kept)) > 400
