"""Runs the tests that depend on Python itself on the newest Python of this machine (``make test-newest``).

They are the units, the calls, the contracts and the tests of security: how deeply JSON may be nested depends on Python. Everything
else has run on the Python of ``make test``, and so has the contract on python-consul2, which needs an environment of its own for each
Python. The newest Python is looked for on the PATH and among the versions of pyenv; it gets an environment in ``.venv-newest``. Where
none is newer than the one of ``make test``, this says so; with ``MICRO_REQUIRE_SERVERS=1`` it fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["main"]

_ROOT = Path(__file__).parent.parent
_VENV = _ROOT / ".venv-newest"
_TESTS = [
    "tests/unit",
    "tests/calls",
    "tests/contracts",
    "tests/security",
    "--ignore=tests/contracts/test_python_consul2.py",
    # Variants of an engine whose difference is in its file, its server or its SQL, which no Python changes.
    *(
        "-k",
        "not FullSync and not OfTwoEngines and not ThroughPgBouncer and not OnPostgreSQL and not WithoutStaleReads",
    ),
]
_ASK = (
    "import ssl, sys, sysconfig, venv\n"
    "usable = sys.implementation.name == 'cpython' and sys.version_info.releaselevel == 'final'\n"
    "if usable and not sysconfig.get_config_var('Py_GIL_DISABLED'): print(*sys.version_info[:3])\n"
)

Version = tuple[int, ...]


def main(arguments: Sequence[str]) -> int:
    """Returns pytest's exit code; 0 or 1 if there is no newer Python.

    Args:
        arguments: options of pytest's.
    """
    present = sys.version_info[:2]
    version, python = max(
        ((version, python) for python in _candidates() if (version := _version(python))), default=((), Path())
    )
    if version[:2] <= present:
        print(f"test-newest: no Python newer than {_text(present)} on the PATH or in pyenv", flush=True)
        return 1 if os.environ.get("MICRO_REQUIRE_SERVERS") == "1" else 0
    print(f"test-newest: units, calls, contracts and security on Python {_text(version)} ({python})", flush=True)
    program = _environment(python, version)
    command = [str(program), "-m", "pytest", *_TESTS, *arguments]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode


def _candidates() -> Iterator[Path]:
    for folder in os.get_exec_path():
        yield from Path(folder).glob("python3.[0-9]*[0-9]")
    home = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    yield from Path(home, "versions").glob("*/bin/python3")


def _version(python: Path) -> Version | None:
    """Returns the version of a Python that can be used; None for anything else, such as pyenv's shim of another version."""
    try:
        said = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(map(int, said.split())) or None


def _environment(python: Path, version: Version) -> Path:
    """Returns the Python of an environment with all that the tests need; it is made if ``pyproject.toml`` has changed."""
    program, ready, project = _VENV / "bin" / "python", _VENV / ".ready", _ROOT / "pyproject.toml"
    made_for = ready.read_text() if ready.exists() else ""
    if made_for != _text(version) or ready.stat().st_mtime < project.stat().st_mtime:
        print(f"test-newest: setting up {_VENV.name} ...", flush=True)
        ready.unlink(missing_ok=True)
        subprocess.run([python, "-m", "venv", *(["--clear"] if made_for != _text(version) else []), _VENV], check=True)
        pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", ".[dev]"], cwd=_ROOT, check=True)
        ready.write_text(_text(version))
    return program


def _text(version: Version) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
