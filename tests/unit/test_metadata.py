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
        ({"x": b"raw"}, TypeError, "'x' holds text, not bytes"),
        ({"x-bin": "text"}, TypeError, "'x-bin' ends in -bin, so its value must be bytes, not str"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(items: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Metadata(items)
