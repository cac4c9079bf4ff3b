"""Routing: which method of a subscriber handles a record that arrives, and what becomes of one that none handles.

The rules that it keeps, and why:

- The type of a record decides. A record that does not say its type is handled if its topic has a single event, and cannot be handled
  otherwise.
- A record of a type that this subscriber has no method for is passed over, counted, and logged once for its type, or becomes what
  ``on_unknown`` says. It is never passed over if another member of the group has announced that it handles the type.
- A tombstone is never handed to the handler of an event, which could not tell it from an event whose fields have their defaults.
  It goes to the subscriber's method for tombstones, or is passed over and counted.
- A replayed dead letter that is addressed to another group is passed over.
- A record that cannot be read, or cannot be handled by this member, keeps the reason (``unreadable``) and its place in line:
  ``failures`` decides about it when the records of its key before it are done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from micro_rt.events.dead_letter import GROUP_HEADER
from micro_rt.events.envelope import Envelope, open_envelope
from micro_rt.events.framing import reads_framed
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.progress import PartitionProgress, PendingRecord, error_text
from micro_rt.events.subscriber import TOMBSTONES, Route, by_type
from micro_rt.logs import logger

__all__ = ["LONGEST_TYPE", "MOST_LOGGED", "Routing"]

MOST_LOGGED = 100
"""Types of which it is logged that they are passed over; further ones are only counted."""
LONGEST_TYPE = 200
"""Characters of a type that are shown and kept."""

_log = logger("micro_rt.events")


class Routing:
    """The routes of one subscription.

    Args:
        routes: the events that are handled.
        options: the group, and what becomes of unknown types.
        tombstones: what handles the tombstones of each topic, by the type that they say; empty if nothing does.
        left_out: the types of each topic that the .proto has and the subscriber has no method for.
        elsewhere: returns whether another member of the group handles a type of a topic, which this one does not.
        framed: whether values may be in the framing of a schema registry.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        options: DeliveryOptions,
        *,
        tombstones: Mapping[str, Mapping[str, Route]],
        left_out: Mapping[str, Collection[str]],
        elsewhere: Callable[[str, str], bool],
        framed: bool,
    ) -> None:
        self._options = options
        self._group = options.group.encode()
        self._tombstones = tombstones
        self._left_out = left_out
        self._handled_elsewhere = elsewhere
        self._logged: set[tuple[str, str]] = set()
        """The topics and types of which it is logged that they are passed over."""
        self._by_topic: dict[str, dict[str, Route]] = {}
        self._only: dict[str, Route] = {}
        """The routes of topics that have one: records there need not say their type."""
        if framed:
            routes = [
                route._replace(
                    decode=reads_framed(route.decode, json=False),
                    decode_json=reads_framed(route.decode_json, json=True),
                )
                for route in routes
            ]
        by_event = {route.event: route for route in routes}
        for topic in dict.fromkeys(route.event.topic for route in routes):
            named = by_type(event for event in by_event if event.topic == topic)
            self._by_topic[topic] = {name: by_event[event] for name, event in named.items()}
            if len(set(named.values())) == 1:
                self._only[topic] = next(iter(self._by_topic[topic].values()))
        self.usual: Mapping[str, Mapping[bytes, Route]] = {
            topic: {name.encode(): route for name, route in routes.items()} for topic, routes in self._by_topic.items()
        }
        """The routes of each topic, by what ``usual_type`` returns."""

    def find(self, pending: PendingRecord) -> bool:
        """Finds the route of a record, or the reason why it cannot be handled.

        Returns:
            Whether the record is to be lined up. Otherwise it is passed over, and done.
        """
        record, progress = pending.record, pending.progress
        routes = self._by_topic[record.topic]
        try:
            envelope = pending.envelope = open_envelope(record)
        except Exception as error:
            pending.unreadable = str(error) if isinstance(error, ValueError) else error_text(error)
            return True
        if record.tombstone:
            tombstones = self._tombstones.get(record.topic)
            if tombstones is not None:
                pending.route = tombstones.get(envelope.type) or tombstones[""]
        else:
            pending.route = routes.get(envelope.type) or self._route_without_type(routes, envelope, pending)
        for_group = envelope.headers.get(GROUP_HEADER)
        if for_group is not None and for_group != self._group:
            progress.skip(pending)  # replayed for another group
            return False
        if pending.route is not None or pending.unreadable:
            return True
        return self._meet_unknown(progress, pending, TOMBSTONES if record.tombstone else envelope.type)

    def passes_over(self, progress: PartitionProgress, type: bytes) -> bool:
        """Counts a record of a batch that is passed over; returns False if its type has not been met yet, or is another member's."""
        name = type.decode(errors="replace")
        if name not in progress.unknown or self._handled_elsewhere(progress.id.topic, name):
            return False
        progress.count_unknown(name)
        return True

    def _route_without_type(
        self, routes: Mapping[str, Route], envelope: Envelope, pending: PendingRecord
    ) -> Route | None:
        if envelope.type:
            return None
        only = self._only.get(pending.record.topic)
        if only is None:
            types = sorted({route.event.type for route in routes.values()})
            pending.unreadable = (
                f"it does not say its type (header ce_type), and {pending.record.topic} has several: {', '.join(types)}"
            )
        return only

    def _meet_unknown(self, progress: PartitionProgress, pending: PendingRecord, type: str) -> bool:
        """Decides what becomes of a record that this subscriber has no method for; returns whether it is to be lined up."""
        topic, options = pending.record.topic, self._options
        if self._handled_elsewhere(topic, type):
            # The partition goes to a member that handles it. What was read before that, or while no such member runs, is not passed over.
            pending.unreadable = (
                f"this member of group {options.group} has no method for {_shown(type)}, and another one has, or had "
                "a moment ago: there are members of several versions; replay it when one handles it again"
            )
            return True
        if pending.record.tombstone:
            progress.skip_tombstone(pending)
            return False
        if options.on_unknown == "skip" or type in self._left_out.get(topic, ()):
            type = type if len(type) <= LONGEST_TYPE else f"{type[:LONGEST_TYPE]}…"
            self._log_unknown(topic, type)
            progress.skip_unknown(pending, type)
            return False
        pending.on_failure = options.on_unknown
        pending.unreadable = f"its type {_shown(type)} is unknown: the .proto has no such event of {topic}"
        return True

    def _log_unknown(self, topic: str, type: str) -> None:
        """Logs once that a type is passed over."""
        group = self._options.group
        if (topic, type) in self._logged or len(self._logged) > MOST_LOGGED:
            return
        self._logged.add((topic, type))
        if len(self._logged) > MOST_LOGGED:
            _log.warning("group %s passes over further types, which are not logged any more", group)
        elif type in self._left_out.get(topic, ()):
            _log.info("group %s passes over %s of %s: its method is left out", group, _shown(type), topic)
        else:
            _log.warning(
                "group %s passes over events of %s: their type %s is unknown, the .proto has no such event; status() counts them",
                group,
                topic,
                _shown(type),
            )


def _shown(type: str) -> str:
    """Returns a type for a person; a publisher may have put anything there."""
    return ascii(type if len(type) <= LONGEST_TYPE + 1 else f"{type[:LONGEST_TYPE]}…")
