"""What the parts that use one cluster share: connections, a token, and one stream of watches."""

from __future__ import annotations

from dataclasses import replace

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient
from micro_rt.backends.etcd.mirror import Mirrors
from micro_rt.kit.shared import Shared

__all__ = ["EtcdEngine", "shared_engine"]


class EtcdEngine:
    """A client of one cluster, and what it keeps up to date.

    Args:
        address: where the cluster is.
    """

    def __init__(self, address: EtcdAddress) -> None:
        self.client = EtcdClient(address)
        self.mirrors = Mirrors(self.client)

    @property
    def problem(self) -> str:
        """What keeps it from seeing the present state, as far as it knows; empty if nothing does."""
        return self.mirrors.problem or self.client.problem

    async def open(self) -> None:
        """Gets ready; connects with the first call."""
        await self.client.open()

    async def close(self) -> None:
        """Ends the watches, and disconnects."""
        await self.mirrors.close()
        await self.client.close()


def shared_engine(address: EtcdAddress) -> Shared[EtcdEngine]:
    """Returns a hold on the engine of an address; what a part has of it for itself makes no other engine."""
    own = replace(address, options=())
    return Shared(("etcd", own), lambda: EtcdEngine(own))
