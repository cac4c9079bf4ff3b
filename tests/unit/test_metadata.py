"""What metadata may hold, and what it says of what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from micro_rt import Metadata


def test_it_is_a_mapping_that_keeps_repeated_keys() -> None:
    metadata = Metadata([("X-Tag", "a"), ("x-tag", "b"), ("x-raw-bin", b"\x00")])
    assert metadata["x-tag"] == "a"
    assert metadata["X-TAG"] == "a"
    assert metadata.all("x-tag") == ["a", "b"]
    assert dict(metadata) == {"x-tag": "a", "x-raw-bin": b"\x00"}
    assert len(metadata) == 2
    assert metadata == {"x-tag": "a", "x-raw-bin": b"\x00"}
    assert "nothing" not in metadata


def test_values_come_with_their_type() -> None:
    metadata = Metadata({"x-text": "t", "x-raw-bin": b"r"})
    assert metadata.text("x-text") == "t"
    assert metadata.text("x-raw-bin") is None
    assert metadata.binary("x-raw-bin") == b"r"
    assert metadata.binary("x-text", b"?") == b"?"
    assert metadata.text("x-none", "?") == "?"


def test_merged_leaves_the_original_alone() -> None:
    first = Metadata({"a": "1"})
    assert first.merged({"b": "2"}).pairs == (("a", "1"), ("b", "2"))
    assert first.pairs == (("a", "1"),)
    assert hash(first) == hash(Metadata({"a": "1"}))


def test_repeated_keys_survive_being_given_on() -> None:
    metadata = Metadata([("a", "1"), ("b", "2"), ("a", "3")])
    assert Metadata(metadata).pairs == metadata.pairs
    assert Metadata({"c": "4"}).merged(metadata).all("a") == ["1", "3"]


def test_it_is_equal_to_what_says_the_same() -> None:
    twice = Metadata([("a", "1"), ("a", "2")])
    assert twice != Metadata([("a", "1")])
    assert twice != Metadata([("a", "2"), ("a", "1")])
    assert twice == Metadata([("A", "1"), ("a", "2")])
    assert hash(twice) == hash(Metadata([("a", "1"), ("a", "2")]))
    assert len({twice, Metadata([("a", "1")])}) == 2


def test_the_order_of_keys_does_not_matter() -> None:
    one, other = Metadata([("a", "1"), ("b", "2"), ("a", "3")]), Metadata([("a", "1"), ("a", "3"), ("b", "2")])
    assert one == other
    assert hash(one) == hash(other)


def test_another_mapping_is_equal_that_reads_the_same() -> None:
    assert Metadata({"X-A": "1", "x-b-bin": b"2"}) == {"x-b-bin": b"2", "x-a": "1"}
    assert Metadata([("a", "1"), ("a", "2")]) == {"a": "1"}
    assert Metadata([("a", "1"), ("a", "2")]) != {"a": "2"}
    assert Metadata({"a": "1"}) != {"a": "2"}
    assert Metadata({"a": "1"}) != {"A": "1"}
    assert Metadata() == {}
    assert Metadata({"a": "1"}) != [("a", "1")]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ({"sp ace": "x"}, ValueError, "metadata key 'sp ace'"),
        ({"": "x"}, ValueError, "metadata key ''"),
        ({"grpc-timeout": "x"}, ValueError, "'grpc-timeout' is reserved by gRPC"),
        ({"te": "x"}, ValueError, "'te' is reserved"),
        ({"Content-Length": "1"}, ValueError, "'Content-Length' is reserved by gRPC or HTTP"),
        ({"transfer-encoding": "x"}, ValueError, "'transfer-encoding' is reserved"),
        ({"keep-alive": "x"}, ValueError, "'keep-alive' is reserved"),
        ({"proxy-connection": "x"}, ValueError, "'proxy-connection' is reserved"),
        ({"upgrade": "x"}, ValueError, "'upgrade' is reserved"),
        ({"x": "line\nbreak"}, ValueError, "'x': its value must be printable ASCII"),
        ({"x": "ü"}, ValueError, "printable ASCII"),
        ("abc", TypeError, "a mapping of keys to values, or pairs of them, not str"),
        (b"abc", TypeError, "or pairs of them, not bytes"),
        (5, TypeError, "or pairs of them, not int"),
        (None, TypeError, "or pairs of them, not NoneType"),
        (["ab"], TypeError, "made of \\(key, value\\) pairs; one item, of type str, is none"),
        ([("a", "1"), ("b", "2", "3")], TypeError, "one item, of type tuple, is none"),
        (("a", "b"), TypeError, "one item, of type str, is none"),
        ({1: "a"}, TypeError, "metadata keys are text, not int: 1"),
        ([(b"x", "a")], TypeError, "metadata keys are text, not bytes: b'x'"),
        ({"x": None}, TypeError, "'x' holds text, not NoneType"),
        ({"x": b"raw"}, TypeError, "'x' holds text, not bytes"),
        ({"x-bin": "text"}, TypeError, "'x-bin' ends in -bin, so its value must be bytes, not str"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(items: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Metadata(items)


def test_what_was_received_can_be_sent_on_however_it_is_put_together() -> None:
    received = Metadata.received([("name", "Zo\xc3\xab"), ("tab", "a\tb"), ("x", "1"), ("y-bin", b"\n")])
    assert Metadata(received).pairs == received.pairs
    assert Metadata({**received, "own": "2"}).pairs == (*received.pairs, ("own", "2"))
    assert Metadata([pair for pair in received.pairs if pair[0] != "x"]).text("name") == "Zo\xc3\xab"
    assert Metadata({"own": "2"}).merged(received)["name"] == "Zo\xc3\xab"
    with pytest.raises(ValueError, match="printable ASCII"):
        Metadata({"name": "Zo\xc3\xab"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "\n", "\0", "\x1b[0m", "\x7f"])
def test_what_no_peer_may_send_is_left_out_of_what_was_received(value: str) -> None:
    assert Metadata.received([("x", value), ("y", "1")]).pairs == (("y", "1"),)


@pytest.mark.parametrize("key", ["", "Upper", "sp ace", "new\nline", ":path"])
def test_a_key_that_no_peer_may_send_is_left_out_of_what_was_received(key: str) -> None:
    assert Metadata.received([(key, "1"), ("y", "1")]).pairs == (("y", "1"),)
