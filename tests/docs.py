"""The documentation as data, and as the pages that the site is built from.

``python -m tests.docs FOLDER`` writes every page into a folder: README.md as the start page, and links to other files of
the repository as links to where it is published (``make docs``).
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

__all__ = ["ROOT", "Link", "anchors", "links", "pages", "project"]

ROOT = Path(__file__).parent.parent

_ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
"""Pages in the root of the repository, and what the site calls them."""

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2`*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")


@dataclass(frozen=True)
class Link:
    """A link from a page to a file of the repository."""

    page: str
    line: int
    path: str
    """The file, relative to the repository; ``..`` at the start if it is outside."""
    anchor: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.path}{'#' * bool(self.anchor)}{self.anchor}"


def project() -> dict[str, Any]:
    """Returns the ``project`` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def pages() -> list[str]:
    """Returns every page of the documentation, relative to the repository."""
    return [*_ROOT_PAGES, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def links(page: str, text: str | None = None) -> Iterator[Link]:
    """Yields the links of a page that name no scheme. Code blocks and comments have none.

    Args:
        page: relative to the repository.
        text: of the page; read from the file if it is not given.
    """
    for match in _LINK.finditer(_blanked(_read(page) if text is None else text)):
        if not _SCHEME.match(match[0]):
            path, _, anchor = match[0].partition("#")
            line = match.string.count("\n", 0, match.start()) + 1
            yield Link(page, line, _resolved(page, path) if path else page, anchor)


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", _blanked(text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        base = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchor, number = base, 0
        while anchor in found:
            number += 1
            anchor = f"{base}-{number}"
        found.add(anchor)
    return found


def write(folder: Path, repository: str) -> None:
    """Writes the pages of the site.

    Args:
        folder: where to; what it holds stays.
        repository: URL of a folder of the published repository, which links to other files become links to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for page in pages():
        place = folder / _place(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_site_text(page, repository))


def _site_text(page: str, repository: str) -> str:
    text, known = _read(page), set(pages())
    blanked = _blanked(text)

    def moved(match: re.Match[str]) -> str:
        target = match[0]
        if _SCHEME.match(target) or target.startswith("#") or blanked[match.start() : match.end()] != target:
            return target
        path, mark, anchor = target.partition("#")
        file = _resolved(page, path)
        if file in known:
            return f"{'../' * (len(PurePosixPath(_place(page)).parts) - 1)}{_place(file)}{mark}{anchor}"
        return f"{repository}/{file}{mark}{anchor}"

    return _LINK.sub(moved, text)


def _place(page: str) -> str:
    return _ROOT_PAGES.get(page) or page.removeprefix("docs/")


def _resolved(page: str, path: str) -> str:
    return normpath((PurePosixPath(page).parent / path).as_posix())


def _read(page: str) -> str:
    return (ROOT / page).read_text()


def _blanked(text: str) -> str:
    """Returns a text of the same length and lines, with spaces for code blocks and comments."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return re.sub(r"<!--.*?-->", blank, _FENCE.sub(blank, text), flags=re.DOTALL)


if __name__ == "__main__":
    write(Path(sys.argv[1]), f"{project()['urls']['Source']}/blob/main")
