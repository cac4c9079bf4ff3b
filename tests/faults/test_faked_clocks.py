"""The helper that gives a process another time of day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.faked_clocks import faked_clock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="libfaketime keeps its names elsewhere")


def test_a_process_runs_although_one_that_was_killed_had_its_id() -> None:
    script = "cd /dev/shm && touch sem.faketime_sem_$$ faketime_shm_$$ && echo $$ && LD_PRELOAD=$WANTED exec date +%s"
    clock = faked_clock("-1h")
    environment = {**os.environ, "WANTED": clock.pop("LD_PRELOAD"), **clock}
    shown = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    process, *now = shown.stdout.split()
    for each in Path("/dev/shm").glob(f"*faketime*_{process}"):
        each.unlink()
    assert shown.returncode == 0, shown.stderr
    assert 3000 < time.time() - int(now[0]) < 4000, "libfaketime has no effect"


def test_a_killed_process_leaves_nothing() -> None:
    script = (
        "import os, signal\n"
        "from tests.helpers.faked_clocks import leave_no_clock_files\n"
        "print(os.getpid(), os.environ['FAKETIME_SHARED'], flush=True)\n"
        "leave_no_clock_files()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, **faked_clock("-1h"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    shown = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    process, *names = shown.stdout.split()
    assert [name.endswith(f"_{process}") for name in names] == [True, True], shown.stderr
    assert [each.name for each in Path("/dev/shm").glob(f"*faketime*_{process}")] == []
