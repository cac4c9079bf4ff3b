"""Runs one program, and ends it when whoever started this goes: ``guard.py [--user=NAME] [--remove=FOLDER] PROGRAM …``.

A test run can end in ways that run no cleanup: SIGTERM and SIGKILL. The run holds the other end of this process's stdin,
and the system closes that whatever the run died of. The guard then asks the program to stop, kills it if it does not, and
removes the folder. Should the guard itself be killed, the system kills the program (``PR_SET_PDEATHSIG``, where there is
such a thing). Both live in a session of their own, so that Ctrl-C in a terminal reaches the run alone, which stops
servers in good order.

The program's pid is written to stdout, its output and errors both go to stderr, and the guard exits as it does (128 and
the signal's number, if it was killed). What the program started and left behind is killed then, and gone when the guard is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 5.0


def main(arguments: list[str]) -> int:
    user = remove = ""
    while arguments[0].startswith("--"):
        name, _, value = arguments.pop(0).partition("=")
        if name == "--user":
            user = value
        elif name == "--remove":
            remove = value
        else:
            raise SystemExit(f"guard: no option {name}")

    ended, tell = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(tell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell)
    account = pwd.getpwnam(user) if user else None
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if prctl:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()

    def bind() -> None:
        if account:  # Changing the user clears the signal that is asked for below.
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:
                os._exit(1)

    try:
        program = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=2, stderr=2, preexec_fn=bind)
    except OSError as error:
        print(f"error: {error}", flush=True)
        return 127
    with contextlib.suppress(BrokenPipeError):
        print(program.pid, flush=True)

    watched = [0, ended]
    deadline = None
    while (code := reap(program.pid)) is None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select(watched, [], [], left)
        if ended in readable:
            os.read(ended, 4096)
        if 0 in readable and not os.read(0, 4096):
            # Nobody is left who could say how to stop it: SIGTERM, and SIGKILL to what does not go.
            watched.remove(0)
            send(program.pid, signal.SIGCONT, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
        elif deadline is not None and time.monotonic() >= deadline:
            send(program.pid, signal.SIGKILL)
            deadline = None
    program.returncode = code  # Or it would be waited for again.
    end_orphans()
    if remove and 0 not in watched:
        shutil.rmtree(remove, ignore_errors=True)
    return code if code >= 0 else 128 - code


def send(pid: int, *numbers: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        for number in numbers:
            os.kill(pid, number)


def reap(program: int) -> int | None:
    """Takes leave of every child that has ended, and returns the program's exit code if it was one of them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # Nobody is left.
            return 1 if code is None else code
        if not pid:
            return code
        if pid == program:
            code = os.waitstatus_to_exitcode(status)


def end_orphans() -> None:
    """Kills what came from the program; its parents are gone, so it has become this process's, which waits for it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for stat in Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(OSError):
                    pid, _, rest = stat.read_text().partition(" (")
                    if int(rest.rpartition(") ")[2].split()[1]) == os.getpid():
                        send(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
