"""The testee of the protobuf dialect."""

from __future__ import annotations

from typing import Any

import conformance_pb2
import test_messages_edition2023_pb2
import test_messages_proto2_editions_pb2
import test_messages_proto2_pb2
import test_messages_proto3_editions_pb2
import test_messages_proto3_pb2
from google.protobuf import json_format, message_factory, symbol_database
from google.protobuf.message import DecodeError, EncodeError
from loop import serve

MODULES = (
    test_messages_edition2023_pb2,
    test_messages_proto2_editions_pb2,
    test_messages_proto2_pb2,
    test_messages_proto3_editions_pb2,
    test_messages_proto3_pb2,
)
POOL = symbol_database.Default().pool


def answer(request: Any, response: Any) -> None:
    """Fills in the response to a request."""
    message = message_factory.GetMessageClass(POOL.FindMessageTypeByName(request.message_type))()
    lenient = request.test_category == conformance_pb2.JSON_IGNORE_UNKNOWN_PARSING_TEST
    try:
        if request.WhichOneof("payload") == "protobuf_payload":
            message.ParseFromString(request.protobuf_payload)
        else:
            json_format.Parse(request.json_payload, message, ignore_unknown_fields=lenient)
    except (DecodeError, json_format.ParseError) as error:
        response.parse_error = str(error)
        return
    try:
        if request.requested_output_format == conformance_pb2.PROTOBUF:
            response.protobuf_payload = message.SerializeToString()
        else:
            response.json_payload = json_format.MessageToJson(message)
    except (EncodeError, json_format.SerializeToJsonError, ValueError) as error:
        response.serialize_error = str(error)


serve(answer)
