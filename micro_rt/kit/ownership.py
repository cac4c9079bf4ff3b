"""Folders and files that no other user can replace: how they are created, and how others are recognised.

Rules:

- A folder is safe if this user or root owns it and nobody else can write to it. The folders above it must be owned alike. A
  folder above that every user can write to must have the sticky bit, as ``/tmp`` has: without it, any user could put another
  folder into the place of this one. A folder above that its group can write to is safe, because root or this user chose the
  group; so homes work whose umask is 002.
- A folder is checked before something in it is used. Nobody else can write to it, so nothing changes between the check and
  the use.
- Links in the path are followed one by one, and each must have an owner as folders do. The folder itself must be none, unless
  root made the link for another user, as systemd does for ``DynamicUser=``.
- Folders are created for this user only, whatever the umask is.
- In a user namespace, the files of every user that has no id there seem to belong to one user. ``/`` may be among them, so
  that user counts as root above a folder.
- Windows has neither user ids nor modes. There, only links are refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from micro_rt.kit.ids import new_id

__all__ = ["Owner", "OwnershipError", "check_file", "create_file", "make_folder", "read_owner"]

_WITHOUT_LINKS = (errno.EACCES, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system says that has no hard links."""


Owner: TypeAlias = "int | Literal['any'] | None"
"""Whose folders and files are accepted beside those of this user and of root: the user of a number, every user, or nobody."""


def read_owner(text: str) -> Owner:
    """Reads the number of a user, or ``any``.

    Raises:
        ValueError: it is neither.
    """
    if text == "any":
        return "any"
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII):
        raise ValueError(f"{text[:100]!r} is neither the number of a user, such as 1000, nor any")
    return int(text)


class OwnershipError(Exception):
    """Another user could replace a folder or a file, or has done so.

    Args:
        path: of the folder or file.
        problem: what is wrong, to be written after the path.
        cure: what to do about it.
        owner: the text that ``read_owner`` makes an owner of who is accepted with it; empty if none is.
    """

    def __init__(self, path: str | Path, problem: str, cure: str, owner: str = "") -> None:
        super().__init__(f"{path} {problem}: {cure}")
        self.path = path
        self.owner = owner


def make_folder(folder: Path, private: int = 1, owner: Owner = None) -> None:
    """Creates a folder, and those above it, unless they are there, and checks that no other user can replace it.

    Args:
        folder: its absolute path.
        private: how many folders at the end of the path nobody else can write to.
        owner: whose folders are accepted too.

    Raises:
        OwnershipError: another user could replace the folder, or what is in it.
        OSError: it cannot be created.
    """
    above = folder.parents[min(private, len(folder.parents)) - 1]
    if _user() is None:
        above.mkdir(parents=True, exist_ok=True)
        here = str(above)
    else:
        here = _follow(above, owner)
    for name in folder.parts[len(above.parts) :]:
        here = _joined(here, name)
        status = _found(here)
        if stat.S_ISLNK(status.st_mode) and status.st_uid == 0 and _user():
            here = _follow(Path(here), owner)
            status = os.lstat(here)
        _check_private(here, status, owner)


def check_file(path: str | Path, owner: Owner = None) -> None:
    """Checks that no other user made a file, and removes the rights of other users. Does nothing if the file does not exist.

    The folder of the file must be safe. The file is not opened: a process that closes a file loses its locks on it.

    Raises:
        OwnershipError: it is a link or no regular file, belongs to another user, or others can write to it and that cannot be changed.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISLNK(status.st_mode):
            raise _link(path)
        raise OwnershipError(path, "is not a regular file", f"run `mv {_quoted(path)} {_quoted(path)}.old`")
    if _user() is None:
        return
    if not _accepted(status.st_uid, owner):
        raise _foreign(path, status)
    if status.st_mode & 0o077:
        try:
            Path(path).chmod(0o600)
        except FileNotFoundError:
            return
        except PermissionError:  # An owner who was accepted is not this user.
            if status.st_mode & 0o022 and owner != "any":
                raise _open_to_others(path, status) from None


def create_file(path: Path) -> None:
    """Creates an empty file for this user only, unless there is one.

    The file gets its name when it is closed already: a process that closes a file loses its locks on it, and another thread may
    have opened it meanwhile. On a file system without hard links, it creates nothing.

    Raises:
        OSError: it cannot be created.
    """
    if _user() is None or os.path.lexists(path):
        return
    draft = path.with_name(f".{path.name}.{new_id()}")
    draft.touch(0o600, exist_ok=False)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
    finally:
        draft.unlink()


# These run each time a file is opened, so they use text: pathlib costs several times as much.


def _follow(path: Path, owner: Owner) -> str:
    """Creates the folders of a path, checks each, and returns the path without links."""
    here = path.anchor
    _check_above(here, os.lstat(here), owner)
    names = list(reversed(path.parts[1:]))
    links = 0
    while names:
        name = names.pop()
        if name == "..":
            here = str(Path(here).parent)
            continue
        there = _joined(here, name)
        status = _found(there)
        _check_above(there, status, owner)
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        links += 1
        if links > 40:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(there).readlink()
        if target.is_absolute():
            here = target.anchor
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return here


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip(os.sep)}{os.sep}{name}"


def _found(path: str) -> os.stat_result:
    """Returns the status of what is at a path, after it has created a folder if nothing is."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # Another process was faster.
            Path(path).mkdir(mode=0o700)
        return os.lstat(path)


def _check_above(path: str, status: os.stat_result, owner: Owner) -> None:
    """Checks that no other user can replace what is in a folder, or to where a link leads."""
    if not _accepted(status.st_uid, owner) and status.st_uid != _unmapped():
        raise _foreign(path, status)
    everybody = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    if everybody and owner != "any":
        raise _open_to_others(path, status)


def _check_private(path: str, status: os.stat_result, owner: Owner) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _link(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if _user() is None:
        return
    if not _accepted(status.st_uid, owner):
        raise _foreign(path, status)
    if status.st_mode & 0o022 and owner != "any":
        raise _open_to_others(path, status)


def _link(path: str | Path) -> OwnershipError:
    return OwnershipError(path, "is a symbolic link", f"run `rm {_quoted(path)}`")


def _foreign(path: str | Path, status: os.stat_result) -> OwnershipError:
    cure = f"run `{'sudo ' if _user() else ''}chown {_user()} {_quoted(path)}`"
    return OwnershipError(path, f"belongs to another user (uid {status.st_uid})", cure, str(status.st_uid))


def _open_to_others(path: str | Path, status: os.stat_result) -> OwnershipError:
    cure = f"run `{'sudo ' if _user() not in (0, status.st_uid) else ''}chmod go-w {_quoted(path)}`"
    if status.st_mode & stat.S_ISVTX:  # Every user is to write to it.
        cure = "use a folder in it"
    return OwnershipError(path, f"can be written by other users (mode {stat.S_IMODE(status.st_mode):04o})", cure, "any")


def _quoted(path: str | Path) -> str:
    return shlex.quote(str(path))


def _accepted(uid: int, owner: Owner) -> bool:
    return owner == "any" or uid in (0, _user(), owner)


def _user() -> int | None:
    """Returns the id of this user; None on Windows, which has none."""
    return None if sys.platform == "win32" else os.geteuid()


def _unmapped() -> int | None:
    """Returns the id that stands for all users without an id in this user namespace; None if every user has one."""
    try:
        maps = Path("/proc/self/uid_map").read_text().splitlines()
        if sum(int(line.split()[2]) for line in maps) >= 2**32 - 1:
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError, IndexError):  # The system has no user namespaces.
        return None
