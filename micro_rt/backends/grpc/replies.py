"""What the answer of a server means: its header section, its trailers, and its end ("Responses" of PROTOCOL-HTTP2.md).

Rules kept here, and why:

- A section is read once, and what it means is noted on it: the decoder gives the same object again for the same octets,
  as most calls are answered alike.
- A header section with ``grpc-status`` that ends the stream is the whole answer ("Trailers-Only"). Only such an answer can
  say that nothing ran: a server that refuses a call says nothing before that. Where messages or trailers follow, its status
  means nothing. Where nothing but the end of the stream follows it counts: proxies send that end in a frame of its own.
  So it does where nothing follows for half a second: the stream must not wait for an end that does not come.
- An answer that is not gRPC's is an error by its HTTP status, and what it holds is not looked at: proxies answer with
  HTML (http-grpc-status-mapping.md).
- No control character of the server reaches a caller or a log, escapes in text included.
- Each waiter gets an error object of its own when the call ends: these functions make a new one each time.
"""

from __future__ import annotations

from typing import Any, Final

from micro_rt.backends.grpc.fields import code_of_reset, headers_of
from micro_rt.errors import (
    NOT_SERVED,
    Cancelled,
    Code,
    DeadlineExceeded,
    Error,
    Internal,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    Unknown,
)
from micro_rt.http2.errors import ErrorCode, StreamError, code_name
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.text import printable
from micro_rt.transport.compression import ACCEPTED, IDENTITY
from micro_rt.transport.wire import (
    Headers,
    code_of_http_status,
    content_subtype_of,
    decode_metadata,
    error_of_trailers,
    malformed,
)

__all__ = [
    "Head",
    "Trailers",
    "error_of_deadline",
    "error_of_head",
    "error_of_reset",
    "error_of_status",
    "lost",
    "no_status",
    "read_head",
    "read_trailers",
    "refused",
]

_SHOWN: Final = 100
"""Characters of what a server sent that an error shows."""


class Trailers:
    """What the trailers of a call say."""

    __slots__ = ("fields", "metadata", "ok", "problem")

    def __init__(self, headers: Headers) -> None:
        self.fields = dict(headers)
        """Their names and values."""
        self.metadata: Metadata = EMPTY
        self.problem = ""
        """Why they cannot be read, if so."""
        if malformed(headers):
            self.problem = "the trailers break the rules of HTTP/2"
        else:
            try:
                self.metadata = decode_metadata(headers)
            except ValueError as error:
                self.problem = f"the metadata of the reply cannot be read: {printable(str(error), _SHOWN)}"
        self.ok = not self.problem and self.fields.get("grpc-status") == "0"
        """Whether the call went well."""


class Head:
    """What the header section of an answer says."""

    __slots__ = ("compression", "content_type", "may_go_on", "metadata", "ok", "problem", "status", "trailers")

    def __init__(self, headers: Headers) -> None:
        fields = dict(headers)
        self.status = fields.get(":status", "")
        """Of HTTP."""
        self.content_type = fields.get("content-type", "")
        encoding = fields.get("grpc-encoding", IDENTITY)
        self.compression = "" if encoding == IDENTITY else encoding
        """Of the messages; empty for none."""
        self.metadata: Metadata = EMPTY
        self.trailers: Trailers | None = None
        """What it says about the end, if there is nothing else ("Trailers-Only")."""
        self.may_go_on = False
        """Whether messages may follow although there is a status."""
        self.problem = ""
        """Why it cannot be read, if so."""
        self.ok = False
        """Whether messages follow, and there is no status."""
        if malformed(headers):
            self.problem = "the headers of the reply break the rules of HTTP/2"
        elif self.status != "200":
            pass
        elif "grpc-status" in fields:
            self.trailers = Trailers(headers)
            self.metadata = self.trailers.metadata
            readable = not self.trailers.problem and content_subtype_of(self.content_type) is not None
            self.may_go_on = readable and self._decompressible()
        elif content_subtype_of(self.content_type) is not None:
            try:
                self.metadata = decode_metadata(headers)
                self.ok = self._decompressible()
                if not self.ok:
                    self.problem = (
                        f"the reply is compressed with {printable(encoding, _SHOWN)}, which was not asked for"
                    )
            except ValueError as error:
                self.problem = f"the metadata of the reply cannot be read: {printable(str(error), _SHOWN)}"

    def _decompressible(self) -> bool:
        return not self.compression or self.compression in ACCEPTED


def read_head(fields: Any) -> Head:
    """Returns what the header section of an answer says.

    Args:
        fields: as the decoder gives them.
    """
    note = fields.note
    if type(note) is not Head:
        note = fields.note = Head(headers_of(fields))
    return note


def read_trailers(fields: Any) -> Trailers:
    """Returns what trailers say.

    Args:
        fields: as the decoder gives them.
    """
    note = fields.note
    if type(note) is not Trailers:
        note = fields.note = Trailers(headers_of(fields))
    return note


def error_of_head(head: Head, path: str, address: str) -> Error:
    """Returns the error of an answer that is not ``ok`` and has no status of gRPC.

    Args:
        head: the answer.
        path: of the call.
        address: of the server.
    """
    if head.problem:
        return Internal(f"{path}: {head.problem}")
    if head.status != "200":
        code = code_of_http_status(head.status)
        problem = f"{address} answered {path} with HTTP status {head.status}"
        if code is Code.UNIMPLEMENTED:  # Nothing is served at that path, so nothing ran.
            return Unimplemented(problem, id=NOT_SERVED, may_have_run=False)
        return Error.of(code, problem)
    return Unknown(f"{address} does not speak gRPC: content-type {printable(repr(head.content_type), _SHOWN)}")


def error_of_status(trailers: Trailers, path: str, *, alone: bool) -> Error | None:
    """Returns the error that trailers tell of; None for status OK.

    Args:
        trailers: of the call.
        path: of the call.
        alone: whether they are the whole answer.
    """
    if trailers.ok:
        return None
    if trailers.problem:
        return Internal(f"{path}: {trailers.problem}")
    error = error_of_trailers(trailers.fields, path)
    if error is not None and not alone:
        error.may_have_run = True
    return error


def error_of_reset(fault: StreamError, path: str, address: str, *, by_peer: bool, due: bool, problem: str) -> Error:
    """Returns the error of a call whose stream ended too early ("Errors" of PROTOCOL-HTTP2.md).

    Args:
        fault: what the connection reports.
        path: of the call.
        address: of the server.
        by_peer: whether the server reset it.
        due: whether the deadline of the call is near: grpc-go resets a call when it sees the deadline first.
        problem: why we have ended the connection, if so.
    """
    code = fault.code
    if fault.of_connection:
        return lost(path, address, problem or ("" if by_peer else fault.reason))
    if code == ErrorCode.REFUSED_STREAM:
        return refused(path, address)
    if not by_peer and code == ErrorCode.ENHANCE_YOUR_CALM:
        return ResourceExhausted(f"{path}: the answer of {address} has {fault.reason}")
    if not by_peer:
        return Internal(f"{path}: the answer of {address} breaks the rules of HTTP/2: {fault.reason}")
    if code == ErrorCode.CANCEL:
        return error_of_deadline(path, address) if due else Cancelled(f"{path}: {address} cancelled the call")
    if code == ErrorCode.ENHANCE_YOUR_CALM:
        return ResourceExhausted(f"{path}: {address} asks for fewer calls")
    return Error.of(code_of_reset(code), f"{path}: {address} reset the call with HTTP/2 {code_name(code)}")


def error_of_deadline(path: str, address: str) -> DeadlineExceeded:
    """Returns what a call ends with whose deadline passes before the server answers."""
    return DeadlineExceeded(
        f"{path}: no reply from {address} before the deadline", id="micro.deadline", unanswered=True
    )


def lost(path: str, address: str, problem: str = "") -> Unavailable:
    """Returns what a call ends with whose connection ends before the server answers.

    Args:
        path: of the call.
        address: of the server.
        problem: why, if that is known.
    """
    why = f": {problem}" if problem else ""
    return Unavailable(
        f"{path}: the connection to {address} was lost before the reply{why}",
        id="micro.connection_lost",
        unanswered=True,
    )


def refused(path: str, address: str) -> Unavailable:
    """Returns what a call ends with that the server has not begun, and will not begin (gRFC A6)."""
    return Unavailable(f"{address} refused {path}: it is stopping or full", id="micro.refused", may_have_run=False)


def no_status(path: str, address: str) -> Internal:
    """Returns what a call ends with whose server ends it without a status.

    Args:
        path: of the call.
        address: of the server.
    """
    return Internal(f"{address} ended {path} without a status")
