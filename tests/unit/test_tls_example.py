"""The example of TLS, as ``make demo`` runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_calls_go_on_while_certificates_change_and_a_stranger_is_told_why() -> None:
    command = [sys.executable, "examples/tls/demo.py"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"with a certificate +Hello Ada\n", done.stdout), done.stdout
    assert re.search(r"[1-9]\d* calls, none failed\n", done.stdout), done.stdout
    assert re.search(r"without one .*no certificate was presented", done.stdout), done.stdout
    assert re.search(r"the server's log: .*is refused: no certificate was presented\n", done.stdout), done.stdout
