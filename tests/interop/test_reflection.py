"""grpcurl finds out by itself what a service of ours serves, and calls it without .proto files."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest

import micro_rt as micro
from tests.helpers.grpc_tools import Said, reflecting_grpcurl
from tests.helpers.lab import OurLab
from tests.helpers.reflecting import Atlas


@pytest.fixture
async def address() -> AsyncIterator[str]:
    service = micro.Service("atlas", registry=f"memory:{uuid.uuid4()}")
    service.handle(Atlas())
    service.handle(OurLab())
    async with service:
        assert service.node is not None
        yield service.node.address


def output(said: Said) -> str:
    assert said.code == 0, said
    return said.output


async def test_grpcurl_lists_services_and_their_methods(address: str) -> None:
    assert output(await reflecting_grpcurl(address, "list")).split() == [
        "atlas.Atlas",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "lab.Lab",
    ]
    assert output(await reflecting_grpcurl(address, "list", "atlas.Atlas")).split() == [
        "atlas.Atlas.Find",
        "atlas.Atlas.Watch",
    ]
    assert output(await reflecting_grpcurl(address, "list", "grpc.health.v1.Health")).split() == [
        "grpc.health.v1.Health.Check",
        "grpc.health.v1.Health.List",
        "grpc.health.v1.Health.Watch",
    ]


@pytest.mark.parametrize(
    ("symbol", "lines"),
    [
        ("atlas.Atlas.Watch", ["rpc Watch ( .atlas.Query ) returns ( stream .atlas.Finding );"]),
        ("atlas.Query", [".atlas.maps.Map map = 2;", ".google.protobuf.Any extra = 4;"]),
        ("atlas.maps.Map", ["map<string, .atlas.places.Place> places = 1;"]),
        ("atlas.places.Place", ["optional .google.protobuf.Timestamp seen = 2;", "extensions 100 to 199;"]),
        ("atlas.places.height", ["optional int32 height = 120;"]),
        ("atlas.maps.Scale", ["SCALE_LARGE = 1;"]),
        ("google.protobuf.Timestamp", ["int64 seconds = 1;"]),
        ("grpc.health.v1.HealthListResponse", ["map<string, .grpc.health.v1.HealthCheckResponse> statuses = 1;"]),
        (
            "grpc.reflection.v1alpha.ServerReflection",
            ["stream .grpc.reflection.v1alpha.ServerReflectionRequest"],
        ),
        ("lab.Policies.Hurry", ["option (.micro.method) = { timeout: { nanos: 500000000 } };"]),
    ],
)
async def test_grpcurl_describes(address: str, symbol: str, lines: list[str]) -> None:
    said = output(await reflecting_grpcurl(address, "describe", symbol))
    for line in lines:
        assert line in said


async def test_grpcurl_does_not_find_what_is_not_served(address: str) -> None:
    said = await reflecting_grpcurl(address, "describe", "shop.Order")
    assert said.code != 0
    assert "Symbol not found: shop.Order" in said.errors
    said = await reflecting_grpcurl(address, "atlas.Atlas/Missing", requests="{}")
    assert said.code != 0
    assert 'service "atlas.Atlas" does not include a method named "Missing"' in said.errors


async def test_grpcurl_calls_with_types_of_files_three_deep(address: str) -> None:
    place = {"name": "Kibo", "seen": "2026-01-02T03:04:05Z", "[atlas.places.height]": 5895}
    query = {
        "map": {"places": {"top": place}, "scale": "SCALE_LARGE"},
        "extra": {"@type": "type.googleapis.com/atlas.places.Place", "name": "in an Any"},
    }
    said = await reflecting_grpcurl(address, "atlas.Atlas/Find", requests=json.dumps(query))
    assert json.loads(output(said)) == query


async def test_grpcurl_calls_every_kind_of_method_and_our_own_services(address: str) -> None:
    text = '{"value": "hello \N{SNOWMAN}"}'
    said = await reflecting_grpcurl(address, "lab.Lab/Talk", requests=text * 2)
    assert output(said).count("re: hello \N{SNOWMAN}") == 2
    said = await reflecting_grpcurl(address, "lab.Lab/Sum", requests='{"value": 1} {"value": 2}')
    assert json.loads(output(said)) == {"value": "3"}
    health = {"statuses": {name: {"status": "SERVING"} for name in ("", "atlas.Atlas", "lab.Lab")}}
    said = await reflecting_grpcurl(address, "grpc.health.v1.Health/List", requests="{}")
    assert json.loads(output(said)) == health
    asked = '{"listServices": ""} {"fileContainingSymbol": "no"}'
    said = await reflecting_grpcurl(
        address, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", requests=asked
    )
    assert "lab.Lab" in output(said)
    assert "there is no symbol 'no' here" in said.output


async def test_grpcurl_says_that_a_service_has_no_reflection() -> None:
    service = micro.Service("atlas", registry=f"memory:{uuid.uuid4()}", reflection=False)
    service.handle(Atlas())
    async with service:
        assert service.node is not None
        said = await reflecting_grpcurl(service.node.address, "list")
        assert said.code != 0
        assert "server does not support the reflection API" in said.errors
