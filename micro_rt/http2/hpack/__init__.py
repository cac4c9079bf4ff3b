"""HPACK, the compression of header fields in HTTP/2 (RFC 7541).

In each direction of a connection, both ends keep the same table of fields, and send the index of an entry rather than
the field itself. The end that sends a field for the first time may have it become an entry; both ends then remove the
oldest entries, as far as the size of the table demands. So a receiver must decode each block, in order: even a block
that nobody wants may change the table.

One direction of a connection::

    encoder, decoder = Encoder(), Decoder()
    request = Group([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/greet.Greeter/Hello")])
    first = encoder.encode([(b"grpc-timeout", b"5S")], group=request)  # 41 octets
    second = encoder.encode([(b"grpc-timeout", b"4S")], group=request)  #  8 octets
    for block in (first, second):
        for field in decoder.decode(block):
            print(field.name, field.value)

To learn how it works, read ``fields`` (what is sent), ``integers`` and ``huffman`` (how numbers and strings are
written), ``static`` (what the table begins with), ``decoder`` and ``encoder``, in this order.
"""

from __future__ import annotations

from micro_rt.http2.hpack.decoder import Decoder
from micro_rt.http2.hpack.encoder import INDEXED, SECRET, VARYING, Encoder, Group
from micro_rt.http2.hpack.errors import HpackError
from micro_rt.http2.hpack.fields import OVERHEAD, Field, Fields

__all__ = ["Decoder", "Encoder", "Field", "Fields", "Group", "HpackError", "INDEXED", "OVERHEAD", "SECRET", "VARYING"]
