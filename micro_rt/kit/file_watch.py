"""Watching files: when what a function reads of them is another than before.

The rules that it keeps, and why:

- Folders are watched, not files. A watch on a file ends with the file: whoever saves by renaming replaces it, and the watch sees the
  first save and nothing more.
- Each folder on the way counts in which a name can come to mean another file: the folder that holds the file, and every folder
  that holds a symbolic link on the way to it, such as ``..data`` of Kubernetes. Where a folder is missing, the nearest one that exists
  is watched. Folders are found anew after each event. A folder that was deleted and made again is another folder, although file
  systems often give it the number of the old one: an event of the folder itself begins a new watch.
- An event says only that it is time to look. What decides is the content: kinds of events differ between systems and editors, and
  a time of change can stay the same.
- A look follows every beginning of a watch, because a change may have come before it.
- Every ``NET`` seconds, everything is looked at without an event. Network file systems report none, and queues of events overflow.
- Without watchfiles, the state of the files is read every ``POLL`` seconds. The content is looked at if that is another, and for
  ``SETTLING`` seconds after a change: two changes within one tick of a file system's clock leave the same times.
- One thread does all of it, because a file system can take long. It ends with the watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from micro_rt.kit.clock import monotonic
from micro_rt.kit.optional import optional
from micro_rt.logs import logger

__all__ = ["FileWatch", "folders_of"]

NET = 2.5
"""Seconds until everything is looked at without an event."""
POLL = 0.1
"""Seconds between two looks at the state of the files, without watchfiles."""
SETTLING = 2.0
"""Seconds after a change during which a poll looks at the content, whatever the state of the files is."""
STEP = 40
"""Milliseconds without a further event after which events count as one."""
GROUPED = 100
"""Milliseconds from the first event until it is looked at, whatever follows."""
PAUSE = 0.01
"""Seconds between the end of one watch of folders and the beginning of the next."""
LINKS = 40
"""Symbolic links on the way to a file; as many as Linux follows."""
FOLDERS = 64
"""Folders that are watched at once; what is in others is seen by the look of every ``NET`` seconds."""
ENDING = 5.0
"""Seconds that the thread gets to end; a file system that hangs keeps it longer."""

_log = logger("micro_rt.files")

_Identity = tuple[int, int]


class FileWatch(AsyncIterator[None]):
    """Gives an item when it begins to watch, and whenever the content is another than before.

    Items that nobody has taken yet count as one. It begins at once, in the running event loop, and ends with ``aclose`` or when
    it is dropped.

    Args:
        name: what is watched, for the thread and the log.
        paths: returns the absolute paths of everything that is read; called in a thread, often.
        look: returns what the content is, or a digest of it; called in a thread. It must not raise.
        polling: whether to poll although watchfiles is installed.
    """

    def __init__(
        self, name: str, paths: Callable[[], Iterable[str]], look: Callable[[], Hashable], *, polling: bool = False
    ) -> None:
        self._changed = asyncio.Event()
        self._watcher = _Watcher(name, paths, look, polling, self._changed)
        self._watcher.thread.start()
        weakref.finalize(self, self._watcher.stopping.set)

    async def __anext__(self) -> None:
        await self._changed.wait()
        if self._watcher.stopping.is_set():
            raise StopAsyncIteration
        self._changed.clear()

    async def aclose(self) -> None:
        """Ends it, and waits for its thread; whoever waits for an item gets the end."""
        self._watcher.stopping.set()
        self._changed.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                await self._watcher.ended.wait()
            self._watcher.thread.join()


class _Watcher:
    """The thread of a watch, which does not keep the watch alive."""

    def __init__(
        self,
        name: str,
        paths: Callable[[], Iterable[str]],
        look: Callable[[], Hashable],
        polling: bool,
        changed: asyncio.Event,
    ) -> None:
        self.stopping = threading.Event()
        self.ended = asyncio.Event()
        self.thread = threading.Thread(target=self._main, name=f"watch {name}", daemon=True)
        self._name = name
        self._paths = paths
        self._look = look
        self._polling = polling
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._seen: Hashable = _Nothing()
        self._looked_at = 0.0
        self._changed_at = 0.0

    def _main(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    if not self._polling and (library := optional("watchfiles._rust_notify")) is not None:
                        self._follow(library.RustNotify)
                    else:
                        self._poll()
                    self.stopping.wait(PAUSE)
                except FileNotFoundError:
                    self.stopping.wait(PAUSE)  # A folder is gone before it was watched: another is the nearest now.
                except Exception as error:
                    # Too many watches or open files, a name that is not UTF-8, a file system that reports nothing.
                    reason = getattr(error, "strerror", None) or type(error).__name__
                    if not self._polling:
                        _log.warning(
                            "%s is polled every %g s: the system refuses to watch it (%s)", self._name, POLL, reason
                        )
                    self._polling = True
                    self.stopping.wait(POLL)
        finally:
            self._call(self.ended.set)

    def _follow(self, notify: Any) -> None:
        """Watches until the folders are others, or it ends."""
        folders = folders_of(self._paths())
        with notify(list(folders), False, False, 0, False, True) as watcher:
            events: set[tuple[int, str]] | str = set()
            while not self.stopping.is_set():
                unreported = self._compare() and events == "timeout"
                if unreported or folders_of(self._paths()) != folders:
                    return
                events = watcher.watch(GROUPED, STEP, int(NET * 1000), self.stopping)
                if not isinstance(events, str) and any(path in folders for _, path in events):
                    return  # A folder itself: it may be another one of the same number.

    def _poll(self) -> None:
        """Polls until it ends."""
        state = None
        while not self.stopping.is_set():
            now = monotonic()
            before, state = state, _state_of(self._paths())
            if before != state or now - self._changed_at < SETTLING or now - self._looked_at >= NET:
                self._compare()
            self.stopping.wait(POLL)

    def _compare(self) -> bool:
        """Looks at the content, and reports it if it is another; returns whether it is."""
        now = self._looked_at = monotonic()
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        self._changed_at = now
        self._call(self._changed.set)
        return True

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            self.stopping.set()


class _Nothing:
    """What was seen before the first look; equal to nothing else."""


def folders_of(paths: Iterable[str]) -> Mapping[str, _Identity]:
    """Returns the folders whose entries decide what the paths are, each with what tells it from another of its name.

    Args:
        paths: absolute.
    """
    found: dict[str, _Identity] = {}
    for path in paths:
        for folder in _way_to(path):
            if folder not in found and len(found) < FOLDERS:
                with contextlib.suppress(OSError):
                    state = os.stat(folder)  # noqa: PTH116
                    found[folder] = (state.st_dev, state.st_ino)
    return found


def _way_to(path: str) -> Iterable[str]:
    """Yields the folders on the way to a path that hold a link, and the last one that exists."""
    here, *rest = Path(path).parts
    todo = rest[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            here = os.path.dirname(here)  # noqa: PTH120  # It holds no link, and what it is must not be looked up again.
            continue
        there = os.path.join(here, part)  # noqa: PTH118
        try:
            mode = os.lstat(there).st_mode
            if not stat.S_ISLNK(mode):
                if not stat.S_ISDIR(mode):
                    break
                here = there
                continue
            target = Path(os.readlink(there))  # noqa: PTH115
        except OSError:
            break
        yield here
        links += 1
        if links > LINKS:
            return
        if target.is_absolute():
            here = target.anchor
        todo += [each for each in target.parts[::-1] if each != target.anchor]
    yield here


def _state_of(paths: Iterable[str]) -> object:
    """Returns what the system says of the files: another value after almost every change."""
    states: list[object] = []
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError as error:
            states.append((path, error.errno))
        else:
            states.append(
                (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)
            )
    return states
