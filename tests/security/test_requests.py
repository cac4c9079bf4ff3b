"""Whatever comes on a connection of a server: other connections are served, and asyncio has nothing to log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

import hpack
import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport, _Protocol
from micro_rt.http2.server import ServerConnection
from micro_rt.transport.base import ServerStream
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.handlers import Lab
from tests.helpers.site import Site
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text
from tests.security.rogue import PREFACE

names = st.sampled_from(
    [b"", b":", b":path", b":method", b"te", b"content-type", b"grpc-timeout", b"content-length", b"x-bin"]
)
fields = st.lists(
    st.tuples(
        names | st.binary(max_size=6),
        st.sampled_from([b"", b"POST", b"/lab.Lab/Act", b"application/grpc", b"9" * 5000, b"1S", b"-1", b"99999999H"])
        | st.binary(max_size=12),
    ),
    max_size=6,
)
streams = st.integers(1, 9)
flags = st.lists(st.sampled_from(["END_STREAM"]), max_size=1)


def _headers(stream: int, headers: list[tuple[bytes, bytes]], more: list[str]) -> bytes:
    return HeadersFrame(stream, hpack.Encoder().encode(headers), flags=["END_HEADERS", *more]).serialize()


frames = st.one_of(
    st.builds(_headers, streams, fields, flags),
    st.builds(
        lambda stream, data, more: DataFrame(stream, data, flags=more).serialize(),
        streams,
        st.binary(max_size=20),
        flags,
    ),
    st.builds(
        lambda stream, size: WindowUpdateFrame(stream, size).serialize(), st.integers(0, 9), st.integers(1, 2**31 - 1)
    ),
    st.builds(lambda stream, code: RstStreamFrame(stream, code).serialize(), streams, st.integers(0, 2**32 - 1)),
    st.builds(lambda stream, on: PriorityFrame(stream, depends_on=on).serialize(), streams, st.integers(0, 9)),
    st.builds(
        lambda key, value: SettingsFrame(0, {key: value}).serialize(), st.integers(0, 20), st.integers(0, 2**32 - 1)
    ),
    st.binary(min_size=9, max_size=40),
)


async def _send(address: str, data: bytes) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(ConnectionError):
        writer.write(PREFACE + SettingsFrame(0).serialize() + data)
        writer.write_eof()
        async with asyncio.timeout(0.2):
            while await reader.read(65536):
                pass
    writer.close()


async def _site(stack: AsyncExitStack) -> tuple[str, LabClient]:
    site = Site(stack)
    await site.open()
    node = await site.serve(Lab())
    await site.list(node)
    return node.address, LabClient(site.client)


def test_a_server_goes_on_whatever_comes_on_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        address, client = runner.run(_site(stack))
        try:

            @settings(
                deadline=None,
                max_examples=60,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            @given(st.lists(frames, max_size=5))
            @example([_headers(1, [(b"", b"x")], ["END_STREAM"])])
            def check(sent: list[bytes]) -> None:
                with suppress(TimeoutError):
                    runner.run(_send(address, b"".join(sent)))
                assert runner.run(client.act(Text(value="x"), timeout=10)).value == "x"
                assert not [record for record in caplog.records if record.name == "asyncio"]

            check()
        finally:
            runner.run(stack.aclose())


READING: Mapping[Engine, tuple[type, str]] = {
    GrpcTransport: (ServerConnection.__mro__[1], "_read"),
    GrpclibTransport: (_Protocol.__mro__[1], "data_received"),
}
"""What reads frames."""


@on_each_engine
async def test_a_connection_that_cannot_be_read_is_closed_and_logged_once_per_second(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def dispatch(stream: ServerStream) -> None:
        pass

    listener = await engine().listen("127.0.0.1:0", dispatch)

    def fail(*_: object) -> None:
        raise IndexError("a bug\nin what reads frames")

    monkeypatch.setattr(*READING[engine], fail)
    try:
        for _ in range(50):
            await _send(listener.address, b"")
    finally:
        await listener.close()
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(lines) <= 12
    assert "IndexError" in logging.Formatter().format(lines[0])


def test_a_frame_of_the_tests_is_one() -> None:
    frame, _ = Frame.parse_frame_header(memoryview(_headers(3, [(b"a", b"b")], [])[:9]))
    assert frame.stream_id == 3
