"""File systems: where files that processes share stay whole, and why nothing can be written somewhere.

Rules:

- The files of ``local:`` need locks and shared memory that hold between all processes that have them open. On network file
  systems they do not, nor on those through which a host shares its folders with containers and virtual machines: databases
  there were damaged. These are refused by name.
- Whatever else is in user space (``fuse.…``) is refused as well, unless it is known to keep its files on this machine: new
  ones for remote storage appear all the time.
- A system without a table of mounted file systems accepts every folder.
- SQLite often says only that it cannot open a file. ``cause_of`` looks for what is exhausted: descriptors, space, inodes.
  It never opens the file itself: a process that closes a file loses its locks on it.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from micro_rt.errors import Error, FailedPrecondition, ResourceExhausted

__all__ = ["MOUNTS", "cause_of", "check_file_system", "no_descriptors", "no_space"]

MOUNTS = Path("/proc/mounts")
"""The system's table of mounted file systems."""

_NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|9p|afs|afpfs|ncpfs|ceph|glusterfs|lustre|gpfs|beegfs|davfs|orangefs|pvfs2|panfs|wekafs|weka"
    r"|juicefs|moosefs|mfs|seaweedfs|mount-s3|s3fs|blobfuse2?|goofys|gcsfuse|sshfs|rclone"
    r"|fuse\.(sshfs|rclone|s3fs.*|gcsfuse|glusterfs|ceph.*|davfs\d*|smb.*|nfs.*|juicefs|moosefs|mfs.*|seaweedfs|mount-s3|mountpoint-s3"
    r"|blobfuse2?|goofys|orangefs|weka.*)"
)
"""Types of file systems over a network."""
_SHARED = re.compile(
    r"virtiofs|vboxsf|vmhgfs|prl_fs|fakeowner|drvfs|wslfs|osxfs|grpcfuse|fuse\.(vmhgfs-fuse|osxfs|grpcfuse|portal)"
)
"""Types of file systems through which a host shares folders with containers and virtual machines."""
_LOCAL_FUSE = re.compile(
    r"fuse\.(fuse-overlayfs|overlayfs|unionfs(-fuse)?|mergerfs|bindfs|ntfs(-3g)?|exfat(-fuse)?|ext[234]|fuse-?ext2|fuse2fs|zfs(-fuse)?"
    r"|gocryptfs|encfs|cryfs|securefs|ecryptfs|veracrypt|bcachefs|lklfuse)"
)
"""Types of file systems in user space that keep their files on this machine."""

_LONGEST_PATH = 504
"""Bytes of a path that SQLite opens: 512, less what it appends for the files beside it."""
_DESCRIPTORS = 8
"""Descriptors that the two connections to one file need."""
_FILES = 4
"""Files that are created beside a new one, or before it."""
_SPACE = 128 * 1024
"""Bytes that a file needs beside it when it is opened: its log, and the index of that."""


def check_file_system(folder: Path, mounts: Path = MOUNTS) -> None:
    """Checks that a folder is, or will be, where files that processes share stay whole.

    Args:
        folder: its absolute path.
        mounts: the table of mounted file systems.

    Raises:
        FailedPrecondition: it is on a file system that is not known to be local.
    """
    found = _file_system(folder, mounts)
    if found is None:
        return
    point, type = found
    if _NETWORK.fullmatch(type):
        kind = "on a network file system"
    elif _SHARED.fullmatch(type):
        kind = "shared between a host and its containers or virtual machines"
    elif type == "fuse" or (type.startswith("fuse.") and not _LOCAL_FUSE.fullmatch(type)):
        kind = "on a file system in user space that is not known to be local"
    else:
        return
    raise FailedPrecondition(
        f"{folder} is {kind} ({type} at {point}), where files that processes share get damaged: set MICRO_HOME to a folder on a "
        "local disk; in a container, on the container's own disk or on a volume"
    )


def cause_of(path: Path) -> Error | None:
    """Returns what keeps a file from being opened or written; None if nothing is found.

    Args:
        path: of the file.
    """
    if (length := len(os.fsencode(path))) > _LONGEST_PATH:
        return FailedPrecondition(
            f"{path} is {length} bytes long, and SQLite opens paths of at most {_LONGEST_PATH} bytes: set MICRO_HOME to a folder "
            "with a shorter path"
        )
    return _exhausted(path) if sys.platform != "win32" else None


if sys.platform != "win32":
    import resource

    def _exhausted(path: Path) -> Error | None:
        opened: list[int] = []
        try:
            for _ in range(_DESCRIPTORS):
                opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401  # those before are closed
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return no_descriptors(path)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        there = path.parent
        while not os.path.lexists(there) and there != there.parent:
            there = there.parent
        try:
            status = os.statvfs(there)
        except OSError:
            return None
        if status.f_flag & os.ST_RDONLY:
            return FailedPrecondition(
                f"{path} is on a file system that is mounted read-only: set MICRO_HOME to a folder on another, or mount it for writing"
            )
        free = status.f_bfree if os.geteuid() == 0 else status.f_bavail
        if free * status.f_frsize < _SPACE:
            return no_space(path)
        if status.f_files and (status.f_ffree if os.geteuid() == 0 else status.f_favail) < _FILES:
            return ResourceExhausted(
                f"no inodes left for {path}, so no file can be created: delete files that nobody needs, or set MICRO_HOME to a "
                "folder on another file system"
            )
        return None

    def no_descriptors(path: Path) -> ResourceExhausted:
        """Returns the error of a process, or a system, that cannot open another file."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return ResourceExhausted(
            f"no file descriptors left to open {path}: raise their limit (ulimit -n, {limit} now), or hold fewer connections open"
        )

else:

    def no_descriptors(path: Path) -> ResourceExhausted:
        """Returns the error of a process that cannot open another file."""
        return ResourceExhausted(f"no file descriptors left to open {path}: hold fewer files and connections open")


def no_space(path: Path) -> ResourceExhausted:
    """Returns the error of a full disk."""
    return ResourceExhausted(f"no space left for {path}: free some, or set MICRO_HOME to another folder")


def _file_system(folder: Path, mounts: Path) -> tuple[str, str] | None:
    """Returns the mount point and the type of the file system that a folder is, or will be, on."""
    try:
        table = mounts.read_text(errors="surrogateescape")
        where = str(folder.resolve())
    except (OSError, RuntimeError):  # There is no such table on this system, or the links of the path go in circles.
        return None
    best: tuple[str, str] | None = None
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1]
        if "\\" in point:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        below = where == point or where.startswith(point.rstrip("/") + "/")
        if below and (best is None or len(point) >= len(best[0])):  # Of two at one place, the later covers the earlier.
            best = (point, fields[2])
    return best
