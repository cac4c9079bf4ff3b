"""What go-micro adds to gRPC: two headers, and its own form of errors.

- ``x-content-type`` comes with every request of a go-micro client, and marks it as one; ``timeout`` is the deadline in
  nanoseconds, beside gRPC's own.
- An error is an ``errors.Error`` as the first detail of the status, and as JSON in its message.

Read from go-micro v5.8.0: ``client/grpc/grpc.go``, ``client/grpc/error.go``, ``server/grpc/grpc.go``, ``errors/errors.go``.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from micro_rt.errors import Code, Error
from micro_rt.metadata import Metadata
from micro_rt.status_pb2 import ErrorInfo, GoMicroError
from micro_rt.text import utf8

__all__ = ["ERROR_INFO", "ERROR_TYPE", "decode_error", "encode_error", "split_metadata", "with_headers"]

ERROR_TYPE = "type.googleapis.com/errors.Error"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

CONTENT_TYPE_KEY = "x-content-type"
TIMEOUT_KEY = "timeout"

_CONTENT_TYPE = (CONTENT_TYPE_KEY, "application/grpc+proto")


def with_headers(metadata: Metadata, timeout: float | None) -> Metadata:
    """Returns a request's metadata with what a go-micro client sends.

    Args:
        metadata: of the request.
        timeout: seconds until the deadline, if there is one.
    """
    if timeout is None:
        return Metadata.received((*metadata.pairs, _CONTENT_TYPE))
    return Metadata.received((*metadata.pairs, _CONTENT_TYPE, (TIMEOUT_KEY, str(max(0, int(timeout * 1e9))))))


def split_metadata(metadata: Metadata) -> tuple[Metadata, float | None] | None:
    """Returns the metadata without go-micro's headers, and the seconds of its ``timeout``; None if it is not from go-micro."""
    if not any(key == CONTENT_TYPE_KEY for key, _ in metadata.pairs):
        return None
    timeout: float | None = None
    pairs: list[tuple[str, str | bytes]] = []
    for key, value in metadata.pairs:
        if key == TIMEOUT_KEY:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
                timeout = int(value) / 1e9
        elif key != CONTENT_TYPE_KEY:
            pairs.append((key, value))
    return Metadata.received(pairs), timeout


def encode_error(error: Error) -> Error:
    """Returns an error as go-micro's clients understand it, and all others still do but for the JSON in its message.

    The order of the details matters: a go-micro client takes the first for an error, and ends its process if it is none.
    """
    http_status = _HTTP_STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    own = GoMicroError(
        id=utf8(error.id), code=int(http_status), detail=utf8(error.message), status=http_status.phrase
    )
    details: list[Any] = [AnyMessage(type_url=ERROR_TYPE, value=own.SerializeToString())]
    if error.id:
        info = ErrorInfo(reason=own.id, domain="micro")
        details.append(AnyMessage(type_url=ERROR_INFO, value=info.SerializeToString()))
    fields = {"id": own.id, "code": own.code, "detail": own.detail, "status": own.status}
    message = json.dumps({key: value for key, value in fields.items() if value}, separators=(",", ":"))
    return Error.of(error.code, message, details=(*details, *error.details))


def decode_error(packed: AnyMessage | None, message: str) -> tuple[str, str] | None:
    """Returns the id and the message of an error of go-micro's; None if it is none.

    Args:
        packed: the detail of the type ``errors.Error``, if there is one.
        message: of the status.
    """
    if packed is not None:
        try:
            own = GoMicroError.FromString(packed.value)
        except DecodeError:
            return None
        return own.id, own.detail
    if not message.startswith("{"):
        return None
    try:
        parsed = json.loads(message)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    fields = cast("dict[str, object]", parsed)
    # Somebody else's JSON stays as it is.
    if not fields.keys() <= {"id", "code", "detail", "status"} or not isinstance(fields.get("code"), int):
        return None
    if not fields["code"] or not fields.keys() & {"id", "detail"}:
        return None
    return str(fields.get("id", "")), str(fields.get("detail", ""))


_HTTP_STATUS = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.DEADLINE_EXCEEDED: HTTPStatus.REQUEST_TIMEOUT,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.FAILED_PRECONDITION: HTTPStatus.PRECONDITION_FAILED,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""``server/grpc/error.go``; every other code is 500 there."""
