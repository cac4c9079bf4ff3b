"""The headers that go-micro adds to a gRPC request.

``x-content-type`` comes with every request of a go-micro client, and marks it as one; ``timeout`` is the deadline in
nanoseconds, beside gRPC's own. Read from go-micro v5.8.0: ``client/grpc/grpc.go``, ``server/grpc/grpc.go``.
"""

from __future__ import annotations

from micro_rt.metadata import Metadata

__all__ = ["split_metadata", "with_headers"]

CONTENT_TYPE_KEY = "x-content-type"
TIMEOUT_KEY = "timeout"

_CONTENT_TYPE = (CONTENT_TYPE_KEY, "application/grpc+proto")


def with_headers(metadata: Metadata, timeout: float | None) -> Metadata:
    """Returns a request's metadata with what a go-micro client sends.

    Args:
        metadata: of the request.
        timeout: seconds until the deadline, if there is one.
    """
    if timeout is None:
        return Metadata.received((*metadata.pairs, _CONTENT_TYPE))
    return Metadata.received((*metadata.pairs, _CONTENT_TYPE, (TIMEOUT_KEY, str(max(0, int(timeout * 1e9))))))


def split_metadata(metadata: Metadata) -> tuple[Metadata, float | None] | None:
    """Returns the metadata without go-micro's headers, and the seconds of its ``timeout``; None if it is not from go-micro."""
    if not any(key == CONTENT_TYPE_KEY for key, _ in metadata.pairs):
        return None
    timeout: float | None = None
    pairs: list[tuple[str, str | bytes]] = []
    for key, value in metadata.pairs:
        if key == TIMEOUT_KEY:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
                timeout = int(value) / 1e9
        elif key != CONTENT_TYPE_KEY:
            pairs.append((key, value))
    return Metadata.received(pairs), timeout
