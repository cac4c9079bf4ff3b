"""Which agents get requests, and so the token: that of the address, and those that the address allows.

The catalog names the agent that has a service. Whoever may write the catalog, and whoever has taken over a client agent, could
otherwise name a machine that collects tokens, and answers every heartbeat with "renewed".
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket

from micro_rt.backends.consul.address import ConsulAddress
from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import bare_host
from micro_rt.text import printable

__all__ = ["UNTRUSTED", "TrustedAgents"]

UNTRUSTED = "micro.consul_agent_not_trusted"
"""The id of the error about an agent that the address does not allow."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LONGEST = 100
_SCOPE = re.compile(r"%.*")


class TrustedAgents:
    """The agents that requests may be sent to.

    Args:
        address: the host in it is trusted, and so are the addresses that its name has; ``agents`` lists others.
    """

    def __init__(self, address: ConsulAddress) -> None:
        self._place = address.place
        self._names: set[str] = set()
        self._networks: list[_Network] = []
        for each in (address.host, *address.agents):
            try:
                self._networks.append(ipaddress.ip_network(_SCOPE.sub("", each), strict=False))
            except ValueError:
                self._names.add(each.lower())

    async def check(self, host: str) -> None:
        """Refuses an agent that the address does not allow.

        Args:
            host: as the catalog names it.

        Raises:
            FailedPrecondition: it is another one; the message says how to allow it.
        """
        if host.lower() in self._names:
            return
        address = _address_of(host)
        if address is not None:
            if any(address in network for network in self._networks):
                return
            for name in self._names:
                if address in await _resolved(name):
                    return
        shown = printable(host, _LONGEST)
        raise FailedPrecondition(
            f"the agent at {shown}, which Consul's catalog names, gets no request and no token: it is not the one at "
            f"{self._place}. If it is one of yours, add agents={shown}, or its network, to the address of Consul",
            id=UNTRUSTED,
            may_have_run=False,
        )


def _address_of(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(_SCOPE.sub("", bare_host(host)))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


async def _resolved(name: str) -> set[_Address | None]:
    """Returns the addresses of a name; none if it cannot be resolved now."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {_address_of(str(each[4][0])) for each in found}
