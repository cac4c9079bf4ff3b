"""What the tests of the generator share: the ways to run it, and the protos."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.run.generate import respond
from protoc_gen_micro.run.parameters import Parameters

HERE = Path(__file__).parent
PROTOS = HERE / "protos"
ROOT = HERE.parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
PURELIB = Path(sysconfig.get_path("purelib"))
FLOOR = re.findall(r'"protobuf>=([\d.]+)', (ROOT / "pyproject.toml").read_text())[0]
"""The oldest version of protobuf that is supported."""
NAMES = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


def _known() -> str:
    try:
        Parameters.parse("?")
    except GenerateError as error:
        return str(error).partition("; ")[2]
    raise AssertionError("there is no option '?'")


KNOWN = _known()
"""How errors list the options."""


def run(*command: str | Path, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a program with the scripts of this environment on its path."""
    words = [str(word) for word in command]
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"{words[0]} ended with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def protoc(out: Path, roots: Iterable[Path], names: Iterable[str], *options: str, check: bool = True) -> str:
    """Runs the plugin as a user of protoc does; returns what protoc says."""
    out.mkdir(parents=True, exist_ok=True)
    include = [f"-I{root}" for root in roots]
    return run(SCRIPTS / "protoc", *include, f"--micro_out={out}", *options, *names, check=check).stderr


def request(roots: Sequence[Path], names: Sequence[str], parameter: str = "") -> plugin_pb2.CodeGeneratorRequest:
    """Returns the request that protoc would send to the plugin."""
    include = [f"-I{root}" for root in roots]
    with tempfile.NamedTemporaryFile(suffix=".binpb") as found:
        command = [
            SCRIPTS / "protoc",
            *include,
            "--include_imports",
            "--include_source_info",
            f"-o{found.name}",
            *names,
        ]
        subprocess.run(command, capture_output=True, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(found.name).read_bytes()).file
    return plugin_pb2.CodeGeneratorRequest(file_to_generate=names, proto_file=files, parameter=parameter)


def generate(folder: Path, sources: dict[str, str], parameter: str = "") -> plugin_pb2.CodeGeneratorResponse:
    """Writes .proto files into a folder, and runs the generator on them in this process."""
    write(folder, sources)
    return respond(request([folder, ROOT], list(sources), parameter))


def write(folder: Path, contents: dict[str, str]) -> None:
    """Writes files, by their paths in a folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def tree(folder: Path) -> dict[str, str]:
    """Returns what files hold, by their paths in a folder; but not what Python compiled of them when it imported them."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}
