"""Calls to nodes of go-micro's: with the headers that its own clients send."""

from __future__ import annotations

import asyncio
from typing import Any

from micro_rt.context import CallInfo
from micro_rt.go_micro.headers import with_headers
from micro_rt.metadata import Metadata
from micro_rt.transport.base import ClientStream, Connection
from micro_rt.transport.limits import MessageRules

__all__ = ["MUCP", "GoMicroConnection"]

MUCP = (
    "they speak mucp, which is what go-micro's services do unless they are given its gRPC server "
    "(go-micro.dev/v5/server/grpc), and which is not spoken here"
)
"""Why a node of go-micro's own protocol cannot be called."""


class GoMicroConnection(Connection):
    """A connection to a node of go-micro's.

    Args:
        connection: what carries the calls.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Any = connection  # Only one that takes sizes is given some.
        self.takes_sizes = connection.takes_sizes
        self.compresses = connection.compresses

    async def connect(self) -> None:
        """Connects now, if not connected."""
        await self._connection.connect()

    async def open(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        *rules: MessageRules,
    ) -> ClientStream:
        """Starts a call."""
        marked = _marked(metadata, deadline)
        stream: ClientStream = await self._connection.open(path, content_subtype, marked, deadline, info, *rules)
        return stream

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
        *rules: MessageRules,
    ) -> bytes:
        """Makes a whole unary call."""
        marked = _marked(metadata, deadline)
        reply: bytes = await self._connection.unary(path, content_subtype, marked, deadline, info, message, *rules)
        return reply

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()


def _marked(metadata: Metadata, deadline: float | None) -> Metadata:
    return with_headers(metadata, None if deadline is None else deadline - asyncio.get_running_loop().time())
