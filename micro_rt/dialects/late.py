"""What generated classes get when they are first used, and not when they are imported.

A program imports many messages and uses few. So a class that is imported has declarations only. The first look at one of
its fields, or at one of the attributes that are ``Late``, completes it: its fields get their defaults and properties.
Constructors, encoders and decoders are in a module of their own, which the first use of one of them loads.

Several threads may complete a class at once, without a lock: each does the same, and they agree on the fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module
from typing import Any

import betterproto

from micro_rt.dialects.fields import UNSET, Spec, install, tags

__all__ = ["Late", "bind", "complete", "describe", "field"]


class Late:
    """An attribute of generated classes that is made when it is first asked for.

    Args:
        make: gives a generated class this attribute.
    """

    def __init__(self, make: Callable[[Any], None]) -> None:
        self._make = make

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Notes the name of the attribute."""
        self._name = name

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        """Makes the attribute, and returns it."""
        kind = _generated(owner)
        if kind is None:
            raise AttributeError(f"{owner.__name__} is no generated message, and has no {self._name!r}")
        self._make(kind)
        return _bound(kind.__dict__[self._name], instance, owner)


class Declared:
    """A field of a generated class that is not complete; the first look at it completes the class."""

    __slots__ = ("arguments", "name")

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Notes the attribute."""
        self.name = name

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        """Completes the class, and returns what it has then."""
        kind: Any = _generated(owner)
        complete(kind)
        if self.name in kind.__dict__:
            return _bound(kind.__dict__[self.name], instance, owner)
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}", name=self.name, obj=instance)

    def __set__(self, instance: Any, value: Any) -> None:
        """Completes the class, and sets the attribute."""
        complete(_generated(type(instance)))
        setattr(instance, self.name, value)


def field(
    number: int,
    kind: str,
    type: Callable[[], Any] | None = None,
    *,
    repeated: bool = False,
    key: str = "",
    optional: bool = False,
    group: str = "",
    oneof: int = 0,
    wraps: str = "",
    proto: str = "",
    json: str = "",
) -> Any:
    """Declares a field of a generated class.

    Args:
        number: the field's number on the wire.
        kind: its type, or that of its items, or that of its values.
        type: returns the class of a message or an enum.
        repeated: whether it is a list.
        key: type of the keys when it is a map.
        optional: whether it is None when it is not set.
        group: the oneof that it belongs to.
        oneof: which of the message's oneofs that is.
        wraps: the type in a wrapper.
        proto: the field's name in the .proto, where it is not the attribute's.
        json: its name in JSON, where it is not what follows from the name in the .proto.
    """
    return Declared((number, kind, type, repeated, key, optional, group, oneof, wraps, proto, json))


def complete(kind: Any) -> None:
    """Gives a generated class its fields, their defaults and properties, unless it has them."""
    if "_specs_" in kind.__dict__:
        return
    declared = [kind.__dict__.get(name) for name in kind.__annotations__]
    made = tuple(_spec(each.name, *each.arguments) for each in declared if each.__class__ is Declared)
    # If another thread has put its fields here, some of the declarations may be gone: its fields are taken then.
    specs: tuple[Spec, ...] = kind._kept_.setdefault("specs", made)
    install(kind, specs)
    names = tuple(spec.name for spec in specs)
    # The last of these says that the class is complete.
    attributes = {"__match_args__": names, "_tags_": tags(specs), "_always_present_": not specs, "_specs_": specs}
    for attribute, value in attributes.items():
        setattr(kind, attribute, value)


def bind(kind: Any) -> None:
    """Gives a generated class its constructor, its encoder and its decoder.

    Raises:
        ImportError: the module with the codecs is missing, or is not from the run that wrote the messages.
    """
    complete(kind)
    name = f"{kind.__module__}{_SUFFIX}"
    try:
        codecs = import_module(name)
        methods = [getattr(codecs, f"{part}_{kind.__name__}") for part in ("init", "write", "read")]
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and error.name not in (name, None):
            raise
        raise ImportError(
            f"{name} does not belong to {kind.__module__}: {error}; generate the .proto again, and keep both files "
            "beside each other",
            name=name,
        ) from error
    kind._write_, kind._read_ = methods[1:]
    kind.__init__ = methods[0]


def describe(kind: Any) -> None:
    """Makes a dataclass of a generated class."""
    complete(kind)
    body: dict[str, Any] = {spec.name: _dataclass_field(spec) for spec in kind._specs_}
    annotations = {spec.name: kind.__annotations__[spec.name] for spec in kind._specs_}
    plain: Any = type(
        kind.__name__, (), {**body, "__annotations__": annotations, "__doc__": "-", "__module__": kind.__module__}
    )
    dataclasses.dataclass(init=False, eq=False, repr=False, match_args=False)(plain)
    kind.__dataclass_params__ = plain.__dataclass_params__
    kind.__dataclass_fields__ = plain.__dataclass_fields__


_SUFFIX = "_codec"
"""What the name of the module with the codecs has behind that of the module with the messages."""


def _generated(kind: Any) -> Any:
    """Returns the generated class that a class is, or is a subclass of; None for neither."""
    return next((each for each in kind.__mro__ if "_kept_" in each.__dict__), None)


def _bound(found: Any, instance: Any, owner: type[Any]) -> Any:
    get = getattr(found.__class__, "__get__", None)
    return found if get is None else get(found, instance, owner)


def _dataclass_field(spec: Spec) -> Any:
    theirs = "message" if spec.kind in ("timestamp", "duration", "wrapper") else spec.kind
    meta = betterproto.FieldMetadata(
        spec.number,
        "map" if spec.map_key else theirs,
        (spec.map_key, theirs) if spec.map_key else None,
        spec.group or None,
        spec.wraps or None,
        spec.optional and spec.kind != "wrapper",
    )
    return dataclasses.field(default=UNSET, metadata={"betterproto": meta})


def _spec(
    name: str,
    number: int,
    kind: str,
    type: Callable[[], Any] | None,
    repeated: bool,
    key: str,
    optional: bool,
    group: str,
    oneof: int,
    wraps: str,
    proto: str,
    json: str,
) -> Spec:
    proto = proto or name
    return Spec(
        name=name,
        number=number,
        kind=kind,
        type=type,
        repeated=repeated,
        map_key=key,
        optional=optional or kind == "wrapper",
        group=group,
        wraps=wraps,
        proto_name=proto,
        json_name=json or _json_name(proto),
        slot=f"_v{oneof}" if group else f"_f{number}",
        which=f"_o{oneof}",
    )


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
