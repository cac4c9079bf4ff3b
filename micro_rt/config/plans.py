"""Types to what makes their values: dataclasses, lists, mappings, unions, secrets.

A plan is made once for a type, and says at that moment, as ``TypeError``, what cannot be read. Then it makes values out of trees. What
is wrong with a tree is ``Mismatch``: all that is wrong, with the path of each, and without any value.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

from micro_rt.config.base import MAX_DEPTH, Path, Tree, Value
from micro_rt.config.frozen import FrozenDict, FrozenList, Text
from micro_rt.config.layers import kind_of
from micro_rt.config.merging import child
from micro_rt.config.scalars import SCALARS, Unfit, choice_of, enum_of
from micro_rt.config.secret import Secret
from micro_rt.kit.foreign import read_json
from micro_rt.text import near

__all__ = ["RESERVED", "Mismatch", "Place", "Plan", "Problem", "plan_of"]

RESERVED = "micro"
"""The section of the runtime itself, at the root: a dataclass of all settings need not have it."""

Inner: TypeAlias = "tuple[str | int, ...]"
"""A path that leads into lists too: a number is a position."""


class Problem(NamedTuple):
    """What is wrong with one value."""

    path: Inner
    text: str


class Mismatch(Exception):  # noqa: N818 - never leaves the package
    """A tree does not fit a type."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = problems


class Place(NamedTuple):
    """Where a value is."""

    path: Inner
    loose: frozenset[Path]
    """Paths whose last name has no case."""

    def inside(self, name: str | int) -> Place:
        """Returns the place of a value in this one."""
        return Place((*self.path, name), self.loose)


Make: TypeAlias = "Callable[[Value, Place], Any]"


class Plan(NamedTuple):
    """How values of a type are made."""

    make: Make
    secrets: tuple[Path, ...] = ()
    """Paths below the value at which everything is a secret."""
    if_missing: Callable[[Place], Any] | None = None
    """Makes the value where there is nothing, if the type allows that."""


def plan_of(kind: Any, *, unknown: Literal["error", "ignore"] = "error", above: tuple[Any, ...] = ()) -> Plan:
    """Returns how values of a type are made.

    Args:
        kind: the type.
        unknown: whether a name that a dataclass does not have is an error.
        above: the types that this one is a part of.

    Raises:
        TypeError: values of the type cannot be read from settings.
    """
    if len(above) > MAX_DEPTH or kind in above:
        raise TypeError(f"{_shown(kind)} contains itself, so it cannot be read from settings")
    inner = (*above, kind) if dataclasses.is_dataclass(cast("object", kind)) else above

    def part(type: Any) -> Plan:
        return plan_of(type, unknown=unknown, above=inner)

    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, typing.NewType):
        return part(kind.__supertype__)
    if origin is Annotated:
        return part(args[0])
    if origin is Secret or kind is Secret:
        return _secret(part(args[0] if args else object))
    if origin is Literal:
        return _scalar(choice_of(args))
    if origin in (Union, types.UnionType):
        return _union(args, [part(each) for each in args])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _scalar(enum_of(kind))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(kind, part, unknown)
    made = _collection(origin or kind, args, part)
    if made is not None:
        return made
    try:
        scalar = SCALARS.get(kind)
    except TypeError:
        scalar = None
    if scalar is None:
        raise TypeError(
            f"{_shown(kind)} cannot be read from settings: use bool, int, float, str, timedelta, Path, an Enum, Literal, list, tuple, "
            "set, dict, Secret, a union of these, or a dataclass"
        )
    return _scalar(scalar)


def _scalar(convert: Callable[[Value], Any]) -> Plan:
    def make(value: Value, place: Place) -> Any:
        try:
            return convert(value)
        except Unfit as unfit:
            problem = str(unfit)
        raise Mismatch([Problem(place.path, problem)])

    return Plan(make)


def _secret(plan: Plan) -> Plan:
    if_missing = plan.if_missing

    def make(value: Value, place: Place) -> Any:
        return Secret(plan.make(value, place))

    def make_missing(place: Place) -> Any:
        return None if if_missing is None else Secret(if_missing(place))

    return Plan(make, ((),), make_missing if if_missing else None)


def _union(kinds: Sequence[Any], plans: Sequence[Plan]) -> Plan:
    """Plans a union: the first type that fits makes the value, ``str`` after all others if the text may stand for another type."""
    pairs = sorted(zip(kinds, plans, strict=True), key=lambda pair: pair[0] is str)
    others = [plan for kind, plan in pairs if kind is not type(None)]

    def make(value: Value, place: Place) -> Any:
        problems: list[Problem] = []
        for plan in others:
            try:
                return plan.make(value, place)
            except Mismatch as mismatch:
                problems += [each for each in mismatch.problems if each not in problems]
        if value is None and len(others) < len(kinds):
            return None
        raise Mismatch(
            problems if len(others) == 1 else [Problem(place.path, f"must be {_shown(Union[tuple(kinds)])}")]
        )

    secrets = tuple(dict.fromkeys(path for plan in plans for path in plan.secrets))
    return Plan(make, secrets, _nothing if type(None) in kinds else None)


def _nothing(_: Place) -> None:
    return None


def _collection(kind: Any, args: tuple[Any, ...], part: Callable[[Any], Plan]) -> Plan | None:
    """Plans a list, a tuple, a set or a mapping; returns None for any other type."""
    if kind is tuple and args and args[-1] is not Ellipsis:
        return _fixed([part(each) for each in args if each != ()])
    if kind in (list, Sequence, tuple, set, frozenset, AbstractSet):
        into: Callable[[Any], Any] = FrozenList if kind is list else tuple if kind in (tuple, Sequence) else frozenset
        return _many(part(args[0] if args else object), into)
    if kind in (dict, Mapping):
        if args and args[0] is not str:
            raise TypeError(f"a mapping of settings has names that are texts: dict[str, …], not {_shown(args[0])}")
        return _mapping(part(args[1] if args else object))
    return None


def _many(item: Plan, into: Callable[[Any], Any]) -> Plan:
    def make(value: Value, place: Place) -> Any:
        return into(_each(_items(value, place), place, lambda _: item))

    return Plan(make, ((),) if item.secrets else ())


def _fixed(plans: Sequence[Plan]) -> Plan:
    def make(value: Value, place: Place) -> Any:
        items = _items(value, place)
        if len(items) != len(plans):
            raise Mismatch([Problem(place.path, f"must be a list of {len(plans)}")])
        return tuple(_each(items, place, lambda number: plans[number]))

    return Plan(make, ((),) if any(plan.secrets for plan in plans) else ())


def _each(items: Sequence[Value], place: Place, plan: Callable[[int], Plan]) -> list[Any]:
    problems: list[Problem] = []
    found: list[Any] = []
    for number, item in enumerate(items):
        try:
            found.append(plan(number).make(item, place.inside(number)))
        except Mismatch as mismatch:
            problems += mismatch.problems
    if problems:
        raise Mismatch(problems)
    return found


def _items(value: Value, place: Place) -> Sequence[Value]:
    """Returns the items of a list; a text that may stand for another type is JSON if it begins with ``[``, else has commas."""
    if isinstance(value, Text):
        text = value.strip()
        if not text.startswith("["):
            return [Text(each.strip()) for each in text.split(",")] if text else []
        found = _json(text)
        if isinstance(found, list):
            return cast("list[Value]", found)
        raise Mismatch([Problem(place.path, "must be a list: JSON, or texts with commas between")])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    raise Mismatch([Problem(place.path, f"must be a list, not {kind_of(value)}")])


def _entries(value: Value, place: Place, expected: str) -> Tree:
    """Returns a mapping; a text that may stand for another type is JSON."""
    if isinstance(value, Text):
        found = _json(value)
        if isinstance(found, dict):
            return cast("Tree", found)
        raise Mismatch([Problem(place.path, f"must be {expected}, in JSON")])
    if isinstance(value, Mapping):
        return value
    raise Mismatch([Problem(place.path, f"must be {expected}, not {kind_of(value)}")])


def _json(text: str) -> Any:
    """Returns what a text is as JSON, with its texts as those that may stand for another type; None if it is not JSON."""
    try:
        return _texts(read_json(text), 0)
    except ValueError:  # It repeats the text.
        return None


def _texts(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, list):
        return [_texts(each, depth + 1) for each in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {name: _texts(each, depth + 1) for name, each in cast("dict[str, Any]", value).items()}
    return value


def _mapping(item: Plan) -> Plan:
    def make(value: Value, place: Place) -> Any:
        problems: list[Problem] = []
        found: dict[str, Any] = {}
        for name, each in _entries(value, place, "names with values").items():
            try:
                found[name] = item.make(each, place.inside(name))
            except Mismatch as mismatch:
                problems += mismatch.problems
        if problems:
            raise Mismatch(problems)
        return FrozenDict(found)

    return Plan(make, ((),) if item.secrets else ())


class _Field(NamedTuple):
    name: str
    plan: Plan
    required: bool


def _dataclass(kind: type, part: Callable[[Any], Plan], unknown: str) -> Plan:
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise TypeError(
            f"{_shown(kind)} must be frozen, because all readers get one object: write @dataclass(frozen=True)"
        )
    fields = list(_fields(kind, part))
    name_of_class = kind.__name__

    def make(value: Value, place: Place) -> Any:
        tree = _entries(value, place, f"the settings of {name_of_class}")
        path = tuple(str(each) for each in place.path)
        problems: list[Problem] = []
        given: dict[str, Any] = {}
        used: set[str] = set()
        for name, plan, required in fields:
            there = child(tree, path, name, place.loose)
            try:
                if there is not None:
                    used.add(there)
                    given[name] = plan.make(tree[there], place.inside(there))
                elif required and plan.if_missing is not None:
                    given[name] = plan.if_missing(place.inside(name))
                elif required:
                    problems.append(Problem((*place.path, name), "is missing"))
            except Mismatch as mismatch:
                problems += mismatch.problems
        if unknown == "error":
            names = [field.name for field in fields]
            problems += [
                Problem((*place.path, name), _unknown(name_of_class, name, names))
                for name in tree
                if name not in used and (place.path or name != RESERVED)
            ]
        if problems:
            raise Mismatch(problems)
        try:
            return kind(**given)
        except Exception as error:  # Its text may repeat a value.
            problem = f"{name_of_class} refuses it: {type(error).__name__}{_line(error)}"
        raise Mismatch([Problem(place.path, problem)])

    secrets = tuple((field.name, *path) for field in fields for path in field.plan.secrets)

    def make_missing(place: Place) -> Any:
        return make({}, place)

    return Plan(make, secrets, make_missing)


def _fields(kind: type, part: Callable[[Any], Plan]) -> Iterator[_Field]:
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{_shown(kind)} has a field whose type is not defined where the class is: {error.name}"
        ) from None
    for field in dataclasses.fields(kind):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            try:
                yield _Field(field.name, part(hints[field.name]), required)
            except TypeError as error:
                raise TypeError(f"{kind.__name__}.{field.name}: {error}") from None


def _unknown(kind: str, name: str, names: Sequence[str]) -> str:
    found = near(name, names, 1)
    return f"is no setting of {kind}; " + (
        f"did you mean {found[0]}?" if found else f"it has {', '.join(names) or 'none'}"
    )


def _line(error: Exception) -> str:
    """Returns where an exception was raised, inside the class that refuses a value."""
    trace = inspect.trace() if error.__traceback__ is None else inspect.getinnerframes(error.__traceback__, context=0)
    return f" in line {trace[-1].lineno} of {trace[-1].filename}" if len(trace) > 1 else ""


def _shown(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
