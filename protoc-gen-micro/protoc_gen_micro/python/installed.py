"""What installed distributions have: modules of .proto files, and packages that would hide generated ones.

Nothing is imported to find out: a .proto may be called like any module, and importing one runs its code.
"""

# ruff: noqa: PTH109, PTH112, PTH113, PTH118, PTH119, PTH120, PTH123, PTH208 - importing pathlib takes a tenth of the time of a small run.

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from os import path as os_path
from typing import cast

__all__ = ["editable_folders", "has_package", "hidden_by", "installed_modules", "site_folders"]


def site_folders() -> list[str]:
    """Returns the folders of this Python in which distributions are installed.

    The other folders of ``sys.path`` may hold what the generator wrote before.
    """
    return [folder for folder in sys.path if os_path.basename(folder) in ("site-packages", "dist-packages")]


def editable_folders(folders: Iterable[str]) -> list[str]:
    """Returns the folders that distributions are installed from in place (``pip install --editable``).

    The folders of the project that the generator runs in are left out: the generator may write into them.

    Args:
        folders: where distributions are installed; their ``.pth`` files name the other folders.
    """
    found: dict[str, None] = {}
    for folder in folders:
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".pth"))
        except OSError:
            continue
        for name in names:
            found.update(dict.fromkeys(_listed_in(folder, name)))
    # What setuptools installs so may be found by code: Python has run it when it started.
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            packages = getattr(module, "MAPPING", None)
            if isinstance(packages, dict):
                places = cast("dict[object, object]", packages).values()
                found.update(dict.fromkeys(os_path.dirname(f"{place}") for place in places))
    try:
        here = os_path.realpath(os.getcwd())
    except OSError:  # The current folder was removed.
        here = ""
    return [folder for folder in found if not f"{here}/".startswith(f"{_project(folder).rstrip('/')}/")]


def _listed_in(folder: str, name: str) -> Iterator[str]:
    """Yields the folders that a ``.pth`` file adds to the path."""
    try:
        with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST).splitlines()
    except OSError:
        return
    for line in lines:
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and "\0" not in line:
            place = os_path.join(folder, line.rstrip())
            if os_path.isdir(place):
                yield place


_LONGEST = 65536
"""How many characters of a ``.pth`` file are read."""


def _project(folder: str) -> str:
    """Returns the folder of the project that a folder belongs to, or the folder itself."""
    folder = os_path.realpath(folder)
    place = folder
    while True:
        if any(os_path.isfile(f"{place}/{name}") for name in ("pyproject.toml", "setup.py", "setup.cfg")):
            return place
        above = os_path.dirname(place)
        if above == place:
            return folder
        place = above


def installed_modules(paths: Iterable[str], suffix: str, folders: Sequence[str]) -> dict[str, str]:
    """Returns the modules of .proto files that are installed where protoc would write them.

    Args:
        paths: the .proto files.
        suffix: what the names of message modules end with.
        folders: where distributions are installed.
    """
    found: dict[str, str] = {}
    tops: dict[str, list[str]] = {}
    for path in paths:
        top, slash, _ = path.partition("/")
        if top not in tops:
            tops[top] = [folder for folder in folders if slash and os_path.isdir(f"{folder}/{top}")]
        if not tops[top]:
            continue
        module = path.removesuffix(".proto").replace("-", "_") + suffix
        if not all(part.isidentifier() for part in module.split("/")):
            continue
        if any(os_path.isfile(f"{folder}/{module}.py") for folder in tops[top]):
            found[path] = module.replace("/", ".")
    return found


def has_package(name: str, folders: Iterable[str]) -> bool:
    """Returns whether one of the folders has a package.

    Args:
        name: of the package, at the import root.
        folders: where Python looks for modules.
    """
    return any(os_path.isfile(f"{folder}/{name}/__init__.py") for folder in folders)


def hidden_by(module: str, folders: Sequence[str]) -> str:
    """Returns the installed package in which Python would look for a module at the import root, or an empty string.

    Python finds a folder without ``__init__.py`` only where no other folder with its name has one, wherever that is. A
    package that holds the module itself is no such package: it is an installed copy of the same code.

    Args:
        module: the module, as the import root sees it.
        folders: where distributions are installed.
    """
    packages = module.split(".")[:-1]
    for folder in folders:
        place = folder
        for index, package in enumerate(packages):
            place = f"{place}/{package}"
            if os_path.isfile(f"{place}/__init__.py") or os_path.isfile(f"{place}.py"):
                if os_path.isfile(f"{folder}/{module.replace('.', '/')}.py"):
                    break
                return ".".join(packages[: index + 1])
            if not os_path.isdir(place):
                break
    return ""
