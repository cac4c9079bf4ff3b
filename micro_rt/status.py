"""An error as bytes and back: ``google.rpc.Status``, as gRPC carries it in ``grpc-status-details-bin``.

The stable id travels as a ``google.rpc.ErrorInfo`` detail, as https://google.aip.dev/193 has it.

The runtime adds facts of its own: its ids, such as ``micro.refused``, and whether a handler began the call. A caller in another
language would take them for details that the handler chose. So they travel in a trailer, ``micro-error``, as a query string.
A transport without trailers sends them in the ``ErrorInfo``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from micro_rt.detail_names import name_of, own_name, standard_name
from micro_rt.details_pb2 import ErrorInfo
from micro_rt.errors import Code, Error
from micro_rt.logs import logger, sparsely
from micro_rt.status_pb2 import Status
from micro_rt.text import utf8

__all__ = [
    "DOMAIN",
    "ERROR_INFO",
    "Decoded",
    "Facts",
    "decode_details",
    "decode_facts",
    "encode_details",
    "encode_facts",
    "encode_info",
]

_log = logger("micro_rt.status")

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
DOMAIN = "micro"
"""Of every ``ErrorInfo`` that the runtime makes."""

_NOT_RUN = ("run", "no")
"""In the metadata of an ``ErrorInfo``: the server refused the call before a handler began it."""
_PATH = "path"
"""In the metadata of that ``ErrorInfo``: the call that was refused. A handler in another language may pass on the status of a call
that it made itself, details included."""
_PREFIX = "type.googleapis.com/"

_OWN_IDS: Final = "micro."
"""How the ids begin that the runtime chooses."""
_MOST_FACTS: Final = 8
"""Fields that ``micro-error`` may have; one with more is ignored."""


class Decoded(NamedTuple):
    """What is known of an error besides its code."""

    id: str
    message: str
    details: tuple[Any, ...]
    may_have_run: bool = True
    """False if the server says that it refused the call before a handler began it."""
    from_micro: bool = False
    """Whether a server of micro-rt has sent it: whether the call may have run is then as it says."""


class Facts(NamedTuple):
    """What the runtime of a server adds to an error."""

    id: str
    """The id, if the runtime chose it; otherwise empty."""
    may_have_run: bool
    """False if the server refused the call before a handler began it."""


def encode_facts(error: Error, path: str = "") -> str | None:
    """Encodes the runtime's facts about an error, as the value of ``FACTS_KEY``; returns None if there are none.

    Args:
        error: the error.
        path: the path of the call. The client compares it with that of its own call.
    """
    # A server of micro-rt always says where an UNIMPLEMENTED comes from, so that its text decides nothing.
    id = utf8(error.id)
    own = id.startswith(_OWN_IDS)
    if error.may_have_run and error.code is not Code.UNIMPLEMENTED and not own:
        return None
    facts = {"id": id} if own else {}
    facts["run"] = "maybe" if error.may_have_run else "no"
    if path and not error.may_have_run:
        facts[_PATH] = utf8(path)
    return urlencode(facts)


def decode_facts(text: str, path: str = "") -> Facts | None:
    """Decodes the value of ``FACTS_KEY``; returns None if it is empty or cannot be read. Never raises.

    Args:
        text: the value; empty if the server sent no such trailer.
        path: the path of the call. If given, only facts with the same path can say that the call did not run.
    """
    if not text:
        return None
    try:
        facts = dict(parse_qsl(text, strict_parsing=True, max_num_fields=_MOST_FACTS))
    except ValueError:
        return None
    key, value = _NOT_RUN
    id = facts.get("id", "")
    if not id.startswith(_OWN_IDS) or not id.isprintable():
        id = ""
    return Facts(id, facts.get(key) != value or bool(path and facts.get(_PATH) != utf8(path)))


def encode_info(error: Error, path: str = "") -> bytes | None:
    """Encodes the id of an error, and whether the call ran, as an ``ErrorInfo``; None if there is neither to say.

    Args:
        error: the error.
        path: of the call, if the receiver checks it.
    """
    # A server of micro-rt always says where an UNIMPLEMENTED comes from, so that its text decides nothing.
    if not error.id and error.may_have_run and error.code is not Code.UNIMPLEMENTED:
        return None
    info = ErrorInfo(reason=utf8(error.id), domain=DOMAIN)
    if not error.may_have_run:
        key, value = _NOT_RUN
        info.metadata[key] = value
        if path:
            info.metadata[_PATH] = utf8(path)
    return info.SerializeToString()


def encode_details(error: Error, message: str | None = None, path: str = "", *, facts: bool = True) -> bytes | None:
    """Encodes what a status code and message cannot carry; None if there is nothing more.

    A call must get its status whatever the error holds: a detail that cannot be encoded is left out, and logged.

    Args:
        error: the error.
        message: to put in place of the error's own.
        path: of the call, if the receiver checks it.
        facts: whether to include the runtime's facts. A transport that sends them by ``encode_facts`` leaves them out.
    """
    info = encode_info(error, path) if facts else _info_of_handler(error)
    # What is encoded for go-micro has its ErrorInfo among the details already, and must not have another detail first.
    if info is not None and not error.id and any(_is_error_info(detail) for detail in error.details):
        info = None
    if info is None and not error.details:
        return None
    status = Status(code=int(error.code), message=utf8(error.message) if message is None else message)
    if info is not None:
        status.details.add(type_url=ERROR_INFO, value=info)
    for detail in error.details:
        try:
            status.details.append(_packed(detail))
        except Exception:
            name = type(detail).__name__
            _log.exception("a detail of %s is not sent: %s", error.code.name, name, extra=sparsely(name))
    return status.SerializeToString()


def decode_details(data: bytes, message: str = "", path: str = "") -> Decoded:
    """Decodes the id, the message, the typed details, and whether the call ran.

    A detail of a type that this process does not know stays a ``google.protobuf.Any``; bytes that are not a
    ``google.rpc.Status`` give nothing, because the status code and message are known without them.

    Args:
        data: an encoded ``google.rpc.Status``; empty if there is none.
        message: that came with the status code.
        path: of the call. If given, only a status that names it can say that the call did not run.
    """
    try:
        status = Status.FromString(data)
    except DecodeError:
        return Decoded("", message, ())
    id, may_have_run, from_micro = "", True, False
    details: list[Any] = []
    for packed in status.details:
        if packed.type_url == ERROR_INFO and not id:
            try:
                info = ErrorInfo.FromString(packed.value)
            except DecodeError:
                continue
            id = info.reason
            if info.domain == DOMAIN:
                from_micro = True
                key, value = _NOT_RUN
                refused = info.metadata.get(key) == value and (not path or info.metadata.get(_PATH) == utf8(path))
                may_have_run = may_have_run and not refused
                continue
        details.append(_unpacked(packed))
    return Decoded(id, message, tuple(details), may_have_run, from_micro)


def _info_of_handler(error: Error) -> bytes | None:
    """Encodes the id that the handler chose as an ``ErrorInfo``; returns None if it chose none."""
    id = utf8(error.id)
    if not id or id.startswith(_OWN_IDS):
        return None
    return ErrorInfo(reason=id, domain=DOMAIN).SerializeToString()


def _is_error_info(detail: Any) -> bool:
    return isinstance(detail, AnyMessage) and detail.type_url == ERROR_INFO


def _packed(detail: Any) -> AnyMessage:
    if isinstance(detail, AnyMessage):
        return detail
    data = detail.SerializeToString(deterministic=True) if isinstance(detail, Message) else detail.SerializeToString()
    return AnyMessage(type_url=_PREFIX + standard_name(name_of(detail) or ""), value=data)


def _unpacked(packed: AnyMessage) -> Message:
    name = packed.type_url.rpartition("/")[2]
    for candidate in (name, own_name(name)):
        try:
            message_type = GetMessageClass(Default().FindMessageTypeByName(candidate))
            return message_type.FromString(packed.value)
        except KeyError:
            continue
        except DecodeError:
            break
    return packed
