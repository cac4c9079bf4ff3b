"""Services whose connections have TLS: who is taken, who is refused and told why, and files that change."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import ipaddress
import logging
import shutil
import socket
import ssl
import subprocess
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import micro_rt as micro
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.kit import secured
from micro_rt.transport.base import ServerStream
from micro_rt.transport.tls import TlsFiles
from tests.helpers.lab import OurLab, our_client
from tests.helpers.missing import missing
from tests.helpers.raw_server import raw_server
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class Lab(OurLab):
    """Counts what runs."""

    ran = 0

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.ran += 1
        return await super().act(request, context)


class Issued:
    """Files of a party: its certificate and key, and the authorities that it trusts."""

    def __init__(self, folder: Path, authority: trustme.CA, *names: str, trusts: trustme.CA | None = None, **more: Any):
        folder.mkdir(exist_ok=True)
        self.cert, self.key, self.roots = folder / "tls.crt", folder / "tls.key", folder / "ca.crt"
        self.issue(authority, *names, **more)
        (trusts or authority).cert_pem.write_to_path(str(self.roots))

    def issue(self, authority: trustme.CA, *names: str, **more: Any) -> None:
        """Writes a new certificate: first the one file, then the other."""
        made = authority.issue_cert(*(names or ("127.0.0.1",)), **more)
        self.cert.write_bytes(b"".join([each.bytes() for each in made.cert_chain_pems]))
        self.key.write_bytes(made.private_key_pem.bytes())

    def tls(self, **more: Any) -> micro.Tls:
        return micro.Tls(cert=str(self.cert), key=str(self.key), roots=str(self.roots), **more)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ours(tmp_path: Path, authority: trustme.CA) -> Issued:
    return Issued(tmp_path / "ours", authority)


@asynccontextmanager
async def serving(
    server_tls: micro.Tls | None, client_tls: micro.Tls | None, **options: Any
) -> AsyncIterator[tuple[Lab, micro.Service, LabClient]]:
    registry = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=MemoryRegistry(registry), transport="grpc", tls=server_tls, **options)
    lab = server.handle(Lab())
    client = micro.Service("client", registry=MemoryRegistry(registry), transport="grpc", tls=client_tls)
    async with server, client:
        yield lab, server, LabClient(client)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "micro_rt.listener"]


# Who is taken


async def test_calls_of_all_kinds(ours: Issued) -> None:
    async with serving(ours.tls(), ours.tls()) as (_, _, client):
        assert (await client.act(Text(value="hi"))).value == "hi"
        assert [each.value async for each in client.count(Number(value=3))] == [0, 1, 2]
        large = "x" * 3_000_000
        assert (await client.act(Text(value=large))).value == large


async def test_the_environment_names_the_files(ours: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_TLS_CERT", str(ours.cert))
    monkeypatch.setenv("MICRO_TLS_KEY", str(ours.key))
    monkeypatch.setenv("MICRO_TLS_ROOTS", str(ours.roots))
    async with serving(None, None) as (_, server, client):
        assert (await client.act(Text(value="hi"))).value == "hi"
        assert server.node is not None
        plain = GrpcTransport().connection(server.node.address)
        with pytest.raises(micro.Unavailable):
            await plain.connect()
        await plain.close()


async def test_the_config_names_the_files(ours: Issued) -> None:
    said = {"tls_cert": str(ours.cert), "tls_key": str(ours.key), "tls_roots": str(ours.roots)}
    async with serving(None, ours.tls(), config=[{"micro": said}]) as (_, _, client):
        assert (await client.act(Text(value="hi"))).value == "hi"


async def test_clients_without_a_certificate_where_none_is_asked_for(ours: Issued) -> None:
    trusting = micro.Tls(roots=str(ours.roots))
    async with serving(ours.tls(clients="ignored"), trusting) as (_, _, client):
        assert (await client.act(Text(value="hi"))).value == "hi"


async def test_grpcio_calls_and_is_called(ours: Issued) -> None:
    roots, key, cert = ours.roots.read_bytes(), ours.key.read_bytes(), ours.cert.read_bytes()
    async with serving(ours.tls(), None) as (_, server, _):
        assert server.node is not None
        credentials = grpc.ssl_channel_credentials(roots, key, cert)
        async with grpc.aio.secure_channel(server.node.address, credentials) as channel:
            act = channel.unary_unary("/lab.Lab/Act", Text.SerializeToString, Text.FromString)
            assert (await soon(act(Text(value="hi")))).value == "hi"


# Who is refused


async def refused(client: LabClient) -> str:
    """Makes a call that is refused, and returns why."""
    with pytest.raises(micro.Unavailable) as caught:
        await client.act(Text(value="hi"))
    assert not caught.value.may_have_run
    return str(caught.value)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("no certificate", "no certificate was presented"),
        ("unknown authority", "no trusted authority issued the certificate"),
        ("expired", "the certificate has expired, or is not valid yet"),
    ],
)
async def test_a_client_that_is_refused_and_the_server_say_why(
    who: str, reason: str, tmp_path: Path, authority: trustme.CA, ours: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    if who == "no certificate":
        tls = micro.Tls(roots=str(ours.roots))
    elif who == "unknown authority":
        tls = Issued(tmp_path / "other", trustme.CA(), trusts=authority).tls()
    else:
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        tls = Issued(tmp_path / "other", authority, not_after=past, not_before=past - datetime.timedelta(days=1)).tls()
    async with serving(ours.tls(), tls) as (lab, _, client):
        said = await refused(client)
        assert reason in said, said
        await eventually(lambda: any(reason in line for line in lines(caplog)), lambda: lines(caplog))
        assert not lab.ran
    assert len(lines(caplog)) < 20, "a client that is refused does not try again and again"


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("unknown authority", "no trusted authority issued the certificate"),
        ("another name", "the certificate is not acceptable"),
    ],
)
async def test_a_server_that_is_refused_and_the_client_say_why(
    who: str, reason: str, tmp_path: Path, authority: trustme.CA, ours: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = authority if who == "another name" else trustme.CA()
    server_tls = Issued(tmp_path / "other", issuer, "elsewhere.example", trusts=authority).tls()
    async with serving(server_tls, ours.tls()) as (_, _, client):
        assert reason in await refused(client)
        await eventually(lambda: any(reason in line for line in lines(caplog)), lambda: lines(caplog))


def break_the_rules(issued: Issued) -> None:
    """Writes a certificate that does not say which key has signed it, against RFC 5280, section 4.2.1.1; and its authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lax")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    begun = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .public_key(key.public_key())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    root = (
        begun.subject_name(name)
        .serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = begun.subject_name(x509.Name([])).serial_number(2).add_extension(addresses, critical=True)
    pem = serialization.Encoding.PEM
    issued.roots.write_bytes(root.sign(key, hashes.SHA256()).public_bytes(pem))
    issued.cert.write_bytes(leaf.sign(key, hashes.SHA256()).public_bytes(pem))
    issued.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


async def test_a_certificate_that_breaks_rfc_5280_is_refused_on_each_python(
    ours: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    break_the_rules(ours)
    plain = ssl.create_default_context(cafile=str(ours.roots))
    plain.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python has it from 3.13 on.
    plain.set_alpn_protocols(["h2"])
    server_tls = micro.Tls(cert=str(ours.cert), key=str(ours.key))
    async with serving(server_tls, micro.Tls(roots=str(ours.roots))) as (lab, server, client):
        assert server.node is not None
        said = await refused(client)
        assert "Missing Authority Key Identifier" in said, said
        await eventually(lambda: any("is not acceptable" in line for line in lines(caplog)), lambda: lines(caplog))
        assert not lab.ran
        host, _, port = server.node.address.rpartition(":")
        _, writer = await soon(asyncio.open_connection(host, int(port), ssl=plain))
        writer.close()  # Only the strict check is why.


async def test_a_client_without_tls_is_told_that_the_port_takes_it(
    ours: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(ours.tls(), None) as (_, _, client):
        assert "This port takes TLS" in await refused(client)
    assert any("it speaks no TLS" in line for line in lines(caplog)), lines(caplog)


async def test_a_client_with_tls_at_a_port_without(ours: Issued) -> None:
    async with serving(None, ours.tls()) as (_, _, client):
        assert "what came is not TLS" in await refused(client)


async def test_a_request_in_clear_text_in_front_of_a_handshake_runs_nothing(ours: Issued) -> None:
    async with serving(ours.tls(), ours.tls()) as (lab, server, client):
        assert server.node is not None
        host, _, port = server.node.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + b"\x16\x03\x01")
        assert b"This port takes TLS" in await soon(reader.read())
        writer.close()
        assert not lab.ran
        assert (await client.act(Text(value="hi"))).value == "hi"


async def test_another_protocol_inside_tls_is_told_what_is_served(ours: Issued) -> None:
    context = ssl.create_default_context(cafile=str(ours.roots))
    context.load_cert_chain(ours.cert, ours.key)
    async with serving(ours.tls(), None) as (_, server, _):
        assert server.node is not None
        host, _, port = server.node.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        answer = await soon(reader.read())
        assert answer.startswith(b"HTTP/1.1 505 ")
        assert b"name h2 in the handshake of TLS (ALPN)" in answer
        writer.transport.abort()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_tls_1_2_only_where_the_server_says_so(version: Any, ours: Issued) -> None:
    context = ssl.create_default_context(cafile=str(ours.roots))
    context.load_cert_chain(ours.cert, ours.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(ours.tls(least=version), None) as (_, server, _):
        assert server.node is not None
        async with our_client(server.node.address, GrpcTransport(context)) as old:
            if version == "1.2":
                assert (await old.act(Text(value="hi"))).value == "hi"
            else:
                assert "no version of TLS in common" in await refused(old)


async def test_no_session_is_resumed(ours: Issued) -> None:
    async with serving(ours.tls(), None) as (_, server, _):
        assert server.node is not None
        host, _, port = server.node.address.rpartition(":")

        def connect(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
            context = contexts[0]
            with (
                socket.create_connection((host, int(port))) as plain,
                context.wrap_socket(plain, server_hostname=host, session=session) as secure,
            ):
                secure.settimeout(5)
                secure.recv(1)  # Tickets come with the first data.
                return secure.session, secure.session_reused

        context = ssl.create_default_context(cafile=str(ours.roots))
        context.load_cert_chain(ours.cert, ours.key)
        context.set_alpn_protocols(["h2"])
        contexts = [context]
        session, _ = await asyncio.to_thread(connect, None)
        assert session is None or not session.has_ticket


async def test_a_server_that_does_not_agree_on_http2(ours: Issued) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours.cert, ours.key)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with raw_server(silent, tls=context) as address:
        connection = GrpcTransport().secured(TlsFiles(ours.tls(), serves=False)).connection(address)
        with pytest.raises(micro.Unavailable, match=r"does not agree on h2 \(ALPN\)") as caught:
            await connection.connect()
        assert not caught.value.may_have_run
        await connection.close()


# Silence and floods


async def test_a_handshake_that_stops_is_cut(ours: Issued, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(ours.tls(), ours.tls(), limits=micro.Limits(handshake=0.5)) as (_, server, client):
        assert server.node is not None
        host, _, port = server.node.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01\x00")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await soon(reader.readexactly(1))
        writer.close()
        assert (await client.act(Text(value="hi"))).value == "hi"
    assert any("was not over within 0.5 s" in line for line in lines(caplog))


async def half_open(listener: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begins a handshake, and does not go on."""
    host, _, port = listener.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01\x00")
    return reader, writer


async def end_of(reader: asyncio.StreamReader) -> None:
    """Waits until the server has closed a connection."""
    with contextlib.suppress(ConnectionError):
        while await soon(reader.read(1 << 16)):
            pass


async def refuse(_: ServerStream) -> None:
    raise AssertionError("no call comes")


async def test_handshakes_count_among_the_connections_and_end_with_the_server(ours: Issued) -> None:
    transport = GrpcTransport(limits=micro.Limits(connections=2)).secured(TlsFiles(ours.tls(), serves=True))
    listener: Any = await transport.listen("127.0.0.1:0", refuse)
    opened = [await half_open(listener) for _ in range(2)]
    await eventually(lambda: len(listener._port.handshakes) == 2)
    opened.append(await half_open(listener))
    await end_of(opened[2][0])
    assert not any(reader.at_eof() for reader, _ in opened[:2])
    await soon(listener.close())
    for reader, writer in opened:
        await end_of(reader)
        writer.close()


async def test_who_changes_keys_without_end_is_cut(
    ours: Issued, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secured, "_BARREN", 4 << 10)  # Each of its commands takes a turn of a scheduler that is busy.
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl is not installed")
    async with serving(ours.tls(), ours.tls()) as (_, server, client):
        assert server.node is not None
        attacker = await asyncio.create_subprocess_exec(
            *(openssl, "s_client", "-connect", server.node.address, "-tls1_3", "-alpn", "h2"),
            *("-cert", str(ours.cert), "-key", str(ours.key), "-CAfile", str(ours.roots)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert attacker.stdin is not None
        with contextlib.suppress(ConnectionError):
            while attacker.returncode is None and not any("nothing in it" in line for line in lines(caplog)):
                attacker.stdin.write(b"K\n")  # It takes one command from what it reads at a time.
                await attacker.stdin.drain()
                await asyncio.sleep(0)
        await eventually(lambda: any("nothing in it" in line for line in lines(caplog)), lambda: lines(caplog))
        with contextlib.suppress(ProcessLookupError):
            attacker.kill()
        await attacker.wait()
        assert (await client.act(Text(value="hi"))).value == "hi"


# Files that change


async def test_new_files_are_used_for_new_connections_and_no_call_fails(
    tmp_path: Path, authority: trustme.CA, ours: Issued
) -> None:
    other = trustme.CA()
    done = failed = 0
    async with serving(ours.tls(), ours.tls()) as (_, server, client):
        stopping = False

        async def call() -> None:
            nonlocal done, failed
            while not stopping:
                try:
                    await client.act(Text(value="hi"))
                    done += 1
                except micro.Error:
                    failed += 1

        callers = [asyncio.create_task(call()) for _ in range(4)]
        try:
            seen = await shown_by(server, ours.roots)
            for authority_now in (authority, other):
                # Roots first: both are trusted while certificates change.
                both = authority.cert_pem.bytes() + other.cert_pem.bytes()
                ours.roots.write_bytes(both)
                ours.issue(authority_now)
                seen = await soon(another_than(seen, server, ours.roots))
        finally:
            stopping = True
            await asyncio.gather(*callers)
    assert done
    assert not failed


class Busy:
    """Calls and streams that go on until they are told to end.

    Args:
        client: what makes them.
        rate: calls a second; fewer where the machine is too slow.
    """

    def __init__(self, client: LabClient, rate: int) -> None:
        self._client = client
        self._rate = rate
        self._open = 0
        self.over = asyncio.Event()
        self.calls = 0
        self.messages = 0
        self.failed: list[micro.Error] = []

    async def call(self) -> None:
        try:
            await self._client.act(Text(value="hi"))
            self.calls += 1
        except micro.Error as error:
            self.failed.append(error)
        finally:
            self._open -= 1

    async def keep_calling(self) -> None:
        began = asyncio.get_running_loop().time()
        made = 0
        async with asyncio.TaskGroup() as calls:
            while not self.over.is_set():
                due = int((asyncio.get_running_loop().time() - began) * self._rate)
                for _ in range(min(due - made, 100 - self._open)):
                    calls.create_task(self.call())
                    made += 1
                    self._open += 1
                await asyncio.sleep(0.01)

    async def talk(self) -> None:
        async with self._client.talk() as stream:
            while not self.over.is_set():
                await stream.send(Text(value="hi"))
                assert (await stream.receive()).value == "re: hi"
                self.messages += 1
                await asyncio.sleep(0.02)
            await stream.end()
            assert (await stream.receive()).value == "bye"


async def replace(server: micro.Service, ours: Issued, authority: trustme.CA, swaps: int, moves: int) -> None:
    """Replaces the certificate again and again, and now and then the authority, each time after it is seen.

    Args:
        server: shows the certificate.
        ours: its files.
        authority: of the first certificates.
        swaps: how many certificates to make.
        moves: how many authorities follow the first one.
    """
    seen = await shown_by(server, ours.roots)
    now, others = authority, [trustme.CA() for _ in range(moves)]
    for number in range(swaps):
        moving = number % (swaps // moves) == 0
        if others and moving:  # Both are trusted while certificates change.
            ours.roots.write_bytes(now.cert_pem.bytes() + others[0].cert_pem.bytes())
            ours.issue(now)
            seen = await soon(another_than(seen, server, ours.roots))
            now = others.pop(0)
        ours.issue(now)
        seen = await soon(another_than(seen, server, ours.roots))
        if moving:
            ours.roots.write_bytes(now.cert_pem.bytes())


@pytest.mark.verify("calls")
async def test_files_change_under_load_and_no_call_and_no_stream_fails(
    authority: trustme.CA, ours: Issued, size: Size, figures: Figures
) -> None:
    swaps, moves = size(20, ci=4), 3 if size.full else 1
    # Connections end gently all the time, so that calls need new ones: with the files of that moment.
    limits = micro.Limits(age=0.2)
    async with serving(ours.tls(), ours.tls(), limits=limits) as (_, server, client):
        busy = Busy(client, 500)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as running:
            running.create_task(busy.keep_calling())
            for _ in range(8):
                running.create_task(busy.talk())
            try:
                await replace(server, ours, authority, swaps, moves)
                before = busy.calls
                await eventually(lambda: busy.calls > before + 20)
            finally:
                busy.over.set()
        seconds = asyncio.get_running_loop().time() - began
    assert busy.failed == []
    assert busy.messages > 8
    figures.add("root swaps", moves)
    figures.add("calls", busy.calls)
    figures.add("calls a second", round(busy.calls / seconds))
    figures.add("messages of streams", busy.messages)
    figures.add("failed", len(busy.failed))


async def another_than(seen: bytes, server: micro.Service, roots: Path) -> bytes:
    """Waits until a server shows another certificate, and returns that."""
    while (shown := await shown_by(server, roots)) == seen:
        await asyncio.sleep(0.01)
    return shown


async def shown_by(server: micro.Service, roots: Path) -> bytes:
    """Returns the certificate that a server shows."""
    assert server.node is not None
    host, _, port = server.node.address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.transport.abort()
    return shown


async def test_a_certificate_without_its_key_changes_nothing(
    authority: trustme.CA, ours: Issued, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    another = Issued(tmp_path / "another", authority)
    async with serving(ours.tls(), ours.tls()) as (_, server, client):
        before = await shown_by(server, ours.roots)
        shutil.copy(another.cert, ours.cert)
        await eventually(lambda: server.health.problems.get("tls"))
        assert str(ours.cert) in server.health.problems["tls"]
        assert any("new TLS files are not used" in record.getMessage() for record in caplog.records)
        assert await shown_by(server, ours.roots) == before
        assert (await client.act(Text(value="hi"))).value == "hi"
        shutil.copy(another.key, ours.key)
        await eventually(lambda: not server.health.problems)
        assert await shown_by(server, ours.roots) != before


# What cannot work


@pytest.mark.parametrize("missing", ["cert", "key", "roots"])
async def test_a_file_that_is_missing_is_named(missing: str, ours: Issued) -> None:
    getattr(ours, missing).unlink()
    with pytest.raises(micro.FailedPrecondition, match=str(getattr(ours, missing))):
        async with serving(ours.tls(), None):
            pass


async def test_a_service_with_handlers_needs_a_certificate(ours: Issued) -> None:
    with pytest.raises(micro.FailedPrecondition, match="MICRO_TLS_CERT"):
        async with serving(micro.Tls(roots=str(ours.roots)), None):
            pass


async def test_a_transport_that_has_no_tls_is_refused(ours: Issued) -> None:
    with pytest.raises(micro.FailedPrecondition, match="secures its connections"):
        async with micro.Service("lab", registry=f"memory:{uuid.uuid4()}", transport="memory", tls=ours.tls()):
            pass


@pytest.mark.parametrize("arguments", [{"clients": "some"}, {"least": "1.1"}])
def test_arguments_that_make_no_sense(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"clients=|least="):
        micro.Tls(**arguments)


@pytest.mark.parametrize(
    ("left_out", "more", "problem"),
    [("cert", {}, "MICRO_TLS_CERT"), ("roots", {"clients": "asked"}, "MICRO_TLS_ROOTS")],
)
async def test_a_file_that_others_need_is_asked_for_by_name(
    left_out: str, more: Any, problem: str, ours: Issued
) -> None:
    files = {"cert": str(ours.cert), "key": str(ours.key), "roots": str(ours.roots)}
    del files[left_out]
    with pytest.raises(micro.FailedPrecondition, match=problem):
        TlsFiles(micro.Tls(**files, **more), serves=False)


async def test_a_folder_is_no_file_of_authorities(ours: Issued) -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"roots=.* is a folder"):
        TlsFiles(micro.Tls(roots=str(ours.roots.parent)), serves=False)


async def test_code_may_add_to_the_files_of_the_environment(ours: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file in (("CERT", ours.cert), ("KEY", ours.key), ("ROOTS", ours.roots)):
        monkeypatch.setenv(f"MICRO_TLS_{name}", str(file))
    async with serving(micro.Tls(clients="asked"), None) as (_, _, client):
        assert (await client.act(Text(value="hi"))).value == "hi"


async def test_a_change_before_the_files_are_followed_is_seen(authority: trustme.CA, ours: Issued) -> None:
    files = TlsFiles(ours.tls(), serves=True)
    before = files.server
    ours.issue(authority)
    await files.open()
    try:
        await eventually(lambda: files.server is not before)
        assert not files.problem
    finally:
        await files.close()


# Many connections


@pytest.mark.verify("calls")
@pytest.mark.parametrize("how", ["reset", "hello, then reset", "no certificate"])
async def test_handshakes_that_are_broken_off_leave_nothing(how: str, ours: Issued, size: Size) -> None:
    count = size(20_000, ci=300)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def break_off(host: str, port: str) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        if how != "reset":
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            writer.write(outgoing.read())
            if how == "no certificate":
                while True:
                    incoming.write(await reader.read(1 << 16))
                    try:
                        tls.do_handshake()
                    except ssl.SSLWantReadError:
                        continue
                    break
                writer.write(outgoing.read())
        writer.transport.abort()

    async def memory(host: str, port: str, number: int) -> int:
        for start in range(0, number, 20):
            await asyncio.gather(*[break_off(host, port) for _ in range(min(20, number - start))])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with serving(ours.tls(), ours.tls()) as (lab, server, client):
        assert server.node is not None
        host, _, port = server.node.address.rpartition(":")
        tracemalloc.start()
        try:
            before = await memory(host, port, count // 5)
            after = await memory(host, port, count)
        finally:
            tracemalloc.stop()
        assert (await client.act(Text(value="hi"))).value == "hi"
        assert lab.ran == 1
    assert after - before < 200_000 + 50 * count, "each leaves something"
