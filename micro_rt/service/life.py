"""One run of a service: what is started, in which order, and how it ends.

Rules:

- A ``Life`` serves one run. A service that runs again makes another, so nothing of the first run is left in the second.
- It starts, in this order: the config; the registry; the nodes, that is the client's view of the registry; the lifespan; the
  subscriptions; the server; the registration. Each has what comes before it: a lifespan can call other services and publish
  events, and a handler runs only when the lifespan has begun.
- Settings that are read once, such as the registry, are those that the config has when the service starts.
- The broker, the store and the locks are opened when they are needed first, which may be never.
- Everything stops in reverse order, also after a start that failed half-way: the nodes, the broker, the store and the locks
  are closed after the lifespan, which may still call, publish, write and lock.
- Where the machine loses the address that the service chose, the node is registered at another one, with the same id.
- The server listens before the node is registered, because the registration holds the port. The service takes calls before
  it is registered, so that nobody finds a node that refuses.
- To stop serving: refuse in the health service, deregister, wait until clients have seen it, drain, cut off what takes longer
  than the grace, close.
- All subscriptions begin to stop at once, with the calls, so that none takes new events while another finishes, and one grace is
  enough for all. A broker that does not answer delays the end by a few seconds after the grace, whatever waits for it.
- Each step that waits for others can be cut short (``hurry``). Whatever comes after it still happens.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from micro_rt.broker.base import Broker
from micro_rt.client.nodes import Nodes
from micro_rt.config.config import Config
from micro_rt.errors import FailedPrecondition
from micro_rt.events.memory import MAX_MEMORY
from micro_rt.events.subscription import EventSubscription
from micro_rt.handler import Handler, service_info
from micro_rt.health.handler import HealthHandler
from micro_rt.health.state import Health
from micro_rt.kit.home import Home
from micro_rt.kit.ids import new_id
from micro_rt.kit.tasks import cut_short, unless
from micro_rt.kit.threads import MOST
from micro_rt.kit.variables import standing_in
from micro_rt.logs import logger
from micro_rt.node import Node, NodeFilter
from micro_rt.reflection.handler import Reflection, ReflectionAlphaHandler, ReflectionHandler
from micro_rt.registry.base import LEASE_TTL, Registration, Registry
from micro_rt.registry.registrar import Registrar
from micro_rt.selector.base import Selector
from micro_rt.server.dispatch import Dispatcher
from micro_rt.server.draining import Draining
from micro_rt.server.endpoints import describe_endpoints
from micro_rt.server.server import Server
from micro_rt.service.addresses import advertised_address, check_address, listen_address
from micro_rt.service.announce import place_of, started
from micro_rt.service.configuration import configured, opened_config
from micro_rt.service.environment import unknown_variables
from micro_rt.service.moving import Mover
from micro_rt.service.on_demand import OnDemand
from micro_rt.service.parts import (
    Configured,
    Transports,
    number_of,
    part_of,
    seconds_of,
    selector_factory,
    setting_of,
    timeout_of,
)
from micro_rt.store.base import StoreEngine
from micro_rt.store.store import Store
from micro_rt.sync.base import SyncEngine
from micro_rt.sync.sync import Sync
from micro_rt.transport.base import Transport
from micro_rt.transport.compression import compression_of
from micro_rt.transport.limits import MAX_MESSAGE, Limits, ServiceLimits
from micro_rt.transport.tls import Tls, TlsFiles

__all__ = ["Life", "Plan"]

GRACE = 10.0
"""Seconds that calls and events in flight get when a service stops."""
BROKER = 6.0
"""Seconds after the grace in which the broker is closed, also if it does not answer."""
RELEASING = 1.0
"""Seconds that locks which are being released have when a service stops; they end with their ttl otherwise."""
BROKER_AT_LEAST = 1.5
"""Seconds that the broker has in any case."""

_log = logger("micro_rt.service")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; the settings are as given in code, or else by the config, None where they were not."""

    name: str
    version: str
    metadata: Mapping[str, str]
    config: object
    registry: str | Registry | Configured | None
    broker: str | Broker | Configured | None
    store: str | StoreEngine | Configured | None
    sync: str | SyncEngine | Configured | None
    transport: str | Transport | Configured | None
    selector: str | Callable[[], Selector] | Configured | None
    wanted: NodeFilter
    """The nodes that its clients call if they do not say."""
    address: str | Configured | None
    advertise: str | Configured | None
    lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None
    handlers: Sequence[Handler]
    dispatcher: Dispatcher
    subscriptions: Sequence[EventSubscription]
    health: Health
    reflection: bool
    """Whether clients may ask for its .proto files."""
    grace: float | Configured | None
    """Seconds that calls and events in flight get when it stops."""
    ttl: float | Configured | None
    """Seconds that the registration outlives the process."""
    timeout: float | Configured | None
    """Seconds that a unary call of its clients may take; infinite for no limit."""
    threads: int | Configured | None
    """How many handlers that are plain functions run at once."""
    max_memory: int | Configured | None
    """Bytes of events that may be in flight."""
    max_message: int | Configured | None
    """Bytes that a message of a call may have."""
    compression: str | Configured | None
    """How messages of calls are compressed."""
    limits: Limits | None
    """What clients may make it spend."""
    tls: Tls | None
    """The files of its certificate, and of the authorities that it trusts."""
    tls_cert: str | Configured | None
    tls_key: str | Configured | None
    tls_roots: str | Configured | None
    """These files, where ``tls`` does not name them."""


class Life:
    """One run of a service.

    Args:
        plan: what it is made of.
        hurry: once it is set, each step of stopping is cut short; None if nothing ever does that.
        ended: called last, when everything has stopped, also after a start that failed.

    Attributes:
        home: the event loop and the process that it runs in.
        config: its config, once it is open.
        grace: seconds that calls and events in flight get when it stops.
        timeout: seconds that a unary call of its clients may take where nothing else says so; None for no limit.
        broker: the broker, once it is open.
        store: the store, which is opened when it is used first.
        sync: the locks, whose engine is opened when they are used first.
        nodes: the nodes that its clients call, once they are watched.
        node: what the registry lists, once it serves; None if it has no handlers.
    """

    def __init__(self, plan: Plan, hurry: asyncio.Event | None, ended: Callable[[], None]) -> None:
        self.home = Home(f"service {plan.name!r}")
        self.config: Config | None = None
        self.grace = GRACE
        self.timeout: float | None = None
        self._variables: Mapping[str, str] = {}
        """What stands in for variables that are not set, when parts are made and opened."""
        self.broker: Broker | None = None
        self._store = OnDemand(self.home, self._open_store, lambda: self._stopped("store is"))
        self.store = Store(self._store.opened, self._store.ready)
        self._locks = OnDemand(self.home, self._open_locks, lambda: self._stopped("locks are"))
        self.sync = Sync(self._locks.opened, f"service {plan.name!r}", ready=self._locks.ready)
        self.nodes: Nodes | None = None
        self.node: Node | None = None
        self._plan = plan
        self._hurry = hurry
        self._ended = ended
        self._stack = AsyncExitStack()
        self._broker_lock = asyncio.Lock()
        self._server: Server | None = None
        self._broker_until = 0.0
        """When the broker is closed at the latest, once it stops."""

    @property
    def starting(self) -> bool:
        """Whether it has handlers that are not served yet."""
        return self.node is None and bool(self._plan.handlers)

    @property
    def in_flight(self) -> int:
        """How many calls are being served."""
        return self._server.in_flight if self._server else 0

    async def start(self) -> None:
        """Starts everything; what was started is stopped again if something fails."""
        async with AsyncExitStack() as stack:
            stack.callback(self._ended)
            stack.callback(self._plan.health.forget)
            await self._start(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stops everything, in reverse order."""
        self._broker_until = asyncio.get_running_loop().time() + self.grace + BROKER
        for subscription in self._plan.subscriptions:
            subscription.begin_to_stop()
        await self._stack.aclose()

    async def open_broker(self) -> Broker:
        """Returns the broker, and opens it the first time.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        async with self._broker_lock:
            if self.broker is None:
                with standing_in(self._variables):
                    broker: Broker = part_of("broker", self._plan.broker, Broker)
                    await broker.open()
                self._plan.health.observe("broker", lambda: broker.problem)
                self.broker = broker
            return self.broker

    def _stopped(self, what: str) -> FailedPrecondition:
        return FailedPrecondition(f"service {self._plan.name!r} has stopped, and its {what} closed")

    async def _open_store(self) -> StoreEngine:
        with standing_in(self._variables):
            engine: StoreEngine = part_of("store", self._plan.store, StoreEngine)
            await engine.open()
        self._plan.health.observe("store", lambda: engine.problem)
        return engine

    async def _open_locks(self) -> SyncEngine:
        with standing_in(self._variables):
            engine: SyncEngine = part_of("sync", self._plan.sync, SyncEngine)
            await engine.open()
        self._plan.health.observe("sync", lambda: engine.problem)
        return engine

    async def _start(self, stack: AsyncExitStack) -> None:
        for warning in unknown_variables():
            _log.warning(warning)
        config, owned = await opened_config(self._plan.config)
        if owned:
            stack.push_async_callback(config.close)
        self.config = config
        self._plan.health.observe("config", lambda: config.problem)
        self._plan, self._variables = configured(self._plan, config)
        with standing_in(self._variables):
            await self._start_parts(stack)

    async def _start_parts(self, stack: AsyncExitStack) -> None:
        plan = self._plan
        self.grace = seconds_of(plan.grace, "grace", GRACE)
        self.timeout = timeout_of(plan.timeout)
        registry: Registry = part_of("registry", plan.registry, Registry)
        tls = await self._open_tls(stack)
        transports = Transports(plan.transport, _limits(plan), tls)
        if plan.handlers:
            check_address(plan.address, transports)
        await registry.open()
        stack.push_async_callback(registry.close)
        plan.health.observe("registry", lambda: registry.problem)
        place = place_of("registry", plan.registry)
        self.nodes = nodes = Nodes(registry, transports.speaking, selector_factory(plan.selector), place, plan.wanted)
        stack.push_async_callback(nodes.close)
        stack.push_async_callback(self._close_broker)
        stack.push_async_callback(self._store.close)
        stack.push_async_callback(self._locks.close)
        stack.push_async_callback(self.sync.close, RELEASING)
        if plan.lifespan is not None:
            await stack.enter_async_context(plan.lifespan())
        max_memory = number_of(plan.max_memory, "max_memory", MAX_MEMORY)
        stack.push_async_callback(self._stop_subscriptions)
        for subscription in plan.subscriptions:
            await subscription.start(await self.open_broker(), self.grace, max_memory)
            group = subscription.options.group
            plan.health.observe(f"group {group}", functools.partial(self._problem_of, group))
        if plan.handlers:
            await stack.enter_async_context(self._serving(registry, transports.own))
        if plan.handlers or plan.subscriptions:
            broker = place_of("broker", plan.broker)
            names, handled = self._names(), plan.subscriptions
            _log.info(started(plan.name, self.node, names, plan.handlers, handled, registry=place, broker=broker))

    async def _open_tls(self, stack: AsyncExitStack) -> TlsFiles | None:
        """Returns what connections are secured with; None if they are not."""
        tls = _tls(self._plan)
        if tls is None:
            return None
        files = TlsFiles(tls, serves=bool(self._plan.handlers))
        await files.open()
        stack.push_async_callback(files.close)
        self._plan.health.observe("tls", lambda: files.problem)
        return files

    @asynccontextmanager
    async def _serving(self, registry: Registry, transport: Transport) -> AsyncGenerator[None]:
        plan = self._plan
        plan.dispatcher.add_own(HealthHandler(plan.health))
        if plan.reflection:
            reflection = Reflection(lambda: plan.dispatcher.served)
            plan.dispatcher.add_own(ReflectionHandler(reflection))
            plan.dispatcher.add_own(ReflectionAlphaHandler(reflection))
        plan.dispatcher.threads.most = number_of(plan.threads, "threads", MOST)
        draining = plan.dispatcher.draining = Draining()
        id = plan.dispatcher.node = f"{plan.name}-{new_id(12)}"
        server = self._server = Server(transport, plan.dispatcher, draining, plan.dispatcher.method_of)
        listening = await server.start(listen_address(plan.address, loopback=registry.loopback))
        try:
            plan.health.run(True)
            choose = functools.partial(advertised_address, plan.advertise, listening, loopback=registry.loopback)
            advertised = choose()
            self.node = node = self._describe(id, transport, advertised.address)
            ttl = seconds_of(plan.ttl, "ttl", LEASE_TTL)
            registrar = Registrar(registry, Registration(node, self._names()), ttl=ttl)

            def move(address: str) -> None:
                self.node = moved = dataclasses.replace(node, address=address)
                registrar.replace(Registration(moved, self._names()))

            mover = Mover(plan.name, advertised, choose, move)
            await registrar.start()
            plan.health.observe("lease", lambda: registrar.problem)
            plan.health.observe("address", lambda: mover.problem)
            try:
                await mover.open()
                yield
            finally:
                plan.health.run(False)
                await mover.close()
                await registrar.stop()
                await self._unless_hurried(asyncio.sleep(registry.propagation))
        finally:
            plan.health.run(False)
            await self._unless_hurried(server.stop(self.grace))
            self._server = None
            self._close_threads()

    def _names(self) -> tuple[str, ...]:
        """The names that it is found under: its own, and the default target of each handler."""
        targets = (service_info(handler).target for handler in self._plan.handlers)
        return tuple(dict.fromkeys([self._plan.name, *targets]))

    def _describe(self, id: str, transport: Transport, address: str) -> Node:
        plan = self._plan
        return Node(
            id=id,
            address=address,
            transport=transport.name,
            version=plan.version,
            services=frozenset(service_info(handler).name for handler in plan.handlers),
            metadata=plan.metadata,
            endpoints=tuple(
                chain.from_iterable(describe_endpoints(service_info(handler)) for handler in plan.handlers)
            ),
        )

    def _problem_of(self, group: str) -> str:
        """Returns what is wrong with the subscriptions of a group, of which there may be several."""
        problems = [each.problem for each in self._plan.subscriptions if each.options.group == group]
        return "; ".join(dict.fromkeys(filter(None, problems)))

    async def _stop_subscriptions(self) -> None:
        async def stop() -> None:
            await asyncio.gather(*(subscription.stop() for subscription in self._plan.subscriptions))

        await self._unless_hurried(stop())

    def _close_threads(self) -> None:
        running = self._plan.dispatcher.threads.close()
        if running:
            names = ", ".join(sorted(set(running)))
            _log.warning("%d handlers still run in threads, and end with the process: %s", len(running), names)

    async def _close_broker(self) -> None:
        broker, self.broker = self.broker, None
        if broker is None:
            return
        left = self._broker_until - asyncio.get_running_loop().time()
        closing = asyncio.ensure_future(broker.close())
        try:
            await asyncio.wait((closing,), timeout=max(left, BROKER_AT_LEAST))
        finally:
            await cut_short(closing, BROKER_AT_LEAST)
        if closing.done() and not closing.cancelled():
            closing.result()
        else:
            _log.warning("the broker has not answered within the grace, and was closed without it: %s", broker.problem)

    async def _unless_hurried(self, step: Coroutine[Any, Any, Any]) -> None:
        """Awaits one step of stopping, and cuts it short once there is a hurry."""
        if self._hurry is None:
            await step
            return
        done = await unless(self._hurry.wait(), step)
        if not done.cancelled():
            done.result()


def _tls(plan: Plan) -> Tls | None:
    """Returns the TLS files of the service; None if no setting names one."""
    given = plan.tls or Tls()
    cert = given.cert or setting_of(plan.tls_cert, "tls_cert", "")[0]
    key = given.key or ("" if given.cert else setting_of(plan.tls_key, "tls_key", "")[0])
    roots = given.roots or setting_of(plan.tls_roots, "tls_roots", "")[0]
    if plan.tls is None and not (cert or key or roots):
        return None
    return dataclasses.replace(given, cert=cert, key=key, roots=roots)


def _limits(plan: Plan) -> ServiceLimits | None:
    """Returns what the service says to its transport; None if it says nothing.

    Raises:
        FailedPrecondition: ``max_message`` or ``compression`` makes no sense.
    """
    name, place = setting_of(plan.compression, "compression", "")
    try:
        compression = compression_of(name) if name or plan.compression is not None else None
    except ValueError as error:
        raise FailedPrecondition(f"{place}: {error}") from None
    said = setting_of(plan.max_message, "max_message", "")[0] != ""
    most = number_of(plan.max_message, "max_message", MAX_MESSAGE) if said else None
    dispatcher = plan.dispatcher
    sizes = dispatcher.sizes if dispatcher.has_sizes or dispatcher.has_compression else None
    if most is None and plan.limits is None and sizes is None and compression is None:
        return None
    try:
        return ServiceLimits(
            server=plan.limits,
            max_message=most,
            compression=compression,
            sizes=sizes,
            sized=dispatcher.has_sizes,
            compressed=dispatcher.has_compression,
            largest_request=dispatcher.largest_request,
        )
    except ValueError as error:
        raise FailedPrecondition(str(error)) from None
