"""The README's page, taken out of the README and run as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.test_distribution import patient

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Every block of the README that begins with the name of a file, as that file."""
    blocks = re.findall(
        r"^```\w+\n(?://|#) (\S+\.\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert {name for name, _ in blocks} == {
        "greeter.proto",
        "server.py",
        "client.py",
        "pyproject.toml",
        "test_greeter.py",
    }
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    return tmp_path


def run(*command: str, cwd: Path) -> str:
    env = {**os.environ, "MICRO_HOME": str(cwd / "home")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_page_runs_as_written(page: Path) -> None:
    patient(page / "client.py")
    run("micro_rt.cli.main", "generate", "greeter.proto", cwd=page)
    env = {**os.environ, "MICRO_HOME": str(page / "home")}
    servers = [
        subprocess.Popen([sys.executable, "server.py"], cwd=page, env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for server in servers:
            assert server.stderr is not None
            assert "registered as greeter" in server.stderr.readline()
        client = subprocess.run(
            [sys.executable, "client.py"], cwd=page, env=env, capture_output=True, text=True, check=False
        )
        assert client.stdout.splitlines() == ["Hello Ada", "Hello Grace", "Hello Ada", "Hello Grace", "Hello Barbara"]
        assert client.returncode == 0, client.stderr
    finally:
        for server in servers:
            server.terminate()
            server.communicate(timeout=30)
    assert [server.returncode for server in servers] == [0, 0, 0]


def test_the_readmes_page_is_clean_under_both_checkers_and_its_test_passes(page: Path) -> None:
    run("micro_rt.cli.main", "generate", "greeter.proto", cwd=page)
    run("mypy", "--strict", "server.py", "client.py", "test_greeter.py", cwd=page)
    (page / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    assert "0 errors, 0 warnings" in run("pyright", "--pythonpath", sys.executable, cwd=page)
    run("pytest", "-q", "test_greeter.py", cwd=page)


def test_the_greeter_example_is_clean_under_both_checkers(tmp_path: Path) -> None:
    for path in (ROOT / "examples" / "greeter").iterdir():
        if path.suffix in {".py", ".proto"}:
            (tmp_path / path.name).write_text(path.read_text())
    run("micro_rt.cli.main", "generate", "greeter.proto", cwd=tmp_path)
    run("mypy", "--strict", "server.py", "client.py", "demo.py", cwd=tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    assert "0 errors, 0 warnings" in run("pyright", "--pythonpath", sys.executable, cwd=tmp_path)
