"""PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

from tests.servers.obtain import Found
from tests.servers.process import Guarded
from tests.servers.server import Server

__all__ = ["PostgreSQL"]


class PostgreSQL(Server):
    """A PostgreSQL server with one user, ``postgres``, who needs no password; it keeps its data over ``start``.

    It refuses to run as root, so tests that do run it as ``postgres``, or as ``nobody`` if there is no such user.

    Args:
        found: the folder with its programs.
        settings: of ``postgresql.conf``.
    """

    kind = "postgresql"
    scheme = "postgresql"
    stop_signal = signal.SIGINT  # It ends its clients' connections, instead of waiting for them.
    close_signal = signal.SIGQUIT  # At once, but it returns the shared memory, which outlives processes.

    def __init__(self, found: Found, *, settings: dict[str, str] | None = None) -> None:
        super().__init__(found)
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",
            "logging_collector": "off",
            # What a killed process has written is with the system: only a loss of power needs more, and no test makes one.
            "fsync": "off",
            **(settings or {}),
        }
        self._bin = found.path
        if os.getuid() == 0:
            self.user = _first_user("postgres", "nobody")
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
            self._bin = self._reachable(found.path)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres"

    def prepare(self) -> None:
        if self.user:
            os.chown(self.data, pwd.getpwnam(self.user).pw_uid, -1)
        initdb: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        ]
        self.run_tool([*initdb, "--no-sync"])

    def command(self) -> list[str]:
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self.data), *settings]

    def environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "TZ": "UTC"}

    def ready(self) -> bool:
        return "database system is ready to accept connections" in self.output()

    def _reachable(self, programs: Path) -> Path:
        """Returns the programs where the other user may run them: root's cache is often closed to others."""
        try:
            if Guarded([programs / "postgres", "--version"], self.log, user=self.user).wait() == 0:
                return programs
        except OSError:
            pass
        install, package, wheel = programs.parents[:3]
        assert install.name.startswith("pginstall"), f"the user {self.user} cannot run {programs / 'postgres'}"
        # Libraries are found by their place relative to the programs.
        target = self.folder / wheel.name
        for part in (install, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, target / part.relative_to(wheel), symlinks=True)
        return target / programs.relative_to(wheel)


def _first_user(*names: str) -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in names if name in known)
