"""Whatever a server answers, and whatever a transport raises: a stub raises ``micro.Error`` and nothing else."""

from __future__ import annotations

import asyncio
import uuid
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.context import CallInfo
from micro_rt.metadata import Metadata
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.status_pb2 import GoMicroError, Status
from micro_rt.transport.base import ClientStream, Connection, Dispatch, Listener, decode_error
from micro_rt.transport.wire import error_of_trailers
from tests.helpers.site import Site
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text
from tests.security.rogue import Fields, Reply, Rogue, rogue_server

HEADERS: Fields = [(b":status", b"200"), (b"content-type", b"application/grpc")]
OK: Fields = [(b"grpc-status", b"0")]
DEEP = '{"a":' + "[" * 100_000

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [DEEP, '{"code":' + "1" * 5000 + "}", "{}"]
)
details = st.builds(
    lambda code, message, packed: Status(
        code=code, message=message, details=[AnyMessage(type_url=url, value=value) for url, value in packed]
    ).SerializeToString(),
    st.integers(-(2**31), 2**31 - 1),
    texts,
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "type.googleapis.com/google.rpc.ErrorInfo",
                    "type.googleapis.com/errors.Error",
                    "type.googleapis.com/lab.Text",
                    "type.googleapis.com/google.protobuf.Struct",
                    "type.googleapis.com/google.protobuf",
                    "/",
                ]
            )
            | st.text(st.characters(codec="utf-8"), max_size=20),
            st.binary(max_size=30) | st.builds(lambda text: GoMicroError(id=text, code=7).SerializeToString(), texts),
        ),
        max_size=3,
    ),
)
statuses = st.sampled_from(
    ["0", "1", "12", "17", "9" * 5000, "-1", "²", "٣", " 5", "", "1e3", "0x10", "nan"]
) | st.text(max_size=6)


@settings(deadline=None, max_examples=300)
@given(statuses, texts, details | st.binary(max_size=40), st.sampled_from(["", "/lab.Lab/Act"]))
@example("9" * 5000, "", b"", "")
@example("13", DEEP, b"", "")
def test_every_status_is_read_as_an_error(status: str, message: str, packed: bytes, path: str) -> None:
    fields = {
        "grpc-status": status,
        "grpc-message": quote(message),
        "grpc-status-details-bin": b64encode(packed).decode(),
    }
    error = error_of_trailers(fields, path)
    assert (error is None) == (status == "0")
    assert error is None or (isinstance(error, micro.Error) and error.code in micro.Code)
    assert isinstance(decode_error(packed), micro.Error)


def test_a_message_that_echoes_what_a_user_sent_stays_as_it_is() -> None:
    message = '{"a":' + "[" * 1200
    error = error_of_trailers({"grpc-status": "3", "grpc-message": message})
    assert isinstance(error, micro.InvalidArgument)
    assert error.message == message


@pytest.mark.parametrize("status", ["9" * 5000, "²", "٣", "-5", " 5", "5 ", "1_0"])
def test_a_status_that_is_not_a_number_is_unknown(status: str) -> None:
    assert type(error_of_trailers({"grpc-status": status})) is micro.Unknown


# Every byte of a reply

names = st.sampled_from([b"", b":", b":status", b"grpc-status", b"grpc-message", b"x", b"content-type", b"x-bin"])
raw_fields = st.lists(
    st.tuples(
        names | st.binary(max_size=10),
        st.sampled_from(
            [b"", b"200", b"0", b"13", b"9" * 5000, b"application/grpc", b"=", b"a,b", DEEP[:3000].encode()]
        )
        | st.binary(max_size=20),
    ),
    max_size=4,
)
heads = st.builds(lambda more: [*HEADERS, *more], raw_fields) | raw_fields
bodies = st.sampled_from([b"\0\0\0\0\2\x0a\0", b"\1\0\0\0\1x", b"\0\xff\xff\xff\xff", b"\0\0\0\0\1\xff"]) | st.binary(
    max_size=20
)
tails = (
    st.builds(lambda status, more: [(b"grpc-status", status), *more], st.binary(max_size=3), raw_fields) | raw_fields
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.tuples(heads), st.tuples(heads, bodies), st.tuples(heads, tails), st.tuples(heads, bodies, tails)
)


async def _unary(client: LabClient) -> None:
    await client.act(Text(value="x"), timeout=2)


async def _server_stream(client: LabClient) -> None:
    async for _ in client.count(Number(value=1), timeout=2):
        pass


async def _client_stream(client: LabClient) -> None:
    await client.sum([Number(value=1)], timeout=2)


async def _bidi(client: LabClient) -> None:
    async for _ in client.talk([Text(value="x")], timeout=2):
        pass


CALLS: dict[str, Callable[[LabClient], Awaitable[None]]] = {
    "unary": _unary,
    "server stream": _server_stream,
    "client stream": _client_stream,
    "bidi stream": _bidi,
}


async def _site(stack: AsyncExitStack) -> tuple[Rogue, LabClient]:
    rogue = await stack.enter_async_context(rogue_server())
    site = Site(stack)
    await site.open()
    await site.list(Node("rogue", rogue.address, services=frozenset({"lab.Lab"})))
    return rogue, LabClient(site.client, retry=micro.RetryPolicy(attempts=1))


@pytest.mark.parametrize("kind", CALLS)
def test_every_reply_ends_a_call_with_a_reply_or_an_error(kind: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        rogue, client = runner.run(_site(stack))
        try:
            # Not made smaller: a reply that is not noticed costs the whole deadline.
            @settings(
                deadline=None,
                max_examples=100,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            @given(replies)
            @example([[(b":status", b"200"), (b"", b"x")]])
            @example([HEADERS, [(b"", b"x"), (b"grpc-status", b"0")]])
            @example([[*HEADERS, (b"grpc-status", b"9" * 5000)]])
            @example([HEADERS, [(b"grpc-status", b"3"), (b"grpc-message", DEEP[:8000].encode())]])
            def check(reply: Reply) -> None:
                rogue.reply = reply
                try:
                    runner.run(CALLS[kind](client))
                except micro.Error as error:
                    assert "before the deadline" not in error.message, "the reply was complete, and nobody noticed"

            check()
        finally:
            runner.run(stack.aclose())


# Whatever a transport raises


class _Stream(ClientStream):
    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self._cancelled = asyncio.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    async def send(self, message: bytes, *, end: bool = False) -> None:
        self._fail("send")

    async def end(self) -> None:
        self._fail("end")

    async def receive(self) -> bytes:
        self._fail("receive")
        await self._cancelled.wait()
        raise micro.Cancelled("the call was cancelled")

    def cancel(self) -> None:
        self._cancelled.set()


class _Connection(Connection):
    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self.streams: list[_Stream] = []

    async def connect(self) -> None:
        self._fail("connect")

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        self._fail("open")
        self.streams.append(_Stream(self._fail))
        return self.streams[-1]

    async def close(self) -> None:
        pass


class _Broken:
    """A transport that raises what is not a ``micro.Error``."""

    name = "grpc"

    def __init__(self, where: str, error: Exception) -> None:
        self._where, self._error = where, error
        self.connections: list[_Connection] = []

    def fail(self, where: str) -> None:
        if where == self._where:
            raise self._error

    def connection(self, address: str) -> Connection:
        self.connections.append(_Connection(self.fail))
        return self.connections[-1]

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        raise AssertionError("it serves nothing")


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        *((where, kind) for where in ("connect", "open", "send", "receive") for kind in CALLS),
        ("end", "client stream"),  # What has one request sends the end with it.
        ("end", "bidi stream"),
    ],
)
@pytest.mark.parametrize("error", [RecursionError("deep"), OSError(24, "files")])
async def test_what_a_transport_raises_ends_a_call_with_an_error(
    where: str, kind: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    transport = _Broken(where, error)
    place = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(place)
    async with micro.Service("client", registry=place, transport=transport) as service:
        await registry.open()
        for number in range(2):  # With a choice, a call connects first.
            node = Node(f"n{number}", f"127.0.0.1:{number + 1}", services=frozenset({"lab.Lab"}))
            await registry.register(Registration(node, ("lab",)))
        client = LabClient(service, retry=micro.RetryPolicy(attempts=1))
        with pytest.raises(micro.Error) as caught:
            await asyncio.wait_for(CALLS[kind](client), 10)
        if where == "connect":
            assert isinstance(caught.value, micro.Unavailable)
            assert not caught.value.may_have_run
        else:
            assert isinstance(caught.value, micro.Internal)
            assert type(error).__name__ in caught.value.message
            assert type(error).__name__ in caplog.text
        assert all(stream.cancelled for each in transport.connections for stream in each.streams)
        await registry.close()
