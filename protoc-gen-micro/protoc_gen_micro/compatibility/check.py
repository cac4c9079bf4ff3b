"""Whether a changed schema breaks consumers, and why: ``micro-rt events check``.

Records outlive the schema that they were written by, and consumers are updated at other times than publishers. So both
directions count: consumers with the old schema read new records, and consumers with the new one read old records.
What is compared: events (topic, key), and field by field the messages that they hold, as protobuf's binary encoding
("wire") and as its JSON mapping. A consumer passes over fields that it does not know, in JSON too, as micro-rt does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from protoc_gen_micro.compatibility.comparable import (
    ComparableEnum,
    ComparableField,
    ComparableMessage,
    SchemaSet,
    SourceLocation,
)
from protoc_gen_micro.schema.model import Event

__all__ = ["Finding", "compare"]

WIRE, JSON, DELIVERY, ORDER = "wire", "JSON", "delivery", "order"


class Finding(NamedTuple):
    """One change.

    Attributes:
        path: the .proto file, as protoc names it.
        line: the line in it, in the new schema; in the old one where the new has it no more. 0 when unknown.
        symbol: full name of what has changed, ``"orders.OrderPlaced.total_cents"``.
        message: what has changed.
        old_consumers: what breaks for consumers with the old schema that read new records: ``"wire"``, ``"JSON"``,
            ``"delivery"``, ``"order"``.
        new_consumers: what breaks for consumers with the new schema that read old records.
    """

    path: str
    line: int
    symbol: str
    message: str
    old_consumers: tuple[str, ...] = ()
    new_consumers: tuple[str, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether anything breaks, for anybody."""
        return bool(self.old_consumers or self.new_consumers)

    @property
    def effect(self) -> str:
        """What breaks and for whom, in words."""
        if not self.breaks:
            return "breaks nothing"
        if self.old_consumers == self.new_consumers:
            return f"breaks {' and '.join(self.old_consumers)}"
        parts = [
            f"breaks {' and '.join(broken)} for consumers with the {whose} schema"
            for broken, whose in ((self.old_consumers, "old"), (self.new_consumers, "new"))
            if broken
        ]
        return " and ".join(parts)

    def __str__(self) -> str:
        """Returns one line in the form of a compiler."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.symbol}: {self.message}: {self.effect}"

    def without_json(self) -> Finding:
        """Returns the finding for consumers that never read JSON."""
        old, new = (
            tuple(what for what in broken if what != JSON) for broken in (self.old_consumers, self.new_consumers)
        )
        return self._replace(old_consumers=old, new_consumers=new)


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
        self._refer(name, name)

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
            both: what breaks for everybody.
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
                # Its number went to a field that had another one; that one says so.
                self._removed(field, new)
            elif named is None or named is there:
                assert there is not None
                self._field(field, there, new.full_name, wire=True)
                pairs.append((field, there))
            else:
                taken = f", and {field.number} is now {there.name}" if there is not None else ""
                self._add(named.place, symbol, f"number changed {field.number} -> {named.number}{taken}", [WIRE])
                self._field(field, named, new.full_name, wire=False)
                pairs.append((field, named))
        known = {after.number for _, after in pairs}
        for field in new.fields:
            if field.number not in known:
                self._added(field, old, new)
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
        if field.required:
            self._add(field.place, symbol, "required field added, which old records do not have", [], new=[WIRE, JSON])

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
        """Adds what was reserved, and is not any more; what is used again has been said."""
        used = [(field.number, field.number) for field in new.fields] if isinstance(new, ComparableMessage) else []
        if isinstance(new, ComparableEnum):
            used = [(number, number) for number in new.values]
        for first, last in _without(old.reserved, [*new.reserved, *used]):
            numbers = f"{first}" if first == last else f"{first} to {last}"
            self._add(new.place, new.full_name, f"{numbers} not reserved any more", [WIRE])
        if isinstance(old, ComparableMessage) and isinstance(new, ComparableMessage):
            for name in sorted(old.reserved_names - new.reserved_names - {field.name for field in new.fields}):
                self._add(new.place, new.full_name, f'"{name}" not reserved any more', [JSON])

    def _field(self, old: ComparableField, new: ComparableField, message: str, wire: bool) -> None:
        """Compares two fields that are one, by number or, where ``wire`` is false, by name alone."""
        symbol, place = f"{message}.{new.name}", new.place
        effects = _field_effects(old, new)
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
        if old.default != new.default and old.type == new.type:
            change = f"default changed {old.default or 'none'} -> {new.default or 'none'}"
            self._add(place, symbol, f"{change}, which is what is read where nothing was written", [WIRE, JSON])
        if old.map and new.map:
            self._types(old.map[1], new.map[1])
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

    def _types(self, old: ComparableField, new: ComparableField) -> None:
        if old.type_name and new.type_name and _message_like(old) == _message_like(new):
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
                message, both = "value removed", []
                if not new.is_reserved(number):
                    message, both = f"{message}, and a later one can be taken for it: write reserved {number};", [WIRE]
                self._add(new.place, symbol, message, both, new=[WIRE, JSON] if new.closed else [JSON])
            elif now[0] not in names or names[0] not in now:
                for_old = [JSON] if now[0] not in names else []
                for_new = [JSON] if names[0] not in now else []
                place = new.places[number]
                symbol = f"{new.full_name}.{now[0]}"
                self._add(place, symbol, f"renamed {names[0]} -> {now[0]}", [], for_old, for_new)
        for number, names in new.values.items():
            if number not in old.values and old.is_reserved(number):
                symbol = f"{new.full_name}.{names[0]}"
                self._add(new.places[number], symbol, f"number {number} was reserved, and is used again", [WIRE])
        self._freed(old, new)


class _Effects(NamedTuple):
    """What a change of type breaks, for consumers with the old schema and with the new one."""

    old: set[str]
    new: set[str]
    note: str


def _field_effects(old: ComparableField, new: ComparableField) -> list[_Effects]:
    """Returns what a change of type breaks: of a map, for keys and values."""
    if old.map and new.map:
        key, value = (_effects(one, other) for one, other in zip(old.map, new.map, strict=True))
        before, after = old.map[0].type, new.map[0].type
        for_old, for_new = _key_in_json(after, before), _key_in_json(before, after)
        key = key._replace(old=key.old - {JSON} | for_old, new=key.new - {JSON} | for_new)
        return [key, value]
    if old.map or new.map:
        return [_Effects({WIRE, JSON}, {WIRE, JSON}, "")]
    return [_effects(old, new)]


def _key_in_json(writer: str, reader: str) -> set[str]:
    """Returns what breaks for who reads a map with other keys: in JSON all keys are text."""
    if reader in ("string", writer) or {reader, writer} <= _RANGES.keys() - {"bool"}:
        return set()
    return {JSON}


def _effects(old: ComparableField, new: ComparableField) -> _Effects:
    """Returns what the change from one type to another breaks; whether messages fit each other is found field by field."""
    for_old: set[str] = set()
    for_new: set[str] = set()
    note = ""
    if old.repeated != new.repeated:
        # Who expects one value takes the last of several, and none of those that are packed.
        (for_old if new.repeated else for_new).add(WIRE)
        for_old.add(JSON)
        for_new.add(JSON)
    if _message_like(old) and _message_like(new):
        if old.type != new.type:
            for_old.add(WIRE)
            for_new.add(WIRE)
        if old.type_name != new.type_name:
            if any(name.startswith("google.protobuf.") for name in (old.type_name, new.type_name)):
                for_old.add(JSON)
                for_new.add(JSON)
            else:
                note = ", which are compared field by field"
        return _Effects(for_old, for_new, note)
    if old.type == new.type:
        if old.type_name != new.type_name:
            note = ", which are compared value by value"
        return _Effects(for_old, for_new, note)
    if _JSON_FORMS.get(old.type) != _JSON_FORMS.get(new.type) or old.type not in _JSON_FORMS:
        for_old.add(JSON)
        for_new.add(JSON)
    if {old.type, new.type} == {"string", "bytes"}:
        # Text must be UTF-8, and bytes need not be.
        (for_old if new.type == "bytes" else for_new).add(WIRE)
    elif old.type not in _WIRE_FORMS or _WIRE_FORMS[old.type] != _WIRE_FORMS.get(new.type):
        for_old.add(WIRE)
        for_new.add(WIRE)
    else:
        cut = [whose for whose, reader, writer in (("old", old, new), ("new", new, old)) if not _fits(writer, reader)]
        if cut:
            note = f", and consumers with the {' or the '.join(cut)} schema misread values that do not fit"
    return _Effects(for_old, for_new, note)


_WIRE_FORMS = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "bool", "enum"), "varint"),
    **dict.fromkeys(("sint32", "sint64"), "zigzag"),
    **dict.fromkeys(("fixed32", "sfixed32"), "fixed32"),
    **dict.fromkeys(("fixed64", "sfixed64"), "fixed64"),
}
"""What may stand for each other on the wire: https://protobuf.dev/programming-guides/proto3/#updating."""
_JSON_FORMS = {
    **dict.fromkeys(("int32", "uint32", "sint32", "fixed32", "sfixed32"), "number"),
    **dict.fromkeys(("int64", "uint64", "sint64", "fixed64", "sfixed64"), "decimal text"),
    **dict.fromkeys(("float", "double"), "float"),
    "bool": "bool",
    "string": "text",
    "bytes": "base64",
}
_RANGES = {
    "bool": (0, 1),
    **dict.fromkeys(("int32", "sint32", "sfixed32", "enum"), (-(2**31), 2**31 - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
}


def _fits(writer: ComparableField, reader: ComparableField) -> bool:
    low, high = _RANGES[writer.type]
    least, most = _RANGES[reader.type]
    return least <= low and high <= most


def _message_like(field: ComparableField) -> bool:
    return field.type in ("message", "group")


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
