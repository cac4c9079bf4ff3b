"""Calls without generated code to grpc-go, which tells its descriptors by its own reflection."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

import micro_rt as micro
from tests.helpers.lab import our_client
from tests.helpers.missing import missing
from tests.helpers.waiting import soon
from tests.servers.cache import Unobtainable
from tests.servers.obtain import go_binary

SERVICE = "grpc.testing.TestService"
PAYLOAD = {"type": "COMPRESSABLE", "body": base64.b64encode(b"abc").decode()}


@pytest.fixture(scope="module")
def program() -> Path:
    """grpc-go's server."""
    try:
        return go_binary(Path(__file__).parent / "go_grpc")
    except Unobtainable as reason:
        missing(reason)


@pytest.fixture(params=["v1 and v1alpha", "v1alpha"])
async def client(request: pytest.FixtureRequest, program: Path) -> AsyncIterator[micro.Service]:
    """A service whose registry lists grpc-go's server, with these versions of reflection, as ``lab``."""
    options = ["-alpha"] if request.param == "v1alpha" else []
    process = await asyncio.create_subprocess_exec(
        program, "serve", *options, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        address = (await soon(process.stdout.readline())).decode().strip()
        async with our_client(address) as lab:
            yield cast("micro.Service", lab._service)  # pyright: ignore[reportPrivateUsage]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_every_kind_of_method_of_grpc_go_is_called(client: micro.Service) -> None:
    assert await client.call("lab", f"{SERVICE}/EmptyCall") == {}
    reply = await client.call("lab", f"{SERVICE}/UnaryCall", {"responseSize": 3, "payload": PAYLOAD})
    assert reply["payload"]["body"] == base64.b64encode(bytes(3)).decode()
    sizes: dict[str, Any] = {"response_parameters": [{"size": 1}, {"size": 2}]}
    replies = [each async for each in client.call("lab", f"{SERVICE}/StreamingOutputCall", sizes)]
    assert [len(base64.b64decode(each["payload"]["body"])) for each in replies] == [1, 2]
    requests = [{"payload": PAYLOAD}] * 3
    assert await client.call("lab", f"{SERVICE}/StreamingInputCall", requests) == {"aggregatedPayloadSize": 9}
    replies = [each async for each in client.call("lab", f"{SERVICE}/FullDuplexCall", [sizes, sizes])]
    assert [len(base64.b64decode(each["payload"]["body"])) for each in replies] == [1, 2, 1, 2]


async def test_errors_of_grpc_go_and_of_its_reflection(client: micro.Service) -> None:
    failing = {"responseStatus": {"code": 9, "message": "not so"}}
    with pytest.raises(micro.FailedPrecondition, match="not so"):
        await client.call("lab", f"{SERVICE}/UnaryCall", failing)
    with pytest.raises(micro.Unimplemented, match=r"did you mean 'UnaryCall'\?"):
        await client.call("lab", f"{SERVICE}/UnaryCal")
    with pytest.raises(micro.Unimplemented, match=r"did you mean 'grpc\.testing\.TestService'\?"):
        await client.call("lab", "grpc.testing.TestServce/UnaryCall")
