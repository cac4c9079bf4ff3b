"""Calls without generated code: requests and replies are dicts, and descriptors come from the peer or from the caller."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

import micro_rt as micro
from micro_rt import annotations_pb2
from micro_rt.codec.json_codec import JsonCodec
from micro_rt.dynamic import targets
from micro_rt.dynamic.given import files_in, key_of
from micro_rt.dynamic.policy import MOST_ATTEMPTS
from micro_rt.dynamic.schema import Schema
from micro_rt.reflection.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from tests.helpers.handlers import Lab, Serve
from tests.helpers.made_protos import (
    Answer,
    ScriptedReflection,
    alpha_reflection,
    error,
    files,
    services,
    shop_file,
    shop_handler,
)
from tests.helpers.reflecting import Atlas
from tests.helpers.waiting import soon
from tests.protos import atlas_pb2, lab_pb2

PLACE = {"name": "Kibo", "seen": "2026-01-02T03:04:05Z", "[atlas.places.height]": 5895}
QUERY = {
    "map": {"places": {"top": PLACE}, "scale": "SCALE_LARGE"},
    "extra": {"@type": "type.googleapis.com/atlas.places.Place", "name": "in an Any"},
}


def descriptor_set(*modules: ModuleType) -> FileDescriptorSet:
    """Returns what ``protoc --include_imports -o`` writes."""
    found = FileDescriptorSet(file=list(files_in(key_of(modules))))
    found.file.reverse()
    return found


GIVEN: dict[str, Callable[[ModuleType], Any]] = {
    "reflection": lambda module: None,
    "module": lambda module: module,
    "modules": lambda module: [lab_pb2, atlas_pb2],
    "set": descriptor_set,
    "bytes": lambda module: descriptor_set(module).SerializeToString(),
}


@pytest.fixture(params=GIVEN)
def given(request: pytest.FixtureRequest) -> Callable[[ModuleType], Any]:
    """Returns descriptors of a module, of each kind that a call takes; None for reflection."""
    return GIVEN[request.param]


@pytest.mark.parametrize("codec", ["proto", "json"])
async def test_every_kind_of_method_is_called(serve: Serve, given: Callable[[ModuleType], Any], codec: str) -> None:
    async def texts() -> AsyncIterator[dict[str, str]]:
        for text in ("a", "b"):
            yield {"value": text}

    descriptors = given(lab_pb2)
    async with serve(Lab(), reflection=descriptors is None) as client:
        client.codec = micro.Service("codec", codec=codec).codec
        reply = await client.call("lab", "lab.Lab/Act", {"value": "hello"}, descriptors=descriptors)
        assert reply == {"value": "hello"}
        counted = client.call("lab", "/lab.Lab/Count", {"value": "3"}, descriptors=descriptors)
        assert [reply async for reply in counted] == [{}, {"value": "1"}, {"value": "2"}]
        numbers: list[dict[str, Any]] = [{"value": 3}, {"value": "4"}]
        assert await client.call("lab", "lab.Lab/Sum", numbers, descriptors=descriptors) == {"value": "7"}
        talked = client.call("lab", "lab.Lab/Talk", texts(), descriptors=descriptors)
        assert [reply async for reply in talked] == [{"value": "re: a"}, {"value": "re: b"}, {"value": "bye"}]


@pytest.mark.parametrize("codec", ["proto", "json"])
async def test_messages_are_dicts_in_the_json_mapping(
    serve: Serve, given: Callable[[ModuleType], Any], codec: str
) -> None:
    descriptors = given(atlas_pb2)
    async with serve(Atlas()) as client:
        client.codec = micro.Service("codec", codec=codec).codec
        assert await client.call("atlas", "atlas.Atlas/Find", QUERY, descriptors=descriptors) == QUERY
        empty: Any = {"map": {}, "extra": {}}
        assert await client.call("atlas", "atlas.Atlas/Find", descriptors=descriptors) == empty


@pytest.mark.parametrize("codec", ["proto", "json"])
async def test_an_any_of_a_type_that_only_the_target_has_is_expanded(serve: Serve, codec: str) -> None:
    file = shop_file(["name"])
    file.dependency.append("google/protobuf/any.proto")
    file.message_type[0].field.add(name="extra", number=9, type=11, label=1, type_name=".google.protobuf.Any")
    async with serve(shop_handler(file)) as client:
        client.codec = micro.Service("codec", codec=codec).codec
        request = {"extra": {"@type": "type.googleapis.com/shop.Item", "name": "tea"}}
        assert await client.call("shop", "shop.Shop/Buy", request) == request


async def test_the_pool_is_private(serve: Serve) -> None:
    file = shop_file(["name"], name="only_here.proto")
    async with serve(shop_handler(file)) as client:
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}) == {"name": "tea"}
    for find in (descriptor_pool.Default().FindFileByName, DescriptorPool().FindFileByName):
        with pytest.raises(KeyError):
            find("only_here.proto")


async def test_two_targets_have_different_versions_of_one_file_at_once() -> None:
    registry = f"memory:{uuid.uuid4()}"
    async with AsyncExitStack() as stack:
        for target, field in (("old", "name"), ("new", "title")):
            service = micro.Service(target, registry=registry)
            service.handle(shop_handler(shop_file([field]), target))
            await stack.enter_async_context(service)
        client = await stack.enter_async_context(micro.Service("client", registry=registry))
        old, new, wrong = await asyncio.gather(
            client.call("old", "shop.Shop/Buy", {"name": "tea"}),
            client.call("new", "shop.Shop/Buy", {"title": "tea"}),
            client.call("new", "shop.Shop/Buy", {"name": "tea"}),
            return_exceptions=True,
        )
        assert (old, new) == ({"name": "tea"}, {"title": "tea"})
        assert isinstance(wrong, micro.InvalidArgument)
        given = FileDescriptorSet(file=[shop_file(["label"])])
        assert await client.call("new", "shop.Shop/Buy", {"label": "tea"}, descriptors=given) == {"label": "tea"}
        assert await client.call("new", "shop.Shop/Buy", {"title": "tea"}) == {"title": "tea"}


async def test_a_target_that_answers_only_v1alpha_is_asked_in_it(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab, alpha_reflection(lab), Decoy(), reflection=False) as client:
        for _ in range(3):
            assert await client.call("lab", "lab.Lab/Act", {"value": "a"}) == {"value": "a"}


class Decoy(micro.Handler):
    """Has the last names of reflection. A server that does not have a path looks for its last names, and finds two services here."""

    method = micro.Method(
        "decoy.ServerReflection", "ServerReflectionInfo", "server_reflection_info", micro.Kind.BIDI_STREAM, bytes, bytes
    )
    _info_ = micro.ServiceInfo("decoy.ServerReflection", "decoy", (method,))

    async def server_reflection_info(
        self, requests: AsyncIterator[bytes], context: micro.Context
    ) -> AsyncIterator[bytes]:
        raise AssertionError("nobody calls it")
        yield b""


async def test_without_reflection_the_error_says_how_to_give_descriptors(serve: Serve) -> None:
    async with serve(Lab(), reflection=False) as client:
        with pytest.raises(
            micro.FailedPrecondition, match=r"does not serve grpc\.reflection: pass descriptors="
        ) as caught:
            await client.call("lab", "lab.Lab/Act", {"value": "a"})
        assert not caught.value.may_have_run
        nodes = client.nodes.service_nodes("lab", "lab.Lab")
        assert not nodes._refusing, "the node serves lab.Lab"  # pyright: ignore[reportPrivateUsage]
        reply = await client.call("lab", "lab.Lab/Act", {"value": "a"}, descriptors=lab_pb2)
        assert reply == {"value": "a"}


async def test_services_that_no_registry_lists_are_called(serve: Serve) -> None:
    async with serve(Lab()) as client:
        assert await client.call("lab", "grpc.health.v1.Health/Check") == {"status": "SERVING"}
        asked = [{"listServices": ""}]
        path = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        (reply,) = [reply async for reply in client.call("lab", path, asked)]
        assert {"name": "lab.Lab"} in reply["listServicesResponse"]["service"]


async def test_a_reply_of_a_well_known_type_is_its_json_value(serve: Serve) -> None:
    file = shop_file([])
    file.dependency.append("google/protobuf/wrappers.proto")
    file.service[0].method[0].input_type = file.service[0].method[0].output_type = ".google.protobuf.StringValue"
    given = FileDescriptorSet(file=[file])
    async with serve(shop_handler(shop_file(["value"]))) as client:
        assert await client.call("shop", "shop.Shop/Buy", "tea", descriptors=given) == "tea"  # type: ignore[comparison-overlap, arg-type]


WRONG_USES: list[tuple[str, Any, bool, str]] = [
    ("Act", [{}], False, r"lab\.Lab/Act is unary and takes one request, which is a mapping: reply = await"),
    ("Act", {}, True, r"lab\.Lab/Act is unary .* reply = await service\.call\('lab', 'lab\.Lab/Act', \{\.\.\.\}\)"),
    ("Count", {}, False, r"is server streaming and takes one request.* async for reply in service\.call"),
    ("Count", [{}], True, r"is server streaming and takes one request.* async for reply in service\.call"),
    ("Sum", {}, False, r"is client streaming and takes an iterable of requests.* await service\.call.*\[\{"),
    ("Sum", None, False, r"is client streaming and takes an iterable of requests"),
    ("Sum", 5, False, r"is client streaming and takes an iterable of requests"),
    ("Sum", "text", False, r"is client streaming and takes an iterable of requests"),
    ("Sum", [{}], True, r"is client streaming"),
    ("Talk", [{}], False, r"is bidirectional streaming .* async for reply in service\.call.*\[\{"),
    ("Talk", {}, True, r"is bidirectional streaming and takes an iterable of requests"),
]


@pytest.mark.parametrize(("method", "request_", "iterated", "problem"), WRONG_USES)
async def test_a_wrong_use_says_what_the_method_is_and_how_to_call_it(
    serve: Serve, method: str, request_: Any, iterated: bool, problem: str
) -> None:
    lab = Lab()
    async with serve(lab) as client:
        call = client.call("lab", f"lab.Lab/{method}", request_)
        with pytest.raises(TypeError, match=problem):
            await (anext(aiter(call)) if iterated else call)
        assert not lab.ran


async def test_a_call_says_what_its_method_is(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as client:
        call = client.call("lab", "lab.Lab/Count", {"value": 1})
        method = await call.method()
        assert (method.path, method.kind) == ("/lab.Lab/Count", micro.Kind.SERVER_STREAM)
        assert method.idempotency is micro.Idempotency.NO_SIDE_EFFECTS
        assert not lab.ran
        assert [reply async for reply in call] == [{}]
        with pytest.raises(RuntimeError, match="was made already"):
            await anext(aiter(call))


@pytest.mark.parametrize(
    ("method", "kind", "problem"),
    [
        ("lab.Lab/Akt", micro.Unimplemented, "'lab.Lab' of 'lab' has no method 'Akt': did you mean 'Act'?"),
        ("lab.Lap/Act", micro.Unimplemented, "'lab' has no service 'lab.Lap': did you mean 'lab.Lab'?"),
        ("lab.Lab/Nothing\x1b[2J", micro.InvalidArgument, r"'lab.Lab/Nothing\u001b[2J' is not the name of a method"),
        ("lab.Lab/Other", micro.Unimplemented, "it has 'Act', 'Count', 'Look', 'Missing'"),
        ("lab.Lab", micro.InvalidArgument, "'lab.Lab' is not the name of a method, such as 'greeter.Greeter/SayHello'"),
        ("grpc.health.v1.Helth/Check", micro.Unimplemented, "did you mean 'grpc.health.v1.Health'?"),
    ],
)
@pytest.mark.parametrize("descriptors", [None, lab_pb2], ids=["reflection", "given"])
async def test_an_unknown_method_is_an_error_with_names_that_are_near(
    serve: Serve, method: str, kind: type[micro.Error], problem: str, descriptors: ModuleType | None
) -> None:
    if descriptors is not None:
        problem = problem.replace("'lab' has", "descriptors= has").replace("of 'lab'", "of descriptors=")
        problem = problem.replace(
            "did you mean 'grpc.health.v1.Health'?", "it has 'lab.Annex', 'lab.Lab', 'lab.Policies'"
        )
    async with serve(Lab()) as client:
        with pytest.raises(kind) as caught:
            await client.call("lab", method, {}, descriptors=descriptors)
        assert problem in caught.value.message
        assert not caught.value.may_have_run


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"valeu": "a"}, 'no field named "valeu"'),
        ({"value": 1}, "Failed to parse value field"),
        ({"value": {}}, "Failed to parse value field"),
        ({"value\x1b[2J": 1}, r"value\u001b[2J"),
    ],
)
async def test_a_request_that_does_not_fit_is_not_sent_and_the_error_names_the_field(
    serve: Serve, request_: Any, problem: str
) -> None:
    lab = Lab()
    async with serve(lab) as client:
        with pytest.raises(micro.InvalidArgument) as caught:
            await client.call("lab", "lab.Lab/Act", request_)
        assert problem in caught.value.message
        assert not caught.value.may_have_run
        assert not lab.ran


async def test_a_request_of_a_stream_that_does_not_fit_ends_it_and_closes_the_iterator(serve: Serve) -> None:
    closed = asyncio.Event()

    async def requests() -> AsyncIterator[Any]:
        try:
            yield {"value": 1}
            yield {"value": "one"}
        finally:
            closed.set()

    async with serve(Lab()) as client:
        with pytest.raises(micro.InvalidArgument, match=r"request 2 of /lab\.Lab/Sum does not fit.*value field"):
            await client.call("lab", "lab.Lab/Sum", requests())
        await soon(closed.wait())
        with pytest.raises(micro.InvalidArgument, match=r"request 1 .* it is a mapping, not list"):
            await client.call("lab", "lab.Lab/Sum", [[1]])  # type: ignore[list-item]


async def test_errors_cross_with_their_details(serve: Serve) -> None:
    async with serve(Lab()) as client:
        with pytest.raises(micro.NotFound, match="no such thing") as caught:
            await client.call("lab", "lab.Lab/Act", {"value": "fail"})
        detail = caught.value.detail(lab_pb2.Text)
        assert (caught.value.id, detail and detail.value) == ("lab.nothing", "a detail")
        with pytest.raises(micro.Aborted, match="not in this tone"):
            [reply async for reply in client.call("lab", "lab.Lab/Talk", [{"value": "fail"}])]


async def test_leaving_a_loop_early_cancels_the_call(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as client:
        async for _ in client.call("lab", "lab.Lab/Count", {"value": 1_000_000}):
            break
        await soon(lab.cancelled.wait())


async def test_interceptors_metadata_and_info_are_those_of_any_call(serve: Serve) -> None:
    seen: list[tuple[str, Any]] = []

    class Seeing(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            seen.append((call.method.path, request.value))
            call.metadata = call.metadata.merged({"x-seen": "yes"})
            return await proceed(request, call)

    async with serve(Lab(), client_interceptors=[Seeing()]) as client:
        info = micro.CallInfo()
        reply = await client.call("lab", "lab.Lab/Act", {"value": "metadata"}, metadata={"x-sent": "1"}, info=info)
        assert "('x-sent', '1')" in reply["value"]
        assert "('x-seen', 'yes')" in reply["value"]
        assert seen == [("/lab.Lab/Act", "metadata")]
        assert info.attempts == 1
        await client.call("lab", "lab.Lab/Act", {"value": "headers"}, info=info)
        assert info.headers.text("x-head") == "h"


async def test_a_timeout_bounds_the_call_and_the_fetch(serve: Serve) -> None:
    lab = Lab()
    async with serve(lab) as client:
        assert (await client.call("lab", "lab.Lab/Act", {"value": "first"}, timeout=60)) == {"value": "first"}
        remaining = lab.contexts[0].deadline
        assert remaining is not None
        call = asyncio.ensure_future(_reply(client.call("lab", "lab.Lab/Act", {"value": "hang"}, timeout=0.2)))
        with pytest.raises(micro.DeadlineExceeded):
            await soon(call)


async def test_a_fetch_that_hangs_ends_with_the_deadline_of_the_call(serve: Serve) -> None:
    async with serve(shop_handler(shop_file(["name"])), Hanging(), reflection=False) as client:
        with pytest.raises(micro.DeadlineExceeded, match="was asked for its descriptors") as caught:
            await soon(_reply(client.call("shop", "shop.Shop/Buy", {}, timeout=0.05)))
        assert not caught.value.may_have_run


class Hanging(ScriptedReflection):
    """Answers nothing."""

    def __init__(self) -> None:
        super().__init__(lambda request: None)
        self.started = asyncio.Event()

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], context: micro.Context
    ) -> AsyncIterator[ServerReflectionResponse]:
        self.streams += 1
        self.started.set()
        await asyncio.Event().wait()
        yield ServerReflectionResponse()


async def _reply(call: micro.DynamicCall) -> dict[str, Any]:
    return await call


async def test_the_descriptors_are_asked_for_once_for_all_first_calls(serve: Serve) -> None:
    file = shop_file(["name"])
    reflection = ScriptedReflection(lambda request: files(file))
    async with serve(shop_handler(file), reflection, reflection=False) as client:
        calls = [_reply(client.call("shop", "shop.Shop/Buy", {"name": str(number)})) for number in range(20)]
        assert await asyncio.gather(*calls) == [{"name": str(number)} for number in range(20)]
        assert await client.call("shop", "shop.Shop/Buy", {"name": "later"}) == {"name": "later"}
        assert len(reflection.asked) == 1


async def test_a_caller_that_gives_up_does_not_end_the_fetch_of_the_others(serve: Serve) -> None:
    hanging = Hanging()
    async with serve(shop_handler(shop_file(["name"])), hanging, reflection=False) as client:
        first = asyncio.create_task(_reply(client.call("shop", "shop.Shop/Buy")))
        await soon(hanging.started.wait())
        second = asyncio.create_task(_reply(client.call("shop", "shop.Shop/Buy")))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(first)
        await asyncio.sleep(0)
        assert not second.done()
        assert hanging.streams == 1
    with pytest.raises(micro.Unavailable):
        await soon(second)


async def test_a_failed_fetch_is_not_kept(serve: Serve) -> None:
    file = shop_file(["name"])
    reflection = ScriptedReflection(lambda request: files(b"\xff"))
    async with serve(shop_handler(file), reflection, reflection=False) as client:
        with pytest.raises(micro.Internal):
            await client.call("shop", "shop.Shop/Buy")
        reflection.answer = always(files(file))
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}) == {"name": "tea"}


async def test_a_method_that_is_not_known_is_asked_for_once_more(serve: Serve) -> None:
    served = shop_file(["name", "price"], ["Buy", "Sell"])
    reflection = ScriptedReflection(lambda request: files(shop_file(["name"])))
    async with serve(shop_handler(served), reflection, reflection=False) as client:
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}) == {"name": "tea"}
        with pytest.raises(micro.Unimplemented, match="has no method 'Sell'"):
            await client.call("shop", "shop.Shop/Sell")
        assert reflection.streams == 2
        reflection.answer = always(files(served))
        assert await client.call("shop", "shop.Shop/Sell", {"price": "1"}) == {"price": "1"}
        assert await client.call("shop", "shop.Shop/Buy", {"price": "2"}) == {"price": "2"}
        assert reflection.streams == 3


async def test_fields_of_a_newer_version_do_not_break_replies(serve: Serve) -> None:
    given = FileDescriptorSet(file=[shop_file(["name"])])
    served = shop_file(["name", "price"])

    class Priced(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            reply = await proceed(request, call)
            reply.price = "5"
            return reply

    async with serve(shop_handler(served), interceptors=[Priced()]) as client:
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}, descriptors=given) == {"name": "tea"}


async def test_a_new_run_of_the_service_asks_anew() -> None:
    registry = f"memory:{uuid.uuid4()}"
    file = shop_file(["name"])
    reflection = ScriptedReflection(lambda request: files(file))
    server = micro.Service("shop", registry=registry, reflection=False)
    server.handle(shop_handler(file))
    server.handle(reflection)
    client = micro.Service("client", registry=registry)
    with pytest.raises(micro.FailedPrecondition, match="is not started"):
        await client.call("shop", "shop.Shop/Buy")
    async with server:
        for streams in (1, 2):
            async with client:
                await client.call("shop", "shop.Shop/Buy")
                await client.call("shop", "shop.Shop/Buy")
            assert reflection.streams == streams


async def test_the_targets_that_are_kept_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_KEPT", 2)
    file = shop_file(["name"])
    reflection = ScriptedReflection(lambda request: files(file))
    async with serve(shop_handler(file), reflection, reflection=False) as client:
        await client.call("shop", "shop.Shop/Buy")
        for field in ("a", "b", "c"):
            await client.call("shop", "shop.Shop/Buy", descriptors=FileDescriptorSet(file=[shop_file([field])]))
            await client.call("shop", "shop.Shop/Buy")  # It is used, and stays.
        assert reflection.streams == 1
        for field in ("a", "b"):
            await client.call("shop", "shop.Shop/Buy", descriptors=FileDescriptorSet(file=[shop_file([field])]))
        await client.call("shop", "shop.Shop/Buy")
        assert reflection.streams == 2


async def test_made_up_services_leave_nothing_behind(serve: Serve) -> None:
    async with serve(Lab()) as client:
        await client.call("lab", "lab.Lab/Act", {"value": "a"})
        known = len(client.nodes._services)  # pyright: ignore[reportPrivateUsage]
        for number in range(5):
            with pytest.raises(micro.Unimplemented):
                await client.call("lab", f"lab.Lab{number}/Act")
        assert len(client.nodes._services) == known  # pyright: ignore[reportPrivateUsage]


def importing(name: str, *imports: str) -> FileDescriptorProto:
    return FileDescriptorProto(name=name, dependency=imports, syntax="proto3")


def endless(request: ServerReflectionRequest) -> ServerReflectionResponse:
    """Answers each file with one that imports another."""
    number = int(request.file_by_filename.removesuffix(".proto") or 0)
    return files(importing(f"{number}.proto", f"{number + 1}.proto"))


def always(reply: ServerReflectionResponse | None) -> Answer:
    """Answers every request alike."""
    return lambda request: reply


def first(*sent: FileDescriptorProto | bytes, then: ServerReflectionResponse | None = None) -> Answer:
    return lambda request: files(*sent) if request.file_containing_symbol else then


def clashing() -> FileDescriptorProto:
    file = shop_file(["name"])
    file.package = "google.protobuf"
    file.message_type[0].name = "Timestamp"
    del file.service[:]
    file.name = "clash.proto"
    return file


def untyped() -> FileDescriptorProto:
    file = shop_file(["name"])
    file.service[0].method[0].input_type = ".shop.Missing"
    return file


def annotated(attempts: int, seconds: int = 1) -> FileDescriptorProto:
    file = shop_file(["name"])
    file.dependency.append("micro_rt/annotations.proto")
    said = file.service[0].method[0].options.Extensions[annotations_pb2.method]
    said.retry.attempts = attempts
    said.timeout.seconds = seconds
    said.limits.max_reply_bytes = 1 << 31
    return file


NO = error(micro.Code.NOT_FOUND, "no such\x1b[2J file")


def listing(*names: str) -> Answer:
    """Answers that there are services, and nothing of their files."""
    return lambda request: NO if request.file_containing_symbol else services(*names)


HOSTILE: list[tuple[Answer, type[micro.Error], str]] = [
    (first(b"\xff\xff"), micro.Internal, "file 1 is not a FileDescriptorProto"),
    (first(b""), micro.Internal, "file 1 has no name"),
    (first(b"\n\x02a\xff"), micro.Internal, "file 1 has a name, or imports one, that is not UTF-8"),
    (first(b"\n\x01a\x1a\x02a\xff"), micro.Internal, "file 1 has a name, or imports one, that is not UTF-8"),
    (first(importing("a", "b"), importing("b", "a")), micro.Internal, "'a' imports itself, or a file of a circle"),
    (first(importing("a", "a")), micro.Internal, "'a' imports itself"),
    (first(importing("a", "b"), then=NO), micro.Internal, "'a' imports 'b', which is missing"),
    (
        first(importing("a\x1b", "b\u202e"), then=NO),
        micro.Internal,
        r"'a\u001b' imports 'b\u202e', which is missing",
    ),
    (first(importing("a", "b"), then=files(importing("c"))), micro.Internal, "'b' does not have that file"),
    (first(importing("a", "b"), then=services()), micro.Internal, "neither files nor an error"),
    (first(importing("a", "b")), micro.Internal, "ended before the answer"),
    (always(None), micro.Internal, "ended before the answer"),
    (always(ServerReflectionResponse()), micro.Internal, "neither files nor an error"),
    (endless, micro.Internal, "more than 20 files"),
    (first(shop_file(["x" * 10_000])), micro.Internal, "more than 9000 bytes"),
    (first(shop_file(["a"]), shop_file(["b"])), micro.Internal, "two different files have the name 'shop.proto'"),
    (first(shop_file(["a"]), shop_file(["b"], name="b")), micro.Internal, "'b' is not a valid file: "),
    (first(shop_file(["a"]), clashing()), micro.Internal, "'clash.proto' is not a valid file: "),
    (first(untyped()), micro.Internal, "'shop.proto' is not a valid file: "),
    (first(shop_file(["a b"])), micro.Internal, "'shop.proto' is not a valid file: "),
    (first(annotated(0)), micro.Internal, "'shop.Shop/Buy' cannot be called: RetryPolicy(attempts=0)"),
    (first(importing("a")), micro.Unimplemented, "'shop' has no service 'shop.Shop': it has nothing"),
    (
        listing("shop.Shap"),
        micro.Unimplemented,
        "'shop.Shap'",
    ),
    (
        listing("shop.Shop"),
        micro.FailedPrecondition,
        r"serves 'shop.Shop' and does not tell its descriptors: no such\u001b[2J file; pass descriptors=",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "problem"), HOSTILE)
async def test_hostile_answers_are_errors_that_say_what_is_wrong(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, answer: Answer, kind: type[micro.Error], problem: str
) -> None:
    monkeypatch.setattr("micro_rt.dynamic.files.MOST_FILES", 20)
    monkeypatch.setattr("micro_rt.dynamic.files.MOST_BYTES", 9_000)
    async with serve(shop_handler(shop_file(["name"])), ScriptedReflection(answer), reflection=False) as client:
        with pytest.raises(kind) as caught:
            await client.call("shop", "shop.Shop/Buy", {"name": "tea"})
        assert problem in caught.value.message
        assert not caught.value.may_have_run
        assert "'shop" in caught.value.message


async def test_files_of_google_protobuf_are_those_of_this_process(serve: Serve) -> None:
    file = shop_file(["name"])
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type[0].field.add(name="at", number=9, type=11, label=1, type_name=".google.protobuf.Timestamp")
    theirs = FileDescriptorProto(name="google/protobuf/timestamp.proto", package="google.protobuf")
    theirs.message_type.add(name="Timestamp").field.add(name="bomb", number=1, type=9, label=1)
    reflection = ScriptedReflection(lambda request: files(file, theirs))
    async with serve(shop_handler(shop_file(["name"])), reflection, reflection=False) as client:
        request = {"name": "tea", "at": "2026-01-02T03:04:05Z"}
        assert await client.call("shop", "shop.Shop/Buy", request) == request


async def test_imports_that_do_not_come_with_a_file_are_asked_for(serve: Serve) -> None:
    file = shop_file(["name"])
    file.dependency.append("a.proto")
    others = {"a.proto": importing("a.proto", "b.proto"), "b.proto": importing("b.proto")}
    reflection = ScriptedReflection(lambda request: files(others.get(request.file_by_filename, file)))
    async with serve(shop_handler(shop_file(["name"])), reflection, reflection=False) as client:
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}) == {"name": "tea"}
        assert [each.file_by_filename for each in reflection.asked] == ["", "a.proto", "b.proto"]
        assert reflection.streams == 1


class Noting(JsonCodec):
    """JSON that remembers for which messages it was asked."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        self.kinds.append(message_type.__name__)
        return super().encoder(message_type)


async def test_reflection_is_asked_in_protobuf_whatever_the_codec_is(serve: Serve) -> None:
    async with serve(Lab()) as client:
        client.codec = noting = Noting()
        assert await client.call("lab", "lab.Lab/Act", {"value": "a"}) == {"value": "a"}
        assert noting.kinds == ["Text"]


async def test_an_any_of_a_type_that_is_not_known_is_an_error_that_names_it(serve: Serve) -> None:
    async with serve(Atlas()) as client:
        unknown = {"extra": {"@type": "type.googleapis.com/lab.Text", "value": "a"}}
        with pytest.raises(micro.InvalidArgument, match=r"lab\.Text"):
            await client.call("atlas", "atlas.Atlas/Find", unknown)


async def test_a_reply_with_an_any_of_a_type_that_is_not_known_ends_the_call(serve: Serve) -> None:
    left = asyncio.Event()

    class Packing(Atlas):
        async def find(self, request: atlas_pb2.Query, context: micro.Context) -> atlas_pb2.Finding:
            finding = atlas_pb2.Finding()
            finding.extra.Pack(lab_pb2.Text(value="a"))
            return finding

        async def watch(self, request: atlas_pb2.Query, context: micro.Context) -> AsyncIterator[atlas_pb2.Finding]:
            try:
                yield await self.find(request, context)
                await asyncio.Event().wait()
            finally:
                left.set()

    async with serve(Packing()) as client:
        with pytest.raises(micro.Internal, match=r"has no JSON form: .*lab\.Text"):
            await client.call("atlas", "atlas.Atlas/Find")
        replies = aiter(client.call("atlas", "atlas.Atlas/Watch"))
        with pytest.raises(micro.Internal, match=r"has no JSON form: .*lab\.Text"):
            await anext(replies)
        await soon(left.wait())


async def test_a_fetch_whose_connection_is_lost_is_made_again(serve: Serve) -> None:
    file = shop_file(["name"])

    def answer(request: ServerReflectionRequest) -> ServerReflectionResponse:
        if reflection.streams < 3:
            raise micro.Unavailable("not now")
        return files(file)

    reflection = ScriptedReflection(answer)
    async with serve(shop_handler(file), reflection, reflection=False) as client:
        assert await client.call("shop", "shop.Shop/Buy", {"name": "tea"}) == {"name": "tea"}
        assert reflection.streams == 3


async def test_what_reflection_refuses_is_refused_with_the_same_error(serve: Serve) -> None:
    def answer(request: ServerReflectionRequest) -> ServerReflectionResponse:
        raise micro.PermissionDenied("not you", id="shop.denied")

    async with serve(shop_handler(shop_file(["name"])), ScriptedReflection(answer), reflection=False) as client:
        with pytest.raises(micro.PermissionDenied, match="not you") as caught:
            await client.call("shop", "shop.Shop/Buy")
        assert (caught.value.id, caught.value.may_have_run, caught.value.outgoing) == ("shop.denied", False, True)


@pytest.mark.parametrize(
    ("descriptors", "problem"),
    [
        (b"\xff", "the bytes are not a FileDescriptorSet"),
        (b"", "the descriptor set is empty"),
        (
            FileDescriptorSet(file=[importing("a", "b")]),
            "'a' imports 'b', which is missing: write the set with --include_imports",
        ),
        (FileDescriptorSet(file=[importing("a", "a")]), "'a' imports itself"),
        (FileDescriptorSet(file=[annotated(0)]), "'shop.Shop/Buy' cannot be called: RetryPolicy(attempts=0)"),
    ],
)
async def test_descriptors_that_cannot_be_used_are_an_error(serve: Serve, descriptors: Any, problem: str) -> None:
    async with serve(shop_handler(shop_file(["name"]))) as client:
        with pytest.raises(micro.FailedPrecondition) as caught:
            await client.call("shop", "shop.Shop/Buy", descriptors=descriptors)
        assert problem in caught.value.message
        assert not caught.value.may_have_run
        for wrong in ("shop_pb2", 5, sys, [sys]):
            with pytest.raises(TypeError, match="modules that protobuf has generated"):
                await client.call("shop", "shop.Shop/Buy", descriptors=wrong)  # type: ignore[arg-type]


def test_the_policy_of_the_proto_counts_and_a_peer_s_is_bounded() -> None:
    asked = files_in(key_of(FileDescriptorSet(file=[annotated(1_000_000, 3600)])))
    trusted = Schema(asked, trusted=True, longest=30).method("shop.Shop", "Buy", "").policy
    assert trusted.retry is not None
    assert trusted.limits is not None
    assert (trusted.timeout, trusted.retry.attempts, trusted.limits.max_reply_bytes) == (3600, 1_000_000, 1 << 31)
    bounded = Schema(asked, trusted=False, longest=30).method("shop.Shop", "Buy", "").policy
    assert bounded.retry is not None
    assert (bounded.timeout, bounded.retry.attempts, bounded.limits) == (30, MOST_ATTEMPTS, None)
    policies = Schema(files_in(key_of(lab_pb2)), trusted=True, longest=None)
    hurry, insist = (policies.method("lab.Policies", name, "").policy for name in ("Hurry", "Insist"))
    assert hurry.timeout == 0.5
    assert insist.retry == micro.RetryPolicy(
        3, 0.001, codes=frozenset({micro.Code.UNAVAILABLE, micro.Code.ABORTED}), idempotent=True
    )


async def test_an_idempotent_method_is_tried_again(serve: Serve) -> None:
    class Failing(Lab):
        async def look(self, request: lab_pb2.Text, context: micro.Context) -> lab_pb2.Text:
            self.ran.append(request.value)
            if len(self.ran) < 3:
                raise micro.Unavailable("not now")
            return request

    lab = Failing()
    async with serve(lab) as client:
        assert await client.call("lab", "lab.Lab/Look", {"value": "a"}) == {"value": "a"}
        assert len(lab.ran) == 3


async def test_arguments_are_checked_at_once(serve: Serve) -> None:
    async with serve(Lab()) as client:
        with pytest.raises(TypeError, match="name of a service to look up"):
            client.call("", "lab.Lab/Act")
        with pytest.raises(TypeError, match="it is text such as"):
            client.call("lab", lab_pb2)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="NaN"):
            client.call("lab", "lab.Lab/Act", timeout=float("nan"))
