"""What is on the disk at one moment: one file, or the files of a folder that belong together.

- A folder in which ``..data`` is a symbolic link, as Kubernetes makes them, is read through what that link leads to when reading begins.
  So all files are of one update. Where the folder or the link is another one after reading, all is read again.
- A file that was changed while it was read is read again.
- Names that begin with a dot are left out, and so are files without the ending of a format: editors leave copies there.
- Everything is bounded before it is read: files, bytes of each, bytes of all. What is no regular file is not opened to be read,
  because a pipe would wait for its writer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from micro_rt.kit.clock import pause_thread

__all__ = ["LARGEST", "MOST_FILES", "SUFFIXES", "TOTAL", "Problem", "Snapshot", "paths_of", "take"]

LARGEST = 1 << 20
"""Bytes of a file."""
TOTAL = 8 << 20
"""Bytes of all files of a folder."""
MOST_FILES = 1000
"""Files of a folder."""
SUFFIXES: Mapping[str, str] = {".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
"""The format of a file, by how its name ends."""

_ENTRIES = 100_000
_TRIES = 20
_DATA = "..data"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be read."""

    text: str
    missing: bool = False
    """Whether nothing of that name is there."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read; two are equal if the content is."""

    files: Mapping[str, bytes | Problem] = field(repr=False)
    """The content of each file, by its name below the folder; for a single file, by an empty name."""
    place: object = field(compare=False)
    """What the files are in; another one after all files were replaced at once."""
    folder: bool = False

    @property
    def digest(self) -> bytes:
        """A short text that is the same for the same content."""
        digest = hashlib.blake2b(digest_size=32)
        for name, content in self.files.items():
            said = f"!{content.text}".encode() if isinstance(content, Problem) else content
            digest.update(f"{len(name)} {len(said)} {name}".encode(errors="surrogateescape") + said)
        return digest.digest()


def take(path: str, *, folder: bool) -> Snapshot:
    """Reads a file, or the files of a folder; raises nothing.

    Args:
        path: absolute.
        folder: whether it must be a folder; if not, it may be.
    """
    place: object = None
    for attempt in range(_TRIES):
        pause_thread(attempt / 1000)
        place = _place(path)
        if Path(path).is_dir():
            snapshot = Snapshot(_read_folder(path, place), place, folder=True)
        elif folder and Path(path).exists():
            return Snapshot({"": Problem("it is not a folder; write its address without the slash at the end")}, place)
        else:
            snapshot = Snapshot({"": _read(path, LARGEST)}, place)
        if _place(path) == place:
            return snapshot
    return Snapshot({"": Problem("it is replaced all the time")}, place)


def paths_of(path: str) -> list[str]:
    """Returns the path, and those of its files if it is a folder; raises nothing."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = _names(path)
    return [path, *(os.path.join(path, name) for name in names)]  # noqa: PTH118


def _place(path: str) -> object:
    """Returns what files are in: a folder by its identity, and what its ``..data`` leads to."""
    real = os.path.realpath(path)
    folder = real if Path(real).is_dir() else str(Path(real).parent)
    try:
        found = os.stat(folder)  # noqa: PTH116
        return folder, found.st_dev, found.st_ino, _data_of(folder)
    except OSError:
        return folder


def _data_of(folder: str) -> str:
    """Returns the folder that ``..data`` leads to; empty if there is no such link."""
    link = Path(folder, _DATA)
    if not link.is_symlink():
        return ""
    real = os.path.realpath(link)
    return real if Path(real).is_dir() else ""


def _read_folder(folder: str, place: object) -> dict[str, bytes | Problem]:
    try:
        data = _data_of(folder)
        within = dict.fromkeys(_names(data), data) if data else {}
        paths = {name: os.path.join(data, name) for name in within}  # noqa: PTH118
        for name in _names(folder):
            path = Path(folder, name)
            if not (data and path.is_symlink() and os.readlink(path).startswith(f"{_DATA}{os.sep}")):  # noqa: PTH115
                paths[name] = str(path)
    except OSError as error:
        return {"": _problem(error)}
    if len(paths) > MOST_FILES:
        return {"": Problem(f"it holds more than {MOST_FILES} files")}
    files: dict[str, bytes | Problem] = {}
    left = TOTAL
    for name in sorted(paths):
        content = files[name] = _read(paths[name], min(LARGEST, left))
        if isinstance(content, bytes):
            left -= len(content)
        elif content.missing:
            del files[name]  # It was deleted since, or is a link to nothing.
    return files


def _names(folder: str) -> list[str]:
    """Returns the names of the files of a folder that are read."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, _ENTRIES)]
    return sorted(
        name
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122
    )


def _read(path: str, most: int) -> bytes | Problem:
    try:
        content = b""
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(file, "rb") as opened:
            for _ in range(_TRIES):
                before = os.fstat(file)
                if not stat.S_ISREG(before.st_mode):
                    return Problem("it is not a file")
                opened.seek(0)
                content = opened.read(most + 1)
                if len(content) > most:
                    limit = (
                        f"{LARGEST >> 20} MiB" if most == LARGEST else f"{TOTAL >> 20} MiB, together with the others"
                    )
                    return Problem(f"it is larger than {limit}")
                after = os.fstat(file)
                if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                    break
        return content
    except OSError as error:
        return _problem(error)


def _problem(error: OSError) -> Problem:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return Problem("there is no such file" if missing else str(error.strerror or type(error).__name__).lower(), missing)
