"""go-micro's headers, errors and registry formats, against what its own sources and tests have."""

from __future__ import annotations

import json
import zlib

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue

from micro_rt.errors import Code, Error, NotFound, Unavailable, Unimplemented
from micro_rt.go_micro.errors import ERROR_TYPE, decode_status, encode_error
from micro_rt.go_micro.headers import split_metadata, with_headers
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.go_micro.nodes import MAX_INFLATED, decode_node, decode_service, decode_tags, deflate, encode_service, encode_tags, inflate, metadata_of
from micro_rt.server.endpoints import describe_endpoints
from micro_rt.status import encode_details
from micro_rt.status_pb2 import GoMicroError, Status
from micro_rt.transport.wire import error_of_trailers, trailers_of
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import DESCRIPTOR


def over_the_wire(error: Error) -> Error:
    arrived = error_of_trailers(dict(trailers_of(error, EMPTY)))
    assert arrived is not None
    return arrived


# Headers


def test_what_a_go_micro_client_sends_is_taken_off() -> None:
    sent = Metadata([("timeout", "1500000000"), ("x-content-type", "application/grpc+proto"), ("micro-from-service", "web")])
    split = split_metadata(sent)
    assert split is not None
    assert dict(split[0]) == {"micro-from-service": "web"}
    assert split[1] == 1.5


def test_timeout_means_something_only_beside_its_mark() -> None:
    assert split_metadata(Metadata({"timeout": "5"})) is None
    assert split_metadata(EMPTY) is None


@pytest.mark.parametrize("timeout", ["", "-5", "soon", "١", "9" * 30])
def test_a_timeout_that_is_none_is_dropped(timeout: str) -> None:
    split = split_metadata(Metadata.received([("x-content-type", "application/grpc"), ("timeout", timeout)]))
    assert split == (EMPTY, None)


def test_headers_come_back_as_they_were() -> None:
    metadata = Metadata([("a", "1"), ("b-bin", b"\0")])
    assert split_metadata(with_headers(metadata, 2.5)) == (metadata, 2.5)
    assert split_metadata(with_headers(metadata, None)) == (metadata, None)
    assert split_metadata(with_headers(metadata, -1.0)) == (metadata, 0.0)


# Errors


def test_the_first_detail_is_go_micros_error() -> None:
    error = encode_error(NotFound("no order 42", id="orders.not_found", details=[StringValue(value="more")]))
    status = Status.FromString(encode_details(error) or b"")
    assert [detail.type_url.rpartition("/")[2] for detail in status.details] == [
        "errors.Error",
        "google.rpc.ErrorInfo",
        "google.protobuf.StringValue",
    ]
    own = GoMicroError.FromString(status.details[0].value)
    assert (own.id, own.code, own.detail, own.status) == ("orders.not_found", 404, "no order 42", "Not Found")
    assert json.loads(status.message) == {
        "id": "orders.not_found",
        "code": 404,
        "detail": "no order 42",
        "status": "Not Found",
    }


@pytest.mark.parametrize(
    ("code", "http"),
    [
        (Code.INVALID_ARGUMENT, 400),
        (Code.UNAUTHENTICATED, 401),
        (Code.PERMISSION_DENIED, 403),
        (Code.NOT_FOUND, 404),
        (Code.DEADLINE_EXCEEDED, 408),
        (Code.ALREADY_EXISTS, 409),
        (Code.FAILED_PRECONDITION, 412),
        (Code.INTERNAL, 500),
        (Code.UNIMPLEMENTED, 501),
        (Code.UNAVAILABLE, 503),
        (Code.ABORTED, 500),
    ],
)
def test_codes_are_those_of_go_micros_table(code: Code, http: int) -> None:
    error = encode_error(Error.of(code, "x"))
    assert error.code is code
    assert json.loads(error.message)["code"] == http


def test_an_error_survives_go_micros_form() -> None:
    for error in (
        NotFound("no order 42", id="orders.not_found", details=[StringValue(value="more")]),
        Unavailable("down ☃", id=""),
        NotFound(""),
    ):
        arrived = over_the_wire(encode_error(error))
        assert (type(arrived), arrived.message, arrived.id) == (type(error), error.message, error.id)
        assert arrived.details == error.details


def test_an_error_of_a_go_server_is_read_from_its_detail() -> None:
    packed = GoMicroError(id="go.greeter", code=404, detail="nobody", status="Not Found").SerializeToString()
    status = Status(code=5, message="{…}", details=[AnyMessage(type_url=ERROR_TYPE, value=packed)])
    assert decode_status(status.SerializeToString(), "{…}") == ("go.greeter", "nobody", (), True, False)


def test_an_error_of_a_go_server_is_read_from_its_message() -> None:
    message = '{"id":"go.micro.server","code":500,"detail":"panic recovered","status":"Internal Server Error"}'
    assert decode_status(b"", message) == ("go.micro.server", "panic recovered", (), True, False)


@pytest.mark.parametrize(
    "message",
    ["", "plain", "{", "{}", "[1]", '{"code": 0, "detail": "x"}', '{"code": 5, "why": "x"}', '{"code": "5", "id": "x"}'],
)
def test_other_messages_stay_as_they_are(message: str) -> None:
    assert decode_status(b"", message) == ("", message, (), True, False)


def test_a_detail_that_cannot_be_read_is_passed_over() -> None:
    status = Status(details=[AnyMessage(type_url=ERROR_TYPE, value=b"\xff\xff")])
    assert decode_status(status.SerializeToString(), "text") == ("", "text", (), True, False)


# Registry formats


NODE = Node(
    "greeter-1",
    "10.0.0.5:41123",
    version="1.0.0",
    services=frozenset({"greeter.v1.Greeter"}),
    metadata={"zone": "a", "protocol": "mine"},
    endpoints=(EndpointInfo("Greeter.Hello", ValueInfo("Req", "Req", (ValueInfo("name", "string"),)), None),),
)


@pytest.mark.parametrize(
    ("tag", "version"),
    [  # registry/consul/encoding_test.go
        ("v-789c32d433d03300040000ffff02ce00ee", "1.0.0"),
        ("v-789cca492c492d2e01040000ffff08cc028e", "latest"),
        ("v=1.0.0", "1.0.0"),
    ],
)
def test_the_vectors_of_go_micro(tag: str, version: str) -> None:
    assert decode_tags([tag]) == ({}, (), version)


def test_tags_come_back() -> None:
    metadata = metadata_of(NODE, "consul")
    tags = encode_tags(metadata, NODE.endpoints, NODE.version)
    assert [tag[:2] for tag in tags] == ["t-"] * len(metadata) + ["e-", "v-"]
    assert decode_tags(tags) == (metadata, NODE.endpoints, "1.0.0")


def test_each_tag_of_metadata_has_one_key() -> None:
    tags = encode_tags({"a": "1", "b": "2"}, (), "")
    assert [json.loads(inflate(tag[2:])) for tag in tags[:2]] == [{"a": "1"}, {"b": "2"}]


def test_tags_of_others_say_nothing() -> None:
    tags = ["", "e", "t", "v", "edge", "e-zz", "t-00", "v-", "t=[1]", "e=null", "primary", "t=nothing", "v-" + "00" * 9]
    assert decode_tags(tags) == ({}, (), None)
    assert decode_tags([*tags, "v=2", "v=3", 't={"a":"1"}']) == ({"a": "1"}, (), "2")


def test_what_grows_beyond_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        inflate(zlib.compress(b"0" * (MAX_INFLATED + 1)).hex())
    with pytest.raises(ValueError, match="cut short"):
        inflate(deflate("something long enough")[:-6])


def test_a_service_comes_back_from_json() -> None:
    text = encode_service("greeter", NODE, "etcd")
    assert decode_service(text) == [NODE]
    service = json.loads(text)
    assert service["name"] == "greeter"
    assert service["nodes"][0]["metadata"] | {"x": ""} == {
        "zone": "a",
        "protocol": "mine",  # what the user says stays
        "server": "grpc",
        "transport": "grpc",
        "registry": "etcd",
        "broker": "http",
        "micro-services": "greeter.v1.Greeter",
        "micro-transport": "grpc",
        "micro-added": "broker registry server transport micro-services micro-transport",
        "x": "",
    }


def test_a_node_of_go_micros_keeps_its_metadata_and_says_not_what_it_serves() -> None:
    metadata = {"protocol": "grpc", "server": "grpc", "registry": "consul", "transport": "grpc", "broker": "http"}
    node = decode_node("go-1", "10.0.0.6:1", "latest", metadata, NODE.endpoints)
    assert node == Node("go-1", "10.0.0.6:1", "grpc", "latest", frozenset(), metadata, NODE.endpoints)
    assert node.go_micro
    assert not NODE.go_micro
    assert decode_node("x", "h:1", "", {"protocol": "mucp", "server": "mucp"}, ()).transport == "mucp"


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"nodes": 5}', '{"nodes": [5]}', '{"nodes": [{"id": "1"}]}', '{"endpoints": 5}']
)
def test_json_that_is_no_service_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode_service(text)


def test_endpoints_come_from_descriptors() -> None:
    endpoints = {endpoint.name: endpoint for endpoint in describe_endpoints(LabBase._info_)}
    assert set(endpoints) == {f"Lab.{method.name}" for method in DESCRIPTOR.services_by_name["Lab"].methods}
    text = ValueInfo("Text", "Text", (ValueInfo("value", "string"),))
    assert endpoints["Lab.Act"] == EndpointInfo("Lab.Act", text, text)
    assert endpoints["Lab.Talk"] == EndpointInfo(
        "Lab.Talk", ValueInfo("Context", "Context"), ValueInfo("Stream", "Stream"), {"stream": "true"}
    )


@pytest.mark.parametrize("id", ["", "lab.missing"])
def test_an_unimplemented_for_go_micro_begins_with_the_error_of_go_micro(id: str) -> None:
    error = encode_error(Unimplemented("not here", id=id, may_have_run=False), "/lab.Lab/Act")
    status = Status.FromString(encode_details(error) or b"")
    assert [detail.type_url.rpartition("/")[2] for detail in status.details] == ["errors.Error", "google.rpc.ErrorInfo"]
    decoded = decode_status(status.SerializeToString(), "", "/lab.Lab/Act")
    assert (decoded.id, decoded.message, decoded.may_have_run, decoded.from_micro) == (id, "not here", False, True)
