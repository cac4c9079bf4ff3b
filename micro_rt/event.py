"""What a .proto file says of its events, as the generated stubs hand it to the runtime."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Event", "EventsInfo"]

EventT = TypeVar("EventT")


@dataclass(frozen=True, eq=False)
class Event(Generic[EventT]):
    """One event: a message with ``option (micro.event)``. Compared and hashed by identity: there is one object per event.

    Attributes:
        name: full proto name of the message: ``"orders.OrderPlaced"``.
        python_name: name of the method that publishes or handles it: ``"order_placed"``.
        topic: where it is published: ``"orders.placed"``.
        message_type: class of the message.
        key: name in Python of the field whose value orders events, ``"order_id"``; of a field of a field
            ``"order.id"``; empty if events are not ordered.
        version: of the schema, as the .proto says; empty if it does not.
        retention: seconds that records are to be kept, as a hint for who creates the topic; None if nothing is said.
        partitions: into how many parts the topic is to be divided, as a hint; None if nothing is said.
        type: what travels as its type, as the .proto says; else its name. Subscribers understand its name too.
    """

    name: str
    python_name: str
    topic: str
    message_type: builtins.type[EventT]
    key: str = ""
    version: str = ""
    retention: float | None = None
    partitions: int | None = None
    type: str = ""

    def __post_init__(self) -> None:
        if not self.type:
            object.__setattr__(self, "type", self.name)


@dataclass(frozen=True, eq=False)
class EventsInfo:
    """The events of one .proto file."""

    name: str
    """Its path: ``"shop/orders.proto"``."""
    events: tuple[Event[Any], ...]
