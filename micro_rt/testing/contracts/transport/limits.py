"""How large messages may be, and how they are compressed, on transports that declare ``Capabilities.message_sizes``."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from micro_rt.context import CallInfo
from micro_rt.errors import EndOfStream, ResourceExhausted
from micro_rt.metadata import EMPTY
from micro_rt.testing.contracts.transport.harness import OTHER, PATH, TransportHarness
from micro_rt.transport.base import ServerStream, capabilities_of
from micro_rt.transport.limits import MessageRules, ServiceLimits, SupportsLimits

__all__ = ["LimitsContract"]


class LimitsContract(TransportHarness):
    """What a transport promises that declares ``message_sizes``. The tests are skipped for one that does not."""

    @pytest.mark.parametrize("streams", [False, True])
    @pytest.mark.parametrize("size", [1_000, 100_000])
    async def test_a_server_takes_and_sends_no_more_than_its_service_says(self, streams: bool, size: int) -> None:
        async with self._limited(ServiceLimits(max_message=size), ServiceLimits(max_message=2 * size)) as connection:
            assert len(await self._ask(connection, streams, size, size)) == size
            with pytest.raises(ResourceExhausted, match=str(size)):
                await self._ask(connection, streams, size + 1, 0)
            with pytest.raises(ResourceExhausted, match=str(size)):
                await self._ask(connection, streams, 0, size + 1)
            assert len(await self._ask(connection, streams, 0, 1)) == 1  # The connection goes on.

    @pytest.mark.parametrize("streams", [False, True])
    @pytest.mark.parametrize("size", [1_000, 100_000])
    async def test_a_client_sends_and_takes_no_more_than_its_service_says(self, streams: bool, size: int) -> None:
        async with self._limited(ServiceLimits(max_message=2 * size), ServiceLimits(max_message=size)) as connection:
            assert len(await self._ask(connection, streams, size, size)) == size
            with pytest.raises(ResourceExhausted, match=str(size)) as caught:
                await self._ask(connection, streams, size + 1, 0)
            assert caught.value.may_have_run is streams
            with pytest.raises(ResourceExhausted, match=str(size)):
                await self._ask(connection, streams, 0, size + 1)
            assert len(await self._ask(connection, streams, 0, 1)) == 1

    @pytest.mark.parametrize("streams", [False, True])
    async def test_a_call_may_have_limits_of_its_own(self, streams: bool) -> None:
        served, called = ServiceLimits(max_message=9_000_000), ServiceLimits(max_message=1_000)
        async with self._limited(served, called) as connection:
            large = MessageRules(5_000_000, 6_000_000)
            assert len(await self._ask(connection, streams, 5_000_000, 6_000_000, large)) == 6_000_000
            with pytest.raises(ResourceExhausted, match="5000000"):
                await self._ask(connection, streams, 5_000_001, 0, large)
            with pytest.raises(ResourceExhausted, match="6000000"):
                await self._ask(connection, streams, 0, 6_000_001, large)
            for request, reply, sizes in (
                (1_001, 0, MessageRules(None, 10)),
                (11, 0, MessageRules(10, None)),
                (0, 11, MessageRules(None, 10)),
            ):
                with pytest.raises(ResourceExhausted):
                    await self._ask(connection, streams, request, reply, sizes)
            assert len(await self._ask(connection, streams, 10, 1_000, MessageRules(10, None))) == 1_000

    @pytest.mark.parametrize("streams", [False, True])
    async def test_the_limits_of_a_path_count_for_the_server(self, streams: bool) -> None:
        def sizes(path: str) -> MessageRules | None:
            return MessageRules(5_000_000, None) if path == OTHER else None

        served = ServiceLimits(max_message=1_000, sizes=sizes, largest_request=5_000_000)
        async with self._limited(served, ServiceLimits(max_message=9_000_000)) as connection:
            assert len(await self._ask(connection, streams, 5_000_000, 1_000, path=OTHER)) == 1_000
            for request, reply, path in ((5_000_001, 0, OTHER), (0, 1_001, OTHER), (1_001, 0, PATH), (0, 1_001, PATH)):
                with pytest.raises(ResourceExhausted):
                    await self._ask(connection, streams, request, reply, path=path)

    @pytest.mark.parametrize("streams", [False, True])
    @pytest.mark.parametrize("compression", ["gzip", "deflate", ""])
    async def test_compressed_messages_travel_as_others_do(self, streams: bool, compression: str) -> None:
        served = ServiceLimits(max_message=3_000_000, compression=compression)
        async with self._limited(served, ServiceLimits(compression="gzip"), "compression") as connection:
            rules = MessageRules(compression=compression)
            for size in (0, 4, 255, 256, 40_000, 3_000_000):
                for own in (rules, None):
                    assert len(await self._ask(connection, streams, size, size, own)) == size
            for size, wanted in ((3_000_001, 0), (0, 3_000_001)):
                with pytest.raises(ResourceExhausted, match="3000000"):
                    await self._ask(connection, streams, size, wanted, rules)
            assert len(await self._ask(connection, streams, 4, 1, rules)) == 1

    @pytest.mark.parametrize("streams", [False, True])
    async def test_a_compressed_message_has_the_size_that_it_is_decompressed_to(self, streams: bool) -> None:
        served, called = ServiceLimits(max_message=9_000_000, compression="gzip"), ServiceLimits(max_message=2_000_000)
        async with self._limited(served, called, "compression") as connection:
            rules = MessageRules(3_000_000, 1_000_000, "gzip")
            assert len(await self._ask(connection, streams, 3_000_000, 1_000_000, rules)) == 1_000_000
            with pytest.raises(ResourceExhausted, match="1000000"):
                await self._ask(connection, streams, 0, 1_000_001, rules)
            with pytest.raises(ResourceExhausted, match="2000000"):
                await self._ask(connection, streams, 0, 2_000_001)

    # Helpers

    @contextlib.asynccontextmanager
    async def _limited(
        self, server: ServiceLimits, client: ServiceLimits, capability: str = "message_sizes"
    ) -> AsyncGenerator[Any]:
        """Listens with limits, and gives a connection with others."""
        transport = self.make()
        if capability == "compression" and not capabilities_of(transport).compression:
            pytest.skip("this transport does not compress messages")
        if not capabilities_of(transport).message_sizes:
            pytest.skip("this transport does not bound how large messages are")
        limited = cast("SupportsLimits", transport).limited
        listener = await limited(server).listen(self.address, _answer)
        connection = limited(client).connection(listener.address)
        assert connection.takes_sizes
        assert connection.compresses or capability != "compression"
        try:
            yield connection
        finally:
            await self.soon(connection.close())
            await self.soon(listener.close())

    async def _ask(
        self,
        connection: Any,
        streams: bool,
        size: int,
        wanted: int,
        sizes: MessageRules | None = None,
        *,
        path: str = PATH,
    ) -> bytes:
        """Sends a request of a size, and returns a reply of the size that is wanted: a call of one message or a stream."""
        request = wanted.to_bytes(4, "big") + bytes(size - 4) if size >= 4 else b""
        if wanted and not request:
            request = wanted.to_bytes(4, "big")
        own = () if sizes is None else (sizes,)
        if not streams:
            reply: bytes = await self.soon(connection.unary(path, "proto", EMPTY, None, CallInfo(), request, *own))
            return reply
        stream = await self.soon(connection.open(path, "proto", EMPTY, None, CallInfo(), *own))
        await self.soon(stream.send(request, end=True))
        message: bytes = await self.soon(stream.receive())
        with pytest.raises(EndOfStream):
            await self.soon(stream.receive())
        return message


async def _answer(stream: ServerStream) -> None:
    """Answers with as many bytes as the first four of the request say."""
    try:
        request = await stream.receive()
        await stream.send(bytes(int.from_bytes(request[:4], "big")))
    except ResourceExhausted as error:
        await stream.finish(error)
    else:
        await stream.finish(None)
