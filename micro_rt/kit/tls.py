"""TLS contexts of clients, made from the files that an address names."""

from __future__ import annotations

import ssl
from pathlib import Path

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.secrets import shown_file

__all__ = ["client_context", "load_certificate"]


def client_context(
    server: str, *, ca: str = "", cert: str = "", key: str = "", verify: bool = True, option: str = "ca"
) -> ssl.SSLContext:
    """Returns what a client connects with.

    Args:
        server: what it connects to, for the error: ``"etcd at 10.0.0.5:2379"``.
        ca: file or folder of the authorities that are trusted; empty for the system's.
        cert: file with the client's certificate; empty for none.
        key: file with the certificate's key; empty if it is in ``cert``.
        verify: whether the server's certificate and name are checked.
        option: what the user calls ``ca``, for the error.

    Raises:
        FailedPrecondition: a file cannot be used; the message says which, and why.
    """
    folder = bool(ca) and Path(ca).is_dir()
    try:
        context = ssl.create_default_context(cafile=ca if ca and not folder else None, capath=ca if folder else None)
    except (OSError, ValueError) as error:
        raise FailedPrecondition(
            f"the TLS files for {server} cannot be used: {option}={ca} holds no certificates: {error}",
            may_have_run=False,
        ) from None
    if cert:
        load_certificate(context, server, cert, key)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_certificate(context: ssl.SSLContext, purpose: str, cert: str, key: str = "") -> None:
    """Has a context show a certificate.

    Args:
        context: which nothing uses yet: one that this fails for must not be used.
        purpose: what it is for, for the error.
        cert: file with the certificate.
        key: file with the certificate's key; empty if it is in ``cert``.

    Raises:
        FailedPrecondition: a file cannot be used; the message says which, and why.
    """
    try:
        # Without a password, OpenSSL asks for one on the terminal.
        context.load_cert_chain(cert, key or None, password=_no_password)
    except (OSError, ValueError) as error:
        raise FailedPrecondition(
            f"the TLS files for {purpose} cannot be used: cert={cert} and key={shown_file(key)} must be a certificate and its key, "
            f"in PEM and without a password: {error}",
            may_have_run=False,
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")
