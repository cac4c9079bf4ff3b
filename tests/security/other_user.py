"""Another user of this machine, as far as a test can play one: it needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OTHER = 61_234
"""The id of a user that owns nothing."""

needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files to another user, and become one"
)

_BECOMES = """
import asyncio, ctypes, os, sys
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry

os.setgroups([])
os.setgid({OTHER})
os.setuid({OTHER})
"""


def give(*paths: Path) -> None:
    """Gives files and folders, or the links themselves, to the other user."""
    for path in paths:
        os.chown(path, OTHER, OTHER, follow_symlinks=False)


def run_as_other(program: str, *arguments: object) -> str:
    """Runs a Python program as the other user, and returns what it prints.

    It uses what is imported before it: Python and the checkout may not be open to the other user.
    """
    done = subprocess.run(
        [sys.executable, "-c", _BECOMES.format(OTHER=OTHER) + textwrap.dedent(program), *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter and none but this one can write, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp(prefix="micro-rt-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
