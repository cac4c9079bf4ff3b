"""Small disks for tests that fill them, and programs that fill them."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["fill", "remounted", "small_disk"]


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int, *options: str) -> Iterator[Path]:
    """Mounts a file system of a few MiB in memory; skips the test where that is not permitted.

    Args:
        folder: where it is mounted; created.
        mebibytes: its size.
        options: of mount, such as ``"nr_inodes=5"``.
    """
    folder.mkdir()
    described = ",".join((f"size={mebibytes}m", "mode=0700", *options))
    command = ["mount", "-t", "tmpfs", "-o", described, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a full disk needs a small one, and there is no program `mount`")
    if mounted.returncode:
        pytest.skip(f"a full disk needs a small one to mount: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a process that a failed test left behind must not keep the mount.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remounted(folder: Path, *options: str) -> None:
    """Changes the options of the small disk at a folder."""
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(folder)], check=True)


def fill(path: Path) -> int:
    """Writes a file until the disk has no byte left, as another program would; returns how many bytes it got."""
    written = 0
    with contextlib.closing(_Appending(path)) as file:
        for size in (1 << 20, 1 << 12, 1):
            while True:
                try:
                    written += os.write(file.number, b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break
    return written


class _Appending:
    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        os.close(self.number)
