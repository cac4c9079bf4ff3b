"""One source of a config: opened, read, watched, and tried again when it fails.

- Each source has a task of its own, so a source that hangs or fails stops no other.
- It is watched before it is read. Each report has it read again; several reports during a read have it read once more.
- Opening and reading have a bound of time. What fails is tried again after a pause, which grows, and at once when a watch reports.
- A watch that compares what it sees with what it saw last does not know what was read meanwhile. If that changes back before the
  watch has looked, it reports nothing. So new settings are read once more a while later.
- What it raises is shown as far as it is a ``micro.Error``. The text of any other exception may repeat a value.
- A problem is logged once, not at each try; and again when it is another one, or when the source was in order meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from micro_rt.config.base import AnySource, Reading, Source, Tree
from micro_rt.config.layers import Layer, Rules, layer_of
from micro_rt.config.memory import Memory
from micro_rt.errors import Code, Error
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.clock import local_time
from micro_rt.kit.secrets import scrubbed
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.logs import logger
from micro_rt.text import printable

__all__ = ["Feed", "SourceStatus", "checked_source"]

FIRST_PAUSE = 0.5
"""Seconds before what failed is tried again the first time, at most."""
LONGEST_PAUSE = 30.0
"""Seconds before what fails again and again is tried, at most."""
LOOK_AGAIN = 3.0
"""Seconds after which new settings are read once more."""
CLOSING = 5.0
"""Seconds that a source has to close."""

_log = logger("micro_rt.config")

_LONGEST = 1000
"""Characters of a problem."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source of a config is."""

    source: str
    """Its name."""
    state: Literal["ok", "stale"]
    """``"stale"`` if its last update could not be used, so that the one before it counts; of an optional source that never could be
    read, nothing counts."""
    since: datetime | None = None
    """When it became stale."""
    error: str = ""
    """Why it is stale: paths, places and expected types, and no value."""


class Feed:
    """The settings of one source, as they come.

    Args:
        source: where they come from.
        timeout: seconds that the source has to open, and to be read.
        arrived: called when there is something new in ``pending``.

    Attributes:
        accepted: what counts; None if nothing does yet.
        pending: what was read later, and does not count yet; None if nothing was.
    """

    def __init__(self, source: Source | AnySource, timeout: float, arrived: Callable[[], None]) -> None:
        self.accepted: Layer | None = None
        self.pending: Layer | None = None
        self.optional = bool(getattr(source, "optional", False))
        self._rules = Rules(
            source=_shown(source.name),
            text=bool(getattr(source, "text", False)),
            ignores_case=bool(getattr(source, "ignores_case", False)),
            secret=bool(getattr(source, "secret", False)),
        )
        self._source = source
        self._timeout = timeout
        self._arrived = arrived
        self._opened = False
        self._watched = False
        self._changes = True
        self._changed = asyncio.Event()
        self._tasks: TaskSet[None] = TaskSet()
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, jitter=0.5)
        self._watch_backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, jitter=0.5)
        self._failing = False
        self._error = ""
        self._since: datetime | None = None
        self._refused: Layer | None = None

    @property
    def name(self) -> str:
        """The name of the source."""
        return self._rules.source

    @property
    def status(self) -> SourceStatus:
        """How it is."""
        return SourceStatus(self.name, "stale" if self._error else "ok", self._since, self._error)

    async def start(self) -> None:
        """Opens the source and reads it the first time.

        Raises:
            Error: it cannot be opened or read, or what it holds makes no sense; not raised for an optional source.
        """
        try:
            self.pending = await self._read()
        except Error as error:
            if not self.optional:
                raise
            self._fail(error.message)

    def follow(self) -> None:
        """Begins to read it again when it changes, and while it fails."""
        if self._failing or self._watched:
            self._tasks.start(self._follow(), name=f"config {self.name}")

    async def close(self) -> None:
        """Ends everything and closes the source."""
        await self._tasks.end()
        await self._close_source()

    def accept(self) -> None:
        """Has what is pending count."""
        if self.pending is not None:
            self.accepted, self.pending = self.pending, None
            self._good()

    def refuse(self, problem: str) -> None:
        """Says why what is pending does not count."""
        if self._refused is None or self.pending is None or not self._refused.is_same(self.pending):
            self._error = ""  # Something else is wrong in the same words.
        self._refused = self.pending
        self._stale(problem)

    async def _follow(self) -> None:
        while True:
            if self._failing:
                await wait_for_event(self._changed, self._backoff.failed())
            else:
                await self._changed.wait()
            self._changed.clear()
            try:
                layer = await self._read()
            except Error as error:
                self.pending = None
                self._fail(error.message)
                continue
            self._failing = False
            self._backoff.succeeded()
            new = self._offer(layer)
            if not self._changes:
                return
            if new:
                asyncio.get_running_loop().call_later(LOOK_AGAIN, self._changed.set)

    def _offer(self, layer: Layer) -> bool:
        """Has settings used, and returns whether they are others than those that were read last."""
        if self.accepted is not None and self.accepted.is_same(layer):
            new = bool(self._error)
            self.pending = None
            self._good()
            return new
        if self.pending is not None and self.pending.is_same(layer):
            return False
        self.pending = layer
        self._arrived()
        return True

    async def _read(self) -> Layer:
        """Opens and watches the source unless that is done, and reads it.

        Raises:
            Error: one of these fails.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if not self._opened:
                    await self._open_source()
                    self._opened = True
                self._watch()
                await asyncio.sleep(0)  # The watch begins before the source is read.
                # No variable of this frame has a value in it: some tools show those of every frame.
                return layer_of(_reading(await self._source.read()), self._rules)
        except Error as error:
            problem, code = error.message, error.code
        except TimeoutError:
            problem = f"it has not answered within {self._timeout:g} s: start it, or name another one"
            code = Code.UNAVAILABLE
        except Exception as error:  # Of a source that others have written.
            problem, code = f"it failed with {type(error).__name__}", Code.UNAVAILABLE
        if not self._opened:
            await self._close_source()
        problem = self._scrubbed(problem)
        raise Error.of(code, problem if self.name in problem else f"{self.name}: {problem}", id="micro.config")

    def _scrubbed(self, problem: str) -> str:
        """Returns the message of a source without the secrets of addresses; the name of the source has none."""
        return _shown(self.name.join(scrubbed(part) for part in problem.split(self.name)))

    def _watch(self) -> None:
        if not self._watched:
            watch: AsyncIterator[None] | None = getattr(self._source, "watch", lambda: None)()
            self._changes = watch is not None
            if watch is not None:
                self._watched = True
                self._tasks.start(self._pump(watch), name=f"watch of config {self.name}")

    async def _pump(self, watch: AsyncIterator[None]) -> None:
        problem = "its watch has ended"
        try:
            async for _ in watch:
                self._watch_backoff.succeeded()
                self._changed.set()
        except Error as error:
            problem = f"its watch has ended: {self._scrubbed(error.message)}"
        except Exception as error:  # Of a source that others have written.
            problem = f"its watch has ended with {type(error).__name__}"
        self._stale(f"{self.name}: {problem}")
        # A watch that ends at once must not be begun all the time.
        await asyncio.sleep(self._watch_backoff.failed())
        self._watched = False
        self._changed.set()

    async def _open_source(self) -> None:
        opening = getattr(self._source, "open", None)
        if opening is not None:
            await opening()

    async def _close_source(self) -> None:
        self._opened = False
        closing = getattr(self._source, "close", None)
        if closing is not None:
            with contextlib.suppress(Exception):  # It may be of others, and nothing depends on it any more.
                async with asyncio.timeout(CLOSING):
                    await closing()

    def _fail(self, problem: str) -> None:
        self._failing = True
        self._refused = None
        self._stale(problem)

    def _stale(self, problem: str) -> None:
        problem = _shown(problem)
        if problem == self._error:
            return
        self._error = problem
        self._since = self._since or local_time()
        counts = "the last good one counts" if self.accepted is not None else "nothing of it counts"
        _log.warning("an update of the configuration is not used, %s: %s", counts, problem)

    def _good(self) -> None:
        self._refused = None
        if self._error:
            self._error, self._since = "", None
            _log.info("the configuration of %s is used again", self.name)


def checked_source(source: object) -> Source | AnySource:
    """Returns a source that a program gave: a source, an object with ``name`` and ``read``, or a mapping.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(source, Mapping):
        return Memory(cast("Mapping[str, Any]", source), name="mapping")
    if not isinstance(getattr(source, "name", None), str) or not callable(getattr(source, "read", None)):
        raise TypeError(
            f"a source of a config is a mapping, or an object with a name and read(), not a {type(source).__name__}; "
            "only Service(config=…) takes addresses"
        )
    return cast("Source | AnySource", source)


def _reading(found: Reading | Tree) -> Reading:
    return found if isinstance(found, Reading) else Reading(found)


def _shown(text: str) -> str:
    return printable(" ".join(text.split()), _LONGEST)
