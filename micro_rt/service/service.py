"""A service: what users say to it, and nothing of how it is done.

Rules:

- ``Service`` holds what it was told; ``Life`` (life.py) is one run of it, and ``Ending`` (signals.py) the end of one
  ``serve()``. Between runs a service has neither.
- Handlers and subscriptions are added before the service starts.
- A ``stop()`` that comes before ``serve()`` is not forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast

from micro_rt.broker.base import Broker, Start
from micro_rt.client.bound import check_timeout
from micro_rt.client.nodes import Nodes
from micro_rt.client.wanted import EVERY_NODE, wanted_nodes
from micro_rt.codec.base import Codec
from micro_rt.codec.codecs import Codecs
from micro_rt.codec.proto import ProtoCodec
from micro_rt.config.base import AnySource, Source
from micro_rt.config.config import Config
from micro_rt.context import TRACE, CallInfo
from micro_rt.dynamic.calls import DynamicCall, Requests, dynamic_call
from micro_rt.dynamic.given import Descriptors
from micro_rt.dynamic.targets import Targets
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.subscriber import Subscriber
from micro_rt.events.subscription import EventSubscription
from micro_rt.handler import Handler, service_info
from micro_rt.health.state import Health
from micro_rt.interceptor import ClientSide, InterceptorsByMethod, ServerSide, checked
from micro_rt.kit.secrets import scrubbed
from micro_rt.logs import logger
from micro_rt.metadata import Metadata, MetadataLike
from micro_rt.node import ZONE_KEY, Node, NodeFilter
from micro_rt.registry.base import Registry
from micro_rt.selector.base import Selector
from micro_rt.server.dispatch import Dispatcher
from micro_rt.service.announce import not_validated, stopping
from micro_rt.service.life import Life, Plan
from micro_rt.service.parts import codec_named, names_of
from micro_rt.service.signals import Ending, on_signals
from micro_rt.store.base import StoreEngine
from micro_rt.store.store import Store
from micro_rt.sync.base import SyncEngine
from micro_rt.sync.sync import Sync
from micro_rt.text import printable
from micro_rt.transport.base import Transport
from micro_rt.transport.compression import compression_of
from micro_rt.transport.limits import Limits, ServiceLimits
from micro_rt.transport.tls import Tls

__all__ = ["Lifespan", "Service"]

HandlerT = TypeVar("HandlerT", bound=Handler)

Lifespan: TypeAlias = Callable[["Service"], AbstractAsyncContextManager[Any]]
"""Makes a context manager that surrounds the life of a service: entered before it serves, left after it stopped."""

_log = logger("micro_rt.service")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What every registry, file system and broker can hold in its own names."""


class Service:
    """A process's place among the others: it serves handlers, and its clients call other services.

        service = micro.Service("greeter")
        service.handle(Greeter())
        service.run()

    Without handlers it opens no port and registers nothing:

        async with micro.Service("web") as service:
            reply = await GreeterClient(service).say_hello(HelloRequest(name="Ada"))

    An argument that is left out is taken from the environment, else from the config, else it has its default: ``registry`` from
    ``MICRO_REGISTRY``, else from ``micro.registry``.

    Args:
        name: under which it is registered, beside the names of what it serves: at most 128 letters, digits, ``.``, ``_``
            and ``-``.
        version: told to others in the registry.
        metadata: told to others in the registry; ``"zone"`` is where it runs.
        config: the sources of ``service.config``, the one that counts least first: addresses, objects and mappings, or addresses with
            commas between; or a config. Else ``MICRO_CONFIG``, else no source. A config that is open stays open.
        registry: address (``"local:"``, ``"memory:"``) or object; else ``MICRO_REGISTRY``, else ``"local:"``.
        broker: address or object, for events; else ``MICRO_BROKER``, else ``"local:"``. Opened when it is needed.
        store: address or object, for ``service.store``; else ``MICRO_STORE``, else ``"local:"``. Opened when it is needed.
        sync: address or object, for ``service.sync``; else ``MICRO_SYNC``, else ``"local:"``. Opened when it is needed.
        transport: name or object; else ``MICRO_TRANSPORT``, else ``"grpc"``. It also calls the nodes that speak its protocol.
        selector: name, such as ``"least_loaded"`` or ``"consistent_hash?key=x-tenant"``, or what makes a selector; else ``MICRO_SELECTOR``, else ``"round_robin"``.
        nodes: which nodes its clients call if they do not say, by version, metadata and zone.
        codec: name or object; ``"proto"``. Its clients send with it. Its handlers take requests in every codec that is
            installed, and answer each in the codec of the request; events are always protobuf.
        address: where to listen, ``"host:port"``, port 0 for a free one; else ``MICRO_ADDRESS``, else a free
            port on 127.0.0.1 if the registry reaches no further than this machine, on every interface otherwise. A port
            alone, ``"50051"`` or ``":50051"``, is that port of the same host.
        advertise: where others reach it, ``"host"``, ``"host:port"`` or ``":port"``; else ``MICRO_ADVERTISE``, else where
            it listens; on every interface, that is an address of this machine, and another one when the machine loses it.
        interceptors: run around every call that it serves, and every event that it handles.
        client_interceptors: run around every call that its clients make, and every event that it publishes.
        auth: ``"off"`` to serve methods whose ``auth`` policy in the .proto no interceptor enforces. Without it, a service
            with such a method does not start. An interceptor that enforces the policy has ``enforces_auth = True``.
        lifespan: runs around its life.
        grace: seconds that calls in flight get when it stops; else ``MICRO_GRACE``, else 10.
        ttl: seconds that it stays listed after it died; else ``MICRO_TTL``, else 30.
        timeout: seconds that a unary call of its clients may take, and that a stream may take to reach a node, where the call, the
            client and the .proto do not say; None for no limit; else ``MICRO_TIMEOUT`` (``none`` for no limit), else 30. No call
            takes longer than the call that is being served.
        threads: how many handlers that are plain functions run at once, each in a thread; others wait for their turn; else
            ``MICRO_THREADS``, else 32.
        flow: keys of metadata that goes on: from the call or event being served into the calls and events that its handler makes,
            beside ``traceparent``, ``tracestate`` and ``baggage``, which always do.
        max_message: bytes that a message of a call may have, in both directions; else ``MICRO_MAX_MESSAGE``, else 4 MiB. The
            limits of a method in the .proto count instead. A larger message ends its call as ``ResourceExhausted``.
        compression: how messages are compressed, ``"gzip"``, ``"deflate"`` or ``"zstd"``: the requests of its clients, and the
            replies to clients that understand it; else ``MICRO_COMPRESSION``, else not at all. A client, a method in the
            .proto and a call may say otherwise.
        limits: what clients may make the server spend: connections, calls, metadata, silence.
        tls: the certificate that it presents and the authorities that it trusts, for all that it serves and calls; else
            ``MICRO_TLS_CERT``, ``MICRO_TLS_KEY`` and ``MICRO_TLS_ROOTS``, else its connections have no TLS.
        max_memory: bytes of events that may be read and not done at once, by all subscriptions of the process together; else
            ``MICRO_MAX_MEMORY``, else 32 MiB. Each partition may have one event, however large that is.
        reflection: whether tools such as grpcurl may ask it for its .proto files (``grpc.reflection``). Whoever can connect
            sees them then: no interceptor runs around these calls.
        validate: whether its handlers get only requests that keep the rules of ``buf.validate`` in their .proto files; others end
            as ``InvalidArgument``. That needs ``micro-rt[validate]``: without it, the service warns at its start that
            it does not keep them. False checks nothing, and warns of nothing.

    Raises:
        TypeError: an argument is of a wrong kind.
        ValueError: an argument makes no sense.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        metadata: Mapping[str, str] | None = None,
        config: Config | str | Sequence[str | Source | AnySource | Mapping[str, Any]] | None = None,
        registry: str | Registry | None = None,
        broker: str | Broker | None = None,
        store: str | StoreEngine | None = None,
        sync: str | SyncEngine | None = None,
        transport: str | Transport | None = None,
        selector: str | Callable[[], Selector] | None = None,
        nodes: NodeFilter | None = None,
        codec: str | Codec = "proto",
        address: str | None = None,
        advertise: str | None = None,
        interceptors: Sequence[ServerSide] = (),
        client_interceptors: Sequence[ClientSide] = (),
        auth: Literal["off"] | None = None,
        lifespan: Lifespan | None = None,
        grace: float | None = None,
        ttl: float | None = None,
        timeout: float | Literal["default"] | None = "default",
        threads: int | None = None,
        flow: Sequence[str] = (),
        max_message: int | None = None,
        compression: str | None = None,
        limits: Limits | None = None,
        tls: Tls | None = None,
        max_memory: int | None = None,
        reflection: bool = True,
        validate: bool = True,
    ) -> None:
        if not name:
            raise ValueError('a service needs a name: micro.Service("greeter")')
        if auth not in (None, "off"):
            raise ValueError(f'auth={auth!r}: it is "off", or left out')
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a name of a service: use at most 128 letters, digits, '.', '_' and '-', and begin with a "
                "letter or a digit"
            )
        if max_memory is not None and max_memory < 1:
            raise ValueError(f"max_memory={max_memory}: at least 1 byte")
        if limits is not None and not isinstance(cast("object", limits), Limits):
            raise TypeError(f"limits={limits!r}: it is a micro.Limits")
        self._max_message = ServiceLimits(max_message=max_message).max_message
        self._compression = None if compression is None else compression_of(compression)
        if tls is not None and not isinstance(cast("object", tls), Tls):
            raise TypeError(f"tls={tls!r}: it is a micro.Tls")
        self._limits = limits
        self._tls = tls
        self.name = name
        self.version = version
        self.metadata = dict(metadata or {})
        self.codec: Codec = codec_named(codec) if isinstance(codec, str) else codec
        self.client_interceptors = checked(client_interceptors, ClientSide)
        self.health = Health()
        """Whether it takes calls, and what troubles it."""
        self._config = config
        self._registry = registry
        self._broker = broker
        self._store = store
        self._sync = sync
        self._transport = transport
        self._selector = selector
        self._wanted = EVERY_NODE if nodes is None else wanted_nodes(nodes, self.zone)
        self._address = address
        self._advertise = advertise
        self._auth = auth
        self._lifespan = lifespan
        self._reflection = reflection
        self._grace = grace
        self._ttl = ttl
        self.flow = frozenset((*TRACE, *_checked_keys(flow)))
        """The keys of the metadata that goes on from the call or event being served."""
        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: at least 1")
        self._threads = threads
        self._timeout = None if timeout == "default" else math.inf if timeout is None else check_timeout(timeout)
        self._max_memory = max_memory
        self._interceptors = checked(interceptors, ServerSide)
        codecs = Codecs(self.codec, lambda: names_of("codec"), codec_named)
        self._dispatcher = Dispatcher(codecs, interceptors, validate=validate)
        self._dispatcher.exits = self._handler_exits
        self._exit: BaseException | None = None
        self._handlers: list[Handler] = []
        self._subscriptions: list[EventSubscription] = []
        self._targets = Targets(self)
        self._life: Life | None = None
        self._ending: Ending | None = None
        self._stop_asked = False

    def __repr__(self) -> str:
        node = self.node
        return f"<Service {self.name!r} at {node.address}>" if node else f"<Service {self.name!r}>"

    def handle(
        self,
        handler: HandlerT,
        *,
        interceptors: Sequence[ServerSide] = (),
        method_interceptors: InterceptorsByMethod[ServerSide] | None = None,
    ) -> HandlerT:
        """Serves a handler; called before the service starts.

        Args:
            handler: an object of a class that derives from a generated base.
            interceptors: run around its calls, inside those of the service.
            method_interceptors: run around the calls of single methods, by Python name, inside the others.

        Returns:
            The handler.

        Raises:
            TypeError: it is not a handler, or cannot be served as it is written: a method that must be a coroutine is a
                generator or a plain ``def``, or the reverse; it takes other arguments; or its name is near that of an rpc
                that the handler does not define.
            ValueError: its proto service is served already, a method to intercept does not exist, or a rule of ``buf.validate``
                for its requests does not compile.
            RuntimeError: the service runs already.
        """
        if not isinstance(cast("object", handler), Handler):
            raise TypeError(
                f"handle() takes an object of a class that derives from a generated base, such as GreeterBase, not {handler!r}"
            )
        if self._life is not None:
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
        crash_attempts: int = 5,
        retry_for: float = 3600.0,
        on_unknown: Literal["skip", "dead_letter", "stop"] = "skip",
        interceptors: Sequence[ServerSide] = (),
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
            crash_attempts: how many processes may end while an event is the only one that they are handling. After that it is not
                handled again, and ``on_failure`` says what becomes of it. Processes that stop in good order, or that lose a
                partition, do not count.
            retry_for: seconds for which an event is tried, also beyond ``attempts``, while its handler raises an error that
                passes by itself: ``Unavailable``, ``DeadlineExceeded``, ``ResourceExhausted`` or ``Aborted``; 0 for no longer
                than other errors. Where the retention of the topic is known, half of it is the most.
            on_unknown: what becomes of an event whose type the .proto does not have: it is passed over, which is logged once
                and counted, it goes to the dead-letter topic, or the subscription stops in front of it. An event whose method
                the subscriber leaves out is passed over in any case.
            interceptors: run around each attempt, inside those of the service.

        Returns:
            The subscription, to pause and to look at.

        Raises:
            TypeError: it is not a subscriber, defines none of its methods, or has one that is not ``async def``, takes other
                arguments, or has a name near that of an event which it leaves out.
            ValueError: an option that cannot be, or a subscription of the same group handles other events of one topic.
            RuntimeError: the service runs already.
        """
        if not isinstance(cast("object", subscriber), Subscriber):
            raise TypeError(
                "subscribe() takes an object of a class that derives from a generated base, such as OrdersSubscriberBase, "
                f"not {subscriber!r}"
            )
        if self._life is not None:
            raise RuntimeError("subscriptions are made before the service starts")
        options = DeliveryOptions(
            group=self.name if group is None else group,
            start=start,
            concurrency=concurrency,
            attempts=attempts,
            backoff=backoff,
            max_backoff=max_backoff,
            timeout=timeout,
            on_failure=on_failure,
            max_in_flight=max_in_flight,
            crash_attempts=crash_attempts,
            retry_for=retry_for,
            on_unknown=on_unknown,
        )
        chain = (*self._interceptors, *checked(interceptors, ServerSide))
        subscription = EventSubscription(subscriber, options, ProtoCodec(), chain)
        subscription.exits = self._handler_exits
        for other in self._subscriptions:
            if other.options.group == options.group:
                subscription.check_beside(other)
        self._subscriptions.append(subscription)
        return subscription

    def call(
        self,
        target: str,
        method: str,
        request: Requests | None = None,
        *,
        timeout: float | None = None,
        metadata: MetadataLike | None = None,
        info: CallInfo | None = None,
        descriptors: Descriptors | None = None,
    ) -> DynamicCall:
        """Calls a method without generated code: ``await service.call("greeter", "greeter.Greeter/SayHello", {"name": "Ada"})``.

        The call goes the way of those of generated clients: interceptors, nodes, retries, deadlines, compression, TLS.

        Args:
            target: the name to look up.
            method: full name of the service, and the method: ``"greeter.Greeter/SayHello"``.
            request: a mapping, in protobuf's JSON mapping; keys may also be written as in the .proto. None is an empty one. If the
                client streams, an iterable of mappings, async or not.
            timeout: seconds for the call, ``math.inf`` for no limit; else as for generated clients.
            metadata: sent with the call.
            info: filled as the call goes on.
            descriptors: where the method is declared: a ``FileDescriptorSet`` or its bytes, or modules that protobuf has generated,
                such as ``greeter_pb2``. None to ask the target (``grpc.reflection``), once for a run of the service. A target that
                is asked bounds neither the size of messages nor their compression, and gives no call more time than this service does.

        Returns:
            The call, to be awaited or iterated. It begins at its first use, which raises what is wrong with it:
            ``Unimplemented`` for a method that there is not, ``InvalidArgument`` for a request that does not fit,
            ``FailedPrecondition`` for a target that does not tell its descriptors, ``Internal`` for descriptors that cannot be used,
            and ``TypeError`` for a use that does not suit the kind of the method.

        Raises:
            TypeError: an argument is of a wrong kind.
            InvalidArgument: the method is not the name of one.
            ValueError: the timeout is NaN.
        """
        return dynamic_call(self._targets, target, method, request, timeout, metadata, info, descriptors)

    async def broker(self) -> Broker:
        """Returns the broker, open.

        Raises:
            FailedPrecondition: the service is not started.
            RuntimeError: it was started in another event loop, or in the process that this one was forked from.
            Unavailable: the broker cannot be reached.
        """
        life = self._life
        if life is None:
            raise self._not_started()
        life.home.check()
        return life.broker or await life.open_broker()

    @property
    def store(self) -> Store:
        """The records of the service, while it runs: ``await service.store.read("session/42")``.

        It is opened at its first use, which raises what keeps it from being opened.

        Raises:
            FailedPrecondition: the service is not started.
        """
        if self._life is None:
            raise self._not_started()
        return self._life.store

    @property
    def sync(self) -> Sync:
        """The locks of the service, while it runs: ``async with service.sync.lock("invoice-run") as lock: …``.

        The engine is opened at the first use, which raises what keeps it from being opened.

        Raises:
            FailedPrecondition: the service is not started.
        """
        if self._life is None:
            raise self._not_started()
        return self._life.sync

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM, on uvloop where it is installed.

        Where logging is not set up yet, it is set up to write to standard error from INFO on.

        Raises:
            RuntimeError: a loop is running already; there, ``await service.serve()``.
            SystemExit: the service cannot start: a setting is wrong, or what it needs cannot be reached. Python prints
                the reason, which is one line, and ends with exit code 1. The log has the traceback at the level DEBUG.
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
            run = asyncio.run
        else:
            run = uvloop.run
        try:
            run(self.serve())
        except Error as error:
            _log.debug("%s: ended by an error", self.name, exc_info=error)
            raise SystemExit(printable(f"{self.name}: {' '.join(scrubbed(error.message).split())}")) from None

    async def serve(self, *, signals: bool = True) -> None:
        """Serves until SIGINT, SIGTERM or ``stop()``.

        A second signal ends it without waiting for calls in flight, a third one wherever it is. Signal handlers that the
        program has set before are called too, and set again afterwards. A handler that raises ``SystemExit`` or
        ``KeyboardInterrupt`` stops it as one signal does; the exception is raised once it has stopped.

        Args:
            signals: whether signals end it; False leaves them to the program, which calls ``stop()``.
        """
        self._ending = ending = Ending(self.name, self._starting)
        if self._stop_asked:
            ending.asked.set()
        try:
            async with on_signals(ending.signalled) if signals else nullcontext():
                if not ending.asked.is_set():
                    async with self:
                        if not self._handlers and not self._subscriptions:
                            _log.warning("%s serves nothing: it has no handlers and no subscriptions", self.name)
                        await ending.asked.wait()
                        if self._life is not None:
                            calls, grace = self._life.in_flight, self._life.grace
                            _log.info(stopping(self.name, calls, grace, self._subscriptions))
                    _log.info("%s has stopped", self.name)
        except asyncio.CancelledError:
            if not ending.cancelled():
                raise
        finally:
            self._stop_asked = False
            self._ending = None
        exit, self._exit = self._exit, None
        if exit is not None:
            raise exit

    def stop(self) -> None:
        """Asks ``serve()`` to stop, in good order; from any thread."""
        self._stop_asked = True
        if self._ending is not None:
            self._ending.ask()

    @property
    def node(self) -> Node | None:
        """What the registry lists, while the service runs; None if it has no handlers."""
        return self._life.node if self._life is not None else None

    @property
    def config(self) -> Config:
        """The config, open while the service runs.

        Raises:
            FailedPrecondition: the service is not started.
        """
        life = self._life
        if life is None or life.config is None:
            raise self._not_started()
        return life.config

    @property
    def registry(self) -> Registry:
        """The registry, open while the service runs.

        Raises:
            FailedPrecondition: the service is not started.
        """
        life = self._life
        if life is None or life.nodes is None:
            raise self._not_started()
        return life.nodes.registry

    @property
    def timeout(self) -> float | None:
        """Seconds that a unary call of its clients may take where nothing else says so; None for no limit."""
        life = self._life
        return None if life is None else life.timeout

    @property
    def zone(self) -> str:
        """Where it runs, as its metadata says under ``"zone"``; empty if that does not say."""
        return self.metadata.get(ZONE_KEY, "")

    @property
    def nodes(self) -> Nodes:
        """The nodes that its clients call; for the runtime's own use.

        Raises:
            FailedPrecondition: the service is not started.
            RuntimeError: it was started in another event loop, or in the process that this one was forked from.
        """
        life = self._life
        if life is None or life.nodes is None:
            raise self._not_started()
        life.home.check()
        return life.nodes

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise RuntimeError(f"service {self.name!r} runs already")
        if self._auth is None and (unguarded := self._dispatcher.unguarded):
            raise FailedPrecondition(
                f"service {self.name!r} does not start: the .proto says who may call {', '.join(unguarded)}, and no "
                'interceptor enforces it; add one that has enforces_auth = True, or pass auth="off" to micro.Service',
                id="micro.auth_not_enforced",
            )
        if self._dispatcher.validation is not None and (unchecked := self._dispatcher.validation.missing):
            _log.warning(not_validated(self.name, unchecked))
        self._life = Life(self._plan(), self._ending.hurry if self._ending else None, self._ended)
        await self._life.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._life is not None:
            self._life.home.check()
            await self._life.stop()

    def _plan(self) -> Plan:
        lifespan = self._lifespan
        return Plan(
            name=self.name,
            version=self.version,
            metadata=self.metadata,
            config=self._config,
            registry=self._registry,
            broker=self._broker,
            store=self._store,
            sync=self._sync,
            transport=self._transport,
            selector=self._selector,
            wanted=self._wanted,
            address=self._address,
            advertise=self._advertise,
            lifespan=None if lifespan is None else lambda: lifespan(self),
            handlers=self._handlers,
            dispatcher=self._dispatcher,
            subscriptions=self._subscriptions,
            health=self.health,
            reflection=self._reflection,
            grace=self._grace,
            ttl=self._ttl,
            timeout=self._timeout,
            threads=self._threads,
            max_memory=self._max_memory,
            max_message=self._max_message,
            compression=self._compression,
            limits=self._limits,
            tls=self._tls,
            tls_cert=None,
            tls_key=None,
            tls_roots=None,
        )

    def _handler_exits(self, error: BaseException) -> None:
        """Stops ``serve()`` in good order because a handler wants the process to end."""
        if self._ending is None:
            _log.warning("%s goes on: it is not run by serve(), which would stop it now", self.name)
        elif self._exit is None:
            self._exit = error
            self._ending.asked.set()

    def _starting(self) -> bool:
        return self._life is None or self._life.starting

    def _ended(self) -> None:
        self._life = None

    def _not_started(self) -> FailedPrecondition:
        return FailedPrecondition(
            f"service {self.name!r} is not started: use its clients inside `async with service:`, or in its handlers",
            may_have_run=False,
        )


def _checked_keys(keys: Sequence[str]) -> list[str]:
    """Returns keys of metadata in lower case.

    Raises:
        TypeError: it is one text, or a key is none.
        ValueError: a key cannot travel.
    """
    if isinstance(keys, str):
        raise TypeError(f"flow={keys!r}: it is a list of keys, [{keys!r}]")
    return [key for key, _ in Metadata([(key, b"" if str(key).endswith("-bin") else "") for key in keys]).pairs]
