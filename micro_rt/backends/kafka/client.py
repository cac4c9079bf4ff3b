"""A Kafka cluster: connections to it, its topics, and requests to coordinators of groups.

aiokafka has no type annotations. Where private attributes of aiokafka are used, a comment gives the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar, cast

import aiokafka.client  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.conn  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.errors  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.admin  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.group  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.metadata  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.address import KafkaAddress
from micro_rt.broker.base import DEFAULT_PARTITIONS, TopicOptions
from micro_rt.broker.embedded import not_there
from micro_rt.errors import (
    Aborted,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from micro_rt.kit.chance import shuffle
from micro_rt.kit.foreign import whole
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import observed
from micro_rt.kit.tls import client_context
from micro_rt.logs import logger, quieten

__all__ = [
    "METADATA_AGE",
    "STOP",
    "Cluster",
    "KafkaError",
    "abandon",
    "connection_options",
    "end_task",
    "error_of",
    "failures",
    "reason_of",
    "keeping",
]

STOP = 5.0
"""Seconds that a task or client of aiokafka may take to end."""
CANCEL_AGAIN = 0.2
"""Seconds until a task that has ignored its cancellation is cancelled again."""
METADATA_AGE = 60.0
"""Seconds after which clients learn of new partitions of a topic."""
REQUEST_TIMEOUT = 10.0
"""Seconds that the cluster has to answer a request, unless ``timeout=`` is less."""
CLUSTER_DEFAULT = -1
"""Asks for the cluster's default.replication.factor, if the address has no ``replication=``. The number of brokers that are up at the
moment is no guide."""
CLUSTER_DEFAULT_FROM = 4
"""The first version of CreateTopics that can ask for the cluster's default (Kafka 2.4)."""
MOST_REPLICAS = 3
"""Replicas of a topic in an older cluster, if it has as many brokers."""
SETTLE = 0.1
"""Seconds between checks for a topic that was made just now."""
APPEARS = 3.0
"""Seconds for which requests for an unknown topic are repeated, unless ``timeout=`` is less: brokers learn of a new topic a
moment after it was made."""

HEADERS = 64 << 10
"""Bytes by which a record of another topic may grow in a topic that ``holds`` its records."""

_TOPIC = 2
"""The number of topics among the types of resources with a configuration."""
_LARGEST = "max.message.bytes"
_RETENTION = "retention.ms"

T = TypeVar("T")

_log = logger("micro_rt.broker")
_library: Any = cast("Any", aiokafka)
NO_BROKERS = 0.1
"""Seconds until the next request to a cluster that knows no brokers."""
failures: Any = cast("Any", aiokafka.errors)
"""aiokafka's errors, by name."""
KafkaError: type[Exception] = failures.KafkaError

_CLASSES: Mapping[str, type[Error]] = {
    "TopicAuthorizationFailedError": PermissionDenied,
    "GroupAuthorizationFailedError": PermissionDenied,
    "ClusterAuthorizationFailedError": PermissionDenied,
    "TransactionalIdAuthorizationFailed": PermissionDenied,
    "SaslAuthenticationFailed": Unauthenticated,
    "UnsupportedSaslMechanismError": Unauthenticated,
    "IllegalSaslStateError": Unauthenticated,
    "UnknownTopicOrPartitionError": NotFound,
    "MessageSizeTooLargeError": InvalidArgument,
    "RecordListTooLargeError": InvalidArgument,
    "InvalidTopicError": InvalidArgument,
    "InvalidPartitionsError": InvalidArgument,
    "InvalidReplicationFactorError": FailedPrecondition,
    "InvalidConfigurationError": InvalidArgument,
    "InvalidGroupIdError": InvalidArgument,
    "InvalidSessionTimeoutError": FailedPrecondition,
    "InconsistentGroupProtocolError": FailedPrecondition,
    "PolicyViolationError": FailedPrecondition,
    "UnsupportedVersionError": FailedPrecondition,
    "UnsupportedCodecError": FailedPrecondition,
    "CommitFailedError": Aborted,
    "IllegalStateError": Aborted,
    "IllegalGenerationError": Aborted,
    "RebalanceInProgressError": Aborted,
    "UnknownMemberIdError": Aborted,
}
_ADVICE: Mapping[str, str] = {
    "CommitFailedError": "the group has given its partitions to others",
    "TopicAuthorizationFailedError": "its ACLs do not let this client: docs/kafka.md says which it needs",
    "GroupAuthorizationFailedError": "its ACLs do not let this client into the group: it needs Read on it",
    "ClusterAuthorizationFailedError": "its ACLs do not let this client: it needs Create, or topics that are there",
    "SaslAuthenticationFailed": "it does not accept this user and password",
    "UnsupportedSaslMechanismError": "it does not offer what sasl= names",
    "NotEnoughReplicasError": "fewer replicas are in sync than the topic's min.insync.replicas",
    "NotEnoughReplicasAfterAppendError": "fewer replicas are in sync than the topic's min.insync.replicas",
    "InvalidReplicationFactorError": "it has fewer brokers than replication= of the address asks for, or else its own "
    "default.replication.factor",
    "InvalidSessionTimeoutError": "session= is outside of its group.min.session.timeout.ms and group.max.session.timeout.ms",
    "InconsistentGroupProtocolError": "members of this group share partitions out in another way: try assignor=range",
}


class _NoSecrets(logging.Filter):
    """Drops log entries of aiokafka with passwords, which it writes at the level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(type(each).__name__.startswith("SaslAuthenticate") for each in record.args or ())


_NO_SECRETS = _NoSecrets()


def connection_options(address: KafkaAddress, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Returns the arguments with which every aiokafka client of an address is made."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(address.servers),
        "client_id": address.client_id,
        "security_protocol": address.protocol,
        "ssl_context": tls,
        "metadata_max_age_ms": int(METADATA_AGE * 1000),
    }
    if address.sasl:
        options |= {
            "sasl_mechanism": address.sasl,
            "sasl_plain_username": address.user,
            "sasl_plain_password": address.password,
        }
    return options


def error_of(failure: BaseException, doing: str, *, may_have_run: bool = True) -> Error:
    """Returns our error for one of aiokafka's, or of the system's.

    Args:
        failure: what was raised.
        doing: what failed, such as ``"Kafka at localhost:9092 did not accept a message for orders"``.
        may_have_run: whether it may have had its effect all the same.
    """
    name = type(failure).__name__
    text = str(failure).strip()
    for own in (name, f"[Error {getattr(failure, 'errno', '')}] {name}: "):
        text = text.removeprefix(own).strip()
    reason = _ADVICE.get(name) or (f"{name}: {text}" if text and text != name else name)
    kind = _CLASSES.get(name)
    if kind is None:
        passes = isinstance(failure, OSError | TimeoutError) or bool(getattr(failure, "retriable", False))
        kind = Unavailable if passes or name in ("ProducerClosed", "ConsumerStoppedError") else Internal
    return kind(f"{doing}: {reason}", may_have_run=may_have_run)


def reason_of(failure: Any) -> str:
    """Returns what a broker answers, with Kafka's own name of the error."""
    name = str(getattr(failure, "message", "") or type(failure).__name__)
    advice = _ADVICE.get(type(failure).__name__)
    return f"{name} ({advice})" if advice else name


class Cluster:
    """Requests to the cluster itself, over connections of their own.

    Args:
        address: where it is.
    """

    def __init__(self, address: KafkaAddress) -> None:
        self.address = address
        self.tls: ssl.SSLContext | None = None
        self.timeout = min(address.timeout, REQUEST_TIMEOUT)
        self._client: Any = None
        self._questions: OrderedSet[asyncio.Task[Any]] = OrderedSet()

    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: no broker answers, and why.
            Unauthenticated: the user is not known, or the password is wrong.
            FailedPrecondition: a TLS file cannot be used.
        """
        self.tls = await asyncio.to_thread(_tls, self.address)
        quieten("aiokafka", logging.CRITICAL)  # Our own errors and warnings cover what matters.
        logging.getLogger("aiokafka.conn").addFilter(_NO_SECRETS)  # Adding it again has no effect.
        options = connection_options(self.address, self.tls) | {"request_timeout_ms": int(self.timeout * 1000)}
        client = _library.client.AIOKafkaClient(**options)
        try:
            await client.bootstrap()
        except KafkaError as failure:
            await client.close()
            raise await self._why(options) from failure
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def close(self) -> None:
        """Disconnects; requests without an answer raise ``Unavailable``."""
        client, self._client = self._client, None
        if self._questions:
            for task in self._questions:
                task.cancel()
            await asyncio.wait(self._questions)
        if client is not None:
            try:
                await client.close()
            finally:
                abandon(client)

    async def partitions_of_new(self, topics: Collection[str]) -> dict[str, int | Error]:
        """Does what ``partitions`` does, and repeats the request for a while for topics that may have been made just now.

        Raises:
            Unavailable: no broker answers.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + min(APPEARS, self.address.timeout)
        found = await self.partitions(topics)
        while any(isinstance(each, NotFound) for each in found.values()) and clock() < until:
            await asyncio.sleep(SETTLE)
            found = await self.partitions(topics)
        return found

    async def partitions(self, topics: Collection[str]) -> dict[str, int | Error]:
        """Returns how many partitions each topic has, or the error why that is not known; creates no topic.

        Raises:
            Unavailable: no broker answers.
        """
        # aiokafka's own request would let a broker create missing topics, if it is configured so.
        answer = await self._ask(_library.protocol.metadata.MetadataRequest(list(topics), False))
        found: dict[str, int | Error] = {topic: not_there(topic) for topic in topics}
        for topic in answer.to_object()["topics"]:
            name, code = cast("str", topic["topic"]), topic["error_code"]
            failure = failures.for_code(code)
            if failure is failures.NoError or failure is failures.LeaderNotAvailableError:
                if topic["partitions"]:
                    found[name] = len(topic["partitions"])
                    # A client without topics requests the metadata of all topics of the cluster.
                    self._open_client().add_topic(name)
            elif failure is not failures.UnknownTopicOrPartitionError:
                found[name] = error_of(failure(), f"Kafka at {self.address.place}, topic {name}", may_have_run=False)
        return found

    async def make(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics, and returns when they can be used.

        Raises:
            PermissionDenied: this client may not make them.
            InvalidArgument: the cluster does not take such a topic.
            FailedPrecondition: it has fewer brokers than replicas are asked for, or its policy forbids it.
            Unavailable: it does not answer, or not in time.
        """
        largest = {name: await self._largest(options) for name, options in topics.items()}
        try:
            await self._make(topics, largest)
        except (InvalidArgument, FailedPrecondition) as error:
            if not any(largest.values()):
                raise
            _log.warning("making %s without a larger max.message.bytes: %s", ", ".join(topics), error)
            # The cluster may not allow a topic larger messages than its default; then small dead letters are better than none.
            await self._make(topics, {})
        try:
            async with asyncio.timeout(self.address.timeout):
                while any(  # noqa: ASYNC110 - what it waits for happens elsewhere
                    isinstance(each, Error) for each in (await self.partitions(topics)).values()
                ):
                    await asyncio.sleep(SETTLE)
        except TimeoutError:
            raise Unavailable(
                f"Kafka at {self.address.place} made {', '.join(topics)}, and did not show it in {self.address.timeout:g} s: try again"
            ) from None
        if self.address.replication is None:
            await self._warn_of_one_replica(topics)

    async def _make(self, topics: Mapping[str, TopicOptions], largest: Mapping[str, int | None]) -> None:
        requests = [self._topic(name, options, largest.get(name)) for name, options in topics.items()]
        answer = await self._ask(self._creation(requests), controller=True)
        for name, code, *rest in answer.topic_errors:
            failure = failures.for_code(code)
            if failure is failures.NoError or failure is failures.TopicAlreadyExistsError:
                continue
            reason = rest[0] if rest and rest[0] else ""
            raise error_of(failure(reason), f"Kafka at {self.address.place} did not make topic {name}")

    async def _warn_of_one_replica(self, topics: Collection[str]) -> None:
        """Logs which of these topics have one replica although the cluster has several brokers: that is Kafka's own default."""
        if len(self._open_client().cluster.brokers()) < 2:
            return
        answer = await self._ask(_library.protocol.metadata.MetadataRequest(list(topics), False))
        alone = [
            cast("str", topic["topic"])
            for topic in answer.to_object()["topics"]
            if any(len(partition["replicas"]) < 2 for partition in topic["partitions"])
        ]
        if alone:
            _log.warning(
                "%s: each partition is on one broker alone, because default.replication.factor of the cluster is 1; raise it, or set "
                "replication= in the address",
                ", ".join(sorted(alone)),
            )

    def _creation(self, topics: list[tuple[Any, ...]]) -> Any:
        """Returns the request that makes topics; for a cluster that cannot apply its own default, with a number of replicas."""
        admin = _library.protocol.admin
        request: Any = admin.CreateTopicsRequest(topics, int(self.timeout * 1000), False)
        prepare = request.prepare

        def prepare_newer(versions: Mapping[int, tuple[int, int]]) -> Any:
            lowest, highest = versions.get(request.API_KEY, (0, 0))
            if lowest <= CLUSTER_DEFAULT_FROM <= highest:
                # aiokafka has no such version, which differs from the one before only in what it allows.
                newer = {"API_VERSION": CLUSTER_DEFAULT_FROM}
                return request.build(type("CreateTopicsRequest", (admin.CreateTopicsRequest_v3,), newer))
            replicas = min(MOST_REPLICAS, max(len(self._open_client().cluster.brokers()), 1))
            request.create_topic_requests = [
                (name, partitions, replicas if asked == CLUSTER_DEFAULT else asked, *rest)
                for name, partitions, asked, *rest in topics
            ]
            return prepare(versions)

        request.prepare = prepare_newer
        return request

    async def retention(self, topics: Collection[str]) -> dict[str, float]:
        """Returns for how many seconds the records of topics are kept; leaves out topics whose configuration this client may not see.

        Raises:
            Unavailable: no broker answers.
        """
        if not topics:
            return {}
        asked = [(_TOPIC, topic, [_RETENTION]) for topic in sorted(topics)]
        answer = await self._ask(_library.protocol.admin.DescribeConfigsRequest(asked))
        found: dict[str, float] = {}
        for _, _, _, topic, entries in answer.resources:  # Without the right to see them, no entries.
            for name, value, *_ in entries:
                if name == _RETENTION and (milliseconds := whole(value)) is not None:  # -1 means for ever.
                    found[topic] = milliseconds / 1000
        return found

    async def leave(self, group: str, member: str) -> None:
        """Removes a member from its group.

        Raises:
            Unavailable: the coordinator does not answer.
        """
        client = self._open_client()

        async def say() -> None:
            node = await client.coordinator_lookup(_library.client.CoordinationType.GROUP, group)
            await client.send(node, _library.protocol.group.LeaveGroupRequest(group, member))

        try:
            await self._run(say())
        except (KafkaError, OSError, TimeoutError) as failure:
            raise error_of(failure, f"Kafka at {self.address.place}, leaving group {group}") from failure

    async def ask_coordinator(self, group: str, request: Any) -> Any:
        """Asks the broker that keeps a group.

        Raises:
            PermissionDenied: this client may not see the group.
            Unavailable: it cannot be found, or does not answer.
        """
        client = self._open_client()

        async def ask() -> Any:
            node = await client.coordinator_lookup(_library.client.CoordinationType.GROUP, group)
            return await client.send(node, request)

        try:
            return await self._run(ask())
        except (KafkaError, OSError, TimeoutError) as failure:
            raise error_of(failure, f"Kafka at {self.address.place}, group {group}", may_have_run=False) from failure

    async def _ask(self, request: Any, *, controller: bool = False) -> Any:
        return await self._run(self._answer(self._open_client(), request, controller))

    async def _run(self, question: Coroutine[Any, Any, Any]) -> Any:
        """Awaits an answer, until ``close`` cancels it: a client of aiokafka that is closed does not end its requests."""
        task = asyncio.create_task(question)
        observed(task)
        self._questions.add(task)
        try:
            await asyncio.wait((task,))
        finally:
            self._questions.discard(task)
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            raise Unavailable(f"Kafka at {self.address.place}: it was closed before it answered", may_have_run=False)
        return task.result()

    async def _answer(self, client: Any, request: Any, controller: bool) -> Any:
        failure: BaseException | None = None
        for _ in range(2):
            nodes = await self._brokers(client)
            shuffle(nodes)
            first = client.cluster.controller if controller else None
            if first is not None and first.nodeId in nodes:
                nodes.remove(first.nodeId)
                nodes.insert(0, first.nodeId)
            for node in nodes:
                try:
                    return await client.send(node, request)
                except (KafkaError, OSError, TimeoutError) as raised:
                    failure = raised
            if isinstance(failure, failures.RequestTimedOutError):
                break
            # A connection may have broken while it was idle, and brokers may have moved.
            await client.force_metadata_update()
        assert failure is not None  # noqa: S101  # for type checkers: a loop that ends has failed
        raise error_of(failure, f"Kafka at {self.address.place} does not answer", may_have_run=False) from failure

    async def _brokers(self, client: Any) -> list[int]:
        """Returns the ids of the brokers; waits for the first one, because a cluster that is starting answers before it knows any.

        Raises:
            Unavailable: it knows none within ``timeout=``.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        while not (nodes := [int(broker.nodeId) for broker in client.cluster.brokers()]):
            if loop.time() > deadline:
                raise Unavailable(f"Kafka at {self.address.place} has no brokers; is it starting?", may_have_run=False)
            await asyncio.sleep(NO_BROKERS)
            await client.force_metadata_update()
        return nodes

    async def _largest(self, options: TopicOptions) -> int | None:
        """Returns how many bytes a message of a topic must be able to have. Returns None for the cluster's default."""
        if not options.holds:
            return None
        asked = _library.protocol.admin.DescribeConfigsRequest([(_TOPIC, options.holds, [_LARGEST])])
        largest = self.address.max_message
        for _, _, _, _, entries in (await self._ask(asked)).resources:  # Without the right to see them, no entries.
            largest = max([largest, *(whole(value) or 0 for name, value, *_ in entries if name == _LARGEST)])
        return largest + HEADERS

    def _topic(self, name: str, options: TopicOptions, largest: int | None) -> tuple[Any, ...]:
        partitions = options.partitions or self.address.partitions or DEFAULT_PARTITIONS
        replication = self.address.replication or CLUSTER_DEFAULT
        config: list[tuple[str, str]] = []
        if options.retention is not None:
            config.append(("retention.ms", str(int(options.retention * 1000))))
        if largest is not None:
            config.append((_LARGEST, str(largest)))
        return (name, partitions, replication, [], config)

    async def _why(self, options: Mapping[str, Any]) -> Error:
        """Returns why no broker could be connected to; aiokafka only logs the reason."""
        doing = f"Kafka cannot be reached at {self.address.place}"
        for host, port, _ in _library.conn.collect_hosts(options["bootstrap_servers"]):
            given = {name: value for name, value in options.items() if name.startswith(("sasl", "security", "ssl"))}
            try:
                connection = await _library.conn.create_conn(
                    host, port, client_id=self.address.client_id, request_timeout_ms=int(self.timeout * 1000), **given
                )
            except (KafkaError, OSError, TimeoutError) as failure:
                error = error_of(failure, doing, may_have_run=False)
                return error if isinstance(error, Unauthenticated) else _unreachable(doing, failure)
            await connection.close()
        return Unavailable(f"{doing}: its brokers do not answer", may_have_run=False)

    def _open_client(self) -> Any:
        if self._client is None:
            raise FailedPrecondition(f"the broker Kafka at {self.address.place} is not open")
        return self._client


def _unreachable(doing: str, failure: BaseException) -> Unavailable:
    hint = "start it, or name another one in MICRO_BROKER"
    if isinstance(failure, ssl.SSLError):
        hint = "does it speak TLS there, and is its certificate of an authority that ca= names?"
    number = getattr(failure, "errno", None)
    # asyncio's text repeats the address, and does not always name the reason.
    plain = isinstance(number, int) and number > 0 and not isinstance(failure, ssl.SSLError)
    reason = os.strerror(cast("int", number)) if plain else str(failure) or type(failure).__name__
    return Unavailable(f"{doing}: {reason}; {hint}", may_have_run=False)


def _tls(address: KafkaAddress) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    return client_context(
        f"Kafka at {address.place}", ca=address.ca, cert=address.cert, key=address.key, verify=address.verify
    )


def keeping(work: Callable[..., Coroutine[Any, Any, T]], tasks: OrderedSet[asyncio.Task[Any]]) -> Any:
    """Returns a coroutine function that does the same and keeps a reference to its task: aiokafka loses some, with their exceptions.

    Args:
        work: what the task runs.
        tasks: holds the task for as long as it runs.
    """

    async def kept(*arguments: Any) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for type checkers: this runs in a task
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        observed(task)
        return await work(*arguments)

    return kept


def abandon(client: Any, *tasks: asyncio.Future[Any] | None) -> None:
    """Ends a client of aiokafka without waiting, and retrieves all exceptions so that asyncio logs none.

    Args:
        client: an ``AIOKafkaClient``.
        tasks: tasks that still use it.
    """
    for task in (*tasks, client._sync_task):
        if task is not None:
            observed(task)
            task.cancel()
    for connection in list(client._conns.values()):
        for _, _, answer in connection._requests:
            observed(answer)
        connection.close()


async def end_task(task: asyncio.Task[Any] | None, within: float = STOP) -> None:
    """Ends a task and retrieves its exception; abandons a task that does not end.

    One cancellation is not enough: aiokafka swallows one that arrives while it waits for a heartbeat to end.

    Args:
        task: what to end; None for nothing.
        within: seconds until it is abandoned.
    """
    if task is None:
        return
    clock = asyncio.get_running_loop().time
    until = clock() + within
    while not task.done() and clock() < until:
        task.cancel()
        await asyncio.wait([task], timeout=min(CANCEL_AGAIN, within))
    if not task.done():
        _log.error("%s still runs after %g s of cancelling it", task.get_name(), within)
    elif not task.cancelled():
        task.exception()
