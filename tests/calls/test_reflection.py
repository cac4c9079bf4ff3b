"""Server reflection: what a service tells of its .proto files, on each transport and in both versions of the protocol."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

import micro_rt as micro
from micro_rt.health.health_pb2 import HealthCheckRequest
from micro_rt.method import Kind, Method, ServiceInfo
from micro_rt.reflection.files import find
from micro_rt.reflection.handler import LARGEST_REQUEST
from micro_rt.reflection.index import LARGEST_IMPORTS, Found, Index
from micro_rt.reflection.reflection_pb2 import ExtensionRequest, ServerReflectionResponse
from tests.helpers.handlers import Lab
from tests.helpers.reflecting import AlphaReflectionClient, Atlas, Connect, ReflectionClient, connected, request
from tests.helpers.waiting import soon
from tests.protos import atlas_maps_pb2, atlas_pb2, atlas_places_pb2, lab_pb2

OWN = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
ATLAS = [
    *("atlas.proto", "atlas_maps.proto", "google/protobuf/any.proto"),
    *("atlas_places.proto", "google/protobuf/timestamp.proto"),
]
"""The file of the service, and what it imports, the nearest first."""


@pytest.fixture(params=["memory", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[ReflectionClient, AlphaReflectionClient], ids=["v1", "v1alpha"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a client in one of the versions of the protocol."""

    def connecting(service: micro.Service) -> object:
        return connected(service, request.param)

    return connecting  # type: ignore[return-value]


@asynccontextmanager
async def serving(transport: str, *handlers: micro.Handler, reflection: bool = True) -> AsyncGenerator[micro.Service]:
    service = micro.Service("atlas", registry=f"memory:{uuid.uuid4()}", transport=transport, reflection=reflection)
    for handler in handlers or (Atlas(),):
        service.handle(handler)
    async with service:
        yield service


@pytest.fixture
async def client(transport: str, connect: Connect) -> AsyncIterator[ReflectionClient]:
    async with serving(transport) as service, connect(service) as client:
        yield client


def files(reply: ServerReflectionResponse) -> list[FileDescriptorProto]:
    assert reply.WhichOneof("message_response") == "file_descriptor_response", reply
    return [FileDescriptorProto.FromString(data) for data in reply.file_descriptor_response.file_descriptor_proto]


def names(reply: ServerReflectionResponse) -> list[str]:
    return [file.name for file in files(reply)]


def error(reply: ServerReflectionResponse) -> tuple[micro.Code, str]:
    assert reply.WhichOneof("message_response") == "error_response", reply
    return micro.Code(reply.error_response.error_code), reply.error_response.error_message


async def test_the_services_are_listed_with_those_of_the_runtime(transport: str, connect: Connect) -> None:
    async with serving(transport, Lab(), Atlas()) as service, connect(service) as client:
        (reply,) = await client.ask(request(host="here", list_services="*"))
        listed = [each.name for each in reply.list_services_response.service]
        assert listed == ["atlas.Atlas", *OWN, "lab.Lab"]
        assert reply.valid_host == "here"
        assert reply.original_request == request(host="here", list_services="*")
        assert service.node is not None
        assert service.node.services == {"atlas.Atlas", "lab.Lab"}


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("atlas.Atlas", "atlas.proto"),
        ("atlas.Atlas.Watch", "atlas.proto"),
        ("atlas.Query", "atlas.proto"),
        ("atlas.Query.name", "atlas.proto"),
        ("atlas.Query.by", "atlas.proto"),
        ("atlas.Query.Order", "atlas.proto"),
        ("atlas.Query.ORDER_NAME", "atlas.proto"),
        ("atlas.maps.Scale", "atlas_maps.proto"),
        ("atlas.maps.SCALE_LARGE", "atlas_maps.proto"),
        ("atlas.maps.Map.PlacesEntry", "atlas_maps.proto"),
        ("atlas.places.Place.Corner", "atlas_places.proto"),
        ("atlas.places.Place.Corner.far", "atlas_places.proto"),
        ("atlas.places.height", "atlas_places.proto"),
        ("atlas.places.Peak.peak", "atlas_places.proto"),
        ("google.protobuf.Any", "google/protobuf/any.proto"),
        ("google.protobuf.Timestamp.seconds", "google/protobuf/timestamp.proto"),
        ("grpc.health.v1.Health.Check", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto"),
    ],
)
async def test_a_symbol_is_found_in_its_file(client: ReflectionClient, symbol: str, file: str) -> None:
    (reply,) = await client.ask(request(file_containing_symbol=symbol))
    assert names(reply)[0] == file


async def test_a_file_comes_with_its_transitive_imports(client: ReflectionClient) -> None:
    (reply,) = await client.ask(request(file_by_filename="atlas.proto"))
    assert names(reply) == ATLAS
    originals = [atlas_pb2.DESCRIPTOR, atlas_maps_pb2.DESCRIPTOR, atlas_places_pb2.DESCRIPTOR]
    sent = {file.name: file for file in files(reply)}
    for original in originals:
        assert sent[original.name] == FileDescriptorProto.FromString(original.serialized_pb)
    pool = DescriptorPool()
    for file in reversed(files(reply)):
        pool.Add(file)
    method = pool.FindMethodByName("atlas.Atlas.Find")
    assert method.input_type.fields_by_name["map"].message_type is pool.FindMessageTypeByName("atlas.maps.Map")


async def test_each_file_is_found_by_its_path(client: ReflectionClient) -> None:
    for path in ATLAS:
        (reply,) = await client.ask(request(file_by_filename=path))
        assert names(reply)[0] == path


async def test_a_file_that_was_sent_is_sent_again_only_if_it_is_asked_for(client: ReflectionClient) -> None:
    replies = await client.ask(
        request(file_by_filename="atlas_maps.proto"),
        request(file_containing_symbol="atlas.Atlas"),
        request(file_containing_symbol="atlas.Atlas"),
    )
    assert [names(reply) for reply in replies] == [
        ["atlas_maps.proto", "atlas_places.proto", "google/protobuf/timestamp.proto"],
        ["atlas.proto", "google/protobuf/any.proto"],
        ["atlas.proto"],
    ]


async def test_extensions_are_found_by_what_they_extend(client: ReflectionClient) -> None:
    place = "atlas.places.Place"
    replies = await client.ask(
        request(all_extension_numbers_of_type=place),
        request(all_extension_numbers_of_type="atlas.Query"),
        request(file_containing_extension=ExtensionRequest(containing_type=place, extension_number=101)),
        request(file_containing_extension=ExtensionRequest(containing_type=place, extension_number=120)),
        request(file_containing_extension=ExtensionRequest(containing_type=place, extension_number=121)),
    )
    numbers = [reply.all_extension_numbers_response for reply in replies[:2]]
    assert [(each.base_type_name, list(each.extension_number)) for each in numbers] == [
        (place, [101, 120]),
        ("atlas.Query", []),
    ]
    assert [names(reply)[0] for reply in replies[2:4]] == ["atlas_places.proto"] * 2
    assert error(replies[4]) == (micro.Code.NOT_FOUND, f"there is no extension 121 of '{place}' here")


async def test_what_is_not_there_is_not_found_and_the_stream_goes_on(client: ReflectionClient) -> None:
    extension = ExtensionRequest(containing_type="atlas.No", extension_number=-1)
    *replies, last = await client.ask(
        request(file_by_filename="no.proto"),
        request(file_containing_symbol="atlas.No"),
        request(file_containing_symbol=""),
        request(file_containing_symbol="atlas"),
        request(file_containing_extension=extension),
        request(all_extension_numbers_of_type="atlas.Atlas"),
        request(list_services=""),
    )
    assert [error(reply) for reply in replies] == [
        (micro.Code.NOT_FOUND, "there is no file 'no.proto' here"),
        (micro.Code.NOT_FOUND, "there is no symbol 'atlas.No' here"),
        (micro.Code.NOT_FOUND, "there is no symbol '' here"),
        (micro.Code.NOT_FOUND, "there is no symbol 'atlas' here"),
        (micro.Code.NOT_FOUND, "there is no extension -1 of 'atlas.No' here"),
        (micro.Code.NOT_FOUND, "there is no message 'atlas.Atlas' here"),
    ]
    assert last.list_services_response.service


async def test_a_kind_of_request_that_nobody_knows_is_unimplemented(client: ReflectionClient) -> None:
    later = request.FromString(b"\x7a\x01x")  # Field 15, of a later version of the protocol.
    assert UnknownFieldSet(later)
    for asked in (request(), later):
        reply, last = await client.ask(asked, request(list_services=""))
        assert error(reply) == (micro.Code.UNIMPLEMENTED, "the request asks for nothing that this server knows")
        assert last.list_services_response.service


async def test_what_no_served_service_needs_is_not_shown(client: ReflectionClient) -> None:
    assert lab_pb2.DESCRIPTOR.name == "lab.proto", "it is in this process"
    replies = await client.ask(
        request(file_by_filename="lab.proto"),
        request(file_containing_symbol="lab.Lab"),
        request(file_containing_symbol=HealthCheckRequest.DESCRIPTOR.full_name),
        request(file_by_filename="micro_rt/health/health.proto"),
        request(file_by_filename="google/protobuf/descriptor.proto"),
    )
    assert {error(reply)[0] for reply in replies} == {micro.Code.NOT_FOUND}


class Raw(micro.Handler):
    """Serves a service that no .proto file in the process declares: its messages are bytes."""

    method = Method("raw.Raw", "Pass", "pass_", Kind.UNARY, bytes, bytes)
    _info_ = ServiceInfo("raw.Raw", "raw", (method,))

    async def pass_(self, request: bytes, context: micro.Context) -> bytes:
        return request


async def test_a_service_without_descriptors_is_listed_and_the_error_says_why(transport: str, connect: Connect) -> None:
    async with serving(transport, Raw(), Atlas()) as service, connect(service) as client:
        listed, missing, other = await client.ask(
            request(list_services=""),
            request(file_containing_symbol="raw.Raw"),
            request(file_containing_symbol="atlas.Atlas"),
        )
        assert "raw.Raw" in [each.name for each in listed.list_services_response.service]
        problem = "'raw.Raw' is served, but no .proto file in this process declares it"
        assert error(missing) == (micro.Code.NOT_FOUND, problem)
        assert names(other) == ATLAS


def test_a_service_is_found_in_the_pool_of_its_messages() -> None:
    pool = DescriptorPool()
    file = FileDescriptorProto(name="hidden.proto", package="hidden", syntax="proto3")
    file.message_type.add(name="Text")
    file.service.add(name="Hidden")
    pool.Add(file)
    kind = GetMessageClass(pool.FindMessageTypeByName("hidden.Text"))
    method = Method("hidden.Hidden", "Pass", "pass_", Kind.UNARY, kind, kind)
    found = find([ServiceInfo("hidden.Hidden", "hidden", (method,))])
    assert [each.name for each in found.files] == ["hidden.proto"]
    assert not found.reasons


async def test_the_runtime_s_own_services_have_their_official_names(client: ReflectionClient) -> None:
    symbols = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    pool = DescriptorPool()
    for reply in await client.ask(*(request(file_containing_symbol=symbol) for symbol in symbols)):
        (file,) = files(reply)
        assert "micro" not in str(file)
        pool.Add(file)
    check = pool.FindMethodByName("grpc.health.v1.Health.Check")
    assert check.input_type.full_name == "grpc.health.v1.HealthCheckRequest"
    status = pool.FindEnumTypeByName("grpc.health.v1.HealthCheckResponse.ServingStatus")
    assert check.output_type.fields_by_name["status"].enum_type is status
    for symbol in symbols[1:]:
        method = pool.FindMethodByName(f"{symbol}.ServerReflectionInfo")
        assert (method.client_streaming, method.server_streaming) == (True, True)
    entry = pool.FindMessageTypeByName("grpc.health.v1.HealthListResponse.StatusesEntry")
    assert entry.fields_by_name["value"].message_type is check.output_type
    watch = pool.FindMethodByName("grpc.health.v1.Health.Watch")
    assert (watch.client_streaming, watch.server_streaming) == (False, True)


async def test_a_service_without_reflection_does_not_answer(transport: str, connect: Connect) -> None:
    async with serving(transport, reflection=False) as service, connect(service) as client:
        with pytest.raises(micro.Unimplemented):
            await client.ask(request(list_services=""))


@pytest.mark.parametrize("size", [LARGEST_REQUEST, 3 * 1024 * 1024])
async def test_a_request_that_is_too_large_is_not_read(client: ReflectionClient, size: int) -> None:
    reply, last = await client.ask(request(file_containing_symbol="x" * size), request(list_services=""))
    code, problem = error(reply)
    assert code is micro.Code.INVALID_ARGUMENT
    assert f"at most {LARGEST_REQUEST} are read" in problem
    assert reply.ByteSize() < 200, "it does not have the request"
    assert last.list_services_response.service


def every_kind(name: str) -> list[request]:
    """Returns a request of each kind that has a name."""
    return [
        request(file_by_filename=name),
        request(file_containing_symbol=name),
        request(all_extension_numbers_of_type=name),
        request(file_containing_extension=ExtensionRequest(containing_type=name, extension_number=1)),
    ]


async def test_the_text_of_an_error_escapes_and_shortens_a_name(client: ReflectionClient) -> None:
    for reply in await client.ask(*every_kind("a\x1b[2J\r\n\u202eb")):
        assert r"'a\u001b[2J\r\n\u202eb'" in error(reply)[1]
    for reply in await client.ask(*every_kind("x" * 4000)):
        assert f"'{'x' * 200}… (4000 characters)'" in error(reply)[1]


async def test_thousands_of_requests_are_answered_on_one_stream(client: ReflectionClient) -> None:
    count = 3000

    async def requests() -> AsyncIterator[request]:
        for number in range(count):
            yield request(file_containing_symbol="atlas.Atlas" if number % 2 else f"atlas.No{number}")

    replies = [reply async for reply in client.talk(requests())]
    assert [reply.WhichOneof("message_response") for reply in replies] == [
        "error_response",
        "file_descriptor_response",
    ] * (count // 2)


async def test_the_files_are_looked_up_once_and_at_the_first_request(
    client: ReflectionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Sequence[object]] = []

    def counted(services: Sequence[ServiceInfo]) -> Found:
        looked.append(services)
        return find(services)

    monkeypatch.setattr("micro_rt.reflection.handler.find", counted)
    for _ in range(3):
        await client.ask(*[request(list_services="")] * 3)
    assert len(looked) == 1


async def test_an_open_stream_does_not_hold_up_the_end_of_a_service(transport: str, connect: Connect) -> None:
    service = micro.Service("atlas", registry=f"memory:{uuid.uuid4()}", transport=transport, grace=3600)
    service.handle(Atlas())
    await service.__aenter__()
    async with connect(service) as client, client.talk() as stream:
        await stream.send(request(list_services=""))
        await stream.receive()
        stopping = asyncio.create_task(service.__aexit__(None, None, None))
        with pytest.raises(micro.EndOfStream):
            await soon(stream.receive())
        await soon(stopping)


async def test_a_handler_that_is_added_between_two_runs_is_shown(transport: str, connect: Connect) -> None:
    service = micro.Service("atlas", registry=f"memory:{uuid.uuid4()}", transport=transport)
    service.handle(Atlas())
    for listed in (["atlas.Atlas", *OWN], ["atlas.Atlas", *OWN, "lab.Lab"]):
        async with service, connect(service) as client:
            first, *others = await client.ask(
                request(list_services=""), *(request(file_containing_symbol=name) for name in listed)
            )
            assert [each.name for each in first.list_services_response.service] == listed
            assert all(files(reply) for reply in others)
        if len(listed) == 4:
            service.handle(Lab())


def test_imports_of_one_answer_are_bounded() -> None:
    large = "x" * (LARGEST_IMPORTS // 2 - 100)
    imports = [FileDescriptorProto(name=f"{number}.proto", package=large) for number in range(3)]
    importing = FileDescriptorProto(name="top.proto", dependency=[file.name for file in imports])
    index = Index(Found((), (*imports, importing), {}))
    sent: set[str] = set()
    first = [FileDescriptorProto.FromString(data).name for data in index.with_imports("top.proto", sent)]
    assert first == ["top.proto", "0.proto", "1.proto"]
    assert sent == set(first)
    second = [FileDescriptorProto.FromString(data).name for data in index.with_imports("top.proto", sent)]
    assert second == ["top.proto", "2.proto"], "the client gets it with its next request, or asks for it"
