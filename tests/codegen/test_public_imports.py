"""``import public``: a module hands on the names of another, of protobuf's own files too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.codegen.tools import ROOT, SCRIPTS, protoc, run, tree, write

WELL_KNOWN = (
    "any",
    "api",
    "compiler/plugin",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "type",
    "wrappers",
)
SOURCES = {
    **{
        f"{folder}first.proto": f'syntax = "proto3"; package {name}first;\n'
        + "".join(f'import public "google/protobuf/{known}.proto";\n' for known in WELL_KNOWN)
        + "message First { google.protobuf.Timestamp at = 1; google.protobuf.Struct more = 2; }\n"
        for folder, name in (("", ""), ("deep/", "deep."))
    },
    **{
        f"{folder}second.proto": f'syntax = "proto3"; package {name}second;\n'
        f'import public "{folder}first.proto";\n'
        f"message Second {{ google.protobuf.Any any = 1; {name}first.First first = 2; google.protobuf.Api api = 3; }}\n"
        for folder, name in (("", ""), ("deep/", "deep."))
    },
    "third.proto": 'syntax = "proto3"; package third;\n'
    'import public "second.proto";\n'
    'import public "google/protobuf/any.proto";\n'
    "message Third { google.protobuf.Any any = 1; second.Second second = 2; }\n"
    "service Thirds { rpc Get(google.protobuf.Empty) returns (first.First); }\n",
}

USER = """\
from {base}third{suffix} import Any, DescriptorProto, Empty, First, Second, Struct, Third

import {base}first{suffix} as first
import {base}third_micro as stubs

third = Third(second=Second(first=First(more=Struct()), any=Any()), any=Any())
known: Any = first.Any()
empty: Empty = Empty()
described: DescriptorProto = DescriptorProto()
assert type(known) is Any
assert third.second.first.more == Struct()
assert stubs.ThirdsClient.__name__ == 'ThirdsClient'
"""


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize("place", ["", "nest/acme"])
def test_well_known_types_are_handed_on(dialect: str, place: str, tmp_path: Path) -> None:
    write(tmp_path / "protos", SOURCES)
    out = tmp_path / place
    assert protoc(out, [tmp_path / "protos"], sorted(SOURCES), f"--micro_opt=messages={dialect}") == ""
    suffix = "_pb" if dialect == "betterproto" else "_pb2"
    base = "".join(f"{part}." for part in Path(place).parts)
    user = USER.format(base=base, suffix=suffix)
    stars = "".join(f"from {base}{name}{suffix} import *\n" for name in ("first", "second", "third", "deep.second"))
    run(sys.executable, "-W", "error", "-c", stars + user, cwd=tmp_path)
    settings = {"typeCheckingMode": "strict", "venvPath": str(ROOT), "venv": ".venv", "extraPaths": [str(ROOT)]}
    write(tmp_path, {"user.py": user, "pyrightconfig.json": json.dumps(settings)})
    run(SCRIPTS / "pyright", "-p", tmp_path, cwd=tmp_path)
    write(tmp_path, {"mypy.ini": "[mypy]\nstrict = true\nexplicit_package_bases = true\n"})
    files = [path for path in tree(tmp_path) if path.endswith((".py", ".pyi"))]
    files = [path for path in files if not path.endswith(".py") or f"{path}i" not in files]
    run(SCRIPTS / "mypy", *files, cwd=tmp_path)


SAME_NAMES = {
    "{place}z.proto": "package z; message Value { string text = 1; } message Other {}",
    "{place}y.proto": "package y; message Value { int32 number = 1; }",
    "{place}own.proto": 'package own; import public "{place}z.proto"; import "{place}y.proto"; '
    "message Value { z.Value theirs = 1; y.Value others = 2; own.Value mine = 3; }",
    "{place}known.proto": 'package known; import public "{place}z.proto"; import "google/protobuf/struct.proto"; '
    "message Known { google.protobuf.Value known = 1; }",
    "{place}both.proto": 'package both; import public "{place}z.proto"; import public "{place}y.proto"; '
    "message Both { z.Value first = 1; y.Value last = 2; }",
    "{place}lib.proto": 'package lib; import public "google/protobuf/struct.proto"; import "{place}z.proto"; '
    "message Lib { z.Value theirs = 1; google.protobuf.Value known = 2; }",
    "{place}chain.proto": 'package chain; import public "{place}own.proto"; import "{place}z.proto"; '
    'import "google/protobuf/struct.proto"; '
    "message Chain { z.Value theirs = 1; own.Value mine = 2; google.protobuf.Value known = 3; z.Other other = 4; }",
    "{place}user.proto": 'package user; import "{place}known.proto"; import "{place}both.proto"; '
    'import "google/protobuf/struct.proto"; '
    "message User { z.Value theirs = 1; y.Value others = 2; google.protobuf.Value known = 3; z.Other other = 4; }",
}
"""Files that define, use and hand on messages of one name."""

CLASSES = """\
import importlib

struct = importlib.import_module("{struct}").Value
modules = [importlib.import_module("{base}" + name + "{suffix}") for name in "{names}".split()]
z, y, own, known, both, lib, chain, user = modules

assert z.Value is not y.Value and z.Value is not struct
assert known.Value is z.Value
assert own.Value not in (z.Value, y.Value) and own.Other is z.Other
assert both.Value is y.Value
assert lib.Value is struct
assert chain.Value is own.Value and chain.Other is z.Other

def holds(message, **classes):
    for name, kind in classes.items():
        assert type(getattr(message(), name)) is kind, (message, name)

holds(own.Value, theirs=z.Value, others=y.Value, mine=own.Value)
holds(known.Known, known=struct)
holds(both.Both, first=z.Value, last=y.Value)
holds(lib.Lib, theirs=z.Value, known=struct)
holds(chain.Chain, theirs=z.Value, mine=own.Value, known=struct, other=z.Other)
holds(user.User, theirs=z.Value, others=y.Value, known=struct, other=z.Other)
for module in modules:
    for name in getattr(module, "__all__", ()):
        getattr(module, name)
"""


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize(
    ("place", "option"), [("", ""), ("q/", ""), ("", ",package=."), ("", ",package=acme"), ("q/", ",package=acme")]
)
def test_a_name_that_several_files_hand_on_means_the_class_that_the_proto_says(
    place: str, option: str, dialect: str, tmp_path: Path
) -> None:
    sources = {
        name.replace("{place}", place): 'syntax = "proto3"; ' + text.replace("{place}", place)
        for name, text in SAME_NAMES.items()
    }
    write(tmp_path / "protos", sources)
    out = tmp_path / "acme" if option else tmp_path
    assert protoc(out, [tmp_path / "protos"], sorted(sources), f"--micro_opt=messages={dialect}{option}") == ""
    script = CLASSES.format(
        struct="betterproto.lib.std.google.protobuf" if dialect == "betterproto" else "google.protobuf.struct_pb2",
        base=("acme." if option else "") + place.replace("/", "."),
        suffix="_pb" if dialect == "betterproto" else "_pb2",
        names=" ".join(name.removeprefix("{place}").removesuffix(".proto") for name in SAME_NAMES),
    )
    run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)


ABSENT = """\
syntax = "proto3";
import "google/protobuf/descriptor.proto";
import "micro_rt/status.proto";

message M {
  google.protobuf.FeatureSet.VisibilityFeature feature = 1;
  map<string, micro.status.Status> statuses = 2;
  message Inner {
    oneof result { micro.status.Status status = 1; string text = 2; }
  }
}

service S {
  rpc Check(micro.status.Status) returns (micro.status.Status);
}
"""


def test_what_betterproto_does_not_have_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a.proto": ABSENT})
    out = tmp_path / "out"
    said = protoc(
        out,
        [tmp_path, Path(sys.prefix) / "include", ROOT],
        ["a.proto"],
        "--micro_opt=messages=betterproto",
        check=False,
    )
    feature = "uses google.protobuf.FeatureSet.VisibilityFeature of google/protobuf/descriptor.proto, which betterproto"
    status = "uses micro.status.Status of micro_rt/status.proto, which micro-rt has only for the official runtime;"
    instead = "generate this file with messages=protobuf"
    assert said.splitlines() == [
        f"--micro_out: a.proto:6:3: M.feature: {feature} does not have; {instead}",
        f"a.proto:7:3: M.statuses: {status} {instead}",
        f"a.proto:9:20: M.Inner.status: {status} {instead}",
        f"a.proto:14:3: S.Check: {status} {instead}",
    ]
    assert tree(out) == {}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("micro_rt/annotations.proto", "message M { option (micro.event).topic = 't'; string id = 1; }"),
        ("micro_rt/status.proto", "message M { string id = 1; }"),
    ],
)
def test_a_public_import_of_the_files_of_micro_rt_hands_nothing_on_in_betterproto(
    path: str, text: str, tmp_path: Path
) -> None:
    sources = {
        "a.proto": f'syntax = "proto3"; import public "{path}"; {text}',
        "b.proto": 'syntax = "proto3"; import public "a.proto"; message N { M m = 1; }',
    }
    write(tmp_path, sources)
    assert protoc(tmp_path, [tmp_path, ROOT], sorted(sources), "--micro_opt=messages=betterproto") == ""
    script = "import a_pb, b_pb; assert a_pb.__all__ == ['M'] and b_pb.__all__ == ['M', 'N']; from b_pb import *"
    run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)


def test_files_of_micro_rt_that_are_generated_elsewhere_are_imported_from_there(tmp_path: Path) -> None:
    source = ABSENT.replace("google.protobuf.FeatureSet.VisibilityFeature", "google.protobuf.FieldOptions")
    write(tmp_path, {"a.proto": source})
    options = "--micro_opt=messages=betterproto,map=micro_rt/status.proto=acme.status_pb"
    assert protoc(tmp_path / "out", [tmp_path, ROOT], ["a.proto"], options) == ""
    assert "from acme.status_pb import Status\n" in (tmp_path / "out" / "a_pb.py").read_text()
