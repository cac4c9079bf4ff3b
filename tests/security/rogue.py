"""A server that answers calls with whatever a test wants: it checks nothing of what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import hpack
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PingFrame, SettingsFrame

from tests.helpers.raw_server import raw_server

__all__ = ["Reply", "Rogue", "rogue_server"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Fields = Sequence[tuple[bytes, bytes]]
Reply = Sequence["bytes | Fields"]
"""What is sent for a call: bytes as DATA, fields as HEADERS; the last one ends the stream."""


class Rogue:
    """What the server answers, and where it listens."""

    def __init__(self) -> None:
        self.reply: Reply = ()
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(len(PREFACE))
            writer.write(SettingsFrame(0).serialize())
            encoder = hpack.Encoder()
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await reader.readexactly(9)))
                frame.parse_body(memoryview(await reader.readexactly(length)))
                if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                    writer.write(SettingsFrame(0, flags=["ACK"]).serialize())
                elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    writer.write(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
                elif isinstance(frame, HeadersFrame | DataFrame) and "END_STREAM" in frame.flags:
                    self._answer(frame.stream_id, encoder, writer)
        writer.close()

    def _answer(self, stream: int, encoder: hpack.Encoder, writer: asyncio.StreamWriter) -> None:
        for number, part in enumerate(self.reply, 1):
            end = ["END_STREAM"] if number == len(self.reply) else []
            if isinstance(part, bytes):
                writer.write(DataFrame(stream, part, flags=end).serialize())
            else:
                block = encoder.encode(part)
                writer.write(HeadersFrame(stream, block, flags=["END_HEADERS", *end]).serialize())


@asynccontextmanager
async def rogue_server() -> AsyncIterator[Rogue]:
    """Starts the server."""
    rogue = Rogue()
    async with raw_server(rogue.serve) as rogue.address:
        yield rogue
