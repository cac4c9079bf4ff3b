"""What installed distributions have: modules of .proto files, and packages that would hide generated ones.

Nothing is imported to find out: a .proto may be called like any module, and importing one runs its code.
"""

# ruff: noqa: PTH112, PTH113, PTH119 - importing pathlib takes a tenth of the time of a small run.

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from os import path as os_path

__all__ = ["hidden_by", "installed_modules", "site_folders"]


def site_folders() -> list[str]:
    """Returns the folders of this Python in which distributions are installed.

    The other folders of ``sys.path`` may hold what the generator wrote before.
    """
    return [folder for folder in sys.path if os_path.basename(folder) in ("site-packages", "dist-packages")]


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
