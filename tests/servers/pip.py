"""What comes from the package index for Python: each file is verified by its hash, in ``hashes``.

To change a version, run ``echo NAME==VERSION | uv pip compile --generate-hashes --no-deps --no-header --no-annotate - -o
tests/servers/hashes/NAME.txt``, with a line for each package of the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.servers.cache import Say, Unobtainable, kept, run, show

__all__ = ["HASHES", "command", "python_with"]

HASHES = Path(__file__).parent / "hashes"


def command(python: str | Path, name: str, version: str) -> list[str | Path]:
    """Returns the command that installs a package, and verifies it.

    Args:
        python: the Python that pip runs on.
        name: of the package; ``hashes`` has a file for it.
        version: of the package.

    Raises:
        Unobtainable: the hashes of this version are not known.
    """
    file = HASHES / f"{name}.txt"
    if not file.exists() or f"{name}=={version} " not in file.read_text():
        raise Unobtainable(f"{file} has no hashes of {name} {version}: see tests/servers/pip.py")
    options = ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    return [python, "-m", "pip", "install", *options, "--requirement", file]


def python_with(name: str, version: str, say: Say = show) -> Path:
    """Returns a Python that has a package, in an environment of its own; it is made the first time.

    Args:
        name: of the package; ``hashes`` has a file for it.
        version: of the package.
        say: shows progress.

    Raises:
        Unobtainable: it cannot be installed, or another user can change the environment.
    """
    install = command("python", name, version)  # Before anything is made.

    def make(work: Path) -> Path:
        folder = work / "environment"
        run(f"{name} {version}", [sys.executable, "-m", "venv", folder], say, cwd=work)
        run(f"{name} {version}", [folder / "bin" / "python", *install[1:]], say, cwd=work)
        return folder

    # Of an environment that was moved, the scripts do not run, and its Python does.
    folder, _ = kept(f"{name}-{version}-environment-{sys.version_info.major}.{sys.version_info.minor}", make, say)
    return folder / "bin" / "python"
