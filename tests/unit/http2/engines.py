"""Three packages that speak HTTP/2, behind one interface: ours, ``h2``, and ``ngh2`` (the bindings of libnghttp2).

An engine is one side of a connection. It hears bytes, and tells two things in words that are the same for all three:
what has happened (``Heard.events``), and what it sent because the peer broke a rule (``Heard.verdicts``). All three
have the same settings, so that they allow the same, and none sends WINDOW_UPDATE.
"""

from __future__ import annotations

# pyright: reportPrivateUsage=false
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import ngh2

from micro_rt.http2.client import ClientConnection
from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import GOAWAY, PREFACE, RST_STREAM
from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.http2.limits import Limits
from micro_rt.http2.receiving import RESET_BY_US
from micro_rt.http2.server import ServerConnection
from tests.unit.http2.peers import GET, OK, POST, frames_of, raw, settings

__all__ = ["ENGINES", "GREETING", "HABITS", "SIDES", "Engine", "Event", "H2", "Heard", "Ngh2", "Ours", "Verdict"]

Event: TypeAlias = tuple[Any, ...]
"""What has happened: its kind, its stream, and what it holds."""

Verdict: TypeAlias = tuple[str, int, int]
"""``("reset", stream, code)`` for a stream error, ``("fatal", 0, code)`` for a connection error."""

SIDES: Final = ("server", "client")
HABITS: Final = ("silent", "answers", "resets")
"""What a server does with a request, and a client with its own: nothing more, its whole part at once, or RST_STREAM."""

GREETING: Mapping[str, bytes] = MappingProxyType(
    {
        "server": PREFACE + settings() + raw(4, 1),
        "client": settings() + raw(4, 1),
    }
)
"""What the peer of a side sends until the connection is established, and both know the settings of the other."""

WINDOW: Final = 65_535
"""Of streams and connections: what ``h2`` and ``ngh2`` have at first."""
INITIAL: Mapping[int, int] = MappingProxyType({1: 4_096, 3: 2**32 - 1, 4: WINDOW, 5: 16_384})
"""The settings of a peer that are compared, and what they are until it says something else (section 6.5.2)."""
LIST: Final = 65_536
"""Bytes of a header list: what ``h2`` allows."""


class Heard(NamedTuple):
    """What an engine makes of some bytes."""

    events: tuple[Event, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    lost: bool = False
    """Whether the engine does not tell all that has happened: ``h2`` raises, and drops the events of that read."""

    def then(self, other: Heard) -> Heard:
        """Returns this, and what came next."""
        events = _joined(self.events + other.events)
        return Heard(events, self.verdicts + other.verdicts, self.lost or other.lost)

    @property
    def fatal(self) -> bool:
        """Whether the connection has ended."""
        return any(verdict[0] == "fatal" for verdict in self.verdicts)


class Engine(ABC):
    """One side of a connection, by one of the packages.

    Args:
        side: ``"server"`` or ``"client"``. A client has made three requests: the first two have ended.
        habit: what ``react`` does: see ``HABITS``.
        greeted: whether the connection is established already.
    """

    name: str

    def __init__(self, side: str, habit: str = "silent", greeted: bool = True) -> None:
        self.side = side
        self._habit = habit
        self._requests: list[int] = []
        self._settings = dict(INITIAL)
        self.begin()
        if side == "client":
            for ended in (True, True, False):
                self.request(ended)
        self.sent()
        if greeted:
            heard = self.hear(GREETING[side])
            assert [event[0] for event in heard.events] == ["settings"], heard
            assert not heard.verdicts

    def hear(self, data: bytes) -> Heard:
        """Takes some bytes."""
        events, lost = self.take(data)
        self._requests += [event[1] for event in events if event[0] == "request"]
        verdicts: list[Verdict] = []
        for kind, _, stream, payload in frames_of(self.sent()):
            if kind == RST_STREAM:
                verdicts.append(("reset", stream, int.from_bytes(payload, "big")))
            elif kind == GOAWAY and (code := int.from_bytes(payload[4:8], "big")):
                verdicts.append(("fatal", 0, code))
        return Heard(_joined(events), tuple(verdicts), lost)

    def react(self) -> None:
        """Does what the habit says with the requests that were heard since the last time."""
        for number in self._requests:
            if self._habit == "answers":
                self.answer(number)
            elif self._habit == "resets":
                self.reset(number)
        self._requests.clear()
        self.sent()

    def settings(self, changed: Mapping[int, int]) -> Event:
        """Returns the event of a SETTINGS frame: the settings of the peer from now on."""
        self._settings.update((each, value) for each, value in changed.items() if each in INITIAL)
        return "settings", 0, tuple(self._settings.values())

    @property
    def deaf(self) -> bool:
        """Whether the engine takes nothing more, though the connection goes on for us.

        After GOAWAY, ``h2`` calls every frame an error, and ``ngh2`` stops to read when the last stream has ended. The
        RFC says (section 6.8): "GOAWAY allows an endpoint to gracefully stop accepting new streams while still
        finishing processing of previously established streams."
        """
        return False

    @abstractmethod
    def begin(self) -> None:
        """Makes the connection."""

    @abstractmethod
    def take(self, data: bytes) -> tuple[list[Event], bool]:
        """Takes some bytes; returns what has happened, and whether some of it is lost."""

    @abstractmethod
    def request(self, ended: bool) -> None:
        """Makes a request."""

    @abstractmethod
    def answer(self, number: int) -> None:
        """Sends a whole response, if the stream is still there."""

    @abstractmethod
    def reset(self, number: int) -> None:
        """Sends RST_STREAM, if the stream is still there."""

    @abstractmethod
    def sent(self) -> bytes:
        """Returns what is to be sent."""


class Ours(Engine):
    """What is tested."""

    name = "ours"
    connection: Connection

    def begin(self) -> None:
        limits = Limits(
            stream_window=WINDOW, connection_window=WINDOW, streams=100, header_list=LIST, header_block=LIST
        )
        encoder, decoder = Encoder(), Decoder(limits.header_table, limits.header_list)
        if self.side == "server":
            self.connection = ServerConnection(encoder, decoder, limits)
        else:
            self.connection = ClientConnection(encoder, decoder, limits)
        self._streams: dict[int, Any] = {}
        self.reason = ""
        """The rule that the peer has broken last, in our words."""

    def situation(self, number: int) -> str:
        """Returns what a stream is now, in the words of section 5.1, or a little more exactly."""
        connection = self.connection
        if connection._block is not None:
            return "in a block"
        if not number:
            return "connection"
        if number in connection.streams:
            return connection.streams[number].state
        if connection._idle(number):
            return "idle"
        if number in connection._closed:
            return "reset by us" if connection._closed[number] is RESET_BY_US else "reset by the peer"
        return "closed" if number in self._streams else "skipped"

    def take(self, data: bytes) -> tuple[list[Event], bool]:
        return list(self._translated(self.connection.receive(data, 0.0))), False

    def _translated(self, events: Iterable[Any]) -> Iterator[Event]:
        for kind, stream, value, ended in events:
            if kind in ("reset", "refused", "ended"):
                self.reason = value.reason
            if kind in ("request", "response", "interim", "trailers"):
                if kind == "request":
                    self._streams[stream.id] = stream
                yield kind, stream.id, tuple((field.name, field.value) for field in value)
            elif kind == "data":
                yield kind, stream.id, value
            elif kind == "reset" and value.reason == "reset by the peer":
                yield kind, stream.id, value.code
            elif kind == "ping":
                yield kind, 0, value
            elif kind == "goaway":
                yield kind, value.last_stream_id, value.code
            elif kind in ("established", "settings"):
                yield "settings", 0, (value.header_table, value.streams, value.window, value.frame)
            elif kind == "ended":
                assert value.code != ErrorCode.INTERNAL_ERROR, value.__cause__
            if ended and kind in ("request", "response", "data", "trailers"):
                yield "end", stream.id

    def request(self, ended: bool) -> None:
        assert isinstance(self.connection, ClientConnection)
        stream = self.connection.request(GET if ended else POST, ended)
        self._streams[stream.id] = stream

    def answer(self, number: int) -> None:
        stream = self._streams[number]
        if not stream.closed:
            self.connection.send_headers(stream, OK, ended=True)

    def reset(self, number: int) -> None:
        stream = self._streams[number]
        if not stream.closed:
            self.connection.reset(stream)

    def sent(self) -> bytes:
        return self.connection.data_to_send()


class H2(Engine):
    """The package ``h2``."""

    name = "h2"
    connection: h2.connection.H2Connection

    def begin(self) -> None:
        config = h2.config.H2Configuration(client_side=self.side == "client", header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        if self.side == "client":
            self.connection.update_settings({h2.settings.SettingCodes.ENABLE_PUSH: 0})
        self.connection.initiate_connection()

    def take(self, data: bytes) -> tuple[list[Event], bool]:
        try:
            events = self.connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            return [], True
        return list(self._translated(events)), False

    def _translated(self, events: Iterable[h2.events.Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case h2.events.RequestReceived():
                    yield "request", event.stream_id, _pairs(event.headers)
                case h2.events.ResponseReceived():
                    yield "response", event.stream_id, _pairs(event.headers)
                case h2.events.InformationalResponseReceived():
                    yield "interim", event.stream_id, _pairs(event.headers)
                case h2.events.TrailersReceived():
                    yield "trailers", event.stream_id, _pairs(event.headers)
                case h2.events.DataReceived():
                    yield "data", event.stream_id, event.data
                case h2.events.StreamEnded():
                    yield "end", event.stream_id
                case h2.events.StreamReset() if event.remote_reset:
                    yield "reset", event.stream_id, int(event.error_code or 0)
                case h2.events.PingReceived():
                    yield "ping", 0, event.ping_data
                case h2.events.ConnectionTerminated():
                    yield "goaway", event.last_stream_id, int(event.error_code or 0)
                case h2.events.RemoteSettingsChanged():
                    yield self.settings({each: value.new_value for each, value in event.changed_settings.items()})
                case _:
                    pass

    def request(self, ended: bool) -> None:
        number = self.connection.get_next_available_stream_id()
        self.connection.send_headers(number, list(GET if ended else POST), end_stream=ended)

    def answer(self, number: int) -> None:
        if self._open(number):
            self.connection.send_headers(number, list(OK), end_stream=True)

    def reset(self, number: int) -> None:
        if self._open(number):
            self.connection.reset_stream(number, 8)

    @property
    def deaf(self) -> bool:
        return self.connection.state_machine.state == h2.connection.ConnectionState.CLOSED

    def _open(self, number: int) -> bool:
        stream = self.connection.streams.get(number)
        return stream is not None and not stream.closed

    def sent(self) -> bytes:
        return self.connection.data_to_send()


class Ngh2(Engine):
    """The package ``ngh2``."""

    name = "ngh2"
    connection: ngh2.Connection

    def begin(self) -> None:
        role = ngh2.Role.SERVER if self.side == "server" else ngh2.Role.CLIENT
        self.connection = ngh2.Connection(role, ngh2.Configuration(auto_window_update=False))
        given = {ngh2.Setting.MAX_CONCURRENT_STREAMS: 100} if self.side == "server" else {ngh2.Setting.ENABLE_PUSH: 0}
        self.connection.initiate_connection(given)
        self._gone: set[int] = set()
        self._broken = False

    def take(self, data: bytes) -> tuple[list[Event], bool]:
        try:
            self.connection.receive_data(data)
        except ngh2.ProtocolError:  # It takes nothing more, and tells nothing more.
            self._broken = True
            return [], True
        return list(self._translated(self.connection.events())), False

    def _translated(self, events: Iterable[ngh2.Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case ngh2.RequestReceived():
                    yield "request", event.stream_id, _pairs(event.headers)
                    if event.end_stream:
                        yield "end", event.stream_id
                case ngh2.ResponseReceived():
                    yield "response", event.stream_id, _pairs(event.headers)
                    if event.end_stream:
                        yield "end", event.stream_id
                case ngh2.InformationalResponseReceived():
                    yield "interim", event.stream_id, _pairs(event.headers)
                case ngh2.TrailersReceived():
                    yield "trailers", event.stream_id, _pairs(event.headers)
                    yield "end", event.stream_id
                case ngh2.DataReceived():
                    yield "data", event.stream_id, event.data
                    if event.end_stream:
                        yield "end", event.stream_id
                case ngh2.StreamReset():
                    yield "reset", event.stream_id, event.error_code
                case ngh2.StreamClosed():
                    self._gone.add(event.stream_id)
                case ngh2.PingReceived():
                    yield "ping", 0, event.opaque_data
                case ngh2.GoAwayReceived():
                    yield "goaway", event.last_stream_id, event.error_code
                case ngh2.SettingsReceived():
                    yield self.settings(event.settings)
                case _:
                    pass

    def request(self, ended: bool) -> None:
        self.connection.send_request(GET if ended else POST, end_stream=ended)

    def answer(self, number: int) -> None:
        if number not in self._gone:
            self.connection.send_response(number, OK, end_stream=True)

    def reset(self, number: int) -> None:
        if number not in self._gone:
            self.connection.reset_stream(number, 8)

    @property
    def deaf(self) -> bool:
        return self._broken or not self.connection.want_read

    def sent(self) -> bytes:
        if self._broken:
            return b""
        data = self.connection.data_to_send()
        self.connection.events()
        return data


ENGINES: Final[tuple[type[Engine], ...]] = (Ours, H2, Ngh2)


def _pairs(fields: Any) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((bytes(name), bytes(value)) for name, value in fields)


def _joined(events: Iterable[Event]) -> tuple[Event, ...]:
    """Returns the events with neighbouring data as one, and without data that is empty."""
    joined: list[Event] = []
    for event in events:
        if event[0] == "data" and not event[2]:
            continue
        if event[0] == "data" and joined and joined[-1][:2] == event[:2]:
            joined[-1] = (*event[:2], joined[-1][2] + event[2])
        else:
            joined.append(event)
    return tuple(joined)
