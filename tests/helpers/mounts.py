"""File systems of a test's own, mounted for as long as it runs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

__all__ = ["fill", "remounted", "tmpfs"]


@contextlib.contextmanager
def tmpfs(folder: Path, *options: str) -> Generator[Path]:
    """Mounts a file system in memory at a folder, which is created; skips the test where that is not permitted.

    Args:
        folder: where.
        options: of mount, such as ``"size=1m"``.
    """
    folder.mkdir(mode=0o700)
    _mount("-t", "tmpfs", "-o", ",".join(("mode=700", *options)), "tmpfs", str(folder))
    try:
        yield folder
    finally:
        # A file that is still open is no reason to leave the mount behind.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remounted(folder: Path, *options: str) -> None:
    """Changes the options of what is mounted at a folder."""
    _mount("-o", ",".join(("remount", *options)), str(folder))


def fill(folder: Path) -> Path:
    """Takes all the space that is free, to the last block, and returns the file that holds it."""
    path = folder / "filled"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path


def _mount(*arguments: str) -> None:
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
