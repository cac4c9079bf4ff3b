"""The form that go-micro gives errors: an ``errors.Error`` as the first detail of the status, and as JSON in its message.

Read from go-micro v5.8.0: ``client/grpc/error.go``, ``server/grpc/grpc.go``, ``errors/errors.go``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from micro_rt.errors import Code, Error
from micro_rt.kit.foreign import read_json
from micro_rt.status import ERROR_INFO, Decoded, decode_details, encode_info
from micro_rt.status_pb2 import GoMicroError
from micro_rt.text import utf8

__all__ = ["ERROR_TYPE", "decode_status", "encode_error"]

ERROR_TYPE = "type.googleapis.com/errors.Error"


def encode_error(error: Error, path: str = "") -> Error:
    """Returns an error as go-micro's clients understand it, and all others still do but for the JSON in its message.

    The order of the details matters: a go-micro client takes the first for an error, and ends its process if it is none.
    """
    http_status = _HTTP_STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    own = GoMicroError(id=utf8(error.id), code=int(http_status), detail=utf8(error.message), status=http_status.phrase)
    details: list[Any] = [AnyMessage(type_url=ERROR_TYPE, value=own.SerializeToString())]
    info = encode_info(error, path)
    if info is not None:
        details.append(AnyMessage(type_url=ERROR_INFO, value=info))
    fields = {"id": own.id, "code": own.code, "detail": own.detail, "status": own.status}
    message = json.dumps({key: value for key, value in fields.items() if value}, separators=(",", ":"))
    return Error.of(error.code, message, details=(*details, *error.details))


def decode_status(data: bytes, message: str = "", path: str = "") -> Decoded:
    """Decodes what is known of an error besides its code, from go-micro or from anybody else.

    Args:
        data: an encoded ``google.rpc.Status``; empty if there is none.
        message: the message that came with the status code.
        path: of the call. If given, only a status that names it can say that the call did not run.
    """
    id, message, details, may_have_run, from_micro = decode_details(data, message, path)
    own = next((detail for detail in details if _is_own(detail)), None)
    if own is not None:
        details = tuple(detail for detail in details if detail is not own)
    found = _decode_detail(own) if own is not None else _decode_json(message)
    if found is not None:
        id, message = id or found[0], found[1]
    return Decoded(id, message, details, may_have_run, from_micro)


def _is_own(detail: Any) -> bool:
    if isinstance(detail, AnyMessage):
        return detail.type_url == ERROR_TYPE
    return str(detail.DESCRIPTOR.full_name) == "errors.Error"  # a type of that name is loaded in this process


def _decode_detail(detail: Any) -> tuple[str, str] | None:
    try:
        own = GoMicroError.FromString(
            detail.value if isinstance(detail, AnyMessage) else detail.SerializeToString(deterministic=True)
        )
    except DecodeError:
        return None
    return own.id, own.detail


def _decode_json(message: str) -> tuple[str, str] | None:
    """Returns the id and the detail of an error that go-micro wrote as JSON; None for any other text."""
    if not message.startswith("{"):
        return None
    try:
        parsed = read_json(message)
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


_HTTP_STATUS: Mapping[Code, HTTPStatus] = {
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
