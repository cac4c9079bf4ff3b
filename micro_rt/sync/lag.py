"""A warning while an event loop that holds locks is blocked, since nothing renews them meanwhile.

A thread looks on, because the loop cannot. It runs while something is held, and ends by itself.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback

from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger
from micro_rt.text import printable

__all__ = ["LagWatch"]

_LOOKS = 4
"""How often it looks in the time that a loop may be blocked."""

_IDLE = 1.0
"""Seconds for which it waits for another lock, when nothing is held any more."""

_log = logger("micro_rt.sync")


class LagWatch:
    """Watches one event loop while locks are held in it."""

    def __init__(self) -> None:
        self._limits: dict[str, list[float]] = {}
        """By lock, the seconds for which the loop may be blocked; one entry for each that is held."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._beat = 0.0
        self._waits = 0.0
        """Seconds for which the thread waits until it looks again."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def enter(self, what: str, seconds: float) -> None:
        """Watches on behalf of a lock.

        Args:
            what: is held.
            seconds: for which the loop may be blocked without a warning.
        """
        with self._changed:
            self._limits.setdefault(what, []).append(seconds)
            self._loop = asyncio.get_running_loop()
            self._loop_thread = threading.get_ident()
            self._beat = monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="micro-rt watches the loop", daemon=True)
                self._thread.start()
            elif seconds / _LOOKS < self._waits:  # Waking it for each lock would cost more than the rest of the lock.
                self._changed.notify()

    def leave(self, what: str) -> None:
        """Ends watching on behalf of a lock."""
        with self._changed:
            limits = self._limits[what]
            limits.pop()
            if not limits:
                del self._limits[what]

    def _watch(self) -> None:
        warned = 0.0
        while True:
            with self._changed:
                if not self._limits:
                    self._waits = _IDLE
                    self._changed.wait(timeout=_IDLE)
                    if not self._limits:
                        self._thread = None
                        return
                limit = min(min(limits) for limits in self._limits.values())
                self._waits = limit / _LOOKS
                begun = monotonic()
                self._changed.wait(timeout=self._waits)
                overslept = monotonic() - begun - self._waits
                loop, beat = self._loop, self._beat
                held = ", ".join(self._limits)
            if loop is None or loop.is_closed():
                with self._changed:
                    self._thread = None
                return
            if not held:
                continue
            late = monotonic() - beat
            if late > limit and beat != warned:
                warned = beat
                if overslept > limit:  # This thread was late as well.
                    _log.warning(
                        "the process has stood still for %.1f s, and could not renew %s", overslept, printable(held)
                    )
                else:
                    _log.warning(
                        "the event loop has been blocked for %.1f s by %s, and cannot renew %s meanwhile: await, or use a thread",
                        late,
                        printable(self._culprit(loop)),
                        printable(held),
                    )
            try:
                loop.call_soon_threadsafe(self._beats)
            except RuntimeError:  # It was closed just now.
                continue

    def _beats(self) -> None:
        self._beat = monotonic()

    def _culprit(self, loop: asyncio.AbstractEventLoop) -> str:
        task = asyncio.current_task(loop)
        name = "a callback" if task is None else f"task {task.get_name()!r}"
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage] - there is no other way
        if frame is None:
            return name
        where = traceback.extract_stack(frame, limit=1)[-1]
        return f"{name} in {where.name} ({where.filename}:{where.lineno})"
