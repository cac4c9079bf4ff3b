"""TLS of a service: the files of its certificate and of the authorities that it trusts, and the contexts made of them.

Rules kept here, and why:

- A context is never changed once connections use it: one that fails to load a second certificate refuses every peer from
  then on. Each change of a file makes new contexts. They replace the old ones only if all of them could be made, so a
  certificate whose key is not written yet changes nothing.
- What the files hold is noted before they are loaded: a change that comes meanwhile is seen as one.
- Files are read in a thread, since a file system can take long.
- There are no session tickets: a client that resumes a session is not asked for its certificate again, even if it has
  expired or its authority is no longer trusted.
- TLS 1.3 is the lowest version, unless a service accepts TLS 1.2 for peers that have nothing newer.
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
    """The certificate that a service presents, and the authorities that it trusts.

    ``micro.Service("orders", tls=micro.Tls(cert="tls.crt", key="tls.key", roots="ca.crt"))`` secures all that the service
    serves and calls. The files are in PEM. They are watched: new connections use a changed file at once.

    Raises:
        ValueError: ``clients`` or ``least`` has a value that does not exist.
    """

    cert: str = ""
    """File of the certificate, followed by those that lead to its authority; else ``MICRO_TLS_CERT``. A service that has
    handlers needs one."""
    key: str = ""
    """File of the certificate's key, without a password; else ``MICRO_TLS_KEY``; else it is in ``cert``."""
    roots: str = ""
    """File of the authorities that are trusted; else ``MICRO_TLS_ROOTS``; else the system's."""
    clients: Literal["required", "asked", "ignored"] | None = None
    """Whether clients present a certificate: they must; they may, and one that is presented must be valid; or they are not
    asked for one. None: they must if ``roots`` is set, and are not asked otherwise."""
    least: Literal["1.2", "1.3"] = "1.3"
    """The lowest version of TLS that is accepted."""

    def __post_init__(self) -> None:
        if self.clients not in (None, "required", "asked", "ignored"):
            raise ValueError(f'clients={self.clients!r}: it is "required", "asked" or "ignored"')
        if self.least not in _LEAST:
            raise ValueError(f'least={self.least!r}: it is "1.2" or "1.3"')


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
        FailedPrecondition: a file is missing or cannot be used, or one that is needed is not named; the message says which
            one, and why.
    """

    def __init__(self, tls: Tls, *, serves: bool) -> None:
        self._tls = tls
        if serves and not tls.cert:
            raise FailedPrecondition(
                "a service with handlers needs a certificate for TLS: set cert= and key= (MICRO_TLS_CERT, MICRO_TLS_KEY)"
            )
        if tls.key and not tls.cert:
            raise FailedPrecondition(
                "key= (MICRO_TLS_KEY) needs the certificate of the key: set cert= (MICRO_TLS_CERT)"
            )
        if tls.clients in ("required", "asked") and not tls.roots:
            raise FailedPrecondition(
                f"clients={tls.clients!r} needs the authorities that issue the clients' certificates: set roots= (MICRO_TLS_ROOTS)"
            )
        if tls.roots and Path(tls.roots).is_dir():
            raise FailedPrecondition(f"roots={tls.roots} is a folder: name one file with all certificates")
        self._used = self._digest()
        """What the files held that were loaded last, or could not be."""
        self._server, self._client = self._made()
        self._problem = ""
        self._following: asyncio.Task[None] | None = None
        self._watch: FileWatch | None = None

    @property
    def server(self) -> ssl.SSLContext:
        """The context of a connection that a client has opened.

        With TLS 1.2 it is a new one for each connection: sessions are kept by a context, cannot be turned off, and a client that
        resumes one shows no certificate.
        """
        if self._tls.least == "1.2":
            with suppress(FailedPrecondition, OSError, ValueError):  # The files are being replaced.
                return self._server_context()
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
        async for _ in watch:
            try:
                made = await asyncio.to_thread(self._renewed)
            except FailedPrecondition as error:
                self._problem = error.message
                _log.warning("new TLS files are not used, and the old ones stay in use: %s", error.message)
                continue
            if made is not None:
                self._server, self._client = made
                self._problem = ""
                _log.info("new TLS files are used for new connections")

    def _renewed(self) -> tuple[ssl.SSLContext, ssl.SSLContext] | None:
        """Returns new contexts if the files hold something else than before; None otherwise."""
        now = self._digest()
        if now == self._used:
            return None
        self._used = now
        return self._made()

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
        """Returns new contexts of a server and of a client.

        Raises:
            FailedPrecondition: a file cannot be used.
        """
        try:
            return self._contexts()
        except (OSError, ValueError) as error:  # It was good a moment ago, and is another now.
            raise FailedPrecondition(f"the TLS files for the service cannot be used: {error}") from None

    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        tls = self._tls
        client = client_context("the service", ca=tls.roots, cert=tls.cert, key=tls.key, option="roots")
        client.minimum_version = _LEAST[tls.least]
        client.verify_flags |= _STRICT
        client.set_ciphers(_CIPHERS)
        client.set_alpn_protocols(_PROTOCOLS)
        return self._server_context(), client

    def _server_context(self) -> ssl.SSLContext:
        tls = self._tls
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = _LEAST[tls.least]
        server.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        server.num_tickets = 0
        server.set_ciphers(_CIPHERS)
        server.set_alpn_protocols(_PROTOCOLS)
        if tls.cert:
            load_certificate(server, "the service", tls.cert, tls.key)
        clients = tls.clients or ("required" if tls.roots else "ignored")
        if clients != "ignored":
            server.load_verify_locations(tls.roots)
            server.verify_flags |= _STRICT
            server.verify_mode = ssl.CERT_REQUIRED if clients == "required" else ssl.CERT_OPTIONAL
        return server


_STRICT: Final = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
"""How certificates are checked: as RFC 5280 says. From Python 3.13 on, that is what clients do anyway; here all do on each."""
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""What HTTP/2 allows of TLS 1.2 (RFC 9113, section 9.2.2). The ciphers of TLS 1.3 are not chosen by this."""
_LARGEST: Final = 4 << 20
"""Bytes of a file that are looked at for a change."""
