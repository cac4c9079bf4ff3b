"""An error as bytes and back: ``google.rpc.Status``, as gRPC carries it in ``grpc-status-details-bin``.

The stable id travels as a ``google.rpc.ErrorInfo`` detail, as https://google.aip.dev/193 has it.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from micro_rt.errors import Error
from micro_rt.status_pb2 import ErrorInfo, Status

__all__ = ["decode_details", "encode_details"]

_PREFIX = "type.googleapis.com/"
_ERROR_INFO = _PREFIX + "google.rpc.ErrorInfo"


def encode_details(error: Error) -> bytes | None:
    """Encodes what a status code and message cannot carry; None if there is nothing more.

    Raises:
        TypeError: a detail that is not a protobuf message.
    """
    if not error.id and not error.details:
        return None
    status = Status(code=int(error.code), message=error.message)
    if error.id:
        info = ErrorInfo(reason=error.id, domain="micro")
        status.details.add(type_url=_ERROR_INFO, value=info.SerializeToString())
    for detail in error.details:
        if isinstance(detail, AnyMessage):
            status.details.append(detail)
        elif isinstance(detail, Message):
            status.details.add(
                type_url=_PREFIX + detail.DESCRIPTOR.full_name, value=detail.SerializeToString(deterministic=True)
            )
        else:
            raise TypeError(f"an error's details are protobuf messages, not {type(detail).__name__}")
    return status.SerializeToString()


def decode_details(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """Decodes the id and the typed details.

    A detail of a type that this process does not know stays a ``google.protobuf.Any``; bytes that are not a
    ``google.rpc.Status`` give nothing, because the status code and message are known without them.
    """
    try:
        status = Status.FromString(data)
    except DecodeError:
        return "", ()
    id = ""
    details: list[Any] = []
    for packed in status.details:
        if packed.type_url == _ERROR_INFO and not id:
            try:
                info = ErrorInfo.FromString(packed.value)
            except DecodeError:
                continue
            id = info.reason
            if info.domain == "micro":
                continue
        details.append(_unpacked(packed))
    return id, tuple(details)


def _unpacked(packed: AnyMessage) -> Message:
    name = packed.type_url.rpartition("/")[2]
    try:
        message_type = GetMessageClass(Default().FindMessageTypeByName(name))
        return message_type.FromString(packed.value)
    except (KeyError, DecodeError):
        return packed
