"""Another operating system, as far as this one can pretend: what Windows and macOS lack is missing.

A program that a test starts calls ``simulate`` before it imports anything of the project. What the standard library and the
project's dependencies import is loaded before, because they deal with each system themselves.
"""

from __future__ import annotations

import asyncio
import asyncio.unix_events
import functools
import importlib
import io
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Literal, TypeAlias

Platform: TypeAlias = Literal["win32", "darwin"]

PACKAGES = ("micro_rt", "protoc_gen_micro")

MODULES: dict[Platform, tuple[str, ...]] = {
    "win32": (
        "_posixsubprocess",
        "fcntl",
        "grp",
        "posix",
        "pty",
        "pwd",
        "resource",
        "syslog",
        "termios",
        "tty",
        "uvloop",
    ),
    "darwin": (),
}
"""Modules that cannot be imported. ``uvloop`` does not exist for Windows."""

_LINUX_SOCKETS = ("SO_BINDTODEVICE", "SO_PEERCRED", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT")
_LINUX_TIME = ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_COARSE", "CLOCK_REALTIME_COARSE", "CLOCK_TAI")
_LINUX_OS = (
    "copy_file_range",
    "eventfd",
    "memfd_create",
    "pidfd_open",
    "sched_getaffinity",
    "sched_setaffinity",
    "splice",
)

NAMES: dict[Platform, dict[ModuleType, tuple[str, ...]]] = {
    "win32": {
        os: (
            *_LINUX_OS,
            *("O_CLOEXEC", "O_DIRECTORY", "O_DSYNC", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "WNOHANG"),
            *("chown", "chroot", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups"),
            *("getloadavg", "getpgid", "getpgrp", "getpriority", "getsid", "getuid", "initgroups", "killpg", "lchown"),
            *("lockf", "mkfifo", "mknod", "nice", "openpty", "posix_spawn", "pread", "preadv", "pwrite", "pwritev"),
            *("register_at_fork", "sched_yield", "sendfile", "setegid", "seteuid", "setgid", "setpgid", "setsid"),
            *("setuid", "statvfs", "sync", "sysconf", "ttyname", "uname", "wait", "waitid", "writev"),
        ),
        signal: (
            *(
                "SIGALRM",
                "SIGCHLD",
                "SIGCONT",
                "SIGHUP",
                "SIGIO",
                "SIGKILL",
                "SIGPIPE",
                "SIGQUIT",
                "SIGSTOP",
                "SIGTSTP",
            ),
            *(
                "SIGTTIN",
                "SIGTTOU",
                "SIGURG",
                "SIGUSR1",
                "SIGUSR2",
                "SIGWINCH",
                "SIG_BLOCK",
                "SIG_SETMASK",
                "SIG_UNBLOCK",
            ),
            *(
                "alarm",
                "pause",
                "pthread_kill",
                "pthread_sigmask",
                "setitimer",
                "sigpending",
                "sigwait",
                "siginterrupt",
            ),
        ),
        socket: (*_LINUX_SOCKETS, "AF_UNIX", "CMSG_LEN", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SCM_RIGHTS", "SO_REUSEPORT"),
        time: (
            *_LINUX_TIME,
            "CLOCK_MONOTONIC",
            "CLOCK_REALTIME",
            "clock_getres",
            "clock_gettime",
            "clock_gettime_ns",
            "tzset",
        ),
        asyncio: ("open_unix_connection", "start_unix_server"),
    },
    "darwin": {os: _LINUX_OS, signal: ("SIGPWR", "SIGRTMAX", "SIGRTMIN"), socket: _LINUX_SOCKETS, time: _LINUX_TIME},
}
"""Names that modules of the standard library do not have there."""

LOOP_METHODS = ("add_signal_handler", "create_unix_connection", "create_unix_server", "remove_signal_handler")
"""Methods of an event loop that raise ``NotImplementedError`` on Windows."""


def simulate(platform: Platform) -> None:
    """Has this process lack what a platform lacks, from now on."""
    for name in modules():
        importlib.import_module(name)
    for name in list(sys.modules):
        if name.partition(".")[0] in PACKAGES:
            del sys.modules[name]
    for name in MODULES[platform]:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Missing(MODULES[platform]))
    socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)  # Windows has one without Unix sockets.
    for module, names in NAMES[platform].items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    if sys.version_info >= (3, 13):
        os.process_cpu_count = os.cpu_count  # It calls `sched_getaffinity`, which it is defined without there.
    if platform == "win32":
        for name in LOOP_METHODS:
            setattr(asyncio.unix_events._UnixSelectorEventLoop, name, getattr(asyncio.AbstractEventLoop, name))  # type: ignore[attr-defined]
    io.open = _without_proc(io.open)  # type: ignore[assignment]
    sys.platform = platform


def modules() -> Iterator[str]:
    """Yields the name of every module of the project."""
    for package in PACKAGES:
        yield package
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                yield module.name


class _Missing(MetaPathFinder):
    """Finds modules that are not there, and says so."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _without_proc(real: Callable[..., Any]) -> Callable[..., Any]:
    """Makes of ``open`` one for a system without ``/proc``."""

    def opened(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file).startswith("/proc/"):
            raise FileNotFoundError(2, "No such file or directory", str(file))
        return real(file, *arguments, **options)

    return opened
