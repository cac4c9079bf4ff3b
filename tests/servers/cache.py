"""The folder that what was obtained is kept in, between runs and for all checkouts: ``$MICRO_SERVER_CACHE``, or the user's.

The tests run what is in it. So a folder that another user owns or can write to is refused, and so are such programs in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from micro_rt.kit.ownership import OwnershipError, make_folder
from tests.servers.process import Guarded

__all__ = ["Say", "Unobtainable", "folder", "kept", "run", "show"]

Say = Callable[[str], None]
"""Shows a line of progress to whoever waits."""

_BUILD_LIMIT = 20 * 60.0
_NEWS = 20.0  # Seconds between two signs of life.


class Unobtainable(Exception):
    """Something cannot be had here; says why, and what to do."""


def folder() -> Path:
    """Returns where things are kept."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "micro-rt"
    return Path(os.environ.get("MICRO_SERVER_CACHE") or usual).absolute()


def kept(name: str, make: Callable[[Path], Path], say: Say) -> tuple[Path, bool]:
    """Returns a file or folder of the cache, and whether it was made now.

    It is made once, whoever asks at the same time: in a folder beside, and moved into place when it is whole.

    Args:
        name: of the file or folder, with its version.
        make: makes it in the folder that it is given, and returns its path there.
        say: hears that another run is at it.

    Raises:
        Unobtainable: ``make`` could not, the cache cannot be written, or another user can change what is in it.
    """
    target = folder() / name
    try:
        make_folder(target.parent)
        if target.exists():
            _check(target)
            return target, False
        with _locked(target.with_name(f".{name}.lock"), lambda: say(f"{name}: another run is making it, waiting")):
            if target.exists():
                _check(target)
                return target, False
            for stale in target.parent.glob(f".{name}-*"):  # Left by a run that was killed: nobody else is in here.
                shutil.rmtree(stale, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
            try:
                made = make(work)
                _close(made)
                made.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OwnershipError as error:
        raise Unobtainable(f"{name}: {error}, or name a folder of your own in MICRO_SERVER_CACHE") from None
    except OSError as error:
        raise Unobtainable(f"{name}: {error}; MICRO_SERVER_CACHE names another folder to keep it in") from error
    return target, True


def run(
    what: str,
    command: list[str | Path],
    say: Say,
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs a program of some length, with signs of life.

    Args:
        what: it does, for who reads them.
        command: the program and its arguments.
        say: shows them.
        cwd: the folder to run it in; its output is kept there too.
        environment: variables to set.

    Raises:
        Unobtainable: it failed or took far too long; with its last line.
    """
    log = cwd / ".output"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        program = Guarded(command, log, environment=environment, cwd=cwd)
    except OSError as error:
        raise Unobtainable(f"{what} failed: {error}") from error
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = program.wait(_NEWS)
                break
            elapsed = time.monotonic() - start
            if elapsed > _BUILD_LIMIT:
                raise Unobtainable(f"{what} was not done after {elapsed:.0f} s")
            say(f"{what}: {elapsed:.0f} s …")
    finally:
        program.send(signal.SIGKILL)
        program.wait()
    if code:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise Unobtainable(f"{what} failed: {lines[-1][:300] if lines else f'exit code {code}'}")


def show(line: str) -> None:
    """Shows progress on stderr."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _check(path: Path) -> None:
    """Checks that no other user made a program, or can change it; of a folder, all that is in it.

    Raises:
        OwnershipError: one did or can.
    """
    for each in (path, *path.rglob("*")):
        status = each.lstat()
        if status.st_uid not in (0, os.geteuid()):
            problem = f"belongs to another user (uid {status.st_uid})"
        elif status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode):
            problem = f"can be written by other users (mode {stat.S_IMODE(status.st_mode):04o})"
        else:
            continue
        raise OwnershipError(each, problem, f"run `rm -r {shlex.quote(str(path))}`")


def _close(path: Path) -> None:
    """Takes away the right of others to write to a file; of a folder, to all that is in it."""
    for each in (path, *path.rglob("*")):
        if not each.is_symlink():
            each.chmod(each.lstat().st_mode & 0o755)
