"""What is generated loads on protobuf's oldest supported runtime and on the newest, with upb and in pure Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen import test_widths
from tests.codegen.tools import FLOOR, PURELIB, ROOT, tree

SCRIPT = """\
import importlib, sys
root, *rest = sys.argv[1:4]
sys.path += [root, *rest]
from google.protobuf import __version__
from google.protobuf.internal import api_implementation
for name in sys.argv[4:]:
    importlib.import_module(name)
import nested_pb2, torture.proto2_pb2 as proto2
outer = nested_pb2.Outer(by_name={"a": nested_pb2.Outer.Inner(state=nested_pb2.STATE_GOOD)}, words=["b"])
assert nested_pb2.Outer.FromString(outer.SerializeToString()) == outer
record = proto2.Everything(must="x", result=proto2.Everything.Result(url="u"))
record.Extensions[proto2.shade] = proto2.Everything.GREEN
assert proto2.Everything.FromString(record.SerializeToString()) == record
assert record.odd != record.odd and record.raw == b"\\0\\x01\\"'\\\\" and record.big == 2**64 - 1
print(__version__, api_implementation.Type())
"""

HIDES_MEMBERS = ("odd_",)
"""A field called DESCRIPTOR: protoc's own module does not load in pure Python either."""


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("runtime", ["floor", "newest"])
def test_modules_load(runtime: str, implementation: str, generated: Path, request: pytest.FixtureRequest) -> None:
    python = request.getfixturevalue("floor") if runtime == "floor" else Path(sys.executable)
    skipped = HIDES_MEMBERS if implementation == "python" else ()
    names = [path.removesuffix(".py").replace("/", ".") for path in tree(generated) if path.endswith(".py")]
    names = [name for name in names if not name.startswith(skipped)]
    assert len(names) > 40
    # The runtime's own folder comes before that of everything else that micro_rt needs.
    command = [str(python), "-W", "error", "-c", SCRIPT, str(generated), str(ROOT), str(PURELIB), *names]
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    version, used = result.stdout.split()
    assert used == implementation
    assert (version == FLOOR) == (runtime == "floor")


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("runtime", ["floor", "newest"])
def test_what_the_types_accept_runs(
    runtime: str, implementation: str, generated: Path, request: pytest.FixtureRequest
) -> None:
    python = request.getfixturevalue("floor") if runtime == "floor" else Path(sys.executable)
    script = test_widths.HEAD + test_widths.PROTOC + test_widths.MYPY_PROTOBUF + test_widths.RUNTIME + test_widths.NEWER
    environment = {
        **os.environ,
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
        "PYTHONPATH": str(generated),
    }
    result = subprocess.run([str(python), "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
