"""Streams: what may come next on each (RFC 9113, sections 5.1 and 8.1).

A stream is two messages, one each way, and each is a header section, then data, then perhaps trailers:

    1xx*  HEADERS  DATA*  [HEADERS with END_STREAM, or END_STREAM on the last frame]

So a stream has two halves, ``remote`` (what the peer sends) and ``local`` (what we send), and both follow one table,
``NEXT``. The states of section 5.1 are pairs of halves (``STATES``):

    ============================  ============  ============
    state in section 5.1          remote        local
    ============================  ============  ============
    idle                          no ``Stream`` yet; its number is above all others
    open                          not DONE      not DONE
    half-closed (remote)          DONE          not DONE
    half-closed (local)           not DONE      DONE
    closed                        DONE          DONE; or both GONE. No longer among the connection's streams
    ============================  ============  ============

RST_STREAM ends both halves at any time (GONE). There are no reserved states: nobody pushes here.
"""

from __future__ import annotations

from typing import Any, Final

from micro_rt.http2.errors import ErrorCode

__all__ = [
    "BODY",
    "DATA_INPUT",
    "DONE",
    "GONE",
    "HEAD",
    "HEADERS_INPUT",
    "INTERIM_INPUT",
    "NEXT",
    "VIOLATIONS",
    "Stream",
]

# What a half of a stream waits for
HEAD: Final = 0
"""Its header section."""
BODY: Final = 1
"""Its data, its trailers or its end."""
DONE: Final = 2
"""Nothing: END_STREAM has ended it."""
GONE: Final = 3
"""Nothing: the stream was reset, or its connection has ended."""

# What can come. One more than HEADERS_INPUT or DATA_INPUT: the same with END_STREAM.
HEADERS_INPUT: Final = 0
DATA_INPUT: Final = 2
INTERIM_INPUT: Final = 4
"""A header section with a status of 1xx (section 8.1)."""

# What must not come. All are above DONE, so that one comparison finds them.
_EARLY: Final = 4
_UNENDED: Final = 5
_LATE: Final = 6
_ENDED: Final = 7
_GONE: Final = 8

NEXT: Final = (
    # HEADERS    + END_STREAM  DATA     + END_STREAM  1xx
    (BODY,       DONE,         _EARLY,  _EARLY,       HEAD),   # HEAD
    (_UNENDED,   DONE,         BODY,    DONE,         _LATE),  # BODY
    (_ENDED,     _ENDED,       _ENDED,  _ENDED,       _ENDED),  # DONE
    (_GONE,      _GONE,        _GONE,   _GONE,        _GONE),  # GONE
)  # fmt: skip
"""``NEXT[half][input]`` is what the half waits for afterwards; or above DONE, a number of ``VIOLATIONS``."""

VIOLATIONS: Final = (
    (ErrorCode.NO_ERROR, ""),  # HEAD
    (ErrorCode.NO_ERROR, ""),  # BODY
    (ErrorCode.NO_ERROR, ""),  # DONE
    (ErrorCode.NO_ERROR, ""),  # GONE
    (ErrorCode.PROTOCOL_ERROR, "DATA before the header section"),  # 8.1
    (ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM"),  # 8.1
    (ErrorCode.PROTOCOL_ERROR, "an interim response after the final one"),  # 8.1
    (ErrorCode.STREAM_CLOSED, "a frame after END_STREAM"),  # 5.1, half-closed (remote)
    (ErrorCode.STREAM_CLOSED, "a frame after RST_STREAM"),  # 5.1, closed
)
"""The error code and the reason of each violation."""

STATES: Final = (("open", "half-closed (local)"), ("half-closed (remote)", "closed"))


class Stream:
    """One stream of a connection. Only the connection changes it; only ``context`` is the caller's."""

    __slots__ = (
        "context",
        "credit",
        "expected",
        "id",
        "local",
        "queue",
        "remote",
        "taken",
        "trailers",
        "window",
    )

    def __init__(self, number: int, remote: int, local: int, window: int, expected: int) -> None:
        self.id = number
        """Its number."""
        self.remote = remote
        """What the peer's half waits for: HEAD, BODY or DONE."""
        self.local = local
        """What our half waits for. DONE means that the caller has ended it; what is in ``queue`` is still to be
        sent."""
        self.window = window
        """Bytes of DATA that the peer may still send; below 0 after a change of SETTINGS."""
        self.taken = 0
        """Bytes of DATA that the caller has acknowledged and the peer has not been told about; below 0 if the peer may
        send more than the window for once."""
        self.credit = 0
        """Bytes of DATA that we may send, relative to the peer's SETTINGS_INITIAL_WINDOW_SIZE (section 6.9.2): a
        change of that setting then changes every stream at once."""
        self.expected = expected
        """Bytes of DATA that the peer's content-length announces and that have not come; below 0 if it announces
        none."""
        self.queue: bytearray | None = None
        """The data that waits for the peer to open a window; None if nothing waits. It is never empty."""
        self.trailers: Any = None
        """The trailers that wait behind it."""
        self.context: Any = None
        """For the caller: whatever belongs to this stream."""

    @property
    def waiting(self) -> int:
        """Bytes of data that wait for the peer to open a window."""
        return 0 if self.queue is None else len(self.queue)

    @property
    def closed(self) -> bool:
        """Whether both halves have ended and nothing waits."""
        return self.remote >= DONE and self.local >= DONE and self.queue is None

    @property
    def state(self) -> str:
        """The state in the words of section 5.1."""
        return STATES[self.remote >= DONE][self.local >= DONE and self.queue is None]

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.state}>"
