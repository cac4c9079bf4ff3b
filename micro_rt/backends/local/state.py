"""The state folder: where the files of ``local:`` are, whether they can be there, and whose they are."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from typing import Literal

if sys.platform != "win32":
    import pwd

from micro_rt.backends.local.file_systems import MOUNTS, cause_of, check_file_system, no_descriptors, no_space
from micro_rt.errors import Error, FailedPrecondition, Unavailable
from micro_rt.kit.address import Options, parts_of
from micro_rt.kit.ownership import Owner, OwnershipError, check_file, create_file, make_folder, read_owner
from micro_rt.kit.variables import variable

__all__ = [
    "Sync",
    "check_files",
    "options_of",
    "os_error",
    "prepare",
    "read_owner_option",
    "read_sync",
    "state_owner",
    "state_path",
]

Sync = Literal["normal", "full"]
"""What survives: a kill, or a loss of power as well."""

_LONGEST_NAME = 255
"""Bytes of the name of a file on the file systems in use."""

_OF_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_OF_THE_PATH = (
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
)
"""What the system says about a path that cannot be used until somebody changes it."""


def options_of(address: str) -> Options:
    """Returns the options of a ``local:`` address, such as ``"local:?sync=full"``.

    Raises:
        ValueError: it is another address, or names a place.
    """
    problem = "not a local: address, which has options only, such as local:?sync=full: set MICRO_HOME or MICRO_NAMESPACE for the place"
    parts = parts_of(address, "local", problem, paths=("",))
    if parts.account or parts.hosts:
        raise ValueError(problem)
    return Options(parts.query)


def read_sync(options: Options) -> Sync:
    """Reads ``sync``: ``full`` makes what is written survive a loss of power, ``normal`` (the default) a kill.

    Raises:
        ValueError: it is neither.
    """
    return "full" if options.one_of("sync", ("normal", "full"), "normal") == "full" else "normal"


def read_owner_option(options: Options) -> Owner:
    """Reads ``owner``: the number of a user whose state folder is accepted too, or ``any``; None if it is not given.

    Raises:
        ValueError: it is neither.
    """
    return options.read("owner", read_owner, None)


def state_owner(given: Owner = None) -> Owner:
    """Returns whose state folder is accepted, beside this user's and root's.

    Args:
        given: the one of the address; else ``MICRO_HOME_OWNER``, else nobody.

    Raises:
        FailedPrecondition: the variable is not the number of a user, nor ``any``.
    """
    text = variable("MICRO_HOME_OWNER")
    if given is not None or not text:
        return given
    try:
        return read_owner(text)
    except ValueError as error:
        raise FailedPrecondition(f"MICRO_HOME_OWNER: {error}") from None


def state_path(part: str, home: str | os.PathLike[str] | None = None, namespace: str | None = None) -> Path:
    """Returns the path of a part's file; touches nothing.

    Args:
        part: ``"registry"``, ``"broker"``, …
        home: the state folder, an absolute path, or one that begins with ``~``; else ``MICRO_HOME``, else ``micro-rt`` in ``XDG_STATE_HOME`` or ``~/.local/state``.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.

    Raises:
        FailedPrecondition: the namespace is not a file name, the state folder is no absolute path, or there is no home.
    """
    space = namespace or variable("MICRO_NAMESPACE") or "default"
    if not re.fullmatch(r"[\w-][\w.-]*", space):
        raise FailedPrecondition(
            f"the namespace {space[:100]!r} (MICRO_NAMESPACE) is not a file name: use letters, digits, '.', '_' and '-', "
            "no '.' first"
        )
    if len(space.encode()) > _LONGEST_NAME:
        raise FailedPrecondition(
            f"the namespace {space[:100]!r} (MICRO_NAMESPACE) is {len(space.encode())} bytes long, and a file name has at "
            f"most {_LONGEST_NAME}: choose a shorter one"
        )
    return _home(home) / space / f"{part}.db"


def prepare(path: Path, mounts: Path = MOUNTS, owner: Owner = None, folders: int = 2) -> None:
    """Creates the folders of a state file and the file, for its owner only.

    Args:
        path: of the file.
        mounts: the table of mounted file systems.
        owner: whose folders and files are accepted too.
        folders: how many of the folders above the file are ours: the state folder and that of the namespace, or the file's own alone.

    Raises:
        FailedPrecondition: it cannot be there, is on a file system that is not local, or another user could replace it.
        ResourceExhausted: there is no space, no inode or no descriptor left.
    """
    folder = path.parent
    check_file_system(folder, mounts)
    try:
        make_folder(folder, folders, owner)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise cause_of(path) or PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OwnershipError as problem:
        raise _refusal(problem) from None
    except OSError as error:
        raise os_error(error, folder) from error
    check_files(path, owner)
    try:
        create_file(path)
    except OSError as error:
        raise os_error(error, path) from error


def check_files(path: Path, owner: Owner = None) -> None:
    """Checks a state file and those beside it, and takes away the rights of other users to them; does not open them.

    Raises:
        FailedPrecondition: one of them is a link, or belongs to another user.
    """
    try:
        for suffix in ("", "-wal", "-shm", "-journal", "-turns", "-reserve"):
            check_file(f"{path}{suffix}", owner)
    except OwnershipError as problem:
        raise _refusal(problem) from None
    except OSError as error:
        raise os_error(error, path) from error


def os_error(error: OSError, path: Path) -> Error:
    """Says in ``micro.Error`` what the system said about a path of the state folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return cause_of(path) or no_space(path)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return no_descriptors(path)
    if error.errno == errno.EROFS and (cause := cause_of(path)) is not None:
        return cause
    if error.errno in (*_OF_RIGHTS, *_OF_THE_PATH):
        return FailedPrecondition(
            f"{path} cannot be written ({error.strerror}): make it writable, or set MICRO_HOME to a folder that is"
        )
    return Unavailable(f"{path} cannot be used ({error.strerror or error}); MICRO_HOME can name another folder")


def _refusal(problem: OwnershipError) -> FailedPrecondition:
    option = f", or accept that with MICRO_HOME_OWNER={problem.owner}" if problem.owner else ""
    return FailedPrecondition(f"{problem}, set MICRO_HOME to a folder of your own{option}")


def _home(home: str | os.PathLike[str] | None) -> Path:
    if home or (home := variable("MICRO_HOME")):
        return _absolute(os.fspath(home), "MICRO_HOME")
    if base := os.environ.get("XDG_STATE_HOME"):
        return _absolute(base, "XDG_STATE_HOME") / "micro-rt"
    return _user_folder() / ".local" / "state" / "micro-rt"


def _absolute(text: str, setting: str) -> Path:
    """Returns a path with its ``~`` expanded.

    Raises:
        FailedPrecondition: it is relative: processes with other current folders would not meet.
    """
    path = Path(text)
    if path.parts[:1] == ("~",):
        path = _user_folder().joinpath(*path.parts[1:])
    elif text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise FailedPrecondition(
                f"{setting}={text[:200]!r} names a user that does not exist: write the path"
            ) from None
    if not path.is_absolute() or "\0" in text:
        raise FailedPrecondition(
            f"{setting}={text[:200]!r} is not an absolute path: write one, such as /var/lib/micro-rt"
        )
    return path


def _user_folder() -> Path:
    """Returns the user's home folder: of ``HOME``, or if that is not set or empty, of the system's list of users."""
    try:
        if sys.platform != "win32" and not os.environ.get("HOME"):
            home = Path(pwd.getpwuid(os.getuid()).pw_dir)
        else:
            home = Path.home()
    except (RuntimeError, KeyError) as error:
        raise FailedPrecondition("there is no home folder to keep state in: set MICRO_HOME") from error
    if not home.is_absolute():
        raise FailedPrecondition(f"HOME={str(home)[:200]!r} is not an absolute path: set it to one, or set MICRO_HOME")
    return home
