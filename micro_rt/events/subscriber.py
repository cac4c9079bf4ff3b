"""The base of every generated subscriber."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from micro_rt.codec.base import Codec
from micro_rt.codec.json_codec import JsonCodec
from micro_rt.errors import Unimplemented
from micro_rt.event import Event, EventsInfo
from micro_rt.events.context import EventContext
from micro_rt.interceptor import EventNext, ServerSide, chain_event
from micro_rt.kit.methods import misspelled, takes

__all__ = [
    "TOMBSTONES",
    "Route",
    "Subscriber",
    "by_type",
    "events_info",
    "left_out_of",
    "routes_of",
    "tombstone_routes_of",
    "types_of",
]

TOMBSTONES = "(tombstones)"
"""What a member announces, as if it were a type, that handles tombstones; no type of protobuf is called so."""


class Subscriber:
    """Handles events of one .proto file.

    Generated classes derive from it, and users from those: ``class Billing(OrdersSubscriberBase)``. A method that is left out is not subscribed to.
    """

    _info_: ClassVar[EventsInfo]

    async def tombstone(self, context: EventContext) -> None:
        """Handles a tombstone, a record without a value: what was published with ``context.key`` is deleted.

        It gets those of every topic that the subscriber reads, whichever type they say, in the order of their key. A subscriber
        that does not define it passes tombstones over.

        Args:
            context: what is known of it.
        """
        raise NotImplementedError

    def _not_subscribed(self, event: Event[Any]) -> Unimplemented:
        """What a method that was left out would raise; it is not called."""
        return Unimplemented(f"{type(self).__name__} does not define {event.python_name}(), so it does not subscribe")


class Route(NamedTuple):
    """One event with what handles it."""

    event: Event[Any]
    decode: Callable[[bytes], Any]
    """Reads the message from its binary form; raises ``ValueError``."""
    decode_json: Callable[[bytes], Any]
    """Reads the message from its JSON; raises ``ValueError``."""
    handle: EventNext


def events_info(subscriber: Subscriber) -> EventsInfo:
    """Returns what the .proto says of the events that a subscriber can handle.

    It is not a method, because every public name of a subscriber may be that of an event.
    """
    return subscriber._info_  # pyright: ignore[reportPrivateUsage]


def routes_of(subscriber: Subscriber, codec: Codec, interceptors: Sequence[ServerSide]) -> list[Route]:
    """Returns the events that a subscriber handles, those whose methods it defines.

    Raises:
        TypeError: it defines none, one that is not ``async def`` or takes other arguments, or one whose name is near that
            of an event that it leaves out; or it derives from the bases of several files.
    """
    generated = [cls for cls in type(subscriber).__mro__ if "_info_" in vars(cls)]
    if len(generated) > 1:
        names = " and ".join(cls.__name__ for cls in generated)
        raise TypeError(
            f"{type(subscriber).__name__} derives from {names}: make a subscriber for each of them, and subscribe both"
        )
    info = events_info(subscriber)
    routes: list[Route] = []
    missing: list[str] = []
    for event in info.events:
        method = getattr(type(subscriber), event.python_name)
        if method is getattr(generated[0], event.python_name):
            missing.append(event.python_name)
            continue
        if not inspect.iscoroutinefunction(inspect.unwrap(method)):
            raise TypeError(f"{type(subscriber).__name__}.{event.python_name}() must be written as `async def`")
        if not takes(getattr(subscriber, event.python_name), 2):
            raise TypeError(
                f"{type(subscriber).__name__}.{event.python_name}() must take two arguments, (event, context), after self"
            )
        handle = chain_event(interceptors, getattr(subscriber, event.python_name))
        routes.append(Route(event, codec.decoder(event.message_type), JsonCodec().decoder(event.message_type), handle))
    if type(subscriber).tombstone is Subscriber.tombstone:
        missing.append("tombstone")
    elif not inspect.iscoroutinefunction(inspect.unwrap(type(subscriber).tombstone)):
        raise TypeError(f"{type(subscriber).__name__}.tombstone() must be written as `async def`")
    elif not takes(subscriber.tombstone, 1):
        raise TypeError(f"{type(subscriber).__name__}.tombstone() must take one argument, (context), after self")
    for name, near in misspelled(type(subscriber), generated[0], missing):
        raise TypeError(
            f"{type(subscriber).__name__}.{name}() is not an event of {generated[0].__name__}; did you mean {near}()? "
            f"If it is a helper, call it _{name}()"
        )
    if not routes:
        names = ", ".join(f"{event.python_name}()" for event in info.events)
        raise TypeError(
            f"{type(subscriber).__name__} defines none of its methods, so it subscribes to nothing: {names}"
        )
    return routes


def tombstone_routes_of(
    subscriber: Subscriber, topics: Collection[str], interceptors: Sequence[ServerSide]
) -> dict[str, dict[str, Route]]:
    """Returns what handles the tombstones of each topic, by the type that they say; none if the subscriber handles none.

    The type is empty for tombstones that say none, and for those that say one which the .proto does not have.

    Args:
        subscriber: which ``routes_of`` has checked.
        topics: what it reads.
        interceptors: run around its methods.
    """
    if type(subscriber).tombstone is Subscriber.tombstone:
        return {}

    async def handle(_: Any, context: EventContext) -> None:
        await subscriber.tombstone(context)

    chain = chain_event(interceptors, handle)
    nameless = {topic: Event("", "tombstone", topic, type(None)) for topic in topics}
    return {
        topic: {
            name: Route(event, _nothing, _nothing, chain)
            for name, event in by_type(each for each in events if each.topic == topic).items()
        }
        for topic, events in ((topic, (nameless[topic], *events_info(subscriber).events)) for topic in topics)
    }


def by_type(events: Iterable[Event[Any]]) -> dict[str, Event[Any]]:
    """Returns events of one topic by what a record may call them: their types, and the names of those whose .proto gives a type."""
    known = list(events)
    found = {event.type: event for event in known}
    for event in known:
        found.setdefault(event.name, event)
    return found


def types_of(routes: Iterable[Route], tombstones: Collection[str]) -> dict[str, list[str]]:
    """Returns which types are handled, by topic, as members of a group announce them.

    Args:
        routes: the events that are handled.
        tombstones: the topics whose tombstones are handled.
    """
    types: dict[str, list[str]] = {topic: [TOMBSTONES] for topic in tombstones}
    for route in routes:
        types.setdefault(route.event.topic, []).extend(dict.fromkeys((route.event.type, route.event.name)))
    return types


def left_out_of(subscriber: Subscriber, routes: Iterable[Route]) -> dict[str, set[str]]:
    """Returns the types of each topic that the .proto has and the subscriber has no method for."""
    handled = {route.event for route in routes}
    left_out: dict[str, set[str]] = {}
    for event in events_info(subscriber).events:
        if event not in handled:
            left_out.setdefault(event.topic, set()).update((event.type, event.name))
    return left_out


def _nothing(data: bytes) -> None:
    """Returns the message of a tombstone, which has none."""
