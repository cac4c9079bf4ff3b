"""The fields of betterproto messages: what generated classes say of them, and where instances keep them.

A plain field is an attribute of the instance once it was set, and its class has the default. A message is kept in an
attribute of its own, behind a property that makes it when it is first asked for. The members of a oneof share two
attributes, so that at most one of them can be set.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import betterproto

from micro_rt.dialects.known import EPOCH, NOTHING

__all__ = ["UNSET", "Spec", "checked", "given", "install", "new", "tags"]

UNSET: Any = betterproto.PLACEHOLDER
"""What a constructor's parameter is when it was not given."""

new = object.__new__


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One field of a generated class.

    Attributes:
        name: the attribute.
        number: the field's number on the wire.
        kind: ``"int32"``, …, ``"enum"``, ``"message"``, ``"timestamp"``, ``"duration"`` or ``"wrapper"``.
        type: returns the class of a message or an enum.
        repeated: whether it is a list.
        map_key: type of the keys when it is a map (``kind`` is then that of its values).
        optional: whether it is None when it is not set.
        group: the oneof that it belongs to, or empty.
        wraps: the type in a wrapper.
        proto_name: the field's name in the .proto.
        json_name: its name in JSON.
        slot: the attribute that holds its value.
        which: the attribute that holds the number of the set member of its oneof.
    """

    name: str
    number: int
    kind: str
    type: Callable[[], Any] | None
    repeated: bool
    map_key: str
    optional: bool
    group: str
    wraps: str
    proto_name: str
    json_name: str
    slot: str
    which: str

    @property
    def single(self) -> bool:
        """Whether it is neither a list nor a map."""
        return not (self.repeated or self.map_key)

    def holds(self, message: Any) -> bool:
        """Returns whether the field was set, to whatever."""
        if self.group:
            return bool(getattr(message, self.which) == self.number)
        if self.single and self.kind == "message" and not self.optional:
            value = getattr(message, self.slot)
            # A value of a wrong type is set; what needs its type refuses it.
            return value is not None and getattr(value, "_serialized_on_wire", True)
        value = message.__dict__.get(self.name)
        if not self.single:
            return bool(value)
        return value is not None and value is not EPOCH and value is not NOTHING

    def is_set(self, message: Any) -> bool:
        """Returns what ``is_set`` of a message says: a message that was given counts, even an empty one."""
        if self.single and self.kind == "message" and not self.group and not self.optional:
            value = getattr(message, self.slot)
            return value is not None and (getattr(value, "_present", None) is not False or self.holds(message))
        return self.holds(message)

    def get(self, message: Any) -> Any:
        """Returns the value, or the default when the field is not set."""
        if self.group:
            return getattr(message, self.slot) if getattr(message, self.which) == self.number else None
        if self.single and self.kind == "message" and not self.optional:
            value = getattr(message, self.slot)
            return self.default() if value is None else value
        return getattr(message, self.name)

    def equal(self, message: Any, other: Any) -> bool:
        """Returns whether two messages have the same in the field; NaN is the same as NaN."""
        if self.single and self.kind == "message" and not self.group and not self.optional:
            mine, theirs = getattr(message, self.slot), getattr(other, self.slot)
            if mine is None or theirs is None:
                return not (mine or theirs)  # one that says nothing is the same as none
            return bool(mine == theirs)
        if self.group and getattr(message, self.which) != getattr(other, self.which):
            return False
        mine, theirs = self.get(message), self.get(other)
        if mine == theirs or _both_nan(mine, theirs):
            return True
        if self.single or self.kind not in ("double", "float") or len(mine) != len(theirs):
            return False
        keys = mine if self.map_key else range(len(mine))
        if self.map_key and mine.keys() != theirs.keys():
            return False
        return all(mine[key] == theirs[key] or _both_nan(mine[key], theirs[key]) for key in keys)

    def put(self, message: Any, value: Any) -> None:
        """Sets the value."""
        setattr(message, self.name, value)

    def default(self) -> Any:
        """Returns the value of a field that is not set."""
        if self.repeated:
            return []
        if self.map_key:
            return {}
        if self.optional:
            return None
        return self.default_value()

    def default_value(self) -> Any:
        """Returns the value that stands for one that is missing."""
        if self.kind == "message":
            return self.type()() if self.type else None
        if self.kind == "enum" and self.type is not None:
            return self.type().try_value(0)
        return _DEFAULTS[self.kind]


def install(kind: type[Any], specs: tuple[Spec, ...]) -> None:
    """Gives a class the defaults and properties of its fields. Doing it twice changes nothing."""
    for spec in specs:
        if spec.group:
            setattr(kind, spec.which, 0)
            setattr(kind, spec.slot, None)
        elif spec.single and spec.kind == "message" and not spec.optional:
            setattr(kind, spec.slot, None)
    for spec in specs:
        if spec.group:
            setattr(kind, spec.name, _member(spec))
        elif not spec.single:
            with suppress(AttributeError):
                delattr(kind, spec.name)
        elif spec.kind == "message" and not spec.optional:
            setattr(kind, spec.name, _lazy(spec))
        else:
            setattr(kind, spec.name, spec.default())


def tags(specs: tuple[Spec, ...]) -> frozenset[int]:
    """Returns the tags that fields have on the wire, those of both encodings for lists of numbers."""
    found = [spec.number << 3 | 2 for spec in specs if not spec.single]
    found += [spec.number << 3 | _WIRE_TYPES.get(spec.kind, 0) for spec in specs if not spec.map_key]
    return frozenset(found)


_WIRE_TYPES: Mapping[str, int] = {
    **dict.fromkeys(("double", "fixed64", "sfixed64"), 1),
    **dict.fromkeys(("string", "bytes", "message", "timestamp", "duration", "wrapper"), 2),
    **dict.fromkeys(("float", "fixed32", "sfixed32"), 5),
}
_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(("double", "float"), 0.0),
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64"), 0),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), 0),
    "bool": False,
    "string": "",
    "bytes": b"",
    "timestamp": EPOCH,
    "duration": NOTHING,
    "wrapper": None,
}


def _both_nan(one: Any, other: Any) -> bool:
    return isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)


def _lazy(spec: Spec) -> property:
    """Returns the property of a message: one that is asked for before it was set is made, and is not set by that."""
    slot, make = spec.slot, spec.default_value

    def get(message: Any) -> Any:
        value = getattr(message, slot)
        if value is None:
            value = make()
            value._serialized_on_wire = False
            setattr(message, slot, value)
        return value

    def put(message: Any, value: Any) -> None:
        setattr(message, slot, given(value))

    return property(get, put)


def given(value: Any) -> Any:
    """Marks a message of betterproto's own that has no fields as set, as betterproto does when it is assigned."""
    if value is None or hasattr(value, "_present") or not isinstance(value, betterproto.Message):
        return value
    theirs: Any = value
    if not theirs._betterproto.meta_by_field_name:
        theirs._serialized_on_wire = True
    return value


def checked(value: Any, kind: type[Any]) -> Any:
    """Returns a message, which must have a class.

    Raises:
        TypeError: the message has another class.
    """
    if isinstance(value, kind):
        return value
    raise TypeError(f"{kind.__name__} is needed, not {value.__class__.__name__}")


def _member(spec: Spec) -> property:
    """Returns the property of a member of a oneof: only the one that is set can be read."""
    slot, which, number, name, group = spec.slot, spec.which, spec.number, spec.name, spec.group

    def get(message: Any) -> Any:
        if getattr(message, which) == number:
            return getattr(message, slot)
        current = message._group_current[group]
        raise AttributeError(f"{group!r} is set to {current!r}, not {name!r}", name=name, obj=message)

    def put(message: Any, value: Any) -> None:
        if value is UNSET:  # the constructor of a subclass that is a dataclass sets every field
            return
        setattr(message, which, 0 if value is None else number)
        setattr(message, slot, value)

    return property(get, put)
