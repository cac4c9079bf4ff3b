"""gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), on our own HTTP/2 connection.

The client is in ``client``, the server in ``server``, and what both share in ``link``, ``framing`` and ``fields``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from copy import copy

from micro_rt.backends.grpc.client import GrpcConnection
from micro_rt.backends.grpc.server import listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.http2.limits import Limits as Http2Limits
from micro_rt.transport.base import Capabilities, Connection, Dispatch, Listener
from micro_rt.transport.limits import MAX_MESSAGE, Limits, ServiceLimits
from micro_rt.transport.tls import Contexts

__all__ = ["GrpcTransport"]


class GrpcTransport:
    """The transport ``grpc``: gRPC over HTTP/2, with or without TLS.

    Args:
        tls: secures the connections to other nodes, and is set to offer HTTP/2; None for connections without TLS.
            Listeners of this transport have no TLS; see ``secured``.
        receive: bytes that a message which arrives may have, on both sides. A larger one ends its call as
            ``ResourceExhausted``.
        send: the same for messages that are sent.
        limits: what clients may make a listener spend.
        floods: what they may make HTTP/2 itself spend.
    """

    name = "grpc"
    """The protocol, as nodes name it in the registry."""
    capabilities = Capabilities(
        unix_sockets=True,
        places=True,
        limits=True,
        message_sizes=True,
        compression=True,
        tls=True,
        ordered_waiting=True,
        empty_frames=True,
    )
    """All that a transport can do."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        receive: int = MAX_MESSAGE,
        send: int = MAX_MESSAGE,
        limits: Limits | None = None,
        floods: Http2Limits | None = None,
    ) -> None:
        self._limits = ServerLimits(receive=receive, send=send, floods=floods or Http2Limits()).of(
            ServiceLimits(server=limits)
        )
        self._client: Callable[[], ssl.SSLContext] | None = None
        """Returns the context of a connection to another node."""
        self._server: Callable[[], ssl.SSLContext] | None = None
        """Returns the context of a connection that a client opens."""
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
            self._client = lambda: tls

    def limited(self, limits: ServiceLimits) -> GrpcTransport:
        """Returns the same transport with the limits of a service."""
        transport = copy(self)
        transport._limits = self._limits.of(limits)
        return transport

    def secured(self, contexts: Contexts) -> GrpcTransport:
        """Returns the same transport, which secures its connections."""
        transport = copy(self)
        transport._client = lambda: contexts.client
        transport._server = lambda: contexts.server
        return transport

    def connection(self, address: str) -> Connection:
        """Makes a connection to ``host:port`` or to ``unix:`` and a path, without connecting yet."""
        limits = self._limits
        return GrpcConnection(
            address, self._client, receive=limits.receive, send=limits.send, compression=limits.compression
        )

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens on ``host:port``, where port 0 picks a free one, on ``unix:`` and a path, or on several: see ``listener``."""
        return await listen(address, dispatch, self._limits, self._server)
