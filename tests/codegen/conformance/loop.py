"""What every testee does: requests of protobuf's conformance runner come on stdin, responses go to stdout."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

import conformance_pb2  # generated for the run, as the test messages are

__all__ = ["serve"]


def serve(answer: Callable[[Any, Any], None]) -> None:
    """Answers requests until the runner closes the pipe.

    Args:
        answer: fills in the response to a request.
    """
    while len(head := sys.stdin.buffer.read(4)) == 4:
        request = conformance_pb2.ConformanceRequest()
        request.ParseFromString(sys.stdin.buffer.read(*struct.unpack("<I", head)))
        response = conformance_pb2.ConformanceResponse()
        if request.message_type == "conformance.FailureSet":
            response.protobuf_payload = b""  # which failures are known is for the runner's command line
        elif request.WhichOneof("payload") not in (
            "protobuf_payload",
            "json_payload",
        ) or request.requested_output_format not in (conformance_pb2.PROTOBUF, conformance_pb2.JSON):
            response.skipped = "no dialect has this format"
        else:
            answer(request, response)
        data = response.SerializeToString()
        sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
        sys.stdout.buffer.flush()
