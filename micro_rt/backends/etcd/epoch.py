"""Which life of the store a token is from: revisions start again in a store that has lost its data.

The rules that it keeps, and why:

- The epoch is a key that is read in the same transaction as what it is for, so it costs no request of its own and is never older.
- A store without the key is a new one. Its epoch is the wall time in microseconds, which is greater than that of the store before.
- A store of another cluster than the key names was restored from a snapshot elsewhere. Its epoch becomes greater, too.
- A store that has not come as far as this process has seen it was restored in place. This process notices; one that starts afterwards
  cannot, so whoever restores a snapshot has to raise its revision.
- The key is changed only as it was read. Who finds that another process has changed it takes what that has written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from micro_rt.backends.etcd.client import EtcdClient
from micro_rt.backends.etcd.messages_pb2 import (
    Compare,
    KeyValue,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from micro_rt.errors import Internal, Unavailable
from micro_rt.kit.clock import wall_time_us
from micro_rt.logs import logger

__all__ = ["Epoch", "Seen", "found"]

ATTEMPTS = 10
"""How often the key is changed that others change at the same time."""
_LARGEST = 2**62
_VALUE = re.compile(rb"([0-9]{1,19}) of cluster ([0-9a-f]{1,16})")

_log = logger("micro_rt.etcd")


@dataclass(frozen=True, slots=True)
class Seen:
    """How far this process has seen a store come."""

    number: int = 0
    """Of the epoch; 0 before any is known."""
    revision: int = 0
    """The highest one in that epoch."""


class Epoch:
    """The epoch of the store of one prefix.

    Args:
        key: where it is kept.
    """

    def __init__(self, key: bytes) -> None:
        self.seen = Seen()
        """To be taken before a request is sent whose answer goes to ``of``."""
        self.read = RequestOp(request_range=RangeRequest(key=key))
        """What a transaction reads for ``of``."""
        self._key = key

    async def of(self, client: EtcdClient, header: ResponseHeader, kvs: Sequence[KeyValue], before: Seen) -> int:
        """Returns the epoch of what a transaction has read, after it has begun a new one if need be.

        Args:
            client: changes the key.
            header: of the transaction's answer.
            kvs: what it has read of the key.
            before: ``seen`` when it was sent.

        Raises:
            Unavailable: the store cannot be reached, or others change the key again and again.
        """
        for _ in range(ATTEMPTS):
            present = kvs[0] if kvs else KeyValue()
            number, cluster = _read(present.value)
            back = number < before.number or (number == before.number and header.revision < before.revision)
            if number and cluster == header.cluster_id and not back:
                self._came(number, header.revision)
                return number
            new = max(wall_time_us(), number + 1, before.number + 1)
            put = PutRequest(key=self._key, value=b"%d of cluster %x" % (new, header.cluster_id))
            reply = await client.txn(
                TxnRequest(
                    compare=[Compare(key=self._key, target=Compare.MOD, mod_revision=present.mod_revision)],
                    success=[RequestOp(request_put=put)],
                    failure=[self.read],
                )
            )
            if reply.succeeded:
                if number:
                    _log.warning(
                        "%s has another store than before, as after a snapshot was restored: "
                        "fencing tokens start again, in a new epoch %d",
                        client.address,
                        new,
                    )
                self._came(new, reply.header.revision)
                return new
            header, kvs = reply.header, found(reply, 0).kvs
        raise Unavailable(f"{client.address}: others change the epoch {self._key.decode()} again and again")

    def _came(self, number: int, revision: int) -> None:
        if number > self.seen.number or (number == self.seen.number and revision > self.seen.revision):
            self.seen = Seen(number, revision)


def found(reply: TxnResponse, place: int) -> RangeResponse:
    """Returns what an operation of a transaction has read.

    Args:
        reply: of the transaction.
        place: of the operation.

    Raises:
        Internal: the server has not answered it.
    """
    if place >= len(reply.responses):
        raise Internal(f"etcd has answered {len(reply.responses)} operations of a transaction, and was asked for more")
    return reply.responses[place].response_range


def _read(value: bytes) -> tuple[int, int]:
    """Returns the number and the cluster that a value names; a number of 0 if it cannot be read."""
    match = _VALUE.fullmatch(value)
    if match is None or int(match[1]) >= _LARGEST:
        return 0, 0
    return int(match[1]), int(match[2], 16)
