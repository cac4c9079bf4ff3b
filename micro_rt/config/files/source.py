"""The source ``file:``: one file, or the files of a folder, read again when they change.

Files are saved in many ways, and some of them pass through states that nobody means:

- A state counts when two reads, ``SETTLE`` seconds apart, agree. Under changes without end, the state after ``RESTLESS`` seconds counts.
- A file that was emptied or deleted may be one that is being saved: it counts as that for ``PENDING`` seconds. Where all files
  were replaced at once, as by ``..data`` of Kubernetes, nothing is waited for.
- A file that makes no sense may be written halfway: it is read again for ``HALFWAY`` seconds before that is an error.
- The first read waits for nothing that makes sense.
- What could not be read is not remembered. So the completed file is never taken for the one that was seen before.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from micro_rt.config.base import Reading, Source
from micro_rt.config.files.merge import merged, parsed
from micro_rt.config.files.snapshot import Problem, Snapshot, paths_of, take
from micro_rt.errors import Error, FailedPrecondition, Unavailable
from micro_rt.kit.address import Options, flag
from micro_rt.kit.clock import loop_time
from micro_rt.kit.file_watch import FileWatch
from micro_rt.kit.ordered import WeakOrderedSet
from micro_rt.text import printable

__all__ = ["File"]

SETTLE = 0.05
"""Seconds between two reads that must agree."""
RESTLESS = 1.0
"""Seconds after which a state counts although the next one is another."""
HALFWAY = 0.5
"""Seconds for which a file that makes no sense is read again."""
PENDING = 2.0
"""Seconds for which a file that was emptied or deleted counts as one that is being saved."""
PATIENCE = 30.0
"""Seconds that the file system has for one read."""

_SHOWN = 200
_FORMATS = ("json", "toml", "yaml")


class File(Source):
    """Reads settings from a JSON, TOML or YAML file, or from all such files of a folder.

    The files of a folder are merged in the order of their names, a later one over the earlier ones. Reading YAML needs the extra
    ``[yaml]``. With the extra ``[watch]``, changes are reported by the system; without it, files are polled ten times a second.

    Args:
        address: ``"file:conf/app.yaml"``, ``"file:conf/"``; the same without ``file:``. A relative path begins at the working
            directory when the source is opened, and ``~`` is the home folder. After a question mark follow ``optional=true``
            (a missing file is an empty one), ``secret=true`` (no value is ever shown) and ``format=json``, ``toml`` or ``yaml``
            for a file whose name does not end with its format. ``%`` in a path is written ``%25``, and a question mark ``%3F``.

    Raises:
        ValueError: it is no such address.
    """

    def __init__(self, address: str | Path) -> None:
        text = str(address)
        is_path = isinstance(address, Path) or not text.startswith("file:")
        path, _, query = (text, "", "") if isinstance(address, Path) else text.partition("?")
        if not is_path:
            path = path.removeprefix("file:")
            if path.startswith("//") and not path.startswith("///"):
                raise ValueError("file: takes a path and no host: file:conf/app.yaml, or file:/etc/app.yaml")
        path = path if isinstance(address, Path) else unquote(path)
        if not path or "\0" in path:
            raise ValueError("file: takes a path: file:conf/app.yaml, or file:conf/ for all files of a folder")
        self._given = path
        self._folder = path.endswith(("/", os.sep))
        options = Options(query)
        try:
            self.optional = options.read("optional", flag, False)
            self.secret = options.read("secret", flag, False)
            self._format = options.one_of("format", _FORMATS, "")
            options.end()
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        self._path = ""
        self._known: _Known | None = None
        self._turn = asyncio.Lock()
        self._watches = WeakOrderedSet[FileWatch]()

    @property
    def name(self) -> str:
        """Its address, without options."""
        return f"file:{printable(self._given, _SHOWN)}"

    async def open(self) -> None:
        """Finds out where the path leads: relative to the working directory of this moment."""
        self._path = _absolute(self._given)
        self._known = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Ends every watch."""
        self._path = ""
        watches, self._watches = list(self._watches), WeakOrderedSet[FileWatch]()
        for watch in watches:
            await watch.aclose()

    async def read(self) -> Reading:
        """Returns what the file says, or the files of the folder.

        It takes 50 ms if that is another than last time, and up to 2 s while a file seems to be in the middle of being saved.

        Raises:
            NotFound: there is no such file.
            FailedPrecondition: it makes no sense, or is too large; the message says in which line, and shows no value. Or it is
                YAML, and the extra ``[yaml]`` is not installed.
            Unavailable: the system refuses to read it.
        """
        path = self._opened()
        async with self._turn:
            snapshot = await self._take(path)
            if self._known is not None and snapshot == self._known.snapshot:
                return self._known.reading
            if self._known is None:
                try:
                    return await self._understood(snapshot)
                except Error:
                    pass  # It may be written at this very moment.
            return await self._settled(path, snapshot)

    def watch(self) -> AsyncIterator[None]:
        """Gives an item when it begins, and whenever the content is another than before."""
        path, folder = self._opened(), self._folder
        watch = FileWatch(self.name, lambda: paths_of(path), lambda: take(path, folder=folder).digest)
        self._watches.add(watch)
        return watch

    def _opened(self) -> str:
        if not self._path:
            raise FailedPrecondition(f"the source {self.name} is not open")
        return self._path

    async def _take(self, path: str) -> Snapshot:
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.to_thread(take, path, folder=self._folder)
        except TimeoutError:
            raise Unavailable(
                f"{self.name} cannot be read: its file system has not answered for {PATIENCE:g} s"
            ) from None

    async def _settled(self, path: str, snapshot: Snapshot) -> Reading:
        """Reads until nothing changes any more."""
        began = loop_time()
        failed: tuple[Snapshot, Error] | None = None
        while True:
            await asyncio.sleep(SETTLE)
            before, snapshot = snapshot, await self._take(path)
            passed = loop_time() - began
            if (snapshot != before and passed < RESTLESS) or (passed < PENDING and self._pending(snapshot)):
                continue
            if failed is None or failed[0] != snapshot:
                try:
                    return await self._understood(snapshot)
                except Error as error:
                    failed = (snapshot, error)
            if passed >= HALFWAY:
                raise failed[1]

    def _pending(self, snapshot: Snapshot) -> bool:
        """Whether a file was emptied or deleted, and its folder is still the same one."""
        if self._known is None:
            return False
        known = self._known.snapshot
        whole = snapshot.files.get("")
        if not (isinstance(whole, Problem) and whole.missing) and snapshot.place != known.place:
            return False
        return any(
            isinstance(content, bytes) and content.strip() and _is_blank(snapshot.files.get(name))
            for name, content in known.files.items()
        )

    async def _understood(self, snapshot: Snapshot) -> Reading:
        reading = await asyncio.to_thread(self._reading, snapshot)
        self._known = _Known(snapshot, reading)
        return reading

    def _reading(self, snapshot: Snapshot) -> Reading:
        whole = snapshot.files.get("")
        if self.optional and isinstance(whole, Problem) and whole.missing:
            return Reading({})
        places = {name: os.path.join(self._given, name) if name else self._given for name in snapshot.files}  # noqa: PTH118
        return merged(
            [
                parsed(printable(places[name]), name or self._given, each, self._format)
                for name, each in snapshot.files.items()
            ]
        )


def _absolute(path: str) -> str:
    """Returns a path from the root; links stay links."""
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read last."""

    snapshot: Snapshot
    reading: Reading


def _is_blank(content: bytes | Problem | None) -> bool:
    """Whether a file is missing or empty."""
    return content is None or (content.missing if isinstance(content, Problem) else not content.strip())
