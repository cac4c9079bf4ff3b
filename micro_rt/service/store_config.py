"""The source of configuration ``store:app/settings.json``: one record of a store, read and watched.

- A record is written at once, so a reading never has one half of an update. Settings in several records could not promise that.
- It is here because it needs two parts: the store and config.
- The store is that of ``MICRO_STORE``, or ``local:``. What the config itself says of the store of its service comes too late for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from micro_rt.config.base import Reading, Source
from micro_rt.config.files.merge import MISSING, UNREADABLE, merged, parsed
from micro_rt.config.reports import Reports
from micro_rt.errors import Error, FailedPrecondition, NotFound
from micro_rt.kit.address import Options, flag
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.service.parts import part_of
from micro_rt.store.base import ChangeKind, StoreEngine
from micro_rt.store.store import Store
from micro_rt.text import printable

__all__ = ["StoreConfig"]

_FORMATS = ("json", "toml", "yaml")
_AGAIN = 1.0
"""Seconds until a watch that has failed begins again."""
_log = logger("micro_rt.config")


class StoreConfig(Source):
    """Reads settings from one record of a store: a text of JSON, TOML or YAML, as in a file.

    Args:
        address: ``"store:app/settings.json"``; the key says the format, or ``format=json``, ``toml`` or ``yaml`` after a question mark
            does. ``optional=true``: a missing record is an empty one. ``secret=true``: no value is ever shown.
        store: address or object of the store; else ``MICRO_STORE``, else ``"local:"``.

    Raises:
        ValueError: it is no such address.
    """

    def __init__(self, address: str, *, store: str | StoreEngine | None = None) -> None:
        key, _, query = address.removeprefix("store:").partition("?")
        if not address.startswith("store:") or not key:
            raise ValueError("store: takes the key of a record: store:app/settings.json")
        options = Options(query)
        self.optional = options.read("optional", flag, False)
        self.secret = options.read("secret", flag, False)
        self._format = options.one_of("format", _FORMATS, "")
        options.end()
        self._key = key
        self._given = store
        self._engine: StoreEngine | None = None
        self._reports = Reports()
        self._tasks = TaskSet[None]()

    @property
    def name(self) -> str:
        """Its address, without options."""
        return f"store:{printable(self._key, 200)}"

    async def open(self) -> None:
        """Opens the store.

        Raises:
            Unavailable: it cannot be reached.
            FailedPrecondition: it cannot be used.
        """
        engine: StoreEngine = part_of("store", self._given, StoreEngine)
        await engine.open()
        self._engine = engine

    async def close(self) -> None:
        """Ends every watch and closes the store."""
        self._reports.end()
        await self._tasks.end()
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.close()

    async def read(self) -> Reading:
        """Returns what the record says.

        Raises:
            NotFound: there is no such record.
            Unavailable: the store does not answer in time.
            FailedPrecondition: the record makes no sense.
        """
        try:
            record = await self._store().read(self._key)
        except NotFound:
            problem = f"{self.name}: there is no such record; write it, or add ?optional=true to the address"
        else:
            return merged([parsed(self.name, self._key, record.value, self._format)])
        raise NotFound(problem, id=MISSING)

    def watch(self) -> AsyncIterator[None]:
        """Gives an item when it begins, and after each change."""
        store = self._store()
        if not self._tasks:
            self._tasks.start(self._follow(store), name=f"watch {self.name}")
        return self._reports.watch()

    def _store(self) -> Store:
        engine = self._engine
        if engine is None:
            raise FailedPrecondition(f"the source {self.name} is not open", id=UNREADABLE)

        async def opened() -> StoreEngine:
            return engine

        return Store(opened, lambda: engine)

    async def _follow(self, store: Store) -> None:
        told = False
        while True:
            try:
                async with store.watch(self._key) as changes:
                    self._reports.changed()  # It may have changed before the watch began.
                    told = False
                    async for change in changes:
                        if change.key == self._key or change.kind is ChangeKind.RESYNC:
                            self._reports.changed()
            except Error as error:
                if not told:
                    _log.warning("cannot watch %s, and will try again: %s", self.name, error.message)
                told = True
            await asyncio.sleep(_AGAIN)
