"""Hostile clients of our own gRPC server: what each costs is bounded, and the calls of others go on.

Each attack comes over a connection of its own while a good client calls on another. After each piece of the attack, a
call of the good client must succeed.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import logging

import pytest

from micro_rt.backends.grpc.server_limits import WINDOW, ServerLimits
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from micro_rt.http2.limits import Limits
from tests.helpers.attacked import (
    CONTINUATION,
    DATA,
    ENDED,
    HEADERS,
    PING,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_SETTING,
    WINDOW_UPDATE,
    Handler,
    lines,
    request,
    reset,
    site,
)
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually
from tests.unit.http2.peers import raw, settings

WITHOUT_END = ServerLimits(floods=Limits(interval=1e9))
"""Limits of floods that count without an end of the second: the machine may be slow."""


@pytest.mark.verify("calls")
async def test_rapid_reset(size: Size, caplog: pytest.LogCaptureFixture) -> None:
    count = size(200_000, ci=10_000)
    handler = Handler()
    async with site(handler, WITHOUT_END) as attacked:
        attacker = await attacked.attack()
        await attacker.send(b"".join([request(number) + reset(number) for number in range(1, 2 * count, 2)]))
        assert await attacker.goaway() == (ErrorCode.ENHANCE_YOUR_CALM, b"more resets than the limit allows")
        assert handler.begun < 20, "calls begin that are reset in the same read"
    assert lines(caplog) == ["ENHANCE_YOUR_CALM: more resets than the limit allows"]


@pytest.mark.verify("calls")
async def test_rapid_reset_after_the_calls_have_begun(size: Size) -> None:
    count = size(20_000, ci=500)
    handler = Handler()
    async with site(handler) as attacked:
        attacker = await attacked.attack()
        for start in range(1, 2 * count, 100):
            await attacker.send(b"".join([request(number) for number in range(start, start + 100, 2)]))
            await attacker.send(b"".join([reset(number) for number in range(start, start + 100, 2)]))
            if attacker.gone:  # It was too fast.
                break
        await eventually(lambda: not handler.running)
        assert handler.begun >= 50
        assert handler.most <= 100


async def test_a_message_announced_as_4_gib(caplog: pytest.LogCaptureFixture) -> None:
    async with site(Handler()) as attacked:
        attacker = await attacked.attack()
        await attacker.send(request(1) + raw(DATA, 0, 1, b"\0\xff\xff\xff\xff" + bytes(16_000)))
        await eventually(lambda: attacker.frames(RST_STREAM))
        assert attacker.frames(RST_STREAM) == [(0, 1, bytes(4))]
        (answer,) = attacker.frames(HEADERS)
        assert b"announced" in answer[2]
        assert not attacked.link.calls
        assert attacked.link._reserved == 0
        assert not [update for update in attacker.frames(WINDOW_UPDATE) if update[1]], "more of it was asked for"
    assert lines(caplog) == []


@pytest.mark.verify("calls")
async def test_20_000_streams(size: Size, caplog: pytest.LogCaptureFixture) -> None:
    count = size(20_000, ci=7_000)
    handler = Handler()
    async with site(handler, WITHOUT_END) as attacked:
        attacker = await attacked.attack()
        await attacker.send(b"".join([request(number) for number in range(1, 2 * count, 2)]))
        assert await attacker.goaway() == (ErrorCode.ENHANCE_YOUR_CALM, b"more refused than the limit allows")
        refused = [payload for _, _, payload in attacker.frames(RST_STREAM)]
        assert set(refused) == {bytes([0, 0, 0, 7])}
        assert len(refused) >= 5_000
        assert handler.most <= 1_000
        await eventually(lambda: not handler.running)
    assert lines(caplog) == ["ENHANCE_YOUR_CALM: more refused than the limit allows"]


@pytest.mark.verify("calls")
async def test_40_unfinished_messages_of_4_mib(size: Size) -> None:
    count = size(40, ci=8)
    limits = ServerLimits(large_messages=size(16 << 20, ci=9 << 20))
    whole = 4 << 20
    turns = limits.large_messages // (whole - WINDOW)
    async with site(Handler(), limits) as attacked:
        attacker = await attacked.attack()

        def granted() -> dict[int, int]:
            return {
                stream: int.from_bytes(payload, "big")
                for _, stream, payload in attacker.frames(WINDOW_UPDATE)
                if stream
            }

        def held() -> int:
            return sum(call._reader.held for call in attacked.link.calls if call._reader is not None)

        begin = b"\0" + whole.to_bytes(4, "big") + bytes(WINDOW - 5)
        pieces = [begin[start : start + 16_384] for start in range(0, WINDOW, 16_384)]
        for number in range(1, 2 * count, 2):
            await attacker.send(request(number) + b"".join([raw(DATA, 0, number, piece) for piece in pieces]))
        await eventually(lambda: len(granted()) == turns)
        for number, more in granted().items():
            assert more == whole + 5 - WINDOW
            await attacker.send(raw(DATA, 0, number, bytes(16_384)) * (more // 16_384))  # Its end never comes.
        await eventually(lambda: held() > turns * (whole - 16_384))
        assert held() <= limits.large_messages + count * WINDOW
        assert attacked.link._reserved <= limits.large_messages
        assert len(granted()) == turns
        assert len(attacked.link.calls) == count


@pytest.mark.parametrize(("count", "text"), [(50, b"too_many_pings"), (15_000, b"more pings than the limit allows")])
async def test_ping_flood(count: int, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with site(Handler(), WITHOUT_END) as attacked:
        attacker = await attacked.attack()
        await attacker.send(raw(PING, 0, 0, bytes(8)) * count)
        code, told = await attacker.goaway()
        assert code == ErrorCode.ENHANCE_YOUR_CALM
        assert told in (text, b"too_many_pings")  # Which limit is first depends on how much a read brings.
        assert len(attacker.frames(PING)) <= 5_000
    assert lines(caplog) == [f"ENHANCE_YOUR_CALM: {told.decode()}"]


async def test_continuation_flood(caplog: pytest.LogCaptureFixture) -> None:
    async with site(Handler()) as attacked:
        attacker = await attacked.attack()
        await attacker.send(raw(HEADERS, 0, 1, REQUEST) + raw(CONTINUATION, 0, 1, b"\0\1x\1y") * 10_000)
        assert await attacker.goaway() == (ErrorCode.ENHANCE_YOUR_CALM, b"too many CONTINUATION frames")
    assert lines(caplog) == ["ENHANCE_YOUR_CALM: too many CONTINUATION frames"]


async def test_zero_window_stall(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    handler = Handler(lambda _: bytes(1 << 20))
    async with site(handler, ServerLimits(replies=1 << 20)) as attacked:
        attacker = await attacked.attack(PREFACE + settings((WINDOW_SETTING, 0)) + raw(SETTINGS, 1))
        for start in range(1, 401, 40):
            some = range(start, start + 40, 2)
            await attacker.send(
                b"".join([request(number) + raw(DATA, ENDED, number, b"\0\0\0\0\0") for number in some])
            )
        assert (1 << 20) < attacked.link.http2.waiting <= (1 << 20) + 64 * (32 << 10)
        assert handler.most < 200, "nothing stopped the calls"
        assert len(attacked.link.http2.streams) == 200
    assert "it does not read its replies" in lines(caplog)


@pytest.mark.verify("calls")
async def test_silent_connections(size: Size, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    count = size(300, ci=20)
    async with site(Handler(), ServerLimits(handshake=0.3)) as attacked:
        attackers = [await attacked.attack(first) for first in (b"", PREFACE[:9], PREFACE) for _ in range(count)]
        await eventually(lambda: all(attacker.gone for attacker in attackers))
        assert not attacked.links
    assert {line.partition(": ")[2] or line for line in lines(caplog)} >= {
        "it did not say in time what it speaks",
        "it did not begin with HTTP/2 in time",
    }
