"""An authority of the tests' own, for servers that speak TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

__all__ = ["Certificates"]


class Certificates:
    """A certificate for a server on loopback, one for a client, and the authority that both trust; as files.

    Args:
        folder: to write them to.
        names: more names of the server.
    """

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(exist_ok=True)
        self.ca = folder / "ca.pem"
        """The authority's certificate."""
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.client_certificate = folder / "client.pem"
        self.client_key = folder / "client.key"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        for made, certificate, key in (
            (authority.issue_cert("127.0.0.1", "localhost", *names), self.certificate, self.key),
            (authority.issue_cert("client@test", common_name="client"), self.client_certificate, self.client_key),
        ):
            for number, part in enumerate(made.cert_chain_pems):
                part.write_to_path(str(certificate), append=number > 0)
            made.private_key_pem.write_to_path(str(key))

    def context(self, *, client: bool = True) -> ssl.SSLContext:
        """Returns what a client connects with: it trusts the authority, and shows its own certificate if it is to."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if client:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context
