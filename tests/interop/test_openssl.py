"""What a service with TLS offers, as OpenSSL's client finds it; the questions are those of testssl.sh."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

import micro_rt as micro
from tests.helpers.lab import our_server
from tests.helpers.missing import missing
from tests.helpers.waiting import soon
from tests.servers.certificates import Certificates

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""What a client of HTTP/2 begins with (RFC 9113, section 3.4)."""


class Said(NamedTuple):
    """What OpenSSL has written, and whether the handshake went well."""

    connected: bool
    text: str


Asking = Callable[..., AbstractAsyncContextManager[Callable[..., Any]]]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        missing("openssl is not installed")
    return found


@pytest.fixture
def asking(openssl: str, certificates: Certificates) -> Asking:
    """Starts a service, and gives what asks it."""

    @asynccontextmanager
    async def started(least: Literal["1.2", "1.3"] = "1.3", *, clients: bool = False) -> AsyncIterator[Any]:
        tls = micro.Tls(
            cert=str(certificates.certificate),
            key=str(certificates.key),
            roots=str(certificates.ca) if clients else "",
            least=least,
        )
        async with our_server(tls=tls) as (_, service):
            assert service.node is not None
            address = service.node.address

            async def ask(*options: str, alpn: str = "h2", typed: bytes = b"", until: str = "") -> Said:
                """Connects, types something, and returns what is said.

                Args:
                    options: of ``s_client``.
                    alpn: what is offered.
                    typed: what is sent.
                    until: what to wait for before the connection is ended, or the other side ends it.
                """
                process = await asyncio.create_subprocess_exec(
                    *(openssl, "s_client", "-connect", address, "-CAfile", str(certificates.ca)),
                    *("-verify_return_error", *(["-alpn", alpn] if alpn else []), *options),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                assert process.stdin is not None and process.stdout is not None
                said = b""
                try:
                    with contextlib.suppress(ConnectionError):
                        process.stdin.write(typed)
                        await process.stdin.drain()
                    while until.encode() not in said and (part := await soon(process.stdout.read(65_536))):
                        said += part
                    rest, _ = await soon(process.communicate(b"Q\n"))
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
                text = (said + rest).decode(errors="replace")
                # "Cipher is (NONE)" is written if the handshake did not come to an end.
                return Said(bool(re.search(r"Cipher is (?!\(NONE\))", text)), text)

            yield ask

    return started


async def test_the_certificate_is_verified_for_the_address(asking: Asking) -> None:
    async with asking() as ask:
        said = await ask("-verify_ip", "127.0.0.1")
        assert said.connected
        assert "Verify return code: 0 (ok)" in said.text
        assert "ALPN protocol: h2" in said.text
        other = await ask("-verify_ip", "127.0.0.2")
        assert "IP address mismatch" in other.text


@pytest.mark.parametrize("version", ["tls1", "tls1_1", "tls1_2"])
async def test_old_versions_are_refused(asking: Asking, version: str) -> None:
    async with asking() as ask:
        said = await ask(f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
        assert not said.connected
        assert "alert protocol version" in said.text, said.text
        assert (await ask("-tls1_3")).connected


async def test_who_speaks_no_http2_is_told_so(asking: Asking) -> None:
    async with asking() as ask:
        said = await ask(alpn="http/1.1", typed=b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", until="(ALPN)")
        assert "No ALPN negotiated" in said.text
        assert re.search("^HTTP/1.1 505", said.text, re.MULTILINE), said.text


async def test_nothing_can_be_resumed_or_sent_early(asking: Asking) -> None:
    async with asking() as ask:
        # A ticket would come with the first data of the server, its SETTINGS.
        said = await ask("-tls1_3", typed=PREFACE, until="\x04\0\0\0\0\0")  # a frame of SETTINGS
        assert said.connected
        assert "New Session Ticket" not in said.text
        assert "Early data was not sent" in said.text
        assert "Max Early Data: 0" in said.text or "Max Early Data" not in said.text
    async with asking("1.2") as ask:
        said = await ask("-tls1_2", "-reconnect")
        assert "TLS session ticket" not in said.text
        assert "Reused" not in said.text


async def test_nothing_is_compressed_and_nothing_renegotiated(asking: Asking) -> None:
    async with asking("1.2") as ask:
        said = await ask("-tls1_2", "-comp", typed=b"R\n", until="RENEGOTIATING")
        assert said.connected
        assert "Compression: NONE" in said.text
        assert re.search("no renegotiation|RENEGOTIATING", said.text)
        assert "verify return:1" not in said.text.partition("RENEGOTIATING")[2], "renegotiated"


async def test_only_ciphers_that_http2_allows(asking: Asking, openssl: str) -> None:
    """RFC 9113, section 9.2.2: with TLS 1.2, an ephemeral key exchange and an AEAD cipher."""
    listed = subprocess.run(
        [openssl, "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    )
    taken: list[str] = []
    async with asking("1.2") as ask:
        for cipher in listed.stdout.strip().split(":"):
            said = await ask("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
            if said.connected:
                taken.append(cipher)
    assert taken
    assert all(re.fullmatch(r"ECDHE-\w+-(AES\d+-GCM-SHA\d+|CHACHA20-POLY1305)", cipher) for cipher in taken), taken


async def test_a_client_without_a_certificate_is_told_so(asking: Asking, certificates: Certificates) -> None:
    async with asking(clients=True) as ask:
        said = await ask(until="alert certificate required")
        assert "alert certificate required" in said.text, said.text
        own = ("-cert", str(certificates.client_certificate), "-key", str(certificates.client_key))
        said = await ask(*own)
        assert "certificate required" not in said.text
        assert "Verify return code: 0 (ok)" in said.text
