"""TLS between a transport of the event loop and a protocol, by memory BIOs: the same on every event loop, on both sides.

Rules kept here, and why:

- A peer that is refused learns why. The event loops' own TLS closes a connection whose handshake fails without an alert,
  and does not report it to the program. Here the alert is sent before the connection ends (RFC 8446, section 6), and both
  sides get the reason in the same words (``micro_rt.kit.tls_reasons``).
- A protocol begins when the handshake is over and both sides have agreed on what they speak (ALPN, RFC 7301). So nothing
  that came in clear text can be taken for its data.
- All data of one read is decrypted first, and handed over in one piece. What a protocol writes is encrypted and written
  at once, so a protocol that collects its writes sends few records.
- A step of a handshake takes about a millisecond. Only a few of them are taken in one turn of the event loop, so that
  many connections at once do not hold up those that are there. A connection is not read while its step waits.
- A handshake that is not over in time is cut, unless this event loop was blocked. So is a connection that sends many bytes
  and no data: changing keys again and again costs the other side little, and us much.
- After a refusal nothing more is written: our half of the connection has ended.
- Closing sends close_notify. A connection that ends without it counts as lost, as one without TLS does: a protocol that
  must know whether everything arrived has to say so itself, as HTTP/2 does.
- A server takes no session that is resumed: whoever resumes one shows no certificate. Its context should offer none.
- A client of TLS 1.3 finishes its handshake before the server checks the client's certificate. Only data of the server
  shows that the client was accepted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from micro_rt.kit.tls_reasons import reason_of

__all__ = ["Secured", "SecureTransport", "Turns"]

_STEPS: Final = 4
"""Steps of handshakes that are taken in one turn of the event loop."""
_RECORD: Final = 16 << 10
"""Bytes that one call decrypts at most: a record holds no more (RFC 8446, section 5.1). Python allocates as many bytes as are asked
for. An allocation above 128 KiB goes to the kernel: with 256 KiB, a record of 100 bytes took 26 us instead of 3."""
_PIECE: Final = 32 << 10
"""Bytes that are handed to OpenSSL at a time: its buffers grow to what they once held, and never shrink."""
_BARREN: Final = 64 << 10
"""Bytes that may come after the handshake without any data for the protocol: several records."""
_FAREWELL: Final = 1.0
"""Seconds that a side that was refused gets to read the alert."""
_LATE: Final = 1.0
"""Seconds; a timer that is later than this shows that the event loop was blocked."""


class Secured(asyncio.Protocol):
    """The protocol of a connection that is to have TLS: makes the handshake, then hands over to another protocol.

    Args:
        context: of this connection. It is used for nothing else than to begin the handshake, and may be replaced then.
        made: makes the protocol, when the handshake is over; gets the name of what both sides speak, or None.
        server_side: whether this is the server.
        server_hostname: what the client expects the certificate to be for, if its context checks that.
        patience: seconds that the handshake may take.
        refused: gets the reason if the handshake fails, or the other side refuses the connection afterwards.
        needed: the name of what both sides must speak (ALPN); None to take whatever they agree on.
        turns: when steps of the handshake are taken; None for at once.
        first: bytes that have come before this protocol had the connection.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        made: Callable[[str | None], asyncio.Protocol],
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        patience: float,
        refused: Callable[[str], object],
        needed: str | None = None,
        turns: Turns | None = None,
        first: bytes = b"",
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: ssl.SSLObject = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._server_side = server_side
        self._made = made
        self._patience = patience
        self._refused = refused
        self._needed = needed
        self._turns = turns
        self._rest = first
        """What has come and waits to be handed to OpenSSL, until the handshake is over."""
        self._raw: asyncio.Transport | None = None
        self._protocol: asyncio.Protocol | None = None
        self._transport: SecureTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._left = False
        """Whether our half has ended, and the other side only gets to read what was sent."""
        self._queued = False
        """Whether a step of the handshake will be taken."""
        self._over = False
        """Whether nothing that comes is looked at any more."""
        self._barren = 0
        """Bytes that have come after the handshake since there was data for the protocol."""

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the handshake."""
        self._raw = cast("asyncio.Transport", transport)
        self._wait(self._patience)
        self._step_soon()

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        if self._over:
            return
        if self._protocol is None:
            self._rest += data
            self._step_soon()
        else:
            self._barren += len(data)
            self._read(data)

    def eof_received(self) -> bool:
        """Has the connection end: what follows close_notify is nothing, and without it nothing more can be trusted."""
        if self._protocol is not None and not self._over:
            self._protocol.eof_received()
        return False

    def pause_writing(self) -> None:
        """Tells the protocol."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Tells the protocol."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the protocol, or the handshake."""
        self._stop_timer()
        self._raw = None
        over, self._over = self._over, True
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(cast("Exception | None", exc))
        elif not over:
            self._refused("it hung up during the TLS handshake; does it speak TLS?")

    # The handshake

    def _step_soon(self) -> None:
        if self._turns is None:
            self._step()
        elif not self._queued and self._raw is not None and not self._raw.is_closing():
            self._queued = True
            self._raw.pause_reading()
            self._turns.add(self._step)

    def _step(self) -> None:
        """Goes on with the handshake, as far as what has come allows."""
        queued, self._queued = self._queued, False
        if self._over or self._raw is None or self._raw.is_closing():
            return
        if queued:
            self._raw.resume_reading()
        while True:
            self._incoming.write(self._rest[:_PIECE])
            self._rest = self._rest[_PIECE:]
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                if self._rest:
                    continue
                self._send()
                return
            except (ssl.SSLError, OSError, ValueError) as error:
                self._refuse(error)
                return
            self._send()
            self._begin()
            return

    def _begin(self) -> None:
        """Hands over to the protocol."""
        self._stop_timer()
        raw, spoken = self._raw, self.tls.selected_alpn_protocol()
        if raw is None:
            return
        if self._needed is not None and spoken != self._needed:
            self._leave_out(raw, f"it does not agree on {self._needed} (ALPN)")
            return
        if self._server_side and self.tls.session_reused:
            self._leave_out(
                raw, "it resumed a TLS session; this server takes only full handshakes, which check certificates"
            )
            return
        self._protocol = self._made(spoken)
        self._transport = SecureTransport(self, raw)
        self._protocol.connection_made(self._transport)
        rest, self._rest = self._rest, b""
        self._read(rest)

    def _leave_out(self, raw: asyncio.Transport, reason: str) -> None:
        """Ends a connection whose handshake succeeded, but which is not acceptable; reports why."""
        self._over = True
        self._refused(reason)
        self.say_goodbye()
        raw.close()

    def _refuse(self, error: Exception) -> None:
        """Ends the connection: sends the alert, and lets the other side read it."""
        self._over = True
        self._stop_timer()
        self._send()
        self._refused(reason_of(error))
        self.leave()

    def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_at(self._due, self._too_late)

    def _too_late(self) -> None:
        if self._protocol is None and not self._over:
            if asyncio.get_running_loop().time() > self._due + _LATE:
                self._wait(_LATE)  # This event loop was blocked, and may not have read what came.
                return
            self._over = True
            self._refused(f"the TLS handshake was not over within {self._patience:g} s")
            self.cut()

    # The connection

    def _read(self, data: bytes = b"") -> None:
        """Decrypts all that has come, and hands it over."""
        parts: list[bytes] = []
        ended = False
        failure: Exception | None = None
        tls, incoming = self.tls, self._incoming
        position, size = 0, len(data)
        try:
            while not ended:
                if size <= _PIECE:
                    incoming.write(data)
                else:
                    incoming.write(data[position : position + _PIECE])
                try:
                    while incoming.pending or tls.pending():
                        plain = tls.read(_RECORD)
                        if not plain:
                            ended = True
                            break
                        parts.append(plain)
                except ssl.SSLWantReadError:
                    pass
                position += _PIECE
                if position >= size:
                    break
        except ssl.SSLZeroReturnError:
            ended = True
        except (ssl.SSLError, OSError, ValueError) as error:
            failure = error
        if self._outgoing.pending:
            self._send()
        protocol = self._protocol
        if parts:
            self._barren = 0
        elif self._barren > _BARREN and failure is None:
            failure = ConnectionError("much comes by TLS, and there is nothing in it")
        if parts and protocol is not None:
            protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if failure is not None:
            self.fail(failure)
        elif ended and self._protocol is not None and not self._over:
            self._over = True
            self._protocol.eof_received()
            if self._transport is not None:
                self._transport.close()

    def fail(self, error: Exception) -> None:
        """Ends the connection, because the other side has refused it, or what came cannot be decrypted."""
        self._over = True
        self._refused(reason_of(error))
        self.leave()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts data, and writes it."""
        raw = self._raw
        if raw is None or raw.is_closing() or self._left or not data:
            return
        size = len(data)
        try:
            if size <= _PIECE:
                self.tls.write(data)
                raw.write(self._outgoing.read())
                return
            view, parts = memoryview(data), list[bytes]()
            for start in range(0, size, _PIECE):
                self.tls.write(view[start : start + _PIECE])
                parts.append(self._outgoing.read())
        except (ssl.SSLError, OSError, ValueError) as error:
            if not self._over:
                self.fail(error)
            return
        raw.writelines(parts)

    def say_goodbye(self) -> None:
        """Says that nothing more is sent (close_notify)."""
        # The answer is not awaited; a handshake that is not over has nothing to end.
        with suppress(ssl.SSLError, OSError, ValueError):
            self.tls.unwrap()
        self._send()

    def leave(self) -> None:
        """Ends our half, and throws away what comes, so that the other side can read what was sent last."""
        raw = self._raw
        if raw is None or raw.is_closing():
            return
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL, self.cut)
        self._left = True
        try:
            raw.write_eof()
        except (OSError, NotImplementedError):
            raw.abort()

    def cut(self) -> None:
        """Closes without waiting for anything."""
        self._over = True
        if self._raw is not None:
            self._raw.abort()

    def stop_looking(self) -> None:
        """Throws away what comes from now on."""
        self._over = True

    def hand_to(self, protocol: asyncio.Protocol) -> None:
        """Has another protocol take what comes."""
        self._protocol = protocol

    @property
    def left(self) -> bool:
        """Whether nothing more can be written, because the connection was refused."""
        return self._left

    @property
    def protocol(self) -> asyncio.Protocol | None:
        """What takes what comes."""
        return self._protocol

    def _send(self) -> None:
        raw = self._raw
        data = self._outgoing.read()
        if data and raw is not None and not raw.is_closing() and not self._left:
            raw.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SecureTransport(asyncio.Transport):
    """What a protocol writes to on a connection with TLS."""

    def __init__(self, secured: Secured, raw: asyncio.Transport) -> None:
        super().__init__()
        self._secured, self._raw = secured, raw
        self._closing = False
        self._ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns ``"ssl_object"``, or what the transport below has."""
        if name == "ssl_object":
            return self._secured.tls
        return self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts data, and writes it."""
        if not self._closing and not self._ended:
            self._secured.write(data)

    def can_write_eof(self) -> bool:
        """It can: close_notify ends one half."""
        return True

    def write_eof(self) -> None:
        """Ends our half. What still comes is thrown away."""
        if not self._closing and not self._ended:
            self._ended = True
            self._secured.say_goodbye()
            self._secured.stop_looking()
            if not self._raw.is_closing():
                self._raw.write_eof()

    def close(self) -> None:
        """Sends what is written and close_notify, and closes."""
        if not self._closing:
            self._closing = True
            if not self._ended:
                self._secured.say_goodbye()
            self._secured.stop_looking()
            self._raw.close()

    def abort(self) -> None:
        """Closes without waiting for anything."""
        self._closing = True
        self._secured.cut()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing or self._secured.left or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Takes nothing more from the other side."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Takes back ``pause_reading``."""
        self._raw.resume_reading()

    def is_reading(self) -> bool:
        """Whether it takes what comes."""
        return self._raw.is_reading()

    def get_write_buffer_size(self) -> int:
        """Returns the bytes that wait to be sent, encrypted."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Returns the limits of the transport below."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Sets the limits of the transport below."""
        self._raw.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Has another protocol take what comes."""
        self._secured.hand_to(cast("asyncio.Protocol", protocol))

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Returns what takes what comes."""
        return cast("asyncio.BaseProtocol", self._secured.protocol)


class Turns:
    """Steps of handshakes that wait, and are taken a few at a time: those of one port."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def add(self, step: Callable[[], None]) -> None:
        """Takes a step as soon as it is its turn."""
        self._waiting.append(step)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._take)

    def _take(self) -> None:
        waiting = self._waiting
        try:
            for _ in range(min(_STEPS, len(waiting))):
                waiting.popleft()()
        finally:
            self._scheduled = bool(waiting)
            if waiting:
                self._loop.call_soon(self._take)
