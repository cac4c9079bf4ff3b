"""A group alone: the short way gives what the long way gives."""

from __future__ import annotations

from micro_rt.http2.hpack import Decoder, Encoder, Group

GROUP = Group([(b":status", b"200"), (b"content-type", b"application/grpc"), (b"server", b"x" * 60)])
OTHER = Group([(b":status", b"404"), (b"server", b"y" * 60)])


def test_a_group_is_encoded_alone_as_it_is_otherwise() -> None:
    one, other, decoder = Encoder(160, interval=8), Encoder(160, interval=8), Decoder(4096)
    decoder.decode(b"\x3f\x81\x01")  # The table has 160 octets.
    for number in range(100):
        group = OTHER if number % 7 == 3 else GROUP
        if number in (20, 40, 60):
            size = {20: 0, 40: 160, 60: 100}[number]
            one.max_table_size = other.max_table_size = size
        block = one.encode_group(group)
        assert block == other.encode(group=group), number
        assert [(field.name, field.value) for field in decoder.decode(block)] == list(group.fields)
