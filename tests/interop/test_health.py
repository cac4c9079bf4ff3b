"""``grpc.health.v1``, asked by grpcio's own client of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.registry.base import Registry
from tests.helpers.lab import SETTLE, OurLab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text


class Refuses(micro.Interceptor):
    """An interceptor that lets nobody through."""

    async def unary(self, request: object, call: micro.Call, proceed: object) -> object:
        raise micro.PermissionDenied("nobody")


@pytest.fixture
def service() -> micro.Service:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", grace=5.0)
    service.handle(OurLab())
    return service


@pytest.fixture
async def health(service: micro.Service) -> AsyncIterator[HealthStub]:
    async with service:
        assert service.node is not None
        async with grpc.aio.insecure_channel(service.node.address) as channel:
            yield HealthStub(channel)


async def status(health: HealthStub, service: str = "") -> str:
    reply = await health.Check(HealthCheckRequest(service=service))
    return HealthCheckResponse.ServingStatus.Name(reply.status)


async def test_a_service_that_runs_is_serving(health: HealthStub) -> None:
    assert await status(health) == "SERVING"
    assert await status(health, "lab.Lab") == "SERVING"


async def test_what_is_not_served_is_not_found(health: HealthStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await status(health, "lab.Other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_service_says_itself_whether_it_takes_calls(service: micro.Service, health: HealthStub) -> None:
    service.health.set_serving(False, "lab.Lab")
    assert await status(health) == "SERVING"
    assert await status(health, "lab.Lab") == "NOT_SERVING"
    service.health.set_serving(True, "lab.Lab")
    service.health.set_serving(False)
    assert await status(health) == await status(health, "lab.Lab") == "NOT_SERVING"
    with pytest.raises(ValueError, match=r"lab\.Lap.*served: lab\.Lab"):
        service.health.set_serving(False, "lab.Lap")


async def test_the_list_has_the_server_as_a_whole_and_each_service(service: micro.Service, health: HealthStub) -> None:
    service.health.set_serving(False, "lab.Lab")
    statuses = (await health.List(HealthListRequest())).statuses
    named = {name: HealthCheckResponse.ServingStatus.Name(each.status) for name, each in statuses.items()}
    assert named == {"": "SERVING", "lab.Lab": "NOT_SERVING"}


async def test_a_watch_sees_each_change_and_does_not_hold_up_the_end(service: micro.Service) -> None:
    await service.__aenter__()
    assert service.node is not None
    async with grpc.aio.insecure_channel(service.node.address) as channel:
        call = HealthStub(channel).Watch(HealthCheckRequest(service="lab.Lab"))
        whole = HealthStub(channel).Watch(HealthCheckRequest())
        unknown = HealthStub(channel).Watch(HealthCheckRequest(service="lab.Other"))
        assert (await call.read()).status == HealthCheckResponse.SERVING
        assert (await whole.read()).status == HealthCheckResponse.SERVING
        assert (await unknown.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
        service.health.set_serving(False)
        assert (await call.read()).status == HealthCheckResponse.NOT_SERVING
        assert (await whole.read()).status == HealthCheckResponse.NOT_SERVING
        service.health.set_serving(True)
        assert (await call.read()).status == HealthCheckResponse.SERVING
        stopping = asyncio.create_task(service.__aexit__(None, None, None))
        assert (await asyncio.wait_for(call.read(), SETTLE)).status == HealthCheckResponse.NOT_SERVING
        assert await asyncio.wait_for(call.read(), SETTLE) is grpc.aio.EOF
        assert await asyncio.wait_for(unknown.read(), SETTLE) is grpc.aio.EOF
        await asyncio.wait_for(stopping, SETTLE)


async def test_it_is_neither_listed_nor_intercepted() -> None:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", interceptors=[Refuses()])
    service.handle(OurLab())
    async with service:
        assert service.node is not None
        assert service.node.services == {"lab.Lab"}
        async with grpc.aio.insecure_channel(service.node.address) as channel:
            assert await status(HealthStub(channel)) == "SERVING"
        with pytest.raises(micro.PermissionDenied):
            await LabClient(service).act(Text())


class Troubled(MemoryRegistry):
    trouble = ""

    @property
    def problem(self) -> str:
        return self.trouble


async def test_trouble_is_told_and_turns_no_calls_away() -> None:
    registry = Troubled(f"memory:{uuid.uuid4()}")
    assert isinstance(registry, Registry)
    service = micro.Service("lab", registry=registry)
    service.handle(OurLab())
    async with service:
        assert service.health.problems == {}
        registry.trouble = "it does not answer"
        assert service.health.problems == {"registry": "it does not answer"}
        assert service.health.serving()
    assert service.health.problems == {}
    assert not service.health.serving()
