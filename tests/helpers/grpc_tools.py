"""Runs programs that others wrote to call servers of gRPC and HTTP/2: grpcurl, ghz and h2load."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.helpers.missing import missing
from tests.helpers.waiting import PATIENCE
from tests.protos import lab_pb2
from tests.servers.cache import Unobtainable
from tests.servers.tools import TOOLS

__all__ = ["Loaded", "Said", "ghz", "grpcurl", "h2load", "reflecting_grpcurl"]

ROOT = Path(__file__).parents[2]
_IMPORTS = (
    ROOT / "tests" / "protos",
    ROOT,
    Path(str(import_module("google.rpc.error_details_pb2").__file__)).parents[2],
)
"""Where the .proto of the tests is, and what it imports; and what is in the details of errors."""
_CALLS_A_SECOND = 100
"""No machine is so busy that it makes fewer."""


class Said(NamedTuple):
    """What a program has written, and how it ended."""

    code: int
    output: str
    errors: str


class Loaded(NamedTuple):
    """What h2load counted."""

    requests: Mapping[str, int]
    """``total``, ``started``, ``done``, ``succeeded``, ``failed``, ``errored``, ``timeout``."""
    statuses: Mapping[str, int]
    """Responses by class: ``2xx`` to ``5xx``."""


async def grpcurl(address: str, method: str, *options: str, requests: str = "") -> Said:
    """Calls a method of ``lab.proto``; skips the test, or fails it in CI, if grpcurl cannot be had.

    Args:
        address: of the server, without TLS.
        method: as ``lab.Lab/Act``.
        options: of grpcurl.
        requests: as JSON, one after the other.
    """
    imports = [each for path in _IMPORTS for each in ("-import-path", str(path))]
    protos = ["-proto", "lab.proto", "-proto", "google/rpc/error_details.proto"]
    command = ["-plaintext", *imports, *protos, *options, "-d", "@", address, method]
    return await _run(await _built("grpcurl"), *command, stdin=requests)


async def reflecting_grpcurl(address: str, *arguments: str, options: Sequence[str] = (), requests: str = "") -> Said:
    """Runs grpcurl without .proto files: it asks the server for them. Skips the test, or fails it in CI, without grpcurl.

    Args:
        address: of the server, without TLS.
        arguments: a command and what it is about, as ``describe lab.Lab``, or a method.
        options: of grpcurl.
        requests: as JSON, one after the other.
    """
    data = [] if arguments[0] in ("describe", "list") else ["-d", "@"]
    command = ["-plaintext", *options, *data, address, *arguments]
    return await _run(await _built("grpcurl"), *command, stdin=requests)


async def ghz(
    address: str, folder: Path, method: str, request: Mapping[str, object], *, calls: int, **options: int
) -> Any:
    """Makes many calls of a method of ``lab.proto``; skips the test, or fails it in CI, if ghz cannot be had.

    Args:
        address: of the server, without TLS.
        folder: to write the descriptors to: ghz cannot read each .proto file that protoc can.
        method: as ``lab.Lab.Act``.
        request: of each call.
        calls: how many.
        options: of ghz: ``concurrency``, ``connections``.

    Returns:
        Its report, as its JSON has it.
    """
    time = PATIENCE + calls / _CALLS_A_SECOND
    descriptors = folder / "lab.protoset"
    descriptors.write_bytes(FileDescriptorSet(file=_files(lab_pb2.DESCRIPTOR)).SerializeToString())
    command = ["--insecure", "--protoset", str(descriptors), "--call", method]
    command += ["--total", str(calls), "--timeout", f"{PATIENCE}s", "--data", json.dumps(request), "--format", "json"]
    command += [f"--{name}={value}" for name, value in options.items()]
    said = await _run(await _built("ghz"), *command, address, within=time)
    assert said.code == 0, said
    return json.loads(said.output)


async def h2load(url: str, body: Path, *fields: str, calls: int, clients: int, streams: int) -> Loaded:
    """Sends many POST requests; skips the test, or fails it in CI, if h2load is not installed.

    Args:
        url: of each request.
        body: a file with what each of them sends.
        fields: of each request, as ``name: value``.
        calls: how many requests.
        clients: how many connections.
        streams: how many at once on each connection.
    """
    program = shutil.which("h2load")
    if program is None:
        missing("h2load is not installed (Debian has it, in nghttp2-client)")
    headers = [each for field in fields for each in ("-H", field)]
    sizes = ["-n", str(calls), "-c", str(clients), "-m", str(streams)]
    said = await _run(program, *sizes, "-d", str(body), *headers, url, within=PATIENCE + calls / _CALLS_A_SECOND)
    assert said.code == 0, said
    return Loaded(_counts(said.output, "requests"), _counts(said.output, "status codes"))


def _files(file: FileDescriptor) -> list[FileDescriptorProto]:
    """Returns a file, after all that it imports."""
    found: dict[str, FileDescriptorProto] = {}
    for imported in file.dependencies:
        found.update((each.name, each) for each in _files(imported))
    found[file.name] = FileDescriptorProto.FromString(file.serialized_pb)
    return list(found.values())


def _counts(output: str, title: str) -> Mapping[str, int]:
    line = re.search(rf"^{title}: (.*)$", output, re.MULTILINE)
    assert line is not None, output
    return {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", line[1])}


async def _built(name: str) -> Path:
    try:
        return await asyncio.to_thread(TOOLS[name].path)
    except Unobtainable as reason:
        missing(reason)


async def _run(program: str | Path, *arguments: str, stdin: str = "", within: float = PATIENCE) -> Said:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(within):
            output, errors = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Said(process.returncode, output.decode(), errors.decode())
