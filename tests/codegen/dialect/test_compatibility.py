"""Code that was written for betterproto does with our messages what it does with betterproto's own."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import io
import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import betterproto
import pytest
from betterproto.lib.google.protobuf import Any as GoogleAny
from betterproto.lib.google.protobuf import Struct, Value

from micro_rt.dialects.betterproto import DecodeError
from tests.codegen.dialect.conftest import Modules

NOON = datetime(2026, 11, 24, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture(params=["ours", "theirs"])
def m(request: pytest.FixtureRequest, importable: None) -> ModuleType:
    return importlib.import_module("twin_pb" if request.param == "ours" else "tests.codegen.dialect.twin")


@pytest.fixture
def both(importable: None) -> tuple[ModuleType, ModuleType]:
    return importlib.import_module("twin_pb"), importlib.import_module("tests.codegen.dialect.twin")


def full(m: Any) -> Any:
    return m.Tree(
        name="oak",
        count=-5,
        leaf=m.Leaf(name="l", size=3),
        leaves=[m.Leaf("a", 1), m.Leaf(), m.Leaf("c")],
        named={"x": m.Leaf("y", 2)},
        texts={1: "one", 300: "many"},
        maybe=0,
        mood=m.Mood.GLAD,
        picked=m.Leaf("p"),
        moment=NOON,
        span=timedelta(seconds=90, microseconds=5000),
        wrapped=0,
        sizes=[1, 200, 70_000],
        data=b"\x00\xff",
        ratio=0.5,
        flag=True,
    )


TREES: dict[str, Callable[[Any], Any]] = {
    "empty": lambda m: m.Tree(),
    "full": full,
    "positional": lambda m: m.Tree("oak", 7),
    "enum as a number": lambda m: m.Tree(mood=1),
    "unknown enum": lambda m: m.Tree(mood=m.Mood.try_value(9)),
    "oneof at its default": lambda m: m.Tree(number=0),
    "oneof with a text": lambda m: m.Tree(text="t"),
    "message with a default": lambda m: m.Tree(leaf=m.Leaf(size=0)),
    "message that says nothing": lambda m: m.Tree(leaf=m.Leaf()),
    "message without fields": lambda m: m.Tree(nothing=m.Nothing()),
    "negative numbers": lambda m: m.Tree(count=-(2**63), sizes=[-1], maybe=-1),
}


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_bytes_are_those_of_betterproto(make: Callable[[Any], Any], both: tuple[ModuleType, ModuleType]) -> None:
    ours, theirs = (make(m) for m in both)
    assert bytes(ours) == bytes(theirs)
    assert len(ours) == len(theirs)
    assert bool(ours) == bool(theirs)


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_decoding(make: Callable[[Any], Any], m: ModuleType) -> None:
    tree = make(m)
    data = bytes(tree)
    assert m.Tree.FromString(data) == tree
    assert m.Tree().parse(data) == tree
    assert m.Tree().load(io.BytesIO(data)) == tree
    assert tree.SerializeToString() == data
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert copy.deepcopy(tree) == tree
    assert copy.copy(tree) == tree


def test_streams_of_messages(m: ModuleType) -> None:
    stream = io.BytesIO()
    for tree in (full(m), m.Tree(), m.Tree(name="x" * 300)):
        tree.dump(stream, betterproto.SIZE_DELIMITED)
    stream.seek(0)
    assert m.Tree().load(stream, betterproto.SIZE_DELIMITED) == full(m)


def test_defaults(m: ModuleType) -> None:
    tree = m.Tree()
    assert (tree.name, tree.count, tree.leaves, tree.named, tree.maybe, tree.mood) == ("", 0, [], {}, None, m.Mood.CALM)
    assert (tree.moment, tree.span, tree.wrapped, tree.data) == (
        datetime(1970, 1, 1, tzinfo=UTC),
        timedelta(0),
        None,
        b"",
    )
    assert tree.leaf == m.Leaf()
    assert bytes(tree) == b""


def test_lists_and_maps_grow_in_place(m: ModuleType) -> None:
    tree = m.Tree()
    tree.sizes.append(3)
    tree.leaves.append(m.Leaf("a"))
    tree.texts[4] = "four"
    assert m.Tree.FromString(bytes(tree)) == m.Tree(sizes=[3], leaves=[m.Leaf("a")], texts={4: "four"})
    assert m.Tree().sizes == []


def test_presence_of_messages(m: ModuleType) -> None:
    tree = m.Tree()
    assert betterproto.serialized_on_wire(tree.leaf) is False
    tree.leaf.size = 1
    assert betterproto.serialized_on_wire(tree.leaf) is True
    tree.leaf.size = 0
    assert betterproto.serialized_on_wire(tree.leaf) is True
    assert bytes(tree) == b"\x1a\x00"
    tree.leaf = m.Leaf()
    assert betterproto.serialized_on_wire(tree.leaf) is False
    assert bytes(tree) == b""
    assert betterproto.serialized_on_wire(m.Tree.FromString(b"\x1a\x00").leaf) is True
    assert betterproto.serialized_on_wire(m.Tree().nothing) is False
    assert bytes(m.Tree.FromString(b"\x92\x01\x00")) == b"\x92\x01\x00"


def test_is_set(m: ModuleType) -> None:
    assert not m.Tree().is_set("name")
    assert not m.Tree().is_set("maybe")
    assert m.Tree(name="").is_set("name")
    assert m.Tree(maybe=0).is_set("maybe")
    assert m.Tree(number=0).is_set("number")
    assert not m.Tree(number=0).is_set("text")
    assert m.Tree(leaf=m.Leaf()).is_set("leaf")
    with pytest.raises(KeyError):
        m.Tree().is_set("nothing_like_it")


def test_oneofs(m: ModuleType) -> None:
    tree = m.Tree()
    assert betterproto.which_one_of(tree, "pick") == ("", None)
    tree.text = "t"
    assert betterproto.which_one_of(tree, "pick") == ("text", "t")
    tree.picked = m.Leaf("p")
    assert betterproto.which_one_of(tree, "pick") == ("picked", m.Leaf("p"))
    with pytest.raises(AttributeError, match="'pick' is set to 'picked', not 'text'"):
        _ = tree.text
    tree.number = 0
    assert betterproto.which_one_of(tree, "pick") == ("number", 0)
    assert betterproto.which_one_of(m.Tree.FromString(bytes(tree)), "pick") == ("number", 0)
    match tree:
        case m.Tree(text=_):
            raise AssertionError("text is not set")
        case m.Tree(number=number):
            assert number == 0


def test_repr(m: ModuleType) -> None:
    assert repr(m.Leaf("a", 1)) == "Leaf(name='a', size=1)"
    assert repr(m.Leaf(size=0)) == "Leaf(size=0)"


def test_equality(m: ModuleType) -> None:
    assert m.Tree(ratio=math.nan) == m.Tree(ratio=math.nan)
    assert m.Tree() == m.Tree(name="", leaves=[])
    assert m.Tree() != m.Leaf()
    assert m.Tree(leaf=m.Leaf("x")) != m.Tree()
    assert full(m) != m.Tree.FromString(bytes(full(m))).parse(b"\x10\x05")


def test_json_that_betterproto_has_right(m: ModuleType) -> None:
    tree = m.Tree(name="n", count=5, leaf=m.Leaf("l"), leaves=[m.Leaf("a")], data=b"\x01", sizes=[1], maybe=3, text="t")
    found = tree.to_dict()
    assert found == {
        "name": "n",
        "count": "5",
        "leaf": {"name": "l"},
        "leaves": [{"name": "a"}],
        "maybe": 3,
        "text": "t",
        "sizes": [1],
        "data": "AQ==",
    }
    assert m.Tree().from_dict(found) == tree
    assert m.Tree.from_dict(found) == tree
    assert m.Tree().from_json(tree.to_json(indent=2)) == tree
    assert m.Leaf(size=1).to_dict(include_default_values=True) == {"name": "", "size": 1}
    assert m.Tree(moment=NOON).to_dict(casing=betterproto.Casing.SNAKE) == {"moment": "2026-11-24T12:30:15.250Z"}


def test_pydict(m: ModuleType) -> None:
    tree = m.Tree(name="n", leaf=m.Leaf("l"), leaves=[m.Leaf("a")], moment=NOON, text="t")
    if m.__name__ == "twin_pb":  # betterproto's own fails at a oneof
        assert tree.to_pydict()["text"] == "t"
    found = {"name": "n", "leaf": {"name": "l"}, "leaves": [{"name": "a"}], "moment": NOON}
    assert m.Tree().from_pydict(found) == m.Tree(name="n", leaf=m.Leaf("l"), leaves=[m.Leaf("a")], moment=NOON)


def test_enums(m: ModuleType) -> None:
    assert issubclass(m.Mood, betterproto.Enum)
    assert list(m.Mood) == [m.Mood.CALM, m.Mood.GLAD]
    assert m.Mood(1) is m.Mood.GLAD is m.Mood["GLAD"] is m.Mood.from_string("GLAD")
    assert m.Mood.GLAD.name == "GLAD" and m.Mood.GLAD == 1
    assert m.Tree.FromString(b"\x40\x09").mood == 9
    assert m.Tree.FromString(b"\x40\x01").mood is m.Mood.GLAD


def test_dataclasses(m: ModuleType) -> None:
    assert [field.name for field in dataclasses.fields(m.Leaf)] == ["name", "size"]
    assert dataclasses.replace(m.Leaf("a", 1), size=2) == m.Leaf("a", 2)
    assert dataclasses.asdict(m.Leaf("a", 1)) == {"name": "a", "size": 1}
    assert isinstance(m.Tree(), betterproto.Message)
    with pytest.raises(TypeError):
        m.Leaf(colour="red")
    with pytest.raises(TypeError):
        hash(m.Leaf())


def test_their_tables_describe_our_messages(both: tuple[ModuleType, ModuleType]) -> None:
    ours, theirs = (m.Tree._betterproto for m in both)
    assert ours.sorted_field_names == theirs.sorted_field_names
    assert ours.meta_by_field_name == theirs.meta_by_field_name
    assert ours.oneof_group_by_field == theirs.oneof_group_by_field
    assert [ours.default_gen[name]() for name in ("name", "sizes", "texts", "maybe")] == ["", [], {}, None]


def test_what_their_json_wrote_is_read(both: tuple[ModuleType, ModuleType]) -> None:
    ours, theirs = both
    tree = theirs.Tree(mood=theirs.Mood.GLAD, count=3)
    assert tree.to_dict()["mood"] == "GLAD"
    assert ours.Tree.from_dict(tree.to_dict()) == ours.Tree(mood=ours.Mood.GLAD, count=3)
    assert ours.Tree(mood=ours.Mood.GLAD).to_dict() == {"mood": "MOOD_GLAD"}


def test_unknown_names_are_refused_unless_asked(importable: None) -> None:
    leaf = importlib.import_module("twin_pb").Leaf
    with pytest.raises(DecodeError, match=r"twin\.Leaf has no field 'colour'"):
        leaf.from_dict({"colour": "red"})
    assert leaf.from_dict({"colour": "red", "name": "x"}, ignore_unknown_fields=True) == leaf("x")
    with pytest.raises(DecodeError, match=r"in twin\.Leaf\.size: '1\.5' is no|whole number"):
        leaf().from_json('{"size": 1.5}')


def test_well_known_types(everything: Modules) -> None:
    ours = everything.ours
    known = ours.Known(
        struct=Struct(fields={"a": Value(number_value=1.5), "b": Value(string_value="x")}),
        value=Value(bool_value=True),
        anything=GoogleAny("type.googleapis.com/everything.Scalars", bytes(ours.Scalars(an_int32=5))),
        an_int32=0,
        a_string="s",
    )
    again = ours.Known.FromString(bytes(known))
    assert again == known
    assert type(again.struct) is Struct
    assert known.to_dict() == {
        "struct": {"a": 1.5, "b": "x"},
        "value": True,
        "anything": {"@type": "type.googleapis.com/everything.Scalars", "anInt32": 5},
        "anInt32": 0,
        "aString": "s",
    }
    assert ours.Known.from_dict(known.to_dict()) == known


def test_nanoseconds_survive(everything: Modules) -> None:
    ours = everything.ours
    known = ours.Known().from_json('{"moment": "2026-11-24T12:30:15.123456789Z", "span": "-3.000000001s"}')
    assert known.moment == datetime(2026, 11, 24, 12, 30, 15, 123_456, tzinfo=UTC)
    for again in (ours.Known.FromString(bytes(known)), copy.deepcopy(known), pickle.loads(pickle.dumps(known))):
        assert again.to_dict() == {"moment": "2026-11-24T12:30:15.123456789Z", "span": "-3.000000001s"}
    assert ours.Known(moment=known.moment + timedelta(seconds=1)).to_dict() == {"moment": "2026-11-24T12:30:16.123456Z"}


@pytest.mark.parametrize(
    "values",
    [
        {"an_int32": 2**31},
        {"a_uint32": -1},
        {"a_sint64": 2**63},
        {"a_fixed32": -1},
        {"a_sfixed64": 2**63},
        {"a_string": "\ud800"},
    ],
)
def test_what_no_field_can_hold_is_refused(everything: Modules, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        bytes(everything.ours.Scalars(**values))


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05ab", b"\x08" + b"\xff" * 10 + b"\x01", b"\x0b", b"\x00", b"\x0a\x01\xff"]
)
def test_damaged_bytes_are_refused(importable: None, data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"not a valid twin\.Tree|varint|group|field"):
        importlib.import_module("twin_pb").Tree.FromString(data)


def test_a_subclass_that_is_a_dataclass_is_a_message(importable: None) -> None:
    m: Any = importlib.import_module("twin_pb")

    @dataclasses.dataclass(eq=False, repr=False)
    class Ours(m.Tree):  # type: ignore[misc]
        """Has methods of its own."""

        def shouted(self) -> str:
            return str(self.name.upper())

    given: dict[str, Any] = {
        "name": "oak",
        "leaf": m.Leaf(size=3),
        "leaves": [m.Leaf("a")],
        "texts": {1: "one"},
        "picked": m.Leaf("p"),
    }
    for values in ({}, given):
        ours, plain = Ours(**values), m.Tree(**values)
        assert bytes(ours) == bytes(plain)
        assert ours.to_dict() == plain.to_dict()
        assert ours.to_pydict() == plain.to_pydict()
        assert betterproto.which_one_of(ours, "pick") == betterproto.which_one_of(plain, "pick")
        assert (ours.leaf, ours.leaves, ours.texts, ours.moment) == (
            plain.leaf,
            plain.leaves,
            plain.texts,
            plain.moment,
        )
        assert ours.shouted() == plain.name.upper()
        read = Ours.FromString(bytes(plain))
        assert isinstance(read, Ours)
        assert bytes(read) == bytes(plain)
    first, second = Ours(), Ours()
    first.leaves.append(m.Leaf())
    assert second.leaves == []


def test_nesting_has_a_limit(everything: Modules) -> None:
    data = b""
    for _ in range(101):
        data = b"\x5a" + betterproto.encode_varint(len(data)) + data
    oneofs = everything.ours.Oneofs
    with pytest.raises(DecodeError, match="deeper than 100"):
        oneofs.FromString(data)
