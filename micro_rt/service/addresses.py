"""Where a service listens, and at which address the registry lists it.

Rules:

- It listens at ``address=``, else at ``MICRO_ADDRESS``, else at ``micro.address`` of the config, else at a free port: on 127.0.0.1 if the registry reaches no
  further than this machine, on every interface otherwise.
- Every interface means those of IPv4; where IPv4 leads nowhere and one socket supports both, those of IPv6 too.
- A port alone, ``50051`` or ``:50051``, is that port of the host that it listens on without a setting.
- It advertises ``advertise=``, else ``MICRO_ADVERTISE``, else ``micro.advertise``, else where it listens. A host without a port gets the port of the
  listener, and a port without a host the host.
- ``[::]`` listens on every interface for IPv6, and for IPv4 too if the system supports both on one socket.
- A listener on every interface advertises the address of the interface that leads outside: the IPv4 address if it
  listens on IPv4, else the IPv6 address. Such a host is chosen, and chosen again when the machine loses it (moving.py). A host
  that was given, or that the service listens on alone, stays.
- A loopback address is never listed where other machines look it up: the start fails instead.
- A Unix socket, ``unix:/path``, is advertised as it is, on this machine alone; with a registry that reaches further, or a
  transport that does not listen on Unix sockets, the start fails.
- An address of the transport ``memory`` is advertised as it is.
- Of several addresses, with commas between, the first one is advertised.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import bracketed, is_every_interface, is_loopback, own_host, split_server
from micro_rt.kit.secrets import without_secrets
from micro_rt.listener.places import UNIX, is_plain
from micro_rt.service.parts import Configured, Transports, setting_of

__all__ = ["Advertised", "advertised_address", "check_address", "listen_address"]

_PORT_ALONE = re.compile(r":?(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Advertised:
    """The address that the registry lists."""

    address: str
    """Host and port; as it is, of the transport ``memory``."""
    chosen_host: str = ""
    """Its host, if the service chose it among those of this machine; empty if it was given."""


def check_address(address: str | Configured | None, transports: Transports) -> None:
    """Refuses an address at which the service's transport cannot listen, before the service opens anything.

    Args:
        address: as given in code, or else by the config.
        transports: of the service.

    Raises:
        FailedPrecondition: it is the address of a Unix socket, or more than one address, and the transport does not listen
            on those.
    """
    chosen, setting = setting_of(address, "address", "")
    if not is_plain(chosen):
        transports.require("places", f"{setting}={without_secrets(chosen)!r}", "listen on one host:port")
    if chosen.startswith(UNIX):
        transports.require("unix_sockets", f"{setting}={chosen!r}", "listen on host:port")


def listen_address(address: str | Configured | None, *, loopback: bool) -> str:
    """Returns where to listen, as ``host:port``; the transport checks it.

    Args:
        address: as given in code, or else by the config.
        loopback: whether the registry reaches no further than this machine.
    """
    host = "127.0.0.1" if loopback else _every_interface()
    chosen, _ = setting_of(address, "address", f"{host}:0")
    return ",".join(_with_host(part.strip(), host) for part in chosen.split(","))


def _with_host(place: str, host: str) -> str:
    """Returns a place where to listen; one that is a port alone gets a host."""
    alone, question, options = place.partition("?")
    port = _PORT_ALONE.fullmatch(alone)
    return f"{host}:{port[1]}{question}{options}" if port else place


def advertised_address(advertise: str | Configured | None, listening: str, *, loopback: bool) -> Advertised:
    """Returns the address that the registry lists.

    Args:
        advertise: as given in code, or else by the config.
        listening: where the service listens.
        loopback: whether the registry reaches no further than this machine.

    Raises:
        FailedPrecondition: it is not an address, other machines would find a loopback address or a Unix socket, or no
            interface leads outside, so that no address can be chosen.
    """
    given, setting = setting_of(advertise, "advertise", "")
    if listening.startswith("memory:"):
        return Advertised(listening)
    if listening.startswith(UNIX):
        if given:
            raise FailedPrecondition(
                f"{setting}={without_secrets(given)!r} says where to reach a port, and the service listens on {listening}: "
                "leave it out, or listen on host:port"
            )
        if not loopback:
            raise FailedPrecondition(
                f"{listening} would be registered where other machines look it up, and they cannot reach it: listen on host:port, or "
                "use a registry that reaches no further than this machine, such as local:"
            )
        return Advertised(listening)
    host, _, port = listening.rpartition(":")
    chosen = ""
    if is_every_interface(host):
        host = chosen = bracketed(own_host(host))
    if given:
        placed = _advertised(given, host, port)
        if placed is None:
            raise FailedPrecondition(
                f"{setting}={without_secrets(given)!r} is neither host nor host:port, such as 10.0.0.5, api.example:50051 or [fd00::2]:50051"
            )
        host, port = placed
    if is_loopback(host) and not loopback and host == chosen:
        raise FailedPrecondition(
            "no interface of this machine leads to other networks, so its address in the registry cannot be chosen: connect the "
            "machine, or name its IPv4 or IPv6 address with advertise= (MICRO_ADVERTISE), such as 192.168.1.7 or [fe80::1%eth0]; for "
            "services on this machine alone, use a registry that reaches no further, such as local:"
        )
    if is_loopback(host) and not loopback:
        raise FailedPrecondition(
            f"{host} would be registered where other machines look it up, and they cannot reach it: "
            f"say where they can with advertise= (MICRO_ADVERTISE){f', not {setting}={without_secrets(given)}' if given else ''}"
        )
    return Advertised(f"{host}:{port}", chosen if host == chosen else "")


def _every_interface() -> str:
    # Documented: only where the registry reaches other machines.
    ipv4 = "0.0.0.0"  # noqa: S104
    return "[::]" if is_loopback(own_host(ipv4)) and socket.has_dualstack_ipv6() else ipv4


def _advertised(given: str, host: str, port: str) -> tuple[str, str] | None:
    """Returns host and port of what is advertised; what it leaves out is as given. Returns None if it is not an address."""
    alone = _PORT_ALONE.fullmatch(given)
    try:
        if alone:
            given = f"{host}:{alone[1]}"
        elif given.count(":") > 1 and given[0] != "[":
            given = bracketed(str(ipaddress.IPv6Address(given)))
        found, number = split_server(given, int(port))
    except ValueError:  # It repeats what was given.
        return None
    return bracketed(found), str(number)
