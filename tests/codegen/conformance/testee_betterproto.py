"""The testee of the betterproto dialect."""

from __future__ import annotations

from typing import Any

import conformance_pb2
import test_messages_proto3_editions_pb as editions
import test_messages_proto3_pb as proto3
from loop import serve

TYPES = {
    "protobuf_test_messages.proto3.TestAllTypesProto3": proto3.TestAllTypesProto3,
    "protobuf_test_messages.editions.proto3.TestAllTypesProto3": editions.TestAllTypesProto3,
}


def answer(request: Any, response: Any) -> None:
    """Fills in the response to a request."""
    kind = TYPES.get(request.message_type)
    if kind is None:
        response.skipped = "the dialect does not hold groups, extensions and required fields"
        return
    lenient = request.test_category == conformance_pb2.JSON_IGNORE_UNKNOWN_PARSING_TEST
    try:
        if request.WhichOneof("payload") == "protobuf_payload":
            message = kind.FromString(request.protobuf_payload)
        else:
            message = kind().from_json(request.json_payload, ignore_unknown_fields=lenient)
    except ValueError as error:
        response.parse_error = str(error)
        return
    try:
        if request.requested_output_format == conformance_pb2.PROTOBUF:
            response.protobuf_payload = message.SerializeToString()
        else:
            response.json_payload = message.to_json()
    except ValueError as error:
        response.serialize_error = str(error)


serve(answer)
