"""HPACK, the compression of header fields in HTTP/2 (RFC 7541).

The two ends of a connection keep the same table of header fields for each direction, and mostly send an index instead of a field.
Whoever sends a field for the first time may have it inserted into the table; both ends then remove the oldest entries, as the
table has a size that both know. So every block has to be decoded, in order, even one that nobody wants.

Read the modules in this order: ``fields`` (what is sent), ``integers`` and ``huffman`` (how numbers and strings are written),
``static`` (what the table begins with), ``decoder``, ``encoder``.
"""

from __future__ import annotations

from micro_rt.http2.hpack.decoder import Decoder
from micro_rt.http2.hpack.encoder import INDEXED, SECRET, Encoder, Group
from micro_rt.http2.hpack.errors import HpackError
from micro_rt.http2.hpack.fields import OVERHEAD, Field, Fields

__all__ = ["Decoder", "Encoder", "Field", "Fields", "Group", "HpackError", "INDEXED", "OVERHEAD", "SECRET"]
