"""The base of every generated publisher.

The rules that it keeps, and why:

- A publish returns when the broker has durably accepted the event, and raises otherwise. ``may_have_run`` says whether
  the event may be published all the same; it is False only if it certainly is not.
- The deadline is the earlier of the caller's timeout and the deadline of the call or event that this task serves. It
  covers the preparation of topics too. If it passes before the broker was asked, nothing is published, and the error
  says so.
- ``publish_all`` publishes in the given order and never stops in the middle: each event has an outcome of its own. If
  all fail in the same way, that error is raised itself; otherwise ``NotAllPublished`` holds the outcomes in the order
  of the events.
- With interceptors, each event goes through them by itself. Events of one key still go one after another, because their
  order would be lost otherwise; those of different keys go side by side.
- Topics are made before the first event, once for each broker that the service opens, not once for each event. One that is
  removed later is made again when an event is refused because of that, and the event is published once more.
- What depends only on the event (its type, its encoder, its key, its interceptors) is computed once, in
  ``_Outlet``. Publishing an event then encodes it, makes its headers and calls the broker.
- Ids are a random prefix of the publisher and a number: unique without a random number for each event. In a forked child,
  a publisher takes another prefix.
- A message of another type than the event's is refused by its class. The codec would encode it, and nobody could read
  it.
- ``time=`` is what the event says of itself, in ``ce_time``. The broker stamps the record with the time of acceptance: retention
  counts from there, whatever the event says.
- Headers that micro-rt writes itself (``ce_…``, ``micro-dead-…``, ``micro-published``, ``content-type``) are refused, not overwritten: two
  values of one name would mean something else to each reader.
- The trace of the call or event that is being served travels with each event, so that what follows from it can be seen. So does the
  metadata that the service lets flow. A header that is given with an event comes first, and alone.
- The envelope is the broker's choice, by its address; nothing else in this module depends on the broker.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, cast

from micro_rt.broker.base import Broker, Headers, OutgoingRecord, Position, TopicOptions
from micro_rt.codec.base import Codec
from micro_rt.codec.proto import ProtoCodec
from micro_rt.context import current_context
from micro_rt.errors import Aborted, DeadlineExceeded, Error, InvalidArgument, NotFound
from micro_rt.event import Event, EventsInfo
from micro_rt.events.context import Publishing
from micro_rt.events.envelope import PUBLISHED_HEADER, rfc3339, seal, seal_for_go_micro, seal_tombstone
from micro_rt.interceptor import ClientSide, PublishNext, chain_publish, checked
from micro_rt.kit.clock import wall_time
from micro_rt.kit.ids import NumberedIds
from micro_rt.logs import logger

__all__ = ["EventHost", "HeadersLike", "NotAllPublished", "Published", "Publisher", "checked_headers", "options_of"]

HeadersLike: TypeAlias = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""Headers of an event: names to text or bytes, or pairs of them. Names are lowered."""


class Published(NamedTuple):
    """An event that the broker has durably accepted."""

    id: str
    """What the publisher calls it: its ``ce_id``."""
    topic: str
    partition: int
    offset: int


class NotAllPublished(Aborted):
    """Some of the events that were published in one go were accepted, and some were not.

    Attributes:
        outcomes: for each event, in order, where it is or why it is nowhere.
    """

    outcomes: tuple[Published | Error, ...] = ()


class EventHost(Protocol):
    """What a publisher needs of the service that it is made from."""

    @property
    def name(self) -> str:
        """Who publishes."""
        ...

    @property
    def flow(self) -> Collection[str]:
        """The keys of the metadata that goes on from the call or event being served."""
        ...

    @property
    def client_interceptors(self) -> Sequence[ClientSide]:
        """What runs around everything that goes out."""
        ...

    async def broker(self) -> Broker:
        """Returns the broker, open; raises ``FailedPrecondition`` if the service is not started."""
        ...


class Publisher:
    """Publishes the events of one .proto file. Generated classes derive from it: ``OrdersPublisher(service)``.

    Args:
        service: whose broker and identity it uses; started before the first event. Publishing raises ``RuntimeError`` in
            another event loop than the service's, and in a forked child of its process.
        headers: that go with every event.
        interceptors: run around every event, inside those of the service.
    """

    _info_: ClassVar[EventsInfo]

    def __init__(
        self, service: EventHost, *, headers: HeadersLike = (), interceptors: Sequence[ClientSide] = ()
    ) -> None:
        if not hasattr(service, "client_interceptors"):
            raise TypeError(f"{type(self).__name__}({service!r}): the argument is a micro.Service")
        self._service = service
        self._headers = checked_headers(headers)
        self._source = service.name.encode()
        self._ids = NumberedIds()
        self._broker: Broker | None = None
        chain = (*service.client_interceptors, *checked(interceptors, ClientSide))
        codec = ProtoCodec()  # events say that they are protobuf, whatever the codec of calls
        self._outlets = {event: _Outlet(event, codec, chain) for event in self._info_.events}
        self._by_type = {event.message_type: outlet for event, outlet in self._outlets.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._service.name!r}>"

    async def tombstone(
        self,
        event: type[Any],
        *,
        key: str | bytes | int,
        headers: HeadersLike | None = None,
        timeout: float | None = None,
    ) -> Published:
        """Publishes a tombstone: it says that what was published with this key, to the topic of this event, is deleted.

        A tombstone is a record with a key and without a value. A compacted topic removes the earlier records of the key, of
        whichever type they are, and later the tombstone itself. Subscribers get it in their method ``tombstone``.

        Args:
            event: the class of an event of this file, whose topic and name the tombstone has: ``OrderPlaced``.
            key: what is deleted: the value that the key field of the event had.
            headers: that go with it.
            timeout: seconds until it must be accepted; None for no limit of its own.

        Raises:
            TypeError: the class is not an event of this file.
            Error: it was not accepted, as for every event.
        """
        outlet = self._by_type.get(event) if isinstance(cast("object", event), type) else None
        if outlet is None:
            known = ", ".join(each.message_type.__name__ for each in self._info_.events)
            raise TypeError(
                f"tombstone() takes the class of an event of {self._info_.name}, and {event!r} is not an event; "
                f"those are: {known}"
            )
        sent = self._headers if headers is None else self._headers + checked_headers(headers)
        try:
            return await self._publish_one((outlet.of_tombstones, None, _key(key), sent), None, _deadline(timeout))
        except Error as error:
            error.outgoing = True
            raise

    async def _publish(
        self,
        event: Event[Any],
        message: Any,
        key: str | bytes | None,
        headers: HeadersLike | None,
        time: datetime | None,
        timeout: float | None,
    ) -> Published:
        """Publishes one event."""
        outlet = self._outlets[event]
        sent = self._headers if headers is None else self._headers + checked_headers(headers)
        going = (outlet, message, outlet.key_of(message) if key is None else _key(key), sent)
        try:
            return await self._publish_one(going, _seconds(time), _deadline(timeout))
        except Error as error:
            error.outgoing = True
            raise

    async def _publish_all(
        self, messages: Iterable[Any], headers: HeadersLike | None, timeout: float | None
    ) -> list[Published]:
        """Publishes several events in one go, in order."""
        try:
            return await self._all_published(messages, headers, timeout)
        except Error as error:
            error.outgoing = True
            raise

    async def _all_published(
        self, messages: Iterable[Any], headers: HeadersLike | None, timeout: float | None
    ) -> list[Published]:
        deadline = _deadline(timeout)
        sent = self._headers if headers is None else self._headers + checked_headers(headers)
        batch: list[_Outgoing] = []
        for message in messages:
            outlet = self._outlet(message)
            batch.append((outlet, message, outlet.key_of(message), sent))
        if not batch:
            return []
        if any(outlet.proceed is not None for outlet in self._outlets.values()):
            outcomes = await self._publish_each(batch, deadline)
        else:
            outcomes = await self._send(batch, None, deadline)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Error)]
        if not failures:
            return cast("list[Published]", outcomes)
        if len(failures) == len(outcomes) and len({(failure.code, failure.may_have_run) for failure in failures}) == 1:
            raise failures[0]
        failed = NotAllPublished(
            f"{len(failures)} of {len(outcomes)} events were not published; the first of them: {failures[0]}",
            may_have_run=True,
        )
        failed.outcomes = tuple(outcomes)
        raise failed

    async def _publish_one(self, going: _Outgoing, when: float | None, deadline: float | None) -> Published:
        """Publishes one event, through the interceptors if there are any."""
        outlet, message, key, headers = going

        async def innermost(message: Any, publishing: Publishing) -> Published:
            (outcome,) = await self._send([(outlet, message, publishing.key, publishing.headers)], when, deadline)
            if isinstance(outcome, Error):
                raise outcome
            return outcome

        publishing = Publishing(outlet.event, key, headers, outlet.tombstone)
        if outlet.proceed is None:
            return await innermost(message, publishing)
        published: Published = await outlet.proceed(innermost)(message, publishing)
        return published

    async def _publish_each(self, batch: Sequence[_Outgoing], deadline: float | None) -> list[Published | Error]:
        """Publishes events with interceptors around each: those of one key one after the other, the others side by side."""
        lanes: dict[object, list[int]] = {}
        for number, (outlet, _, key, _) in enumerate(batch):
            lane = number if key is None else (outlet.event.topic, key)
            lanes.setdefault(lane, []).append(number)
        by_number: dict[int, Published | Exception] = {}

        async def publish(numbers: list[int]) -> None:
            for number in numbers:
                try:
                    by_number[number] = await self._publish_one(batch[number], None, deadline)
                except Exception as error:
                    by_number[number] = error

        await asyncio.gather(*map(publish, lanes.values()))
        outcomes: list[Published | Error] = []
        for number in range(len(batch)):
            outcome = by_number[number]
            if isinstance(outcome, Exception) and not isinstance(outcome, Error):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    def _outlet(self, message: Any) -> _Outlet:
        outlet = self._by_type.get(message.__class__)
        if outlet is None:
            known = ", ".join(event.message_type.__name__ for event in self._info_.events)
            raise TypeError(f"{type(message).__name__} is not an event of {self._info_.name}; those are: {known}")
        return outlet

    async def _send(
        self, batch: Sequence[_Outgoing], when: float | None, deadline: float | None
    ) -> list[Published | Error]:
        scope = current_context.get()
        flowing: Headers = ()
        if scope is not None:
            flowing = tuple([(name, _bytes(value)) for name, value in scope.flowing(self._service.flow).pairs])
            if scope.deadline is not None and (deadline is None or scope.deadline < deadline):
                deadline = scope.deadline
        begun = False
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                broker = await self._prepared()
                ids, records = self._seal(broker, batch, wall_time() if when is None else when, flowing)
                begun = True
                positions = await self._accepted(broker, records)
        except TimeoutError:
            if not limit.expired():
                raise
            what = batch[0][0].event.name if len(batch) == 1 else f"{len(batch)} events"
            raise DeadlineExceeded(
                f"{what}: not accepted before the deadline; may be published all the same"
                if begun
                else f"{what}: the broker was not ready before the deadline, so nothing is published",
                id="micro.deadline",
                may_have_run=begun,
            ) from None
        return [
            position if isinstance(position, Error) else Published(id, *position)
            for id, position in zip(ids, positions, strict=True)
        ]

    async def _prepared(self) -> Broker:
        """Returns the broker, with the topics of the events."""
        broker = await self._service.broker()
        if broker is not self._broker:
            await broker.prepare(options_of(self._info_.events))
            self._broker = broker
        return broker

    def _seal(
        self, broker: Broker, batch: Sequence[_Outgoing], when: float, flowing: Headers
    ) -> tuple[list[str], list[OutgoingRecord]]:
        """Returns the ids of events, and their records."""
        ids = self._ids.take(len(batch))
        records: list[OutgoingRecord] = []
        source, stamp = self._source, rfc3339(when)
        for id, (outlet, message, key, given) in zip(ids, batch, strict=True):
            names = {name for name, _ in given} if flowing else ()
            sent = (*given, *(pair for pair in flowing if pair[0] not in names))
            data = outlet.encode(message)
            headers = seal(outlet.type, id.encode(), source, stamp, sent)
            topic = outlet.event.topic
            if (
                outlet.tombstone
            ):  # go-micro's envelope is in the value, which a tombstone does not have: its headers stay outside.
                headers = seal_tombstone(outlet.type, id.encode(), source, stamp, sent)
                records.append(OutgoingRecord(topic, b"", key, headers, tombstone=True))
                continue
            if broker.envelope == "micro":
                data, headers = seal_for_go_micro(headers, data, topic), ()
            records.append(OutgoingRecord(topic, data, key, headers))
        return ids, records

    async def _accepted(self, broker: Broker, records: list[OutgoingRecord]) -> Any:
        try:
            outcomes = await broker.publish(records)
            if not any(isinstance(outcome, NotFound) for outcome in outcomes):
                return outcomes
            return await self._accepted_anew(broker, records, outcomes)
        except asyncio.CancelledError as error:
            error.add_note(f"{self!r}: what was being published may be there all the same")
            raise

    async def _accepted_anew(
        self, broker: Broker, records: list[OutgoingRecord], outcomes: list[Position | Error]
    ) -> list[Position | Error]:
        """Publishes again what was refused because its topic has been removed, if the topic can be made again."""
        numbers = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, NotFound)]
        gone = {records[number].topic for number in numbers}
        try:
            await broker.prepare({name: made for name, made in options_of(self._info_.events).items() if name in gone})
        except Error as error:
            _log.warning("%r cannot make %s again: %s", self, ", ".join(sorted(gone)), error)
            return outcomes
        _log.warning("%r: %s was removed, and is there again", self, ", ".join(sorted(gone)))
        again = await broker.publish([records[number] for number in numbers])
        for number, outcome in zip(numbers, again, strict=True):
            outcomes[number] = outcome
        return outcomes


class _Outlet:
    """One event of a publisher, with everything that does not depend on the message."""

    __slots__ = ("_encode", "_key", "event", "proceed", "type")

    tombstone = False
    """Whether it publishes tombstones of the event."""

    def __init__(self, event: Event[Any], codec: Codec, interceptors: Sequence[ClientSide]) -> None:
        self.event = event
        self.type = event.type.encode()
        self._encode = codec.encoder(event.message_type)
        self._key = attrgetter(event.key) if event.key else None
        self.proceed: Callable[[PublishNext], PublishNext] | None = chain_publish(interceptors)

    @property
    def of_tombstones(self) -> _Outlet:
        """The outlet of the event's tombstones."""
        return _TombstoneOutlet(self)

    def key_of(self, message: Any) -> bytes | None:
        """Returns what orders the event."""
        if message.__class__ is not self.event.message_type:
            raise TypeError(
                f"{self.event.python_name}() takes {self.event.message_type.__name__}, not {type(message).__name__}"
            )
        if self._key is None:
            return None
        value = self._key(message)
        return b"" if value is None else _key(value)  # as an optional field that is not set is in the other dialect

    def encode(self, message: Any) -> bytes:
        """Encodes the message."""
        try:
            return self._encode(message)
        except Exception as error:
            raise InvalidArgument(f"{self.event.name} cannot be encoded: {error}", may_have_run=False) from error


class _TombstoneOutlet(_Outlet):
    """The tombstones of one event: they have its topic, its name and its interceptors, and no message."""

    __slots__ = ()

    tombstone = True

    def __init__(self, outlet: _Outlet) -> None:
        self.event, self.type, self.proceed = outlet.event, outlet.type, outlet.proceed

    def encode(self, message: Any) -> bytes:
        """Returns nothing."""
        return b""


_Outgoing: TypeAlias = tuple[_Outlet, Any, bytes | None, Headers]
"""An event on its way: with what it is published, the message, its key and its headers."""


def options_of(events: Iterable[Event[Any]]) -> dict[str, TopicOptions]:
    """Returns how the topics of events are to be made: where several events say something of one, the most."""
    options: dict[str, TopicOptions] = {}
    for event in events:
        known = options.get(event.topic, TopicOptions())
        options[event.topic] = TopicOptions(
            max(filter(None, (known.partitions, event.partitions)), default=None),
            max(filter(None, (known.retention, event.retention)), default=None),
        )
    return options


def checked_headers(headers: HeadersLike) -> Headers:
    """Returns headers as they travel: names in lower case, and values as bytes.

    Raises:
        ValueError: a name that cannot travel, or that micro-rt writes itself.
    """
    pairs = cast("Iterable[tuple[str, str | bytes]]", headers.items() if isinstance(headers, Mapping) else headers)
    checked: list[tuple[str, bytes]] = []
    for name, value in pairs:
        lowered = name.lower()
        if not _NAME(lowered):
            raise ValueError(f"header {name!r}: only letters, digits, '_', '.' and '-' are allowed")
        if lowered.startswith(("ce_", "micro-dead-")) or lowered in ("content-type", PUBLISHED_HEADER):
            raise ValueError(f"header {name!r} is written by micro-rt itself; choose another name")
        checked.append((lowered, _bytes(value)))
    return tuple(checked)


def _key(value: object) -> bytes:
    """A key as bytes: text as UTF-8, numbers as decimal text."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else str(int(cast("int", value))).encode()


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


def _seconds(when: datetime | None) -> float | None:
    if when is None:
        return None
    if when.tzinfo is None:
        raise ValueError(f"time={when!r} does not say its time zone: datetime.now(UTC), for one, does")
    return when.timestamp()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


_log = logger("micro_rt.events")
_NAME = re.compile(r"[0-9a-z_.\-]+").fullmatch
