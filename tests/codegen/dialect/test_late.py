"""Messages are complete when they are first used: from any place, in any thread, whatever the first use is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.codegen.dialect.tree import DIALECT, NAMES, PROTOS
from tests.codegen.tools import protoc, run, tree, write

FIRST_USES = {
    "a constructor": "m.Tree(name='x')",
    "decoding": "m.Tree.FromString(b'')",
    "a decoder of an empty instance": "m.Leaf.__new__(m.Leaf).parse(b'')",
    "an encoder of an empty instance": "bytes(m.Leaf.__new__(m.Leaf))",
    "a signature": "import inspect; assert list(inspect.signature(m.Leaf).parameters) == ['name', 'size']",
    "a subclass": "class Mine(m.Leaf):\n    def __init__(self): super().__init__(name='mine')\nassert bytes(Mine()) == b'\\n\\x04mine'",
    "json": "assert m.Leaf.from_dict({'size': 3}).size == 3",
}
LOOKS = {
    "a default": "assert (m.Leaf.name, m.Leaf.size) == ('', 0)",
    "a field of an empty instance": "assert m.Leaf.__new__(m.Leaf).name == ''",
    "setting a member of a oneof": "t = m.Tree.__new__(m.Tree); t.number = 5; assert t.number == 5 and '_v0' in vars(t)",
    "fields": "import dataclasses; assert [f.name for f in dataclasses.fields(m.Leaf)] == ['name', 'size']",
    "being a dataclass": "import dataclasses; assert dataclasses.is_dataclass(m.Leaf)",
    "positions of a pattern": "assert m.Leaf.__match_args__ == ('name', 'size')",
    "an attribute that is missing": "assert not hasattr(m.Leaf, 'nothing') and not hasattr(m.Tree, 'leaves')",
    "a table of betterproto": "assert list(m.Leaf._betterproto.meta_by_field_name) == ['name', 'size']",
    "type hints": "import typing; assert typing.get_type_hints(m.Leaf)['size'] is int",
    "the base class": (
        "from micro_rt.dialects.betterproto import Message\nimport dataclasses\n"
        "assert not dataclasses.is_dataclass(Message) and not hasattr(Message, '_specs_')"
    ),
}


def loaded(script: str, folder: Path) -> bool:
    """Runs a script on ``twin_pb`` as ``m``, and returns whether it has loaded the codecs."""
    head = "import sys, twin_pb as m\nassert 'twin_pb_codec' not in sys.modules\n"
    said = run(
        sys.executable, "-W", "error", "-c", f"{head}{script}\nprint('twin_pb_codec' in sys.modules)", cwd=folder
    )
    return said.stdout == "True\n"


@pytest.mark.parametrize("script", FIRST_USES.values(), ids=FIRST_USES)
def test_the_first_use_loads_the_codecs(script: str, dialect: Path) -> None:
    assert loaded(script, dialect)


@pytest.mark.parametrize("script", LOOKS.values(), ids=LOOKS)
def test_a_look_at_a_class_completes_it_and_loads_nothing(script: str, dialect: Path) -> None:
    assert not loaded(script, dialect)


USE = """
import dataclasses, importlib, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    kinds = [kind for kind in vars(module).values() if hasattr(kind, "FromString") and kind.__module__ == name]
    for kind in kinds:
        message = kind()
        assert kind.FromString(bytes(message)) == message
        assert kind.__init__.__module__ == f"{name}_codec"
        for field in dataclasses.fields(kind):
            try:
                getattr(message, field.name)
            except AttributeError as error:
                assert "is set to" in str(error), error
print(len(sys.argv))
"""
MODULES = [name.removesuffix(".proto").replace("/", ".") + "_pb" for name in NAMES]


def test_codecs_work_at_the_import_root_and_inside_a_package(dialect: Path, tmp_path: Path) -> None:
    write(tmp_path / "inside" / "deep", tree(dialect))
    run(sys.executable, "-W", "error", "-c", USE, *MODULES, cwd=dialect)
    run(sys.executable, "-W", "error", "-c", USE, *(f"inside.deep.{name}" for name in MODULES), cwd=tmp_path)


def test_codecs_work_with_package_and_map(tmp_path: Path) -> None:
    protoc(tmp_path / "acme" / "api", [PROTOS], NAMES, f"{DIALECT},package=acme.api")
    run(sys.executable, "-W", "error", "-c", USE, *(f"acme.api.{name}" for name in MODULES), cwd=tmp_path)
    others = [name for name in NAMES if not name.startswith("till/")]
    protoc(tmp_path / "rest", [PROTOS], others, f"{DIALECT},map=till=acme.api.till")
    rest = [name for name in MODULES if not name.startswith("till.")]
    run(sys.executable, "-W", "error", "-c", f"import sys; sys.path.append('..')\n{USE}", *rest, cwd=tmp_path / "rest")


THREADS = """
import importlib, sys, threading
sys.setswitchinterval(1e-6)
for _ in range(15):
    for name in [name for name in sys.modules if name.partition("_pb")[0] in ("everything", "twin")]:
        del sys.modules[name]
    m = importlib.import_module("everything_pb")
    data = [bytes.fromhex(text) for text in ("", "1a03616263", "0a020801")]
    start, failures = threading.Barrier(8), []
    def work(number):
        start.wait()
        try:
            kinds = [m.Scalars, m.Outer, m.Known, m.Oneofs, m.Lists, m.Maps]
            for kind in kinds[number % 6:] + kinds[:number % 6]:
                if number % 2:
                    kind.FromString(b"")
                assert kind().to_dict() == {} and bytes(kind()) == b""
                assert kind(**{}) == kind.FromString(bytes(kind()))
            assert m.Scalars(an_int32=5).an_int32 == 5 and m.Oneofs(number=0).number == 0
            assert m.Scalars._specs_ is m.Scalars._kept_["specs"]
        except BaseException as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(20)
    assert not failures, failures
"""


def test_threads_may_use_a_message_first_at_once(dialect: Path) -> None:
    run(sys.executable, "-c", THREADS, cwd=dialect)


def test_codecs_that_are_missing_or_of_another_run_are_named(dialect: Path, tmp_path: Path) -> None:
    write(tmp_path, {"twin_pb.py": tree(dialect)["twin_pb.py"]})
    said = run(sys.executable, "-c", "import twin_pb; twin_pb.Leaf()", cwd=tmp_path, check=False).stderr
    assert "ImportError: twin_pb_codec does not belong to twin_pb: No module named 'twin_pb_codec'; generate" in said
    write(tmp_path, {"twin_pb_codec.py": "def init_Tree(self): ...\n"})
    said = run(sys.executable, "-c", "import twin_pb; twin_pb.Leaf()", cwd=tmp_path, check=False).stderr
    assert (
        "does not belong to twin_pb: module 'twin_pb_codec' has no attribute 'init_Leaf'; generate the .proto" in said
    )


def test_an_error_inside_the_codecs_is_its_own(dialect: Path, tmp_path: Path) -> None:
    write(tmp_path, {"twin_pb.py": tree(dialect)["twin_pb.py"], "twin_pb_codec.py": "import nothing_like_it\n"})
    said = run(sys.executable, "-c", "import twin_pb; twin_pb.Leaf()", cwd=tmp_path, check=False).stderr
    assert said.splitlines()[-1] == "ModuleNotFoundError: No module named 'nothing_like_it'"


def test_a_file_without_messages_has_no_codecs(tmp_path: Path) -> None:
    write(tmp_path, {"a.proto": 'syntax = "proto3"; enum E { A = 0; }'})
    protoc(tmp_path, [tmp_path], ["a.proto"], DIALECT)
    assert set(tree(tmp_path)) == {"a.proto", "a_pb.py"}


def test_names_of_helpers_are_no_obstacle(tmp_path: Path) -> None:
    """Another file's message that is imported under a name of its own gets none that the codecs use."""
    write(
        tmp_path,
        {
            "a/a.proto": 'syntax = "proto3"; package a; message DecodeError { int32 x = 1; }',
            "b.proto": (
                'syntax = "proto3"; package b; import "a/a.proto"; message DecodeError { a.DecodeError inner = 1; }'
            ),
        },
    )
    protoc(tmp_path, [tmp_path], ["a/a.proto", "b.proto"], DIALECT)
    script = (
        "import b_pb\nfrom a.a_pb import DecodeError\n"
        "m = b_pb.DecodeError(inner=DecodeError(x=1))\nassert b_pb.DecodeError.FromString(bytes(m)) == m\n"
        "try: b_pb.DecodeError.FromString(b'\\x0a\\x05')\nexcept ValueError as error: print(error)"
    )
    assert "not a valid b.DecodeError" in run(sys.executable, "-c", script, cwd=tmp_path).stdout


def test_codecs_of_long_names_are_formatted(tmp_path: Path) -> None:
    fields = "".join(f"  repeated string {'a' * length} = {length};\n" for length in range(30, 60))
    write(tmp_path, {"long.proto": f'syntax = "proto3";\nmessage Long {{\n{fields}}}\n'})
    protoc(tmp_path / "out", [tmp_path], ["long.proto"], DIALECT)
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path / "out")
