"""Which interfaces ``mdns:`` uses, and in which zone it finds link-local addresses."""

from __future__ import annotations

from typing import Any

import ifaddr
import pytest

from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.backends.mdns.interfaces import interfaces_of
from micro_rt.backends.mdns.nodes import OtherNodes
from micro_rt.backends.mdns.records import NO_STAMP, Domain, HeardInstance, OwnInstance, Packet, Stamp, read
from micro_rt.node import Node
from micro_rt.registry.unreadable import Unreadable

MACHINE = {
    "lo": ["127.0.0.1", "::1"],
    "eth0": ["192.168.1.7", "10.0.0.7", "fd00::7", "fe80::7"],
    "wlan0": ["fd01::8", "fe80::8"],
    "tun0": ["fd02::9"],
    "veth12": ["fe80::12"],
    "veth34": ["fe80::34"],
}


def machine(monkeypatch: pytest.MonkeyPatch, interfaces: dict[str, list[str]]) -> None:
    adapters = [
        ifaddr.Adapter(name, name, [ifaddr.IP(_as_ifaddr_has_it(each), 24, name) for each in addresses], index)
        for index, (name, addresses) in enumerate(interfaces.items(), 1)
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)


def _as_ifaddr_has_it(address: str) -> Any:
    return (address, 0, 3) if ":" in address else address


def used(interface: str = "") -> list[str]:
    return [f"{each.zone} {each}" for each in interfaces_of(interface)]


EVERYTHING = ["eth0 192.168.1.7", "eth0 10.0.0.7", "eth0 fe80::7%eth0", "wlan0 fe80::8%wlan0", "tun0 fd02::9"]


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        ("", EVERYTHING),
        ("eth0", ["eth0 192.168.1.7", "eth0 10.0.0.7", "eth0 fe80::7%eth0"]),
        ("10.0.0.7", ["eth0 10.0.0.7"]),
        ("fd00::7", ["eth0 fe80::7%eth0"]),
        ("fe80:0::8", ["wlan0 fe80::8%wlan0"]),
        ("fe80::8%wlan0", ["wlan0 fe80::8%wlan0"]),
        ("fe80::8%eth0", []),
        ("veth12", ["veth12 fe80::12%veth12"]),
        ("lo", ["lo 127.0.0.1"]),
        ("127.0.0.1", ["lo 127.0.0.1"]),
        ("eth1", []),
    ],
)
def test_interfaces_that_lead_to_networks_are_used(
    monkeypatch: pytest.MonkeyPatch, interface: str, expected: list[str]
) -> None:
    machine(monkeypatch, MACHINE)
    assert used(interface) == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (["lo", "veth12", "veth34"], ["veth12 fe80::12%veth12", "veth34 fe80::34%veth34"]),
        (["lo"], ["lo 127.0.0.1"]),
        (["lo", "wlan0"], ["wlan0 fe80::8%wlan0"]),
        ([], []),
    ],
)
def test_without_such_an_interface_the_next_best_are_used(
    monkeypatch: pytest.MonkeyPatch, left: list[str], expected: list[str]
) -> None:
    machine(monkeypatch, {name: MACHINE[name] for name in left})
    assert used() == expected


# Zones

STAMP: Stamp = (7, "x")


def heard(address: str, ip: str, zone: str) -> HeardInstance:
    packet = OwnInstance.of(Domain("micro"), "lab", Node("lab-1", address), ip, STAMP).announcement(30)
    found: Packet = read(packet, Domain("micro"), 5353, 5353, Unreadable(), zone)
    (instance,) = found.nodes
    return instance


@pytest.mark.parametrize(
    ("address", "ip", "expected"),
    [
        ("[fe80::1%there0]:80", "fe80::1%there0", "[fe80::1%here0]:80"),
        ("[fe80::1]:80", "fe80::1", "[fe80::1%here0]:80"),
        ("[FE80::1%there0]:80", "fe80::1%there0", "[FE80::1%here0]:80"),
        ("[fd00::1]:80", "fd00::1", "[fd00::1]:80"),
        ("10.0.0.1:80", "10.0.0.1", "10.0.0.1:80"),
        ("lab.example:80", "10.0.0.1", "lab.example:80"),
    ],
)
def test_a_link_local_address_is_in_the_zone_where_it_was_heard(address: str, ip: str, expected: str) -> None:
    assert heard(address, ip, "here0").node.address == expected


def test_a_node_that_is_heard_on_two_interfaces_keeps_its_zone_while_it_is_heard_there() -> None:
    clock = [0.0]
    others = OtherNodes(lambda: clock[0])
    one, two = (heard("[fe80::1]:80", "fe80::1", zone) for zone in ("eth0", "wlan0"))
    assert [others.hear(each) for each in (one, two, one, two)] == [True, False, False, False]
    for clock[0] in (10.0, 20.0, 29.0):  # Heard on the second one alone from now on.
        assert not others.hear(two)
        assert others.by_name["lab"]["lab-1"].node.address == "[fe80::1%eth0]:80"
    clock[0] = 31.0
    assert others.hear(two)
    assert others.by_name["lab"]["lab-1"].node.address == "[fe80::1%wlan0]:80"


def test_what_others_announce_without_a_stamp_counts_as_it_was_heard_last() -> None:
    others = OtherNodes(lambda: 0.0)
    for number in (1, 2):
        others.hear(HeardInstance("lab", Node("lab-1", f"10.0.0.1:{number}"), NO_STAMP, 30))
    assert others.by_name["lab"]["lab-1"].node.address == "10.0.0.1:2"


async def test_a_zone_is_no_part_of_what_is_sent_to_another_machine() -> None:
    connection: Any = GrpclibTransport().connection("[fe80::1%eth0]:80")
    assert connection._new_protocol().authority == "[fe80::1]:80"
    other: Any = GrpclibTransport().connection("lab.example:80")
    assert other._new_protocol().authority == "lab.example:80"
    connection, other = (GrpcTransport().connection(each) for each in ("[fe80::1%eth0]:80", "lab.example:80"))
    assert (connection._authority, other._authority) == ("[fe80::1]:80", "lab.example:80")
