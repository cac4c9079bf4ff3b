"""AsyncAPI documents: valid by the official schema, and true: of the JSON, the headers and the .proto of real events."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from micro_rt.events.envelope import rfc3339, seal
from protoc_gen_micro.run.generate import respond
from tests.codegen.tools import HERE, PROTOS, ROOT, generate, request, tree, write

OFFICIAL, OFFICIAL_BEFORE = (
    json.loads((HERE / "asyncapi" / f"{version}.json").read_text()) for version in ("3.1.0", "3.0.0")
)
NAMES = ("order_events", "torture/events", "torture/events_old", "torture/policy")


@pytest.fixture(scope="module", params=NAMES)
def document(request: pytest.FixtureRequest, generated: Path) -> dict[str, Any]:
    return _document(generated, request.param)


def test_every_file_with_events_has_one_and_no_other(generated: Path) -> None:
    assert {name for name in tree(generated) if name.endswith(".json")} == {f"{name}.asyncapi.json" for name in NAMES}


def test_valid_by_the_official_schema(document: dict[str, Any]) -> None:
    official = Draft7Validator(OFFICIAL)
    assert [error.message for error in official.iter_errors(document)] == []
    for text in document["components"]["x-protobuf"].values():
        schema = {**OFFICIAL, "$id": "http://asyncapi.com/test.json"}
        schema = {"$ref": "http://asyncapi.com/definitions/3.1.0/multiFormatSchema.json", **_only_definitions(schema)}
        assert [error.message for error in Draft7Validator(schema).iter_errors(text)] == []


def test_valid_for_tools_of_the_version_before(document: dict[str, Any]) -> None:
    """What 3.1.0 added is not used, so the number is all that has to be changed for a tool that reads 3.0.0 only."""
    before = Draft7Validator(OFFICIAL_BEFORE)
    assert document["asyncapi"] == "3.1.0"
    assert not before.is_valid(document)
    assert [error.message for error in before.iter_errors({**document, "asyncapi": "3.0.0"})] == []


@pytest.mark.parametrize(
    "path",
    ["channels/torture.everything/address", "components/messages/torture.events.str/headers", "operations/str/action"],
)
def test_the_official_schema_can_say_no(path: str, generated: Path) -> None:
    wrong = _document(generated, "torture/events")
    *places, last = path.split("/")
    part = wrong
    for place in places:
        part = part[place]
    part[last] = 5
    assert not Draft7Validator(OFFICIAL).is_valid(wrong)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(_references(document))
    assert len(found) >= 5
    for reference in found:
        assert _follow(document, reference) is not None
    for operation in document["operations"].values():
        channel = _follow(document, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert _follow(document, message["$ref"]) in channel["messages"].values()


def test_what_it_says_of_events(generated: Path) -> None:
    document = _document(generated, "order_events")
    assert document["info"] == {
        "title": "Events of order_events.proto",
        "version": "2.10",
        "description": "What happens to orders.",
    }
    assert document["channels"]["orders.placed"] == {
        "address": "orders.placed",
        "description": "The header `ce_type` says which of the messages a record is.",
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"}
            for name in ("order_events.Placed", "order_events.Placed.Part")
        },
        "bindings": {
            "kafka": {
                "partitions": 12,
                "topicConfiguration": {"retention.ms": 86400500},
                "bindingVersion": "0.5.0",
            }
        },
    }
    assert "bindings" not in document["channels"]["orders.lost"]
    assert {(name, op["action"], op["channel"]["$ref"]) for name, op in document["operations"].items()} == {
        ("placed", "send", "#/channels/orders.placed"),
        ("placed_part", "send", "#/channels/orders.placed"),
        ("lost", "send", "#/channels/orders.lost"),
    }
    placed, part, lost = document["components"]["messages"].values()
    assert placed["description"] == "An order was placed."
    assert placed["contentType"] == "application/protobuf"
    assert placed["x-version"] == "2.1"
    assert placed["correlationId"]["location"] == "$message.payload#/orderId"
    assert part["correlationId"]["location"] == "$message.payload#/whole/orderId"
    assert part["bindings"]["kafka"]["key"] == {
        "type": "string",
        "description": "The text of the field whole.order_id.",
    }
    assert placed["headers"]["properties"]["ce_type"]["const"] == "order_events.Placed"
    assert part["headers"]["properties"]["ce_type"]["const"] == "com.example.order.part-returned"
    assert lost["deprecated"] is True
    assert "correlationId" not in lost and "bindings" not in lost
    schemas = document["components"]["schemas"]
    assert schemas["order_events.Lost"]["deprecated"] is True
    assert schemas["order_events.Lost"]["properties"]["why"] == {"type": "string", "deprecated": True}
    assert schemas["order_events.Placed"]["properties"]["orderId"] == {"type": "string", "description": "Its number."}
    assert schemas["shop.common.Money"]["description"] == "An amount in a currency."


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("bytes", {"type": "string", "contentEncoding": "base64", "description": "The bytes of the field id."}),
        ("bool", {"type": "string", "enum": ["0", "1"], "description": "Whether the field is set to true: id."}),
        ("sint32", {"type": "string", "pattern": "^-?[0-9]+$", "description": "The decimal text of the field id."}),
        ("fixed64", {"type": "string", "pattern": "^[0-9]+$", "description": "The decimal text of the field id."}),
        (
            "Kind",
            {
                "type": "string",
                "pattern": "^-?[0-9]+$",
                "description": "The decimal text of the number of the field id.",
            },
        ),
    ],
)
def test_keys(kind: str, schema: dict[str, Any], tmp_path: Path) -> None:
    source = (
        'syntax = "proto3";\npackage k;\nimport "micro_rt/annotations.proto";\nenum Kind { KIND = 0; }\n'
        f'message M {{ option (micro.event) = {{topic: "t" key: "id"}}; {kind} id = 1; }}\n'
    )
    document = _of(generate(tmp_path, {"k.proto": source}), "k")
    assert document["components"]["messages"]["k.M"]["bindings"]["kafka"]["key"] == schema
    assert document["info"]["version"] == "1.0.0"


@pytest.mark.parametrize("parameter", ["messages=betterproto", "messages=none", "package=acme.api"])
def test_the_same_in_every_dialect(parameter: str, generated: Path) -> None:
    for name in ("order_events", "torture/events"):
        document = _of(_respond(name, parameter), name)
        assert document == _document(generated, name)


def test_headers_are_those_of_published_events(generated: Path) -> None:
    document = _document(generated, "order_events")
    headers = seal(b"order_events.Placed", b"1", b"shop", rfc3339(1700000000.25), (("tenant", b"a"),))
    record = {name: value.decode() for name, value in headers}
    schema = document["components"]["messages"]["order_events.Placed"]["headers"]
    _check(document, schema, record)
    for name in ("ce_type", "ce_id", "ce_source", "ce_specversion", "content-type"):
        with pytest.raises(ValidationError):
            _check(document, schema, {key: value for key, value in record.items() if key != name})
    with pytest.raises(ValidationError):
        _check(document, schema, {**record, "ce_type": "order_events.Lost"})


EVERYTHING = """
{ "aDouble": 1.5, "aFloat": "NaN", "aInt32": -1, "aInt64": "-9223372036854775808", "aUint32": 4294967295,
  "aUint64": "18446744073709551615", "aSint32": -2, "aSint64": "-3", "aFixed32": 4, "aFixed64": "5", "aSfixed32": -6,
  "aSfixed64": "-7", "aBool": true, "aString": "x", "aBytes": "AP8=", "kind": "KIND_ONE",
  "itself": {"itself": {"aDouble": "-Infinity"}}, "many": [{}, {"aBool": true}], "numbers": ["1", "2"],
  "byName": {"a": {"kind": "KIND_ONE"}}, "byNumber": {"-5": "KIND_ONE"}, "byFlag": {"true": "AA=="},
  "byUnsigned": {"7": 1.0}, "the \\"first\\"": "x", "only": true, "maybe": "",
  "any": {"@type": "type.googleapis.com/torture.events.In", "import": "1"}, "duration": "-1.500s", "empty": {},
  "mask": "a,b.c", "struct": {"a": [1, null]}, "value": [1, "x", {}], "values": [1, "a", null],
  "time": "2026-11-24T12:00:00.500Z", "boolValue": false, "bytesValue": "AA==", "doubleValue": "Infinity",
  "floatValue": 1.0, "int32Value": -1, "int64Value": "-1", "stringValue": "", "uint32Value": 1, "uint64Value": "1",
  "old": "x", "mixed": {"done": true} }
"""


@pytest.fixture(scope="module")
def torture(generated: Path) -> Iterator[Any]:
    sys.path.insert(0, str(generated))
    yield importlib.import_module("torture.events_pb2")
    sys.path.remove(str(generated))
    for name in [name for name in sys.modules if name.startswith("torture")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "text", [EVERYTHING, "{}", '{"second": {"import": "1"}}', '{"third": null}', '{"value": null}', '{"itself": {}}']
)
def test_payloads_are_what_protobuf_writes_in_json(text: str, torture: Any, generated: Path) -> None:
    document = _document(generated, "torture/events")
    message = json_format.Parse(text, torture.Everything())
    written = json_format.MessageToDict(message)
    schema = document["components"]["messages"]["torture.events.Everything"]["payload"]
    _check(document, schema, written)
    everything = document["components"]["schemas"]["torture.events.Everything"]
    assert set(written) <= set(everything["properties"])
    if text is EVERYTHING:
        # One member of the oneof is set; what is written has all else.
        assert set(everything["properties"]) - set(written) == {"second", "third"}


@pytest.mark.parametrize(
    "payload",
    [
        {"aInt64": 1},
        {"aInt32": "1"},
        {"aInt32": 2**31},
        {"aUint32": -1},
        {"aUint64": "-1"},
        {"aDouble": "nan"},
        {"aBool": 1},
        {"aBytes": 1},
        {"kind": "KIND_TWO"},
        {"itself": {"itself": {"aBool": "yes"}}},
        {"many": {}},
        {"byName": {"a": {"aBool": "yes"}}},
        {"byNumber": {"x": "KIND_ONE"}},
        {"byFlag": {"yes": "AA=="}},
        {"byUnsigned": {"-1": 1}},
        {'the "first"': "x", "second": {}},
        {"duration": "1"},
        {"any": {}},
        {"empty": {"x": 1}},
        {"stringValue": 1},
        {"struct": []},
    ],
    ids=str,
)
def test_payloads_that_are_wrong(payload: dict[str, Any], generated: Path) -> None:
    document = _document(generated, "torture/events")
    schema = document["components"]["messages"]["torture.events.Everything"]["payload"]
    with pytest.raises(ValidationError):
        _check(document, schema, payload)


def test_required_fields_are_required(generated: Path) -> None:
    document = _document(generated, "torture/events_old")
    schema = document["components"]["messages"]["torture.events_old.Old"]["payload"]
    _check(document, schema, {"id": {"number": "1"}, "part": [{"text": "x", "inner": {"flag": True}}]})
    for wrong in ({}, {"id": {}}, {"id": {"number": "1"}, "part": [{}]}):
        with pytest.raises(ValidationError):
            _check(document, schema, wrong)


def test_the_protos_compile_to_the_same_messages(document: dict[str, Any], tmp_path: Path) -> None:
    texts = document["components"]["x-protobuf"]
    write(tmp_path, {name: text["schema"] for name, text in texts.items()})
    compiled = {file.name: file for file in request([tmp_path], list(texts)).proto_file}
    for message in document["components"]["messages"].values():
        extension = message["x-protobuf"]
        text = _follow(document, extension["schema"]["$ref"])
        (name,) = (name for name, known in texts.items() if known is text)
        package = compiled[name].package
        top = extension["message"].removeprefix(f"{package}.").split(".")[0]
        assert top in {found.name for found in compiled[name].message_type}
        syntax = compiled[name].syntax or "proto2"
        assert text["schemaFormat"] == f"application/vnd.google.protobuf;version={syntax.removeprefix('proto')}"


def test_editions_say_so(tmp_path: Path) -> None:
    source = (
        'edition = "2023";\npackage e;\nimport "micro_rt/annotations.proto";\n'
        'message M { option (micro.event) = {topic: "t"}; int32 x = 1 [features.field_presence = LEGACY_REQUIRED]; }\n'
    )
    document = _of(generate(tmp_path, {"e/e.proto": source}), "e/e")
    assert document["components"]["x-protobuf"]["e/e.proto"]["schemaFormat"].endswith(";version=2023")
    assert document["components"]["schemas"]["e.M"]["required"] == ["x"]
    assert _follow(document, document["components"]["messages"]["e.M"]["x-protobuf"]["schema"]["$ref"])


def test_beside_the_stubs(tmp_path: Path) -> None:
    source = (
        'syntax = "proto3";\npackage p;\nimport "micro_rt/annotations.proto";\n'
        'message M { option (micro.event) = {topic: "t"}; }\n'
    )
    response = generate(tmp_path, {"import/v1.0/line-items.proto": source})
    assert [file.name for file in response.file][-2:] == [
        "import_/v1/_0/line_items_micro.py",
        "import_/v1/_0/line_items.asyncapi.json",
    ]


def _document(generated: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((generated / f"{name}.asyncapi.json").read_text())
    return document


def _respond(name: str, parameter: str) -> Any:
    return respond(request([PROTOS, ROOT], [f"{name}.proto"], parameter))


def _of(response: Any, name: str) -> dict[str, Any]:
    assert response.error == ""
    (document,) = (json.loads(file.content) for file in response.file if file.name == f"{name}.asyncapi.json")
    return document


def _only_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": schema["$schema"], "definitions": schema["definitions"]}


def _check(document: dict[str, Any], schema: dict[str, Any], instance: Any) -> None:
    whole = {"allOf": [schema], "components": document["components"]}
    Draft7Validator(whole).validate(instance)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _follow(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    part: Any = document
    for step in reference.removeprefix("#/").split("/"):
        part = part[step.replace("~1", "/").replace("~0", "~")]
    return part
