"""What a change of a field's type breaks, on the wire and in JSON."""

from __future__ import annotations

from typing import NamedTuple

from protoc_gen_micro.compatibility.comparable import ComparableField
from protoc_gen_micro.compatibility.finding import JSON, WIRE

__all__ = ["RANGES", "Effects", "field_effects", "message_like", "type_effects", "wire_form"]


class Effects(NamedTuple):
    """What a change of type breaks, for consumers with the old schema and with the new one."""

    old: set[str]
    new: set[str]
    note: str


def field_effects(old: ComparableField, new: ComparableField) -> list[Effects]:
    """Returns what a change of a field's type breaks: for a map, that of its keys and that of its values."""
    if old.map and new.map:
        key, value = (type_effects(one, other) for one, other in zip(old.map, new.map, strict=True))
        before, after = old.map[0].type, new.map[0].type
        for_old, for_new = _key_in_json(after, before), _key_in_json(before, after)
        key = key._replace(old=key.old - {JSON} | for_old, new=key.new - {JSON} | for_new)
        return [key, value]
    if old.map or new.map:
        return [Effects({WIRE, JSON}, {WIRE, JSON}, "")]
    return [type_effects(old, new)]


def _key_in_json(writer: str, reader: str) -> set[str]:
    """Returns what breaks for a consumer that reads a map with other keys: in JSON all keys are text."""
    if reader in ("string", writer) or {reader, writer} <= RANGES.keys() - {"bool"}:
        return set()
    return {JSON}


def type_effects(old: ComparableField, new: ComparableField) -> Effects:
    """Returns what the change from one type to another breaks; whether messages fit each other is found field by field."""
    for_old: set[str] = set()
    for_new: set[str] = set()
    note = ""
    if old.repeated != new.repeated:
        # A consumer that expects one value reads the last of several, and none of those that are packed.
        (for_old if new.repeated else for_new).add(WIRE)
        for_old.add(JSON)
        for_new.add(JSON)
    if message_like(old) and message_like(new):
        if old.type != new.type:
            for_old.add(WIRE)
            for_new.add(WIRE)
        if old.type_name != new.type_name:
            if any(name.startswith("google.protobuf.") for name in (old.type_name, new.type_name)):
                for_old.add(JSON)
                for_new.add(JSON)
            else:
                note = ", which are compared field by field"
        return Effects(for_old, for_new, note)
    if old.type == new.type:
        if old.type_name != new.type_name:
            note = ", which are compared value by value"
        return Effects(for_old, for_new, note)
    if _JSON_FORMS.get(old.type) != _JSON_FORMS.get(new.type) or old.type not in _JSON_FORMS:
        for_old.add(JSON)
        for_new.add(JSON)
    if {old.type, new.type} == {"message", "bytes"}:
        # Bytes need not be an encoded message; a consumer that reads bytes gets the encoded message.
        (for_old if new.type == "bytes" else for_new).add(WIRE)
    elif {old.type, new.type} == {"string", "bytes"}:
        # Text must be UTF-8, and bytes need not be.
        (for_old if new.type == "bytes" else for_new).add(WIRE)
    elif old.type not in _WIRE_FORMS or _WIRE_FORMS[old.type] != _WIRE_FORMS.get(new.type):
        for_old.add(WIRE)
        for_new.add(WIRE)
    else:
        cut = [whose for whose, reader, writer in (("old", old, new), ("new", new, old)) if not _fits(writer, reader)]
        if cut:
            note = f", and consumers with the {' or the '.join(cut)} schema misread values that do not fit"
    return Effects(for_old, for_new, note)


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
RANGES = {
    "bool": (0, 1),
    **dict.fromkeys(("int32", "sint32", "sfixed32", "enum"), (-(2**31), 2**31 - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
}


def wire_form(field: ComparableField) -> str:
    """Returns how values of a field are encoded: fields of one form read each other's values."""
    return _WIRE_FORMS.get(field.type, field.type)


def _fits(writer: ComparableField, reader: ComparableField) -> bool:
    low, high = RANGES[writer.type]
    least, most = RANGES[reader.type]
    return least <= low and high <= most


def message_like(field: ComparableField) -> bool:
    """Returns whether the values of a field are messages."""
    return field.type in ("message", "group")
