"""TLS on memory BIOs, without sockets: what a connection does with what comes, however it comes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from micro_rt.kit.secured import Secured, Turns
from tests.helpers.memory import resident
from tests.helpers.waiting import PATIENCE, eventually
from tests.servers.certificates import Certificates


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and is as strict as those of the event loops."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.aborted

    def close(self) -> None:
        self.aborted = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def taken(self) -> bytes:
        data, self.written = self.written, b""
        return data


class Heard(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


class Pair:
    """A server under test, and a client on a memory BIO."""

    def __init__(self, folder: Path, *, patience: float = 60.0) -> None:
        certificates = Certificates(folder / "certificates")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificates.certificate, certificates.key)
        self.heard, self.wire, self.refusals = Heard(), Wire(), list[str]()
        self.secured = Secured(
            server,
            lambda _: self.heard,
            server_side=True,
            patience=patience,
            refused=self.refusals.append,
            turns=Turns(),
        )
        self.secured.connection_made(self.wire)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = certificates.context().wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def shake_hands(self) -> bytes:
        """Makes the handshake; returns the client's last part of it, which the server has not got."""
        while True:
            self._incoming.write(self.wire.taken())
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
                return self._outgoing.read()
            self.secured.data_received(self._outgoing.read())
            await eventually(lambda: self.wire.written)

    def encrypted(self, data: bytes) -> bytes:
        self.client.write(data)
        return self._outgoing.read()


async def test_what_follows_a_handshake_in_one_read_is_taken_however_much_it_is(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    last = await pair.shake_hands()
    data = b"".join([pair.encrypted(bytes(16_000)) for _ in range(40)])
    pair.secured.data_received(last + data)
    await eventually(lambda: len(pair.heard.data) == 640_000)
    assert not pair.refusals


async def test_a_connection_is_not_read_while_a_step_of_its_handshake_waits(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await asyncio.sleep(0)
    assert not pair.wire.paused
    last = await pair.shake_hands()
    pair.secured.data_received(last[:5])
    assert pair.wire.paused
    pair.secured.data_received(last[5:])  # An event loop may have read it already.
    await eventually(lambda: pair.heard.transport)
    assert not pair.wire.paused


async def test_nothing_is_written_after_a_refusal(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.secured.data_received(await pair.shake_hands())
    await eventually(lambda: pair.heard.transport)
    pair.secured.data_received(b"\x17\x03\x03\x00\x20" + bytes(32))  # A record that nobody has encrypted.
    assert len(pair.refusals) == 1
    assert pair.wire.ended
    assert pair.heard.transport.is_closing()
    pair.heard.transport.write(b"more")
    pair.heard.transport.close()


async def test_data_without_content_is_taken_up_to_a_limit(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.secured.data_received(await pair.shake_hands())
    await eventually(lambda: pair.heard.transport)
    for _ in range(100):  # There is content again and again.
        pair.secured.data_received(pair.encrypted(bytes(16_000)))
    assert not pair.refusals
    assert len(pair.heard.data) == 1_600_000


@pytest.mark.parametrize("late", [False, True])
async def test_a_handshake_that_stops_is_cut_unless_the_event_loop_was_blocked(
    late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[float, Callable[[], None]]] = []
    now = 100.0
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: now)
    monkeypatch.setattr(
        loop, "call_at", lambda when, what: called.append((when, what)) or asyncio.Handle(what, (), loop)
    )
    pair = Pair(tmp_path, patience=10.0)
    ((due, too_late),) = called
    assert due == 110.0
    now = 115.0 if late else 110.0
    too_late()
    assert pair.wire.aborted is not late
    assert bool(pair.refusals) is not late
    if late:
        due, too_late = called[1]
        now = due
        too_late()
        assert pair.wire.aborted
    monkeypatch.undo()


async def test_a_session_that_is_resumed_is_refused(tmp_path: Path) -> None:
    certificates, refusals, heard = Certificates(tmp_path / "certificates"), list[str](), list[Heard]()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.maximum_version = ssl.TLSVersion.TLSv1_2  # It keeps sessions, as every context does.
    ours.load_cert_chain(certificates.certificate, certificates.key)
    theirs = certificates.context(client=False)

    def made(_: str | None) -> Heard:
        heard.append(Heard())
        return heard[-1]

    def accept() -> Secured:
        return Secured(ours, made, server_side=True, patience=60.0, refused=refusals.append)

    def connect(port: int, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
        raw = socket.create_connection(("127.0.0.1", port))
        with theirs.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as secure:
            secure.sendall(b"hi")
            secure.settimeout(PATIENCE)
            if session is not None:
                with contextlib.suppress(ConnectionError):
                    assert secure.recv(1) == b""
            return secure.session, bool(secure.session_reused)

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        session, reused = await asyncio.to_thread(connect, port, None)
        assert (session is not None, reused, refusals) == (True, False, [])
        await eventually(lambda: [each.data for each in heard] == [b"hi"])
        _, reused = await asyncio.to_thread(connect, port, session)
        assert reused
    assert refusals == ["it resumed a TLS session; this server takes only full handshakes, which check certificates"]
    assert len(heard) == 1


@pytest.mark.parametrize("early", [False, True], ids=["later", "with the handshake"])
async def test_a_connection_keeps_no_large_buffers(early: bool, tmp_path: Path) -> None:
    size, count = 512 << 10, 60
    pairs: list[tuple[Pair, bytes]] = []
    for number in range(count):
        (tmp_path / str(number)).mkdir()
        pair = Pair(tmp_path / str(number))
        pairs.append((pair, await pair.shake_hands()))
    before = resident()
    for pair, last in pairs:
        data = b"".join([pair.encrypted(bytes(16_000)) for _ in range(size // 16_000)])
        pair.secured.data_received(last + data if early else last)
        await eventually(lambda pair=pair: pair.heard.transport)
        if not early:
            pair.secured.data_received(data)
        assert len(pair.heard.data) == size // 16_000 * 16_000
        pair.heard.transport.write(bytes(size))
        pair.heard.data, pair.wire.written = b"", b""
    assert resident() - before < count * 250_000
