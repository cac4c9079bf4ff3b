"""The benchmark of messages runs, says what it measured, and names the peer that is not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_job_is_told_for_every_subject() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MICRO_BENCH_BETTERPROTO2"}
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1", "messages"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for job in ("small, construct and encode", "small, decode and read", "reply, construct and encode"):
        assert f"{job}: a message of " in done.stdout
    for subject in ("micro, messages=betterproto", "micro, messages=protobuf (upb)", "betterproto 2.0.0b7"):
        assert len(re.findall(rf"^{re.escape(subject)} +[\d.,]+ \[", done.stdout, re.MULTILINE)) == 4
    assert done.stdout.count("betterproto2 is not measured: it needs an environment of its own.") == 4
