"""grpcurl, ghz and h2load call a service of ours as their users do."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from tests.helpers.grpc_tools import Said, ghz, grpcurl, h2load
from tests.helpers.lab import BINARY, ERROR_MESSAGE, OurLab, our_server
from tests.helpers.sizes import Size
from tests.helpers.waiting import PATIENCE, soon
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import Number, Text

EXIT = 64
"""grpcurl ends with this number and the code of the error."""


@pytest.fixture
async def served() -> AsyncIterator[tuple[OurLab, str]]:
    async with our_server() as (lab, service):
        assert service.node is not None
        yield lab, service.node.address


@pytest.fixture
def lab(served: tuple[OurLab, str]) -> OurLab:
    return served[0]


@pytest.fixture
def address(served: tuple[OurLab, str]) -> str:
    return served[1]


def messages(said: Said) -> list[Any]:
    """Returns the replies that grpcurl has written."""
    assert said.code == 0, said
    decoder, replies, rest = json.JSONDecoder(), list[Any](), said.output.strip()
    while rest:
        reply, end = decoder.raw_decode(rest)
        replies.append(reply)
        rest = rest[end:].strip()
    return replies


async def test_grpcurl_calls_every_kind_of_method(address: str) -> None:
    text = '{"value": "hello ☃"}'
    assert messages(await grpcurl(address, "lab.Lab/Act", requests=text)) == [{"value": "hello ☃"}]
    counted = messages(await grpcurl(address, "lab.Lab/Count", "-emit-defaults", requests='{"value": 100}'))
    assert [int(each["value"]) for each in counted] == list(range(100))
    numbers = "".join(f'{{"value": {number}}}' for number in range(100))
    assert messages(await grpcurl(address, "lab.Lab/Sum", requests=numbers)) == [{"value": str(sum(range(100)))}]
    talked = messages(await grpcurl(address, "lab.Lab/Talk", requests=text * 3))
    assert [each["value"] for each in talked] == ["re: hello ☃"] * 3 + ["bye"]


async def test_metadata_goes_to_grpcurl_and_back(address: str) -> None:
    binary = base64.b64encode(BINARY).decode()  # grpcurl takes it in base64, and sends the bytes.
    sent = ["-H", "sent-twice: a", "-H", "sent-twice: b", "-H", f"sent-bin: {binary}"]
    said = await grpcurl(address, "lab.Lab/Act", "-v", *sent, requests='{"value": "metadata"}')
    assert said.code == 0, said
    _, _, received = said.output.partition("Response headers received:")
    head, _, rest = received.partition("Response contents:")
    _, _, tail = rest.partition("Response trailers received:")
    for prefix, part in (("head-", head), ("tail-", tail)):
        lines = part.splitlines()
        assert [line for line in lines if line.startswith(f"{prefix}sent-")] == [
            f"{prefix}sent-bin: {binary}",
            f"{prefix}sent-twice: a",
            f"{prefix}sent-twice: b",
        ]


async def test_grpcurl_sees_code_message_and_details_of_an_error(address: str) -> None:
    request = json.dumps({"value": f"fail {int(micro.Code.FAILED_PRECONDITION)}"})
    said = await grpcurl(address, "lab.Lab/Act", "-format-error", requests=request)
    assert said.code == EXIT + micro.Code.FAILED_PRECONDITION
    status = json.loads(said.errors)
    assert (status["code"], status["message"]) == (int(micro.Code.FAILED_PRECONDITION), ERROR_MESSAGE)
    info, retry, detail = status["details"]
    assert (info["@type"], info["reason"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "lab.failed")
    assert retry["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    assert (detail["@type"], detail["value"]) == ("type.googleapis.com/lab.Text", "a detail")


async def test_grpcurl_sees_an_error_after_replies_and_an_unknown_method(address: str) -> None:
    said = await grpcurl(address, "lab.Lab/Talk", requests='{"value": "a"} {"value": "fail"}')
    assert said.code == EXIT + micro.Code.ABORTED
    assert json.loads(said.output) == {"value": "re: a"}
    assert "Code: Aborted" in said.errors
    said = await grpcurl(address, "lab.Lab/Missing", requests="{}")
    assert said.code == EXIT + micro.Code.UNIMPLEMENTED


async def test_the_deadline_of_grpcurl_arrives(lab: OurLab, address: str) -> None:
    said = await grpcurl(address, "lab.Lab/Act", "-max-time", str(PATIENCE), requests='{"value": "now"}')
    assert messages(said) == [{"value": "now"}]
    assert lab.watched.deadline is not None
    assert 0 < lab.watched.deadline <= PATIENCE
    seconds = 0.5
    while not lab.watched.started.is_set():  # Whether it passes before the call has arrived, the machine decides.
        seconds *= 2
        said = await grpcurl(address, "lab.Lab/Act", "-max-time", str(seconds), requests='{"value": "hang"}')
        assert said.code == EXIT + micro.Code.DEADLINE_EXCEEDED, said
    await soon(lab.watched.cancelled.wait())


class Counting(LabBase):
    """Counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.calls += 1
        return request

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.calls += 1
        for value in range(request.value):
            yield Number(value=value)


@pytest.fixture
async def counting() -> AsyncIterator[tuple[Counting, str]]:
    service = micro.Service("lab", registry=MemoryRegistry(f"memory:{uuid.uuid4()}"))
    handler = service.handle(Counting())
    async with service:
        assert service.node is not None
        yield handler, service.node.address


@pytest.mark.verify("calls")
@pytest.mark.parametrize(
    ("method", "sent"), [("lab.Lab.Act", {"value": "hello"}), ("lab.Lab.Count", {"value": 3})], ids=["unary", "stream"]
)
async def test_ghz_makes_many_calls(
    counting: tuple[Counting, str], method: str, sent: dict[str, object], size: Size, tmp_path: Path
) -> None:
    handler, address = counting
    calls = size(100_000, ci=600)
    report = await ghz(address, tmp_path, method, sent, calls=calls, concurrency=60, connections=6)
    assert not report.get("errorDistribution")
    assert report["statusCodeDistribution"] == {"OK": calls}
    assert (report["count"], handler.calls) == (calls, calls)


@pytest.mark.verify("calls")
async def test_h2load_opens_many_streams(counting: tuple[Counting, str], size: Size, tmp_path: Path) -> None:
    handler, address = counting
    calls = size(100_000, ci=2_000)
    message = Text(value="hello").SerializeToString()
    body = tmp_path / "request"
    body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    fields = ("content-type: application/grpc", "te: trailers")
    url = f"http://{address}/lab.Lab/Act"
    loaded = await h2load(url, body, *fields, calls=calls, clients=4, streams=100)
    requests = {"total", "started", "done", "succeeded"}
    assert loaded.requests == {name: calls if name in requests else 0 for name in loaded.requests}
    assert loaded.requests.keys() >= requests | {"failed", "errored", "timeout"}
    assert loaded.statuses == {"2xx": calls, "3xx": 0, "4xx": 0, "5xx": 0}
    assert handler.calls == calls
