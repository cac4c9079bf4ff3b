"""What to install when a library of a backend is missing, as the distribution that has the backend declares it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution

__all__ = ["remedy"]


def remedy(point: EntryPoint, module: str) -> str:
    """Returns what is missing and how to install it.

    Args:
        point: the entry point of the backend, which could not be loaded.
        module: the module that is missing.
    """
    if point.module == module or point.module.startswith(f"{module}."):
        return f"cannot be loaded: its entry point names {point.value}, and there is no module {module}"
    missing = f"needs {module}, which is not installed"
    dist = point.dist
    if dist is None:
        return missing
    requirement, extra = _requirement_for(dist, module, point.name)
    if extra:
        return f'{missing}: pip install "{dist.name}[{extra}]"'
    if requirement:
        return f"{missing}: {dist.name} requires {requirement}; pip install {requirement}"
    return f"{missing}; {dist.name} does not declare what brings it"


def _requirement_for(dist: Distribution, module: str, name: str) -> tuple[str, str]:
    """Returns the requirement of a distribution that brings a module, and the extra that the requirement belongs to.

    Nothing says which distribution brings a module that is not installed. So a requirement of the same name counts first.
    Otherwise one that is not installed counts, if it has no extra or that of the backend's name.

    Args:
        dist: whose requirements.
        module: that is missing.
        name: of the backend; where several extras bring the module, the extra of this name counts.

    Returns:
        The names of the requirement and of the extra; the second is empty if the requirement has none, both if there is none.
    """
    requirements = list(_requirements(dist))
    candidates = [each for each in requirements if _plain(each[0]) == _plain(module.partition(".")[0])]
    if not candidates:
        candidates = [each for each in requirements if each[1] in ("", name) and not _is_installed(each[0])]
    if not candidates:
        return "", ""
    return min(candidates, key=lambda each: (each[1] != name, bool(each[1]), each))


def _requirements(dist: Distribution) -> Iterator[tuple[str, str]]:
    """Yields the name and the extra, if any, of each requirement; not of those on the distribution itself."""
    for line in dist.requires or ():
        named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if named is not None and _plain(named[0]) != _plain(dist.name):
            extra = re.search(r"""\bextra\s*==\s*["']([^"']+)["']""", line)
            yield named[0], extra[1] if extra else ""


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _plain(name: str) -> str:
    """Returns a name without what often distinguishes a distribution from its module: ``consul`` of ``py-consul``."""
    folded = re.sub(r"[-_.]+", "-", name).lower()
    return re.sub(r"^(?:py|python)-|-(?:py|python)$", "", folded)
