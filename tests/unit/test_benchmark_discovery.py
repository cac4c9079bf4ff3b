"""Discovery's benchmark counts what passes on the wire, however it is cut, and sees what follows a kill."""

from __future__ import annotations

from pathlib import Path

import h2.config
import h2.connection
import pytest

from benchmarks.discovery_killed import killed
from benchmarks.discovery_proxy import Counter
from benchmarks.measure import Plan

HTTP = (
    b"GET /v1/health/service/a?index=1&wait=300s HTTP/1.1\r\nHost: a\r\n\r\n"
    b'PUT /v1/agent/service/register HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n{"Name": "GET / HTTP/1.1 is not a query"}'
    b"PUT /v1/agent/check/pass/service:a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n"
)


def grpc() -> bytes:
    """Returns what a client sends that makes a call, and then sends two messages on one stream."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/etcdserverpb.KV/Range")]
    for stream, messages in ((1, 1), (3, 2)):
        connection.send_headers(stream, head)
        for _ in range(messages):
            connection.send_data(stream, b"\0\0\0\0\2hi")
        connection.ping(b"alive...")
        connection.send_data(stream, b"", end_stream=True)
    return connection.data_to_send()


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
@pytest.mark.parametrize(("sent", "requests"), [(HTTP, 4), (grpc(), 3), (b"", 0)], ids=["http", "grpc", "nothing"])
def test_requests_are_counted_however_the_bytes_are_cut(sent: bytes, requests: int, size: int) -> None:
    counter = Counter()
    for start in range(0, len(sent), size):
        counter.feed(sent[start : start + size])
    assert counter.requests == requests


def test_a_killed_node_is_seen_to_leave_and_no_idempotent_call_fails(tmp_path: Path) -> None:
    table = killed(Plan(quick=True, rounds=1), {"local": "local:"}, None, str(tmp_path))
    (row,) = table.rows
    cells = dict(zip(table.columns, row, strict=True))
    assert cells[""] == "local: micro-rt"
    assert cells["failed"] == "0" and int(cells["calls"].replace(",", "")) > 0
    assert float(cells["gone s"].partition(" ")[0]) > 0
