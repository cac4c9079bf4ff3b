"""Names that mean something to Python, to protobuf or to the stubs themselves, everywhere a .proto has a name.

Each example is a pair of random files, where one imports the other and its types, and a program that uses every
field. Both strict checkers find no mistake in any of it, and the types are those of the .proto. The betterproto
dialect's classes of the same files hold what the official runtime's hold.
"""

from __future__ import annotations

import builtins
import json
import keyword
import random
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from google.protobuf.message import Message

from protoc_gen_micro.schema.names import json_name
from tests.codegen.tools import PROTOS, ROOT, SCRIPTS, protoc, run, write
from tests.helpers.sizes import Figures, Size

OUR_OWN = [
    "_typing",
    "_typing_extensions",
    "_abc",
    "_builtins",
    "_datetime",
    "_message",
    "_descriptor",
    "_containers",
    "_enums",
    "_extension_dict",
    "_Mapping",
    "_micro",
    "_Value",
    "_values",
    "_items",
    "_None",
    "_Any",
    "collections",
    "typing",
    "datetime",
    "google",
    "micro_rt",
    "cls",
    "name",
    "value",
    "field_name",
    "oneof_group",
    "keywords",
    "self",
    "_self",
    "keywords_",
]
ENUMS = [
    "Name",
    "Value",
    "ValueType",
    "keys",
    "values",
    "items",
    "DESCRIPTOR",
    "mro",
    "V",
    "real",
    "imag",
    "numerator",
    "from_bytes",
    "to_bytes",
]
WELL_KNOWN = [
    "Timestamp",
    "Duration",
    "Struct",
    "ListValue",
    "NullValue",
    "Syntax",
    "Any",
    "Empty",
    "Value",
    "Field",
    "Method",
    "Api",
    "Type",
    "Enum",
]
UNDERSCORES = [
    "_",
    "__",
    "___",
    "_x",
    "__x",
    "__x__",
    "__init__",
    "__class__",
    "__slots__",
    "__dict__",
    "__doc__",
    "__module__",
    "__new__",
    "__all__",
]
CASES = [
    "name",
    "Name",
    "NAME",
    "nAme",
    "item",
    "Item",
    "ITEM",
    "item_",
    "Item_",
    "ITEM_FIELD_NUMBER",
    "NAME_FIELD_NUMBER",
    "NameEntry",
    "ItemEntry",
]
DANGEROUS = sorted(
    {
        *dir(builtins),
        *typing.__all__,
        *(member for member in dir(Message) if not member.startswith("__")),
        *keyword.kwlist,
        *keyword.softkwlist,
        *OUR_OWN,
        *ENUMS,
        *WELL_KNOWN,
        *UNDERSCORES,
        *CASES,
    }
    # protoc takes these for its own keywords where the name of a value begins a line.
    - {"option", "reserved"}
)
LIKELY = [
    *ENUMS,
    *OUR_OWN,
    *WELL_KNOWN,
    *CASES,
    "int",
    "str",
    "list",
    "property",
    "classmethod",
    "bytes",
    "bool",
    "type",
]

SCALARS = {"int32": "int", "string": "str", "bytes": "bytes", "bool": "bool", "double": "float"}
OUTSIDE = {
    ".google.protobuf.Timestamp": ("timestamp_pb2.Timestamp", "message"),
    ".google.protobuf.Struct": ("struct_pb2.Struct", "message"),
    ".google.protobuf.Value": ("struct_pb2.Value", "message"),
    ".google.protobuf.NullValue": ("struct_pb2.NullValue.ValueType", "enum"),
    ".google.protobuf.Syntax": ("type_pb2.Syntax.ValueType", "enum"),
}
IMPORTS = ("timestamp", "struct", "type")


class Kind(typing.NamedTuple):
    """A type of a .proto: its name there, how a program writes it, and whether it is a message or an enum."""

    proto: str
    python: str
    kind: str


class Scope:
    """The names of one scope of a .proto: distinct, also in JSON."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._taken: set[str] = set()

    def name(self, *, of_type: bool = False, of_module: bool = False) -> str:
        """Returns a name that the scope does not have yet.

        A class called ``__name__`` or ``DESCRIPTOR`` cannot be found in the class that holds it, and a value of the module
        called ``__spec__`` takes the place of what Python put there, whatever wrote the modules.
        """
        while True:
            name = self._chance.choice(LIKELY if self._chance.random() < 0.6 else DANGEROUS)
            if of_type and (name == "DESCRIPTOR" or (name.startswith("__") and name.endswith("__"))):
                continue
            if of_module and name in {"__all__", "__spec__", "__name__", "__package__", "__loader__"}:
                continue
            # An entry of a map has a name in the scope, too, made of the field's.
            keys = {name, f"json {json_name(name)}".lower(), f"{name.replace('_', '')}Entry".lower()}
            if self._taken.isdisjoint(keys | {name.lower()} if name.lower().endswith("entry") else keys):
                self._taken |= keys
                return name


class Example:
    """A random .proto file, and the functions of a program that uses it.

    Args:
        chance: what makes it random.
        path: where the file is.
        module: the local name of its module in the program.
        imported: the types of the file that it imports, and its path.
        public: whether it hands them on.
    """

    def __init__(
        self, chance: random.Random, path: str, module: str, imported: tuple[str, list[Kind]] | None, public: bool
    ) -> None:
        self._chance = chance
        self._module = module
        self.package = path.removesuffix(".proto").replace("/", ".")
        self.types: list[Kind] = [*imported[1]] if imported else []
        self._own: list[Kind] = []
        self._uses: list[tuple[str, str, str]] = []
        syntax = chance.choice(["proto2", "proto3"])
        self._label = "optional " if syntax == "proto2" else ""
        # Types are named before their fields are written, so that any field can have any type.
        scope = Scope(chance)
        shape = [self._shape(scope, f".{self.package}", "", 0) for _ in range(chance.randint(1, 3))]
        enum = self._enum(scope, f".{self.package}", "")
        self.types += [Kind(proto, python, kind) for proto, (python, kind) in OUTSIDE.items()]
        lines = [f'syntax = "{syntax}";', f"package {self.package};"]
        lines += [f'import "google/protobuf/{name}.proto";' for name in IMPORTS]
        if imported:
            lines.append(f'import {"public " if public else ""}"{imported[0]}";')
        lines += enum
        for message in shape:
            lines += self._message(message)
        lines += self._service(scope)
        self.text = "\n".join(lines) + "\n"

    @property
    def own(self) -> list[Kind]:
        """The types that the file defines."""
        return self._own

    def program(self) -> Iterator[str]:
        """Yields functions that say of each field which type it has."""
        for number, (message, field, hint) in enumerate(self._uses):
            yield f"def {self._module}_{number}(message: {message}) -> None:"
            yield f"    assert_type(message.{field}, {hint})"

    def _shape(self, scope: Scope, proto: str, python: str, depth: int) -> dict[str, typing.Any]:
        """Names a message and what is nested in it."""
        name = scope.name(of_type=True)
        kind = self._known(f"{proto}.{name}", python, name, "message")
        inner = Scope(self._chance)
        nested = [
            self._shape(inner, kind.proto, kind.python, depth + 1)
            for _ in range(self._chance.randint(0, 2 if depth < 2 else 0))
        ]
        enums = [self._enum(inner, kind.proto, kind.python) for _ in range(self._chance.randint(0, 1))]
        return {"name": name, "kind": kind, "scope": inner, "nested": nested, "enums": enums}

    def _known(self, proto: str, python: str, name: str, kind: str) -> Kind:
        written = f"{python or self._module}.{name}"
        if keyword.iskeyword(name) or not python.isascii() or "?" in python:
            written = "?"  # A program would have to know how many underscores follow the keyword.
        known = Kind(proto, "?" if python == "?" else written, kind)
        self.types.append(known)
        self._own.append(known)
        return known

    def _enum(self, scope: Scope, proto: str, python: str) -> list[str]:
        name = scope.name(of_type=True)
        self._known(f"{proto}.{name}", python, name, "enum")
        values = [scope.name(of_module=not python) for _ in range(self._chance.randint(1, 4))]
        return [f"enum {name} {{", *(f"  {value} = {number};" for number, value in enumerate(values)), "}"]

    def _message(self, shape: dict[str, typing.Any]) -> list[str]:
        lines = [f"message {shape['name']} {{"]
        for enum in shape["enums"]:
            lines += enum
        for nested in shape["nested"]:
            lines += self._message(nested)
        scope: Scope = shape["scope"]
        message = shape["kind"].python
        count = self._chance.randint(0, 5)
        for number in range(1, count + 1):
            lines.append(self._field(scope, number, message))
        if self._chance.random() < 0.3:
            lines.append(f"  oneof {scope.name()} {{")
            name, (proto, python, _) = scope.name(), self._type()
            lines += [f"    {proto} {name} = {count + 1};", "  }"]
            self._use(message, name, python)
        return [*lines, "}"]

    def _field(self, scope: Scope, number: int, message: str) -> str:
        name, (proto, python, kind) = scope.name(), self._type()
        family = self._chance.choice(["one", "one", "many", "map"])
        if family == "many":
            container = "RepeatedCompositeFieldContainer" if kind == "message" else "RepeatedScalarFieldContainer"
            self._use(message, name, f"containers.{container}[{python}]" if python != "?" else "?")
            return f"  repeated {proto} {name} = {number};"
        if family == "map":
            container = "MessageMap" if kind == "message" else "ScalarMap"
            self._use(message, name, f"containers.{container}[str, {python}]" if python != "?" else "?")
            return f"  map<string, {proto}> {name} = {number};"
        self._use(message, name, python)
        return f"  {self._label}{proto} {name} = {number};"

    def _type(self) -> Kind:
        if self._chance.random() < 0.3:
            proto, python = self._chance.choice(list(SCALARS.items()))
            return Kind(proto, python, "scalar")
        return self._chance.choice(self.types)

    def _use(self, message: str, name: str, hint: str) -> None:
        # A name with two underscores in front is changed inside of classes, and so not in the stub.
        if "?" not in (message, hint) and not keyword.iskeyword(name) and not name.startswith("__"):
            self._uses.append((message, name, hint))

    def _service(self, scope: Scope) -> list[str]:
        messages = [known for known in self.types if known.kind == "message"]
        lines = [f"service {scope.name()} {{"]
        methods = Scope(self._chance)
        for _ in range(self._chance.randint(1, 3)):
            request, reply = (self._chance.choice(messages).proto for _ in range(2))
            stream = self._chance.choice(["", "stream "])
            lines.append(f"  rpc {methods.name()}({stream}{request}) returns ({stream}{reply});")
        return [*lines, "}"]


def example(seed: int, folder: Path) -> str:
    """Writes a pair of files that protoc accepts and their program into a folder; returns the text of it all."""
    for attempt in range(100):
        chance = random.Random(f"{seed} {attempt}")
        # At the root, nobody knows whether the modules are inside a package; in a folder, imports are relative.
        place = "" if seed % 2 else f"p{seed}/"
        first, second = f"{place}a{seed}.proto", f"{place}b{seed}.proto"
        one = Example(chance, first, "one", None, public=False)
        two = Example(chance, second, "two", (first, one.own), public=chance.random() < 0.5)
        write(folder, {first: one.text, second: two.text})
        checked = run(SCRIPTS / "protoc", f"-I{folder}", f"-I{ROOT}", "-o/dev/null", first, second, check=False)
        if checked.returncode == 0:
            break
    else:
        raise AssertionError(f"protoc accepts no example: {checked.stderr}")
    modules = [
        (name, path.removesuffix(".proto").replace("/", ".")) for name, path in (("one", first), ("two", second))
    ]
    program = [
        "# pyright: reportPrivateUsage=false",
        "from typing import assert_type",
        "from google.protobuf import struct_pb2, timestamp_pb2, type_pb2",
        "from google.protobuf.internal import containers",
        *(f"import {module}_pb2 as {name}\nimport {module}_micro as {name}_stubs" for name, module in modules),
        "print(one, two, one_stubs, two_stubs, struct_pb2, timestamp_pb2, type_pb2, containers, assert_type)",
        *one.program(),
        *two.program(),
    ]
    write(folder, {f"use{seed}.py": "\n".join(program) + "\n"})
    return f"{one.text}\n{two.text}"


@pytest.mark.verify("codegen")
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_any_name_is_clean_and_means_what_the_proto_says(
    checker: str, size: Size, figures: Figures, tmp_path: Path
) -> None:
    checked = 0
    for folder, texts, names in _trees(size(2000, ci=8), tmp_path):
        protoc(folder, [folder, ROOT], names)
        _check_clean(checker, folder, texts)
        run(sys.executable, "-c", "".join(f"import use{seed}\n" for seed in texts), cwd=folder)
        checked += len(names)
    figures.add("files", checked)


def _trees(count: int, folder: Path) -> Iterator[tuple[Path, dict[int, str], list[str]]]:
    """Writes files with random names below a folder, a hundred pairs in one tree.

    Yields:
        The folder of each tree, the texts of its pairs by their seeds, and the names of its files.
    """
    for start in range(0, count, 100):
        tree = folder / str(start)
        texts = {seed: example(seed, tree) for seed in range(start, min(start + 100, count))}
        yield tree, texts, sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*.proto"))


def _check_clean(checker: str, folder: Path, texts: Mapping[int, str]) -> None:
    """Checks that a strict checker has nothing to say of a tree; the error shows the files that it concerns."""
    mistakes = _mistakes(checker, folder)
    concerned = [text for seed, text in texts.items() if _concerns(seed, mistakes)] if mistakes else []
    assert mistakes == [], "\n".join([*mistakes[:20], *concerned])


ROUND_TRIPS = """\
import importlib
import random
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

# A field or a nested message may hide any method of a message.
methods = timestamp_pb2.Timestamp.__mro__[1]
pool = descriptor_pool.DescriptorPool()
for file in descriptor_pb2.FileDescriptorSet.FromString(Path("all.binpb").read_bytes()).file:
    pool.Add(file)
chance = random.Random(1)


def module(file):
    if file.startswith("google/protobuf/"):
        return importlib.import_module("betterproto.lib.std.google.protobuf")
    return importlib.import_module(file.removesuffix(".proto").replace("/", ".") + "_pb")


def scalar(field):
    if field.enum_type:
        return chance.choice(field.enum_type.values).number
    values = {"str": "a", "bytes": b"b", "float": 1.5, "bool": True, "int": 7}
    return values[{9: "str", 12: "bytes", 1: "float", 8: "bool"}.get(field.type, "int")]


def fill(message, descriptor, depth=0):
    for field in descriptor.fields:
        if chance.random() < 0.3 or (field.message_type and depth == 3):
            continue
        entry = field.message_type and field.message_type.GetOptions().map_entry
        value = field.message_type.fields_by_name["value"] if entry else field
        if entry and value.message_type:
            fill(getattr(message, field.name)["key"], value.message_type, depth + 1)
        elif entry:
            getattr(message, field.name)["key"] = scalar(value)
        elif field.is_repeated and field.message_type:
            fill(getattr(message, field.name).add(), field.message_type, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).append(scalar(field))
        elif field.message_type:
            methods.SetInParent(getattr(message, field.name))
            fill(getattr(message, field.name), field.message_type, depth + 1)
        else:
            setattr(message, field.name, scalar(field))
    return message


def means(kind, descriptor):
    home = module(descriptor.file.name)
    assert getattr(home, kind.__name__) is kind and kind.__module__ == home.__name__, (kind, descriptor.full_name)
    assert getattr(kind, "_full_name_", descriptor.full_name) == descriptor.full_name, (kind, descriptor.full_name)


def check(descriptor, classes):
    kind = classes[descriptor.full_name]
    means(kind, descriptor)
    for spec in kind._specs_:
        field = descriptor.fields_by_name[spec.proto_name]
        if spec.map_key:
            field = field.message_type.fields_by_name["value"]
        if spec.kind in ("message", "enum"):
            means(spec.type(), field.message_type or field.enum_type)
    official = message_factory.GetMessageClass(descriptor)
    for _ in range(5):
        message, again = fill(official(), descriptor), official()
        methods.ParseFromString(again, bytes(kind().parse(methods.SerializeToString(message))))
        assert methods.__eq__(again, message), (again, message)
    for nested in descriptor.nested_types:
        if not nested.GetOptions().map_entry:
            check(nested, classes)


for name in sys.argv[1:]:
    file, home = pool.FindFileByName(name), module(name)
    importlib.import_module(home.__name__.removesuffix("_pb") + "_micro")
    own = {key: kind for key, kind in vars(home).items() if getattr(kind, "__module__", "") == home.__name__}
    classes = {kind._full_name_: kind for kind in own.values() if hasattr(kind, "_full_name_")}
    for descriptor in file.message_types_by_name.values():
        check(descriptor, classes)
    exported = set(home.__all__)
    for other in file.public_dependencies:
        for key in module(other.name).__all__:
            assert key in exported and (key in own or getattr(home, key) is getattr(module(other.name), key)), key
    assert all(hasattr(home, key) for key in exported)
print("checked", len(sys.argv[1:]))
"""


@pytest.mark.verify("codegen")
@pytest.mark.parametrize("checker", ["runtime", "mypy", "pyright"])
def test_any_name_means_what_the_proto_says_in_the_betterproto_dialect(
    checker: str, size: Size, figures: Figures, tmp_path: Path
) -> None:
    checked = 0
    for folder, texts, names in _trees(size(2000, ci=8), tmp_path):
        for seed in texts:
            (folder / f"use{seed}.py").unlink()  # a program of the default dialect
        protoc(folder, [folder, ROOT], names, "--micro_opt=messages=betterproto")
        if checker == "runtime":
            run(SCRIPTS / "protoc", f"-I{folder}", "--include_imports", f"-o{folder / 'all.binpb'}", *names)
            done = run(sys.executable, "-W", "error", "-c", ROUND_TRIPS, *names, cwd=folder)
            assert done.stdout == f"checked {len(names)}\n"
        else:
            _check_clean(checker, folder, texts)
        checked += len(names)
    figures.add("files", checked)


SHADOWS = {
    "protobuf": """\
# pyright: reportPrivateUsage=false
from typing import assert_type

from torture import shadowed_pb2, shadows_pb2

record = shadows_pb2.Record(ours={"theirs": {"theirs": "a"}})
assert_type(record.ours, shadows_pb2.Record)
assert_type(record.theirs, shadowed_pb2.Record)
assert_type(shadows_pb2.Value(kind="KIND_UNKNOWN").kind, shadows_pb2.Value.Kind)
assert record.ours.DESCRIPTOR is shadows_pb2.Record.DESCRIPTOR
assert record.theirs.DESCRIPTOR is shadowed_pb2.Record.DESCRIPTOR is not shadows_pb2.Record.DESCRIPTOR
assert shadows_pb2.Outer.Clear.lambda_.DESCRIPTOR.name == "lambda"
assert shadows_pb2.getattr.import_.DESCRIPTOR.name == "import"
assert shadows_pb2._builtins.None_.DESCRIPTOR.name == "None"
""",
    "betterproto": """\
from typing import assert_type

from torture import shadowed_pb, shadows_pb

record = shadows_pb.Record(ours=shadows_pb.Record(theirs=shadowed_pb.Record(theirs="a")))
assert_type(record.ours, shadows_pb.Record)
assert_type(record.theirs, shadowed_pb.Record)
assert_type(record.globals, shadows_pb.Globals)
assert_type(shadows_pb.Value().kind, shadows_pb.ValueKind)
assert type(record.ours) is shadows_pb.Record
assert type(record.theirs) is shadowed_pb.Record
assert shadows_pb.Globals is shadowed_pb.Globals
assert bytes(record) == b"\\n\\x05\\x12\\x03\\n\\x01a"
""",
}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_a_name_that_is_handed_on_and_defined_means_the_own_class(dialect: str, checker: str, tmp_path: Path) -> None:
    names = ["torture/shadows.proto", "torture/shadowed.proto"]
    protoc(tmp_path, [PROTOS], names, f"--micro_opt=messages={dialect}")
    write(tmp_path, {"use.py": SHADOWS[dialect]})
    assert _mistakes(checker, tmp_path) == []
    run(sys.executable, "use.py", cwd=tmp_path)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_a_builtin_that_an_imported_file_defines_stays_one(dialect: str, checker: str, tmp_path: Path) -> None:
    """At the import root, the stubs import each other by star: names that a file does not need come with the others."""
    hiding = {name for name in set(dir(builtins)) - set(keyword.kwlist) if not name.startswith("__")}
    types = [f"message {name} {{}}" for name in sorted(hiding)]
    write(tmp_path, {
        "brings.proto": "\n".join(['syntax = "proto3";', "message Brought {}", *types]),
        "describes.proto": 'syntax = "proto3"; message DESCRIPTOR {} message Described {}',
        "needs.proto": """\
syntax = "proto3";
import "brings.proto";
import "describes.proto";
enum Kind { KIND_UNKNOWN = 0; }
message Item {
  Brought brought = 1;
  repeated Brought every = 2;
  map<string, Brought> named = 3;
  map<int32, bytes> numbered = 4;
  Kind kind = 5;
  oneof choice { string text = 6; bool yes = 7; double much = 8; }
  Described described = 9;
}
service Items { rpc Get(Item) returns (stream Brought); rpc Put(stream Item) returns (Item); }
""",
    })  # fmt: skip
    names = ["brings.proto", "describes.proto", "needs.proto"]
    protoc(tmp_path, [tmp_path, ROOT], names, f"--micro_opt=messages={dialect}")
    assert _mistakes(checker, tmp_path) == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_what_a_module_imports_for_itself_is_not_what_it_hands_on(dialect: str, checker: str, tmp_path: Path) -> None:
    private = sorted({*(name for name in OUR_OWN if name.startswith("_")), "_builder", "_descriptor_pool", "_version"})
    types = [f"message {name} {{}}" for name in private]
    write(tmp_path, {
        "here/brings.proto": "\n".join(['syntax = "proto3";', *types]),
        "far/brings.proto": 'syntax = "proto3"; package far; message _micro_ {} message _builtins_ {} message _builder_ {}',
        "here/hands.proto": """\
edition = "2023";
import public "here/brings.proto";
import public "far/brings.proto";
message Item { map<string, far._builtins_> every = 1; repeated None kind = 2; }
enum None { None_UNKNOWN = 0; }
service Items { rpc Get(Item) returns (stream _builder); rpc Put(stream Item) returns (_micro); }
""",
    })  # fmt: skip
    names = ["here/brings.proto", "far/brings.proto", "here/hands.proto"]
    protoc(tmp_path, [tmp_path, ROOT], names, f"--micro_opt=messages={dialect}")
    assert _mistakes(checker, tmp_path) == []
    suffix = "pb2" if dialect == "protobuf" else "pb"
    run(
        sys.executable,
        "-W",
        "error",
        "-c",
        f"from here import hands_micro, hands_{suffix}; hands_{suffix}.Item()",
        cwd=tmp_path,
    )


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_names_that_checkers_give_a_meaning_are_clean(checker: str, tmp_path: Path) -> None:
    """A condition that they know by its name, names that look private, and a function that may be defined twice."""
    write(tmp_path, {
        "rare.proto": """\
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message TYPE_CHECKING {
  message __private { google.protobuf.Timestamp _ = 1; }
  message _protected {}
}
service Rare {
  rpc Get(TYPE_CHECKING.__private) returns (TYPE_CHECKING._protected);
  rpc Put(TYPE_CHECKING) returns (stream TYPE_CHECKING);
}
""",
    })  # fmt: skip
    protoc(tmp_path, [tmp_path, ROOT], ["rare.proto"])
    assert _mistakes(checker, tmp_path) == []


def test_what_takes_the_place_of_a_module_attribute_is_told(tmp_path: Path) -> None:
    write(tmp_path, {
        "a.proto": 'syntax = "proto3"; package a; enum E { __spec__ = 0; __all__ = 1; __x__ = 2; } message __path__ {}',
        "b.proto": 'syntax = "proto3"; package b; message M { enum E { __spec__ = 0; } string __all__ = 1; }',
    })  # fmt: skip
    told = (
        "protoc-gen-micro: warning: a.proto: its module, and those that import it, may fail: Python itself uses what it "
        "defines (__all__, __path__, __spec__); rename it\n"
    )
    assert protoc(tmp_path, [tmp_path], ["a.proto", "b.proto"]) == told
    assert protoc(tmp_path, [tmp_path], ["b.proto", "a.proto"], "--micro_opt=messages=betterproto") == ""


def _concerns(seed: int, mistakes: list[str]) -> bool:
    return any(f"{letter}{seed}{end}" in mistakes[0] for letter in ("a", "b", "use", "p") for end in ("_", ".", "/"))


def _mistakes(checker: str, folder: Path) -> list[str]:
    """Returns what a strict checker says of all that is in a folder."""
    if checker == "mypy":
        write(folder, {"mypy.ini": f"[mypy]\nstrict = true\npython_version = 3.11\nmypy_path = {ROOT}\n"})
        # With a cache of its own: in one that runs share, mypy can find what another one is writing.
        command = ["--explicit-package-bases", "--cache-dir", folder / ".mypy_cache", "."]
        said = run(SCRIPTS / "mypy", *command, cwd=folder, check=False).stdout
        assert "source files" in said, said
        return [line for line in said.splitlines() if ": error:" in line]
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    write(folder, {"pyrightconfig.json": json.dumps(config)})
    said = run(SCRIPTS / "pyright", "--outputjson", "--pythonpath", SCRIPTS / "python", cwd=folder, check=False).stdout
    report = json.loads(said)
    assert report["summary"]["filesAnalyzed"] >= len(list(folder.rglob("*.py")))
    return [
        f"{Path(entry['file']).relative_to(folder.resolve())}:{entry['range']['start']['line'] + 1}: {entry['message']}"
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    ]
