"""What ``mdns:`` goes through: packets that nobody should send, ids that two processes claim, names that DNS has no room for.

Each registry has an engine of its own, as in a process of its own, unless a test says otherwise; all are on loopback, on a
port of the run's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.mdns.records import Domain, OwnInstance, label_of, query, read
from micro_rt.backends.mdns.registry import MdnsRegistry
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.registry.base import LeaseLost, Registration
from micro_rt.registry.unreadable import Unreadable
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text

PATIENCE = 30.0
LONG = 1000.0
"""Seconds; leases that outlast the test, so that nothing is gone because it ran out."""
GROUP = "224.0.0.251"


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def opened(port: int, now: Callable[[], float] | None = None, more: str = "") -> AsyncIterator[MdnsRegistry]:
    clock = Clock(now or boot_clock().now, uuid.uuid4().hex)
    registry = MdnsRegistry(f"mdns://?interface=127.0.0.1&port={port}{more}", clock=clock)
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def resolves(registry: MdnsRegistry, name: str, expected: tuple[Node, ...]) -> None:
    await eventually(lambda: registry.resolve(name), equals=expected)


def unique(text: str) -> str:
    return f"{text}-{uuid.uuid4().hex[:12]}"


def node(id: str = "", address: str = "127.0.0.1:1", **more: Any) -> Node:
    return Node(id or unique("node"), address, **more)


@contextlib.contextmanager
def wire(port: int) -> Any:
    """A socket that hears what all hear, and sends to all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind((GROUP, port))
        local = socket.inet_aton("127.0.0.1")
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + local)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        raw.setblocking(False)
        yield raw


def packed(said: object) -> bytes:
    """A text as go-micro packs it."""
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return chunked(zlib.compress(data).hex().encode())


def chunked(text: bytes) -> bytes:
    chunks = [text[start : start + 255] for start in range(0, len(text), 255)]
    return b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)


def announcement(name: str, id: str, text: bytes, ttl: int = 60) -> bytes:
    """A node as somebody announces it, by hand: zeroconf would write no packet of this size."""
    labels = f"{id}.{name}.micro".encode().split(b".")
    owner = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"

    def record(kind: int, data: bytes) -> bytes:
        return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data

    records = record(33, struct.pack(">HHH", 10, 1, 80) + owner) + record(1, bytes([127, 0, 0, 1])) + record(16, text)
    return struct.pack(">6H", 0, 0x8400, 0, 3, 0, 0) + records


def said(name: str, version: str = "1", metadata: Any = None, endpoints: Any = None) -> dict[str, Any]:
    return {"Metadata": metadata, "Service": name, "Version": version, "Endpoints": endpoints}


# What nobody should send


async def test_what_cannot_be_read_is_passed_over(port: int) -> None:
    name = unique("a")
    hostile: list[tuple[str, bytes]] = [
        ("bomb", packed(json.dumps(said(name, "x" * (4 << 20))).encode())),
        ("deep", packed(b"[" * 500_000)),
        ("not-hexadecimal", chunked(b"zz" * 50)),
        ("not-zlib", chunked(b"00" * 50)),
        ("cut", packed(said(name))[:-9]),
        ("not-json", packed(b"{")),
        ("a-list", packed([1])),
        ("metadata", packed(said(name, metadata=[1]))),
        ("endpoints", packed(said(name, endpoints={"a": 1}))),
        ("values", packed(said(name, endpoints=[{"request": {"values": 7}}]))),
        ("surrogate", packed(said(name, metadata={"a": "\ud800"}))),
        ("another-service", packed(said("another"))),
        ("chunk", b"\xffshort"),
        ("empty", b""),
    ]
    # What reads these packets is what they are meant to break, so the test ends with one that is in order.
    async with opened(port) as registry:
        with wire(port) as raw:
            for id, text in hostile:
                raw.sendto(announcement(name, id, text), (GROUP, port))
            raw.sendto(announcement(name, "good", packed(said(name, metadata={"protocol": "grpc"}))), (GROUP, port))
            await resolves(registry, name, (node("good", "127.0.0.1:80", version="1", metadata={"protocol": "grpc"}),))


async def test_messages_within_messages_end_somewhere(port: int) -> None:
    name = unique("a")
    value: dict[str, Any] = {"name": "a", "type": "b", "values": None}
    for _ in range(400):
        value = {"name": "a", "type": "b", "values": [value]}
    async with opened(port) as registry:
        with wire(port) as raw:
            for _ in range(2):
                raw.sendto(
                    announcement(name, "deep", packed(said(name, endpoints=[{"request": value}]))), (GROUP, port)
                )
            while not (nodes := await registry.resolve(name)):
                pass
        assert nodes == await registry.resolve(name), "to compare it is to go into it"
        assert "ValueInfo" in repr(nodes)


@pytest.mark.verify("registry")
async def test_random_packets_break_nothing(port: int, size: Size) -> None:
    chance = random.Random(5)
    name = unique("a")
    good = announcement(name, "spoilt", packed(said(name)))
    asking = query(f"{name}.micro.")
    domain = Domain("micro")

    def spoilt(packet: bytes) -> bytes:
        data = bytearray(packet)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data[: chance.randint(0, len(data))]) if chance.random() < 0.3 else bytes(data)

    packets = [chance.randbytes(chance.randint(0, 600)) for _ in range(size(50_000, ci=2_000))]
    packets += [spoilt(chance.choice((good, asking))) for _ in range(size(200_000, ci=8_000))]
    for packet in packets:
        read(packet, domain, 1, 5353, Unreadable())
    async with opened(port) as registry:
        await registry.register(Registration(node(), (name,)), ttl=LONG)
        with wire(port) as raw:
            for number, packet in enumerate(packets[:: len(packets) // 1000]):
                raw.sendto(packet, (GROUP, port))
                if number % 50 == 0:
                    await asyncio.sleep(0.005)
            last = unique("last")
            raw.sendto(announcement(last, "good", packed(said(last))), (GROUP, port))
            await resolves(registry, last, (node("good", "127.0.0.1:80", version="1"),))


async def test_a_large_packet_is_read(port: int) -> None:
    """go-micro sends whatever it has, as fragments; we read it, and send only what fits into one."""
    name = unique("a")
    metadata = {f"key-{number}": random.Random(number).randbytes(40).hex() for number in range(150)}
    text = packed(said(name, metadata=metadata))
    assert len(text) > 12_000
    async with opened(port) as registry:
        with wire(port) as raw:
            raw.sendto(announcement(name, "large", text), (GROUP, port))
            await resolves(registry, name, (node("large", "127.0.0.1:80", version="1", metadata=metadata),))


async def test_what_comes_late_does_not_bring_back_what_is_gone(port: int) -> None:
    name = unique("a")
    with wire(port) as raw:
        async with opened(port) as one, opened(port) as other:
            first = node(version="1")
            lease = await one.register(Registration(first, (name,)), ttl=LONG)
            await resolves(other, name, (first,))
            packets = _heard(raw)
            assert packets
            second = node(first.id, version="2")
            lease = await one.register(Registration(second, (name,)), ttl=LONG)
            await resolves(other, name, (second,))
            seen = other.watch(name)
            assert await anext(seen) == (second,)
            for packet in packets:
                raw.sendto(packet, (GROUP, port))
            await lease.revoke()
            async with asyncio.timeout(PATIENCE):
                assert await anext(seen) == ()
            for packet in packets:
                raw.sendto(packet, (GROUP, port))
            third = node("z")
            await one.register(Registration(third, (name,)), ttl=LONG)  # Whatever came before it has been dealt with.
            async with asyncio.timeout(PATIENCE):
                assert await anext(seen) == (third,)


def _heard(raw: socket.socket) -> list[bytes]:
    packets: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            packets.append(raw.recv(65536))
    return [packet for packet in packets if packet[2] & 0x80]


async def test_a_goodbye_that_is_lost_is_said_again(port: int) -> None:
    name = unique("a")
    async with opened(port) as one, opened(port) as other:
        listed = node()
        lease = await one.register(Registration(listed, (name,)), ttl=LONG)
        await resolves(other, name, (listed,))
        network: Any = other._network
        hear, lost = network._hear, []
        # What one receiver's kernel drops when its socket is full, without a word to anybody.
        network._hear = lambda heard: lost.append(heard) if not heard.ttl and not lost else hear(heard)
        await lease.revoke()
        await resolves(other, name, ())
        assert lost


# Two that claim one id


async def test_of_two_processes_with_one_id_the_later_has_it(port: int) -> None:
    a, b = unique("a"), unique("b")
    async with opened(port) as one, opened(port) as other, opened(port) as third:
        before = node(version="1")
        lease = await one.register(
            Registration(
                before,
                (
                    a,
                    b,
                ),
            ),
            ttl=LONG,
        )
        await resolves(other, b, (before,))
        after = node(before.id, "127.0.0.1:2", version="2")
        later = await other.register(Registration(after, (a,)), ttl=LONG)
        for registry in (one, other, third):
            await resolves(registry, a, (after,))
            await resolves(registry, b, ())
        with pytest.raises(LeaseLost):
            await lease.renew()
        await later.renew()
        await lease.revoke()
        for registry in (one, other, third):
            await resolves(registry, a, (after,))


async def test_a_clock_that_is_wrong_does_not_decide_who_is_later(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = unique("a")
    async with opened(port) as one, opened(port) as other:
        before = node(version="1")
        with monkeypatch.context() as patch:
            ahead = time.time_ns() // 1000 + 3600 * 10**6
            patch.setattr("micro_rt.backends.mdns.network.wall_time_us", lambda: ahead)
            lease = await one.register(Registration(before, (name,)), ttl=LONG)
        # It had not heard of the other when it registered; the other tells it, and then it knows better.
        after = node(before.id, version="2")
        later = await other.register(Registration(after, (name,)), ttl=LONG)
        with contextlib.suppress(LeaseLost):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await later.renew()
                    await asyncio.sleep(0.05)
        later = await other.register(Registration(after, (name,)), ttl=LONG)
        await resolves(one, name, (after,))
        await resolves(other, name, (after,))
        await later.renew()
        with pytest.raises(LeaseLost):
            await lease.renew()


# Time


async def test_who_announces_once_is_asked_before_it_runs_out(port: int) -> None:
    """go-micro announces a node for 120 seconds, and says nothing more unless it is asked."""
    passed = 0.0
    now = boot_clock().now
    name = unique("a")
    async with opened(port) as one, opened(port, lambda: now() + passed) as other:
        quiet = node()
        await one.register(Registration(quiet, (name,)), ttl=3000)
        watch = other.watch(name)
        await resolves(other, name, (quiet,))
        for _ in range(5):
            passed += 2550  # 85 % of the time for which it was said to hold, by the clock of the one who heard.
            other_network: Any = other._network
            before = other_network._others.by_name[name][quiet.id].expires
            other_network._fire()
            await eventually(
                lambda network=other_network, before=before: network._others.by_name[name][quiet.id].expires != before,
                "it was not asked, or did not answer",
            )
        assert await other.resolve(name) == (quiet,)
        assert await anext(watch) == (quiet,)
        # Of what nobody looks at, nothing is asked.
        await watch.aclose()
        del watch
        passed += 2550
        other_network._fire()
        passed += 2550
        assert other_network._nodes(name) == ()


async def test_answers_do_not_keep_alive_who_does_not_renew(port: int) -> None:
    name = unique("a")
    async with opened(port) as one:
        hung = node()
        await one.register(Registration(hung, (name,)), ttl=2.0)
        async with opened(port) as other:
            await resolves(other, name, (hung,))
            await resolves(other, name, ())  # However often it asked in the meantime.


# Names and addresses


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("go.micro.srv.greeter", "greeter.1"),
        ("x" * 64, "i" * 200),
        ("a.very." * 40 + "long.name", "1"),
        ("gruß.日本", "größe-☃"),
        ("MixedCase", "ID"),
        ("mixedcase", "id"),
        ("", "empty"),
        ("..", "."),
        (".leading", "trailing."),
        ("_services", "_services"),
        ("with space\\and/slash\x00", "a b"),
    ],
)
async def test_every_name_and_id_is_found_as_it_is(port: int, name: str, id: str) -> None:
    async with opened(port) as one, opened(port) as other:
        listed = node(id)
        await one.register(Registration(listed, (name,)), ttl=LONG)
        async with opened(port) as late:
            for registry in (other, late):
                await resolves(registry, name, (listed,))
                assert (await registry.names())[name] == (listed,)


async def test_names_that_differ_in_case_are_two(port: int) -> None:
    name = unique("name")
    async with opened(port) as one, opened(port) as other:
        listed = node()
        await one.register(Registration(listed, (name, name.upper())), ttl=LONG)
        await resolves(other, name, (listed,))
        await resolves(other, name.upper(), (listed,))
        await one.register(Registration(listed, (name.upper(),)), ttl=LONG)
        await resolves(other, name, ())
        await resolves(other, name.upper(), (listed,))


def test_labels_stay_apart_and_within_bounds() -> None:
    names = ["a", "a.b", "a..b", "_services", "", ".", "x" * 63, "x" * 64, "x" * 65, "x." * 60, "ü" * 40]
    labels = [label_of(name) for name in names]
    assert len(set(labels)) == len(names)
    assert labels[:2] == names[:2]
    assert all(0 < len(part.encode()) <= 63 for label in labels for part in label.split("."))


@pytest.mark.parametrize("address", ["localhost:80", "[2001:DB8::1]:1", "[::1]:65535", "10.0.0.1:0"])
async def test_addresses_stay_as_they_are(port: int, address: str) -> None:
    name = unique("a")
    async with opened(port) as one, opened(port) as other:
        listed = node(address=address)
        await one.register(Registration(listed, (name,)), ttl=LONG)
        await resolves(other, name, (listed,))


@pytest.mark.parametrize(
    "address", ["memory:x", "10.0.0.1", "10.0.0.1:http", ":80", "10.0.0.1:65536", "", "nowhere.invalid:80"]
)
async def test_addresses_that_go_micro_could_not_call_are_refused(port: int, address: str) -> None:
    async with opened(port) as registry:
        with pytest.raises(micro.InvalidArgument, match="mdns"):
            await registry.register(Registration(node("a", address), ("a",)), ttl=LONG)


# What there is no room for


def _endpoints(count: int) -> tuple[EndpointInfo, ...]:
    chance = random.Random(count)
    return tuple(
        EndpointInfo(
            f"Greeter.Method{number}",
            ValueInfo("R", "R", tuple(ValueInfo(chance.randbytes(8).hex(), "string") for _ in range(8))),
            metadata={"stream": "true"},
        )
        for number in range(count)
    )


@pytest.mark.parametrize(("count", "left"), [(2, "all"), (20, "names"), (2000, "nothing")])
async def test_methods_give_way_to_what_is_needed(port: int, count: int, left: str) -> None:
    name = unique("a")
    endpoints = _endpoints(count)
    async with opened(port) as one, opened(port) as other:
        listed = node(endpoints=endpoints, metadata={"zone": "a"})
        await one.register(Registration(listed, (name,)), ttl=LONG)
        expected = {
            "all": endpoints,
            "names": tuple(EndpointInfo(each.name, metadata=each.metadata) for each in endpoints),
            "nothing": (),
        }[left]
        await resolves(other, name, (node(listed.id, metadata={"zone": "a"}, endpoints=expected),))


async def test_metadata_that_has_no_room_is_refused(port: int) -> None:
    metadata = {"key": random.Random(1).randbytes(700).hex()}
    async with opened(port) as registry:
        with pytest.raises(micro.InvalidArgument, match="room for about"):
            await registry.register(Registration(node("a", metadata=metadata), ("a",)), ttl=LONG)
        assert await registry.resolve("a") == ()


def test_a_packet_of_ours_fits_everywhere() -> None:
    stamp = time.time_ns() // 1000, "01234567"
    for size in range(0, 1200, 7):
        metadata = {"key": random.Random(size).randbytes(size // 2).hex()}
        try:
            own = OwnInstance.of(Domain("micro"), "name", node("id", metadata=metadata), "10.0.0.1", stamp)
        except micro.InvalidArgument:
            assert size > 600
            return
        assert len(own.announcement(30)) <= 1460
    pytest.fail("nothing was too large")


# Addresses of the registry


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("mdns://?iface=eth0", "no option 'iface'; known: domain, interface, port"),
        ("mdns://?port=0", "port=0: '0' is not a port"),
        ("mdns://?port=x", "port=x: 'x' is not a port"),
        ("mdns://?port=1&port=2", "given twice"),
        ("mdns://?domain=", "'domain' has no value"),
        ("mdns://?domain=a..b", "domain=a..b: 'a..b' is not a domain"),
        ("mdns://?interface=", "'interface' has no value"),
        ("mdns://192.0.2.1", "is not mdns: or"),
        ("mdns:somewhere", "is not mdns: or"),
        ("dns:", "is not mdns: or"),
    ],
)
def test_an_address_that_cannot_be_says_why(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        MdnsRegistry(address)


async def test_an_interface_that_there_is_not() -> None:
    for interface in ("192.0.2.200", "nosuch0"):
        registry = MdnsRegistry(f"mdns://?interface={interface}")
        with pytest.raises(micro.Unavailable, match=f"'{interface}' is neither the name nor an address"):
            await registry.open()
        await registry.close()


def test_only_loopback_is_loopback() -> None:
    assert MdnsRegistry("mdns://?interface=127.0.0.1").loopback
    assert MdnsRegistry("mdns://?interface=lo").loopback
    assert not MdnsRegistry("mdns://?interface=192.0.2.1").loopback
    assert not MdnsRegistry("mdns:").loopback


async def test_other_domains_are_other_places(port: int) -> None:
    name = unique("a")
    async with opened(port) as here, opened(port, more="&domain=staging.micro") as there:
        listed = node()
        await here.register(Registration(listed, (name,)), ttl=LONG)
        await resolves(here, name, (listed,))
        assert await there.resolve(name) == ()
        other = node()
        await there.register(Registration(other, (name,)), ttl=LONG)
        async with opened(port, more="&domain=staging.micro") as also:
            await resolves(also, name, (other,))
        assert await here.resolve(name) == (listed,)


async def test_a_registry_that_works_has_no_problem(port: int) -> None:
    async with opened(port) as registry:
        await registry.register(Registration(node(), (unique("a"),)))
        assert registry.problem == ""


# All of it together


class Lab(LabBase):
    async def look(self, request: Text, context: micro.Context) -> Text:
        return Text(value=f"saw {request.value}")


async def test_services_find_each_other(port: int) -> None:
    address = f"mdns://?interface=127.0.0.1&port={port}"
    name = unique("lab")
    service = micro.Service(name, registry=MdnsRegistry(address, clock=Clock(boot_clock().now, "server")))
    service.handle(Lab())
    client = micro.Service(unique("client"), registry=MdnsRegistry(address, clock=Clock(boot_clock().now, "client")))
    async with client:
        lab = LabClient(client, target=name)
        with pytest.raises(micro.Unavailable, match=f"nobody serves '{name}'"):
            await lab.look(Text(value="you"))
        async with service:
            assert (await lab.look(Text(value="you"), timeout=PATIENCE)).value == "saw you"
