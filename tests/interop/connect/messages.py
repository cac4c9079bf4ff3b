"""What both programs need: messages on standard input and output, metadata and errors as the suite writes them."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from connectrpc.conformance.v1.config_pb2 import Compression
from connectrpc.conformance.v1.service_pb2 import Error, Header
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

import micro_rt as micro

__all__ = ["ALGORITHMS", "described", "headers", "packed", "pairs", "raised", "read", "run", "write"]

M = TypeVar("M", bound=Message)

ALGORITHMS = {
    Compression.COMPRESSION_UNSPECIFIED: "",
    Compression.COMPRESSION_IDENTITY: "",
    Compression.COMPRESSION_GZIP: "gzip",
    Compression.COMPRESSION_ZSTD: "zstd",
    Compression.COMPRESSION_DEFLATE: "deflate",
}


def run(main: Any) -> None:
    """Runs a program on the event loop that its argument names."""
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)


def read(kind: type[M]) -> M | None:
    """Reads a message from standard input; None at its end."""
    size = sys.stdin.buffer.read(4)
    if not size:
        return None
    return kind.FromString(sys.stdin.buffer.read(int.from_bytes(size, "big")))


def write(message: Message) -> None:
    """Writes a message to standard output."""
    data = message.SerializeToString()
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(1, data) :]


def pairs(named: Iterable[Header]) -> list[tuple[str, str | bytes]]:
    """Returns metadata as our calls take it; the suite writes bytes in base64."""
    return [
        (header.name, base64.b64decode(value + "==") if header.name.lower().endswith("-bin") else value)
        for header in named
        for value in header.value
    ]


def headers(metadata: micro.Metadata) -> list[Header]:
    """Returns metadata as the suite writes it."""
    return [
        Header(
            name=name,
            value=[
                base64.b64encode(value).rstrip(b"=").decode() if isinstance(value, bytes) else value
                for value in metadata.all(name)
            ],
        )
        for name in metadata
    ]


def packed(message: Any) -> AnyMessage:
    """Returns a message of any type; one that has it already stays as it is."""
    if isinstance(message, AnyMessage):
        return message
    any_message = AnyMessage()
    any_message.Pack(message)
    return any_message


def described(error: micro.Error) -> Error:
    """Returns an error as the suite writes it."""
    return Error(code=int(error.code), message=error.message, details=[packed(each) for each in error.details])  # type: ignore[arg-type]


def raised(error: Error, *more: Message) -> micro.Error:
    """Returns the error that a handler raises.

    Args:
        error: as the suite writes it.
        more: details to add.
    """
    return micro.Error.of(int(error.code), error.message, details=[*error.details, *more])
