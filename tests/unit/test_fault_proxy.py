"""What the proxy of the fault tests does to connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from micro_rt.testing import FaultProxy
from tests.helpers.waiting import eventually

LONG = 30.0
"""Seconds for what must come; it comes at once."""
SHORT = 0.2
"""Seconds for what must not come."""


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self.address = ""
        self.arrived = bytearray()
        self.ended = asyncio.Event()
        self.how: type[Exception] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.arrived += data
                writer.write(data)
                await writer.drain()
            writer.write(b"<end>")
        except ConnectionError as error:
            self.how = type(error)
        finally:
            self.ended.set()
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    echo.address = f"{host}:{port}"
    yield echo
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(LONG):
        return await reader.readexactly(count)


async def nothing(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await reader.read(1)


async def test_passes_everything_on(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, writer):
        much = bytes(range(256)) * 65536
        reading = asyncio.create_task(said(reader, len(much)))
        writer.write(much)
        assert await reading == much
        assert proxy.connections == 1
        writer.write_eof()  # The other direction stays open.
        assert await said(reader, 5) == b"<end>"
        async with asyncio.timeout(LONG):
            assert await reader.read() == b""
        await eventually(lambda: proxy.connections, equals=0)


async def test_a_cut_resets_and_refuses(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, writer):
        address = proxy.address
        writer.write(b"one")
        assert await said(reader, 3) == b"one"
        await proxy.cut()
        with pytest.raises(ConnectionResetError):
            await said(reader, 1)
        async with asyncio.timeout(LONG):
            await echo.ended.wait()
        assert echo.how is ConnectionResetError
        assert proxy.connections == 0
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                async with connected(proxy):
                    pass
        await proxy.cut()
        await proxy.restore()
        assert proxy.address == address
        async with connected(proxy) as (reader, writer):
            writer.write(b"two")
            assert await said(reader, 3) == b"two"


async def test_a_cut_that_is_cancelled_goes_on(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy:
        for _ in range(2):
            cutting = asyncio.create_task(proxy.cut())
            await asyncio.sleep(0)  # It has begun.
            cutting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cutting
            await proxy.cut()
            with pytest.raises(ConnectionRefusedError):
                async with connected(proxy):
                    pass
            await proxy.restore()
            async with connected(proxy) as (reader, writer):
                writer.write(b"one")
                assert await said(reader, 3) == b"one"


async def test_a_connection_that_comes_during_a_cut_is_reset(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = FaultProxy._accept

    def accepts(self: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, self._server = self._server, None  # as while the listener is being closed
        accept(self, reader, writer)
        self._server = server

    monkeypatch.setattr(FaultProxy, "_accept", accepts)
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await said(reader, 1)
        await eventually(lambda: proxy.connections, equals=0)


async def test_a_black_hole_holds_both_directions(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"one")
        assert await said(reader, 3) == b"one"
        await proxy.black_hole()
        writer.write(b"two")
        async with connected(proxy) as (new_reader, new_writer):
            new_writer.write(b"new")
            await nothing(new_reader)
            await nothing(reader)
            assert echo.arrived == b"one"
            await proxy.restore()
            assert await said(reader, 3) == b"two"
            assert await said(new_reader, 3) == b"new"


async def test_an_end_is_not_seen_through_a_black_hole(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy:
        async with connected(proxy) as (reader, writer):
            writer.write(b"one")
            assert await said(reader, 3) == b"one"
            await proxy.black_hole()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await echo.ended.wait()
        await proxy.restore()
        async with asyncio.timeout(LONG):
            await echo.ended.wait()


async def test_a_black_hole_becomes_a_cut(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy:
        await proxy.black_hole()
        async with connected(proxy) as (reader, _):
            await nothing(reader)
            await proxy.cut()
            with pytest.raises(ConnectionResetError):
                await said(reader, 1)


async def test_a_black_hole_keeps_a_bounded_amount(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, writer):
        await proxy.black_hole()
        much = bytes(64 * 1024 * 1024)
        writer.write(much)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await writer.drain()
        await proxy.restore()
        assert await said(reader, len(much)) == much


async def test_a_delay_is_served_in_each_direction(echo: Echo) -> None:
    loop = asyncio.get_running_loop()
    async with FaultProxy(echo.address) as proxy, connected(proxy) as (reader, writer):
        await proxy.delay(0.2)
        start = loop.time()
        for letter in (b"a", b"b", b"c"):
            writer.write(letter)
            await asyncio.sleep(0.02)
        assert await said(reader, 3) == b"abc"
        assert loop.time() - start >= 0.4
        await proxy.delay(3600)
        writer.write(b"d")
        await nothing(reader)
        await proxy.restore()  # What is under way does not wait for a delay that has ended.
        assert await said(reader, 1) == b"d"


async def test_a_server_that_is_not_there_resets(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1:1") as proxy, connected(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await said(reader, 1)


async def test_the_end_of_the_block_ends_everything(echo: Echo) -> None:
    proxy = FaultProxy(echo.address)
    async with proxy:
        await proxy.black_hole()
        async with connected(proxy) as (reader, _):
            host, _, port = proxy.address.rpartition(":")
            await proxy.__aexit__(None, None, None)
            with pytest.raises(ConnectionResetError):
                await said(reader, 1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    with pytest.raises(RuntimeError, match="within its block"):
        _ = proxy.address
    with pytest.raises(RuntimeError, match="within its block"):
        await proxy.restore()


@pytest.mark.parametrize("target", ["", "8500", ":8500", "127.0.0.1", "127.0.0.1:http"])
def test_refuses_what_is_no_address(target: str) -> None:
    with pytest.raises(ValueError, match="host and port"):
        FaultProxy(target)


async def test_refuses_a_negative_delay(echo: Echo) -> None:
    async with FaultProxy(echo.address) as proxy:
        with pytest.raises(ValueError, match="negative"):
            await proxy.delay(-1.0)


async def test_what_connects_while_it_is_cut_off_is_closed() -> None:
    """A server of asyncio that is closed while it accepts a connection forgets it, and its socket stays open."""
    problems: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server, FaultProxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        host, _, port = proxy.address.rpartition(":")
        for turn in range(60):
            connecting = [asyncio.ensure_future(asyncio.open_connection(host, int(port))) for _ in range(4)]
            for _ in range(turn % 6):
                await asyncio.sleep(0)
            await proxy.cut()
            for connected in await asyncio.gather(*connecting, return_exceptions=True):
                if not isinstance(connected, BaseException):
                    connected[1].close()
                    with contextlib.suppress(OSError):
                        await connected[1].wait_closed()
            await proxy.restore()
    assert not problems
