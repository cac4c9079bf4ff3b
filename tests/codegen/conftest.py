from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.tools import FLOOR, NAMES, PROTOS, ROOT, protoc


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all test protos, by the plugin under protoc; only to be read."""
    out = tmp_path_factory.mktemp("generated")
    protoc(out, [PROTOS, ROOT], NAMES)
    return out


@pytest.fixture(scope="session")
def floor() -> Path:
    """A Python with the oldest protobuf that is supported; kept in the user's cache folder."""
    cache = os.environ.get("MICRO_SERVER_CACHE") or Path.home() / ".cache" / "micro-rt-tests"
    folder = Path(cache) / f"protobuf-{FLOOR}-python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", f"protobuf=={FLOOR}"]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            if os.environ.get("MICRO_REQUIRE_SERVERS") == "1":
                raise AssertionError(f"protobuf {FLOOR} cannot be installed:\n{installed.stderr}")
            pytest.skip(f"protobuf {FLOOR} cannot be installed: no package index can be reached")
        (folder / "ready").touch()
    return python
