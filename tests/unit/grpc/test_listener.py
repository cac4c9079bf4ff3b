"""One port: what the first bytes decide, and where it listens."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest

from micro_rt.backends.grpc.server import listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.errors import FailedPrecondition
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from tests.helpers.waiting import eventually, soon
from tests.unit.grpc.served import echo, unary
from tests.unit.http2.peers import frames_of, settings


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address[5:])
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def all_of(reader: asyncio.StreamReader) -> bytes:
    return await soon(reader.read())


@pytest.mark.parametrize(
    ("first", "log"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "another protocol than HTTP/2"),
        (b"PATCH / HTTP/1.1\r\n", "another protocol than HTTP/2"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "TLS"),
    ],
)
async def test_who_speaks_http_1_or_tls_is_told_in_http_1_what_is_served_here(
    first: bytes, log: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listener = await listen("127.0.0.1:0", echo)
    reader, writer = await connect(listener.address)
    writer.write(first + bytes(100_000))
    head, _, body = (await all_of(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 505 ")
    assert b"connection: close" in head
    assert f"content-length: {len(body)}".encode() in head
    assert b"gRPC" in body
    writer.close()
    await listener.close()
    assert f"a connection is closed, because it speaks {log}" in caplog.text


@pytest.mark.parametrize(
    "first",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
        b"INVALID CONNECTION PREFACE\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"get / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\0",
    ],
)
async def test_a_wrong_preface_is_a_connection_error(  # RFC 9113, section 3.4
    first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listener = await listen("127.0.0.1:0", echo)
    reader, writer = await connect(listener.address)
    writer.write(first + bytes(100_000))
    (settings_frame, goaway) = frames_of(await all_of(reader))
    assert settings_frame == (4, 0, 0, b"")
    assert goaway[:3] == (7, 0, 0)
    assert goaway[3][:8] == pack(">II", 0, ErrorCode.PROTOCOL_ERROR)
    assert b"gRPC" in goaway[3][8:]
    writer.close()
    await listener.close()
    assert "a connection is closed, because it speaks another protocol than HTTP/2" in caplog.text


@pytest.mark.parametrize("first", [b"GET /", b"CONNECT x"])
async def test_a_request_of_http_1_may_come_byte_by_byte(first: bytes) -> None:
    listener = await listen("127.0.0.1:0", echo)
    reader, writer = await connect(listener.address)
    for byte in first:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await all_of(reader)).startswith(b"HTTP/1.1 505 ")
    writer.close()
    await listener.close()


async def test_the_preface_may_come_byte_by_byte() -> None:
    listener = await listen("127.0.0.1:0", echo)
    reader, writer = await connect(listener.address)
    for byte in PREFACE:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(settings() + unary(1, b"slowly"))
    assert b"slowly" in await soon(reader.readuntil(b"slowly"))
    writer.close()
    await listener.close()


async def test_who_says_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    listener = await listen("127.0.0.1:0", echo, ServerLimits(handshake=0.05))
    for first in (b"", PREFACE[:5], PREFACE):
        reader, writer = await connect(listener.address)
        writer.write(first)
        with suppress(ConnectionError):
            await all_of(reader)
        writer.close()
    await listener.close()
    assert "a connection is cut: it did not say in time what it speaks" in caplog.text


async def test_one_connection_more_than_the_limit_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen("127.0.0.1:0", echo, ServerLimits(connections=3))
    silent = await connect(listener.address)
    speaking = [await connect(listener.address) for _ in range(2)]
    for reader, writer in speaking:
        writer.write(PREFACE + settings() + unary(1, b"one of few"))
        await soon(reader.readuntil(b"one of few"))
    reader, writer = await connect(listener.address)
    with suppress(ConnectionError):
        assert await all_of(reader) == b""
    writer.close()
    assert [record.getMessage() for record in caplog.records] == [
        "a connection is closed: there are as many as the limit allows"
    ]
    speaking[0][1].close()
    silent[1].close()
    await eventually(lambda: len(listener._links) == 1)  # pyright: ignore[reportPrivateUsage]
    reader, writer = await connect(listener.address)
    writer.write(PREFACE + settings() + unary(1, b"in its place"))
    await soon(reader.readuntil(b"in its place"))
    for each in (writer, speaking[1][1]):
        each.close()
    await listener.close()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "greeter.sock"
    listener = await listen(f"unix:{path}", echo)
    assert listener.address == f"unix:{path}"
    reader, writer = await connect(listener.address)
    writer.write(PREFACE + settings() + unary(1, b"locally"))
    await soon(reader.readuntil(b"locally"))
    with pytest.raises(FailedPrecondition, match="cannot listen on unix:"):
        await listen(f"unix:{path}", echo)
    writer.close()
    await listener.close()
    assert not path.exists()


async def test_a_unix_socket_that_was_left_over_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "greeter.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.fspath(path))
        left.listen()
    assert path.exists()
    listener = await listen(f"unix:{path}", echo)
    path.unlink()
    path.write_text("of somebody else")
    await listener.close()
    assert path.read_text() == "of somebody else"


async def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("precious")
    for address in (f"unix:{path}", "unix:", f"unix:{tmp_path}/none/x", f"unix:{tmp_path}/{'x' * 200}", "unix:\0"):
        with pytest.raises(FailedPrecondition) as caught:
            await listen(address, echo)
        assert caught.value.id == "micro.listen_failed"
    assert path.read_text() == "precious"
    assert stat.S_ISREG(path.stat().st_mode)
