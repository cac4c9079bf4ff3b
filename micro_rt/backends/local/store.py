"""Stores ``local:``, the default, and ``file:``: for all processes on this machine, in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from micro_rt.backends.local.state import Sync, options_of, read_owner_option, read_sync, state_owner, state_path
from micro_rt.backends.local.store_file import LOOK, StoreFile
from micro_rt.backends.local.store_records import Wanted
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.kit.address import Options, parts_of, seconds
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.ownership import Owner
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.store.base import TIMEOUT, Capabilities, Changes, Cursor, Last, Record, Scan, StoreEngine, Wakeups, Write

__all__ = ["FileStore", "LocalStore"]

_MAX_VALUE = 64 << 20
_NO_FILE = "not a file: address, which names a file, such as file:/var/lib/app/store.db or file:store.db"


class LocalStore(StoreEngine):
    """Keeps records in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (what is written survives a loss of power, not only a kill), ``timeout``
            (seconds that a call may take, 10 if not given) and ``owner`` (the number of a user whose state folder is accepted too,
            or ``any``).
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what expiry is measured with.
    """

    _folders: ClassVar[int] = 2
    """How many of the folders above the file are ours: the state folder, and that of the namespace."""

    def __init__(
        self,
        address: str = "local:",
        *,
        home: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = self._read(address)
        self._sync: Sync = read_sync(options)
        self._owner: Owner = read_owner_option(options)
        self.timeout = options.read("timeout", seconds, TIMEOUT)
        options.end()
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[StoreFile] | None = None
        self._file: StoreFile | None = None
        self._wakeups = Wakeups()

    @property
    def capabilities(self) -> Capabilities:
        """Values of 64 MiB; a watch sees a write of another process at its next look at the file."""
        return Capabilities(max_value=_MAX_VALUE, watch_delay=2 * LOOK, watch_interval=60.0, shared=True, fences=True)

    @property
    def wakeups(self) -> Wakeups:
        """What wakes watches of this store."""
        return self._wakeups

    @property
    def name(self) -> str:
        """The address."""
        return f"store {without_secrets(self._address)}"

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        return "" if self._file is None else self._file.problem

    async def open(self) -> None:
        """Opens the file, and creates it if it is missing.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        if self._file is not None:
            raise RuntimeError(f"{self.name} is open already")
        path = self._path()
        clock = self._clock or boot_clock()
        owner = state_owner(self._owner)
        self._shared = Shared(
            ("store", path, self._sync, owner, clock),
            lambda: StoreFile(path, self._sync, owner, clock, self._folders),
        )
        self._file = file = await self._shared.acquire()
        self._wakeups = Wakeups(file.watch_begins, file.watch_ends)
        file.stores.append(self._wakeups)

    async def close(self) -> None:
        """Ends every watch and gives the file back."""
        if self._file is not None and self._shared is not None:
            file, self._file = self._file, None
            file.stores.remove(self._wakeups)
            self._wakeups.close()
            await self._shared.release()

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Returns the records of keys."""
        file = self._open_file()
        return await file.read(lambda connection: file.records.get(connection, keys))

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions.

        Raises:
            ResourceExhausted: the disk is full; records can still be deleted.
        """
        return await self._open_file().apply(writes)

    async def last(self, key: str) -> Last | None:
        """Returns the last write of a key."""
        file = self._open_file()
        return await file.read(lambda connection: file.records.last(connection, key))

    async def scan(self, prefix: str, after: str, *, suffix: str, limit: int, max_bytes: int, values: bool) -> Scan:
        """Returns records in the order of their keys."""
        file = self._open_file()
        wanted = Wanted(prefix, after, suffix, limit, max_bytes, values)
        return await file.read(lambda connection: file.records.scan(connection, wanted))

    async def end(self) -> Cursor:
        """Returns the place behind the last change."""
        file = self._open_file()
        return await file.read(file.records.end)

    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since."""
        file = self._open_file()
        return await file.read(lambda it: file.records.changes(it, prefix, cursor, limit, max_bytes))

    def _read(self, address: str) -> Options:
        """Reads an address.

        Raises:
            ValueError: it makes no sense.
        """
        return options_of(address)

    def _path(self) -> Path:
        """Returns where the file is."""
        return state_path("store", self._home, self._namespace)

    def _open_file(self) -> StoreFile:
        if self._file is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._file


class FileStore(LocalStore):
    """Keeps records in a file at a path, which the processes on this machine share.

    Args:
        address: ``"file:/path/of/store.db"``, or a path relative to the working directory; parameters as those of ``local:``.
        clock: what expiry is measured with.
    """

    _folders = 1

    def __init__(self, address: str, *, clock: Clock | None = None) -> None:
        self._given = ""
        super().__init__(address, clock=clock)

    def _read(self, address: str) -> Options:
        path = address.removeprefix("file:").partition("?")[0].partition("#")[0].removeprefix("//")
        parts = parts_of(address, "file", _NO_FILE, paths=(path,))
        if parts.account or parts.hosts or not path or path.endswith("/"):
            raise ValueError(_NO_FILE)
        self._given = path
        return Options(parts.query)

    def _path(self) -> Path:
        try:
            return Path(self._given).expanduser().absolute()
        except (RuntimeError, OSError) as error:
            raise FailedPrecondition(f"{self.name} cannot be found: {error}") from None
