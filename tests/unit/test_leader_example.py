"""The example of leader election, as ``make demo`` runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_one_leads_at_a_time_though_one_is_killed_and_one_hangs() -> None:
    command = [sys.executable, "examples/leader/demo.py"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    leaders = re.findall(r"^   (\w+) leads, term (\d+)$", done.stdout, re.MULTILINE)
    names = [name for name, _ in dict.fromkeys(leaders)][:3]
    assert len(set(names)) == 3, done.stdout
    terms = [int(term) for _, term in leaders]
    assert terms == sorted(terms)
    assert re.search(rf"{names[1]} (leads no more|wrote too late)", done.stdout), done.stdout
    runs = re.findall(r"jobs (\d+) to (\d+) were run by (\w+)", done.stdout)
    assert [who for _, _, who in runs] == [names[0], names[1], names[2], names[2]]
    numbers = [int(number) for first, last, _ in runs for number in (first, last)]
    assert numbers == sorted(numbers)
