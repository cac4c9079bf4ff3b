"""The connection with our own HPACK: both fit together, and what is known of a block is used again."""

from __future__ import annotations

from typing import Any

from micro_rt.http2 import blocks
from micro_rt.http2.client import ClientConnection
from micro_rt.http2.events import Event
from micro_rt.http2.hpack.decoder import Decoder
from micro_rt.http2.hpack.encoder import Encoder, Group
from micro_rt.http2.hpack.fields import Fields
from micro_rt.http2.limits import Limits
from micro_rt.http2.server import ServerConnection

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"host")]
REQUEST = Group(FIELDS)


class Prepared(Encoder):
    """Takes the fields that vary, behind those of the method."""

    def encode(self, fields: Any = (), **options: object) -> bytes:
        return super().encode(fields, group=REQUEST)


def exchange(one: ClientConnection | ServerConnection, other: ClientConnection | ServerConnection) -> list[Event]:
    """Carries what each has to send to the other, until neither has; returns what has happened."""
    events: list[Event] = []
    while True:
        there, back = one.data_to_send(), other.data_to_send()
        if not there and not back:
            return events
        events += other.receive(there, 0.0)
        events += one.receive(back, 0.0)


def test_a_call_with_our_own_hpack() -> None:
    limits = Limits()
    encoders: list[blocks.Encoder] = [Prepared(), Encoder()]
    decoders: list[blocks.Decoder] = [Decoder(4096, limits.header_list) for _ in range(2)]
    client = ClientConnection(encoders[0], decoders[0], limits)
    server = ServerConnection(encoders[1], decoders[1], limits)
    exchange(client, server)
    for number in range(3):
        stream = client.ask([(b"grpc-timeout", b"%dm" % number)], b"hello")
        asked, question = exchange(client, server)
        assert asked[0] == "request"
        assert isinstance(asked[2], Fields)
        assert asked[2].note is None, "a block that varies is another one"
        assert [(field.name, field.value) for field in asked[2]] == [*FIELDS, (b"grpc-timeout", b"%dm" % number)]
        assert (question[0], question[2], question[3]) == ("data", b"hello", True)
        server.respond(asked[1], [(b":status", b"200")], b"hi", [(b"grpc-status", b"0")])
        answered, answer, status = exchange(client, server)
        assert answered[0] == "response"
        assert answered[1] is stream
        assert isinstance(answered[2], Fields)
        # The first trailers become an entry of the table, and with that all blocks are forgotten.
        assert (answered[2].note is None) == (number < 2), "the block that comes again is known"
        answered[2].note = "seen"
        assert (answer[0], answer[2]) == ("data", b"hi")
        assert status[0] == "trailers"
        assert not client.streams
        assert not server.streams
