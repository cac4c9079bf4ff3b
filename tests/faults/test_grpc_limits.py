"""Each limit of our own gRPC server, attacked: the bound holds, the calls of others go on, and the log says why.

The limits are small here. An attack is made again and again while a good client calls on another connection: each of its
calls must succeed, and ``make verify`` notes how long they take. The log says what happened, once per second.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from time import perf_counter
from typing import Final, TypeAlias, TypeVar

import pytest

from micro_rt.backends.grpc.server_limits import SEND_PIECE, ServerLimits
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from micro_rt.http2.limits import Limits as Http2Limits
from tests.helpers.attacked import (
    CONTINUATION,
    DATA,
    ENDED,
    GOAWAY,
    HEADERS,
    PING,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_SETTING,
    WINDOW_UPDATE,
    Attacker,
    Deaf,
    Handler,
    Site,
    lines,
    request,
    reset,
    site,
)
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.unit.http2.peers import Block, raw, settings

PRIORITY, UNKNOWN = 2, 0xEE
TABLE_SETTING = 1
T = TypeVar("T")
CALM = ErrorCode.ENHANCE_YOUR_CALM

Attack: TypeAlias = Callable[[Site], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """An attack, with the limit that bounds it.

    Attributes:
        attack: attacks once, and checks the bound.
        limits: of the server.
        log: what the log says; empty if nothing is wrong with what the client does.
        handler: makes what serves the attacker's calls.
    """

    attack: Attack
    limits: ServerLimits
    log: str
    handler: Callable[[], Handler]


CASES: Final[dict[str, Case]] = {}


def bounded_by(
    name: str, limits: ServerLimits, log: str, handler: Callable[[], Handler] = Handler
) -> Callable[[Attack], Attack]:
    """Adds an attack to the cases, by the name of the limit."""

    def add(attack: Attack) -> Attack:
        assert name not in CASES
        CASES[name] = Case(attack, limits, log, handler)
        return attack

    return add


ELSEWHERE: Final[Mapping[str, str]] = {
    "age_grace": "tests/unit/grpc/test_server_ends.py: an old connection ends, and its calls after the grace",
    "keepalive_timeout": "with keepalive",
    "connection_window": "no client can exceed it, since it has room for the windows of all streams",
    "stream_buffer": "with replies",
    "connection_buffer": "with replies",
    "interval": "the time in which the others count",
    "send": "it bounds what handlers send",
    "sizes": "receive and send of a method",
    "compression": "no limit: receive holds for what is decompressed; tests/interop/test_compression.py has bombs",
    "largest": "receive of the method that takes most",
    "floods": "the limits of HTTP/2, each of which is here",
}
"""Limits that no attack is for, and why."""


def test_every_limit_is_attacked() -> None:
    names = {field.name for of in (ServerLimits, Http2Limits) for field in fields(of)}
    assert CASES.keys() | ELSEWHERE.keys() == names
    assert not CASES.keys() & ELSEWHERE.keys()


@pytest.mark.verify("calls")
@pytest.mark.parametrize("name", CASES)
async def test_the_bound_holds_and_others_go_on(
    name: str, size: Size, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    case = CASES[name]
    calls = size(2_000, ci=20)
    async with site(case.handler(), case.limits) as attacked:
        figures.add("p99 without attacks, ms", f"{await attacked.calls_beside(None, calls):.1f}")
        begin = perf_counter()
        figures.add("p99 beside them, ms", f"{await attacked.calls_beside(case.attack, calls):.1f}")
        seconds = perf_counter() - begin
    said = lines(caplog)
    assert all(case.log and case.log in line for line in said), said
    assert bool(said) == bool(case.log)
    assert len(said) <= 2 + 2 * seconds, "the log says it once per second"


# What a service can say


@bounded_by("streams", ServerLimits(streams=20), "more streams than the limit allows")
async def _more_calls(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(b"".join([request(number) for number in range(1, 43, 2)]))
    await eventually(lambda: attacker.frames(RST_STREAM))
    assert attacker.frames(RST_STREAM) == [(0, 41, uint32(ErrorCode.REFUSED_STREAM))]
    assert len(attacker.link.calls) <= 20


@bounded_by("header_list", ServerLimits(header_list=1_000), "a header list that is too large")
async def _large_headers(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(raw(HEADERS, 4, 1, Block.of([(b":method", b"POST"), (b"large", b"a" * 1_000)])))
    await eventually(lambda: attacker.frames(RST_STREAM))
    assert attacker.frames(RST_STREAM) == [(0, 1, uint32(CALM))]


@bounded_by("large_messages", ServerLimits(large_messages=300_000), "waits for its turn")
async def _large_messages(attacked: Site) -> None:
    attacker = await attacked.attack()
    begin = b"\0" + uint32(300_000) + bytes(10_000)
    await attacker.send(b"".join([request(number) + raw(DATA, 0, number, begin) for number in range(1, 41, 2)]))
    await eventually(lambda: [update for update in attacker.frames(WINDOW_UPDATE) if update[1]])
    await attacked.good_call()
    assert 0 < attacker.link._reserved <= 300_000
    assert len([update for update in attacker.frames(WINDOW_UPDATE) if update[1]]) == 1, "one has its turn"


@bounded_by("connections", ServerLimits(connections=4), "a connection is closed: there are as many")
async def _many_connections(attacked: Site) -> None:
    attackers = [await attacked.attack() for _ in range(8)]
    await eventually(lambda: sum(attacker.gone for attacker in attackers) == 5)
    assert len(attacked.listener._links) == 4


@bounded_by("begin", ServerLimits(begin=2), "")
async def _calls_in_a_row(attacked: Site) -> None:
    attacker, handler = await attacked.attack(), attacked.handler
    before = handler.begun
    with every_turn(lambda: handler.begun) as counts:
        await attacker.send(b"".join([request(number) for number in range(1, 121, 2)]))
        await eventually(lambda: handler.begun == before + 60)
    # Calls begin when data arrives, and in the turn after calls have begun: both may be the same turn.
    assert max(later - earlier for earlier, later in pairwise(counts)) <= 2 * 2


@bounded_by("waiting", ServerLimits(begin=1, waiting=5), "many of its calls wait to begin")
async def _calls_that_wait(attacked: Site) -> None:
    attacker, handler = await attacked.attack(), attacked.handler
    link, before = attacker.link, handler.begun
    with every_turn(lambda: (link.reading, len(link._backlog or ()))) as turns:
        await attacker.send(b"".join([request(number) for number in range(1, 201, 2)]))
        await eventually(lambda: handler.begun == before + 100)
    assert any(not reading for reading, _ in turns)
    for (reading, earlier), (_, later) in pairwise(turns):
        assert reading or later <= earlier, "more calls are taken while the connection is not read"


@bounded_by(
    "replies",
    ServerLimits(begin=4, replies=256 << 10),
    "it does not read its replies",
    lambda: Handler(lambda _: bytes(1 << 20)),
)
async def _replies_that_wait(attacked: Site) -> None:
    attacker = await attacked.attack(PREFACE + settings((WINDOW_SETTING, 0)) + raw(SETTINGS, 1))
    link = attacker.link
    with every_turn(lambda: link.http2.waiting) as waiting:
        for number in range(1, 81, 2):
            await attacker.send(request(number) + raw(DATA, ENDED, number, bytes(5)))
    assert 256 << 10 < max(waiting) <= (256 << 10) + 4 * 2 * SEND_PIECE


@bounded_by("handshake", ServerLimits(handshake=2.0), "it did not begin with HTTP/2 in time")
async def _no_settings(attacked: Site) -> None:
    await let_go(await attacked.attack(PREFACE))


@bounded_by("keepalive", ServerLimits(keepalive=1.0, keepalive_timeout=1.0), "it did not answer a PING in time")
async def _silence(attacked: Site) -> None:
    attacker = await attacked.attack()
    await let_go(attacker)
    assert [frame for frame in attacker.frames(PING) if not frame[0]], "the client was not asked"


@bounded_by("idle", ServerLimits(idle=0.5), "")
async def _no_calls(attacked: Site) -> None:
    await gentle_end(await attacked.attack())


@bounded_by("age", ServerLimits(age=0.5), "")
async def _an_old_connection(attacked: Site) -> None:
    await gentle_end(await attacked.attack())


@bounded_by("ping_interval", ServerLimits(ping_interval=600.0), "ENHANCE_YOUR_CALM: too_many_pings")
async def _pings_during_a_call(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(request(1))
    await ends(attacker, raw(PING, 0, 0, bytes(8)) * 4, b"too_many_pings")
    assert len(attacker.frames(PING)) == 4


@bounded_by("pings_without_calls", ServerLimits(ping_interval=0.0), "ENHANCE_YOUR_CALM: too_many_pings")
async def _pings_without_a_call(attacked: Site) -> None:
    await ends(await attacked.attack(), raw(PING, 0, 0, bytes(8)) * 4, b"too_many_pings")


@bounded_by("ping_strikes", ServerLimits(ping_strikes=0), "ENHANCE_YOUR_CALM: too_many_pings")
async def _the_second_ping(attacked: Site) -> None:
    await ends(await attacked.attack(), raw(PING, 0, 0, bytes(8)) * 2, b"too_many_pings")


@bounded_by("receive", ServerLimits(receive=1_000), "a message of 1001 bytes was announced; 1000 is the most")
async def _a_large_message(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(request(1) + raw(DATA, 0, 1, b"\0" + uint32(1_001) + bytes(500)))
    await eventually(lambda: attacker.frames(RST_STREAM))
    assert attacker.frames(RST_STREAM) == [(0, 1, uint32(ErrorCode.NO_ERROR))]
    assert not attacker.link.calls


# What HTTP/2 itself may cost


def floods(limits: Http2Limits) -> ServerLimits:
    """Returns limits of a server that has these of HTTP/2."""
    return ServerLimits(floods=limits, streams=limits.streams, ping_interval=0.0, pings_without_calls=True)


@bounded_by("header_block", floods(Http2Limits(header_block=20_000)), "a header block that is too large")
async def _a_large_block(attacked: Site) -> None:
    piece = b"\0\1x\x7f\x81\x7e" + b"a" * 16_000  # A field of 16,384 bytes: it does not end in this frame.
    data = raw(HEADERS, 0, 1, REQUEST + piece) + raw(CONTINUATION, 0, 1, b"a" * 10_000)
    await ends(await attacked.attack(), data, b"a header block that is too large")


@bounded_by("continuations", floods(Http2Limits(continuations=3)), "too many CONTINUATION frames")
async def _continuations(attacked: Site) -> None:
    data = raw(HEADERS, 0, 1, REQUEST) + raw(CONTINUATION, 0, 1, b"") * 4
    await ends(await attacked.attack(), data, b"too many CONTINUATION frames")


@bounded_by("header_table", floods(Http2Limits(header_table=1_000)), "a header block that HPACK does not allow")
async def _a_large_table(attacked: Site) -> None:
    attacker = await attacked.attack(PREFACE + settings((TABLE_SETTING, 1 << 20)) + raw(SETTINGS, 1))
    assert attacker.link.http2._encoder.max_table_size == 1_000
    size_update = b"\x3f\xca\x07"  # 1,001 bytes
    await ends(
        attacker,
        raw(HEADERS, 4, 1, size_update + REQUEST),
        b"a header block that HPACK does not allow",
        ErrorCode.COMPRESSION_ERROR,
    )


@bounded_by("frame", floods(Http2Limits(frame=20_000)), "a frame of 20001 bytes")
async def _a_large_frame(attacked: Site) -> None:
    attacker = await attacked.attack()
    await ends(attacker, raw(UNKNOWN, 0, 0, bytes(20_001))[:9], b"a frame of 20001 bytes", ErrorCode.FRAME_SIZE_ERROR)


@bounded_by("stream_window", ServerLimits(), "more DATA than the window of the stream", Deaf)
async def _more_than_the_window(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(request(1) + raw(DATA, 0, 1, bytes(16_384)) * 5)
    await eventually(lambda: attacker.frames(RST_STREAM))
    assert attacker.frames(RST_STREAM) == [(0, 1, uint32(ErrorCode.FLOW_CONTROL_ERROR))]


@bounded_by("closed_streams", floods(Http2Limits(closed_streams=10)), "")
async def _many_resets(attacked: Site) -> None:
    attacker = await attacked.attack()
    await attacker.send(b"".join([request(number) + reset(number) for number in range(1, 201, 2)]))
    await eventually(lambda: attacker.link.http2._highest == 199)
    assert len(attacker.link.http2._closed) == 10


@bounded_by(
    "opened",
    replace(floods(Http2Limits(opened=10_000, streams=12_000, interval=1e9)), waiting=12_000),
    "more streams opened than the limit allows",
)
async def _quick_calls(attacked: Site) -> None:  # More than the calls that the good client makes.
    data = b"".join([request(number) for number in range(1, 2 * 10_001 + 1, 2)])
    await ends(await attacked.attack(), data, b"more streams opened than the limit allows")


@bounded_by("refused", floods(Http2Limits(streams=5, refused=10, interval=1e9)), "than the limit allows")
async def _refused_calls(attacked: Site) -> None:
    data = b"".join([request(number) for number in range(1, 33, 2)])
    await ends(await attacked.attack(), data, b"more refused than the limit allows")


@bounded_by("resets", floods(Http2Limits(resets=10, interval=1e9)), "more resets than the limit allows")
async def _rapid_resets(attacked: Site) -> None:
    data = b"".join([request(number) + reset(number) for number in range(1, 23, 2)])
    await ends(await attacked.attack(), data, b"more resets than the limit allows")


@bounded_by("pings", floods(Http2Limits(pings=50, interval=1e9)), "more pings than the limit allows")
async def _pings(attacked: Site) -> None:
    await ends(await attacked.attack(), raw(PING, 0, 0, bytes(8)) * 51, b"more pings than the limit allows")


@bounded_by("settings", floods(Http2Limits(settings=5, interval=1e9)), "more settings than the limit allows")
async def _settings(attacked: Site) -> None:
    await ends(await attacked.attack(), settings() * 5, b"more settings than the limit allows")


@bounded_by("empty_frames", floods(Http2Limits(empty_frames=50, interval=1e9)), "more empty_frames than")
async def _empty_frames(attacked: Site) -> None:
    data = request(1) + raw(DATA, 0, 1, b"") * 60
    await ends(await attacked.attack(), data, b"more empty_frames than the limit allows")


@bounded_by("window_updates", floods(Http2Limits(window_updates=50, interval=1e9)), "more window_updates than")
async def _window_updates(attacked: Site) -> None:
    data = raw(WINDOW_UPDATE, 0, 0, uint32(1)) * 51
    await ends(await attacked.attack(), data, b"more window_updates than the limit allows")


@bounded_by("priorities", floods(Http2Limits(priorities=50, interval=1e9)), "more priorities than the limit allows")
async def _priorities(attacked: Site) -> None:
    data = raw(PRIORITY, 0, 1, bytes(5)) * 51
    await ends(await attacked.attack(), data, b"more priorities than the limit allows")


@bounded_by("ignored", floods(Http2Limits(ignored=50, interval=1e9)), "more ignored than the limit allows")
async def _frames_of_unknown_types(attacked: Site) -> None:
    await ends(await attacked.attack(), raw(UNKNOWN, 0, 0, b"x") * 51, b"more ignored than the limit allows")


# Helpers


def uint32(number: int) -> bytes:
    return number.to_bytes(4, "big")


async def ends(attacker: Attacker, data: bytes, text: bytes, code: ErrorCode = CALM) -> None:
    """Sends what is too much: the server ends the connection, and says why."""
    await attacker.send(data)
    assert await attacker.goaway() == (code, text)


async def let_go(attacker: Attacker) -> None:
    """Waits until the server has closed the connection."""
    await eventually(lambda: attacker.gone)


async def gentle_end(attacker: Attacker) -> None:
    """Waits until the server has said that the connection ends, for no fault of the client."""
    await eventually(lambda: attacker.frames(GOAWAY))
    _, _, payload = attacker.frames(GOAWAY)[0]
    assert payload[4:8] == uint32(ErrorCode.NO_ERROR)
    assert not attacker.gone


@contextmanager
def every_turn(look: Callable[[], T]) -> Iterator[list[T]]:
    """Collects what is seen in each turn of the event loop."""
    seen: list[T] = []

    async def collect() -> None:
        while True:
            seen.append(look())
            await asyncio.sleep(0)

    collecting = asyncio.create_task(collect())
    try:
        yield seen
    finally:
        collecting.cancel()
