"""Peers that speak HTTP/2 and keep to no more of gRPC than a test wants."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

import micro_rt as micro
from micro_rt.backends.grpc.client import GrpcConnection
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.context import CallInfo
from micro_rt.metadata import EMPTY
from micro_rt.status import encode_details
from micro_rt.transport.base import Connection, ServerStream
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.lab import our_server
from tests.helpers.raw_server import raw_server
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_pb2 import Text

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]
FRAME = b"\0\0\0\0\2hi"


class Peer:
    """One connection of a peer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool, **settings: int):
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(
            H2Configuration(client_side=client, validate_outbound_headers=False, header_encoding="latin-1")
        )
        self.h2.local_settings = Settings(
            client=client, initial_values={SettingCodes[name]: value for name, value in settings.items()}
        )
        if "HEADER_TABLE_SIZE" in settings:  # h2 holds the other side to a change, and not to the first value.
            self.h2.decoder.max_allowed_table_size = settings["HEADER_TABLE_SIZE"]
        self.h2.initiate_connection()

    async def events(self) -> AsyncIterator[Event]:
        await self.flush()
        while data := await self.reader.read(65536):
            for event in self.h2.receive_data(data):
                yield event
            await self.flush()

    async def requests(self) -> AsyncIterator[int]:
        """The streams of calls, as they come."""
        async for event in self.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                yield event.stream_id

    async def answer(self, stream: int, data: bytes = FRAME, trailers: list[tuple[str, str]] = OK) -> None:
        self.h2.send_headers(stream, HEADERS)
        self.h2.send_data(stream, data)
        self.h2.send_headers(stream, trailers, end_stream=True)
        await self.flush()

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()


@asynccontextmanager
async def server(engine: Engine, serve: Callable[[Peer], Awaitable[Any]], **settings: int) -> AsyncIterator[Connection]:
    """Serves each connection with a function, and gives a connection of ours to it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(Peer(reader, writer, client=False, **settings))

    async with raw_server(connected) as address:
        connection = engine().connection(address)
        try:
            yield connection
        finally:
            await connection.close()


def call(connection: Connection, *, timeout: float | None = None) -> Awaitable[bytes]:
    deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
    return soon(connection.unary("/a.B/C", "proto", EMPTY, deadline, CallInfo(), b"hello"))


@on_each_engine
async def test_who_hangs_up_at_once_ran_nothing(engine: Engine) -> None:
    async def hang_up(peer: Peer) -> None:
        pass

    async with server(engine, hang_up) as connection:
        with pytest.raises(micro.Unavailable) as caught:
            await call(connection)
        assert not caught.value.may_have_run


@on_each_engine
async def test_who_accepts_and_says_nothing_ran_nothing(engine: Engine) -> None:
    async def silent(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with server(engine, silent) as connection:
        with pytest.raises(micro.DeadlineExceeded) as caught:
            await call(connection, timeout=0.3)
        assert not caught.value.may_have_run


@on_each_engine
async def test_who_is_lost_after_the_request_may_have_run_it(engine: Engine) -> None:
    async def lost(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, StreamEnded):
                return

    async with server(engine, lost) as connection:
        with pytest.raises(micro.Unavailable) as caught:
            await call(connection)
        assert caught.value.may_have_run


@on_each_engine
async def test_a_call_that_waits_for_its_turn_when_the_connection_is_lost_did_not_run(engine: Engine) -> None:
    requests: list[int] = []
    lose = asyncio.Event()

    async def one_at_a_time(peer: Peer) -> None:
        async for stream in peer.requests():
            requests.append(stream)
            await lose.wait()
            return

    async with server(engine, one_at_a_time, MAX_CONCURRENT_STREAMS=1) as connection:
        first, second = (asyncio.ensure_future(call(connection)) for _ in range(2))
        await eventually(lambda: requests)
        lose.set()
        with pytest.raises(micro.Unavailable) as caught:
            await first
        assert caught.value.may_have_run
        with pytest.raises(micro.Unavailable) as caught:
            await second
        assert not caught.value.may_have_run


@on_each_engine
async def test_calls_beyond_the_limit_of_the_server_take_turns(engine: Engine) -> None:
    most = 0

    async def two_at_a_time(peer: Peer) -> None:
        nonlocal most
        async for stream in peer.requests():
            most = max(most, peer.h2.open_inbound_streams)
            await peer.answer(stream)

    async with server(engine, two_at_a_time, MAX_CONCURRENT_STREAMS=2) as connection:
        assert await asyncio.gather(*(call(connection) for _ in range(50))) == [b"hi"] * 50
    assert 1 <= most <= 2


@on_each_engine
async def test_calls_that_a_goodbye_leaves_out_did_not_run_and_the_others_go_on(engine: Engine) -> None:
    async def goodbye(peer: Peer) -> None:
        streams: list[int] = []
        async for stream in peer.requests():
            streams.append(stream)
            if len(streams) == 3:
                peer.h2.close_connection(last_stream_id=streams[0])
                peer.h2.state_machine.state = type(peer.h2.state_machine.state).SERVER_OPEN
                await peer.answer(streams[0])

    async with server(engine, goodbye) as connection:
        first, *others = await asyncio.gather(*(call(connection) for _ in range(3)), return_exceptions=True)
        assert first == b"hi"
        for other in others:
            assert isinstance(other, micro.Unavailable)
            assert not other.may_have_run


class Counted(dict[int, Any]):
    """The streams of a connection, and how many of them were looked at when all were gone through."""

    looked_at = 0

    def items(self) -> Any:
        self.looked_at += len(self)
        return super().items()

    def values(self) -> Any:
        self.looked_at += len(self)
        return super().values()

    def __iter__(self) -> Iterator[int]:
        self.looked_at += len(self)
        return super().__iter__()


def http2_of(connection: Connection) -> Any:
    """Returns what does the work of HTTP/2 under a connection."""
    inside: Any = connection
    return inside._link.http2 if isinstance(connection, GrpcConnection) else inside._protocol.connection._connection


@on_each_engine
async def test_a_call_does_not_cost_more_beside_many_that_are_open(engine: Engine) -> None:
    async def hold_some(peer: Peer) -> None:
        async for stream in peer.requests():
            if stream > 2 * idle:
                await peer.answer(stream)

    idle, calls = 1000, 500
    async with server(engine, hold_some, MAX_CONCURRENT_STREAMS=1 << 20) as connection:
        await connection.connect()
        streams = http2_of(connection).streams = Counted()  # Time tells the same, and not reliably.
        for _ in range(idle):
            await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        for _ in range(calls):
            assert await call(connection) == b"hi"
        assert streams.looked_at < 10 * (idle + calls)
        assert len(streams) < 2 * idle + 100, "closed streams are kept"


@on_each_engine
async def test_a_connection_that_has_no_numbers_left_for_calls_is_replaced(engine: Engine) -> None:
    connections: list[Peer] = []
    answered: list[int] = []
    closed = asyncio.Event()

    async def serve(peer: Peer) -> None:
        connections.append(peer)
        held: int | None = None
        async for stream in peer.requests():
            if len(connections) == 1 and held is None:
                held = stream
            else:
                await peer.answer(stream)
                if len(connections) == 2 and not answered:
                    answered.append(stream)
                    assert held is None
                    assert connections[0].h2.open_inbound_streams == 1
                    await connections[0].answer(1)
        if len(connections) == 2:
            closed.set()

    async with server(engine, serve) as connection:
        first = asyncio.ensure_future(call(connection))
        await eventually(lambda: connections and connections[0].h2.open_inbound_streams)
        http2 = http2_of(connection)  # A billion calls take too long.
        if isinstance(connection, GrpcConnection):
            http2._next = 2**31 - 1
        else:
            http2.highest_outbound_stream_id = 2**31 - 3
        assert await call(connection) == b"hi"
        with pytest.raises(micro.Unavailable) as caught:
            await call(connection)
        assert not caught.value.may_have_run
        assert caught.value.id == "micro.refused"
        assert not first.done()
        assert await call(connection) == b"hi"
        assert await first == b"hi"
        await soon(closed.wait())  # the old connection, when its last call had ended
        assert await call(connection) == b"hi"
        assert len(connections) == 2


@on_each_engine
@pytest.mark.parametrize(
    ("code", "error", "may_have_run"),
    [
        (ErrorCodes.REFUSED_STREAM, micro.Unavailable, False),
        (ErrorCodes.CANCEL, micro.Cancelled, True),
        (ErrorCodes.ENHANCE_YOUR_CALM, micro.ResourceExhausted, True),
        (ErrorCodes.INTERNAL_ERROR, micro.Internal, True),
    ],
)
async def test_a_reset(engine: Engine, code: ErrorCodes, error: type[micro.Error], may_have_run: bool) -> None:
    async def reset(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.reset_stream(stream, code)

    async with server(engine, reset) as connection:
        with pytest.raises(error) as caught:
            await call(connection)
        assert caught.value.may_have_run is may_have_run


@on_each_engine
async def test_a_server_that_sees_the_deadline_first_and_resets(engine: Engine) -> None:
    async def reset(peer: Peer) -> None:
        async for stream in peer.requests():
            time.sleep(0.2)  # noqa: ASYNC251 - in the loop of the client, whose own timer is due as well now
            peer.h2.reset_stream(stream, ErrorCodes.CANCEL)

    async with server(engine, reset) as connection:
        await connection.connect()
        with pytest.raises(micro.DeadlineExceeded):
            await call(connection, timeout=0.1)


SAID_TWICE = [*HEADERS, ("grpc-status", "9"), ("more", "of it")]
"""Headers with a status, after which something follows."""


async def outcome(connection: Connection, kind: str) -> tuple[list[bytes], micro.Code]:
    """Makes a call; returns its replies and how it ended."""
    replies: list[bytes] = []
    try:
        if kind == "unary":
            return [await call(connection)], micro.Code.OK
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        await stream.send(b"hello", end=True)
        while True:
            replies.append(await soon(stream.receive()))
    except micro.EndOfStream:
        return replies, micro.Code.OK
    except micro.Error as error:
        return replies, error.code


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_status_in_the_headers_counts_only_if_nothing_follows(kind: str) -> None:
    follow: list[Callable[[Peer, int], None]] = []

    async def serve(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, SAID_TWICE)
            follow[0](peer, stream)

    def the_end(peer: Peer, stream: int) -> None:
        peer.h2.send_data(stream, b"", end_stream=True)

    def a_message(peer: Peer, stream: int) -> None:
        peer.h2.send_data(stream, FRAME, end_stream=True)

    def trailers(peer: Peer, stream: int) -> None:
        peer.h2.send_headers(stream, [("grpc-status", "5")], end_stream=True)

    def a_message_and_trailers(peer: Peer, stream: int) -> None:
        peer.h2.send_data(stream, FRAME)
        peer.h2.send_headers(stream, OK, end_stream=True)

    async with server(GrpcTransport, serve) as connection:
        for what, expected in (
            (the_end, ([], micro.Code.FAILED_PRECONDITION)),
            (a_message, ([b"hi"] if kind == "stream" else [], micro.Code.INTERNAL)),
            (trailers, ([], micro.Code.NOT_FOUND)),
            (a_message_and_trailers, ([b"hi"], micro.Code.OK)),
        ):
            follow[:] = [what]
            assert await outcome(connection, kind) == expected, what.__name__


@on_each_engine
@pytest.mark.parametrize("data", [FRAME[:3], FRAME[:5], FRAME[:6]])
async def test_a_message_that_is_cut_off_is_no_message(engine: Engine, data: bytes) -> None:
    async def cut(peer: Peer) -> None:
        async for stream in peer.requests():
            await peer.answer(stream, data)

    async with server(engine, cut) as connection:
        with pytest.raises(micro.Internal):
            await call(connection)


@on_each_engine
@pytest.mark.parametrize(
    ("status", "error"), [("404", micro.Unimplemented), ("503", micro.Unavailable), ("200", micro.Unknown)]
)
async def test_an_answer_that_is_not_grpc(engine: Engine, status: str, error: type[micro.Error]) -> None:
    async def html(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, [(":status", status), ("content-type", "text/html")])
            peer.h2.send_data(stream, b"<html>", end_stream=True)

    async with server(engine, html) as connection:
        with pytest.raises(error):
            await call(connection)


@on_each_engine
async def test_what_must_not_be_there_harms_no_call(engine: Engine) -> None:
    async def strange(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.writer.write(b"\0\0\1\xfa\0\0\0\0\0x")  # a frame of a type that nobody knows
            peer.h2.send_headers(stream, [(":status", "103"), ("link", "</style.css>")])
            await peer.answer(stream, trailers=[*OK, ("umlaut", "ä"), ("grpc-status-details-bin", "!!!")])

    async with server(engine, strange) as connection:
        for _ in range(3):
            assert await call(connection) == b"hi"


@on_each_engine
async def test_metadata_that_is_not_base64_is_an_error_of_ours(engine: Engine) -> None:
    async def bad(peer: Peer) -> None:
        async for stream in peer.requests():
            await peer.answer(stream, trailers=[*OK, ("data-bin", "!!!")])

    async with server(engine, bad) as connection:
        with pytest.raises(micro.Internal):
            await call(connection)


REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/lab.Lab/Act"),
    (":authority", "lab"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


def changed(**fields: str) -> list[tuple[str, str]]:
    return [(name, fields.pop(name.strip(":").replace("-", "_"), value)) for name, value in REQUEST] + [
        (name.replace("_", "-"), value) for name, value in fields.items()
    ]


@asynccontextmanager
async def client(*, compression: str | None = None, **settings: int) -> AsyncIterator[Peer]:
    """A peer that calls a service of ours."""
    async with our_server(compression=compression) as (_, service):
        assert service.node is not None
        host, _, port = service.node.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield Peer(reader, writer, client=True, **settings)
        finally:
            writer.close()
            await writer.wait_closed()


async def statuses(peer: Peer, count: int) -> dict[int, dict[str, str]]:
    """Reads until so many calls have ended; returns the headers of each answer, trailers included."""
    answers: dict[int, dict[str, str]] = {}
    ended: set[int] = set()
    async with asyncio.timeout(20):
        async for event in peer.events():
            if isinstance(headers := getattr(event, "headers", None), list) or isinstance(event, ResponseReceived):
                answers.setdefault(event.stream_id, {}).update(headers or ())  # type: ignore[attr-defined]
            elif isinstance(event, StreamEnded | StreamReset):
                assert event.stream_id is not None
                ended.add(event.stream_id)
                if len(ended) == count:
                    return answers
    raise AssertionError("the server hung up")


@pytest.mark.parametrize(
    ("headers", "http", "code"),
    [
        (changed(method="GET"), "405", micro.Code.UNKNOWN),
        (changed(content_type="text/html"), "415", micro.Code.UNKNOWN),
        (changed(grpc_encoding="br"), "200", micro.Code.UNIMPLEMENTED),
        (changed(grpc_timeout="soon"), "200", micro.Code.INVALID_ARGUMENT),
        (changed(data_bin="!!!"), "200", micro.Code.INVALID_ARGUMENT),
        (changed(path="/lab.Lab/Nothing"), "200", micro.Code.UNIMPLEMENTED),
        (changed(content_type="application/grpc+xml"), "200", micro.Code.UNIMPLEMENTED),
        (changed(content_type="application/grpc-web"), "415", micro.Code.UNKNOWN),
        (changed(content_type="application/json"), "415", micro.Code.UNKNOWN),
        (REQUEST, "200", micro.Code.UNIMPLEMENTED),  # no message
    ],
)
async def test_a_request_that_is_wrong_is_told_so(headers: list[tuple[str, str]], http: str, code: micro.Code) -> None:
    async with client() as peer:
        peer.h2.send_headers(1, headers, end_stream=True)
        (answer,) = (await statuses(peer, 1)).values()
        assert (answer[":status"], answer["grpc-status"]) == (http, str(int(code)))


async def test_text_that_a_foreign_peer_put_into_metadata_is_sent_on_byte_by_byte() -> None:
    message = Text(value="metadata").SerializeToString()
    async with client() as peer:
        foreign: Any = [("sent-name", "Zoë".encode()), ("sent-raw", b"\x80\xff"), ("sent-tab", b"a\tb")]
        peer.h2.send_headers(1, REQUEST + foreign)
        peer.h2.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
        (answer,) = (await statuses(peer, 1)).values()
        sent_on = {key: value.encode("latin-1") for key, value in answer.items() if key.startswith(("head-", "tail-"))}
    assert sent_on == {
        "head-sent-name": "Zoë".encode(),
        "tail-sent-name": "Zoë".encode(),
        "head-sent-raw": b"\x80\xff",
        "tail-sent-raw": b"\x80\xff",
        "head-sent-tab": b"a\tb",
        "tail-sent-tab": b"a\tb",
    }


WRONG_LENGTHS = [
    [("content-length", "1")],
    [("content-length", "1000")],
    [("content-length", "none")],
    [("content-length", "5"), ("content-length", "6")],
]


@pytest.mark.parametrize("lengths", WRONG_LENGTHS)
async def test_a_request_whose_length_is_wrong_is_reset_alone(lengths: list[tuple[str, str]]) -> None:
    resets: list[tuple[int | None, int | None]] = []
    async with client() as peer, asyncio.timeout(20):
        peer.h2.send_headers(1, REQUEST)
        peer.h2.send_headers(3, REQUEST + lengths)
        for _ in range(2):
            peer.h2.send_data(3, b"\0\0\0\0\0")
        peer.h2.end_stream(3)
        async for event in peer.events():
            if isinstance(event, StreamReset):
                resets.append((event.stream_id, event.error_code))
                peer.h2.send_data(1, b"\0\0\0\0\0", end_stream=True)
            elif isinstance(event, StreamEnded):
                assert event.stream_id == 1
                break
    assert resets[0] == (3, ErrorCodes.PROTOCOL_ERROR)
    assert {stream for stream, _ in resets} == {3}


@on_each_engine
@pytest.mark.parametrize("lengths", WRONG_LENGTHS)
async def test_an_answer_whose_length_is_wrong_fails_alone(engine: Engine, lengths: list[tuple[str, str]]) -> None:
    async def lie(peer: Peer) -> None:
        async for stream in peer.requests():
            if stream == 3:
                peer.h2.send_headers(3, HEADERS + lengths)
                peer.h2.send_data(3, FRAME, end_stream=True)
                await peer.flush()
                await peer.answer(1)

    async with server(engine, lie) as connection:
        answers = await asyncio.gather(call(connection), call(connection), return_exceptions=True)
        (failure,) = (answer for answer in answers if answer != b"hi")
        assert isinstance(failure, micro.Internal)
        assert failure.may_have_run


@pytest.mark.parametrize("data", [FRAME[:3], FRAME[:6], b"\1" + FRAME[1:]])
async def test_a_request_that_is_cut_off_or_compressed_does_not_run(data: bytes) -> None:
    async with client() as peer:
        peer.h2.send_headers(1, REQUEST)
        peer.h2.send_data(1, data, end_stream=True)
        (answer,) = (await statuses(peer, 1)).values()
        assert answer["grpc-status"] in (str(int(micro.Code.INTERNAL)), str(int(micro.Code.UNIMPLEMENTED)))


async def test_a_burst_before_the_server_has_said_a_word_is_served() -> None:
    async with client() as peer:
        for number in range(300):
            peer.h2.send_headers(2 * number + 1, REQUEST)
            peer.h2.send_data(2 * number + 1, b"\0\0\0\0\0", end_stream=True)
        answers = await statuses(peer, 300)
        assert len(answers) == 300
        assert {answer["grpc-status"] for answer in answers.values()} == {"0"}


@pytest.mark.parametrize(
    ("content_type", "subtype", "answer"),
    [
        ("application/grpc", "proto", "application/grpc"),
        ("application/grpc+proto", "proto", "application/grpc"),
        ("application/grpc;charset=utf-8", "proto", "application/grpc"),
        ("application/grpc+acme", "acme", "application/grpc+acme"),
        ("Application/gRPC+Acme; v=1", "acme", "application/grpc+acme"),
    ],
)
async def test_a_content_type_is_read_and_answered(content_type: str, subtype: str, answer: str) -> None:
    seen: list[str] = []

    async def dispatch(stream: ServerStream) -> None:
        seen.append(stream.content_subtype)
        await stream.send(await stream.receive())
        await stream.finish(None)

    listener = await GrpclibTransport().listen("127.0.0.1:0", dispatch)
    host, _, port = listener.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    peer = Peer(reader, writer, client=True)
    peer.h2.send_headers(1, changed(content_type=content_type))
    peer.h2.send_data(1, FRAME, end_stream=True)
    (headers,) = (await statuses(peer, 1)).values()
    assert (headers["content-type"], headers["grpc-status"], seen) == (answer, "0", [subtype])
    writer.close()
    await writer.wait_closed()
    await listener.close()


async def test_a_codec_that_a_server_does_not_have_is_refused_and_those_it_has_are_named() -> None:
    async with client() as peer:
        peer.h2.send_headers(1, changed(content_type="application/grpc+nothing"))
        peer.h2.send_data(1, FRAME, end_stream=True)
        (answer,) = (await statuses(peer, 1)).values()
    assert answer["grpc-status"] == "12"
    assert "no codec 'nothing' here; this server has" in answer["grpc-message"]
    assert "proto" in answer["grpc-message"]


@on_each_engine
async def test_a_peer_that_replies_before_it_says_that_nothing_ran_is_not_believed(engine: Engine) -> None:
    details = encode_details(micro.Unavailable("refused", may_have_run=False), path="/a.B/C")
    assert details is not None
    status = [("grpc-status", "14"), ("grpc-status-details-bin", b64encode(details).decode())]
    alone = False

    async def refuse(peer: Peer) -> None:
        async for stream in peer.requests():
            if alone:
                peer.h2.send_headers(stream, HEADERS + status, end_stream=True)
                await peer.flush()
            else:
                await peer.answer(stream, trailers=status)

    async with server(engine, refuse) as connection:
        for alone in (False, True):
            with pytest.raises(micro.Unavailable) as caught:
                await call(connection)
            assert caught.value.may_have_run is not alone
            stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
            with pytest.raises(micro.Unavailable) as caught:
                while True:  # Until the status has come.
                    await soon(stream.send(b"hello"))
            assert caught.value.may_have_run is not alone
            stream.cancel()
