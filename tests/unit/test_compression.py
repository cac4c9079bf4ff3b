"""Messages, compressed and decompressed, by each algorithm."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from micro_rt.errors import Internal, ResourceExhausted
from micro_rt.transport.compression import ACCEPTED, compress, compression_of, decompress
from tests.helpers.waiting import PATIENCE

MIB = 1 << 20
TEXT = b"all work and no play makes Jack a dull boy\n"

each = pytest.mark.parametrize("name", ACCEPTED)


async def taken(name: str, message: bytes, limit: int = 4 * MIB) -> bytes:
    return await decompress(name, message, limit, "/a.B/C", "allow more")


def test_all_algorithms_are_there() -> None:
    assert ACCEPTED == ("gzip", "deflate", "zstd")


@each
@pytest.mark.parametrize("size", [0, 1, 255, 32 << 10, (32 << 10) + 1, 300_000, 3 * MIB])
async def test_a_message_comes_out_as_it_went_in(name: str, size: int) -> None:
    message = random.Random(size).randbytes(size // 2) + (TEXT * (size // len(TEXT) + 1))[: size - size // 2]
    packed = await compress(name, message)
    assert await taken(name, packed) == message
    assert await taken(name, packed, max(size, 1)) == message, "the limit itself is allowed"


def test_others_read_what_is_written_and_the_reverse() -> None:
    async def check() -> None:
        assert gzip.decompress(await compress("gzip", TEXT)) == TEXT
        assert zlib.decompress(await compress("deflate", TEXT)) == TEXT
        assert await taken("gzip", gzip.compress(TEXT)) == TEXT
        assert await taken("deflate", zlib.compress(TEXT)) == TEXT

    asyncio.run(check())


@each
@pytest.mark.parametrize("limit", [100, 256 << 10, 4 * MIB])
async def test_a_bomb_is_refused_in_little_memory(name: str, limit: int) -> None:
    bomb = await compress(name, bytes(256 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(ResourceExhausted, match=f"come to more than {limit}; .* allow more"):
            await taken(name, bomb, limit)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * limit + MIB


@each
@pytest.mark.parametrize("size", [1000, 300_000])
async def test_one_byte_more_than_the_limit_is_refused(name: str, size: int) -> None:
    packed = await compress(name, bytes(size))
    assert len(await taken(name, packed, size)) == size
    with pytest.raises(ResourceExhausted):
        await taken(name, packed, size - 1)


@each
async def test_what_is_broken_is_an_error(name: str) -> None:
    message = random.Random(5).randbytes(500)
    packed = await compress(name, message)
    broken = [packed[:size] for size in range(len(packed) - 1)]
    for followed in (packed + b"\0", packed + packed):
        with pytest.raises(Internal, match="something follows it"):
            await taken(name, followed)
    broken += [b"\xff" * 20, TEXT]
    chance = random.Random(6)
    for _ in range(200):
        changed = bytearray(packed)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        broken.append(bytes(changed))
    refused = 0
    for wrong in broken:
        try:
            found = await taken(name, wrong)
        except (Internal, ResourceExhausted) as error:
            assert "/a.B/C" in str(error)
            refused += 1
        else:
            assert found == message, "only what does not matter was changed"
    assert refused > len(packed)


async def test_zstd_with_a_window_that_nobody_must_have_is_refused() -> None:
    zstd = pytest.importorskip("backports.zstd")
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    with pytest.raises(Internal, match="too much memory"):
        await taken("zstd", zstd.compress(bytes(200 * MIB), options=options), 1 << 30)


@each
async def test_the_event_loop_goes_on_while_a_large_message_is_worked_on(name: str) -> None:
    message = random.Random(7).randbytes(4 * MIB)
    turns = 0
    enough = threading.Event()

    class Waits(ThreadPoolExecutor):
        """Works once the event loop has had some turns: in the loop itself, the work would be done after one."""

        def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
            def work() -> Any:
                assert enough.wait(PATIENCE)
                return function(*arguments, **options)

            return super().submit(work)

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            if turns > 2:
                enough.set()
            await asyncio.sleep(0)

    asyncio.get_running_loop().set_default_executor(Waits())
    other = asyncio.create_task(turning())
    await asyncio.sleep(0)
    packed = await compress(name, message)
    compressing, turns = turns, 0
    enough.clear()
    assert await taken(name, packed, 5 * MIB) == message
    other.cancel()
    # In the event loop, it would get one turn of each.
    assert compressing > 2
    assert turns > 2


def test_a_name_is_checked() -> None:
    assert [compression_of(name) for name in ("gzip", "", "identity")] == ["gzip", "", ""]
    with pytest.raises(ValueError, match="compression 'br' is unknown; there are gzip, deflate, zstd, and '' for none"):
        compression_of("br")
