"""The client's view of the nodes: one watch per name, one connection per node, one selector per service.

The rules that it keeps, and why:

- Once a name is watched, resolving and selecting cost no round trip and no wait: ``pick`` looks at a tuple of nodes.
- All clients of a service share one watch per name, and one connection per node, under whichever names the node is
  found. A node is its id, transport and address together: whatever comes back at an address is another node, and owes
  nothing to the first.
- A watch is closed by the task that reads it, however that ends: nothing is left to the garbage collector.
- If the registry cannot be reached, the last known nodes remain. A failed watch is started again with back-off,
  whatever it raised: a client that stops watching goes on calling nodes that are gone.
- A name without nodes is asked for again at each call, once for all calls that wait for it: that nobody serves a name
  is never remembered. If the watch is faster than the question, what the watch says is newer and stands.
- Nodes that do not serve the proto service are left out, so two services of one package may run in different processes.
  A node that says nothing of what it serves is kept: go-micro's nodes say nothing. Calls of services that no registry lists, such as
  reflection, go to every node of the name.
- Nodes of another version or with other metadata than a client wants are left out for that client. It has nodes, a selector and a retry
  budget of its own with all clients that want the same. They are chosen when the nodes change, not when a call is made.
- Nodes of the zone that a client prefers get its calls while one of them is not set aside. Then the nodes of all other zones do: they are
  better than a node that failed.
- A node whose transport is unknown, or whose address cannot be read, is left out with a reason, logged once. The other nodes of the
  name remain usable.
- A node that fails is set aside until it answers a probe (``remote`` says when). All services of the node see that. If
  all nodes are set aside, the selector still picks one: a call is never refused because of old failures.
- A node that says that it does not serve the proto service is set aside for that service alone, for ``REFUSING`` seconds or
  until it is registered anew: another process may have taken its address, or it may serve the rest of the name.
- At most ``PROBES`` nodes are probed or connected in the background at once, however many there are.
- When a call finds a node that it cannot reach while none is connected, all nodes are connected in the background, so
  that the call finds those that live.
- A call that tries again goes to a node that it has not tried: to one that is connected if there is one, then to one
  that is not set aside, then to any. So a round of attempts tries each node at most once.
- A selector that asks for loads is given the ``RemoteNode`` of each node, which counts calls in any case. Whether one asks is decided
  when it is made: without such a selector, no call is measured.
- The nodes that are not set aside are listed anew only when a node changes its state. A call that goes well looks at
  a tuple.
- A node that leaves the registry keeps its connection until its calls have ended. A node that is registered anew under
  the same address keeps its connection.
- Of the nodes at one address, only the one that was registered last is called. A server that crashes and comes back on
  its port is listed once for each lease that has not run out, and would get as many shares of the calls. Its calls name all
  nodes that are listed there: they may be replicas behind a load balancer, which all advertise its address.
- Of thousands of nodes, a change concerns one: an update keeps every connection that still fits.
- When more than ``MANY_VIEWS`` names are watched, those without nodes that nobody asked for recently are dropped, so
  that calls to made-up names do not fill memory.
- An error about an unknown name says what there is instead: similar names, or the names under which the service is
  found. It names the problem of the registry, if that has one: the node may be missing for that reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

from micro_rt.client.go_micro import MUCP, GoMicroConnection
from micro_rt.client.remote import RemoteNode
from micro_rt.client.retry import RetryBudget
from micro_rt.client.wanted import EVERY_NODE, unmatched
from micro_rt.context import detached
from micro_rt.errors import DeadlineExceeded, Error, Unavailable
from micro_rt.interceptor import close
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.tasks import TaskSet, observed
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node, NodeFilter
from micro_rt.registry.base import Registry
from micro_rt.selector.base import LoadSelector, Selector
from micro_rt.text import near
from micro_rt.transport.base import Connection, Transport

__all__ = ["Nodes", "RemoteNode", "ServiceNodes"]

PROBES = 4
"""Nodes that are probed or connected in the background at once."""
MANY_VIEWS = 100
"""Names that are watched before those that nobody serves are looked through."""
IDLE_VIEW = 60.0
"""Seconds that the watch of a name that nobody serves is kept after it was asked for last."""
REFUSING = 15.0
"""Seconds that a node is passed over for a proto service that it says it does not serve."""
WATCH_BACKOFF = (0.1, 5.0)
"""Seconds between tries to watch again: the first and the longest wait."""

_log = logger("micro_rt.client")

_Key: TypeAlias = tuple[str, str, str]


class Nodes:
    """Everything that one process knows of the nodes it calls.

    Args:
        registry: where names are looked up; open.
        transport: gives the transport of a name, such as ``"grpc"``.
        selector: makes a selector, one per looked-up service.
        place: where the registry is, for errors.
        wanted: the nodes that calls go to if the client does not say.
    """

    def __init__(
        self,
        registry: Registry,
        transport: Callable[[str], Transport],
        selector: Callable[[], Selector],
        place: str = "",
        wanted: NodeFilter = EVERY_NODE,
    ) -> None:
        self.registry = registry
        self.place = place or type(registry).__name__
        self._transport = transport
        self._selector = selector
        self._measures = False
        """Whether a selector wants to know how long calls take."""
        self._views: dict[str, _View] = {}
        self._wanted = wanted
        self._services: dict[tuple[str, str, NodeFilter], ServiceNodes] = {}
        self._remotes: dict[_Key, RemoteNode] = {}
        self._users: dict[_Key, int] = {}
        self.gate = asyncio.Semaphore(PROBES)
        """Bounds how many nodes are probed at once."""
        self._closing = TaskSet[None]()
        self._background = TaskSet[None]()

    def service_nodes(self, name: str, service: str, wanted: NodeFilter | None = None) -> ServiceNodes:
        """Returns the nodes that serve a proto service under a name; watches the name from now on.

        Args:
            name: to look up.
            service: the full proto name of the service; empty for every node of the name.
            wanted: which of the nodes; None for those that the service wants.
        """
        wanted = self._wanted if wanted is None else wanted
        service_nodes = self._services.get((name, service, wanted))
        if service_nodes is None:
            view = self._views.get(name)
            if view is None:
                self._drop_idle_views()
                view = self._views[name] = _View(name, self)
            selector = self._selector()
            if isinstance(selector, LoadSelector):
                self._measures = True
                service_nodes = LoadedServiceNodes(view, service, selector, wanted)
            else:
                service_nodes = ServiceNodes(view, service, selector, wanted)
            self._services[name, service, wanted] = service_nodes
            view.add(service_nodes)
        return service_nodes

    async def close(self) -> None:
        """Ends every watch and closes every connection."""
        views = list(self._views.values())
        for view in views:
            view.close()
        remotes = list(self._remotes.values())
        for remote in remotes:
            remote.end()
        self._views.clear()
        self._services.clear()
        self._remotes.clear()
        self._users.clear()
        for failure in await asyncio.gather(*(remote.connection.close() for remote in remotes), return_exceptions=True):
            if failure is not None:
                _log.warning("a connection did not close in good order: %r", failure)
        await self._background.end()
        await self._closing.wait()
        for view in views:
            await view.ended()

    def hold(self, node: Node) -> RemoteNode:
        """Returns the ``RemoteNode`` of a node for one view; the view gives it back with ``drop``."""
        key = _key(node)
        remote = self._remotes.get(key)
        if remote is None:
            connection = self._transport(node.transport).connection(node.address)
            if node.go_micro:
                connection = GoMicroConnection(connection)
            remote = self._remotes[key] = RemoteNode(node, connection, self)
            if self._measures:
                remote.measure()
        self._users[key] = self._users.get(key, 0) + 1
        return remote

    def drop(self, remote: RemoteNode) -> None:
        """Gives a ``RemoteNode`` back; when the last view has done so, its connection closes."""
        key = _key(remote.node)
        users = self._users.get(key, 0) - 1
        if users > 0:
            self._users[key] = users
        elif users == 0:
            del self._users[key]
            del self._remotes[key]
            remote.retire()

    def node_changed(self) -> None:
        """Notes that a node was set aside, or is used again."""
        for service_nodes in self._services.values():
            service_nodes.node_changed()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Starts a task in the background, which ``close`` ends."""
        with detached():
            return self._background.start(work, name=name)

    def close_soon(self, connection: Connection) -> None:
        """Closes a connection in the background."""
        self._closing.start(connection.close(), name="close connection")

    def _drop_idle_views(self) -> None:
        """Ends the watches of names that nobody serves and nobody asks for, once there are many."""
        if len(self._views) < MANY_VIEWS:
            return
        now = asyncio.get_running_loop().time()
        for name, view in list(self._views.items()):
            if not view.nodes and now - view.asked_at > IDLE_VIEW:
                view.close()
                del self._views[name]
        self._services = {
            key: service_nodes for key, service_nodes in self._services.items() if not service_nodes.closed
        }


class ServiceNodes:
    """A proto service under a name: what a stub's calls go to."""

    def __init__(self, view: _View, service: str, selector: Selector, wanted: NodeFilter) -> None:
        self.name = view.name
        self.service = service
        self.wanted = wanted
        """Which of the nodes it is about."""
        self.budget = RetryBudget()
        self.nodes: tuple[Node, ...] = ()
        """The nodes that serve it and are wanted, as last seen."""
        self.closed = False
        """Whether it is not kept up to date any more."""
        self._view = view
        self._selector = selector
        self._refusing: dict[str, asyncio.TimerHandle] = {}
        """Ids of the nodes that say that they do not serve it, and when they are asked again."""
        self._usable: tuple[Node, ...] = ()
        """The nodes that are not set aside, those of the preferred zone only if there are some, or all if every node is set aside;
        empty until they are listed."""

    def pick(self, metadata: Metadata = EMPTY, tried: frozenset[str] = frozenset()) -> RemoteNode | None:
        """Picks the node for a call, without waiting; None if no node is known.

        Args:
            metadata: what the call sends.
            tried: ids of the nodes that this call has been to.
        """
        nodes: Sequence[Node] = self._usable or self._list_usable()
        if not nodes:
            return None
        if tried:
            nodes = self._untried(tried)
        return self._view.remotes[self._selector.select(nodes, tried).id]

    async def wait(self, deadline: float | None) -> None:
        """Waits for the first nodes; asks the registry again if none are known.

        Raises:
            Unavailable: there are none; the message says what there is instead.
            DeadlineExceeded: the deadline passed first.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._view.refresh()
                if not self.nodes:
                    raise await self._nobody()
        except Error:
            raise
        except TimeoutError:
            raise DeadlineExceeded(
                f"the deadline passed while looking up {self.name!r}", id="micro.deadline", may_have_run=False
            ) from None

    def untried(self, tried: frozenset[str]) -> bool:
        """Whether there is a node that a call has not been to."""
        return any(node.id not in tried for node in self.nodes)

    def connected(self, tried: frozenset[str]) -> bool:
        """Returns whether there is a connected node that a call has not been to, and that does not refuse it."""
        remotes = self._view.remotes
        return any(
            node.id not in tried and node.id not in self._refusing and remotes[node.id].connected for node in self.nodes
        )

    def refused(self, id: str) -> None:
        """Passes a node over for a while: it says that it does not serve this."""
        if id not in self._refusing and any(node.id == id for node in self.nodes):
            self._refusing[id] = asyncio.get_running_loop().call_later(REFUSING, self._forget_refusal, id)
            self._usable = ()

    def connect_soon(self) -> None:
        """Connects the nodes in the background, unless one is connected."""
        remotes = self._view.remotes
        if not any(remotes[node.id].connected for node in self.nodes):
            for node in self.nodes:
                remotes[node.id].connect_soon()

    def update(self, nodes: tuple[Node, ...]) -> None:
        """Takes the nodes of the name, and keeps those that are wanted and serve this service, or do not say what they serve."""
        known = {node.id: node for node in self.nodes} if self._refusing else {}
        service, wanted = self.service, self.wanted
        serving = _serving(nodes, service)
        self.nodes = tuple(serving if wanted is EVERY_NODE else [node for node in serving if wanted.matches(node)])
        self._usable = ()
        if known:
            listed = {node.id: node for node in self.nodes}
            for id in list(self._refusing):
                if id not in listed or listed[id] != known.get(id):
                    self._refusing.pop(id).cancel()

    def node_changed(self) -> None:
        """Notes that a node was set aside, or is used again."""
        self._usable = ()

    def _forget_refusal(self, id: str) -> None:
        del self._refusing[id]
        self._usable = ()

    def _list_usable(self) -> tuple[Node, ...]:
        """Lists the nodes that are not set aside; all nodes if every node is."""
        remotes, refusing = self._view.remotes, self._refusing
        well = [node for node in self.nodes if not remotes[node.id].aside]
        usable = [node for node in well if node.id not in refusing] if refusing else well
        self._usable = tuple(self._preferred(usable) or self._preferred(self.nodes))
        return self._usable

    def _preferred(self, nodes: Sequence[Node]) -> Sequence[Node]:
        """Returns the nodes of the preferred zone; returns all nodes if that zone has none, or if no zone is preferred."""
        if not self.wanted.zone:
            return nodes
        return [node for node in nodes if self.wanted.prefers(node)] or nodes

    def _untried(self, tried: frozenset[str]) -> Sequence[Node]:
        """Returns the best nodes that a call has not been to: connected, then not set aside, then any; else all.

        Among them, those of the preferred zone are the best.
        """
        remotes = self._view.remotes
        untried = [node for node in self.nodes if node.id not in tried]
        return self._preferred(
            [node for node in untried if remotes[node.id].connected and node.id not in self._refusing]
            or [node for node in untried if not remotes[node.id].aside]
            or untried
            or self.nodes
        )

    async def _nobody(self) -> Unavailable:
        """Says what is there instead of a node that serves this."""
        serving = _serving(self._view.nodes, self.service)
        if serving:
            problem = f"{self.name!r} has no node {unmatched(self.wanted, serving)}"
            return Unavailable(problem, id="micro.no_nodes", may_have_run=False)
        others = {service for node in self._view.nodes for service in node.services}
        if not self._view.nodes and self._view.left_out:
            reason = next(iter(self._view.left_out.values()))
            problem = f"{self.name!r} has only nodes that cannot be called: {reason}"
            return Unavailable(problem, id="micro.no_nodes", may_have_run=False)
        if others:
            problem = f"{self.name!r} does not serve {self.service}; it serves {', '.join(sorted(others))}"
        else:
            problem = f"nobody serves {self.name!r}"
        advice = "start it, or pass target= to the client"
        try:
            names = await self._view.names()
        except Exception as error:
            return Unavailable(
                f"{problem}, and the registry cannot be asked: {_text(error)}", id="micro.no_nodes", may_have_run=False
            )
        elsewhere = sorted(
            name for name, nodes in names.items() if any(self.service in node.services for node in nodes)
        )
        if elsewhere:
            advice = f"{self.service} is served under {', '.join(map(repr, elsewhere))}: pass target={elsewhere[0]!r} to the client"
        elif similar := near(self.name, names):
            advice = f"did you mean {' or '.join(map(repr, similar))}? Registered now: {_listed(names)}"
        elif names:
            advice = f"{advice}. Registered now: {_listed(names)}"
        looked = f"looked in {self._view.place}"
        if trouble := self._view.owner.registry.problem:
            looked += f", which has a problem: {trouble}"
        return Unavailable(f"{problem}: {advice}; {looked}", id="micro.no_nodes", may_have_run=False)


class LoadedServiceNodes(ServiceNodes):
    """The same for a selector that is given the load of each node."""

    def __init__(self, view: _View, service: str, selector: LoadSelector, wanted: NodeFilter) -> None:
        super().__init__(view, service, selector, wanted)
        self._by_load = selector

    def pick(self, metadata: Metadata = EMPTY, tried: frozenset[str] = frozenset()) -> RemoteNode | None:
        """Picks the node for a call, without waiting; None if no node is known.

        Args:
            metadata: what the call sends.
            tried: ids of the nodes that this call has been to.
        """
        nodes: Sequence[Node] = self._usable or self._list_usable()
        if not nodes:
            return None
        if tried:
            nodes = self._untried(tried)
        remotes = self._view.remotes
        return remotes[self._by_load.select(nodes, tried, remotes, metadata).id]


class _View:
    """The nodes of one name, watched."""

    def __init__(self, name: str, owner: Nodes) -> None:
        self.name = name
        self.nodes: tuple[Node, ...] = ()
        self.remotes: dict[str, RemoteNode] = {}
        self.left_out: dict[str, str] = {}
        """Why nodes that are registered cannot be called, by their ids."""
        self.owner = owner
        self._services: list[ServiceNodes] = []
        self.asked_at = asyncio.get_running_loop().time()
        self._asking: asyncio.Task[None] | None = None
        self._closed = False
        self._shared = False
        """Whether several nodes are listed at one address."""
        self._task = asyncio.create_task(self._watch(), name=f"watch {name}")

    @property
    def place(self) -> str:
        """Where the registry is, for errors."""
        return self.owner.place

    def add(self, service_nodes: ServiceNodes) -> None:
        self._services.append(service_nodes)
        service_nodes.update(self.nodes)

    def close(self) -> None:
        self._closed = True
        self.nodes = ()
        self.remotes = {}
        for service_nodes in self._services:
            service_nodes.update(())
            service_nodes.closed = True
        self._task.cancel()
        if self._asking is not None:
            self._asking.cancel()

    async def ended(self) -> None:
        """Waits until the watch has ended."""
        await asyncio.wait((self._task,))

    async def refresh(self) -> None:
        """Asks the registry if no nodes are known, once for all who wait: that a name is unknown is not remembered.

        Raises:
            Unavailable: the registry cannot be reached.
        """
        self.asked_at = asyncio.get_running_loop().time()
        if self.nodes:
            return
        if self._closed:
            raise self._ended()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name=f"look up {self.name}")
            observed(self._asking)  # Every call that waits for it may have ended before it does.
        asking = self._asking
        await asyncio.wait((asking,))
        if asking.cancelled():
            raise self._ended()
        error = asking.exception()
        if error is not None:
            raise Unavailable(
                f"cannot look up {self.name!r}: {_text(error)}", id="micro.registry_unavailable", may_have_run=False
            ) from error

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        return await self.owner.registry.names()

    def _ended(self) -> Unavailable:
        return Unavailable(
            f"{self.name!r} is not looked up: the service that calls has ended", id="micro.ended", may_have_run=False
        )

    async def _ask(self) -> None:
        try:
            found = await self.owner.registry.resolve(self.name)
        finally:
            self._asking = None
        if not self.nodes:  # else the watch was faster, and what it says is newer
            self._update(found)

    async def _watch(self) -> None:
        retry = Backoff(*WATCH_BACKOFF, jitter=0.5)
        while True:
            try:
                watch = self.owner.registry.watch(self.name)
                try:
                    async for nodes in watch:
                        retry.succeeded()
                        self._update(nodes)
                finally:
                    await close(watch)
                return  # the registry was closed
            except Exception as error:
                if self._closed:
                    return  # A watch may raise while it is cancelled, and that would replace the cancellation.
                # Whatever a registry raises: who stops watching goes on calling nodes that are gone.
                _log.warning(
                    "watching %r failed, going on with the %d nodes known: %s", self.name, len(self.nodes), _text(error)
                )
            await asyncio.sleep(retry.failed())

    def _update(self, nodes: tuple[Node, ...]) -> None:
        before, after = self.remotes, dict[str, RemoteNode]()
        listed, nodes = nodes, _last_at_each_address(nodes, before)
        left_out: dict[str, str] = {}
        for node in nodes:
            kept = before.get(node.id)
            if kept is not None and kept.is_of(node):
                after[node.id] = kept  # Of thousands of nodes, a change concerns one.
                continue
            try:
                after[node.id] = self.owner.hold(node)
            except Exception as error:  # Whatever it is that the registry holds: the other nodes can be called.
                reason = MUCP if node.transport == "mucp" else _text(error)
                left_out[node.id] = reason
                if node.id not in self.left_out:
                    _log.warning("node %s of %r is left out: %s", node.id, self.name, reason, extra=sparsely(self.name))
        shared = _at_shared_addresses(listed) if len(nodes) < len(listed) else {}
        if shared or self._shared:
            for remote in after.values():
                remote.share(self.name, shared.get((remote.node.transport, remote.node.address), ()))
            self._shared = bool(shared)
        if any(remote.connected for remote in before.values()):
            # Calls have a choice, and need not wait for a node that is new.
            for id, remote in after.items():
                if id not in before and not remote.connected and not remote.in_flight:
                    remote.join_when_connected()
        self.nodes = tuple([node for node in nodes if node.id in after]) if left_out else tuple(nodes)
        self.remotes = after
        self.left_out = left_out
        for service_nodes in self._services:
            service_nodes.update(self.nodes)
        for id, remote in before.items():
            if after.get(id) is not remote:
                self.owner.drop(remote)


def _key(node: Node) -> _Key:
    # With the id: who comes back at an address is another node, and what is known of the first says nothing of it.
    return node.id, node.transport, node.address


def _last_at_each_address(nodes: tuple[Node, ...], before: Container[str]) -> tuple[Node, ...]:
    """Returns the nodes without those whose address another one has taken since.

    Args:
        nodes: as the registry lists them.
        before: ids of the nodes that were known; between nodes whose order is not known, the one that is not among them
            came later.
    """
    last: dict[tuple[str, str], Node] = {}
    for node in nodes:
        key = (node.transport, node.address)
        other = last.setdefault(key, node)
        if other is not node and (node.registered, node.id not in before) >= (other.registered, other.id not in before):
            last[key] = node
    if len(last) == len(nodes):
        return nodes
    return tuple([node for node in nodes if last[node.transport, node.address] is node])


def _at_shared_addresses(nodes: tuple[Node, ...]) -> dict[tuple[str, str], tuple[Node, ...]]:
    """Returns the nodes at each address that several have."""
    at: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        at.setdefault((node.transport, node.address), []).append(node)
    return {key: tuple(several) for key, several in at.items() if len(several) > 1}


def _text(error: BaseException) -> str:
    return error.message if isinstance(error, Error) else f"{type(error).__name__}: {error}"


def _listed(names: Mapping[str, object]) -> str:
    shown = sorted(names)[:10]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _serving(nodes: Sequence[Node], service: str) -> list[Node]:
    """Returns the nodes that serve a proto service, or do not say what they serve; all for an empty name."""
    return [node for node in nodes if not service or not node.services or service in node.services]
