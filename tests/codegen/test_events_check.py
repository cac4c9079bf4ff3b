"""``micro-rt events check``: what it finds, and that protobuf's own runtime bears it out."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from micro_rt.cli.main import main
from protoc_gen_micro.compatibility.check import Finding, compare
from protoc_gen_micro.compatibility.comparable import SchemaSet
from tests.codegen.tools import PROTOS, ROOT, SCRIPTS, request, run, write

HEAD = 'syntax = "proto3";\npackage p;\nimport "micro_rt/annotations.proto";\n'
BASE = """\
message M {
  option (micro.event) = {topic: "t" key: "id"};
  string id = 1;
  int64 total = 2;
  Part part = 3;
  repeated string tags = 4;
  Kind kind = 5;
  map<string, int32> counts = 6;
  oneof choice {
    string one = 7;
    int32 two = 8;
  }
  string note = 9;
  string memo = 10;
  reserved 100 to 110;
  reserved "gone";
}
message Part {
  int32 number = 1;
  Part inner = 2;
}
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_A = 1;
  KIND_B = 2;
}
"""
ENTRY = "message Entry { string key = 1; int32 value = 2; } "
M, PART, KIND = 4, 21, 25
"""The lines of these."""

BOTH = "breaks wire and JSON"
OLD, NEW = "for consumers with the old schema", "for consumers with the new schema"

CASES: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "nothing": ([], []),
    "a comment": ([("  string id", "  // The id.\n  string id")], []),
    "a field added": ([("  reserved 100", "  string more = 11;\n  reserved 100")], []),
    "a field added to a oneof": ([("    int32 two = 8;", "    int32 two = 8; bool three = 11;")], []),
    "an enum value added": ([("  KIND_B = 2;", "  KIND_B = 2; KIND_C = 3;")], []),
    "optional": ([("  string note", "  optional string note")], []),
    "a field removed": (
        [("  string note = 9;\n", "")],
        [
            (
                f'{M}: p.M.note: field removed, and a later one can be taken for it: write reserved 9; reserved "note";: '
                f"{BOTH}"
            )
        ],
    ),
    "a field removed and reserved": (
        [("  string note = 9;", '  reserved 9; reserved "note";')],
        [f"{M}: p.M.note: field removed: breaks nothing"],
    ),
    "a field removed, its number reserved": (
        [("  string note = 9;", "  reserved 9;")],
        [f'{M}: p.M.note: field removed, and a later one can be taken for it: write reserved "note";: breaks JSON'],
    ),
    "a number reused": (
        [("  string note = 9;", "  int32 number = 9;")],
        [f"16: p.M.number: number 9 reused: string note -> int32 number: {BOTH}"],
    ),
    "a number changed": (
        [("  string note = 9;", "  string note = 12;")],
        ["16: p.M.note: number changed 9 -> 12: breaks wire"],
    ),
    "numbers swapped": (
        [("note = 9", "note = 10"), ("memo = 10", "memo = 9")],
        [
            "16: p.M.note: number changed 9 -> 10, and 9 is now memo: breaks wire",
            "17: p.M.memo: number changed 10 -> 9, and 10 is now note: breaks wire",
        ],
    ),
    "a reserved number used": (
        [("  reserved 100 to 110;", "  string more = 105; reserved 100 to 104, 106 to 110;")],
        ["18: p.M.more: number 105 was reserved, and is used again: breaks wire"],
    ),
    "a reserved name used": (
        [('  reserved "gone";', "  string gone = 11;")],
        ["19: p.M.gone: its name was reserved, and is used again: breaks JSON"],
    ),
    "reserved numbers given up": (
        [("reserved 100 to 110", "reserved 103 to 105, 108")],
        [f"{M}: p.M: {what} not reserved any more: breaks wire" for what in ("100 to 102", "106 to 107", "109 to 110")],
    ),
    "a reserved name given up": (
        [('  reserved "gone";', "")],
        [f'{M}: p.M: "gone" not reserved any more: breaks JSON'],
    ),
    "renamed": (
        [("string note", "string remark")],
        ["16: p.M.remark: renamed note -> remark: breaks JSON"],
    ),
    "renamed, but not in JSON": (
        [("string note = 9", 'string remark = 9 [json_name = "note"]')],
        ["16: p.M.remark: renamed note -> remark: breaks nothing"],
    ),
    "another JSON name": (
        [("string note = 9", 'string note = 9 [json_name = "remark"]')],
        [f"16: p.M.note: JSON name changed note -> remark: breaks JSON {OLD}"],
    ),
    "the key renamed": (
        [("string id", "string number"), ('key: "id"', 'key: "number"')],
        ["6: p.M.number: renamed id -> number: breaks JSON"],
    ),
    "another type": (
        [("int64 total", "string total")],
        [f"7: p.M.total: type changed int64 -> string: {BOTH}"],
    ),
    "a narrower number": (
        [("int64 total", "int32 total")],
        [
            (
                "7: p.M.total: type changed int64 -> int32, and consumers with the new schema misread values that do not "
                "fit: breaks JSON"
            )
        ],
    ),
    "another sign": (
        [("int64 total", "uint64 total")],
        [
            (
                "7: p.M.total: type changed int64 -> uint64, and consumers with the old or the new schema misread values "
                "that do not fit: breaks nothing"
            )
        ],
    ),
    "another encoding of numbers": (
        [("int64 total", "sint64 total")],
        ["7: p.M.total: type changed int64 -> sint64: breaks wire"],
    ),
    "text to bytes": (
        [("string note", "bytes note")],
        [f"16: p.M.note: type changed string -> bytes: {BOTH} {OLD} and breaks JSON {NEW}"],
    ),
    "an enum to a number": (
        [("Kind kind", "int32 kind")],
        ["10: p.M.kind: type changed p.Kind -> int32: breaks JSON"],
    ),
    "a list": (
        [("string note", "repeated string note")],
        [f"16: p.M.note: type changed string -> repeated string: {BOTH} {OLD} and breaks JSON {NEW}"],
    ),
    "no list": (
        [("repeated string tags", "string tags")],
        [f"9: p.M.tags: type changed repeated string -> string: breaks JSON {OLD} and {BOTH} {NEW}"],
    ),
    "another value in a map": (
        [("map<string, int32>", "map<string, string>")],
        [f"11: p.M.counts: type changed map<string, int32> -> map<string, string>: {BOTH}"],
    ),
    "another key in a map": (
        [("map<string, int32>", "map<int32, int32>")],
        [
            f"11: p.M.counts: type changed map<string, int32> -> map<int32, int32>: breaks wire {OLD} and {BOTH} {NEW}",
        ],
    ),
    "no map": (
        [("map<string, int32>", "repeated string")],
        [f"11: p.M.counts: type changed map<string, int32> -> repeated string: {BOTH}"],
    ),
    "a list of entries in place of a map": (
        [("map<string, int32>", "repeated Entry"), ("message Part", f"{ENTRY}message Part")],
        [
            (
                "11: p.M.counts: type changed map<string, int32> -> repeated p.Entry, and consumers with the old schema read "
                "the last of the entries of a key, in no order: breaks JSON"
            )
        ],
    ),
    "a list of entries of another value": (
        [("map<string, int32>", "repeated Entry"), ("message Part", f"{ENTRY.replace('int32', 'string')}message Part")],
        [f"11: p.M.counts: type changed map<string, int32> -> repeated p.Entry: {BOTH}"],
    ),
    "a list of entries without a value": (
        [("map<string, int32>", "repeated Entry"), ("message Part", "message Entry { string key = 1; } message Part")],
        [f"11: p.M.counts: type changed map<string, int32> -> repeated p.Entry: {BOTH}"],
    ),
    "a list of entries with a key or a value": (
        [
            ("map<string, int32>", "repeated Entry"),
            ("message Part", "message Entry { oneof one { string key = 1; int32 value = 2; } } message Part"),
        ],
        [f"11: p.M.counts: type changed map<string, int32> -> repeated p.Entry: breaks JSON {OLD} and {BOTH} {NEW}"],
    ),
    "an encoded message": (
        [("Part part", "bytes part")],
        [f"8: p.M.part: type changed p.Part -> bytes: {BOTH} {OLD} and breaks JSON {NEW}"],
    ),
    "another name of JSON that was taken": (
        [("  string note = 9;\n", '  reserved 9; reserved "note";\n  string remark = 12 [json_name = "note"];\n')],
        [
            f"{M}: p.M.note: field removed: breaks nothing",
            "17: p.M.remark: its JSON name note is that of note in the old schema: breaks JSON",
        ],
    ),
    "a reserved name used in JSON": (
        [("  string memo", '  string remark = 11 [json_name = "gone"];\n  string memo')],
        ['17: p.M.remark: its JSON name is that of "gone", which was reserved: breaks JSON'],
    ),
    "inside another message": (
        [("int32 number", "float number")],
        [f"22: p.Part.number: type changed int32 -> float: {BOTH}"],
    ),
    "a message renamed": (
        [("Part part", "Piece part"), ("message Part", "message Piece"), ("Part inner", "Piece inner")],
        [
            "8: p.M.part: type changed p.Part -> p.Piece, which are compared field by field: breaks nothing",
            "23: p.Piece.inner: type changed p.Part -> p.Piece, which are compared field by field: breaks nothing",
        ],
    ),
    "another message that is not alike": (
        [("Part part", "Piece part"), ("enum Kind", "message Piece { string number = 1; }\nenum Kind")],
        [
            "8: p.M.part: type changed p.Part -> p.Piece, which are compared field by field: breaks nothing",
            (
                f"{KIND}: p.Piece.inner: field removed, and a later one can be taken for it: write reserved 2; "
                f'reserved "inner";: {BOTH}'
            ),
            f"{KIND}: p.Piece.number: type changed int32 -> string: {BOTH}",
        ],
    ),
    "moved into a oneof with others": (
        [("  string note = 9;\n", ""), ("    int32 two = 8;", "    int32 two = 8; string note = 9;")],
        [f"14: p.M.note: moved into oneof choice with one, two, of which old records may have several: {BOTH} {NEW}"],
    ),
    "moved into a oneof of its own": ([("  string note = 9;", "  oneof own { string note = 9; }")], []),
    "moved out of a oneof": (
        [("    int32 two = 8;\n", ""), ("  string note", "  int32 two = 8;\n  string note")],
        [f"15: p.M.two: moved out of oneof choice with one, of which new records may have several: {BOTH} {OLD}"],
    ),
    "a oneof renamed": ([("oneof choice", "oneof selection")], []),
    "an enum value removed": (
        [("  KIND_B = 2;\n", "")],
        [
            (
                f"{KIND}: p.Kind.KIND_B: value removed, and a later one can be taken for it: write reserved 2; "
                f'reserved "KIND_B";: {BOTH}'
            )
        ],
    ),
    "an enum value removed and reserved": (
        [("  KIND_B = 2;", '  reserved 2; reserved "KIND_B";')],
        [f"{KIND}: p.Kind.KIND_B: value removed: breaks JSON {NEW}"],
    ),
    "an enum value removed, its number reserved": (
        [("  KIND_B = 2;", "  reserved 2;")],
        [
            (
                f"{KIND}: p.Kind.KIND_B: value removed, and a later one can be taken for it: write "
                'reserved "KIND_B";: breaks JSON'
            )
        ],
    ),
    "an enum value renamed": (
        [("KIND_B", "KIND_C")],
        ["28: p.Kind.KIND_C: renamed KIND_B -> KIND_C: breaks JSON"],
    ),
    "an enum value with another name in front": (
        [("enum Kind {", "enum Kind { option allow_alias = true;"), ("KIND_B = 2;", "KIND_C = 2; KIND_B = 2;")],
        [f"28: p.Kind.KIND_C: renamed KIND_B -> KIND_C: breaks JSON {OLD}"],
    ),
    "an enum value renumbered": (
        [("KIND_B = 2", "KIND_B = 3")],
        ["28: p.Kind.KIND_B: number changed 2 -> 3: breaks wire"],
    ),
    "enum values swapped": (
        [("KIND_A = 1", "KIND_A = 2"), ("KIND_B = 2", "KIND_B = 1")],
        [
            "27: p.Kind.KIND_A: number changed 1 -> 2, and 1 is now KIND_B: breaks wire",
            "28: p.Kind.KIND_B: number changed 2 -> 1, and 2 is now KIND_A: breaks wire",
        ],
    ),
    "another topic": ([('topic: "t"', 'topic: "u"')], [f"{M}: p.M: topic changed t -> u: breaks delivery"]),
    "another key": ([('key: "id"', 'key: "note"')], [f"{M}: p.M: key changed id -> note: breaks order"]),
    "no key": ([(' key: "id"', "")], [f"{M}: p.M: key id removed: breaks order"]),
    "other partitions": (
        [('key: "id"', 'key: "id" partitions: 3')],
        [],
    ),
    "no event any more": (
        [('  option (micro.event) = {topic: "t" key: "id"};\n', "")],
        [f"{M}: p.M: is no event any more: breaks delivery"],
    ),
    "an event renamed": (
        [("message M ", "message Mm ")],
        [f"{M}: p.M: event removed (is it p.Mm now? a record says its type by full name): breaks delivery"],
    ),
    "a type added": (
        [('key: "id"', 'key: "id" type: "com.m"')],
        [f"{M}: p.M: type changed p.M -> com.m: breaks delivery {OLD}"],
    ),
    "an event renamed that keeps its type": (
        [("message M ", "message Mm "), ('key: "id"', 'key: "id" type: "p.M"'), ("  string note = 9;\n", "")],
        [
            f"{M}: p.Mm: was p.M, and has kept its type p.M: breaks nothing",
            (
                f'{M}: p.Mm.note: field removed, and a later one can be taken for it: write reserved 9; reserved "note";: '
                f"{BOTH}"
            ),
        ],
    ),
    "a version and hints": ([('key: "id"', 'key: "id" version: "2" retention: {seconds: 5}')], []),
}


@pytest.mark.parametrize("name", CASES)
def test_changes(name: str, tmp_path: Path) -> None:
    edits, expected = CASES[name]
    changed = BASE
    for before, after in edits:
        assert before in changed
        changed = changed.replace(before, after, 1)
    found = _compare(tmp_path, HEAD + BASE, HEAD + changed)
    assert [str(finding) for finding in found] == [f"p.proto:{line}" for line in expected]


def test_a_key_is_added(tmp_path: Path) -> None:
    without = HEAD + BASE.replace(' key: "id"', "")
    (found,) = _compare(tmp_path, without, HEAD + BASE)
    assert str(found) == "p.proto:4: p.M: key id added, which old records do not have: breaks order"


def test_other_partitions_are_said_and_break_nothing(tmp_path: Path) -> None:
    one, other = (HEAD + BASE.replace('key: "id"', f'key: "id" partitions: {number}') for number in (3, 6))
    (found,) = _compare(tmp_path, one, other)
    assert str(found) == (
        "p.proto:4: p.M: partitions changed 3 -> 6, a hint; changing a topic that is there mixes up the order of its "
        "keys: breaks nothing"
    )


def test_proto2(tmp_path: Path) -> None:
    source = """\
syntax = "proto2";
package p;
import "micro_rt/annotations.proto";
message M {
  option (micro.event) = {topic: "t"};
  required string id = 1;
  optional int32 number = 2 [default = 5];
  optional group Part = 3 { optional int32 x = 1; }
  optional Kind kind = 4;
}
enum Kind { A = 1; B = 2; }
"""
    for before, after, expected in (
        (
            "required string",
            "optional string",
            f"6: p.M.id: not required any more, and new records may be without it: {BOTH} {OLD}",
        ),
        (
            "optional int32 number",
            "required int32 number",
            f"7: p.M.number: required now, and old records may be without it: {BOTH} {NEW}",
        ),
        (
            "  required string id = 1;\n",
            "",
            f'4: p.M.id: field removed, and a later one can be taken for it: write reserved 1; reserved "id";: {BOTH}',
        ),
        (
            "  required string id = 1;",
            '  reserved 1; reserved "id";',
            f"4: p.M.id: field removed: {BOTH} {OLD}",
        ),
        (
            "  optional Kind",
            "  required int32 more = 5;\n  optional Kind",
            f"9: p.M.more: required field added, which old records do not have: {BOTH} {NEW}",
        ),
        (
            "default = 5",
            "default = 6",
            f"7: p.M.number: default changed 5 -> 6, which is what is read where nothing was written: {BOTH}",
        ),
        (
            "optional group Part = 3 {",
            "optional Part part = 3; message Part {",
            "8: p.M.part: encoding changed delimited -> length-prefixed: breaks wire",
        ),
        (" B = 2;", ' reserved 2; reserved "B";', f"11: p.Kind.B: value removed: {BOTH} {NEW}"),
    ):
        assert before in source
        found = _compare(tmp_path, source, source.replace(before, after))
        assert [str(finding) for finding in found] == [f"p.proto:{expected}"]


def test_defaults(tmp_path: Path) -> None:
    source = """\
syntax = "proto2";
package p;
import "micro_rt/annotations.proto";
message M {
  option (micro.event) = {topic: "t"};
  optional int32 number = 1;
  optional bool flag = 2;
  optional double ratio = 3 [default = 1];
  optional Kind kind = 4 [default = B];
  optional Kind first = 5;
  optional int32 five = 6 [default = 5];
}
enum Kind { A = 1; B = 2; }
"""
    read = "which is what is read where nothing was written"
    for before, after, expected in (
        ("number = 1", "number = 1 [default = 0]", []),
        ("flag = 2", "flag = 2 [default = false]", []),
        ("default = 1]", "default = 1.0]", []),
        ("default = B", "default = A", [f"9: p.M.kind: default changed B -> A, {read}: {BOTH}"]),
        (
            "enum Kind { A = 1; B = 2; }",
            "enum Kind { B = 2; A = 1; }",
            [f"10: p.M.first: default changed A -> B, {read}: {BOTH}"],
        ),
        (
            "int32 five = 6 [default = 5]",
            "int64 five = 6 [default = 6]",
            [
                f"11: p.M.five: default changed 5 -> 6, {read}: {BOTH}",
                (
                    "11: p.M.five: type changed int32 -> int64, and consumers with the old schema misread values that do not "
                    "fit: breaks JSON"
                ),
            ],
        ),
        (
            "bool flag = 2",
            "int32 flag = 2",
            [
                "7: p.M.flag: type changed bool -> int32, and consumers with the old schema misread values that do not fit: breaks JSON"
            ],
        ),
    ):
        assert before in source
        found = _compare(tmp_path, source, source.replace(before, after))
        assert [str(finding) for finding in found] == [f"p.proto:{each}" for each in expected], before
    renamed = source.replace("B = 2", "C = 2").replace("default = B", "default = C")
    assert [finding.message for finding in _compare(tmp_path, source, renamed)] == ["renamed B -> C"]


def test_names_of_enums_that_were_reserved(tmp_path: Path) -> None:
    source = HEAD + BASE.replace("  KIND_B = 2;", '  KIND_B = 2;\n  reserved 5 to 7; reserved "OLD";')
    for before, after, expected in (
        ('reserved "OLD"', "OLD = 3", "29: p.Kind.OLD: its name was reserved, and is used again: breaks JSON"),
        (' reserved "OLD";', "", f'{KIND}: p.Kind: "OLD" not reserved any more: breaks JSON'),
        ("5 to 7", "5 to 6", f"{KIND}: p.Kind: 7 not reserved any more: breaks wire"),
    ):
        assert before in source
        assert [str(found) for found in _compare(tmp_path, source, source.replace(before, after))] == [
            f"p.proto:{expected}"
        ]

    alias = source.replace("enum Kind {", "enum Kind { option allow_alias = true;").replace(
        "KIND_B = 2;", "KIND_B = 2; KIND_C = 2;"
    )
    alone = source.replace("KIND_B = 2;", "KIND_B = 2; KIND_C = 3;")
    assert [str(found) for found in _compare(tmp_path, alias, alone)] == [
        f"p.proto:28: p.Kind.KIND_C: was another name of KIND_B, 2: breaks wire {OLD}"
    ]


def test_a_map_in_place_of_a_list_of_entries(tmp_path: Path) -> None:
    listed = (
        HEAD + ENTRY.replace("}", "}\n") + 'message M { option (micro.event) = {topic: "t"}; repeated Entry a = 1; }\n'
    )
    mapped = listed.replace("repeated Entry", "map<string, int32>")
    assert [str(found) for found in _compare(tmp_path, listed, mapped)] == [
        (
            "p.proto:5: p.M.a: type changed repeated p.Entry -> map<string, int32>, and consumers with the new schema read the "
            "last of the entries of a key, in no order: breaks JSON"
        )
    ]
    more = listed.replace("int32 value = 2;", "int32 value = 2; bool more = 3;")
    assert [found.effect for found in _compare(tmp_path, mapped, more)] == ["breaks JSON"]
    required = 'syntax = "proto2";' + more.replace('syntax = "proto3";', "").replace("bool more", "required bool more")
    required = required.replace("string key", "optional string key").replace("int32 value", "optional int32 value")
    old = required.replace("repeated Entry", "map<string, int32>")
    assert [found.effect for found in _compare(tmp_path, old, required)] == [f"breaks JSON {OLD} and {BOTH} {NEW}"]
    inside = listed.replace("int32 value", "Part value").replace("message M", "message Part { int32 x = 1; } message M")
    changed = inside.replace("repeated Entry", "map<string, Part>").replace("int32 x", "string x")
    assert [f"{found.symbol} {found.effect}" for found in _compare(tmp_path, inside, changed)] == [
        "p.M.a breaks JSON",
        f"p.Part.x {BOTH}",
    ]


def test_editions_say_the_same_in_other_words(tmp_path: Path) -> None:
    old = """\
syntax = "proto2";
package p;
import "micro_rt/annotations.proto";
message M {
  option (micro.event) = {topic: "t"};
  required string id = 1;
  optional group Part = 2 { optional int32 x = 1; }
  repeated int32 numbers = 3;
  optional Kind kind = 4;
}
enum Kind { A = 1; B = 2; }
"""
    new = """\
edition = "2023";
package p;
import "micro_rt/annotations.proto";
option features.enum_type = CLOSED;
message M {
  option (micro.event) = {topic: "t"};
  string id = 1 [features.field_presence = LEGACY_REQUIRED];
  message Part { int32 x = 1; }
  Part part = 2 [features.message_encoding = DELIMITED];
  repeated int32 numbers = 3;
  Kind kind = 4;
}
enum Kind { A = 1; B = 2; }
"""
    assert _compare(tmp_path, old, new) == []
    plain = new.replace(" [features.field_presence = LEGACY_REQUIRED]", "").replace(
        " [features.message_encoding = DELIMITED]", ""
    )
    assert [str(finding) for finding in _compare(tmp_path, old, plain)] == [
        f"p.proto:7: p.M.id: not required any more, and new records may be without it: {BOTH} {OLD}",
        "p.proto:9: p.M.part: encoding changed delimited -> length-prefixed: breaks wire",
    ]


def test_a_message_moved_to_another_file(tmp_path: Path) -> None:
    write(tmp_path, {"old/a.proto": HEAD + BASE, "new/b/c.proto": HEAD + BASE})
    (found,) = compare(_schemas(tmp_path / "old"), _schemas(tmp_path / "new"))
    assert str(found) == (
        "b/c.proto:4: p.M: moved from a.proto to b/c.proto, and so its Python module has: breaks nothing"
    )


def test_what_events_do_not_refer_to_is_compared_on_request(tmp_path: Path) -> None:
    old = 'syntax = "proto3";\npackage p;\nmessage A { int32 x = 1; }\nmessage B {}\n'
    write(tmp_path, {"old/p.proto": old, "new/p.proto": old.replace("int32", "string").replace("message B {}\n", "")})
    schemas = _schemas(tmp_path / "old"), _schemas(tmp_path / "new")
    assert compare(*schemas) == []
    assert [str(finding) for finding in compare(*schemas, everything=True)] == [
        f"p.proto:3: p.A.x: type changed int32 -> string: {BOTH}",
        f"p.proto:4: p.B: message removed: {BOTH}",
    ]


def test_every_proto_is_compatible_with_itself() -> None:
    names = [
        "order_events.proto",
        "torture/events.proto",
        "torture/events_old.proto",
        "torture/proto2.proto",
        "old.proto",
    ]
    files = request([PROTOS, ROOT], names).proto_file
    schemas = SchemaSet(files, names)
    assert len(schemas.events) >= 20
    assert compare(schemas, SchemaSet(files, names), everything=True) == []


_SIGNED = [0, 1, -1, 7, 2**31 - 1]
_UNSIGNED = [0, 1, 7, 2**31 - 1]
SAMPLES: dict[str, list[Any]] = {
    **{kind: [*_SIGNED, -(2**31)] for kind in ("int32", "sint32", "sfixed32")},
    **{kind: [*_UNSIGNED, 2**32 - 1] for kind in ("uint32", "fixed32")},
    **{kind: [*_SIGNED, 2**63 - 1, -(2**63)] for kind in ("int64", "sint64", "sfixed64")},
    **{kind: [*_UNSIGNED, 2**64 - 1] for kind in ("uint64", "fixed64")},
    "bool": [False, True],
    "enum": [0, 1, 7, -1],
    "float": [0.0, 1.0, -0.5, 7.0],
    "double": [0.0, 1.0, -0.5, 1e300],
    "string": ["", "a", "ä€", "7"],
    "bytes": [b"", b"a", b"\xff\xfe", b"\x08\x01"],
    "message": ["message"],
}
LABELS = ("", "repeated")


@pytest.mark.parametrize("old_type", SAMPLES)
def test_protobuf_bears_it_out(old_type: str) -> None:
    """Whatever is called unbroken arrives unchanged in real messages, and what is called broken on the wire does not."""
    disproved: list[str] = []
    for old_label, new_type, new_label in itertools.product(LABELS, SAMPLES, LABELS):
        old, new = _file(old_type, old_label), _file(new_type, new_label)
        findings = compare(SchemaSet([old], ["p.proto"]), SchemaSet([new], ["p.proto"]), everything=True)
        old_class, new_class = _class(old), _class(new)
        for writer, reader, whose in ((new_class, old_class, "old_consumers"), (old_class, new_class, "new_consumers")):
            claimed = {what for finding in findings for what in getattr(finding, whose)}
            written_type, read_type = (new_type, old_type) if writer is new_class else (old_type, new_type)
            arrived = [_arrives(message, reader, read_type) for message in _messages(writer, written_type)]
            change = f"{old_label} {old_type} -> {new_label} {new_type} for {whose}"
            if "wire" in claimed and all(wire for _, wire, _ in arrived):
                disproved.append(f"{change}: called broken on the wire, and is not")
            if "wire" not in claimed and not all(wire for fits, wire, _ in arrived if fits):
                disproved.append(f"{change}: called unbroken on the wire, and is broken")
            if "JSON" not in claimed and not all(in_json for fits, _, in_json in arrived if fits):
                disproved.append(f"{change}: called unbroken in JSON, and is broken")
    assert disproved == []


PLAIN = "message M { string a = 1; string b = 2; }"
OTHERS = {
    "into a oneof": (PLAIN, "message M { oneof c { string a = 1; string b = 2; } }"),
    "into a oneof of its own": (PLAIN, "message M { oneof c { string a = 1; } string b = 2; }"),
    "into another oneof": (
        "message M { oneof c { string a = 1; string b = 2; } oneof d { string e = 3; } }",
        "message M { oneof c { string a = 1; } oneof d { string e = 3; string b = 2; } }",
    ),
    "renamed": (PLAIN, "message M { string a = 1; string x = 2; }"),
    "renamed, but not in JSON": (PLAIN, 'message M { string a = 1; string x = 2 [json_name = "b"]; }'),
    "another JSON name": (PLAIN, 'message M { string a = 1; string b = 2 [json_name = "x"]; }'),
    "names swapped": (PLAIN, "message M { string b = 1; string a = 2; }"),
    "a number changed": (PLAIN, "message M { string a = 1; string b = 3; }"),
    "a map of other values": ("message M { map<string, int32> a = 1; }", "message M { map<string, sint32> a = 1; }"),
    "a map of other keys": ("message M { map<int32, string> a = 1; }", "message M { map<int64, string> a = 1; }"),
    "a map of keys that are text": (
        "message M { map<int32, string> a = 1; }",
        "message M { map<string, string> a = 1; }",
    ),
    "an enum value renamed": (
        "message M { E a = 1; } enum E { Z = 0; ONE = 1; }",
        "message M { E a = 1; } enum E { Z = 0; EINS = 1; }",
    ),
    "an enum value with another name in front": (
        "message M { E a = 1; } enum E { Z = 0; ONE = 1; }",
        "message M { E a = 1; } enum E { option allow_alias = true; Z = 0; EINS = 1; ONE = 1; }",
    ),
    "an enum value renumbered": (
        "message M { E a = 1; } enum E { Z = 0; ONE = 1; TWO = 2; }",
        "message M { E a = 1; } enum E { Z = 0; ONE = 3; TWO = 2; }",
    ),
    "an enum value removed and reserved": (
        "message M { E a = 1; } enum E { Z = 0; ONE = 1; }",
        'message M { E a = 1; } enum E { Z = 0; reserved 1; reserved "ONE"; }',
    ),
    "an enum value that was another name of one": (
        "message M { E a = 1; } enum E { option allow_alias = true; Z = 0; ONE = 1; EINS = 1; }",
        "message M { E a = 1; } enum E { Z = 0; ONE = 1; EINS = 2; }",
    ),
    "a list of entries in place of a map": (
        "message M { map<string, int32> a = 1; }",
        "message M { repeated Entry a = 1; } message Entry { string key = 1; int32 value = 2; }",
    ),
    "a list of other entries in place of a map": (
        "message M { map<string, int32> a = 1; }",
        "message M { repeated Entry a = 1; } message Entry { string key = 1; string value = 2; }",
    ),
    "a list of entries with a key or a value": (
        "message M { map<string, int32> a = 1; }",
        "message M { repeated Entry a = 1; } message Entry { oneof one { string key = 1; int32 value = 2; } }",
    ),
    "optional": (PLAIN, "message M { optional string a = 1; string b = 2; }"),
    "another message": (
        "message M { A a = 1; } message A { string x = 1; } message B { string x = 1; }",
        "message M { B a = 1; } message A { string x = 1; } message B { string x = 1; }",
    ),
}
JSON_OF = {
    "Entry a": ['{"a": [{"key": "x", "value": 5}]}', '{"a": [{"key": "x", "value": "5"}]}', '{"a": [{"key": "x"}]}'],
    "map<string": ['{"a": {"x": 5}}', '{"a": {"x": "y"}}'],
    "map<int": ['{"a": {"5": "x"}}'],
    " E a": ['{"a": "ONE"}', '{"a": "TWO"}', '{"a": "EINS"}', '{"a": "Z"}'],
    "A a": ['{"a": {"x": "y"}}'],
    "B a": ['{"a": {"x": "y"}}'],
    "M {": ['{"a": "1"}', '{"b": "2"}', '{"a": "1", "b": "2"}', '{"b": "2", "e": "3"}', '{"a": "1", "x": "2"}'],
}


@pytest.mark.parametrize("name", OTHERS)
def test_protobuf_bears_out_the_rest(name: str, tmp_path: Path) -> None:
    """As above, with everything that messages of these schemas can be written from in JSON."""
    sources = [f'syntax = "proto3";\npackage p;\n{body}\n' for body in OTHERS[name]]
    findings = _compare(tmp_path, *sources, everything=True)
    classes = []
    for which in ("old", "new"):
        (file,) = (file for file in request([tmp_path / which, ROOT], ["p.proto"]).proto_file if file.name == "p.proto")
        classes.append(_class(file))
    old_class, new_class = classes
    for writer, reader, whose in ((new_class, old_class, "old_consumers"), (old_class, new_class, "new_consumers")):
        claimed = {what for finding in findings for what in getattr(finding, whose)}
        messages = list(_written(writer, OTHERS[name][0 if writer is old_class else 1]))
        assert messages
        wire = all(_wire_arrives(message, reader) for message in messages)
        assert ("wire" in claimed) == (not wire), (whose, "wire")
        in_json = all(_json_arrives(message, reader) for message in messages)
        assert ("JSON" in claimed) == (not in_json), (whose, "JSON")


def _written(writer: Any, source: str) -> Iterator[Any]:
    texts = next(texts for mark, texts in JSON_OF.items() if mark in source)
    for text in texts:
        try:
            yield json_format.Parse(text, writer())
        except json_format.ParseError:
            continue  # not a message of this schema


def _wire_arrives(message: Any, reader: Any) -> bool:
    """Whether every field arrives as the one of the same name or, if there is none, of the same number."""
    read = reader.FromString(message.SerializeToString())
    held = {field.number: (value, field.enum_type) for field, value in read.ListFields()}
    for field, value in message.ListFields():
        target = reader.DESCRIPTOR.fields_by_name.get(field.name, field)
        arrived, enum = held.get(target.number, (None, None))
        if str(_plain(target, arrived)) != str(_plain(field, value)):
            return False
        if enum is not None and field.enum_type is not None:
            sent = field.enum_type.values_by_number[value]
            if enum.values_by_name.get(sent.name, sent).number != value:
                return False  # the name has another number there
    return len(held) == len(message.ListFields())


def _plain(field: Any, value: Any) -> Any:
    """Returns the entries of a list of keys and values as the map that they are."""
    if field.message_type is not None and set(field.message_type.fields_by_name) == {"key", "value"} and value:
        items = value.items() if isinstance(value, Mapping) else [(each.key, each.value) for each in value]
        return dict(items)
    return value


def _json_arrives(message: Any, reader: Any) -> bool:
    written = json_format.MessageToDict(message)
    try:
        read = json_format.ParseDict(written, reader(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return False
    return len(read.ListFields()) == len(message.ListFields())


def _file(kind: str, label: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    message = file.message_type.add(name="M")
    field = message.field.add(name="x", number=1)
    field.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
    field.label = field.LABEL_REPEATED if label else field.LABEL_OPTIONAL
    if kind == "message":
        field.type_name = ".p.Part"
    elif kind == "enum":
        field.type_name = ".p.Kind"
    part = file.message_type.add(name="Part").field.add(name="y", number=1)
    part.type, part.label = part.TYPE_INT32, part.LABEL_OPTIONAL
    enum = file.enum_type.add(name="Kind")
    for number, name in enumerate(("ZERO", "ONE")):
        enum.value.add(name=name, number=number)
    return file


def _class(file: descriptor_pb2.FileDescriptorProto) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.M"))


def _messages(writer: Any, kind: str) -> Iterator[Any]:
    """Yields messages with one value each, and where the field is a list, one with several."""
    if kind == "message":
        made = writer()
        if _is_list(writer):
            made.x.add(y=5)
            made.x.add(y=6)
        else:
            made.x.y = 5
        yield made
        return
    for value in SAMPLES[kind]:
        yield writer(x=[value] if _is_list(writer) else value)
    if _is_list(writer):
        yield writer(x=SAMPLES[kind])


def _is_list(kind: Any) -> bool:
    return bool(kind.DESCRIPTOR.fields_by_name["x"].is_repeated)


def _arrives(written: Any, reader: Any, kind: str) -> tuple[bool, bool, bool]:
    """Whether the reader's type can hold what is in a message, and whether it arrives on the wire, and in JSON."""
    values = _values(written)
    if kind == "bytes" and values and hasattr(written, "x") and written.DESCRIPTOR.fields_by_name["x"].message_type:
        values = [each.SerializeToString() for each in (written.x if _is_list(type(written)) else [written.x])]
    fits = all(_holds(kind, value) for value in values)
    try:
        wire = _same(_values(reader.FromString(written.SerializeToString())), values)
    except DecodeError:
        wire = False
    try:
        in_json = _same(_values(json_format.Parse(json_format.MessageToJson(written), reader())), values)
    except json_format.ParseError:
        in_json = False
    return fits, wire, in_json


def _values(message: Any) -> list[Any]:
    """Returns the values that are not the default, which is not written."""
    held = list(message.x) if _is_list(type(message)) else [message.x]
    plain = [(value.y if hasattr(value, "y") else value) for value in held]
    return [value for value in plain if value]


def _same(read: Iterable[Any], values: Iterable[Any]) -> bool:
    return [_bytes(value) for value in read] == [_bytes(value) for value in values]


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _holds(kind: str, value: Any) -> bool:
    """Whether a type has a value; a value of another sort is for the reader to fail at."""
    bounds = {
        "bool": (0, 1),
        **dict.fromkeys(("int32", "sint32", "sfixed32", "enum"), (-(2**31), 2**31 - 1)),
        **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
        **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
        **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
    }
    if kind not in bounds or not isinstance(value, int):
        return kind != "float" or not isinstance(value, float) or abs(value) < 1e30
    low, high = bounds[kind]
    return low <= value <= high


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = BASE.replace("note", "remark")
    write(tmp_path, {"old/p.proto": HEAD + BASE, "new/p.proto": HEAD + renamed})
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert main(["events", "check", old, old]) == 0
    assert capsys.readouterr().out == "1 event compared: no changes, none breaking\n"
    assert main(["events", "check", old, new]) == 1
    line = "p.proto:16: p.M.remark: renamed note -> remark: breaks JSON\n"
    assert capsys.readouterr().out == f"{line}1 event compared: 1 change, 1 breaking\n"
    assert main(["events", "check", "--wire", f"{old}/p.proto", f"{new}/p.proto"]) == 0
    assert capsys.readouterr().out == (
        f"{line.replace('breaks JSON', 'breaks nothing')}1 event compared: 1 change, none breaking\n"
    )
    assert main(["events", "check", "--json", "--all", old, new]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "breaks": True,
        "findings": [
            {
                "path": "p.proto",
                "line": 16,
                "symbol": "p.M.remark",
                "message": "renamed note -> remark",
                "breaks_old_consumers": ["JSON"],
                "breaks_new_consumers": ["JSON"],
            }
        ],
    }


def test_the_page_shows_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = """\
syntax = "proto3";

package orders;

import "micro_rt/annotations.proto";

message OrderPlaced {
  option (micro.event) = {topic: "orders" key: "order_id"};
  string order_id = 1;
  int64 total_cents = 2;
  string note = 3;
}
"""
    new = old.replace("int64", "string").replace("  string note = 3;\n", "")
    write(tmp_path, {"old/protos/orders.proto": old, "here/protos/orders.proto": new})
    monkeypatch.chdir(tmp_path / "here")
    page = (ROOT / "docs" / "schema-evolution.md").read_text()
    command, _, rest = page.partition("$ micro-rt ")[2].partition("\n")
    assert main(command.split()) == 1
    assert rest.partition("```")[0] == capsys.readouterr().out


def test_descriptor_sets_do_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"old/p.proto": HEAD + BASE, "new/p.proto": HEAD + BASE.replace("int64", "string")})
    for which in ("old", "new"):
        include = [f"-I{tmp_path / which}", f"-I{ROOT}", "--include_source_info"]
        target = tmp_path / f"{which}.binpb"
        run(SCRIPTS / "protoc", *include, "--include_imports", f"-o{target}", "p.proto")
        run(SCRIPTS / "protoc", *include, f"-o{tmp_path / which}.alone", "p.proto")
    assert main(["events", "check", str(tmp_path / "old.binpb"), str(tmp_path / "new.binpb")]) == 1
    assert capsys.readouterr().out.startswith(
        "p.proto:7: p.M.total: type changed int64 -> string: breaks wire and JSON\n"
    )
    assert main(["events", "check", str(tmp_path / "old.alone"), str(tmp_path / "new.alone")]) == 2
    assert capsys.readouterr().err == (
        f"micro-rt events check: OLD ({tmp_path}/old.alone) lacks micro_rt/annotations.proto: "
        "write the descriptor set with --include_imports\n"
    )


def test_imports_from_another_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = HEAD.replace("import", 'import "shared/money.proto";\nimport') + (
        'message M { option (micro.event) = {topic: "t"}; shared.Money money = 1; }\n'
    )
    money = 'syntax = "proto3";\npackage shared;\nmessage Money { int64 cents = 1; }\n'
    write(tmp_path, {"old/p.proto": source, "new/p.proto": source, "third/shared/money.proto": money})
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert main(["events", "check", old, new, "-I", str(tmp_path / "third")]) == 0
    capfd.readouterr()
    assert main(["events", "check", old, new]) == 2
    said = capfd.readouterr().err
    assert 'p.proto:3:1: Import "shared/money.proto" was not found or had errors.\n' in said
    assert said.endswith(
        f"micro-rt events check: OLD ({old}) does not compile, as said above; -I names another folder that imports "
        "start from\n"
    )


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = HEAD + 'message M { option (micro.event) = {topic: "t" key: "idd"}; string id = 1; }\n'
    write(
        tmp_path,
        {
            "good/p.proto": HEAD + BASE,
            "bad/p.proto": bad,
            "plain/p.proto": 'syntax = "proto3";\n',
            "empty/readme.txt": "nothing",
            "noise.bin": "\x08\x08 this is not a descriptor set",
            "void.bin": "",
        },
    )
    good = str(tmp_path / "good")
    for old, new, said in (
        ("good", "nowhere", f"NEW ({tmp_path}/nowhere) is neither a file nor a folder"),
        ("empty", "good", f"OLD ({tmp_path}/empty) is a folder without .proto files"),
        ("void.bin", "good", f"OLD ({tmp_path}/void.bin) is empty: write the descriptor set with --include_imports"),
        (
            "plain",
            "good",
            f"OLD ({tmp_path}/plain) has no message with option (micro.event); --all compares all messages",
        ),
        (
            "good",
            "bad",
            (
                f"NEW ({tmp_path}/bad): p.proto:4:13: p.M: key 'idd' of option (micro.event): p.M has no field 'idd'; "
                "did you mean 'id'?"
            ),
        ),
    ):
        assert main(["events", "check", str(tmp_path / old), str(tmp_path / new)]) == 2
        captured = capsys.readouterr()
        assert captured.err == f"micro-rt events check: {said}\n"
        assert captured.out == ""
    assert main(["events", "check", good, str(tmp_path / "noise.bin")]) == 2
    assert "is neither .proto nor a descriptor set: " in capsys.readouterr().err
    assert main(["events", "check", "-I", str(tmp_path / "nowhere"), good, good]) == 2
    assert capsys.readouterr().err == f"micro-rt events check: -I {tmp_path}/nowhere is not a folder\n"
    assert main(["events", "check", "--all", str(tmp_path / "plain"), good]) == 0


def test_without_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"p.proto": HEAD + BASE})
    monkeypatch.setitem(sys.modules, "grpc_tools.protoc", None)
    assert main(["events", "check", str(tmp_path), str(tmp_path)]) == 2
    assert 'pip install "micro-rt[tools]"' in capsys.readouterr().err


def _compare(folder: Path, old: str, new: str, *, everything: bool = False) -> list[Finding]:
    write(folder, {"old/p.proto": old, "new/p.proto": new})
    return compare(_schemas(folder / "old"), _schemas(folder / "new"), everything=everything)


def _schemas(folder: Path) -> SchemaSet:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.proto"))
    return SchemaSet(request([folder, ROOT], names).proto_file, names)


def test_every_folder_that_is_not_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = [f"-I{tmp_path / name}" for name in ("one", "two")]
    assert main(["events", "check", *roots, str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"micro-rt events check: -I {tmp_path / name} is not a folder" for name in ("one", "two")
    ]
