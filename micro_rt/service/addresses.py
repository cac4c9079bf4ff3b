"""Where a service listens, and at which address the registry lists it.

Rules:

- It listens at ``address=``, else at ``MICRO_ADDRESS``, else at a free port: on 127.0.0.1 if the registry reaches no
  further than this machine, on every interface otherwise.
- It advertises ``advertise=``, else ``MICRO_ADVERTISE``, else where it listens. A host without a port gets the port of the
  listener.
- ``[::]`` listens on every interface for IPv6, and for IPv4 too if the system supports both on one socket.
- A listener on every interface advertises the address of the interface that leads outside: the IPv4 address if it
  listens on IPv4, else the IPv6 address.
- A loopback address is never listed where other machines look it up: the start fails instead.
- An address of the transport ``memory`` is advertised as it is.
"""

from __future__ import annotations

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import bracketed, is_every_interface, is_loopback, own_host
from micro_rt.service.parts import setting_of

__all__ = ["advertised_address", "listen_address"]


def listen_address(address: str | None, *, loopback: bool) -> str:
    """Returns where to listen, as ``host:port``.

    Args:
        address: as given in code.
        loopback: whether the registry reaches no further than this machine.
    """
    chosen, _ = setting_of(address, "address", "127.0.0.1:0" if loopback else "0.0.0.0:0")
    return chosen


def advertised_address(advertise: str | None, listening: str, *, loopback: bool) -> str:
    """Returns the address that the registry lists.

    Args:
        advertise: as given in code.
        listening: where the service listens.
        loopback: whether the registry reaches no further than this machine.

    Raises:
        FailedPrecondition: other machines would find a loopback address.
    """
    given, setting = setting_of(advertise, "advertise", "")
    if listening.startswith("memory:"):
        return listening
    host, _, port = listening.rpartition(":")
    if given:
        host, port = (given.rpartition(":")[::2]) if _has_port(given) else (given, port)
        host = bracketed(host)
    elif is_every_interface(host):
        host = bracketed(own_host(host))
    if is_loopback(host) and not loopback:
        raise FailedPrecondition(
            f"{host} would be registered where other machines look it up, and they cannot reach it: "
            f"say where they can with advertise= (MICRO_ADVERTISE){f', not {setting}={given}' if given else ''}"
        )
    return f"{host}:{port}"


def _has_port(address: str) -> bool:
    return address.rpartition(":")[2].isdigit() and (address.count(":") == 1 or address.startswith("["))
