"""Fields of betterproto's own classes, and keys of dicts: bytes and JSON are the official ones, and nothing is lost."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import betterproto
import pytest
from betterproto.casing import camel_case, pascal_case, snake_case
from betterproto.lib.google import protobuf as lib
from google.protobuf import (
    api_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from hypothesis import given
from hypothesis import strategies as st

from micro_rt.dialects import foreign
from tests.codegen.dialect.conftest import Modules
from tests.codegen.dialect.test_round_trips import QUIET, fill, same
from tests.codegen.dialect.tree import DIALECT, PROTOS
from tests.codegen.tools import protoc

CASINGS: tuple[Any, ...] = (camel_case, snake_case, pascal_case)
IMPORTED = (api_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
"""The official json_format reads only types whose modules are imported."""


@pytest.fixture(scope="module")
def m(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    out = tmp_path_factory.mktemp("described")
    for options in ([DIALECT], []):
        protoc(out, [PROTOS], ["described.proto"], *options)
    sys.path.insert(0, str(out))
    yield Modules(importlib.import_module("described_pb"), importlib.import_module("described_pb2"))
    sys.path.remove(str(out))


OFFICIAL = {
    "an enum": '{"syntax": "SYNTAX_PROTO3"}',
    "enums": '{"syntaxes": ["SYNTAX_PROTO2", "SYNTAX_EDITIONS"], "named": {"a": "SYNTAX_PROTO3"}}',
    "nested enums": '{"kind": "TYPE_INT32", "cardinality": "CARDINALITY_REPEATED"}',
    "an Api": (
        '{"api": {"name": "a", "methods": [{"name": "m", "requestTypeUrl": "r", "requestStreaming": true}], '
        '"sourceContext": {"fileName": "a.proto"}, "mixins": [{"root": "x"}], "syntax": "SYNTAX_PROTO3"}}'
    ),
    "a Type": (
        '{"type": {"name": "t", "fields": [{"kind": "TYPE_BOOL", "cardinality": "CARDINALITY_OPTIONAL", "jsonName": "x"}], '
        '"syntax": "SYNTAX_PROTO3"}}'
    ),
    "Enums": '{"enums": [{"name": "e", "enumvalue": [{"name": "E_A", "number": 1}, {"number": -2}, {}]}, {}]}',
    "a descriptor": (
        '{"file": {"name": "f", "messageType": [{"name": "M", "field": [{"name": "x", "label": "LABEL_REPEATED"}]}], '
        '"options": {"javaMultipleFiles": true, "optimizeFor": "SPEED", "features": {"enumType": "OPEN"}}, '
        '"dependency": ["a"], "publicDependency": [1, 2], "edition": "EDITION_2023"}}'
    ),
    "a member of a oneof": '{"option": {"name": "o", "value": {"@type": "type.googleapis.com/google.protobuf.Empty"}}}',
    "null of a oneof": '{"null": null}',
    "Struct": '{"struct": {"a": 1.5, "b": [null, true, {"c": "x"}]}, "value": null, "list": [], "many": [null, 2.0, "x"]}',
    "an empty Struct": '{"struct": {}, "value": {}, "list": [[]]}',
    "an empty Api": '{"api": {}}',
}


@pytest.mark.parametrize("text", OFFICIAL.values(), ids=OFFICIAL)
def test_json_and_bytes_are_official(text: str, m: Modules) -> None:
    official = json_format.Parse(text, m.google.Described())
    data = official.SerializeToString()
    ours = m.ours.Described().from_json(text)
    assert ours.to_dict() == json_format.MessageToDict(official)
    assert same(m.google.Described.FromString(bytes(ours)), official)
    decoded = m.ours.Described.FromString(data)
    assert decoded == ours
    assert decoded.to_dict() == json_format.MessageToDict(official)
    assert same(m.google.Described.FromString(bytes(decoded)), official)


@QUIET
@given(data=st.data())
def test_random_messages(data: st.DataObject, m: Modules, everything: Modules) -> None:
    official = m.google.Described()
    fill(data, official.type)
    fill(data, official.enums.add())
    official.type.SetInParent()
    ours = m.ours.Described.FromString(official.SerializeToString())
    assert m.ours.Described.FromString(bytes(ours)) == ours
    assert same(m.google.Described.FromString(bytes(ours)), official)
    expected = json_format.MessageToDict(official)
    assert ours.to_dict() == expected
    assert same(m.google.Described.FromString(bytes(m.ours.Described.from_dict(expected))), official)


def test_what_earlier_versions_wrote_is_read(m: Modules) -> None:
    assert m.ours.Described.from_dict({"syntax": "PROTO3"}).syntax == lib.Syntax.PROTO3
    assert m.ours.Described.from_dict(
        {"api": {"syntax": "PROTO3", "source_context": {"file_name": "f"}}}
    ).to_dict() == {"api": {"syntax": "SYNTAX_PROTO3", "sourceContext": {"fileName": "f"}}}


def test_a_wrong_name_is_an_error_that_names_the_place(m: Modules) -> None:
    with pytest.raises(ValueError, match=r"in described\.Described\.api: google\.protobuf\.Api has no field 'nam'"):
        m.ours.Described().from_json('{"api": {"nam": "x"}}')
    with pytest.raises(ValueError, match=r"in google\.protobuf\.Api\.syntax: the enum Syntax has no value 'PROTO9'"):
        m.ours.Described().from_json('{"api": {"syntax": "PROTO9"}}')


def url(name: str) -> str:
    return f"type.googleapis.com/{name}"


INSIDE_ANY: dict[str, dict[str, Any]] = {
    "google.protobuf.Empty": {},
    "google.protobuf.Api": {"name": "a", "syntax": "SYNTAX_PROTO3"},
    "google.protobuf.Option": {"name": "o", "value": {"@type": url("google.protobuf.Empty")}},
    "google.protobuf.SourceContext": {"fileName": "f"},
    "google.protobuf.Enum": {"enumvalue": [{"name": "A", "number": 1}]},
    "google.protobuf.Duration": {"value": "1.500s"},
    "google.protobuf.Timestamp": {"value": "1970-01-01T00:00:00Z"},
    "google.protobuf.FieldMask": {"value": "a,bC"},
    "google.protobuf.Struct": {"value": {"value": 1.0}},
    "google.protobuf.Value": {"value": None},
    "google.protobuf.ListValue": {"value": [1.0]},
    "google.protobuf.Int64Value": {"value": "5"},
    "google.protobuf.BytesValue": {"value": ""},
    "google.protobuf.Any": {"value": {"@type": url("google.protobuf.Empty")}},
    "described.Clock": {"use12hClock": True},
}


@pytest.mark.parametrize("name", INSIDE_ANY)
def test_any_has_the_official_form(name: str, m: Modules) -> None:
    text = {"anything": {"@type": url(name), **INSIDE_ANY[name]}}
    official = json_format.ParseDict(text, m.google.Described())
    assert json_format.MessageToDict(official) == text, "the form is the official one"
    ours = m.ours.Described.from_dict(text)
    assert same(m.google.Described.FromString(bytes(ours)), official)
    assert ours.to_dict() == text
    assert m.ours.Described.FromString(official.SerializeToString()).to_dict() == text


@pytest.mark.parametrize("name", ["google.protobuf.Empty", "google.protobuf.Api", "google.protobuf.SourceContext"])
def test_any_of_the_former_form_is_read(name: str, m: Modules) -> None:
    former = {"anything": {"@type": url(name), "value": INSIDE_ANY[name]}}
    assert m.ours.Described.from_dict(former).to_dict() == {"anything": {"@type": url(name), **INSIDE_ANY[name]}}
    with pytest.raises(ValueError):
        m.ours.Described.from_dict({"anything": {"@type": url(name), "value": INSIDE_ANY[name], "more": 1}})
    with pytest.raises(ValueError, match="an object is needed, not 5"):
        m.ours.Described.from_dict({"anything": {"@type": url(name), "value": 5}})


def clock(m: Modules) -> Any:
    kind = m.ours.Clock
    values = (True, 1, 2, "p", "c", "h", "m", "o", "s", "x")
    inner = kind(*values)
    return kind(*values, inner, [inner, kind()], {"k": inner})


@pytest.mark.parametrize("casing", CASINGS)
def test_no_casing_loses_a_field(casing: Any, m: Modules) -> None:
    whole = clock(m)
    for defaults in (False, True):
        assert m.ours.Clock().from_pydict(whole.to_pydict(casing, defaults)) == whole
        assert m.ours.Clock.from_dict(whole.to_dict(casing, defaults)) == whole
    assert m.ours.Clock().from_dict(whole.to_pydict(casing)) == whole
    assert len(whole.to_pydict(casing)) == len(whole.to_dict(casing)) == 13
    single = m.ours.Clock(use_12_h_clock=True).to_pydict(casing)
    assert m.ours.Clock().from_pydict(single).use_12_h_clock is True


def test_keys_of_betterproto_stay(m: Modules) -> None:
    assert list(clock(m).to_pydict())[:3] == ["use12HClock", "FOO_1", "foo1"]
    assert clock(m).to_dict()["use12hClock"] is True


PYDICTS: list[dict[str, Any]] = [
    {"struct": {"a": 1.5, "b": [None, True, {"c": "x"}], "d": {}}},
    {"value": None},
    {"value": {"a": None}},
    {"list": [1.0, [], "x"]},
    {"many": [None, 2.0], "values": {"a": None, "b": [True]}},
    {"api": {"name": "a", "syntax": lib.Syntax.PROTO3, "sourceContext": {"fileName": "f"}}},
    {"enums": [{"enumvalue": [{"number": 3}]}]},
    {"anything": {"typeUrl": "u", "value": b"x"}},
    {"option": {"name": "o"}},
]


@pytest.mark.parametrize("value", PYDICTS, ids=str)
def test_pydict_of_known_types(value: dict[str, Any], m: Modules) -> None:
    ours = m.ours.Described().from_pydict(value)
    assert ours.to_pydict() == value
    assert m.ours.Described.FromString(bytes(ours)).to_pydict() == value


def test_pydict_takes_messages_and_names_what_is_wrong(m: Modules) -> None:
    kind = m.ours.Described
    assert kind().from_pydict({"api": lib.Api(name="a")}).api.name == "a"
    for value, said in (
        ({"api": 5}, r"in described\.Described\.api: a dict is needed, not 5"),
        ({"enums": 5}, r"in described\.Described\.enums: a list is needed, not 5"),
        ({"named": 5}, r"in described\.Described\.named: a dict is needed, not 5"),
        ({"struct": {"a": b"x"}}, r"in described\.Described\.struct: a value of a google\.protobuf\.Value is needed"),
    ):
        with pytest.raises(TypeError, match=said):
            kind().from_pydict(value)


def test_defaults_of_known_types_end(m: Modules) -> None:
    kind = m.ours.Described
    assert kind().to_dict(include_default_values=True)["syntax"] == "SYNTAX_PROTO2"
    assert kind().to_pydict(include_default_values=True)["struct"] == {}


@pytest.mark.parametrize("name", ["", ".compiler"])
def test_every_class_of_betterproto_has_its_official_names(name: str) -> None:
    module = importlib.import_module(f"betterproto.lib.std.google.protobuf{name}")
    kinds: list[Any] = [kind for kind in vars(module).values() if getattr(kind, "__module__", "") == module.__name__]
    assert len(kinds) >= 5
    for kind in kinds:
        if issubclass(kind, betterproto.Message):
            described: Any = kind
            assert foreign.full_name(kind).startswith(f"google.protobuf{name}."), kind
            assert len(foreign.specs_of(kind)) == len(described._betterproto.meta_by_field_name)
            assert all(len(spec.json_name) > 1 and "_" not in spec.json_name for spec in foreign.specs_of(kind))
        else:
            assert {int(member) for member in kind} <= set(foreign.enum_names(kind).values()), kind
