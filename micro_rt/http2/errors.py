"""What can go wrong on a connection (RFC 9113, sections 5.4 and 7).

The peer breaks a rule: that is a ``StreamError`` or a ``FatalError``. Both stay inside: ``Connection.receive`` answers
them with RST_STREAM or GOAWAY and reports them as events. The caller breaks a rule: that is a ``LocalError``, which
the method raises before it changes anything.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "BufferFullError",
    "ErrorCode",
    "FatalError",
    "Http2Error",
    "LocalError",
    "NoMoreStreamsError",
    "StreamError",
    "TooManyStreamsError",
    "code_name",
]


class ErrorCode(IntEnum):
    """The error codes of RST_STREAM and GOAWAY (section 7). Another code counts as INTERNAL_ERROR."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Http2Error(Exception):
    """The base of all errors of this package."""


class StreamError(Http2Error):
    """An error of one stream (section 5.4.2): the stream ends, and the connection goes on.

    Args:
        stream_id: the stream that ends.
        code: the code of its RST_STREAM, as it is on the wire.
        reason: what happened, for a log. It holds nothing that the peer wrote.
        of_connection: whether the stream ends because its connection does.
    """

    def __init__(self, stream_id: int, code: int, reason: str, *, of_connection: bool = False) -> None:
        super().__init__(f"stream {stream_id}: {code_name(code)}: {reason}")
        self.of_connection = of_connection
        self.stream_id = stream_id
        self.code = code
        self.reason = reason

    @property
    def unprocessed(self) -> bool:
        """Whether the server has not acted on the request, so that it is safe to send it again (section 8.7)."""
        return self.code == ErrorCode.REFUSED_STREAM


class FatalError(Http2Error):
    """An error of the connection (section 5.4.1): every stream of it ends.

    Args:
        code: the code of the GOAWAY.
        reason: what happened, for a log and for the debug data of the GOAWAY. It holds nothing that the peer wrote.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code_name(code)}: {reason}")
        self.code = code
        self.reason = reason


class LocalError(Http2Error):
    """The caller did what the protocol does not allow. Nothing was sent."""


class TooManyStreamsError(LocalError):
    """The peer allows no further stream now: try again when one of the streams has ended (section 5.1.2)."""


class NoMoreStreamsError(LocalError):
    """This connection opens no further stream: use another one (sections 5.1.1 and 6.8)."""


class BufferFullError(LocalError):
    """The peer opens its window too slowly: more would wait to be sent than a limit allows."""


def code_name(code: int) -> str:
    """Returns the name of an error code; its number if the code is unknown."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error code {code:#x}"
