"""A link: what is between a transport of the event loop and an HTTP/2 connection. Both sides of gRPC derive from it.

Rules kept here:

- ``data_received`` never raises, whatever arrives: an error in it would take calls of others with it. A mistake of
  ours ends the connection with INTERNAL_ERROR, and is logged.
- All events of one read are handled before anything is written. What they and the calls that they wake have to send
  then goes out in one write: ``flush_soon`` puts the write behind what is ready to run in the same turn of the loop.
  ``flush`` writes at once; large pieces do that, so that the transport can say that it holds too much.
- While the transport takes no more (``pause_writing``), senders of messages wait (``drain``), and are woken one
  after the other. Only small frames are still written: answers to PING and SETTINGS, WINDOW_UPDATE, RST_STREAM, and
  short ends of calls. Reading goes on, because two sides that both wait for the other to read would wait for ever. So
  a peer that never reads could make us hold more and more: above ``MAX_UNSENT`` bytes the connection is cut.
- A connection that has finished says so to the other side, and ends. A side that ``lingers`` (the server) ends only
  its half, and reads and throws away what still comes until the other side closes, ``LINGER`` seconds at most. If it
  closed at once, what the other side sends meanwhile would be answered with a TCP reset, and the other side would
  lose replies that it has received and not read yet (RFC 9112, section 9.6).
- Closing waits ``FLUSH_TIMEOUT`` seconds for a peer that does not read, and then cuts the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar, Generic, TypeVar, cast

from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.events import Event
from micro_rt.kit.net import detect_dead_peers
from micro_rt.logs import logger, sparsely

__all__ = ["FLUSH_TIMEOUT", "LINGER", "MAX_UNSENT", "Link"]

FLUSH_TIMEOUT = 1.0
"""Seconds that a connection that is closed gets to send what it still holds."""
LINGER = 3.0
"""Seconds that the other side gets to close a connection that we have finished."""
MAX_UNSENT = 16 << 20
"""Bytes that the transport may hold while the peer reads nothing. Calls do not get there, since they wait."""

_log = logger("micro_rt.backends.grpc")

ConnectionT = TypeVar("ConnectionT", bound=Connection)


class Link(asyncio.Protocol, Generic[ConnectionT]):
    """One connection.

    A subclass says what events do (``handle``), and may extend ``connection_made``, ``connection_lost`` and
    ``finished``.
    To send, it calls the methods of ``http2`` and then ``flush_soon``.

    Args:
        http2: the connection without I/O. What it has to say already (the preface, SETTINGS) is written first.
    """

    __slots__ = (
        "_closed",
        "_ending",
        "_eof",
        "_scheduled",
        "_timer",
        "_waiting",
        "heard",
        "http2",
        "loop",
        "lost",
        "paused",
        "problem",
        "reading",
        "transport",
    )

    lingers: ClassVar[bool] = False
    """Whether it ends its half first, and closes when the other side has closed. Not after ``close`` and ``cut``."""

    def __init__(self, http2: ConnectionT) -> None:
        self.http2 = http2
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        """None before the connection is made, and after it is lost."""
        self.lost = False
        """Whether nothing can be sent any more."""
        self.paused = False
        """Whether the transport holds so much that senders of messages must wait: see ``drain``."""
        self.reading = True
        """Whether the transport reads: see ``stop_reading``."""
        self.heard = self.loop.time()
        """When something came last, on the clock of the loop."""
        self.problem = ""
        """Why this side has ended the connection, in words for an error or a log."""
        self._ending = False
        """Whether nothing that comes is looked at any more, and nothing more is written but for ``close``."""
        self._eof = False
        """Whether our half has ended."""
        self._scheduled = False
        self._waiting: deque[asyncio.Future[None]] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What a side says

    def handle(self, events: list[Event]) -> None:
        """Handles what has happened on the connection, in its order.

        What it raises ends the connection with INTERNAL_ERROR.

        Args:
            events: of one read; never empty. See ``micro_rt.http2.events``.
        """
        raise NotImplementedError

    def finished(self) -> None:
        """Ends the connection, because nothing more will happen on it: after GOAWAY, the last call has ended.

        It is called once everything is written.
        """
        if self.lingers:
            self.linger()
        else:
            self.close()

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the connection."""
        self.transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            detect_dead_peers(sock)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Takes what has come. Never raises."""
        if self._ending:
            return
        self.heard = now = self.loop.time()
        try:
            events = self.http2.receive(data, now)
            if events:
                self.handle(events)
        except Exception as error:
            self._broken(error)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)

    def eof_received(self) -> bool:
        """Has the transport close: who sends nothing more takes part in no call any more."""
        return False

    def pause_writing(self) -> None:
        """Has senders wait."""
        self.paused = True

    def resume_writing(self) -> None:
        """Lets senders go on, one after the other."""
        self.paused = False
        self._wake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the connection, and with it every call."""
        self.transport = None
        self.lost = True
        self._stop_timer()
        try:
            events = self.http2.lost()
            if events:
                self.handle(events)
            self.http2.data_to_send()
        except Exception as error:
            self._report(error)
        self.paused = False
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    # Sending

    @property
    def writable(self) -> bool:
        """Whether the event loop's transport still takes what is written."""
        return self.transport is not None and not self.transport.is_closing()

    def flush_soon(self) -> None:
        """Writes what is to be sent, once what is ready to run has run."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)

    def flush(self) -> None:
        """Writes what is to be sent, at once."""
        data = self.http2.data_to_send()
        transport = self.transport
        if data and not self._ending and transport is not None and not transport.is_closing():
            transport.write(data)
            if self.paused and transport.get_write_buffer_size() > MAX_UNSENT:
                _log.warning("a connection is cut: the other side does not read", extra=sparsely("unread"))
                self.cut("the other side does not read")
                return
        if self.http2.closing and not self._ending and self.http2.finished:
            self._ending = True
            self.finished()

    async def drain(self) -> None:
        """Waits until the transport takes more, or the connection is lost.

        Whoever comes back from it sends one message before it waits again. The next one is woken only then.
        """
        while self.paused:
            waiter = self.loop.create_future()
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                # Also if the wait was cancelled: the turn goes to the next one, after what this one sends now.
                self.loop.call_soon(self._wake)

    def _wake(self) -> None:
        waiting = self._waiting
        while waiting and not self.paused:
            waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # Reading

    def stop_reading(self) -> None:
        """Takes nothing more from the peer until ``go_on_reading``. The kernel then stops the peer."""
        if self.reading and self.transport is not None and not self.transport.is_closing():
            self.reading = False
            self.transport.pause_reading()

    def go_on_reading(self) -> None:
        """Takes back ``stop_reading``."""
        if not self.reading:
            self.reading = True
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    # Ending

    def linger(self) -> None:
        """Ends our half, and throws away what comes until the other side closes, ``LINGER`` seconds at most."""
        transport = self.transport
        self._ending = True
        if transport is None or transport.is_closing():
            return
        self.go_on_reading()
        if not transport.can_write_eof():
            self.close()
            return
        self._eof = True
        try:
            transport.write_eof()
        except OSError:  # The other side has reset the connection, and the event loop has not noticed yet.
            self.close()
            return
        self._start_timer(LINGER)

    def close(self) -> None:
        """Sends what is to be sent, and closes. Cuts the connection if the other side does not read it in time."""
        self._ending = True
        transport = self.transport
        if transport is None:
            return
        data = self.http2.data_to_send()
        if not transport.is_closing():
            if data and not self._eof:
                transport.write(data)
            transport.close()
        self._start_timer(FLUSH_TIMEOUT)

    def cut(self, problem: str = "") -> None:
        """Closes without waiting for anything.

        Args:
            problem: why, in words for an error or a log.
        """
        self._ending = True
        self.problem = self.problem or problem
        if self.transport is not None:
            self.transport.abort()

    async def wait_closed(self) -> None:
        """Waits until the connection is lost. Several may wait."""
        if self.transport is None:
            return
        if self._closed is None:
            self._closed = self.loop.create_future()
        await asyncio.shield(self._closed)

    # Helpers

    def _flush(self) -> None:
        self._scheduled = False
        self.flush()

    def _broken(self, error: Exception) -> None:
        """Ends the connection after a mistake of ours."""
        self._report(error)
        self.problem = f"a mistake of this side: {type(error).__name__}"
        try:
            events = self.http2.abort(ErrorCode.INTERNAL_ERROR, "a mistake of this side")
            if events:
                self.handle(events)
        except Exception as another:
            self._report(another)
            self.cut()

    def _report(self, error: Exception) -> None:
        name = type(error).__name__
        what = "a connection is closed, because what came on it cannot be handled: %s"
        _log.warning(what, name, exc_info=error, extra=sparsely("unreadable"))

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.cut)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
