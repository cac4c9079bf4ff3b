"""Where a server listens: several addresses, modes of Unix sockets, sockets of systemd, and proxies."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from struct import pack

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt.backends.grpc.server import GrpcListener, listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.errors import FailedPrecondition
from micro_rt.http2.frames import PREFACE
from micro_rt.listener.places import Place, places_of
from micro_rt.listener.proxied import LONGEST, Claim, NoClaimError, read_claim
from micro_rt.transport.base import ServerStream
from tests.helpers.handlers import Lab
from tests.helpers.waiting import soon
from tests.unit.grpc.served import unary
from tests.unit.grpc.test_listener import connect
from tests.unit.http2.peers import settings

ROOT = Path(__file__).parents[3]
V2 = b"\r\n\r\n\0\r\nQUIT\n"
CALL = PREFACE + settings() + unary(1, b"hello")


async def who(stream: ServerStream) -> None:
    """Answers with the address of the client."""
    await stream.receive()
    await stream.send(f"<{stream.peer}>".encode())
    await stream.finish(None)


@asynccontextmanager
async def served(address: str, **limits: float) -> AsyncGenerator[GrpcListener]:
    listener = await listen(address, who, ServerLimits(**limits))  # type: ignore[arg-type]
    try:
        yield listener
    finally:
        await listener.close()


async def peer_of(address: str, first: bytes = b"") -> str:
    """Makes a call on a new connection, and returns the address that the handler sees."""
    reader, writer = await connect(address)
    try:
        writer.write(first + CALL)
        return (await soon(reader.readuntil(b">"))).rpartition(b"<")[2][:-1].decode()
    finally:
        writer.close()
        await writer.wait_closed()


def addresses(listener: GrpcListener) -> list[str]:
    port = listener._port  # pyright: ignore[reportPrivateUsage]
    assert port is not None
    return [bound.address for bound in port.bound]


# Several places


async def test_several_places_serve_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "a.sock"
    async with served(f"127.0.0.1:0, [::1]:0,unix:{path}") as listener:
        first, second, third = addresses(listener)
        assert listener.address == first
        assert f"it listens on {first}, {second}, {third}" in caplog.text
        assert (await peer_of(first)).startswith("127.0.0.1:")
        assert (await peer_of(second)).startswith("[::1]:")
        assert await peer_of(third) == "unix:"
    for address in (first, second, third):
        with pytest.raises(OSError):
            await connect(address)
    assert not path.exists()


async def test_the_limit_of_connections_is_that_of_all_places_together() -> None:
    async with served("127.0.0.1:0,127.0.0.1:0", connections=1) as listener:
        first, second = addresses(listener)
        reader, writer = await connect(first)
        writer.write(CALL)
        await soon(reader.readuntil(b">"))
        late, other = await connect(second)
        with suppress(ConnectionError):
            assert await soon(late.read()) == b""
        for each in (writer, other):
            each.close()


async def test_if_one_place_cannot_be_used_none_is(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FailedPrecondition, match=f"cannot listen on 127.0.0.1:{port}: "):
            await listen(f"unix:{path},127.0.0.1:{port}", who)
    assert not path.exists()


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("127.0.0.1:0,", "a place is missing beside a comma"),
        ("127.0.0.1:7,127.0.0.1:7", "one place is named twice"),
        ("127.0.0.1:0?mode=660", "no option 'mode' for 127.0.0.1:0; there is proxy"),
        ("unix:/tmp/x?modes=660", "no option 'modes' for unix:/tmp/x; there is mode and proxy"),
        ("unix:/tmp/x?mode=888", "'888' is not three octal digits"),
        ("unix:/tmp/x?mode=rw", "'rw' is not three octal digits"),
        ("127.0.0.1:0?proxy=yes", "'yes' is neither 'on' nor networks"),
        ("127.0.0.1:0?proxy=10.0.0.1/8", "neither 'on' nor networks"),
        ("systemd:", "systemd has handed no socket to this process"),
    ],
)
async def test_an_address_that_makes_no_sense_is_refused(address: str, match: str) -> None:
    with pytest.raises(FailedPrecondition, match=match) as caught:
        await listen(address, who)
    assert caught.value.id == "micro.listen_failed"


def test_places_are_read_with_their_options() -> None:
    plain, unix, proxied = places_of("127.0.0.1:0,unix:/run/a.sock?mode=0660&proxy=on,:1?proxy=10.0.0.0/8+::1")
    assert plain == Place("127.0.0.1:0")
    assert unix == Place("unix:/run/a.sock", 0o660, proxied=True)
    assert (proxied.address, [str(network) for network in proxied.proxies]) == (":1", ["10.0.0.0/8", "::1/128"])


async def test_a_service_listens_on_several_places_and_registers_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    service = micro.Service("a", registry="memory:", address=f":0,unix:{path}?mode=600", transport="grpc")
    service.handle(Lab())
    async with service:
        assert service.node is not None
        assert service.node.address.startswith("127.0.0.1:")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_transport_with_one_place_refuses_more() -> None:
    service = micro.Service("a", registry="memory:", address="127.0.0.1:0,127.0.0.1:0", transport="grpclib")
    service.handle(Lab())
    with pytest.raises(FailedPrecondition, match="needs a transport that listens on several addresses"):
        async with service:
            pass


# Unix sockets


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_a_unix_socket_has_its_mode_before_anybody_can_connect(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "a.sock", list[int]()
    real = socket.socket.listen

    def noting(self: socket.socket, *backlog: int) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        real(self, *backlog)

    monkeypatch.setattr(socket.socket, "listen", noting)
    async with served(f"unix:{path}?mode={mode:o}") as listener:
        assert listener.address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert await peer_of(listener.address) == "unix:"
    assert seen == [mode]


# systemd

ACTIVATED = """
import asyncio, os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
import micro_rt as micro
from tests.unit.grpc.test_places import addresses, who
from micro_rt.backends.grpc.server import listen
from micro_rt.backends.grpc.server_limits import ServerLimits

async def main():
    for _ in range(2):  # A service may stop, and start again.
        listener = await listen(sys.argv[1], who)
        print(*addresses(listener), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await listener.close()
    print([os.get_inheritable(number) for number in range(3, 3 + int(os.environ["LISTEN_FDS"]))])

asyncio.run(main())
"""


@asynccontextmanager
async def activated(
    address: str, sockets: Sequence[socket.socket], names: str | None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Starts a server as systemd does: its sockets are the file descriptors from 3 on."""

    def hand_over() -> None:
        for target, number in enumerate(copies, 3):
            os.dup2(number, target)

    copies = [os.dup(each.fileno()) for each in sockets]
    for position, number in enumerate(copies):  # Above all that they become.
        copies[position] = os.dup2(number, number + 100)
        os.close(number)
    environment = {**os.environ, "LISTEN_FDS": str(len(sockets))} | ({} if names is None else {"LISTEN_FDNAMES": names})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ACTIVATED, address),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
        close_fds=False,
        preexec_fn=hand_over,
    )
    for number in copies:
        os.close(number)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_sockets_of_systemd_are_used_and_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        expected = ["127.0.0.1:{}".format(*tcp.getsockname()[1:]), f"unix:{path}"]
        async with activated("systemd:", [tcp, unix], "web:local") as process:
            assert process.stdin is not None and process.stdout is not None
            for _ in range(2):
                assert (await soon(process.stdout.readline())).decode().split() == expected
                for address in expected:
                    assert (await peer_of(address)).startswith(address[:5])
                process.stdin.write(b"\n")
            assert await soon(process.stdout.readline()) == b"[False, False]\n"
            assert path.exists()


@pytest.mark.parametrize(("name", "place"), [("web", 0), ("other", 1)])
async def test_sockets_of_systemd_have_names(name: str, place: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        async with activated(f"systemd:{name}", [one, two], "web:other") as process:
            assert process.stdout is not None
            port = (one, two)[place].getsockname()[1]
            assert (await soon(process.stdout.readline())).decode().split() == [f"127.0.0.1:{port}"]


@pytest.mark.parametrize(
    ("address", "names", "match"),
    [
        ("systemd:db", "web", "handed over no socket named 'db'; there are: web"),
        ("systemd:db", None, "handed over no socket named 'db'; there are: unknown"),
        ("systemd:", "x", "takes no connections"),
    ],
)
async def test_what_systemd_hands_over_must_be_of_use(address: str, names: str | None, match: str) -> None:
    with socket.socket() if names == "x" else socket.create_server(("127.0.0.1", 0)) as opened:
        async with activated(address, [opened], names) as process:
            _, errors = await soon(process.communicate())
    assert match in errors.decode()


# Proxies


def v2(command: int, family: int, addresses: bytes, notes: bytes = b"") -> bytes:
    body = addresses + notes
    return V2 + pack(">BBH", command, family, len(body)) + body


IPV4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + pack(">HH", 51234, 443)
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + pack(">HH", 51234, 443)
CLAIMS = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n", "192.0.2.7:51234"),
    (b"PROXY TCP6 2001:db8::7 ::1 51234 443\r\n", "[2001:db8::7]:51234"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""),
    (v2(0x21, 0x11, IPV4), "192.0.2.7:51234"),
    (v2(0x21, 0x11, IPV4, b"\x04\0\x01x"), "192.0.2.7:51234"),
    (v2(0x21, 0x21, IPV6), "[2001:db8::7]:51234"),
    (v2(0x20, 0x00, b""), ""),
    (v2(0x20, 0x11, IPV4), ""),
    (v2(0x21, 0x31, bytes(216)), ""),
    (v2(0x21, 0x00, b""), ""),
]


@pytest.mark.parametrize(("header", "peer"), CLAIMS)
def test_a_header_is_read_however_it_is_cut(header: bytes, peer: str) -> None:
    for size in range(len(header)):
        assert read_claim(header[:size]) is None
    assert read_claim(header) == Claim(peer, len(header))
    assert read_claim(header + PREFACE) == Claim(peer, len(header))


@pytest.mark.parametrize(
    "header",
    [
        PREFACE,
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 51234\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 65536\r\n",
        b"PROXY TCP4 192.0.2.777 10.0.0.1 51234 443\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 51234 443\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 51234 443\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 51234 443\r\n",
        b"PROXY UNKNOWNx\r\n",
        b"PROXY TCP4 " + b"1" * 100,
        b"PROXY UNKNOWN " + b"x" * 100,
        v2(0x22, 0x11, IPV4),
        v2(0x11, 0x11, IPV4),
        v2(0x21, 0x11, IPV4[:-1]),
        v2(0x21, 0x21, IPV4),
        v2(0x21, 0x11, IPV4, bytes(LONGEST)),
        V2[:-1] + b"x",
    ],
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(NoClaimError):
        read_claim(header)


@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2, V2 + b"\x21\x11"]), st.binary(max_size=300))
def test_nothing_else_is_raised_whatever_comes(start: bytes, rest: bytes) -> None:
    with suppress(NoClaimError):
        claim = read_claim(start + rest)
        assert claim is None or claim.size <= len(start + rest)


@pytest.mark.parametrize(("header", "peer"), CLAIMS)
async def test_a_handler_sees_the_client_of_a_proxy(header: bytes, peer: str) -> None:
    async with served("127.0.0.1:0?proxy=on") as listener:
        assert (await peer_of(listener.address, header)).startswith(peer or "127.0.0.1:")


async def test_a_header_may_come_byte_by_byte() -> None:
    async with served("127.0.0.1:0?proxy=on") as listener:
        reader, writer = await connect(listener.address)
        for byte in CLAIMS[4][0] + PREFACE:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(settings() + unary(1, b"hello"))
        assert b"<192.0.2.7:51234>" in await soon(reader.readuntil(b">"))
        writer.close()


@pytest.mark.parametrize("first", [PREFACE, b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 x\r\n"])
async def test_who_does_not_say_whom_it_speaks_for_is_refused(first: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served("127.0.0.1:0?proxy=on") as listener:
        reader, writer = await connect(listener.address)
        writer.write(first)
        with suppress(ConnectionError):
            assert await soon(reader.read()) == b""
        writer.close()
    assert "is refused: it" in caplog.text


async def test_a_proxy_that_says_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with served("127.0.0.1:0?proxy=on", handshake=0.05) as listener:
        for first in (b"", b"PROXY ", CLAIMS[0][0]):
            reader, writer = await connect(listener.address)
            writer.write(first)
            with suppress(ConnectionError):
                assert await soon(reader.read()) == b""
            writer.close()
    assert "it did not say in time what it speaks" in caplog.text


@pytest.mark.parametrize(("networks", "allowed"), [("127.0.0.0/8", True), ("10.0.0.0/8+::1", False)])
async def test_only_some_proxies_may_speak_for_others(
    networks: str, allowed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(f"127.0.0.1:0?proxy={networks}") as listener:
        if allowed:
            assert await peer_of(listener.address, CLAIMS[0][0]) == "192.0.2.7:51234"
            return
        reader, writer = await connect(listener.address)
        with suppress(ConnectionError):
            writer.write(CLAIMS[0][0] + CALL)
            assert await soon(reader.read()) == b""
        writer.close()
    assert "it does not come from a proxy that is allowed" in caplog.text


async def test_where_no_proxy_is_expected_its_header_is_a_wrong_preface() -> None:
    async with served("127.0.0.1:0") as listener:
        reader, writer = await connect(listener.address)
        writer.write(CLAIMS[0][0] + CALL)
        with suppress(ConnectionError):
            assert b"<" not in await soon(reader.read())
        writer.close()


async def test_the_header_comes_before_tls() -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    for names in (["h2"], []):
        if names:
            ours.set_alpn_protocols(names)
        listener = await listen("127.0.0.1:0?proxy=on", who, tls=lambda: context)
        reader, writer = await connect(listener.address)
        writer.write(CLAIMS[4][0])
        await writer.start_tls(ours, server_hostname="127.0.0.1")
        writer.write(CALL)
        assert b"<192.0.2.7:51234>" in await soon(reader.readuntil(b">"))
        writer.close()
        await listener.close()


# Many at once


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::]:0"])
async def test_small_messages_are_not_held_back(address: str) -> None:
    async with served(address) as listener:
        reader, writer = await connect(f"127.0.0.1:{listener.address.rpartition(':')[2]}")
        writer.write(CALL)
        await soon(reader.readuntil(b">"))
        (link,) = listener._links  # pyright: ignore[reportPrivateUsage]
        assert link.transport is not None
        opened = link.transport.get_extra_info("socket")
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()


async def test_a_loop_that_cannot_watch_sockets_accepts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, real = asyncio.get_running_loop(), asyncio.get_running_loop().add_reader

    def no_readers(*_: object) -> None:
        raise NotImplementedError  # As Windows' own loop does.

    monkeypatch.setattr(loop, "add_reader", no_readers)
    async with served("127.0.0.1:0") as listener:
        monkeypatch.setattr(loop, "add_reader", real)
        for _ in range(3):
            assert (await peer_of(listener.address)).startswith("127.0.0.1:")
    with pytest.raises(OSError):
        await connect(listener.address)


async def test_a_burst_of_connections_is_accepted() -> None:
    async with served("127.0.0.1:0") as listener:
        host, _, port = listener.address.rpartition(":")
        clients = [socket.socket() for _ in range(400)]
        for client in clients:  # All of them connect before the event loop accepts any.
            client.setblocking(False)
            client.connect_ex((host, int(port)))
        loop = asyncio.get_running_loop()

        async def call(client: socket.socket) -> bytes:
            found = b""
            await loop.sock_sendall(client, CALL)
            while b">" not in found:
                found += await loop.sock_recv(client, 4096)
            return found

        assert len(await soon(asyncio.gather(*map(call, clients)))) == 400
        for client in clients:
            client.close()
