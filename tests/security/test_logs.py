"""What others send forges no line of a log, controls no terminal, and does not fill the log."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt import logs
from micro_rt.broker.base import Record
from micro_rt.cli.events_common import EventTypes
from micro_rt.cli.events_replay import _line
from micro_rt.cli.events_tail import _as_json, _as_line
from micro_rt.events.dead_letter import DeadLetter
from micro_rt.logs import logger
from micro_rt.node import Node
from micro_rt.transport.wire import malformed
from tests.helpers.handlers import Lab
from tests.helpers.site import Site
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.security.rogue import rogue_server

ROOT = Path(__file__).parent.parent.parent
FORGED = "2026-01-01 INFO all is well"
HOSTILE = f"x\n{FORGED}\r\x1b[2J\x9b1m\u202e\u2028\x85\x7f\ud800"
"""Breaks a line in every way, controls a terminal, turns text around, and cannot be encoded."""


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a program's log file holds."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def _check(stream: io.StringIO) -> str:
    text = stream.getvalue()
    assert not any(line.startswith(FORGED) for line in text.splitlines())
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()
    return text


def test_every_logger_of_the_runtime_escapes() -> None:
    """The one place that makes loggers is ``micro_rt.logs``."""
    for path in sorted((ROOT / "micro_rt").rglob("*.py")):
        if path == Path(logs.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
                (name,) = node.args
                assert not ast.unparse(name).strip("'\"").startswith("micro_rt"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("wrap", [str, ValueError, micro.NotFound, lambda text: {"a": text}, lambda text: [text]])
@pytest.mark.parametrize("form", ["%s", "%r", "%.2000s", "before %s after"])
def test_whatever_is_logged_is_one_line(wrap: Any, form: str, written: io.StringIO) -> None:
    logger("micro_rt.test").warning(form, wrap(HOSTILE))
    assert len(_check(written).splitlines()) == 1


def _raised(text: str) -> Exception:
    try:
        try:
            raise micro.NotFound(text)
        except micro.NotFound as error:
            raise ExceptionGroup(text, [ValueError(text), error]) from error
    except ExceptionGroup as group:
        group.add_note(text)
        return group


def test_a_traceback_forges_no_line(written: io.StringIO) -> None:
    logger("micro_rt.test").error("failed", exc_info=_raised(HOSTILE))
    text = _check(written)
    assert text.count("Traceback") >= 2
    assert "\\n2026-01-01" in text


def test_what_is_printable_stays_as_it_is(written: io.StringIO) -> None:
    logger("micro_rt.test").error("%s", "ein Gruß, 50 % off \\n", exc_info=_raised("☃"))
    assert "ERROR micro_rt.test ein Gruß, 50 % off \\n\n" in _check(written)


# Where texts come from


async def test_the_id_the_address_and_the_transport_of_a_node(written: io.StringIO) -> None:
    async with AsyncExitStack() as stack:
        site = Site(stack)
        await site.open()
        access = micro.AccessLog(logging.getLogger("users.own"))
        client = LabClient(site.client, interceptors=[access], retry=micro.RetryPolicy(attempts=1))
        for number, node in enumerate(
            (
                Node(f"a{HOSTILE}", "127.0.0.1:1"),
                Node(f"b{HOSTILE}", f"{HOSTILE}:1"),
                Node(f"c{HOSTILE}", "127.0.0.1:1", HOSTILE, HOSTILE, frozenset({HOSTILE})),
            )
        ):
            lease = await site.list(node)
            with pytest.raises(micro.Error):
                await client.act(Text(value="x"), timeout=2)
            await lease.revoke()
            view = site.client.nodes.service_nodes("lab", "lab.Lab")._view
            await eventually(lambda view=view: not view.remotes and not view.left_out)
            assert number < 3
    text = _check(written)
    assert "is left out" in text
    assert "users.own client /lab.Lab/Act UNAVAILABLE" in text


class _Caller(LabBase):
    """Lets the error of its own call through, which the server logs."""

    def __init__(self) -> None:
        self.client: LabClient | None = None

    async def act(self, request: Text, context: micro.Context) -> Text:
        assert self.client is not None
        return await self.client.act(request)


async def test_the_message_that_a_server_sent(written: io.StringIO) -> None:
    async with AsyncExitStack() as stack:
        rogue = await stack.enter_async_context(rogue_server())
        quoted = b"x%0A2026-01-01 INFO all is well%1B[2J%C2%85"
        rogue.reply = [
            [
                (b":status", b"200"),
                (b"content-type", b"application/grpc"),
                (b"grpc-status", b"9"),
                (b"grpc-message", quoted),
            ]
        ]
        site = Site(stack)
        await site.open()
        await site.list(Node("rogue", rogue.address, services=frozenset({"lab.Lab"})))
        caller, outer = _Caller(), Site(stack)
        caller.client = LabClient(site.client)
        await outer.open()
        await outer.list(await outer.serve(caller))
        with pytest.raises(micro.Internal):
            await LabClient(outer.client).act(Text(value="x"), timeout=5)
    assert "all is well" in _check(written)


async def test_what_a_handler_raises_with_what_a_client_sent(written: io.StringIO) -> None:
    class Echo(LabBase):
        async def act(self, request: Text, context: micro.Context) -> Text:
            raise ValueError(request.value)

    async with AsyncExitStack() as stack:
        site = Site(stack)
        await site.open()
        await site.list(await site.serve(Echo()))
        with pytest.raises(micro.Unknown):
            await LabClient(site.client).act(Text(value=HOSTILE.replace("\ud800", "")), timeout=5)
    assert "Traceback" in _check(written)


# What a request may hold


async def _ask(address: str, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    """Sends a request and a good one after it on one connection; returns the events of the server."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    good = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/lab.Lab/Act"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    for stream, sent in ((1, headers), (3, good)):
        connection.send_headers(stream, [(name, value) for name, value in sent])
        connection.send_data(stream, b"\0\0\0\0\0", end_stream=True)
    writer.write(connection.data_to_send())
    events: list[Any] = []
    async with asyncio.timeout(10):
        while not any(getattr(event, "stream_id", 0) == 3 and "Ended" in type(event).__name__ for event in events):
            data = await reader.read(65536)
            assert data, f"the connection was closed after {events}"
            events += connection.receive_data(data)
    writer.close()
    return [event for event in events if getattr(event, "stream_id", 0) == 1]


def _request(*more: tuple[bytes, bytes], path: bytes = b"/lab.Lab/Act") -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]


@pytest.mark.parametrize(
    "headers",
    [
        *(_request(path=b"/lab.Lab/Act" + each) for each in (b"\n", b"\r", b"\0", b"\x1b[2J", b"\x7f", b"\x85")),
        *(_request((b"x", b"a" + each + b"b")) for each in (b"\n", b"\r", b"\0", b"\x1b[2J", b"\x7f")),
        *(_request((name, b"x")) for name in (b"a\nb", b"a b", b"\x1b", b"A", b"\xe9", b"a:b")),
    ],
)
async def test_a_request_with_control_characters_is_refused_and_no_other(
    headers: list[tuple[bytes, bytes]], written: io.StringIO
) -> None:
    async with AsyncExitStack() as stack:
        site, lab = Site(stack), Lab()
        await site.open()
        node = await site.serve(lab, interceptors=[micro.AccessLog()])
        (event, *_) = await _ask(node.address, headers)
        assert "StreamReset" in type(event).__name__
        assert event.error_code == 1
        assert len(lab.ran) == 1
    _check(written)


def test_what_other_implementations_send_is_not_malformed() -> None:
    for name, value in (("x", "caf\xc3\xa9"), ("x", "a\tb"), ("x-bin", "AA=="), ("x", ""), ("grpc-message", "50%25")):
        assert not malformed([(":path", "/a.B/C"), (name, value)])


# What is printed


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "ce_type",
                    "ce_id",
                    "ce_time",
                    "content-type",
                    "micro-dead-topic",
                    "micro-dead-group",
                    "micro-dead-reason",
                    "micro-dead-error",
                    "micro-dead-time",
                ]
            ),
            st.just(HOSTILE.encode(errors="replace")) | st.binary(max_size=10),
        )
    ).map(tuple),
    st.just(HOSTILE.encode(errors="replace")) | st.binary(max_size=10),
    st.just(b'{"a": "\\u001b[2J\\n"}') | st.binary(max_size=10),
)
def test_events_are_shown_on_one_line_that_controls_no_terminal(pairs: Any, key: bytes, value: bytes) -> None:
    record = Record("t", 0, 0, 7.0, key, value, (("micro-dead-partition", b"0"), ("micro-dead-offset", b"0"), *pairs))
    for show in (_as_line, _as_json):
        assert show(record, EventTypes("", ())).isprintable()
    letter = DeadLetter.of(record)
    assert letter is None or _line(letter, EventTypes("", ())).isprintable()
