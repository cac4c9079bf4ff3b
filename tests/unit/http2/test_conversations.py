"""Conversations with the package ``h2``: both sides see the same, whichever package speaks, however bytes are cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro_rt.http2.client import ClientConnection
from micro_rt.http2.connection import Connection
from micro_rt.http2.server import ServerConnection
from tests.helpers.sizes import Size
from tests.unit.http2.peers import OK, POST, Pairs, client, server

Seen = tuple[Any, ...]
TRAILERS: Pairs = ((b"grpc-status", b"0"), (b"grpc-message", b""))
EARLY: Pairs = ((b":status", b"103"), (b"link", b"</style.css>"))


class Speaker(ABC):
    """One side of a conversation, by one of the packages."""

    @abstractmethod
    def request(self, number: int, ended: bool) -> None: ...

    @abstractmethod
    def headers(self, number: int, fields: Pairs, ended: bool) -> None: ...

    @abstractmethod
    def data(self, number: int, data: bytes, ended: bool) -> None: ...

    @abstractmethod
    def reset(self, number: int) -> None: ...

    @abstractmethod
    def ping(self) -> None: ...

    @abstractmethod
    def window(self, size: int) -> None: ...

    @abstractmethod
    def goaway(self) -> None: ...

    @abstractmethod
    def sent(self) -> bytes: ...

    @abstractmethod
    def hear(self, data: bytes) -> list[Seen]: ...


class Ours(Speaker):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.known: dict[int, Any] = {}

    def request(self, number: int, ended: bool) -> None:
        assert isinstance(self.connection, ClientConnection)
        self.known[number] = self.connection.request(POST, ended)
        assert self.known[number].id == number

    def headers(self, number: int, fields: Pairs, ended: bool) -> None:
        if fields is EARLY:
            self.connection.send_interim(self.known[number], fields)
        else:
            self.connection.send_headers(self.known[number], fields, ended)

    def data(self, number: int, data: bytes, ended: bool) -> None:
        self.connection.send_data(self.known[number], data, ended)

    def reset(self, number: int) -> None:
        self.connection.reset(self.known[number])

    def ping(self) -> None:
        self.connection.ping(b"pingpong")

    def window(self, size: int) -> None:
        """Only the other package changes its settings while it speaks."""

    def goaway(self) -> None:
        self.connection.close()

    def sent(self) -> bytes:
        return self.connection.data_to_send()

    def hear(self, data: bytes) -> list[Seen]:
        seen: list[Seen] = []
        events: list[Any] = list(self.connection.receive(data, 0.0))
        for kind, stream, value, ended in events:
            number = stream.id if stream is not None else 0
            if kind in ("request", "response", "interim", "trailers"):
                seen.append((kind, number, tuple((field.name, field.value) for field in value)))
            elif kind == "data":
                assert stream is not None
                seen.append((kind, number, value))
                self.connection.acknowledge(stream, len(value))
            elif kind == "reset":
                seen.append((kind, number, int(value.code)))
            elif kind in ("ping", "pong"):
                seen.append((kind, value))
            elif kind == "goaway":
                seen.append((kind, value.last_stream_id))
            else:
                assert kind in ("established", "settings", "sent"), (kind, value)
            if ended and kind not in ("reset", "sent"):
                seen.append(("end", number))
            if kind == "request":
                self.known[number] = stream
        return seen


class Theirs(Speaker):
    def __init__(self, client_side: bool) -> None:
        config = h2.config.H2Configuration(client_side=client_side, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.queues: dict[int, list[Any]] = {}

    def request(self, number: int, ended: bool) -> None:
        assert self.connection.get_next_available_stream_id() == number
        self.connection.send_headers(number, list(POST), end_stream=ended)

    def headers(self, number: int, fields: Pairs, ended: bool) -> None:
        if ended and self.queues.get(number):
            self.queues[number].append(fields)
        else:
            self.connection.send_headers(number, list(fields), end_stream=ended)

    def data(self, number: int, data: bytes, ended: bool) -> None:
        self.queues.setdefault(number, []).append((data, ended))
        self.flush()

    def flush(self) -> None:
        """Sends what the windows allow."""
        for number, queue in self.queues.items():
            while queue:
                item: Any = queue[0]
                if not isinstance(item[0], bytes):
                    trailers: Pairs = item
                    self.connection.send_headers(number, list(trailers), end_stream=True)
                    del queue[0]
                    continue
                data, ended = item
                room = min(self.connection.local_flow_control_window(number), self.connection.max_outbound_frame_size)
                if room <= 0 and data:
                    break
                piece, rest = data[: max(room, 0)], data[max(room, 0) :]
                self.connection.send_data(number, piece, end_stream=bool(ended) and not rest)
                if rest:
                    queue[0] = (rest, bool(ended))
                else:
                    del queue[0]

    def reset(self, number: int) -> None:
        self.queues.pop(number, None)
        self.connection.reset_stream(number, 8)

    def ping(self) -> None:
        self.connection.ping(b"pingpong")

    def window(self, size: int) -> None:
        self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})

    def goaway(self) -> None:
        self.connection.close_connection()

    def sent(self) -> bytes:
        return self.connection.data_to_send()

    def hear(self, data: bytes) -> list[Seen]:
        seen: list[Seen] = []
        for event in self.connection.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    seen.append(("request", event.stream_id, _pairs(event.headers)))
                case h2.events.ResponseReceived():
                    seen.append(("response", event.stream_id, _pairs(event.headers)))
                case h2.events.InformationalResponseReceived():
                    seen.append(("interim", event.stream_id, _pairs(event.headers)))
                case h2.events.TrailersReceived():
                    seen.append(("trailers", event.stream_id, _pairs(event.headers)))
                case h2.events.DataReceived():
                    if event.data:
                        seen.append(("data", event.stream_id, event.data))
                    self.connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                case h2.events.StreamEnded():
                    seen.append(("end", event.stream_id))
                case h2.events.StreamReset():
                    self.queues.pop(event.stream_id, None)
                    seen.append(("reset", event.stream_id, int(event.error_code or 0)))
                case h2.events.PingReceived():
                    seen.append(("ping", event.ping_data))
                case h2.events.PingAckReceived():
                    seen.append(("pong", event.ping_data))
                case h2.events.ConnectionTerminated():
                    seen.append(("goaway", event.last_stream_id))
                case _:
                    pass
        self.flush()
        return seen


def _pairs(fields: Any) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((bytes(name), bytes(value)) for name, value in fields)


class Step(NamedTuple):
    """What one side does, if the state of its streams allows it."""

    by_client: bool
    action: str
    stream: int
    size: int
    ended: bool


STEPS = st.builds(
    Step,
    st.booleans(),
    st.sampled_from(["open", "open", "data", "data", "data", "answer", "trailers", "reset", "ping", "window"]),
    st.integers(0, 3),
    st.sampled_from([0, 1, 100, 16_384, 16_385, 40_000, 70_000]),
    st.booleans(),
)


def converse(one: Speaker, other: Speaker, steps: Sequence[Step], cuts: Sequence[int]) -> tuple[list[Seen], list[Seen]]:
    """Carries out the steps, and returns what each side has seen, with data in one piece."""
    seen: tuple[list[Seen], list[Seen]] = ([], [])
    cuts = list(cuts)

    def deliver() -> None:
        while True:
            there, back = one.sent(), other.sent()
            if not there and not back:
                return
            for listener, data, log in ((other, there, seen[1]), (one, back, seen[0])):
                while data:
                    size = cuts[len(data) % len(cuts)] if cuts else len(data)
                    log.extend(listener.hear(data[:size]))
                    data = data[size:]

    deliver()
    streams: list[int] = []
    half = {True: dict[int, str](), False: dict[int, str]()}  # of the client, of the server: head, body or done
    for step in steps:
        speaker = one if step.by_client else other
        if step.action == "open":
            if len(streams) < 6:
                number = 2 * len(streams) + 1
                streams.append(number)
                one.request(number, step.ended)
                half[True][number] = "done" if step.ended else "body"
                half[False][number] = "head"
        elif step.action == "ping":
            speaker.ping()
        elif step.action == "window":
            speaker.window(65_535 + step.size)
        elif streams:
            number = streams[step.stream % len(streams)]
            mine = half[step.by_client]
            if step.action == "reset":
                if {half[True][number], half[False][number]} != {"done"}:
                    speaker.reset(number)
                    half[True][number] = half[False][number] = "done"
            elif step.action == "answer" and mine[number] == "head":
                if step.size == 1:
                    speaker.headers(number, EARLY, False)
                else:
                    speaker.headers(number, OK, step.ended)
                    mine[number] = "done" if step.ended else "body"
            elif step.action == "data" and mine[number] == "body":
                speaker.data(number, bytes([number]) * step.size, step.ended)
                mine[number] = "done" if step.ended else "body"
            elif step.action == "trailers" and mine[number] == "body":
                speaker.headers(number, TRAILERS, True)
                mine[number] = "done"
        deliver()
    return _joined(seen[0]), _joined(seen[1])


def _joined(seen: list[Seen]) -> list[Seen]:
    """Returns what was seen, by stream, with neighbouring data as one: how it is cut and mixed is up to the sender."""
    joined: list[Seen] = []
    for each in sorted(seen, key=lambda each: each[1] if isinstance(each[1], int) else 0):
        if each[0] == "data" and joined and joined[-1][:2] == each[:2]:
            joined[-1] = (*each[:2], joined[-1][2] + each[2])
        elif each != ("data", each[1], b""):
            joined.append(each)
    return joined


def pairs() -> list[tuple[str, Speaker, Speaker]]:
    return [
        ("h2 to h2", Theirs(True), Theirs(False)),
        ("ours to h2", Ours(client(established=False)), Theirs(False)),
        ("h2 to ours", Theirs(True), Ours(server(established=False))),
        ("ours to ours", Ours(client(established=False)), Ours(server(established=False))),
    ]


@pytest.mark.verify("calls")
def test_both_packages_understand_each_other(size: Size) -> None:
    @settings(max_examples=size(20_000, ci=60), deadline=None, derandomize=not size.full, database=None)
    @given(st.lists(STEPS, max_size=25), st.lists(st.integers(1, 30_000), max_size=5))
    def check(steps: list[Step], cuts: list[int]) -> None:
        heard = {name: converse(one, other, steps, cuts) for name, one, other in pairs()}
        expected = heard.pop("h2 to h2")
        for name, seen in heard.items():
            assert seen == expected, name

    check()


def test_every_kind_of_step_is_understood() -> None:
    steps = [
        Step(True, "open", 0, 0, False),
        Step(True, "data", 0, 70_000, False),
        Step(False, "answer", 0, 1, False),
        Step(True, "trailers", 0, 0, True),
        Step(False, "answer", 0, 0, False),
        Step(False, "data", 0, 40_000, False),
        Step(True, "window", 0, 100, False),
        Step(False, "data", 0, 70_000, False),
        Step(False, "trailers", 0, 0, True),
        Step(True, "open", 0, 0, False),
        Step(False, "reset", 1, 0, False),
        Step(False, "ping", 0, 0, False),
        Step(True, "ping", 0, 0, False),
    ]
    heard = {name: converse(one, other, steps, ()) for name, one, other in pairs()}
    kinds = [[each[0] for each in side] for side in heard["h2 to h2"]]
    assert sorted(kinds[0]) == ["data", "end", "interim", "ping", "pong", "reset", "response", "trailers"]
    assert sorted(kinds[1]) == ["data", "end", "ping", "pong", "request", "request", "trailers"]
    for name, seen in heard.items():
        assert seen == heard["h2 to h2"], name
    steps = [each._replace(size=min(each.size, 300)) for each in steps]
    expected = converse(Theirs(True), Theirs(False), steps, ())
    for cut in (1, 2, 8, 9, 10):
        for name, one, other in pairs():
            assert converse(one, other, steps, (cut,)) == expected, (name, cut)


@pytest.mark.parametrize("size", [0, 1, 100, 50_000])
def test_a_window_that_shrinks_and_grows_again(size: int) -> None:  # 6.9.2
    steps = [Step(True, "open", 0, 0, True), Step(False, "answer", 0, 0, False), Step(False, "data", 0, 40_000, False)]
    one, other = Theirs(True), Ours(server(established=False))
    converse(one, other, steps, ())
    one.window(size)
    seen = converse(one, other, (), ())[0]
    other.data(1, b"x" * 70_000, True)
    for window in (size + 1, 2 * size, 200_000):
        one.window(window)
        seen += converse(one, other, (), ())[0]
    assert sum(len(each[2]) for each in seen if each[0] == "data") == 70_000
    assert seen[-1] == ("end", 1)


@pytest.mark.parametrize("side", ["client", "server"])
def test_goaway_is_understood(side: str) -> None:  # 6.8
    steps = [Step(True, "open", 0, 0, False)]
    logs: list[Any] = []
    for _, one, other in pairs():
        converse(one, other, steps, ())
        speaker, listener = (one, other) if side == "client" else (other, one)
        speaker.goaway()
        logs.append(listener.hear(speaker.sent()))
    assert logs == [[("goaway", 0 if side == "client" else 1)]] * 4
    assert isinstance(server(), ServerConnection)
