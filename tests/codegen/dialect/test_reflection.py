"""Server reflection of services whose messages are of the dialect: their stubs carry the descriptors."""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.registry.base import Registration
from tests.codegen.tools import generate, run, write
from tests.helpers.grpc_tools import reflecting_grpcurl
from tests.helpers.reflecting import ReflectionClient, connected, request

NAMES = ["till/till.proto", "till/money.proto", "google/protobuf/empty.proto", "google/protobuf/struct.proto"]


@pytest.fixture
async def service(importable: None) -> AsyncIterator[micro.Service]:
    stubs: Any = importlib.import_module("till.till_micro")

    class Till(stubs.TillBase):  # type: ignore[misc]
        async def add(self, sum: Any, context: micro.Context) -> Any:
            return sum.parts[0]

    service = micro.Service("till", registry=f"memory:{uuid.uuid4()}")
    service.handle(Till())
    async with service:
        yield service


async def test_a_service_of_the_dialect_is_shown_with_all_that_it_imports(service: micro.Service) -> None:
    async with connected(service, ReflectionClient) as client:
        listed, found, missing = await client.ask(
            request(list_services=""),
            request(file_containing_symbol="till.Till.Describe"),
            request(file_containing_symbol="everything.Scalars"),
        )
    assert "till.Till" in [each.name for each in listed.list_services_response.service]
    assert missing.error_response.error_code == micro.Code.NOT_FOUND
    files = [FileDescriptorProto.FromString(data) for data in found.file_descriptor_response.file_descriptor_proto]
    assert sorted(file.name for file in files) == sorted(NAMES)
    pool = DescriptorPool()
    for file in reversed(files):
        pool.Add(file)
    method = pool.FindMethodByName("till.Till.Add")
    assert method.input_type.fields_by_name["parts"].message_type is pool.FindMessageTypeByName("till.Money")


async def test_grpcurl_calls_a_service_of_the_dialect_without_proto_files(service: micro.Service) -> None:
    assert service.node is not None
    address = service.node.address
    said = await reflecting_grpcurl(address, "describe", "till.Till.Describe")
    assert "rpc Describe ( .google.protobuf.Struct ) returns ( .google.protobuf.Value );" in said.output
    said = await reflecting_grpcurl(address, "till.Till/Add", requests='{"parts": [{"units": 7, "currency": "USD"}]}')
    assert said.code == 0, said
    assert json.loads(said.output) == {"units": "7", "currency": "USD"}


@pytest.mark.parametrize("codec", ["proto", "json"])
async def test_a_service_of_the_dialect_is_called_without_generated_code(service: micro.Service, codec: str) -> None:
    assert service.node is not None
    name = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(name)
    await registry.open()
    await registry.register(Registration(service.node, ("till",)), ttl=3600)
    async with micro.Service("client", registry=name, codec=codec) as client:
        request = {"parts": [{"units": 7, "currency": "USD"}]}
        assert await client.call("till", "till.Till/Add", request) == {"units": "7", "currency": "USD"}
        with pytest.raises(micro.InvalidArgument, match='no field named "unit"'):
            await client.call("till", "till.Till/Add", {"parts": [{"unit": 7}]})
    await registry.close()


def test_the_stubs_carry_each_file_once_after_its_imports_and_without_comments(importable: None) -> None:
    stubs: Any = importlib.import_module("till.till_micro")
    carried = FileDescriptorSet.FromString(stubs.TillBase._info_.descriptors).file
    assert [file.name for file in carried] == ["till/money.proto", "till/till.proto"]
    assert not any(file.HasField("source_code_info") for file in carried)
    assert "descriptors" not in repr(stubs.TillBase._info_)


def test_descriptors_of_any_length_are_formatted(tmp_path: Path) -> None:
    message = 'syntax = "proto3"; package {}; message M {{}} service S {{}} service Descriptors {{}}'
    sources = {f"a{length}.proto": message.format("p" * length) for length in range(1, 200)}
    written = generate(tmp_path, sources, "messages=betterproto")
    write(tmp_path / "out", {file.name: file.content for file in written.file})
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path / "out")
    begins = {file.content.partition("\n_DESCRIPTORS_ = ")[2][:1] for file in written.file if "_micro" in file.name}
    assert begins == {"b", "("}
