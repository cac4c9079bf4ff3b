"""What is sent: no path, no name and no value of a header has what HTTP/2 forbids, wherever it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import h2.config
import h2.connection
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt.errors import Code, Error
from micro_rt.metadata import Metadata
from micro_rt.method import Kind, Method
from micro_rt.node import Node
from micro_rt.transport.wire import encode_metadata, error_of_trailers, trailers_of
from tests.helpers.handlers import Lab
from tests.helpers.site import Site
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.security.rogue import rogue_server

CONTROLS = "".join(map(chr, (*range(0x20), 0x7F)))
TRANSPORTS = ("grpc", "memory")


def places(character: str) -> Iterator[str]:
    yield from (f"a{character}b", f"{character}b", f"a{character}", character)


@pytest.mark.parametrize("character", [*CONTROLS, "\x85", "\xe9", "\u2028", "\ud800"])
def test_no_metadata_can_be_made_with_what_cannot_be_sent(character: str) -> None:
    good = Metadata({"x": "1"})
    makers: list[Callable[[Any], Metadata]] = [Metadata, good.merged]
    for make in makers:
        for text in places(character):
            with pytest.raises(ValueError, match="printable ASCII"):
                make({"x": text})
            with pytest.raises(ValueError, match="metadata key"):
                make([(text, "1")])
            with pytest.raises(ValueError, match="metadata key"):
                make([(f"{text}-bin", b"1")])


@pytest.mark.parametrize("character", [*CONTROLS, " ", "\x85", "\xe9", "\u2028", "\ud800"])
def test_no_method_has_a_path_that_cannot_be_sent(character: str) -> None:
    for text in places(character):
        for service, name in ((text, "Act"), ("lab.Lab", text)):
            with pytest.raises(ValueError, match="not the path of a method"):
                Method(service, name, "act", Kind.UNARY, Text, Text)


class _Adds(LabBase):
    """Adds metadata to its reply in the way that a test wants."""

    def __init__(self, add: Callable[[micro.Context], Awaitable[None]]) -> None:
        self._add = add

    async def act(self, request: Text, context: micro.Context) -> Text:
        await self._add(context)
        return request


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bad", [("x", "a\nb: c"), ("x", "\x1b[2J"), ("a\r\nb", "1"), ("a b", "1"), ("x-bin\0", b"")])
async def test_a_call_with_such_metadata_is_not_sent(transport: str, bad: tuple[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        site, lab = Site(stack, transport), Lab()
        await site.open()
        await site.list(await site.serve(lab))
        client = LabClient(site.client)
        with pytest.raises(ValueError, match="metadata key"):
            await client.act(Text(value="x"), metadata=[bad], timeout=5)
        with pytest.raises(ValueError, match="metadata key"):
            LabClient(site.client, metadata=[bad])
        assert (await client.act(Text(value="y"), timeout=5)).value == "y"
        assert lab.ran == ["y"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bad", [("x", "a\nb: c"), ("a\r\nb", "1")])
@pytest.mark.parametrize("how", ["add_header", "add_trailer", "send_headers"])
async def test_a_reply_with_such_metadata_is_an_error_of_the_handler(
    transport: str, how: str, bad: tuple[str, str]
) -> None:
    raised: list[Exception] = []

    async def tried(context: micro.Context) -> None:
        try:
            if how == "send_headers":
                await context.send_headers([bad])
            elif how == "add_header":
                context.add_header(*bad)
            else:
                context.add_trailer(*bad)
        except ValueError as error:
            raised.append(error)
            raise

    async with AsyncExitStack() as stack:
        site = Site(stack, transport)
        await site.open()
        await site.list(await site.serve(_Adds(tried)))
        with pytest.raises(micro.Unknown):
            await LabClient(site.client).act(Text(value="x"), timeout=5)
    (error,) = raised
    assert "metadata key" in str(error)


# Blanks


@pytest.mark.parametrize("make", [Metadata, Metadata.received], ids=["made", "received"])
def test_metadata_has_no_blanks_around_it(make: Callable[[Any], Metadata]) -> None:
    made = make([("a", " x y  "), ("b", "  "), ("c", ""), ("d-bin", b" x ")])
    assert made.pairs == (("a", "x y"), ("b", ""), ("c", ""), ("d-bin", b" x "))
    assert Metadata.received([("a", "\t\xc3 \t")]).pairs == (("a", "\xc3"),)


texts = st.text(st.characters(codec="utf-8"), max_size=60) | st.text(st.sampled_from(" a%\t\n"), max_size=10)


def _allowed(value: str) -> bool:
    """RFC 9113, section 8.2.1, and gRPC's "ASCII-Value"."""
    return value == value.strip(" \t") and value.isascii() and value.isprintable()


@given(texts, st.sampled_from([code for code in Code if code is not Code.OK]), st.integers(0, 400))
def test_every_message_travels_in_values_that_are_allowed(message: str, code: Code, room: int) -> None:
    sent = trailers_of(Error.of(code, message), Metadata({"x": " a "}), 2400 + room, "/lab.Lab/Act")
    assert all(_allowed(value) for _, value in sent)
    found = error_of_trailers(dict(sent), "/lab.Lab/Act")
    assert found is not None
    assert found.message == message


@pytest.mark.parametrize("times", [1, 700, 5000])
@pytest.mark.parametrize("part", [" ", " a", "a ", "\u00e9 ", "% "])
def test_a_message_that_is_cut_is_allowed_too(part: str, times: int) -> None:
    sent = trailers_of(micro.NotFound(part * times), Metadata(), 3000, "/lab.Lab/Act")
    assert all(_allowed(value) for _, value in sent)


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), st.text(st.sampled_from(" a~\t\xe9"), max_size=6))))
def test_what_was_received_is_sent_on_in_values_that_are_allowed(pairs: list[tuple[str, str]]) -> None:
    for _, value in encode_metadata(Metadata(Metadata.received(pairs))):
        assert value == value.strip(" \t")


class _Strict:
    """A client that takes only what HTTP/2 allows; h2 checks it."""

    async def answer(self, address: str) -> list[Any]:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_inbound_headers=True))
        connection.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "lab"),
            (":path", "/lab.Lab/Act"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        connection.send_headers(1, headers)
        connection.send_data(1, b"\0\0\0\0\0", end_stream=True)
        writer.write(connection.data_to_send())
        events: list[Any] = []
        async with asyncio.timeout(10):
            while not any("Ended" in type(event).__name__ for event in events):
                data = await reader.read(65536)
                assert data
                events += connection.receive_data(data)
        writer.close()
        return [event for event in events if getattr(event, "stream_id", 0) == 1]


async def test_a_strict_client_takes_a_message_that_ends_with_a_blank() -> None:
    class Fails(LabBase):
        async def act(self, request: Text, context: micro.Context) -> Text:
            context.add_trailer("x", " a ")
            raise micro.NotFound(" no basket: ")

    async with AsyncExitStack() as stack:
        site = Site(stack)
        await site.open()
        node = await site.serve(Fails())
        events = await _Strict().answer(node.address)
        fields = {
            bytes(name): bytes(value) for event in events for name, value in getattr(event, "headers", None) or ()
        }
        assert fields[b"grpc-message"] == b"%20no basket:%20"
        assert fields[b"x"] == b"a"


async def test_a_message_of_another_server_may_end_with_a_blank() -> None:
    """grpc-go sends ``fmt.Errorf("no basket: %s", "")`` like this."""
    async with AsyncExitStack() as stack:
        rogue = await stack.enter_async_context(rogue_server())
        rogue.reply = [
            [
                (b":status", b"200"),
                (b"content-type", b"application/grpc"),
                (b"grpc-status", b"5"),
                (b"grpc-message", b"no basket: "),
                (b"x", b" a "),
            ]
        ]
        site = Site(stack)
        await site.open()
        await site.list(Node("rogue", rogue.address, services=frozenset({"lab.Lab"})))
        with pytest.raises(micro.NotFound) as caught:
            await LabClient(site.client).act(Text(value="x"), timeout=5)
    assert caught.value.message == "no basket: "


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_blanks_around_metadata_do_not_arrive(transport: str) -> None:
    async with AsyncExitStack() as stack:
        site, lab = Site(stack, transport), Lab()
        await site.open()
        await site.list(await site.serve(lab))
        await LabClient(site.client).act(Text(value="x"), metadata={"x": "  a b "}, timeout=5)
        (context,) = lab.contexts
        assert context.metadata["x"] == "a b"


async def test_the_id_of_a_node_that_begins_with_a_blank_is_not_sent() -> None:
    """It would arrive as another id, and every call to the node would be refused."""
    async with AsyncExitStack() as stack:
        site, lab = Site(stack), Lab()
        await site.open()
        node = await site.serve(lab)
        await site.list(replace(node, id=f" {node.id}x"))
        assert (await LabClient(site.client).act(Text(value="x"), timeout=5)).value == "x"
