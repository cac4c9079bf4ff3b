"""What becomes of the values of a config when a type is asked for: texts are converted, everything else is strict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest

import micro_rt as micro
from micro_rt.config import Config, Env, Flags, Memory, Secret


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


Name = NewType("Name", str)


@dataclass(frozen=True)
class Item:
    name: str
    count: int = 1


@dataclass(frozen=True)
class Inner:
    flag: bool
    wait: timedelta = timedelta(seconds=1)
    items: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    other: Inner | None = None
    names: tuple[str, ...] = ()
    by_name: Mapping[str, Item] = field(default_factory=dict)
    computed: int = field(default=7, init=False)


TEXTS: list[tuple[Any, str, Any]] = [
    (bool, "true", True),
    (bool, "TRUE", True),
    (bool, "1", True),
    (bool, "yes", True),
    (bool, "on", True),
    (bool, "false", False),
    (bool, "0", False),
    (bool, "No", False),
    (bool, "off", False),
    (int, "8080", 8080),
    (int, " 8080 ", 8080),
    (int, "-5", -5),
    (int, "+5", 5),
    (int, "012", 12),
    (float, "1.5", 1.5),
    (float, "1e3", 1000.0),
    (float, "5", 5.0),
    (float, ".5", 0.5),
    (str, "8080", "8080"),
    (str, "", ""),
    (str, " a ", " a "),
    (str, "[1]", "[1]"),
    (timedelta, "1m30s", timedelta(seconds=90)),
    (timedelta, "250ms", timedelta(milliseconds=250)),
    (timedelta, "2.5", timedelta(seconds=2.5)),
    (timedelta, "0", timedelta(0)),
    (Colour, "red", Colour.RED),
    (Colour, "GREEN", Colour.GREEN),
    (Level, "2", Level.HIGH),
    (Level, "LOW", Level.LOW),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], "2", 2),
    (Literal[True, "auto"], "yes", True),
    (Path, "/etc/app", Path("/etc/app")),
    (Name, "x", "x"),
    (Annotated[int, "rate"], "5", 5),
    (int | None, "5", 5),
    (int | str, "5", 5),
    (str | int, "5", 5),
    (str | int, "x", "x"),
    (list[str], "A,B", ["A", "B"]),
    (list[str], " A , B ", ["A", "B"]),
    (list[str], "A", ["A"]),
    (list[str], "", []),
    (list[str], '["A,B", "C"]', ["A,B", "C"]),
    (list[int], "1,2,3", [1, 2, 3]),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], '["1", 2]', [1, 2]),
    (list[list[int]], "[[1], [2, 3]]", [[1], [2, 3]]),
    (list[Item], '[{"name": "a"}, {"name": "b", "count": "2"}]', [Item("a"), Item("b", 2)]),
    (tuple[str, int], "a,5", ("a", 5)),
    (tuple[int, ...], "1,2", (1, 2)),
    (Sequence[int], "1,2", (1, 2)),
    (frozenset[str], "a,b,a", frozenset({"a", "b"})),
    (set[int], "1,2", {1, 2}),
    (dict[str, int], '{"a": 1, "b": "2"}', {"a": 1, "b": 2}),
    (Item, '{"name": "a"}', Item("a")),
    (Secret[str], "x", Secret("x")),
    (Secret[int], "5", Secret(5)),
    (object, "5", "5"),
]

WRONG_TEXTS: list[tuple[Any, str]] = [
    (bool, ""),
    (bool, "2"),
    (bool, "ja"),
    (int, ""),
    (int, "1.0"),
    (int, "0x10"),
    (int, "1_000"),
    (int, "١٢"),
    (int, "9" * 5000),
    (float, "nan"),
    (float, "inf"),
    (float, "1e999"),
    (float, "1,5"),
    (timedelta, "soon"),
    (timedelta, "-1s"),
    (timedelta, "1d"),
    (Colour, "Red"),
    (Literal["a", "b"], "c"),
    (Literal[1], "1.0"),
    (Path, ""),
    (Path, "a\0b"),
    (list[int], "1,x"),
    (list[int], "[1, 2"),
    (list[int], "[" * 5000),
    (list[int], "1,"),
    (list[str], "[1]"),
    (tuple[str, int], "a"),
    (tuple[str, int], "a,1,2"),
    (dict[str, int], "a=1"),
    (dict[str, int], "[1]"),
    (Item, '{"nam": "a"}'),
    (Secret[int], "x"),
    (int | None, "x"),
]

TYPED: list[tuple[Any, Any, Any]] = [
    (bool, True, True),
    (int, 5, 5),
    (float, 5, 5.0),
    (float, 1.5, 1.5),
    (str, "x", "x"),
    (timedelta, "1m30s", timedelta(seconds=90)),
    (timedelta, 5, timedelta(seconds=5)),
    (timedelta, 0.5, timedelta(seconds=0.5)),
    (Colour, "red", Colour.RED),
    (Level, 2, Level.HIGH),
    (Literal[1, "a"], 1, 1),
    (list[int], [1, 2], [1, 2]),
    (list[int | None], [1, None], [1, None]),
    (tuple[str, int], ["a", 1], ("a", 1)),
    (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
    (dict, {"a": [1]}, {"a": [1]}),
    (list, [1, "a"], [1, "a"]),
    (Any, {"a": 1}, {"a": 1}),
    (int | str, "5", "5"),
    (Item, {"name": "a", "count": 2}, Item("a", 2)),
    (Secret[str], "x", Secret("x")),
    (Secret[Item], {"name": "a"}, Secret(Item("a"))),
]

WRONG_TYPED: list[tuple[Any, Any]] = [
    (bool, "true"),
    (bool, 1),
    (int, "5"),
    (int, True),
    (int, 5.0),
    (float, "5"),
    (float, True),
    (str, 5),
    (str, True),
    (timedelta, True),
    (timedelta, -1),
    (timedelta, 1e300),
    (Level, "2"),
    (Level, True),
    (Literal[1], True),
    (Literal[1], 1.0),
    (Literal["1"], 1),
    (list[int], "1,2"),
    (list[int], 1),
    (list[int], [1, None]),
    (list[int], ["1"]),
    (list[int], {"a": 1}),
    (dict[str, int], [1]),
    (dict[str, int], {"a": "1"}),
    (Item, "a"),
    (Item, {"name": "a", "count": "2"}),
    (Item, {}),
    (Secret[int], "5"),
]


def shown(value: object) -> str:
    """Returns what a test is called after: the same in every process, which the text of a set is not."""
    return str(sorted(value)) if isinstance(value, set | frozenset) else str(value)


@pytest.mark.parametrize(("kind", "text", "value"), TEXTS, ids=shown)
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("source", ["env", "flags", "interpolated"])
async def test_texts_are_converted_at_every_depth(
    kind: Any, text: str, value: Any, depth: int, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults pydantic-settings#732 and #230: "A,B" was no list, and JSON was read flat and not nested."""
    names = ["a", "b", "c"][:depth]
    monkeypatch.setenv("THE_TEXT", text)
    nested: Any = "${THE_TEXT}"
    for name in reversed(names):
        nested = {name: nested}
    made = {
        "env": Env("APP", {f"APP_{'__'.join(names).upper()}": text}),
        "flags": Flags([f"--{'.'.join(names)}={text}"]),
        "interpolated": Memory(nested),
    }[source]
    async with Config([made]) as config:
        found = config.get(".".join(names), kind)
        assert found == value
        assert type(found) is type(value) or isinstance(found, dict | list | frozenset)
        assert config.get(".".join(names), kind) == value
        if depth == 1:
            bound: Any = dataclass(frozen=True)(type("Bound", (), {"__annotations__": {"a": kind}}))
            live: micro.Live[Any] = config.bind("", bound)
            assert live.value.a == value, "get and bind convert alike"


@pytest.mark.parametrize(("kind", "text"), WRONG_TEXTS, ids=lambda each: str(each)[:30])
async def test_a_text_that_is_not_of_the_type_is_an_error(kind: Any, text: str) -> None:
    async with Config([Env("APP", {"APP_A": text})]) as config:
        with pytest.raises(micro.FailedPrecondition, match=r"a(\[\d\]|\.\w+)? \(APP_A\) (must|is)"):
            config.get("a", kind)


@pytest.mark.parametrize(("kind", "given", "value"), TYPED, ids=shown)
async def test_typed_values_are_taken_as_they_are(kind: Any, given: Any, value: Any) -> None:
    async with Config([Memory({"a": given})]) as config:
        found = config.get("a", kind)
        assert found == value
        assert type(found) is type(value) or isinstance(found, dict | list)


@pytest.mark.parametrize(("kind", "given"), WRONG_TYPED, ids=shown)
async def test_a_typed_value_of_another_type_is_an_error(kind: Any, given: Any) -> None:
    async with Config([Memory({"a": given})]) as config:
        with pytest.raises(
            micro.FailedPrecondition, match=r"^FAILED_PRECONDITION: a(\[\d\]|\.\w+)? (\(memory\) )?(must|is)"
        ):
            config.get("a", kind)


async def test_dataclasses_are_nested() -> None:
    tree: dict[str, Any] = {
        "inner": {"flag": True, "wait": "1m", "items": [{"name": "a"}]},
        "names": ["x", "y"],
        "by_name": {"one two": {"name": "b", "count": 2}},
    }
    async with Config([Memory(tree)]) as config:
        outer = config.bind("", Outer).value
        assert outer == Outer(
            Inner(True, timedelta(minutes=1), [Item("a")]), None, ("x", "y"), {"one two": Item("b", 2)}
        )
        assert json.loads(json.dumps(config.get(""))) == tree


async def test_all_that_is_wrong_is_listed_with_its_place() -> None:
    tree: dict[str, Any] = {
        "inner": {"wait": "x", "items": [{"name": "a"}, {"count": "b"}], "flg": True},
        "names": [1, "x"],
        "other": {"flag": 1},
        "by_name": {"one two": {}},
        "computed": 5,
    }
    async with Config([Memory(tree)]) as config:
        with pytest.raises(micro.FailedPrecondition) as caught:
            config.bind("", Outer)
    assert caught.value.message.split("; ") == [
        "inner.flag (memory) is missing",
        "inner.wait (memory) must be a duration such as 1m30s, or a number of seconds",
        "inner.items[1].name (memory) is missing",
        "inner.items[1].count (memory) must be a whole number, not a text",
        "inner.flg (memory) is no setting of Inner",
        "did you mean flag?",
        "other.flag (memory) must be true or false, not a whole number",
        "names[0] (memory) must be a text, not a whole number",
        'by_name."one two".name (memory) is missing',
        "computed (memory) is no setting of Outer",
        "it has inner, other, names, by_name",
    ]


async def test_a_dataclass_that_refuses_its_values_says_where_and_not_what() -> None:
    @dataclass(frozen=True)
    class Range:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError(f"{self.low} is more than {self.high}")

    source = Memory({"range": {"low": 987654, "high": 1}})
    async with Config([source]) as config:
        with pytest.raises(
            micro.FailedPrecondition, match=r"range \(memory\) Range refuses it: ValueError in line \d+ of "
        ) as caught:
            config.bind("range", Range)
        assert "987654" not in caught.value.message


class Unfrozen:
    pass


@dataclass
class Mutable:
    a: int = 1


@dataclass(frozen=True)
class HasMutable:
    mutable: Mutable


@dataclass(frozen=True)
class HasObject:
    thing: Unfrozen


@dataclass(frozen=True)
class Recursive:
    below: Recursive | None = None


@dataclass(frozen=True)
class Undefined:
    a: Nowhere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Unfrozen, "Unfrozen cannot be read from settings: use bool, int"),
        (Mutable, r"Mutable must be frozen, .* write @dataclass\(frozen=True\)"),
        (HasMutable, "HasMutable.mutable: Mutable must be frozen"),
        (HasObject, "HasObject.thing: Unfrozen cannot be read"),
        (list[Unfrozen], "Unfrozen cannot be read"),
        (dict[int, int], r"names that are texts: dict\[str, …\], not int"),
        (Recursive, "Recursive contains itself"),
        (Undefined, "a field whose type is not defined where the class is: Nowhere"),
        (bytes, "bytes cannot be read"),
        (5, "5 cannot be read"),
        ([], r"\[\] cannot be read|unhashable"),
    ],
    ids=str,
)
async def test_a_type_that_cannot_be_read_is_an_error_of_the_program(kind: Any, problem: str) -> None:
    async with Config([Memory({"a": {}})]) as config:
        with pytest.raises(TypeError, match=problem):
            config.get("a", kind)
        with pytest.raises(TypeError, match=problem):
            config.bind("a", kind)


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", ".", ("a", "")])
async def test_a_path_with_an_empty_name_is_an_error(path: Any) -> None:
    async with Config([]) as config:
        for read in (config.get, config.watch, config.explain, lambda path: config.bind(path, Item)):
            with pytest.raises(ValueError, match="has an empty name"):
                read(path)


async def test_names_with_dots_are_read_name_by_name() -> None:
    async with Config([Memory({"hosts": {"a.example": 1}})]) as config:
        assert config.get(("hosts", "a.example"), int) == 1
        assert [each.path for each in config.dump()] == ['hosts."a.example"']


def test_the_type_decides_the_return_type(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("""
from dataclasses import dataclass
from typing import Any
import micro_rt as micro
from micro_rt.config import Config, Secret

@dataclass(frozen=True)
class Limits:
    rps: int = 1

def use(config: Config) -> None:
    a: int = config.get("a", int)
    b: int = config.get("b", int, default=5)
    c: int | None = config.get("c", int, default=None)
    d: list[str] = config.get("d", list[str])
    e: Limits = config.get("e", Limits)
    f: Secret[str] = config.get("f", Secret[str])
    g: str = f.reveal()
    h: micro.Live[Limits] = config.bind("h", Limits)
    i: int = h.value.rps
    j: Any = config.get("j")
    wrong: str = config.get("a", int)
    wrong_too: int = config.get("c", int, default=None)
    wrong_as_well: str = h.value
""")
    from mypy import api

    output, _, _ = api.run(["--strict", "--no-error-summary", str(program)])
    lines = [line.partition(": ")[0].rpartition(":")[2] for line in output.splitlines() if ": error:" in line]
    numbers = [number for number, line in enumerate(program.read_text().splitlines(), 1) if "wrong" in line]
    assert lines == [str(number) for number in numbers], output
