"""What a record holds, in whichever envelope it is."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from micro_rt.broker.base import Record
from micro_rt.codec.json_codec import JsonCodec
from micro_rt.events.envelope import Envelope, open_envelope
from tests.protos.shop_pb2 import OrderPlaced

STRUCTURED = "application/cloudevents+json"
ATTRIBUTES = {"specversion": "1.0", "id": "7", "source": "/s", "type": "shop.OrderPlaced"}


def opened(value: Any, **headers: str) -> Envelope:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    pairs = tuple((name.replace("__", "-"), text.encode()) for name, text in headers.items())
    return open_envelope(Record("t", 0, 0, 0.0, None, data, pairs))


def test_names_of_headers_are_in_lower_case_in_binary_mode_too() -> None:
    envelope = opened({"orderId": "1"}, ce_type="shop.OrderPlaced", Content__Type="application/json", Zone="eu")
    assert envelope.is_json
    assert envelope.headers["zone"] == b"eu"


@pytest.mark.parametrize(
    "given", ["application/json", "text/json", "application/vnd.shop+json; v=1", "application/grpc+json"]
)
def test_json_has_several_names(given: str) -> None:
    assert opened({}, ce_type="t", content__type=given).is_json
    assert opened({**ATTRIBUTES, "datacontenttype": given, "data": {}}, content__type=STRUCTURED).is_json


@pytest.mark.parametrize("given", ["", "application/protobuf", "application/grpc+proto", "application/octet-stream"])
def test_what_is_not_json_is_binary(given: str) -> None:
    assert not opened(b"", ce_type="t", content__type=given).is_json


def test_structured_mode_may_repeat_its_attributes_as_headers() -> None:
    envelope = opened({**ATTRIBUTES, "data": {"orderId": "1"}}, ce_type="shop.OrderPlaced", content__type=STRUCTURED)
    assert (envelope.type, json.loads(envelope.data)) == ("shop.OrderPlaced", {"orderId": "1"})


def test_attributes_are_headers_as_in_binary_mode() -> None:
    extensions = {"partitionkey": "1", "urgent": True, "attempt": 3, "traceparent": "00-a-b-01", "none": None}
    headers = opened({**ATTRIBUTES, **extensions, "data": {}}, content__type=STRUCTURED).headers
    assert {name: value for name, value in headers.items() if name != "content-type"} == {
        "ce_specversion": b"1.0",
        "ce_id": b"7",
        "ce_source": b"/s",
        "ce_type": b"shop.OrderPlaced",
        "ce_partitionkey": b"1",
        "ce_urgent": b"true",
        "ce_attempt": b"3",
        "ce_traceparent": b"00-a-b-01",
        "traceparent": b"00-a-b-01",
    }


@pytest.mark.parametrize(
    "format", ["application/cloudevents+protobuf", "application/cloudevents-batch+json", "application/cloudevents"]
)
def test_structured_mode_in_another_format_is_not_taken_for_the_message(format: str) -> None:
    for more in ({}, {"ce_type": "shop.OrderPlaced"}):
        with pytest.raises(ValueError, match=r"only application/cloudevents\+json is read"):
            opened(b"\n\x017", content__type=format, **more)


@pytest.mark.parametrize("content_type", ["", "application/json"])
def test_structured_mode_is_known_by_its_looks_if_its_content_type_is_that_of_the_data(content_type: str) -> None:
    headers = {"content__type": content_type} if content_type else {}
    envelope = opened({**ATTRIBUTES, "data": {"orderId": "1"}}, **headers)
    assert (envelope.type, envelope.text("ce_id"), envelope.is_json) == ("shop.OrderPlaced", "7", True)
    data = OrderPlaced(order_id="1").SerializeToString()
    binary = {**ATTRIBUTES, "data_base64": b64encode(data).decode()}
    envelope = opened(binary, content__type="application/protobuf")
    assert (envelope.type, envelope.is_json, envelope.data) == ("shop.OrderPlaced", False, data)


def test_a_message_that_has_such_fields_is_not_taken_for_an_envelope() -> None:
    for value in ({"id": "1", "type": "t", "source": "s"}, {"specversion": 1, "id": "1", "type": "t", "source": "s"}):
        envelope = opened(value, content__type="application/json")
        assert (envelope.type, json.loads(envelope.data)) == ("", value)
    for value in ({"body": "eHg=", "id": 1}, {"header": "x", "body": "eHg="}, {"body": "no base64"}, {"body": 1}):
        envelope = opened(value, content__type="application/json")
        assert json.loads(envelope.data) == value


def test_go_micro_s_body_without_a_content_type_is_json_if_it_looks_so() -> None:
    for body, is_json in (
        (b'{"order_id":"1"}', True),
        (OrderPlaced(order_id="1").SerializeToString(), False),
        (b"", False),
    ):
        envelope = opened({"Header": {"Zone": "eu"}, "Body": b64encode(body).decode()})
        assert (envelope.is_json, envelope.data, envelope.headers["zone"]) == (is_json, body, b"eu")
    assert opened({"Header": {}, "Body": None}).data == b""


def test_what_is_nested_too_deep_is_an_error_of_the_record() -> None:
    deep = b'{"a":' + b"[" * 200_000
    assert open_envelope(Record("t", 0, 0, 0.0, None, deep, ())).data == deep
    with pytest.raises(ValueError, match="not JSON"):
        opened(deep, content__type=STRUCTURED)
    with pytest.raises(ValueError, match="not the JSON of a OrderPlaced"):
        JsonCodec().decoder(OrderPlaced)(deep)


def test_go_micros_envelope_may_be_without_headers() -> None:
    body = b64encode(b"data").decode()
    for value in ({"Header": None, "Body": body}, {"Body": body}):
        assert opened(value).data == b"data"
