"""Messages from JSON, with errors that say where in it something is wrong: protobuf's own do not name lists and maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from micro_rt.cli.events_common import plain_json
from micro_rt.text import near

__all__ = ["message_of"]

_LONGEST_VALUE = 100
"""Characters of a wrong value that are shown."""


def message_of(text: str, message_type: type[Any], pool: descriptor_pool.DescriptorPool | None = None) -> Any:
    """Reads a message from JSON.

    Args:
        text: the JSON.
        message_type: class of the message, of whichever dialect.
        pool: the pool that has the messages in an ``Any``; None for the default pool, which generated code uses.

    Raises:
        ValueError: it is not the JSON of such a message; the message says what is wrong, and where.
    """
    given = plain_json(text)
    value = _object(given)
    if value is None:
        raise ValueError(f"the message must be a JSON object, not {_shown(given)}")
    descriptor: Descriptor | None = getattr(message_type, "DESCRIPTOR", None)
    try:
        if descriptor is None:
            return message_type().from_json(text)
        return json_format.ParseDict(value, message_type(), descriptor_pool=pool)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        reason = str(error)
    if descriptor is not None:
        reason = _Locator(pool).message(value, descriptor, "") or reason
    raise ValueError(reason)


class _Locator:
    """Finds what protobuf does not accept, by offering it parts of the value."""

    def __init__(self, pool: descriptor_pool.DescriptorPool | None) -> None:
        self._pool = pool

    def message(self, value: Any, descriptor: Descriptor, place: str) -> str:
        """Returns what is wrong with a message; empty if nothing is found."""
        members = _object(value)
        if members is None:
            return f"{place}: must be an object, {descriptor.full_name}, and is {_shown(value)}"
        fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
        for name, part in members.items():
            here = f"{place}.{name}" if place else name
            field = fields.get(name)
            if field is None:
                return f"{here}: {descriptor.full_name} has no such field; {_hint(name, descriptor)}"
            if found := self._field(part, field, name, here):
                return found
        return ""

    def _field(self, value: Any, field: FieldDescriptor, name: str, place: str) -> str:
        if value is None or self._accepts(value, field, name):
            return ""
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            members = _object(value)
            if members is None:
                return f"{place}: must be an object, the map {field.name}, and is {_shown(value)}"
            of = entry.fields_by_name["value"]
            for key, part in members.items():
                here = f"{place}[{json.dumps(key)}]"
                if not self._accepts({key: part}, field, name):
                    return (
                        self._single(part, of, here) or f"{here}: its key must be {_kind(entry.fields_by_name['key'])}"
                    )
        elif field.is_repeated:
            listed = _list(value)
            if listed is None:
                return f"{place}: must be a list, and is {_shown(value)}"
            for number, part in enumerate(listed):
                if not self._accepts([part], field, name):
                    return self._single(part, field, f"{place}[{number}]")
        return self._single(value, field, place)

    def _single(self, value: Any, field: FieldDescriptor, place: str) -> str:
        kind = field.message_type
        if kind is not None and not kind.full_name.startswith("google.protobuf."):
            if found := self.message(value, kind, place):
                return found
            return "" if isinstance(value, dict) else f"{place}: must be {_kind(field)}, and is {_shown(value)}"
        if field.enum_type is not None and isinstance(value, str):
            names = [each.name for each in field.enum_type.values]
            meant = near(value, names)
            hint = f"did you mean {meant[0]}?" if meant else f"it has {', '.join(names[:20])}"
            return (
                "" if value in names else f"{place}: {field.enum_type.full_name} has no value {_shown(value)}; {hint}"
            )
        return f"{place}: must be {_kind(field)}, and is {_shown(value)}"

    def _accepts(self, value: Any, field: FieldDescriptor, name: str) -> bool:
        owner = field.containing_type
        assert owner is not None  # noqa: S101  # for type checkers: fields of messages have one
        made: Any = GetMessageClass(owner)()
        try:
            json_format.ParseDict({name: value}, made, descriptor_pool=self._pool)
        except (json_format.ParseError, ValueError, TypeError, RecursionError):
            return False
        return True


_KINDS: Mapping[int, str] = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}
_WORDS: Mapping[str, str] = {"bytes": "bytes in base64", "bool": "true or false", "string": "text"}


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return str(field.message_type.full_name)
    if field.enum_type is not None:
        return f"a value of {field.enum_type.full_name}"
    name = _KINDS[field.type]
    return _WORDS.get(name, name)


def _object(value: Any) -> dict[str, Any] | None:
    """Returns a value that is a JSON object; None for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _list(value: Any) -> Sequence[Any] | None:
    """Returns a value that is a JSON list; None for any other value."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else None


def _hint(name: str, descriptor: Descriptor) -> str:
    names = [field.json_name for field in descriptor.fields]
    meant = near(name, names)
    if meant:
        return f"did you mean {' or '.join(meant)}?"
    return f"it has {', '.join(names[:20])}" if names else "it has none"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
