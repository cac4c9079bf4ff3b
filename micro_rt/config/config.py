"""Settings from several sources, as one.

- Sources are read, checked (``layers.py``), merged (``merging.py``) and converted for every bind, and only then does one assignment make
  the result the present snapshot. Readers take no lock, in any thread, and see all of one revision.
- An update that fails in any of these steps changes nothing. The last good settings of its source stay, and the updates of other
  sources are used. ``status`` and one line in the log say what is wrong. What was refused is tried again whenever another source changes.
- What ``get`` has returned is converted again before an update is used, as binds are. So a setting that was a number does not become
  a text under a running program.
- All of it is built anew each time. Nothing of an old revision is left in a new one.
- No message has a value in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from micro_rt.config.base import AnySource, Path, Reading, Source, Tree, Value
from micro_rt.config.feed import Feed, SourceStatus, checked_source
from micro_rt.config.layers import Layer, Rules, layer_of
from micro_rt.config.live import Changes, Live
from micro_rt.config.merging import merged
from micro_rt.config.paths import AnyPath, path_of
from micro_rt.config.plans import Plan, plan_of
from micro_rt.config.showing import Setting, Shown
from micro_rt.config.snapshot import MISSING, UNREAD, Bound, Present, Snapshot, Unknown
from micro_rt.errors import Error

__all__ = ["Config"]

T = TypeVar("T")
D = TypeVar("D")

TIMEOUT = 10.0
"""Seconds that a source has to open, and to be read."""


class Config:
    """Settings from several sources, merged, typed and reloaded while the program runs.

        config = await micro.Config.open([Memory({"limits": {"rps": 10}}), Env("APP")], defaults={"name": "shop"})
        config.get("limits.rps", int)
        limits = config.bind("limits", Limits)

    Mappings merge, everything else of a later source replaces what earlier ones say, and a null deletes it.

    Args:
        sources: the first counts least: sources, objects with a ``name`` and ``read()``, or mappings.
        defaults: what counts where no source says anything.
        timeout: seconds that each source has to open, and to be read.

    Raises:
        TypeError: something in ``sources`` is no source.
        ValueError: ``timeout`` is not greater than 0.
    """

    def __init__(
        self,
        sources: Iterable[Source | AnySource | Tree] = (),
        *,
        defaults: Mapping[str, Value] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds greater than 0, not {timeout!r}")
        if isinstance(sources, str | Mapping):
            raise TypeError("the sources of a config are a list, with the one that counts least first")
        self._sources = [checked_source(source) for source in sources]
        self._defaults = defaults or {}
        self._timeout = timeout
        self._feeds: list[Feed] = []
        self._default_layer: Layer | None = None
        self._present = Present(Snapshot(merged([]), 0))
        self._values = self._snapshot.values
        """Those of the present snapshot, for ``get`` alone: every look-up of an attribute counts there."""
        self._bounds: dict[tuple[Path, Any, Unknown], Bound] = {}
        self._plans: dict[tuple[Any, Unknown], Plan] = {}
        self._secrets: set[Path] = set()
        self._changed = asyncio.Event()
        self._is_open = False

    def __repr__(self) -> str:
        return f"<Config of {len(self._sources)} sources, revision {self.revision}>"

    @classmethod
    async def open(
        cls,
        sources: Iterable[Source | AnySource | Tree] = (),
        *,
        defaults: Mapping[str, Value] | None = None,
        timeout: float = TIMEOUT,
    ) -> Self:
        """Returns an open config; the arguments are those of the class.

        Raises:
            Error: a source that is not optional cannot be read, or the sources contradict each other; the message names the source.
            TypeError: something in ``sources`` is no source.
            ValueError: ``timeout`` is not greater than 0.
        """
        config = cls(sources, defaults=defaults, timeout=timeout)
        del (
            sources,
            defaults,
        )  # Some tools show the variables of every frame of an error, and these have values in them.
        return await config.__aenter__()

    async def __aenter__(self) -> Self:
        if self._is_open:
            return self
        self._is_open = True
        self._changed = asyncio.Event()
        self._default_layer = layer_of(Reading(self._defaults), Rules("defaults", interpolated=False))
        self._feeds = [Feed(source, self._timeout, self._settle) for source in self._sources]
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every watch and closes every source; what was read last can still be read. Does nothing if it is closed."""
        self._is_open = False
        feeds, self._feeds = self._feeds, []
        try:
            await asyncio.gather(*(feed.close() for feed in feeds))
        finally:
            self._changed.set()

    # Reading

    @overload
    def get(self, path: AnyPath) -> Any: ...
    @overload
    def get(self, path: AnyPath, type: type[T]) -> T: ...
    @overload
    def get(self, path: AnyPath, type: type[T], default: D) -> T | D: ...
    @overload
    def get(self, path: AnyPath, *, default: Any) -> Any: ...
    @overload
    def get(self, path: AnyPath, type: Any, default: Any = ...) -> Any: ...
    def get(self, path: AnyPath, type: Any = object, default: Any = MISSING) -> Any:
        """Returns a setting; from any thread.

        Args:
            path: ``"limits.rps"``, or the names one by one.
            type: what it is converted to; if left out, it is returned as the source has it.
            default: what is returned if nothing is there; without it, that is an error, unless the type has an own answer:
                a union with None, or a dataclass whose fields all have defaults.

        Raises:
            FailedPrecondition: it is missing, or not of the type.
            TypeError: values of the type cannot be read from settings.
            ValueError: the path has an empty name.
        """
        try:
            value = self._values[type][path]
            if value is not MISSING:
                return value
            if default is not MISSING:
                return default
        except KeyError:
            value = UNREAD
        # Not in the block above, which would make a KeyError the context of every error.
        if value is UNREAD:
            value = self._snapshot.read(path, self._bound(path, type))
        if value is MISSING:
            return default if default is not MISSING else self._snapshot.missing(self._bound(path, type))
        return value

    def bind(self, path: AnyPath, kind: type[T], *, unknown: Unknown = "error") -> Live[T]:
        """Returns the settings of a path as a frozen dataclass that follows every update.

        An update that does not fit the dataclass is refused as a whole, and reported; the last good one stays.

        Args:
            path: where its fields are; empty for all settings.
            kind: the dataclass; its fields may be dataclasses, lists, tuples, dicts, ``Secret[…]`` and so on.
            unknown: ``"ignore"`` allows names that the dataclass does not have. Otherwise they are errors that name the nearest one.

        Raises:
            FailedPrecondition: the present settings do not fit; the message lists all that is wrong, with its places.
            TypeError: it is no frozen dataclass, or a field has a type that cannot be read from settings.
            ValueError: the path has an empty name.
        """
        if unknown not in ("error", "ignore"):
            raise ValueError(f'unknown={unknown!r}: it is "error" or "ignore"')
        key = path_of(path), kind, unknown
        bound = self._bounds.get(key)
        if bound is None:
            bound = self._bound(*key)
            self._snapshot.bound[bound] = self._snapshot.make(bound)
            self._bounds[key] = bound
        return Live(bound, self._present)

    def watch(self, path: AnyPath = "") -> Changes:
        """Returns an iterator of the changes of a path from now on, in the loop that the config was opened in.

        It ends when the config is closed. A consumer that is slower than the changes gets the newest state, not all of them.

        Args:
            path: what is watched, with all that is below it; empty for all settings.

        Raises:
            ValueError: the path has an empty name.
        """
        return Changes(path_of(path), self._present, self._until_changed)

    @property
    def is_open(self) -> bool:
        """Whether it follows its sources."""
        return self._is_open

    @property
    def revision(self) -> int:
        """The number of the present settings: 1 at first, and one more each time that any of them changes."""
        return self._snapshot.revision

    # Looking at it

    def explain(self, path: AnyPath = "") -> list[Setting]:
        """Returns what every source says of a path and of what is below it, the source that counts least first.

        Secrets are shown as ``***``.

        Raises:
            ValueError: the path has an empty name.
        """
        snapshot = self._snapshot
        _, there = snapshot.find(path_of(path))
        return list(Shown(snapshot.merged, frozenset(self._secrets)).explain(there))

    def dump(self) -> list[Setting]:
        """Returns every setting with its value and where that comes from. Secrets are shown as ``***``."""
        return list(Shown(self._snapshot.merged, frozenset(self._secrets)).winners())

    @property
    def status(self) -> Sequence[SourceStatus]:
        """How each source is, in their order."""
        return [feed.status for feed in self._feeds]

    @property
    def problem(self) -> str:
        """What keeps it from having the present settings; empty if nothing does."""
        return "; ".join(status.error for status in self.status if status.error)

    @property
    def _snapshot(self) -> Snapshot:
        return self._present.snapshot

    # Updating

    async def _start(self) -> None:
        outcomes = await asyncio.gather(*(feed.start() for feed in self._feeds), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        required = [feed for feed in self._feeds if not feed.optional]
        snapshot = self._candidate(required)
        for feed in required:
            feed.accept()
        self._use(snapshot)
        self._settle()
        for feed in self._feeds:
            feed.follow()

    def _settle(self) -> None:
        """Uses what is pending: all of it if it fits together, else what fits, source by source."""
        pending = [feed for feed in self._feeds if feed.pending is not None]
        if len(pending) > 1 and self._try(pending, report=False):
            return
        progress = True
        while progress:
            progress = False
            for feed in pending:
                if feed.pending is not None and self._try([feed], report=True):
                    progress = True

    def _try(self, feeds: Sequence[Feed], *, report: bool) -> bool:
        """Uses what is pending of some sources, and returns whether it fits."""
        try:
            snapshot = self._candidate(feeds)
        except Error as error:
            problem = error.message
        else:
            for feed in feeds:
                feed.accept()
            self._use(snapshot)
            return True
        if report:
            for feed in feeds:
                feed.refuse(problem if feed.name in problem else f"{feed.name}: {problem}")
        return False

    def _candidate(self, feeds: Sequence[Feed]) -> Snapshot:
        """Returns the settings with what is pending of some sources, converted for all who have read them.

        Raises:
            FailedPrecondition: it does not fit.
        """
        layers = [] if self._default_layer is None else [self._default_layer]
        for feed in self._feeds:
            layer = feed.pending if feed in feeds and feed.pending is not None else feed.accepted
            layers.append(layer if layer is not None else Layer(Rules(feed.name), {}, {}))
        now = self._snapshot
        snapshot = Snapshot(merged(layers), now.revision)
        if not snapshot.is_same(now) or not now.revision:
            snapshot.revision += 1
        for bound in self._bounds.values():
            snapshot.bound[bound] = snapshot.make(bound)
        for kind, values in list(now.values.items()):
            for path, value in list(values.items()):
                if value is not MISSING:
                    snapshot.read(path, self._bound(path, kind))
        return snapshot

    def _use(self, snapshot: Snapshot) -> None:
        self._present.snapshot, self._values = snapshot, snapshot.values
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until_changed(self) -> bool:
        """Waits until there are other settings; returns False if the config is closed instead."""
        if self._is_open:
            await self._changed.wait()
        return self._is_open

    def _bound(self, path: AnyPath, kind: Any, unknown: Unknown = "error") -> Bound:
        plan = self._plans.get((kind, unknown))
        if plan is None:
            plan = self._plans[kind, unknown] = plan_of(kind, unknown=unknown)
        bound = Bound(path_of(path), kind, plan)
        if plan.secrets:
            self._secrets.update(bound.secrets())
        return bound
