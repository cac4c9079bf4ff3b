"""Events of torture/events.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from builtins import bytes as _bytes_
from builtins import list as _list_
from builtins import str as _str_
from collections.abc import Iterable as Iterable_
from datetime import datetime as datetime_

import micro_rt as _micro

from .events_pb2 import (
    AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt,
    Datetime,
    EventsPublisher as _EventsPublisher,
    Everything,
    Import,
    Iterable,
    Order,
    OrderPlaced as _OrderPlaced,
    PublishAll,
    Publisher,
    Tombstone,
    _Hidden,
    annotations as _annotations,
    bytes as _bytes,
    list as _list,
    publish_all_ as _publish_all_,
    str as _str,
)

__all__ = ["EventsPublisher", "EventsSubscriberBase"]

_STR = _micro.Event("torture.events.str", "str", "torture", _str, key="from")
_BYTES = _micro.Event("torture.events.bytes", "bytes", "torture", _bytes, key="class.import")
_LIST = _micro.Event("torture.events.list", "list", "torture", _list)
_DATETIME = _micro.Event("torture.events.Datetime", "datetime", "torture", Datetime)
_ITERABLE = _micro.Event("torture.events.Iterable", "iterable", "torture", Iterable)
_PUBLISH_ALL_ = _micro.Event("torture.events.PublishAll", "publish_all_", "torture", PublishAll)
_PUBLISH_ALL__ = _micro.Event("torture.events.publish_all_", "publish_all__", "torture", _publish_all_)
_TOMBSTONE_ = _micro.Event("torture.events.Tombstone", "tombstone_", "torture", Tombstone)
_EVENT_HIDDEN = _micro.Event("torture.events._Hidden", "event_hidden", "torture", _Hidden)
_IMPORT_ = _micro.Event("torture.events.Import", "import_", "torture", Import)
_ANNOTATIONS = _micro.Event("torture.events.annotations", "annotations", "torture", _annotations)
_EVENTS_PUBLISHER = _micro.Event("torture.events.EventsPublisher", "events_publisher", "torture", _EventsPublisher)
_PUBLISHER = _micro.Event("torture.events.Publisher", "publisher", "torture", Publisher)
_ORDER_PLACED = _micro.Event("torture.events.Order.Placed", "Order_Placed", "torture", Order.Placed)
_ORDER_IMPORT = _micro.Event("torture.events.Order.Import", "order_import", "torture", Order.Import)
_ORDER_PLACED_ = _micro.Event("torture.events.OrderPlaced", "OrderPlaced", "torture", _OrderPlaced)
_AN_EVENT_WITH_A_NAME_THAT_IS_SO_LONG_THAT_HARDLY_ANYTHING_FITS_INTO_A_LINE_OF_A_HUNDRED_AND_TWENTY_WITH_IT = (
    _micro.Event(
        "torture.events.AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt",
        "an_event_with_a_name_that_is_so_long_that_hardly_anything_fits_into_a_line_of_a_hundred_and_twenty_with_it",
        "torture.events.with.names.that.are.so.long.that.hardly.anything.fits.into.a.line_with-them",
        AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt,
        key="a_field_with_a_name_that_is_so_long_that_it_takes_a_line_of_its_own",
        version="1.0.0-alpha.with.many.identifiers",
        retention=31536000.0,
        partitions=100,
    )
)
_EVERYTHING = _micro.Event("torture.events.Everything", "everything", "torture.everything", Everything, key="kind")
_EVENTS_EVENTS_ = _micro.EventsInfo(
    "torture/events.proto",
    (
        _STR,
        _BYTES,
        _LIST,
        _DATETIME,
        _ITERABLE,
        _PUBLISH_ALL_,
        _PUBLISH_ALL__,
        _TOMBSTONE_,
        _EVENT_HIDDEN,
        _IMPORT_,
        _ANNOTATIONS,
        _EVENTS_PUBLISHER,
        _PUBLISHER,
        _ORDER_PLACED,
        _ORDER_IMPORT,
        _ORDER_PLACED_,
        _AN_EVENT_WITH_A_NAME_THAT_IS_SO_LONG_THAT_HARDLY_ANYTHING_FITS_INTO_A_LINE_OF_A_HUNDRED_AND_TWENTY_WITH_IT,
        _EVERYTHING,
    ),
)


class EventsPublisher(_micro.Publisher):
    """Publishes the events of torture/events.proto."""

    _info_ = _EVENTS_EVENTS_

    async def str(
        self,
        event: _str,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Events called like what the generated code uses."""
        return await self._publish(_STR, event, key, headers, time, timeout)

    async def bytes(
        self,
        event: _bytes,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_BYTES, event, key, headers, time, timeout)

    async def list(
        self,
        event: _list,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_LIST, event, key, headers, time, timeout)

    async def datetime(
        self,
        event: Datetime,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_DATETIME, event, key, headers, time, timeout)

    async def iterable(
        self,
        event: Iterable,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_ITERABLE, event, key, headers, time, timeout)

    async def publish_all_(
        self,
        event: PublishAll,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_PUBLISH_ALL_, event, key, headers, time, timeout)

    async def publish_all__(
        self,
        event: _publish_all_,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_PUBLISH_ALL__, event, key, headers, time, timeout)

    async def tombstone_(
        self,
        event: Tombstone,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_TOMBSTONE_, event, key, headers, time, timeout)

    async def event_hidden(
        self,
        event: _Hidden,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_EVENT_HIDDEN, event, key, headers, time, timeout)

    async def import_(
        self,
        event: Import,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_IMPORT_, event, key, headers, time, timeout)

    async def annotations(
        self,
        event: _annotations,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_ANNOTATIONS, event, key, headers, time, timeout)

    async def events_publisher(
        self,
        event: _EventsPublisher,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_EVENTS_PUBLISHER, event, key, headers, time, timeout)

    async def publisher(
        self,
        event: Publisher,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_PUBLISHER, event, key, headers, time, timeout)

    async def Order_Placed(
        self,
        event: Order.Placed,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_ORDER_PLACED, event, key, headers, time, timeout)

    async def order_import(
        self,
        event: Order.Import,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_ORDER_IMPORT, event, key, headers, time, timeout)

    async def OrderPlaced(
        self,
        event: _OrderPlaced,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        return await self._publish(_ORDER_PLACED_, event, key, headers, time, timeout)

    async def an_event_with_a_name_that_is_so_long_that_hardly_anything_fits_into_a_line_of_a_hundred_and_twenty_with_it(
        self,
        event: AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """An event with a name that is so long that hardly anything fits into a line of a hundred and twenty with it."""
        return await self._publish(
            _AN_EVENT_WITH_A_NAME_THAT_IS_SO_LONG_THAT_HARDLY_ANYTHING_FITS_INTO_A_LINE_OF_A_HUNDRED_AND_TWENTY_WITH_IT,
            event,
            key,
            headers,
            time,
            timeout,
        )

    async def everything(
        self,
        event: Everything,
        *,
        key: _str_ | _bytes_ | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime_ | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Everything that JSON has to write."""
        return await self._publish(_EVERYTHING, event, key, headers, time, timeout)

    async def publish_all(
        self,
        events: Iterable_[
            _str
            | _bytes
            | _list
            | Datetime
            | Iterable
            | PublishAll
            | _publish_all_
            | Tombstone
            | _Hidden
            | Import
            | _annotations
            | _EventsPublisher
            | Publisher
            | Order.Placed
            | Order.Import
            | _OrderPlaced
            | AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt
            | Everything
        ],
        *,
        headers: _micro.HeadersLike | None = None,
        timeout: float | None = None,
    ) -> _list_[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class EventsSubscriberBase(_micro.Subscriber):
    """Handles the events of torture/events.proto; a method that is left out is not subscribed."""

    _info_ = _EVENTS_EVENTS_

    async def str(self, event: _str, context: _micro.EventContext) -> None:
        """Events called like what the generated code uses."""
        raise self._not_subscribed(_STR)

    async def bytes(self, event: _bytes, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_BYTES)

    async def list(self, event: _list, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_LIST)

    async def datetime(self, event: Datetime, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_DATETIME)

    async def iterable(self, event: Iterable, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_ITERABLE)

    async def publish_all_(self, event: PublishAll, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_PUBLISH_ALL_)

    async def publish_all__(self, event: _publish_all_, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_PUBLISH_ALL__)

    async def tombstone_(self, event: Tombstone, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_TOMBSTONE_)

    async def event_hidden(self, event: _Hidden, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_EVENT_HIDDEN)

    async def import_(self, event: Import, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_IMPORT_)

    async def annotations(self, event: _annotations, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_ANNOTATIONS)

    async def events_publisher(self, event: _EventsPublisher, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_EVENTS_PUBLISHER)

    async def publisher(self, event: Publisher, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_PUBLISHER)

    async def Order_Placed(self, event: Order.Placed, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_ORDER_PLACED)

    async def order_import(self, event: Order.Import, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_ORDER_IMPORT)

    async def OrderPlaced(self, event: _OrderPlaced, context: _micro.EventContext) -> None:
        raise self._not_subscribed(_ORDER_PLACED_)

    async def an_event_with_a_name_that_is_so_long_that_hardly_anything_fits_into_a_line_of_a_hundred_and_twenty_with_it(
        self,
        event: AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt,
        context: _micro.EventContext,
    ) -> None:
        """An event with a name that is so long that hardly anything fits into a line of a hundred and twenty with it."""
        raise self._not_subscribed(
            _AN_EVENT_WITH_A_NAME_THAT_IS_SO_LONG_THAT_HARDLY_ANYTHING_FITS_INTO_A_LINE_OF_A_HUNDRED_AND_TWENTY_WITH_IT
        )

    async def everything(self, event: Everything, context: _micro.EventContext) -> None:
        """Everything that JSON has to write."""
        raise self._not_subscribed(_EVERYTHING)
