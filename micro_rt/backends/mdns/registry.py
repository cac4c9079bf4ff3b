"""Registry ``mdns:``: for a local network, without a server; the nodes tell each other, and those of go-micro.

See docs/mdns.md. ``network.py`` holds how it works, ``records.py`` what is on the wire.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping

from micro_rt.backends.mdns.network import MdnsAddress, MulticastNetwork
from micro_rt.backends.mdns.nodes import MdnsLease
from micro_rt.backends.mdns.records import MAX_DOMAIN
from micro_rt.errors import FailedPrecondition, InvalidArgument
from micro_rt.kit.address import Options, parts_of
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.net import split
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, Registration, Registry, check_ttl
from micro_rt.registry.watch import Watch

__all__ = ["MdnsRegistry"]


class MdnsRegistry(Registry):
    """Lists nodes on the local network by multicast DNS.

    Args:
        address: ``"mdns:"``; with options after ``"mdns://?"``: ``interface=`` (an address or the name of the only
            interface to use; else all), ``domain=`` (``"micro"``, which is go-micro's: those of other domains do not meet),
            ``port=`` (5353, which is everybody's).
        clock: what leases are measured with.

    Raises:
        ValueError: the address has options that there are not, or values that cannot be.
    """

    propagation = 0.5

    def __init__(self, address: str = "mdns:", *, clock: Clock | None = None) -> None:
        parsed = _parse(address)
        self.loopback = parsed.is_loopback
        self._address = address
        used = clock or boot_clock()
        self._shared = Shared(("registry", parsed, used), lambda: MulticastNetwork(parsed, used))
        self._network: MulticastNetwork | None = None

    @property
    def problem(self) -> str:
        """Why nothing can be sent; empty if it can."""
        return self._network.problem if self._network is not None else ""

    async def open(self) -> None:
        """Joins the others on the network.

        Raises:
            Unavailable: there is no interface for it, or not the one that was named.
        """
        self._network = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every watch; when the last one with this address closes, nothing is answered any more, and leases run out."""
        if self._network is not None:
            self._network.watches.close(self)
            self._network = None
            await self._shared.release()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        """Lists a node.

        Raises:
            InvalidArgument: its address is not a host and a port, or there is no room in a packet for what it says of itself.
            Unavailable: it cannot be announced; the message says why.
        """
        check_ttl(ttl)
        self._open_network()
        ip = await _ip_of(registration.node)
        network = self._open_network()  # It may have been closed meanwhile.
        lease = MdnsLease(
            self._open_network, registration, ttl, network.domain, ip, network.next_stamp(registration.node.id)
        )
        await network.add(lease)
        return lease

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, in the order of their ids; if none are known, waits up to a second for the first.

        When an unknown name is looked up again, that is a tenth of a second: who came meanwhile was heard.
        """
        return await self._open_network().resolve(name)

    def watch(self, name: str) -> Watch:
        """Gives the nodes of a name now, and again after each change."""
        network = self._open_network()
        return network.watches.open(name, network.look, self)

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        """Returns every name with its nodes; asks the network each time, which takes up to a second."""
        return await self._open_network().names()

    def _open_network(self) -> MulticastNetwork:
        if self._network is None:
            raise FailedPrecondition(f"registry {without_secrets(self._address)} is not open")
        return self._network


def _parse(address: str) -> MdnsAddress:
    problem = "the address is not mdns: or mdns://?OPTION=VALUE&…; options: interface, domain, port"
    parts = parts_of(address, "mdns", problem)
    if parts.account or parts.hosts:
        raise ValueError(problem)
    options = Options(parts.query)
    interface = options.text("interface")
    domain = options.read("domain", _domain, "micro")
    port = options.read("port", _port, 5353)
    options.end()
    return MdnsAddress(interface, domain, port)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or not 0 < int(text) < 65536:
        raise ValueError(f"{text!r} is not a port; leave it out for 5353")
    return int(text)


def _domain(text: str) -> str:
    domain = text.strip(".")
    if not all(0 < len(label.encode()) <= 63 for label in domain.split(".")) or len(domain.encode()) > MAX_DOMAIN:
        raise ValueError(f"{text!r} is not a domain of at most {MAX_DOMAIN} bytes")
    return domain


async def _ip_of(node: Node) -> str:
    """Returns the IP address of a node's host, which go-micro needs."""
    try:
        host, port = split(node.address)
    except FailedPrecondition:
        raise InvalidArgument(
            f"{node.id} cannot be registered with mdns: its address {node.address!r} is not HOST:PORT"
        ) from None
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidArgument(
            f"{node.id} cannot be registered with mdns: {host!r}, which it advertises, has no IP address: {error}"
        ) from None
    # IPv4 first, as those who read it prefer.
    return str(min(found, key=lambda each: each[0] != socket.AF_INET)[4][0])
