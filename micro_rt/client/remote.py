"""One node as a client calls it: its connection, its failures, and the probe that finds out whether it is well again.

The rules that it keeps, and why:

- A node that a call could not reach is set aside: calls go to other nodes. It is probed after half a second, twice as long
  after each further failure, up to 15 seconds. A call that finds every node set aside goes to one in any case.
- A node that let a call's deadline pass without an answer is set aside too, and probed at once. Its process may have
  stopped while its connection stays open. If only its method is slow, the probe brings it back within milliseconds.
- A probe asks ``grpc.health.v1.Health`` something. Any answer is good, "unknown method" included: what counts is that the
  process reads and writes. Only one that says that it is another node is not an answer.
- A call that must connect, and could go to another node, spends a third of the time that it has left on this one.
- A node that takes longer than ``SLOW_CONNECT`` seconds to connect gets no further calls until it is connected: the
  connection is made in the background.
- A node that appears while others are connected is connected in the background, and gets calls from then on.
- A reply to any call brings the node back at once.
- Calls in flight keep the connection of a node that left the registry, because a server that stops in good order
  deregisters first and then finishes them. Meanwhile the node is probed. If it is silent twice, its connection is closed:
  that ends its calls, and those that may run twice go to another node.
- A node that has nothing in flight when it leaves the registry closes its connection at once.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from micro_rt.client.load import CallRecord, MeasuredConnection
from micro_rt.context import CallInfo
from micro_rt.errors import Code, DeadlineExceeded, Error, Unavailable
from micro_rt.kit import backoff
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, NODE_KEY, Metadata
from micro_rt.node import Node
from micro_rt.transport.base import Connection

__all__ = ["RemoteHost", "RemoteNode"]

SET_ASIDE = 0.5
"""Seconds after a failure until a node is probed; doubles with each further failure."""
MAX_SET_ASIDE = 15.0
"""Seconds; the longest time until a node that is set aside is probed again."""
PROBE_TIMEOUT = 2.0
"""Seconds after which a probe without an answer counts as silence."""
CONNECT_SHARE = 1 / 3
"""The part of the time left to a call that it spends on connecting to one of several nodes."""
SLOW_CONNECT = 0.1
"""Seconds after which other calls pass over a node that is being connected to."""
SHARED = 16
"""Nodes at one address up to which a call names them all; with more of them it names none, for it would get too long."""
LONGEST_IDS = 4096
"""Characters of the ids that a call names at most. With more it names none: the registry's entries decide how long an id is,
and no entry may make the headers of a call too long to be sent."""
LEFT_PROBE = (0.5, 5.0)
"""Seconds between the probes of a node that has left the registry: before the first, and after one that was answered."""
SILENT_PROBES = 2
"""Probes without an answer, in a row, after which the calls of a node that has left the registry are ended."""

_log = logger("micro_rt.client")
_HEALTH = "/grpc.health.v1.Health/Check"


class RemoteHost(Protocol):
    """What a remote node needs of the one who holds it."""

    gate: asyncio.Semaphore
    """Bounds how many nodes are probed at once."""

    def node_changed(self) -> None:
        """Notes that a node was set aside, or is used again."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Starts a task in the background."""
        ...

    def close_soon(self, connection: Connection) -> None:
        """Closes a connection in the background."""


class _Answer(enum.Enum):
    YES = enum.auto()
    NO = enum.auto()
    SILENCE = enum.auto()


class RemoteNode:
    """One node as this client calls it: the node, the connection to it, and its failures.

    Args:
        node: the node.
        connection: to its address; not connected yet.
        host: holds it.

    Attributes:
        in_flight: calls that are using it.
        aside: whether calls pass it over because of its failures.
        connected: whether it answered after its last failure.
        metadata: what a call without metadata of its own sends: the id of the node, so that a process that has taken the address
            since refuses the call. If other nodes are listed at the address, as behind a load balancer, it has their ids too. A node that does not say what it serves gets none: it was registered by hand, under an id
            that its process does not know, or by go-micro, which would send the id on with the calls that it makes.
        given_up: whether its calls were ended because it left the registry and was silent.
        record: how long its calls took, if they are measured, and how often they failed.
    """

    __slots__ = (
        "_addressed",
        "_failures",
        "_host",
        "_probed",
        "_probing",
        "_retired",
        "_shared",
        "_timer",
        "aside",
        "connected",
        "connection",
        "given_up",
        "in_flight",
        "metadata",
        "node",
        "record",
    )

    def __init__(self, node: Node, connection: Connection, host: RemoteHost) -> None:
        self.node = node
        self.connection = connection
        self.in_flight = 0
        self.aside = False
        self.connected = False
        self.given_up = False
        self.record = CallRecord()
        self.metadata = _naming([node])
        self._probed = connection
        """The connection as probes use it: their calls are not measured."""
        self._addressed = (EMPTY, EMPTY, EMPTY)
        """What ``addressed`` was given last, the id that it added, and what it returned."""
        self._host = host
        self._failures = 0
        self._shared: dict[str, tuple[Node, ...]] = {}
        self._retired = False
        self._timer: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None

    def is_of(self, node: Node) -> bool:
        """Returns whether this connection still fits a node of the same id, which may have been registered anew."""
        known = self.node
        return known is node or (known.address == node.address and known.transport == node.transport)

    def addressed(self, metadata: Metadata) -> Metadata:
        """Returns the metadata of a call as it is sent to this node."""
        if not metadata.pairs:
            return self.metadata
        own = self.metadata
        if not own.pairs:
            return metadata
        given, named, sent = self._addressed
        if metadata is not given or own is not named:  # A client that has metadata sends the same with each call.
            sent = metadata.with_received(*own.pairs)
            self._addressed = metadata, own, sent
        return sent

    @property
    def latency(self) -> float | None:
        """Seconds that a unary call takes; None if it is not known, or calls are not measured."""
        return self.record.latency(self.in_flight)

    @property
    def failures(self) -> float:
        """Failures, of which the old ones count less."""
        return self.record.failures

    def measure(self) -> None:
        """Measures its calls from now on; called once. Probes are not measured."""
        self.connection = MeasuredConnection(self.connection, self.record)

    def share(self, name: str, nodes: tuple[Node, ...]) -> None:
        """Notes which nodes are listed at its address, because any of them may get its calls.

        Args:
            name: under which they are listed.
            nodes: all of them; empty if it is the only one.
        """
        if nodes:
            self._shared[name] = nodes
        elif self._shared.pop(name, None) is None:
            return
        known = {node.id: node for nodes in self._shared.values() for node in nodes} | {self.node.id: self.node}
        self.metadata = _naming(list(known.values()))

    async def connect(self, deadline: float | None) -> None:
        """Connects, for a call that could go to another node.

        Args:
            deadline: of the call.

        Raises:
            Unavailable: no connection was made in a share of the time that is left; ``may_have_run`` is False.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if deadline is not None and deadline <= now:
            return  # The call ends with its deadline.
        share = None if deadline is None else (deadline - now) * CONNECT_SHARE
        slow = loop.call_later(SLOW_CONNECT, self._set_aside)
        connected = False
        limit = asyncio.timeout(share)
        try:
            async with limit:
                await self.connection.connect()
            connected = True
        except Error:
            raise
        except Exception as error:
            # Whatever a transport raises: no request was sent, so the call may go to another node.
            reason = (
                f"no answer within {share:.2g} s, a share of the call's deadline" if limit.expired() else repr(error)
            )
            raise Unavailable(
                f"cannot connect to {self.node.address}: {reason}", id="micro.connect_failed", may_have_run=False
            ) from None
        finally:
            slow.cancel()
            if self.aside and self._timer is None and self._probing is None:  # It was only slow to connect.
                if connected:
                    self._use_again()
                else:
                    self._probe_in(0.0)

    def connect_soon(self) -> None:
        """Connects in the background; calls that have a choice go to connected nodes meanwhile."""
        if not self.connected and not self.aside and not self._retired:
            self._probe_in(0.0)

    def join_when_connected(self) -> None:
        """Connects in the background, and sets the node aside until then."""
        self._set_aside()
        self._probe_in(0.0)

    def failed(self) -> None:
        """Sets the node aside for a while: a call could not be brought to it."""
        self.connected = False
        if self._retired:
            return
        self._failures += 1
        self._set_aside()
        self._probe_in(backoff.delay(self._failures, SET_ASIDE, MAX_SET_ASIDE, jitter=0.5))

    def silent(self) -> None:
        """Sets the node aside until a probe is answered: a call's deadline passed without an answer."""
        self.connected = False
        if self._retired:
            return
        self._set_aside()
        if self._timer is None:
            self._probe_in(0.0)

    def lost(self) -> None:
        """Notes that the connection was lost; the next call connects again."""
        self.connected = False

    def answered(self) -> None:
        """Forgets the failures: the node took a call."""
        if not self.connected:
            self.connected = True
            self._failures = 0
            self._stop_probing()
            self._use_again()

    def done(self) -> None:
        """Notes that a call has ended; the last one closes the connection of a node that is gone."""
        self.in_flight -= 1
        if self._retired and not self.in_flight:
            self.end()
            self._host.close_soon(self.connection)

    def retire(self) -> None:
        """Notes that the node is not listed any more: its calls may end while it answers, then the connection closes."""
        self.end()
        if not self.in_flight:
            self._host.close_soon(self.connection)
        else:
            self._probing = self._host.start(self._watch_over_calls(), f"watch over calls to {self.node.id}")

    def end(self) -> None:
        """Stops what goes on in the background: the node gets no more calls."""
        self._retired = True
        self._stop_probing()

    def _set_aside(self) -> None:
        if not self.aside:
            self.aside = True
            self._host.node_changed()

    def _use_again(self) -> None:
        if self.aside:
            self.aside = False
            self._host.node_changed()

    def _probe_in(self, seconds: float) -> None:
        if self._probing is not None or self._retired:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._start_probe)

    def _start_probe(self) -> None:
        self._timer = None
        self._probing = self._host.start(self._probe(), f"probe {self.node.id}")

    def _stop_probing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._probing is not None:
            self._probing.cancel()
            self._probing = None

    async def _probe(self) -> None:
        async with self._host.gate:
            # The transport bounds the time to connect. A probe that gave up earlier would leave the attempt running.
            answer = await self._ask() if await self._connects() else _Answer.NO
        self._probing = None
        if answer is _Answer.YES:
            self.answered()
        else:
            self.failed()

    async def _watch_over_calls(self) -> None:
        """Ends the calls to a node that has left the registry, once it is silent."""
        before, after = LEFT_PROBE
        await asyncio.sleep(before)
        silent = 0
        while silent < SILENT_PROBES:
            if await self._ask() is _Answer.SILENCE:
                silent += 1
            else:
                silent = 0
                await asyncio.sleep(after)
        self.given_up = True
        self._host.close_soon(self.connection)

    async def _connects(self) -> bool:
        try:
            await self.connection.connect()
        except Error:
            return False
        except Exception:
            _log.exception("connecting to %s raised an unexpected exception", self.node.id, extra=sparsely("connect"))
            return False
        return True

    async def _ask(self) -> _Answer:
        """Asks whether the process answers; it takes ``PROBE_TIMEOUT`` at most."""
        deadline = asyncio.get_running_loop().time() + PROBE_TIMEOUT
        try:
            await self._probed.unary(_HEALTH, "proto", self.metadata, deadline, CallInfo(), b"")
        except Error as error:
            # A process that serves another node refuses the probe, and one without a health service does not know it.
            if (error.may_have_run or error.code is Code.UNIMPLEMENTED) and not error.unanswered:
                return _Answer.YES
            return _Answer.SILENCE if error.code is DeadlineExceeded.code else _Answer.NO
        except Exception:
            # Whatever a transport raises: a node whose probe ends without a result would stay set aside.
            _log.exception("the probe of %s raised an unexpected exception", self.node.id, extra=sparsely("probe"))
            return _Answer.NO
        return _Answer.YES


def _naming(nodes: Sequence[Node]) -> Metadata:
    """Returns the metadata of a call that is for one of these nodes; none if a node does not say what it serves.

    Entries of the registry may be hostile: an id that cannot be sent, or ids that are too long, are not sent.
    """
    ids = [node.id for node in nodes]
    if len(ids) > SHARED or sum(map(len, ids)) > LONGEST_IDS or not all(node.services for node in nodes):
        return EMPTY
    if not all(id.isascii() and id.isprintable() and id == id.strip(" ") for id in ids):
        return EMPTY  # It would not arrive as it is; no service of micro-rt has such an id.
    return Metadata.received([(NODE_KEY, id) for id in ids])
