"""Whether a changed schema breaks consumers, and why: ``micro-rt events check``.

Records outlive the schema that they were written by, and consumers are updated at other times than publishers. So both
directions count: consumers with the old schema read new records, and consumers with the new one read old records.
What is compared: events (topic, key), and field by field the messages that they hold, as protobuf's binary encoding
("wire") and as its JSON mapping. A consumer skips fields that it does not know, in JSON too, as micro-rt does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from protoc_gen_micro.compatibility.comparable import (
    ComparableEnum,
    ComparableField,
    ComparableMessage,
    SchemaSet,
    SourceLocation,
)
from protoc_gen_micro.compatibility.effects import (
    RANGES,
    Effects,
    field_effects,
    message_like,
    type_effects,
    wire_form,
)
from protoc_gen_micro.compatibility.finding import DELIVERY, JSON, ORDER, WIRE, Finding
from protoc_gen_micro.schema.model import Event
from protoc_gen_micro.schema.names import json_name

__all__ = ["Finding", "compare"]

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_BOOLS = {"true": "1", "false": "0"}


def compare(old: SchemaSet, new: SchemaSet, *, everything: bool = False) -> list[Finding]:
    """Returns what has changed between two schemas, by file and line.

    Args:
        old: the schema that records were written by.
        new: the schema to be.
        everything: whether to compare all messages of the files, not only events and what they refer to.
    """
    comparison = _Comparison(old, new)
    for event in old.events.values():
        comparison.event(event)
    if everything:
        comparison.messages()
    comparison.referred()
    return sorted(set(comparison.findings), key=lambda found: (found.path, found.line, found.symbol, found.message))


class _Comparison:
    """Collects findings."""

    def __init__(self, old: SchemaSet, new: SchemaSet) -> None:
        self._old = old
        self._new = new
        self._pending: list[tuple[str, str]] = []
        self._compared: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def event(self, event: Event) -> None:
        """Compares an event with that of the same name; its message is compared later."""
        name = event.full_name
        before, after = self._old.message(name), self._new.message(name)
        new = self._new.events.get(name)
        if before is None:
            return
        if new is None and (renamed := self._of_type(event)) is not None:
            # It is found by its type, whatever its message is called.
            message = self._new.message(renamed.full_name)
            if message is not None:
                self._add(message.place, renamed.full_name, f"was {name}, and has kept its type {event.type}", [])
                new, after = renamed, message
        if new is None or after is None:
            gone = "event removed" if after is None else "is no event any more"
            self._add(before.place if after is None else after.place, name, gone + self._successor(event), [DELIVERY])
            if after is not None:
                self._refer(name, name)
            return
        if before.place.path != after.place.path:
            moved = f"moved from {before.place.path} to {after.place.path}, and so its Python module has"
            self._add(after.place, name, moved, [])
        if event.topic != new.topic:
            self._add(after.place, name, f"topic changed {event.topic} -> {new.topic}", [DELIVERY])
        if event.type != new.type:
            # Subscribers understand the full name in any case.
            for_old = [] if new.type == name else [DELIVERY]
            for_new = [] if event.type == new.full_name else [DELIVERY]
            self._add(after.place, name, f"type changed {event.type} -> {new.type}", [], for_old, for_new)
        same_field = self._path(before, event.key, self._old) == self._path(after, new.key, self._new)
        if event.key != new.key and not same_field:
            change = (
                f"key changed {event.key} -> {new.key}"
                if event.key and new.key
                else f"key {event.key} removed"
                if event.key
                else f"key {new.key} added, which old records do not have"
            )
            self._add(after.place, name, change, [ORDER])
        if event.partitions and new.partitions and event.partitions != new.partitions:
            hint = (
                f"partitions changed {event.partitions} -> {new.partitions}, a hint; changing a topic that is there mixes "
                "up the order of its keys"
            )
            self._add(after.place, name, hint, [])
        self._refer(name, after.full_name)

    def messages(self) -> None:
        """Compares all messages of the files."""
        for name in self._old.names:
            message = self._old.message(name)
            if message is not None and self._new.message(name) is None:
                if name not in self._old.events:
                    self._add(message.place, name, "message removed", [WIRE, JSON])
            else:
                self._refer(name, name)

    def referred(self) -> None:
        """Compares the messages and enums that were referred to."""
        while self._pending:
            old, new = self._pending.pop()
            messages = self._old.message(old), self._new.message(new)
            if messages[0] is not None and messages[1] is not None:
                self._message(messages[0], messages[1])
            enums = self._old.enum(old), self._new.enum(new)
            if enums[0] is not None and enums[1] is not None:
                self._enum(enums[0], enums[1])

    def _add(
        self,
        place: SourceLocation,
        symbol: str,
        message: str,
        both: Iterable[str],
        old: Iterable[str] = (),
        new: Iterable[str] = (),
    ) -> None:
        """Adds a finding.

        Args:
            place: where it is.
            symbol: what it is about.
            message: what has changed.
            both: what breaks for all consumers.
            old: what breaks for consumers with the old schema besides.
            new: what breaks for consumers with the new schema besides.
        """
        broken = set(both)
        for_old, for_new = (
            tuple(what for what in (WIRE, JSON, DELIVERY, ORDER) if what in broken | set(more)) for more in (old, new)
        )
        self.findings.append(Finding(place.path, place.line, symbol, message, for_old, for_new))

    def _refer(self, old: str, new: str) -> None:
        if (old, new) not in self._compared and not (old == new and old.startswith("google.protobuf.")):
            self._compared.add((old, new))
            self._pending.append((old, new))

    def _of_type(self, event: Event) -> Event | None:
        """Returns the event of the same topic and type that the old schema does not have; None if there is no such event."""
        for new in self._new.events.values():
            if (new.topic, new.type) == (event.topic, event.type) and new.full_name not in self._old.events:
                return new
        return None

    def _successor(self, event: Event) -> str:
        """Returns a question, where a new event looks like one that is gone."""
        from difflib import get_close_matches

        added = self._new.events.keys() - self._old.events.keys()
        short = {name.rpartition(".")[2]: name for name in sorted(added)}
        near = get_close_matches(event.full_name.rpartition(".")[2], short, n=1)
        return f" (is it {short[near[0]]} now? a record says its type by full name)" if near else ""

    def _path(self, message: ComparableMessage, key: str, schemas: SchemaSet) -> list[int]:
        """Returns the numbers of the fields that a key names: its value stays in place when a field is renamed."""
        numbers: list[int] = []
        inside: ComparableMessage | None = message
        for name in key.split(".") if key else ():
            field = next((field for field in inside.fields if field.name == name), None) if inside else None
            if field is None:
                break
            numbers.append(field.number)
            inside = schemas.message(field.type_name)
        return numbers

    def _message(self, old: ComparableMessage, new: ComparableMessage) -> None:
        by_number = {field.number: field for field in new.fields}
        pairs: list[tuple[ComparableField, ComparableField]] = []
        for field in old.fields:
            symbol = f"{new.full_name}.{field.name}"
            there, named = by_number.get(field.number), _named(field, new)
            if named is None and there is None:
                self._removed(field, new)
            elif named is None and there is not None and _named(there, old) is not None:
                # Its number went to a field that had another one; the finding of that field names it.
                self._removed(field, new)
            elif named is None or named is there:
                assert there is not None  # noqa: S101  # for type checkers: both None is ruled out above
                self._field(field, there, new.full_name, wire=True)
                pairs.append((field, there))
            else:
                taken = f", and {field.number} is now {there.name}" if there is not None else ""
                self._add(named.place, symbol, f"number changed {field.number} -> {named.number}{taken}", [WIRE])
                self._field(field, named, new.full_name, wire=False)
                pairs.append((field, named))
        before, after = {one.number for one, _ in pairs}, {other.number for _, other in pairs}
        removed = [field for field in old.fields if field.number not in before]
        for field in new.fields:
            if field.number not in after:
                self._added(field, old, new)
                self._json_name_taken(field, old, removed, new)
        self._oneofs(pairs, new)
        self._freed(old, new)

    def _removed(self, field: ComparableField, new: ComparableMessage) -> None:
        symbol = f"{new.full_name}.{field.name}"
        taken = {other.number for other in new.fields}
        missing: list[str] = []
        broken: list[str] = []
        if not new.is_reserved(field.number) and field.number not in taken:
            missing.append(f"reserved {field.number};")
            broken.append(WIRE)
        if field.name not in new.reserved_names:
            missing.append(f'reserved "{field.name}";')
            broken.append(JSON)
        message = "field removed"
        if missing:
            message += f", and a later one can be taken for it: write {' '.join(missing)}"
        self._add(new.place, symbol, message, broken, old=[WIRE, JSON] if field.required else [])

    def _added(self, field: ComparableField, old: ComparableMessage, new: ComparableMessage) -> None:
        symbol = f"{new.full_name}.{field.name}"
        if old.is_reserved(field.number):
            self._add(field.place, symbol, f"number {field.number} was reserved, and is used again", [WIRE])
        if field.name in old.reserved_names:
            self._add(field.place, symbol, "its name was reserved, and is used again", [JSON])
        elif taken := [name for name in sorted(old.reserved_names) if field.json_name in (name, json_name(name))]:
            self._add(field.place, symbol, f'its JSON name is that of "{taken[0]}", which was reserved', [JSON])
        if field.required:
            self._add(field.place, symbol, "required field added, which old records do not have", [], new=[WIRE, JSON])

    def _json_name_taken(
        self,
        field: ComparableField,
        old: ComparableMessage,
        removed: Iterable[ComparableField],
        new: ComparableMessage,
    ) -> None:
        """Adds that JSON takes a new field for an old one, or an old one that was removed for the new field."""
        for_old = [other.name for other in old.fields if field.json_name in (other.json_name, other.name)]
        for_new = [other.name for other in removed if other.json_name in (field.json_name, field.name)]
        if for_old or for_new:
            taken = f"its JSON name {field.json_name} is that of {(for_old or for_new)[0]} in the old schema"
            symbol = f"{new.full_name}.{field.name}"
            self._add(field.place, symbol, taken, [], [JSON] if for_old else [], [JSON] if for_new else [])

    def _oneofs(self, pairs: list[tuple[ComparableField, ComparableField]], new: ComparableMessage) -> None:
        for before, after in pairs:
            if before.oneof == after.oneof:
                continue
            once = {mate.number for other, mate in pairs if other.oneof == before.oneof and before.oneof}
            now = {mate.number for _, mate in pairs if mate.oneof == after.oneof and after.oneof}
            names = {mate.number: mate.name for _, mate in pairs}
            joined = ", ".join(names[number] for number in sorted(now - once - {after.number}))
            left = ", ".join(names[number] for number in sorted(once - now - {after.number}))
            symbol = f"{new.full_name}.{after.name}"
            if joined:
                moved = f"moved into oneof {after.oneof} with {joined}, of which old records may have several"
                self._add(after.place, symbol, moved, [], new=[WIRE, JSON])
            if left:
                moved = f"moved out of oneof {before.oneof} with {left}, of which new records may have several"
                self._add(after.place, symbol, moved, [], old=[WIRE, JSON])

    def _freed(self, old: ComparableMessage | ComparableEnum, new: ComparableMessage | ComparableEnum) -> None:
        """Adds what is no longer reserved, except what is used again: that has a finding of its own."""
        used = [(field.number, field.number) for field in new.fields] if isinstance(new, ComparableMessage) else []
        if isinstance(new, ComparableEnum):
            used = [(number, number) for number in new.values]
        for first, last in _without(old.reserved, [*new.reserved, *used]):
            numbers = f"{first}" if first == last else f"{first} to {last}"
            self._add(new.place, new.full_name, f"{numbers} not reserved any more", [WIRE])
        names = (
            {field.name for field in new.fields}
            if isinstance(new, ComparableMessage)
            else {name for several in new.values.values() for name in several}
        )
        for name in sorted(old.reserved_names - new.reserved_names - names):
            self._add(new.place, new.full_name, f'"{name}" not reserved any more', [JSON])

    def _field(self, old: ComparableField, new: ComparableField, message: str, wire: bool) -> None:
        """Compares two fields that are one, by number or, where ``wire`` is false, by name alone."""
        symbol, place = f"{message}.{new.name}", new.place
        entry = self._entry(old, new) if bool(old.map) != bool(new.map) else None
        effects = entry[1] if entry else field_effects(old, new)
        reused = old.name != new.name and any(WIRE in effect.old | effect.new for effect in effects)
        if reused:
            change = f"number {new.number} reused: {old.kind} {old.name} -> {new.kind} {new.name}"
            self._add(place, symbol, change, [WIRE, JSON])
            return
        for_old = [JSON] if new.json_name not in (old.json_name, old.name) else []
        for_new = [JSON] if old.json_name not in (new.json_name, new.name) else []
        if old.name != new.name:
            self._add(place, symbol, f"renamed {old.name} -> {new.name}", [], for_old, for_new)
        elif for_old or for_new:
            self._add(place, symbol, f"JSON name changed {old.json_name} -> {new.json_name}", [], for_old, for_new)
        if old.required and not new.required:
            self._add(place, symbol, "not required any more, and new records may be without it", [], old=[WIRE, JSON])
        elif new.required and not old.required:
            self._add(place, symbol, "required now, and old records may be without it", [], new=[WIRE, JSON])
        self._default(old, new, symbol)
        if old.map and new.map:
            self._types(old.map[1], new.map[1])
        elif entry:
            self._types(*entry[0])
        elif not old.map and not new.map:
            self._types(old, new)
        if old.kind == new.kind and not any(effect.old or effect.new for effect in effects):
            return
        kinds = f"type changed {old.kind} -> {new.kind}"
        if old.kind == new.kind:
            kinds = f"encoding changed {_encoding(old)} -> {_encoding(new)}"
        broken = [
            set[str]().union(*sets) for sets in zip(*((effect.old, effect.new) for effect in effects), strict=True)
        ]
        if not wire:
            broken = [what & {JSON} for what in broken]
        notes = "".join(effect.note for effect in effects)
        self._add(place, symbol, kinds + notes, [], *broken)

    def _default(self, old: ComparableField, new: ComparableField, symbol: str) -> None:
        """Adds that a field which was not written reads as another value."""
        if old.repeated or new.repeated or old.map or new.map or wire_form(old) != wire_form(new):
            return
        (before, shown), (after, now) = self._read_as(old, self._old), self._read_as(new, self._new)
        if before != after:
            change = f"default changed {shown} -> {now}"
            self._add(new.place, symbol, f"{change}, which is what is read where nothing was written", [WIRE, JSON])

    def _read_as(self, field: ComparableField, schemas: SchemaSet) -> tuple[object, str]:
        """Returns what a field that was not written reads as, to compare, and to show."""
        given = field.default
        if field.type == "enum":
            enum = schemas.enum(field.type_name)
            numbers = {name: number for number, names in enum.values.items() for name in names} if enum else {}
            first = next(iter(numbers), "")  # Of a closed enum, nothing but its first value is the default.
            return numbers.get(given or first, 0), given or (first if numbers.get(first) else "none")
        if field.type in RANGES:
            given = _BOOLS.get(given, given)
            return int(given or 0) if _INTEGER.fullmatch(given or "0") else given, field.default or "none"
        if field.type in ("float", "double"):
            try:
                return repr(float(given or 0)), given or "none"
            except ValueError:  # A descriptor set may hold any text.
                return given, given
        return given, given or "none"

    def _entry(
        self, old: ComparableField, new: ComparableField
    ) -> tuple[tuple[ComparableField, ComparableField], list[Effects]] | None:
        """Compares a map with a list of messages that hold a key and a value: on the wire, a map is such a list.

        Returns:
            The two values, the old one first, and what breaks; None where the other one is no such list.
        """
        listed, schemas = (new, self._new) if old.map else (old, self._old)
        message = schemas.message(listed.type_name) if listed.repeated and listed.type == "message" else None
        fields = {field.number: field for field in message.fields} if message else {}
        pair = old.map or new.map
        if pair is None or 1 not in fields or 2 not in fields:
            return None
        entry = fields[1], fields[2]
        if entry[1].map:
            return None
        (old_key, old_value), (new_key, new_value) = (pair, entry) if old.map else (entry, pair)
        reader, other = ("old", "new") if old.map else ("new", "old")  # Which consumers read a map, and which a list.
        lost: set[str] = set()
        if (entry[0].oneof and entry[0].oneof == entry[1].oneof) or any(
            field.required and number > len(entry) for number, field in fields.items()
        ):
            lost.add(WIRE)
        note = f", and consumers with the {reader} schema read the last of the entries of a key, in no order"
        whole = Effects({JSON} | (lost if other == "old" else set()), {JSON} | (lost if other == "new" else set()), "")
        parts = [type_effects(old_key, new_key), type_effects(old_value, new_value)]
        if not any(WIRE in part.old | part.new for part in (*parts, whole)):
            whole = whole._replace(note=note)
        return (old_value, new_value), [*parts, whole]

    def _types(self, old: ComparableField, new: ComparableField) -> None:
        if old.type_name and new.type_name and message_like(old) == message_like(new):
            self._refer(old.type_name, new.type_name)

    def _enum(self, old: ComparableEnum, new: ComparableEnum) -> None:
        numbers = {name: number for number, names in new.values.items() for name in names}
        for number, names in old.values.items():
            symbol = f"{new.full_name}.{names[0]}"
            now = new.values.get(number)
            elsewhere = numbers.get(names[0], number)
            if elsewhere != number:
                taken = f", and {number} is now {now[0]}" if now else ""
                place = new.places[elsewhere]
                self._add(place, symbol, f"number changed {number} -> {elsewhere}{taken}", [WIRE])
            elif now is None:
                message, both, missing = "value removed", list[str](), list[str]()
                if not new.is_reserved(number):
                    missing.append(f"reserved {number};")
                    both.append(WIRE)
                if names[0] not in new.reserved_names:
                    missing.append(f'reserved "{names[0]}";')
                    both.append(JSON)
                if missing:
                    message += f", and a later one can be taken for it: write {' '.join(missing)}"
                self._add(new.place, symbol, message, both, new=[WIRE, JSON] if new.closed else [JSON])
            elif now[0] not in names or names[0] not in now:
                for_old = [JSON] if now[0] not in names else []
                for_new = [JSON] if names[0] not in now else []
                place = new.places[number]
                symbol = f"{new.full_name}.{now[0]}"
                self._add(place, symbol, f"renamed {names[0]} -> {now[0]}", [], for_old, for_new)
        before = {name: number for number, names in old.values.items() for name in names}
        for number, names in new.values.items():
            symbol, place = f"{new.full_name}.{names[0]}", new.places[number]
            if number not in old.values and old.is_reserved(number):
                self._add(place, symbol, f"number {number} was reserved, and is used again", [WIRE])
            for name in names:
                if name in old.reserved_names:
                    self._add(place, f"{new.full_name}.{name}", "its name was reserved, and is used again", [JSON])
            was = before.get(names[0], number)
            if was != number and names[0] != old.values[was][0]:  # Of the first name, that has been said.
                self._add(place, symbol, f"was another name of {old.values[was][0]}, {was}", [], old=[WIRE])
        self._freed(old, new)


def _encoding(field: ComparableField) -> str:
    return "delimited" if field.type == "group" else "length-prefixed"


def _named(field: ComparableField, message: ComparableMessage) -> ComparableField | None:
    """Returns the field of a message with the same name, if there is one."""
    return next((other for other in message.fields if other.name == field.name), None)


def _without(ranges: Iterable[tuple[int, int]], taken: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields what is left of ranges of numbers; the last number of a range is in it."""
    ordered = sorted(taken)
    for first, last in ranges:
        for start, end in ordered:
            if end < first or start > last:
                continue
            if start > first:
                yield first, start - 1
            first = end + 1
        if first <= last:
            yield first, last
