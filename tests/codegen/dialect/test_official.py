"""Random messages of the default dialect, against protoc's own ``_pb2`` in a process of its own.

In one process both would be the same classes: equal descriptors are registered once.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codegen.dialect.conftest import Modules
from tests.codegen.dialect.test_round_trips import NAMES, QUIET, fill
from tests.codegen.dialect.tree import PROTOS
from tests.codegen.tools import SCRIPTS, run
from tests.helpers.programs import Program

ECHO = """
import struct, sys
import everything_pb2
while prefix := sys.stdin.buffer.read(8):
    name, size = struct.unpack("<II", prefix)
    kind = getattr(everything_pb2, sys.stdin.buffer.read(name).decode())
    data = kind.FromString(sys.stdin.buffer.read(size)).SerializeToString(deterministic=True)
    sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bytes], bytes]]:
    """Reads a message with protoc's own class, and writes it again."""
    out = tmp_path_factory.mktemp("official")
    protos = [str(path.relative_to(PROTOS)) for path in (PROTOS / "everything.proto", PROTOS / "till" / "money.proto")]
    run(SCRIPTS / "protoc", f"-I{PROTOS}", f"--python_out={out}", *protos)
    assert "micro" not in (out / "everything_pb2.py").read_text()
    with Program([sys.executable, "-c", ECHO], cwd=out, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout, process.stdin

        def echo(name: str, data: bytes) -> bytes:
            sink.write(struct.pack("<II", len(name), len(data)) + name.encode() + data)
            sink.flush()
            (size,) = struct.unpack("<I", source.read(4))
            return source.read(size)

        yield echo
        sink.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("name", NAMES)
@QUIET
@given(data=st.data())
def test_bytes_go_to_protocs_class_and_back(
    name: str, everything: Modules, official: Callable[[str, bytes], bytes], data: st.DataObject
) -> None:
    ours = fill(data, getattr(everything.google, name)())
    again = official(name, ours.SerializeToString())
    assert again == ours.SerializeToString(deterministic=True)
    assert type(ours).FromString(again).SerializeToString(deterministic=True) == again
