"""A service: the one object that knows every part, starts them in order and stops them in order."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import chain
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast

from micro_rt.broker.base import Broker, Start
from micro_rt.client.nodes import Nodes
from micro_rt.codec.base import Codec
from micro_rt.errors import FailedPrecondition
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.subscriber import Subscriber
from micro_rt.events.subscription import EventSubscription
from micro_rt.handler import Handler, service_info
from micro_rt.health.handler import HealthHandler
from micro_rt.health.state import Health
from micro_rt.interceptor import Interceptor, InterceptorsByMethod, checked
from micro_rt.kit.address import scheme_of, without_secrets
from micro_rt.kit.ids import new_id
from micro_rt.kit.net import is_loopback
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import unless
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Registration, Registry
from micro_rt.registry.registrar import Registrar
from micro_rt.selector.base import Selector
from micro_rt.server.dispatch import Dispatcher
from micro_rt.server.endpoints import endpoints_of
from micro_rt.server.server import Server
from micro_rt.service.parts import backend
from micro_rt.transport.base import Transport

__all__ = ["Lifespan", "Service"]

HandlerT = TypeVar("HandlerT", bound=Handler)

Lifespan: TypeAlias = Callable[["Service"], AbstractAsyncContextManager[Any]]
"""Makes a context manager that surrounds the life of a service: entered before it serves, left after it stopped."""

_log = logging.getLogger("micro_rt.service")


class Service:
    """A process's place among the others: it serves handlers, and its clients call other services.

        service = micro.Service("greeter")
        service.handle(Greeter())
        service.run()

    Without handlers it opens no port and registers nothing:

        async with micro.Service("web") as service:
            reply = await GreeterClient(service).say_hello(HelloRequest(name="Ada"))

    Args:
        name: under which it is registered, beside the names of what it serves.
        version: told to others in the registry.
        metadata: told to others in the registry.
        registry: address (``"local:"``, ``"memory:"``) or object; else ``MICRO_REGISTRY``, else ``"local:"``.
        broker: address or object, for events; else ``MICRO_BROKER``, else ``"local:"``. Opened when it is needed.
        transport: name or object; else ``MICRO_TRANSPORT``, else ``"grpc"``.
        selector: name, or what makes a selector; else ``MICRO_SELECTOR``, else ``"round_robin"``.
        codec: name or object; ``"proto"``.
        address: where to listen, ``"host:port"``, port 0 for a free one; else ``MICRO_ADDRESS``, else a free
            port on 127.0.0.1 if the registry reaches no further than this machine, on every interface otherwise.
        advertise: where others reach it, ``"host"`` or ``"host:port"``; else ``MICRO_ADVERTISE``, else where it
            listens.
        interceptors: run around every call that it serves, and every event that it handles.
        client_interceptors: run around every call that its clients make, and every event that it publishes.
        lifespan: runs around its life.
        grace: seconds that calls in flight get when it stops.
        ttl: seconds that it stays listed after it died.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        metadata: Mapping[str, str] | None = None,
        registry: str | Registry | None = None,
        broker: str | Broker | None = None,
        transport: str | Transport | None = None,
        selector: str | Callable[[], Selector] | None = None,
        codec: str | Codec = "proto",
        address: str | None = None,
        advertise: str | None = None,
        interceptors: Sequence[Interceptor] = (),
        client_interceptors: Sequence[Interceptor] = (),
        lifespan: Lifespan | None = None,
        grace: float = 10.0,
        ttl: float = LEASE_TTL,
    ) -> None:
        if not name:
            raise ValueError('a service needs a name: micro.Service("greeter")')
        self.name = name
        self.version = version
        self.metadata = dict(metadata or {})
        self.codec: Codec = backend("codec", codec, "codec")() if isinstance(codec, str) else codec
        self.client_interceptors = checked(client_interceptors)
        self._registry = registry
        self._given_broker = broker
        self._broker: Broker | None = None
        self._broker_lock = asyncio.Lock()
        self._subscriptions: list[EventSubscription] = []
        self._transport = transport
        self._selector = selector
        self._address = address
        self._advertise = advertise
        self._lifespan = lifespan
        self._grace = grace
        self._ttl = ttl
        self.health = Health()
        """Whether it takes calls, and what troubles it."""
        self._interceptors = checked(interceptors)
        self._dispatcher = Dispatcher(self.codec, interceptors)
        self._handlers: list[Handler] = []
        self._transports: dict[str, Transport] = {}
        self._nodes: Nodes | None = None
        self._server: Server | None = None
        self._node: Node | None = None
        self._stack: AsyncExitStack | None = None
        self._stop_asked = False
        self._signals = 0
        self._stopping: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._main: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"<Service {self.name!r} at {self._node.address}>" if self._node else f"<Service {self.name!r}>"

    # What users say

    def handle(
        self,
        handler: HandlerT,
        *,
        interceptors: Sequence[Interceptor] = (),
        method_interceptors: InterceptorsByMethod | None = None,
    ) -> HandlerT:
        """Serves a handler; called before the service starts.

        Args:
            handler: an object of a class that derives from a generated base.
            interceptors: run around its calls, inside those of the service.
            method_interceptors: run around the calls of single methods, by Python name, inside the others.

        Returns:
            The handler.

        Raises:
            TypeError: it is not a handler.
            ValueError: its proto service is served already, or a method to intercept does not exist.
            RuntimeError: the service runs already.
        """
        if not isinstance(cast("object", handler), Handler):
            raise TypeError(
                f"handle() takes an object of a class that derives from a generated base, such as GreeterBase, not {handler!r}"
            )
        if self._stack is not None:
            raise RuntimeError("handlers are added before the service starts")
        self._dispatcher.add(handler, interceptors, method_interceptors)
        self._handlers.append(handler)
        self.health.know(service_info(handler).name)
        return handler

    def subscribe(
        self,
        subscriber: Subscriber,
        *,
        group: str | None = None,
        start: Start = "earliest",
        concurrency: int = 32,
        attempts: int = 5,
        backoff: float = 0.2,
        max_backoff: float = 30.0,
        timeout: float | None = None,
        on_failure: Literal["dead_letter", "stop"] = "dead_letter",
        max_in_flight: int = 1000,
        interceptors: Sequence[Interceptor] = (),
    ) -> EventSubscription:
        """Handles events for as long as the service runs; called before it starts.

        Each event goes to one member of the group, at least once, and events of one key in order. Returning from a handler
        acknowledges its event; raising has it tried again, and after the last attempt it goes to the dead-letter topic.

        Args:
            subscriber: an object of a class that derives from a generated base; events whose methods it leaves out are
                not subscribed to.
            group: whose members share the events; else the name of the service.
            start: where the group begins if it is new: ``"earliest"``, ``"latest"``, a time, or an offset.
            concurrency: how many events are handled at once.
            attempts: how many times an event is tried at most.
            backoff: seconds; the wait before the second try is a random part of it, and it doubles with each try.
            max_backoff: seconds; the longest wait.
            timeout: seconds that one attempt may take; None for as long as it takes.
            on_failure: what becomes of an event whose last attempt failed: it goes to the dead-letter topic, or the
                subscription stops in front of it.
            max_in_flight: events of one partition that are read and not done at most; one more, and it is not read on.
            interceptors: run around each attempt, inside those of the service.

        Returns:
            The subscription, to pause and to look at.

        Raises:
            TypeError: it is no subscriber, or defines none of its methods.
            ValueError: an option that cannot be, or a subscription of the same group handles other events of one topic.
            RuntimeError: the service runs already.
        """
        if not isinstance(cast("object", subscriber), Subscriber):
            raise TypeError(
                "subscribe() takes an object of a class that derives from a generated base, such as OrdersSubscriberBase, "
                f"not {subscriber!r}"
            )
        if self._stack is not None:
            raise RuntimeError("subscriptions are made before the service starts")
        options = DeliveryOptions(
            self.name if group is None else group,
            start,
            concurrency,
            attempts,
            backoff,
            max_backoff,
            timeout,
            on_failure,
            max_in_flight,
        )
        chain = (*self._interceptors, *checked(interceptors))
        subscription = EventSubscription(subscriber, options, self.codec, chain)
        for other in self._subscriptions:
            if other.options.group == options.group:
                subscription.check_beside(other)
        self._subscriptions.append(subscription)
        return subscription

    async def broker(self) -> Broker:
        """Returns the broker, open.

        Raises:
            FailedPrecondition: the service is not started.
            Unavailable: the broker cannot be reached.
        """
        if self._broker is not None:
            return self._broker
        if self._stack is None:
            raise self._not_started()
        async with self._broker_lock:
            if self._broker is None:
                broker: Broker = self._make("broker", self._given_broker, Broker)
                await broker.open()
                self.health.observe("broker", lambda: broker.problem)
                self._broker = broker
            return self._broker

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM, on uvloop where it is installed.

        Where logging is not set up yet, it is set up to write to standard error from INFO on.

        Raises:
            RuntimeError: a loop is running already; there, ``await service.serve()``.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("run() starts an event loop, and one is running here: await service.serve() instead")
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            import uvloop
        except ModuleNotFoundError:
            asyncio.run(self.serve())
        else:
            uvloop.run(self.serve())

    async def serve(self) -> None:
        """Serves until SIGINT, SIGTERM or ``stop()``.

        A second signal ends it without waiting for calls in flight, a third one wherever it is.
        """
        self._signals = 0
        self._stopping = stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._main = main = asyncio.current_task()
        try:
            async with _on_signals(self._signalled):
                if not self._stop_asked:
                    async with self:
                        if not self._handlers and not self._subscriptions:
                            _log.warning("%s serves nothing: it has no handlers and no subscriptions", self.name)
                        if not self._stop_asked:
                            await stopping.wait()
                        _log.info(
                            "%s stops: %d calls in flight", self.name, self._server.in_flight if self._server else 0
                        )
        except asyncio.CancelledError:
            # A signal cancels what cannot be asked to stop: a start that takes its time, or an end that does not come.
            if not self._signals or main is None or main.uncancel():
                raise
        finally:
            self._stop_asked = False
            self._stopping = self._hurry = self._main = None

    def stop(self) -> None:
        """Asks ``serve()`` to stop, in good order; to be called in its loop."""
        self._stop_asked = True
        if self._stopping is not None:
            self._stopping.set()

    @property
    def node(self) -> Node | None:
        """What the registry lists, while the service runs; None if it has no handlers."""
        return self._node

    @property
    def nodes(self) -> Nodes:
        """The nodes that its clients call.

        Raises:
            FailedPrecondition: the service is not started.
        """
        if self._nodes is None:
            raise self._not_started()
        return self._nodes

    # Its life

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError(f"service {self.name!r} runs already")
        async with AsyncExitStack() as stack:
            self._stack = stack
            stack.callback(self._ended)
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stack is not None:
            await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        registry: Registry = self._make("registry", self._registry, Registry)
        await registry.open()
        stack.push_async_callback(registry.close)
        self.health.observe("registry", lambda: registry.problem)
        self._nodes = nodes = Nodes(registry, self._transport_named, self._selector_factory())
        stack.push_async_callback(nodes.close)
        stack.push_async_callback(self._close_broker)
        if self._lifespan is not None:
            await stack.enter_async_context(self._lifespan(self))
        stack.push_async_callback(self._end_subscriptions)
        for subscription in self._subscriptions:
            await subscription.start(await self.broker(), self._grace)
            self.health.observe(
                f"group {subscription.options.group}", functools.partial(self._problem_of, subscription.options.group)
            )
        if self._handlers:
            await stack.enter_async_context(self._serving(registry))

    @asynccontextmanager
    async def _serving(self, registry: Registry) -> AsyncGenerator[None]:
        """Listens, then registers. On the way out: deregisters, lets clients see it, drains, closes."""
        transport = self._own_transport()
        self._dispatcher.add_own(HealthHandler(self.health))
        server = self._server = Server(transport, self._dispatcher)
        listening = await server.start(self._listen_address(registry))
        try:
            self.health.run(True)  # before others can find it, and ask
            self._node = node = self._describe(transport, self._advertised(listening, registry))
            registrar = Registrar(registry, Registration(node, self._names()), ttl=self._ttl)
            await registrar.start()
            self.health.observe("lease", lambda: registrar.problem)
            _log.info(
                "%s serves %s at %s, registered as %s",
                node.id,
                ", ".join(sorted(node.services)),
                node.address,
                ", ".join(self._names()),
            )
            try:
                yield
            finally:
                self.health.run(False)
                await registrar.stop()
                await self._unless_hurried(asyncio.sleep(registry.propagation))
        finally:
            self.health.run(False)
            await self._unless_hurried(server.stop(self._grace))
            self._server = None

    async def _end_subscriptions(self) -> None:
        """Stops all of them at once: none goes on with new events while another finishes, and one grace is enough."""

        async def stop() -> None:
            await asyncio.gather(*(subscription.stop() for subscription in self._subscriptions))

        await self._unless_hurried(stop())

    def _problem_of(self, group: str) -> str:
        """Returns what is wrong with the subscriptions of a group, of which there may be several."""
        problems = [each.problem for each in self._subscriptions if each.options.group == group]
        return "; ".join(dict.fromkeys(filter(None, problems)))

    async def _close_broker(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.close()

    def _ended(self) -> None:
        self.health.forget()
        self._stack = None
        self._nodes = None
        self._node = None

    def _signalled(self) -> None:
        self._signals += 1
        starting = self._stack is None or (self._node is None and bool(self._handlers))
        if self._signals == 2 and self._hurry is not None:
            _log.warning("%s: second signal, calls in flight are cut off", self.name)
            self._hurry.set()
        if ((self._signals == 1 and starting) or self._signals > 2) and self._main is not None:
            self._main.cancel()
        self.stop()

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Awaits one step of stopping, and cuts it short at a second signal."""
        if self._hurry is None:
            await waiting
            return
        step = await unless(self._hurry.wait(), waiting)
        if not step.cancelled():
            step.result()

    # Its parts

    def _make(self, part: str, given: object, kind: type[Any]) -> Any:
        """Returns a part that was given as an object, or that its address names."""
        chosen, setting = _setting(given, part, "local:")
        if isinstance(chosen, str):
            try:
                return backend(part, scheme_of(chosen, setting), setting)(chosen)
            except ValueError as error:
                raise FailedPrecondition(f"{setting}={without_secrets(chosen)!r}: {error}") from None
        if not isinstance(chosen, kind):
            raise TypeError(f"{setting}={chosen!r} is neither an address, such as 'local:', nor a {kind.__name__}")
        return chosen

    def _selector_factory(self) -> Callable[[], Selector]:
        given, setting = _setting(self._selector, "selector", "round_robin")
        if isinstance(given, str):
            made: Callable[[], Selector] = backend("selector", given, setting)
            return made
        return given

    def _own_transport(self) -> Transport:
        given, setting = _setting(self._transport, "transport", "grpc")
        return self._transport_named(given, setting) if isinstance(given, str) else given

    def _transport_named(self, name: str, setting: str = "transport of a node") -> Transport:
        """Returns the transport of a name: the one that the service was made with, or one found by its name."""
        given = self._transport
        if given is not None and not isinstance(given, str) and given.name == name:
            return given
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = backend("transport", name, setting)()
        return transport

    # Where it is

    def _names(self) -> tuple[str, ...]:
        """The names that it is found under: its own, and the default target of each handler."""
        return tuple(dict.fromkeys([self.name, *(service_info(handler).target for handler in self._handlers)]))

    def _describe(self, transport: Transport, address: str) -> Node:
        return Node(
            id=f"{self.name}-{new_id(12)}",
            address=address,
            transport=transport.name,
            version=self.version,
            services=frozenset(service_info(handler).name for handler in self._handlers),
            metadata=self.metadata,
            endpoints=tuple(chain.from_iterable(endpoints_of(service_info(handler)) for handler in self._handlers)),
        )

    def _listen_address(self, registry: Registry) -> str:
        address, _ = _setting(self._address, "address", "127.0.0.1:0" if registry.loopback else "0.0.0.0:0")
        return address

    def _advertised(self, listening: str, registry: Registry) -> str:
        given, setting = _setting(self._advertise, "advertise", "")
        if listening.startswith("memory:"):
            return listening
        host, _, port = listening.rpartition(":")
        if given:
            host, port = (given.rpartition(":")[::2]) if _has_port(given) else (given, port)
            host = f"[{host}]" if ":" in host and host[0] != "[" else host
        elif host in ("0.0.0.0", "[::]"):
            host = _own_address()
        if is_loopback(host) and not registry.loopback:
            raise FailedPrecondition(
                f"{host} would be registered where other machines look it up, and they cannot reach it: "
                f"say where they can with advertise= (MICRO_ADVERTISE){f', not {setting}={given}' if given else ''}"
            )
        return f"{host}:{port}"

    def _not_started(self) -> FailedPrecondition:
        return FailedPrecondition(
            f"service {self.name!r} is not started: use its clients inside `async with service:`, or in its handlers",
            may_have_run=False,
        )


ValueT = TypeVar("ValueT")


def _setting(given: ValueT | str | None, name: str, default: str) -> tuple[ValueT | str, str]:
    """Returns a setting and where it comes from: code, else the environment, else the default."""
    if given is not None:
        return given, name
    variable = f"MICRO_{name.upper()}"
    value = os.environ.get(variable)
    return (value, variable) if value else (default, name)


def _has_port(address: str) -> bool:
    return address.rpartition(":")[2].isdigit() and (address.count(":") == 1 or address.startswith("["))


def _own_address() -> str:
    """Returns the address of the interface that leads outside; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: reserved for documentation, belongs to nobody
        except OSError:
            return "127.0.0.1"
        host: str = probe.getsockname()[0]
        return host


class _Signals:
    """Tells SIGINT and SIGTERM to every service that an event loop runs: a loop has one handler for each signal."""

    def __init__(self) -> None:
        self.reactions: list[Callable[[], None]] = []
        self._caught: list[signal.Signals] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._react)
            except (NotImplementedError, RuntimeError, ValueError):
                continue  # not the main thread, or not a system that has signals
            self._caught.append(number)

    async def close(self) -> None:
        for number in self._caught:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _react(self) -> None:
        for react in list(self.reactions):
            react()


@asynccontextmanager
async def _on_signals(react: Callable[[], None]) -> AsyncGenerator[None]:
    """Reacts to SIGINT and SIGTERM."""
    hold = Shared("signals", _Signals)
    signals = await hold.acquire()
    signals.reactions.append(react)
    try:
        yield
    finally:
        signals.reactions.remove(react)
        await hold.release()
