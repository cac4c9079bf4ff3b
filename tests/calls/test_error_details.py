"""Typed details of errors, which travel under the names of google.rpc."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as standard
from google.rpc.status_pb2 import Status

import micro_rt as micro
from micro_rt import details
from micro_rt.details import BadRequest, LocalizedMessage, RetryInfo
from micro_rt.status import decode_details, encode_details
from tests.helpers.handlers import Lab, Serve
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

WRONG = BadRequest.FieldViolation(
    field="lines[2].count",
    description="at most 5",
    reason="COUNT_TOO_LARGE",
    localized_message=LocalizedMessage(locale="de-CH", message="höchstens 5"),
)


class Fails(Lab):
    """Fails with details, at most so many times."""

    def __init__(self, error: type[micro.Error], *of: Any, times: int = 1000) -> None:
        super().__init__()
        self.error, self.details, self.times = error, of, times

    async def act(self, request: Text, context: micro.Context) -> Text:
        return await self.look(request, context)

    async def look(self, request: Text, context: micro.Context) -> Text:
        self.ran.append(request.value)
        if len(self.ran) > self.times:
            return request
        raise self.error("no", details=self.details)


async def test_a_standard_detail_is_read_by_either_class(serve: Serve) -> None:
    for sent in (BadRequest(field_violations=[WRONG]), standard.BadRequest.FromString(_bytes(WRONG))):
        async with serve(Fails(micro.InvalidArgument, sent)) as service:
            with pytest.raises(micro.InvalidArgument) as caught:
                await LabClient(service).act(Text())
        for kind in (BadRequest, standard.BadRequest):
            found: Any = caught.value.detail(kind)
            assert type(found) is kind
            assert found.SerializeToString() == _bytes(WRONG)
        assert caught.value.detail(RetryInfo) is None


def _bytes(violation: BadRequest.FieldViolation) -> bytes:
    return BadRequest(field_violations=[violation]).SerializeToString()


def test_every_standard_detail_is_field_by_field_that_of_google_rpc() -> None:
    theirs = standard.DESCRIPTOR.message_types_by_name
    assert set(details.__all__) == set(theirs)

    def shape(descriptor: Any) -> Any:
        return (
            descriptor.name,
            [
                (
                    field.name,
                    field.number,
                    field.type,
                    field.is_repeated,
                    field.has_presence,
                    field.message_type and field.message_type.full_name.startswith("google.protobuf."),
                    None if field.message_type is None else field.message_type.name,
                )
                for field in descriptor.fields
            ],
            [shape(nested) for nested in descriptor.nested_types],
        )

    for name in details.__all__:
        assert shape(getattr(details, name).DESCRIPTOR) == shape(theirs[name])


def test_it_is_packed_under_its_name_in_google_rpc() -> None:
    data = encode_details(micro.InvalidArgument("no", details=[RetryInfo(retry_delay=Duration(seconds=3))]))
    assert data is not None
    (packed,) = Status.FromString(data).details
    assert packed.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    assert standard.RetryInfo.FromString(packed.value).retry_delay.seconds == 3


def test_no_further_package_is_needed() -> None:
    program = """
import sys
sys.modules["google.rpc"] = None
import micro_rt as micro
from micro_rt.details import BadRequest
from micro_rt.status import decode_details, encode_details
sent = micro.NotFound("no", details=[BadRequest(field_violations=[{"field": "id"}])])
(received,) = decode_details(encode_details(sent)).details
assert type(received) is BadRequest, received
assert received.field_violations[0].field == "id"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_damaged_or_unknown_detail_is_no_detail_of_that_type() -> None:
    damaged = AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")
    status = Status(code=5, details=[damaged, AnyMessage(type_url="x/acme.Unknown", value=b"1")])
    decoded = decode_details(status.SerializeToString())
    error = micro.Error.of(5, "no", details=decoded.details)
    assert error.detail(RetryInfo) is None
    assert error.detail(int) is None
    assert len(error.details) == 2


@pytest.mark.parametrize("wrong", ["text", 7, Text])
def test_what_is_no_message_is_no_detail(wrong: Any) -> None:
    with pytest.raises(TypeError, match="an error's details are protobuf messages, not"):
        micro.NotFound("no", details=[wrong])


async def test_a_client_waits_as_long_as_the_server_asks(serve: Serve) -> None:
    lab = Fails(micro.Unavailable, RetryInfo(retry_delay=Duration(nanos=300_000_000)), times=1)
    policy = micro.RetryPolicy(backoff=0.0, max_backoff=0.0, idempotent=True)
    async with serve(lab) as service:
        begun = asyncio.get_running_loop().time()
        assert (await LabClient(service, retry=policy).act(Text(value="x"))).value == "x"
        assert asyncio.get_running_loop().time() - begun >= 0.3
    assert lab.ran == ["x", "x"]


@pytest.mark.parametrize(("seconds", "timeout"), [(3600, math.inf), (10**9, math.inf), (30, 20.0)])
async def test_a_wait_that_is_too_long_ends_the_call(serve: Serve, seconds: int, timeout: float) -> None:
    lab = Fails(micro.Unavailable, RetryInfo(retry_delay=Duration(seconds=seconds)))
    async with serve(lab) as service:
        with pytest.raises(micro.Unavailable) as caught:
            client = LabClient(service, retry=micro.RetryPolicy(idempotent=True))
            await asyncio.wait_for(client.act(Text(value="x"), timeout=timeout), 15)
    info = caught.value.detail(RetryInfo)
    assert info is not None
    assert info.retry_delay.seconds == seconds
    assert lab.ran == ["x"]
