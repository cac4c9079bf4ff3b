"""gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), on our own HTTP/2 connection.

The client is in ``client``, the server in ``server``, and what both share in ``link``, ``framing`` and ``fields``.
"""

from __future__ import annotations

import ssl

from micro_rt.backends.grpc.client import GrpcConnection
from micro_rt.backends.grpc.framing import MAX_MESSAGE
from micro_rt.backends.grpc.server import listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.transport.base import Capabilities, Connection, Dispatch, Listener

__all__ = ["GrpcTransport"]


class GrpcTransport:
    """The transport ``grpc``: gRPC over HTTP/2, with or without TLS.

    Args:
        tls: secures the connections to other nodes, and is set to offer HTTP/2; None for connections without TLS.
            Listeners of this transport have no TLS.
        receive: bytes that a message which arrives may have, on both sides. A larger one ends its call as
            ``ResourceExhausted``.
        send: the same for messages that are sent.
    """

    name = "grpc"
    """The protocol, as nodes name it in the registry."""
    capabilities = Capabilities(unix_sockets=True, limits=True, ordered_waiting=True, empty_frames=True)
    """All that a transport can do."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, receive: int = MAX_MESSAGE, send: int = MAX_MESSAGE
    ) -> None:
        self._tls = tls
        self._receive = receive
        self._send = send
        if tls is not None:
            tls.set_alpn_protocols(["h2"])

    def connection(self, address: str) -> Connection:
        """Makes a connection to ``host:port`` or to ``unix:`` and a path, without connecting yet."""
        return GrpcConnection(address, self._tls, receive=self._receive, send=self._send)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens on ``host:port``, where port 0 picks a free one, or on ``unix:`` and a path."""
        return await listen(address, dispatch, ServerLimits(receive=self._receive, send=self._send))
