"""Whatever a registry holds beside a good node: the good node is found, and calls reach it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sqlite3
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from zeroconf import DNSAddress, DNSOutgoing, DNSService, DNSText

import micro_rt as micro
from micro_rt.backends.consul.entries import EntryReader
from micro_rt.backends.consul.feed import Feed
from micro_rt.backends.consul.http import Answer
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.messages_pb2 import KeyValue
from micro_rt.backends.etcd.registry import PREFIX, _EtcdDirectory
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.state import state_path
from micro_rt.backends.mdns.records import Domain, OwnInstance, read
from micro_rt.go_micro.nodes import decode_tags, deflate, encode_service
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.registry.base import Registration
from micro_rt.registry.unreadable import Unreadable
from tests.helpers.consul_entries import entry, service
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.handlers import Lab
from tests.helpers.site import Site
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text
from tests.security.test_consul_agents import Agent, listening, opened

HOSTS = [
    "a..b",
    "x" * 70,
    f"a.{'x' * 64}.b",
    "a\0b",
    "\ud800",
    "a b",
    "a\r\nb",
    "a/b",
    "[a]",
    "::g",
    "x." * 200,
    "\x1b[2J",
]
ADDRESSES = [
    *(f"{host}:80" for host in HOSTS),
    *(f"127.0.0.1:{port}" for port in ("9" * 5000, "", "-1", "65536", "٣", "1 ", "1_0", "0x1")),
    "",
    ":",
    "127.0.0.1",
    "127.0.0.1:1",
    "[::1]:1",
]
DEEP = "[" * 100_000
SERVES = frozenset({"lab.Lab"})
GOOD = Node("good", "127.0.0.1:7777", services=SERVES)
SETTINGS = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)

texts = st.text(max_size=12) | st.sampled_from(["", "\0", "\ud800", "a\nb", "\x1b[31m", "x" * 70_000, "grpc", "mucp"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
values = st.builds(ValueInfo, texts, texts)
nodes = st.builds(
    Node,
    id=texts.map(lambda text: f"bad{text}"),
    address=st.sampled_from(ADDRESSES),
    transport=texts | st.just("grpc"),
    version=texts,
    services=st.frozensets(texts | st.just("lab.Lab"), max_size=3),
    metadata=st.dictionaries(texts | st.just("protocol"), texts, max_size=3),
    endpoints=st.lists(st.builds(EndpointInfo, texts, values, values), max_size=2).map(tuple),
    registered=st.integers(),
)


@on_each_engine
@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_failure_to_connect_says_that_nothing_ran(address: str, engine: Engine) -> None:
    with pytest.raises(micro.Error) as caught:
        connection = engine().connection(address)
        await asyncio.wait_for(connection.connect(), 10)
    if isinstance(caught.value, micro.FailedPrecondition):  # Nothing was made that could connect.
        assert "is not an address" in caught.value.message
        assert address not in ("127.0.0.1:1", "[::1]:1")
    else:
        assert isinstance(caught.value, micro.Unavailable)
        assert not caught.value.may_have_run


@on_each_engine
@pytest.mark.parametrize("error", [UnicodeError("label"), ValueError("embedded null"), OverflowError("port")])
async def test_whatever_looking_up_a_host_raises_is_unavailable(
    error: Exception, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", fail)
    with pytest.raises(micro.Unavailable) as caught:
        await engine().connection("host:80").connect()
    assert not caught.value.may_have_run


# memory:, and what a client makes of it


async def _town(stack: AsyncExitStack) -> tuple[Site, LabClient]:
    site = Site(stack)
    await site.open()
    await site.list(await site.serve(Lab()))
    return site, LabClient(site.client)


async def _calls_beside(site: Site, client: LabClient, node: Node) -> None:
    lease = await site.list(node)
    view = site.client.nodes.service_nodes("lab", "lab.Lab")._view
    await eventually(lambda: node.id in view.remotes or node.id in view.left_out)
    for number in range(3):
        assert (await client.act(Text(value=str(number)), timeout=5)).value == str(number)
    await lease.revoke()
    await eventually(lambda: node.id not in view.remotes and node.id not in view.left_out)


def test_every_call_is_answered_beside_whatever_a_registry_holds() -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        site, client = runner.run(_town(stack))
        try:

            @settings(SETTINGS, max_examples=60)
            @given(nodes)
            @example(Node("bad", "a..b:80", services=SERVES))
            @example(Node("bad", f"127.0.0.1:{'9' * 5000}", services=SERVES))
            def check(node: Node) -> None:
                runner.run(_calls_beside(site, client, node))

            check()
        finally:
            runner.run(stack.aclose())


@pytest.mark.parametrize("host", HOSTS)
async def test_a_node_whose_host_is_none_is_left_out_and_logged_once(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        site, client = await _town(stack)
        await client.act(Text(value="x"), timeout=5)
        view = site.client.nodes.service_nodes("lab", "lab.Lab")._view
        for number in range(3):
            await site.list(Node("bad", f"{host}:80", services=SERVES, version=str(number)))
            await eventually(lambda: "bad" in view.left_out)
        assert caplog.text.count("node bad of 'lab' is left out") == 1


# local:


def _row(node: Node) -> dict[str, Any]:
    row = dataclasses.asdict(node)
    return {key: row[key] for key in ("address", "transport", "version", "metadata")} | {"services": []}


async def test_a_file_of_local_gives_the_good_node_beside_whatever_else_it_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = LocalRegistry(home=tmp_path, namespace="n")
    await registry.open()
    await registry.register(Registration(GOOD, ("lab",)), ttl=3600)
    file = sqlite3.connect(state_path("registry", tmp_path, "n"), isolation_level=None)

    def insert(text: Any, registered: Any) -> None:
        file.execute(
            "INSERT OR REPLACE INTO leases SELECT 'bad', ?, ?, epoch, expires, ? FROM leases WHERE id = 'good'",
            (uuid.uuid4().hex, text, registered),
        )
        file.execute("INSERT OR IGNORE INTO listings VALUES ('lab', 'bad')")

    rows = [DEEP, "", "{}", "null", b"\xff\xfe", '{"address": ' + "1" * 5000 + "}"]
    for field in ("address", "transport", "version", "metadata", "services", "endpoints"):
        for value in (None, 5, [5], [[]], {"a": 1}, {"a": None}, float("nan"), [{"request": {"values": 5}}]):
            rows.append(json.dumps(_row(GOOD) | {field: value}))
    try:
        watch = registry.watch("lab")
        for row in rows:
            for registered in (1, "x", None) if row is rows[2] else (1,):
                if registered is None:
                    continue
                insert(row, registered)
                found = await registry.resolve("lab")
                assert GOOD in found
                assert GOOD in (await registry.names())["lab"]
                assert all(isinstance(node.address, str) and isinstance(node.version, str) for node in found)
        assert GOOD in await asyncio.wait_for(anext(watch), 5)
        assert caplog.text.count("is left out") == 1
    finally:
        file.close()
        await registry.close()


def test_rows_of_local_give_the_good_node_beside_whatever_else_they_hold(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        registry = LocalRegistry(home=tmp_path, namespace="n")
        runner.run(registry.open())
        runner.run(registry.register(Registration(GOOD, ("lab",)), ttl=3600))
        file = sqlite3.connect(state_path("registry", tmp_path, "n"), isolation_level=None)

        @settings(SETTINGS, max_examples=100)
        @given(
            plain.map(json.dumps)
            | texts
            | st.binary(max_size=20)
            | st.integers(-(2**63), 2**63 - 1)
            | st.floats(allow_nan=False)
            | st.dictionaries(st.sampled_from(sorted(_row(GOOD))) | texts, plain, max_size=3).map(
                lambda fields: json.dumps(_row(GOOD) | fields)
            ),
            st.integers(-(2**63), 2**63 - 1),
        )
        @example(DEEP, 1)
        @example('{"address": ' + "1" * 5000 + "}", 1)
        @example(json.dumps(_row(GOOD) | {"address": "a..b:80"}), 2**63 - 1)
        def check(row: Any, registered: int) -> None:
            value = row.encode(errors="surrogatepass") if isinstance(row, str) else row
            file.execute(
                "INSERT OR REPLACE INTO leases SELECT 'bad', ?, ?, epoch, expires, ? FROM leases WHERE id = 'good'",
                (uuid.uuid4().hex, value, registered),
            )
            file.execute("INSERT OR IGNORE INTO listings VALUES ('lab', 'bad')")
            found = runner.run(registry.resolve("lab"))
            assert GOOD in found
            assert GOOD in runner.run(registry.names())["lab"]
            assert all(isinstance(text, str) for node in found for text in (node.address, node.version, node.transport))

        try:
            check()
        finally:
            file.close()
            runner.run(registry.close())


# etcd and Consul: what reads their answers


@SETTINGS
@given(
    plain | st.fixed_dictionaries({}, optional={"nodes": plain, "endpoints": plain, "version": plain, "name": plain})
)
def test_keys_of_etcd_give_the_good_node_beside_whatever_else_they_hold(value: Any) -> None:
    directory = _EtcdDirectory(EtcdAddress.parse("etcd://127.0.0.1:1"), PREFIX)
    good = KeyValue(key=b"/micro/registry/lab/good", value=encode_service("lab", GOOD, "etcd").encode(), mod_revision=7)
    for text in (json.dumps(value), DEEP, '{"nodes": ' + "1" * 5000 + "}"):
        bad = KeyValue(key=b"/micro/registry/la-b/bad", value=text.encode(), mod_revision=8)
        found = [node for kv in (bad, good) for node in directory.decode_nodes(kv)]
        assert GOOD.id in [node.id for node in found]
        assert all(isinstance(node.address, str) for node in found)
        assert isinstance(directory._keys_of(bad, "bad"), list)


def test_a_unix_socket_in_etcd_is_neither_listed_nor_found() -> None:
    """A client would connect to that socket of its own machine, whatever listens there."""
    spy = dataclasses.replace(GOOD, address="unix:/run/other.sock")
    with pytest.raises(micro.FailedPrecondition, match=r"unix:/run/other\.sock cannot be listed .* such as local:"):
        encode_service("lab", spy, "etcd")
    directory = _EtcdDirectory(EtcdAddress.parse("etcd://127.0.0.1:1"), PREFIX)
    text = encode_service("lab", GOOD, "etcd").replace(GOOD.address, spy.address)
    key = KeyValue(key=b"/micro/registry/lab/good", value=text.encode(), mod_revision=7)
    assert list(directory.decode_nodes(key)) == []


hostile_tags = st.sampled_from(
    [
        "t-" + deflate('{"a":' * 50_000),
        "e-" + deflate('{"request":{"values":5}}'),
        "e-" + deflate("[" * 100_000),
        "t=" + DEEP,
        "t=" + "1" * 5000,
        "e-zz",
        "v-" + "00" * 50,
        "v=",
    ]
) | st.builds(lambda kind, value: kind + deflate(json.dumps(value)), st.sampled_from(["t-", "e-", "v-"]), plain)


hostile_entries = st.one_of(
    plain,
    plain.map(entry),
    plain.map(lambda value: entry(service(), Node=value)),
    plain.map(lambda value: entry(service(), Checks=value)),
    st.builds(
        lambda field, value: entry(service("bad", **{field: value})),
        st.sampled_from(["ID", "Address", "Port", "Tags", "Meta", "ModifyIndex", "Kind"]),
        plain | st.just(int("9" * 4000)),
    ),
    st.lists(hostile_tags, max_size=3).map(lambda tags: entry(service("bad", Tags=tags))),
)


@SETTINGS
@given(hostile_entries)
@example(entry(service("bad", Tags=["t-" + deflate('{"a":' * 50_000)])))
@example(entry(service("bad", Tags=["e-" + deflate("[" * 100_000)])))
def test_an_answer_of_consul_gives_the_good_node_beside_whatever_else_it_holds(bad: Any) -> None:
    entries = [bad, entry(service())]
    feed = Feed("lab")
    answer = Answer(found=True, data=entries, index=1, known_leader=True, age=0.0, filtered=False)
    feed.take(answer, EntryReader())
    assert "good" in [node.id for node in feed.nodes]
    assert all(isinstance(node.address, str) and isinstance(node.version, str) for node in feed.nodes)


class _Listing(Agent):
    """Answers with entries that the test sets."""

    entries: list[Any]

    def _entries(self) -> list[Any]:
        return self.entries


def test_a_registry_in_consul_gives_the_good_node_beside_whatever_else_it_holds() -> None:
    """Through the registry, over HTTP."""
    with asyncio.Runner() as runner:
        stack, agent = AsyncExitStack(), _Listing()

        async def begin() -> ConsulRegistry:
            port = await stack.enter_async_context(listening(agent, "127.0.0.1"))
            return await stack.enter_async_context(opened(port))

        registry = runner.run(begin())

        @settings(SETTINGS, max_examples=80)
        @given(hostile_entries)
        @example(entry(service("bad", Address="a..b")))
        @example(entry(service("bad", Port="9" * 5000)))
        @example(entry(service("bad", Tags=["t-" + deflate('{"a":' * 50_000)])))
        def check(bad: Any) -> None:
            agent.entries = [bad, entry(service())]
            found = runner.run(registry.resolve("lab"))
            assert "good" in [node.id for node in found]
            assert all(isinstance(text, str) for node in found for text in (node.address, node.version))

        try:
            check()
        finally:
            runner.run(stack.aclose())


@SETTINGS
@given(st.lists(hostile_tags | texts, max_size=4))
def test_tags_that_cannot_be_read_say_nothing_and_the_others_count(tags: list[str]) -> None:
    metadata, endpoints, version = decode_tags(["t-" + deflate('{"good":"yes"}'), *tags])
    assert "good" in metadata
    assert all(isinstance(text, str) for text in (*metadata, *metadata.values()))
    assert isinstance(endpoints, tuple)
    assert version is None or isinstance(version, str)


def test_an_entry_of_consul_that_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = EntryReader()
    for _ in range(3):
        reader.nodes([entry(service("bad", Tags=5)), entry(service())])
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert "'bad'" in lines[0]


# mdns:


def _packet(text: bytes, port: int, address: bytes) -> bytes:
    out = DNSOutgoing(0x8400)
    name = "bad.lab.micro."
    out.add_answer_at_time(DNSService(name, 33, 1, 60, 10, 1, port, name), 0)
    out.add_answer_at_time(DNSAddress(name, 1, 1, 60, address), 0)
    out.add_answer_at_time(DNSText(name, 16, 1, 60, text), 0)
    return out.packets()[0]


def _chunks(packed: bytes) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in (packed[at : at + 255] for at in range(0, len(packed), 255)))


@SETTINGS
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda value: _chunks(deflate(json.dumps(value)).encode())[:1200],
        plain
        | st.fixed_dictionaries(
            {"Service": st.just("lab") | plain},
            optional={"Metadata": plain, "Version": plain, "Endpoints": plain},
        ),
    )
    | st.just(_chunks(deflate("[" * 100_000).encode())),
    st.integers(0, 65535),
    st.binary(min_size=4, max_size=4),
)
def test_packets_of_mdns_that_cannot_be_read_say_nothing(text: bytes, port: int, address: bytes) -> None:
    domain = Domain("micro")
    for heard in read(_packet(text, port, address), domain, 5353, 5353, Unreadable()).nodes:
        assert isinstance(heard.node.address, str)
        assert isinstance(heard.node.version, str)
    good = OwnInstance.of(domain, "lab", GOOD, "127.0.0.1", (1, "x")).announcement(60)
    assert [heard.node.id for heard in read(good, domain, 5353, 5353, Unreadable()).nodes] == ["good"]


def test_a_unix_socket_that_mdns_announces_is_left_out() -> None:
    spy = dataclasses.replace(GOOD, address="unix:/run/other.sock:80")
    packet = OwnInstance.of(Domain("micro"), "lab", spy, "127.0.0.1", (1, "x")).announcement(60)
    assert read(packet, Domain("micro"), 5353, 5353, Unreadable()).nodes == ()


def test_an_instance_of_mdns_that_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = Unreadable()
    for _ in range(3):
        assert read(_packet(b"\x02zz", 1, bytes(4)), Domain("micro"), 5353, 5353, unreadable).nodes == ()
    assert [record.getMessage().partition(" is not a node")[0] for record in caplog.records] == [
        "what mdns says of 'bad.lab.micro.'"
    ]
