"""Frames on the wire (RFC 9113, sections 4 and 6), and SETTINGS (section 6.5)."""

from __future__ import annotations

import pytest

from micro_rt.http2 import frames
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError
from micro_rt.http2.settings import PeerSettings, pack_settings, read_settings
from tests.unit.http2.peers import frames_of, raw


def test_a_frame_begins_with_nine_bytes() -> None:  # 4.1
    assert frames.frame(frames.PING, frames.ACK, 0, b"12345678") == b"\0\0\x08\x06\x01\0\0\0\x00" + b"12345678"
    assert frames.frame(frames.DATA, 0, 0x7FFF_FFFF, b"x" * 70_000)[:9] == b"\x01\x11\x70\0\0\x7f\xff\xff\xff"
    assert frames.read_header(b"?\0\0\x08\x06\x01\0\0\0\x07", 1) == (8 << 8 | frames.PING, 1, 7)


def test_numbers_have_31_bits() -> None:  # 4.1, 6.9
    assert frames.uint32(b"\xff\xff\xff\xff") == 2**31 - 1
    assert frames.uint32(b"..\x80\0\0\x05", 2) == 5


@pytest.mark.parametrize(
    ("kind", "stream", "size", "code"),
    [
        (frames.DATA, 0, 1, ErrorCode.PROTOCOL_ERROR),  # 6.1
        (frames.HEADERS, 0, 1, ErrorCode.PROTOCOL_ERROR),  # 6.2
        (frames.PRIORITY, 0, 5, ErrorCode.PROTOCOL_ERROR),  # 6.3
        (frames.RST_STREAM, 0, 4, ErrorCode.PROTOCOL_ERROR),  # 6.4
        (frames.RST_STREAM, 1, 3, ErrorCode.FRAME_SIZE_ERROR),  # 6.4
        (frames.RST_STREAM, 1, 5, ErrorCode.FRAME_SIZE_ERROR),  # 6.4
        (frames.SETTINGS, 1, 0, ErrorCode.PROTOCOL_ERROR),  # 6.5
        (frames.PUSH_PROMISE, 0, 4, ErrorCode.PROTOCOL_ERROR),  # 6.6
        (frames.PING, 1, 8, ErrorCode.PROTOCOL_ERROR),  # 6.7
        (frames.PING, 0, 7, ErrorCode.FRAME_SIZE_ERROR),  # 6.7
        (frames.PING, 0, 9, ErrorCode.FRAME_SIZE_ERROR),  # 6.7
        (frames.GOAWAY, 1, 8, ErrorCode.PROTOCOL_ERROR),  # 6.8
        (frames.GOAWAY, 0, 7, ErrorCode.FRAME_SIZE_ERROR),  # 6.8
        (frames.WINDOW_UPDATE, 0, 3, ErrorCode.FRAME_SIZE_ERROR),  # 6.9
        (frames.WINDOW_UPDATE, 1, 5, ErrorCode.FRAME_SIZE_ERROR),  # 6.9
        (frames.CONTINUATION, 0, 1, ErrorCode.PROTOCOL_ERROR),  # 6.10
    ],
)
def test_a_frame_of_a_wrong_shape_ends_the_connection(kind: int, stream: int, size: int, code: ErrorCode) -> None:
    with pytest.raises(FatalError) as caught:
        frames.check_shape(kind, stream, size)
    assert caught.value.code == code


def test_a_priority_of_a_wrong_length_ends_its_stream() -> None:  # 6.3
    with pytest.raises(StreamError) as caught:
        frames.check_shape(frames.PRIORITY, 3, 4)
    assert (caught.value.stream_id, caught.value.code) == (3, ErrorCode.FRAME_SIZE_ERROR)


@pytest.mark.parametrize(
    ("kind", "stream", "size"),
    [
        *[(frames.DATA, 1, 0), (frames.HEADERS, 1, 0), (frames.PRIORITY, 1, 5), (frames.RST_STREAM, 1, 4)],
        *[(frames.SETTINGS, 0, 6), (frames.PING, 0, 8), (frames.GOAWAY, 0, 8), (frames.GOAWAY, 0, 800)],
        *[(frames.WINDOW_UPDATE, 0, 4), (frames.WINDOW_UPDATE, 1, 4), (0x77, 0, 3), (0x77, 1, 0)],
    ],
)
def test_a_frame_of_a_right_shape_passes(kind: int, stream: int, size: int) -> None:
    frames.check_shape(kind, stream, size)


def test_padding_is_taken_off() -> None:  # 6.1
    assert frames.unpadded(b"\x03data\0\0\0") == b"data"
    assert frames.unpadded(b"\x00data") == b"data"
    assert frames.unpadded(b"\x02\0\0") == b""


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", ErrorCode.FRAME_SIZE_ERROR),
        (b"\x01", ErrorCode.PROTOCOL_ERROR),
        (b"\x05data", ErrorCode.PROTOCOL_ERROR),
        (b"\xff", ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_padding_longer_than_its_frame_is_an_error(payload: bytes, code: ErrorCode) -> None:  # 6.1
    with pytest.raises(FatalError) as caught:
        frames.unpadded(payload)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 21, 35])
def test_a_block_is_cut_into_continuations(size: int) -> None:  # 4.3
    block = bytes(range(size))
    cut = frames_of(b"".join(frames.block_frames(5, block, frames.END_STREAM, 10)))
    assert b"".join([payload for *_, payload in cut]) == block
    assert [kind for kind, *_ in cut] == [frames.HEADERS] + [frames.CONTINUATION] * (len(cut) - 1)
    assert [bool(flags & frames.END_HEADERS) for _, flags, *_ in cut] == [False] * (len(cut) - 1) + [True]
    assert [bool(flags & frames.END_STREAM) for _, flags, *_ in cut] == [True] + [False] * (len(cut) - 1)
    assert {stream for _, _, stream, _ in cut} == {5}
    assert all(len(payload) <= 10 for *_, payload in cut)


def test_control_frames_are_written_as_the_sections_say() -> None:
    assert frames.window_update(3, 1000) == raw(8, 0, 3, (1000).to_bytes(4, "big"))  # 6.9
    assert frames.rst_stream(3, 8) == raw(3, 0, 3, (8).to_bytes(4, "big"))  # 6.4
    assert frames.goaway(5, 11, b"calm") == raw(7, 0, 0, b"\0\0\0\x05\0\0\0\x0bcalm")  # 6.8


def test_settings_are_read_as_they_are_written() -> None:  # 6.5.1
    values = {1: 0, 2: 1, 3: 7, 4: 2**31 - 1, 5: 2**24 - 1, 6: 2**32 - 1, 0xFFFF: 3}
    assert read_settings(pack_settings(values)) == list(values.items())
    assert PeerSettings().updated(values) == PeerSettings(0, 1, 7, 2**31 - 1, 2**24 - 1, 2**32 - 1)
    assert PeerSettings().updated({}) == PeerSettings()


def test_settings_are_read_in_their_order() -> None:  # 6.5.3
    assert read_settings(pack_settings({4: 1, 3: 5}) + pack_settings({4: 2})) == [(4, 1), (3, 5), (4, 2)]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\0\x04\0\0\0", ErrorCode.FRAME_SIZE_ERROR),  # 6.5
        (pack_settings({2: 2}), ErrorCode.PROTOCOL_ERROR),  # 6.5.2
        (pack_settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (pack_settings({5: 2**14 - 1}), ErrorCode.PROTOCOL_ERROR),
        (pack_settings({5: 2**24}), ErrorCode.PROTOCOL_ERROR),
        (pack_settings({4: 2**31}) + pack_settings({4: 1}), ErrorCode.FLOW_CONTROL_ERROR),
    ],
)
def test_an_illegal_setting_ends_the_connection(payload: bytes, code: ErrorCode) -> None:
    with pytest.raises(FatalError) as caught:
        read_settings(payload)
    assert caught.value.code == code
