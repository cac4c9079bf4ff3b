"""What the answer of a server means."""

from __future__ import annotations

import pytest

from micro_rt.backends.grpc.replies import (
    error_of_head,
    error_of_reset,
    error_of_status,
    read_head,
    read_trailers,
)
from micro_rt.errors import (
    Cancelled,
    Code,
    DeadlineExceeded,
    Error,
    Internal,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    Unknown,
)
from micro_rt.http2.errors import StreamError
from micro_rt.http2.hpack import Field, Fields
from micro_rt.metadata import EMPTY

OK = (":status", "200")
GRPC = ("content-type", "application/grpc")


def fields(*pairs: tuple[str, str]) -> Fields:
    return Fields([Field(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs])


def test_a_head_is_read_once() -> None:
    section = fields(OK, GRPC, ("a", "1"), ("b-bin", "AQ"))
    head = read_head(section)
    assert read_head(section) is head
    assert head.ok
    assert list(head.metadata.pairs) == [("a", "1"), ("b-bin", b"\1")]
    assert read_head(fields(OK, GRPC)).metadata is EMPTY


def test_trailers_are_read_once() -> None:
    section = fields(("grpc-status", "0"), ("a", "1"))
    trailers = read_trailers(section)
    assert read_trailers(section) is trailers
    assert trailers.ok
    assert error_of_status(trailers, "/a.B/C", alone=False) is None
    assert list(trailers.metadata.pairs) == [("a", "1")]


def test_a_block_may_be_a_head_and_trailers() -> None:
    section = fields(("grpc-status", "0"))
    assert read_trailers(section).ok
    assert not read_head(section).ok
    assert read_trailers(section).ok


def test_a_status_in_the_head_is_the_whole_answer() -> None:
    head = read_head(fields(OK, GRPC, ("grpc-status", "5"), ("grpc-message", "no%20basket "), ("a", "1")))
    assert not head.ok
    assert head.trailers is not None
    error = error_of_status(head.trailers, "/a.B/C", alone=True)
    assert isinstance(error, NotFound)
    assert error.message == "no basket "
    assert list(head.trailers.metadata.pairs) == [("a", "1")]


@pytest.mark.parametrize("alone", [True, False])
def test_only_a_whole_answer_can_say_that_nothing_ran(alone: bool) -> None:
    trailers = read_trailers(fields(("grpc-status", "12"), ("grpc-message", "unknown service a.B")))
    error = error_of_status(trailers, "/a.B/C", alone=alone)
    assert isinstance(error, Unimplemented)
    assert error.may_have_run is not alone


@pytest.mark.parametrize(
    ("pairs", "error", "text"),
    [
        ([(":status", "404")], Unimplemented, "HTTP status 404"),
        ([(":status", "503"), GRPC], Unavailable, "HTTP status 503"),
        ([(":status", "204")], Unknown, "HTTP status 204"),
        ([OK, ("content-type", "text/html")], Unknown, "'text/html'"),
        ([OK, ("content-type", "\xe9" * 300)], Unknown, "…"),
        ([OK], Unknown, "does not speak gRPC: content-type ''"),
        ([OK, GRPC, ("a-bin", "!")], Internal, "cannot be read"),
        ([OK, GRPC, ("a", "\1")], Internal, "break the rules"),
        ([OK, ("content-type", "\x1b[31m")], Internal, "break the rules"),
    ],
)
def test_an_answer_that_is_not_grpcs(pairs: list[tuple[str, str]], error: type[Error], text: str) -> None:
    head = read_head(fields(*pairs))
    assert not head.ok
    assert head.trailers is None
    found = error_of_head(head, "/a.B/C", "host:1")
    assert type(found) is error
    assert text in found.message
    assert found.message.isprintable()
    assert len(found.message) < 300
    assert error_of_head(head, "/a.B/C", "host:1") is not found


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([], Unknown),
        ([("grpc-status", "")], Unknown),
        ([("grpc-status", "9" * 5000)], Unknown),
        ([("grpc-status", "0"), ("a-bin", "!")], Internal),
        ([("grpc-status", "0"), ("a", "\x7f")], Internal),
        ([("grpc-status", "5"), ("grpc-status-details-bin", "!!!")], NotFound),
        ([("grpc-status", "5"), ("grpc-message", "%ff%")], NotFound),
    ],
)
def test_trailers_that_cannot_be_read_are_an_error(pairs: list[tuple[str, str]], error: type[Error]) -> None:
    trailers = read_trailers(fields(*pairs))
    assert not trailers.ok
    assert type(error_of_status(trailers, "/a.B/C", alone=False)) is error


def of_reset(
    code: int, *, by_peer: bool = True, due: bool = False, of_connection: bool = False, problem: str = ""
) -> Error:
    fault = StreamError(1, code, "because", of_connection=of_connection)
    return error_of_reset(fault, "/a.B/C", "host:1", by_peer=by_peer, due=due, problem=problem)


def test_a_reset_is_an_answer_and_a_lost_connection_is_none() -> None:
    assert not of_reset(2).unanswered
    for by_peer in (True, False):
        error = of_reset(2, by_peer=by_peer, of_connection=True)
        assert isinstance(error, Unavailable)
        assert (error.id, error.unanswered, error.may_have_run) == ("micro.connection_lost", True, True)
        assert ("because" in error.message) is not by_peer
    assert "cut off" in of_reset(0, of_connection=True, problem="cut off").message


def test_a_stream_that_was_refused_did_not_run() -> None:
    error = of_reset(7)
    assert (error.code, error.id, error.may_have_run) == (Code.UNAVAILABLE, "micro.refused", False)


def test_a_server_that_sees_the_deadline_first() -> None:
    assert isinstance(of_reset(8), Cancelled)
    error = of_reset(8, due=True)
    assert isinstance(error, DeadlineExceeded)
    assert error.unanswered


def test_an_answer_against_the_rules_of_http2_is_ours_to_tell() -> None:
    assert isinstance(of_reset(1, by_peer=False), Internal)
    assert isinstance(of_reset(11, by_peer=False), ResourceExhausted)
    assert isinstance(of_reset(11), ResourceExhausted)
    assert "0x1234" in of_reset(0x1234).message
