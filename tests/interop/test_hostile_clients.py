"""Clients and proxies that do to a service of ours what HTTP/2 allows and few do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived
from h2.settings import SettingCodes

from tests.helpers.waiting import soon
from tests.interop.test_http2_peers import REQUEST, Peer, changed, client
from tests.protos.lab_pb2 import Text


@dataclass
class Reply:
    """What a call has got."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    """Of the header section, and of the trailers."""
    pieces: list[bytes] = field(default_factory=list[bytes])
    """What each DATA frame held."""


def framed(text: str) -> bytes:
    message = Text(value=text).SerializeToString()
    return b"\0" + len(message).to_bytes(4, "big") + message


async def replies(peer: Peer, count: int, *, window: int = 0, most: int = 0) -> dict[int, Reply]:
    """Reads until so many calls have ended; after each DATA frame but the last, gives its stream a window.

    Args:
        peer: that reads.
        count: of calls.
        window: bytes that it gives.
        most: bytes that each reply has: h2 refuses to give more to a stream that has ended.
    """
    found: dict[int, Reply] = {}
    ended = 0
    async for event in peer.events():
        if isinstance(event, ResponseReceived | TrailersReceived):
            headers: Any = event.headers
            assert event.stream_id is not None
            found.setdefault(event.stream_id, Reply()).fields.update(headers)
        elif isinstance(event, DataReceived):
            assert event.stream_id is not None
            assert event.data is not None
            found[event.stream_id].pieces.append(event.data)
            if window and sum(map(len, found[event.stream_id].pieces)) < most:
                peer.h2.increment_flow_control_window(window, event.stream_id)
        elif isinstance(event, StreamEnded):
            ended += 1
            if ended == count:
                return found
    raise AssertionError("the server hung up")


async def test_empty_data_frames_and_padding_are_nothing() -> None:
    message = framed("hi")
    async with client() as peer:
        for stream, path in ((1, "/lab.Lab/Act"), (3, "/lab.Lab/Talk")):
            peer.h2.send_headers(stream, changed(path=path))
            for position in range(len(message)):
                peer.h2.send_data(stream, b"")
                peer.h2.send_data(stream, message[position : position + 1], pad_length=position * 28)
                peer.h2.send_data(stream, b"", pad_length=9)
            peer.h2.send_data(stream, b"", end_stream=True)
        found = await soon(replies(peer, 2))
    assert {stream: reply.fields["grpc-status"] for stream, reply in found.items()} == {1: "0", 3: "0"}
    assert b"".join(found[1].pieces) == message
    assert b"".join(found[3].pieces) == framed("re: hi") + framed("bye")


@pytest.mark.parametrize("size", [0, 300])
async def test_windows_of_one_byte(size: int) -> None:
    message = framed("x" * size)
    async with client(INITIAL_WINDOW_SIZE=1) as peer:
        for stream in (1, 3):
            peer.h2.send_headers(stream, REQUEST)
            peer.h2.send_data(stream, message, end_stream=True)
        found = await soon(replies(peer, 2, window=1, most=len(message)))
    for reply in found.values():
        assert reply.fields["grpc-status"] == "0"
        assert [piece for piece in reply.pieces if piece] == [bytes([byte]) for byte in message]


async def test_settings_may_change_in_the_middle() -> None:
    changes: list[dict[SettingCodes | int, int]] = [
        {SettingCodes.INITIAL_WINDOW_SIZE: 3},
        {SettingCodes.HEADER_TABLE_SIZE: 0},
        {SettingCodes.MAX_FRAME_SIZE: 1 << 20, SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20},
        {SettingCodes.HEADER_TABLE_SIZE: 4096, SettingCodes.MAX_CONCURRENT_STREAMS: 1},
        {SettingCodes.HEADER_TABLE_SIZE: 100, SettingCodes.INITIAL_WINDOW_SIZE: 0},
    ]
    async with client() as peer:
        for number, stream in enumerate(range(1, 21, 2)):
            peer.h2.send_headers(stream, changed(sent_always="the same", sent_number=str(number % 2)))
            if number < len(changes):  # The call is open, and its reply is under the new settings.
                peer.h2.update_settings(changes[number])
            peer.h2.send_data(stream, framed("metadata"), end_stream=True)
            await peer.flush()
            peer.h2.increment_flow_control_window(1_000, stream)
            (reply,) = (await soon(replies(peer, 1))).values()
            assert b"".join(reply.pieces) == framed("metadata")
            assert reply.fields["grpc-status"] == "0"
            for section in ("head", "tail"):
                assert reply.fields[f"{section}-sent-always"] == "the same"
                assert reply.fields[f"{section}-sent-number"] == str(number % 2)


async def test_a_reply_that_waits_goes_on_when_settings_open_its_window() -> None:
    message = framed("x" * 1_000)
    async with client(INITIAL_WINDOW_SIZE=100) as peer:
        peer.h2.send_headers(1, REQUEST)
        peer.h2.send_data(1, message, end_stream=True)
        taken = 0
        pieces = bytearray()
        windows = iter([50, 400, 0, 2_000])  # Below what was taken, the window is negative (RFC 9113, section 6.9.2).

        async def read() -> None:
            nonlocal taken
            async for event in peer.events():
                if isinstance(event, DataReceived) and event.data:
                    pieces.extend(event.data)
                    taken += len(event.data)
                    if taken in (100, 400):
                        for _ in range(2):
                            peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: next(windows)})
                elif isinstance(event, StreamEnded):
                    return

        await soon(read())
    assert bytes(pieces) == message


async def test_a_table_of_size_0() -> None:
    async with client(HEADER_TABLE_SIZE=0) as peer:
        for stream in range(1, 11, 2):
            peer.h2.send_headers(stream, changed(sent_token="the same " * 5))
            peer.h2.send_data(stream, framed("metadata"), end_stream=True)
            (reply,) = (await soon(replies(peer, 1))).values()
            assert reply.fields["grpc-status"] == "0"
            assert reply.fields["head-sent-token"] == ("the same " * 5).strip()
        assert not peer.h2.decoder.header_table.dynamic_entries


async def test_what_is_no_call_is_answered_however_large_it_is() -> None:
    size, sent = 1 << 20, 0

    async def post(peer: Peer) -> Reply:
        nonlocal sent
        peer.h2.send_headers(1, changed(content_type="application/json"))
        events = peer.events()
        while sent < size:
            room = min(peer.h2.local_flow_control_window(1), 16_384, size - sent)
            if room:
                peer.h2.send_data(1, b"x" * room)
                sent += room
                await peer.flush()
            else:
                await anext(events)
        peer.h2.send_data(1, b"", end_stream=True)
        return (await replies(peer, 1))[1]

    async with client() as peer:
        reply = await soon(post(peer))
    assert reply.fields[":status"] == "415"
