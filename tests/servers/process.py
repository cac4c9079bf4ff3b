"""A program that runs under the guard, and free ports for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from micro_rt.kit.ownership import make_folder

__all__ = ["Guarded", "Ports", "family"]

_GUARD = Path(__file__).with_name("guard.py")


class Guarded:
    """A program that ends with this process, whatever this process ends of.

    Args:
        command: the program and its arguments.
        log: the file that its output is added to.
        user: runs it as this user; needs root.
        remove: a folder to remove if this process is gone before the program.
        environment: variables to set besides those of this process.
        cwd: the folder to run it in.

    Raises:
        OSError: it cannot be run.
    """

    def __init__(
        self,
        command: Iterable[str | Path],
        log: Path,
        *,
        user: str = "",
        remove: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        options = [f"--user={user}"] if user else []
        options += [f"--remove={remove}"] if remove else []
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), *options, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as said:
            first = said.readline().decode().strip()
        if not first.isdecimal():
            self.wait()
            raise OSError(first.removeprefix("error: ") or f"nothing was started; see {log}")
        self.pid = int(first)

    @property
    def returncode(self) -> int | None:
        """The program's exit code, 128 and the signal's number if it was killed; None while it runs."""
        code = self._guard.poll()
        if code is not None:
            self._close()
        return code

    def send(self, number: int) -> None:
        """Sends a signal to the program and everything that it started; what is gone is passed over."""
        if self.returncode is None:
            # The first to end takes its children's parent away, so all are found before.
            for pid in family(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def running_threads(self) -> int:
        """Returns how many threads of the program, and of what it started, are not stopped; 0 where the system does not tell."""
        stats = [stat for pid in family(self.pid) for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
        running = 0
        for stat in stats:
            with contextlib.suppress(OSError):  # It has ended in the meantime.
                running += stat.read_text().rpartition(") ")[2][0] not in "TtZX"
        return running

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Asks the program alone to end."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end, in seconds, and returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        code = self._guard.wait(timeout)
        self._close()
        return code

    def _close(self) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.close()


def family(pid: int) -> list[int]:
    """Returns a process and all that come from it, parents first."""
    pairs = _parents()
    found = [pid]
    for parent in found:
        found.extend(child for child, its in pairs if its == parent)
    return found


def _parents() -> list[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, listed.splitlines())]
    pairs: list[tuple[int, int]] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It has ended in the meantime.
            pairs.append((int(stat.parent.name), int(stat.read_text().rpartition(") ")[2].split()[1])))
    return pairs


class Ports:
    """Ports on loopback that no other run takes, also while nothing listens on them, until ``close``.

    They are below those that the system gives to outgoing connections, one of which could otherwise sit on a server's port
    when that is started again.
    """

    def __init__(self) -> None:
        self._locks: list[int] = []
        self._folder = Path(tempfile.gettempdir()) / f"micro-rt-ports-{os.getuid()}"
        make_folder(self._folder)  # Its name is known: another user may have made it.

    def take(self) -> int:
        """Returns a port that is free for TCP and UDP."""
        while True:
            port = random.randrange(18000, 32000)
            lock = os.open(self._folder / str(port), os.O_CREAT | os.O_RDONLY | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port))
            except OSError:
                os.close(lock)
                continue
            self._locks.append(lock)
            return port

    def close(self) -> None:
        """Gives the ports back."""
        while self._locks:
            os.close(self._locks.pop())
