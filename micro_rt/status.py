"""An error as bytes and back: ``google.rpc.Status``, as gRPC carries it in ``grpc-status-details-bin``.

The stable id travels as a ``google.rpc.ErrorInfo`` detail, as https://google.aip.dev/193 has it.
"""

from __future__ import annotations

import logging
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from micro_rt.errors import Error
from micro_rt.status_pb2 import ErrorInfo, Status
from micro_rt.text import utf8

__all__ = ["ERROR_INFO", "decode_details", "encode_details"]

_log = logging.getLogger("micro_rt.status")

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

_PREFIX = "type.googleapis.com/"


def encode_details(error: Error, message: str | None = None) -> bytes | None:
    """Encodes what a status code and message cannot carry; None if there is nothing more.

    A call must get its status whatever the error holds: a detail that cannot be encoded is left out, and logged.

    Args:
        error: the error.
        message: to put in place of the error's own.
    """
    if not error.id and not error.details:
        return None
    status = Status(code=int(error.code), message=utf8(error.message) if message is None else message)
    if error.id:
        info = ErrorInfo(reason=utf8(error.id), domain="micro")
        status.details.add(type_url=ERROR_INFO, value=info.SerializeToString())
    for detail in error.details:
        try:
            status.details.append(_packed(detail))
        except Exception:
            _log.exception("a detail of %s is not sent: %s", error.code.name, type(detail).__name__)
    return status.SerializeToString()


def decode_details(data: bytes, message: str = "") -> tuple[str, str, tuple[Any, ...]]:
    """Decodes the id, the message and the typed details.

    A detail of a type that this process does not know stays a ``google.protobuf.Any``; bytes that are not a
    ``google.rpc.Status`` give nothing, because the status code and message are known without them.

    Args:
        data: an encoded ``google.rpc.Status``; empty if there is none.
        message: that came with the status code.
    """
    try:
        status = Status.FromString(data)
    except DecodeError:
        return "", message, ()
    id = ""
    details: list[Any] = []
    for packed in status.details:
        if packed.type_url == ERROR_INFO and not id:
            try:
                info = ErrorInfo.FromString(packed.value)
            except DecodeError:
                continue
            id = info.reason
            if info.domain == "micro":
                continue
        details.append(_unpacked(packed))
    return id, message, tuple(details)


def _packed(detail: Message) -> AnyMessage:
    if isinstance(detail, AnyMessage):
        return detail
    data = detail.SerializeToString(deterministic=True)
    return AnyMessage(type_url=_PREFIX + detail.DESCRIPTOR.full_name, value=data)


def _unpacked(packed: AnyMessage) -> Message:
    name = packed.type_url.rpartition("/")[2]
    try:
        message_type = GetMessageClass(Default().FindMessageTypeByName(name))
        return message_type.FromString(packed.value)
    except (KeyError, DecodeError):
        return packed
