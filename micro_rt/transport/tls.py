"""TLS of a service: which files say who it is and whom it trusts, and what connections are made with.

Rules kept here, and why:

- A context is never changed once connections use it: one that fails to load a second certificate refuses everybody from
  then on. Each change of a file makes new contexts. They replace the old ones when all of them could be made, so a
  certificate without its key, as long as only one of two files is written, changes nothing.
- There are no session tickets: who resumes a session is not asked for a certificate again, also if it has expired or its
  authority is no longer trusted.
- TLS 1.3 is the least, and TLS 1.2 where a service says so for peers that have nothing else.
- A service that trusts authorities of its own requires certificates of its clients, unless it says otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Protocol

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.file_watch import FileWatch
from micro_rt.kit.tls import client_context, load_certificate
from micro_rt.logs import logger
from micro_rt.transport.base import Transport

__all__ = ["Contexts", "SupportsTls", "Tls", "TlsFiles"]

_PROTOCOLS: Final = ("h2",)
_LEAST: Mapping[str, ssl.TLSVersion] = MappingProxyType({"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3})

_log = logger("micro_rt.tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Who a service is, and whom it trusts: ``micro.Service("orders", tls=micro.Tls(cert="tls.crt", key="tls.key", roots="ca.crt"))``.

    The files are in PEM. They are watched: a change holds for new connections at once.

    Raises:
        ValueError: the arguments make no sense together.
    """

    cert: str = ""
    """File of the certificate, followed by those that lead to its authority; else ``MICRO_TLS_CERT``. A service that has
    handlers needs one."""
    key: str = ""
    """File of the certificate's key, without a password; else ``MICRO_TLS_KEY``; else it is in ``cert``."""
    roots: str = ""
    """File of the authorities that are trusted; else ``MICRO_TLS_ROOTS``; else the system's."""
    clients: Literal["required", "asked", "ignored"] | None = None
    """Whether clients show a certificate: they must; they may, and one that is shown must be good; or they are not asked.
    None: they must if ``roots`` says whom to trust, and are not asked otherwise."""
    least: Literal["1.2", "1.3"] = "1.3"
    """The least version of TLS."""

    def __post_init__(self) -> None:
        if self.clients not in (None, "required", "asked", "ignored"):
            raise ValueError(f'clients={self.clients!r}: it is "required", "asked" or "ignored"')
        if self.least not in _LEAST:
            raise ValueError(f'least={self.least!r}: it is "1.2" or "1.3"')
        if self.key and not self.cert:
            raise ValueError("a key= needs the cert= that it belongs to")
        if self.clients in ("required", "asked") and not self.roots:
            raise ValueError(f"clients={self.clients!r} needs roots=: whose certificates are good")


class Contexts(Protocol):
    """What connections are made with, at the time when they are made."""

    @property
    def server(self) -> ssl.SSLContext:
        """The context of a connection that a client has opened."""
        ...

    @property
    def client(self) -> ssl.SSLContext:
        """The context of a connection to another node."""
        ...


class SupportsTls(Protocol):
    """A transport that can secure its connections: it declares ``Capabilities.tls``."""

    def secured(self, contexts: Contexts) -> Transport:
        """Returns the same transport, which secures its connections.

        Args:
            contexts: asked for each connection.
        """
        ...


class TlsFiles:
    """The contexts that the files of a service make, which follow the files.

    Args:
        tls: the files.
        serves: whether there is a server.

    Raises:
        FailedPrecondition: a file is missing or cannot be used; the message says which one, and why.
    """

    def __init__(self, tls: Tls, *, serves: bool) -> None:
        self._tls = tls
        self._serves = serves
        if serves and not tls.cert:
            raise FailedPrecondition(
                "a service with handlers needs a certificate for TLS: set cert= and key= (MICRO_TLS_CERT, MICRO_TLS_KEY)"
            )
        self._server, self._client = self._made()
        self._problem = ""
        self._following: asyncio.Task[None] | None = None
        self._watch: FileWatch | None = None

    @property
    def server(self) -> ssl.SSLContext:
        """The context of a connection that a client has opened."""
        return self._server

    @property
    def client(self) -> ssl.SSLContext:
        """The context of a connection to another node."""
        return self._client

    @property
    def problem(self) -> str:
        """Why the newest files are not used; empty if they are."""
        return self._problem

    async def open(self) -> None:
        """Begins to follow the files."""
        self._watch = FileWatch("tls", lambda: list(self._files()), self._digest)
        self._following = asyncio.create_task(self._follow(self._watch), name="follow the files of TLS")

    async def close(self) -> None:
        """Ends following them."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._watch is not None:
            await self._watch.aclose()

    async def _follow(self, watch: FileWatch) -> None:
        seen = self._digest()
        async for _ in watch:
            if (now := self._digest()) != seen:
                seen = now
                self.renew()

    def renew(self) -> None:
        """Reads the files anew. The contexts stay as they are if one of the files cannot be used."""
        try:
            self._server, self._client = self._made()
        except FailedPrecondition as error:
            self._problem = error.message
            _log.warning("new TLS files are not used, and the old ones stay in use: %s", error.message)
        else:
            self._problem = ""
            _log.info("new TLS files are used for new connections")

    def _files(self) -> Iterator[str]:
        tls = self._tls
        for path in (tls.cert, tls.key, tls.roots):
            if path:
                yield str(Path(path).absolute())

    def _digest(self) -> bytes:
        """Returns a digest of what the files hold. Never raises."""
        digest = hashlib.sha256()
        for path in self._files():
            content = b""
            with suppress(OSError), Path(path).open("rb") as file:
                content = file.read(_LARGEST)
            digest.update(len(content).to_bytes(8, "big") + content)
        return digest.digest()

    def _made(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Returns new contexts of a server and of a client."""
        tls = self._tls
        client = client_context("the service", ca=tls.roots, cert=tls.cert, key=tls.key)
        client.minimum_version = _LEAST[tls.least]
        client.set_alpn_protocols(_PROTOCOLS)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = _LEAST[tls.least]
        server.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        server.num_tickets = 0
        server.set_alpn_protocols(_PROTOCOLS)
        if tls.cert:
            load_certificate(server, "the service", tls.cert, tls.key)
        clients = tls.clients or ("required" if tls.roots else "ignored")
        if clients != "ignored":
            server.load_verify_locations(tls.roots)
            server.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
            server.verify_mode = ssl.CERT_REQUIRED if clients == "required" else ssl.CERT_OPTIONAL
        return server, client


_LARGEST: Final = 4 << 20
"""Bytes of a file that are looked at for a change."""
