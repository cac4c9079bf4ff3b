"""Runs one program, and ends it when whoever started this goes: ``guard.py [--user=NAME] [--remove=FOLDER] PROGRAM …``.

A test run can end in ways that run no cleanup: SIGTERM and SIGKILL. The run holds the other end of this process's stdin,
and the system closes that whatever the run died of. The guard then asks the program to stop, kills it if it does not, and
removes the folder. Should the guard itself be killed, the system kills the program (``PR_SET_PDEATHSIG``, where there is
such a thing). Both live in a session of their own, so that Ctrl-C in a terminal reaches the run alone, which stops
servers in good order.

The program's pid is written to stdout, its output and errors both go to stderr, and the guard exits as it does (128 and
the signal's number, if it was killed).
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

PR_SET_PDEATHSIG = 1
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
    os.set_blocking(tell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell)
    account = pwd.getpwnam(user) if user else None
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
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

    while program.poll() is None:
        readable, _, _ = select.select([0, ended], [], [])
        if ended in readable:
            os.read(ended, 4096)
        if 0 in readable and not os.read(0, 4096):
            end(program)
            if remove:
                shutil.rmtree(remove, ignore_errors=True)
    code = program.returncode
    return code if code >= 0 else 128 - code


def end(program: subprocess.Popen[bytes]) -> None:
    """Nobody is left who could say how to stop it: SIGTERM, and SIGKILL to what does not go."""
    program.send_signal(signal.SIGCONT)
    program.terminate()
    try:
        program.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
