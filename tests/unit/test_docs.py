"""The documentation is complete and its links lead somewhere; so do the names that the packaging says of each backend."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import ROOT, anchors, links, pages, project, write

BACKENDS = sorted(path.name for path in (ROOT / "micro_rt" / "backends").iterdir() if (path / "__init__.py").is_file())

WITHOUT_LIBRARY = {"etcd", "grpc", "local", "memory"}
"""Backends that need nothing but the core, and so no extra."""

CORE = {"google", "micro_rt"}
"""What the core brings and every backend may import."""

PAGES = pages()
DOCS = [page for page in PAGES if page.startswith("docs/")]


def libraries(backend: str) -> set[str]:
    """Returns the libraries that a backend imports and the core does not bring."""
    found: set[str] = set()
    for path in (ROOT / "micro_rt" / "backends" / backend).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - CORE - sys.stdlib_module_names


def missing(page: str, text: str | None = None) -> Iterator[str]:
    """Yields the links of a page that lead nowhere."""
    for link in links(page, text):
        target = ROOT / link.path
        if link.path == page and text is not None:
            there = anchors(text)
        elif target.suffix == ".md" and target.is_file():
            there = anchors(target.read_text())
        else:
            there = set()
        if link.path.startswith("..") or not target.exists() or (link.anchor and link.anchor not in there):
            yield str(link)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_has_a_page_of_its_name(backend: str) -> None:
    assert f"docs/{backend}.md" in PAGES


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_is_found_by_its_name(backend: str) -> None:
    points = [points for group, points in project()["entry-points"].items() if group.startswith("micro_rt.")]
    assert [name for group in points for name, place in group.items() if f"backends.{backend}." in place]
    assert any(group.get(backend, "").startswith(f"micro_rt.backends.{backend}.") for group in points)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_that_needs_a_library_has_an_extra_of_its_name(backend: str) -> None:
    extras = project()["optional-dependencies"]
    if backend in WITHOUT_LIBRARY:
        assert not libraries(backend)
        assert not extras.get(backend)
    else:
        assert libraries(backend)
        assert extras[backend]
    if backend in extras:
        assert backend in re.split(r"[\[\],]", extras["all"][0])


def test_every_dependency_is_listed_with_its_reason() -> None:
    listed = (ROOT / "docs" / "dependencies.md").read_text()
    table = project()
    requirements = [
        *table["dependencies"],
        *(each for extra in table["optional-dependencies"].values() for each in extra),
    ]
    names = {re.split(r"[\[<>=; ]", each)[0] for each in requirements} - {"micro-rt"}
    assert not [
        name for name in sorted(names) if not re.search(rf"^\| .*\b{re.escape(name)}\b.* \|", listed, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    assert not list(missing(page))


@pytest.mark.parametrize(
    "link", ["nowhere.md", "docs/nowhere.md", "../outside.md", "#nowhere", "docs/events.md#nowhere", "LICENSE#nowhere"]
)
def test_the_check_of_links_reports(link: str) -> None:
    assert list(missing("README.md", f"# Here\n\nSee [it]({link}).\n"))


@pytest.mark.parametrize(
    "text", ["[it](#here)", "[it](docs/events.md)", "[it](https://nowhere)", "```\n[it](nowhere.md)\n```"]
)
def test_the_check_of_links_passes(text: str) -> None:
    assert not list(missing("README.md", f"# Here\n\n{text}\n"))


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set[str](), ["README.md"]
    while todo:
        page = todo.pop()
        if page not in reached:
            reached.add(page)
            todo += [link.path for link in links(page) if link.path in PAGES]
    assert reached == set(PAGES)


def test_the_site_lists_every_page_once(tmp_path: Path) -> None:
    write(tmp_path, "https://example.org")
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md"))
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(re.findall(r"[\w.-]+\.md", str(nav))) == written


def test_the_pages_of_the_site_link_to_each_other_and_to_the_repository(tmp_path: Path) -> None:
    write(tmp_path, "https://example.org")
    assert "](getting-started.md)" in (tmp_path / "index.md").read_text()
    assert "](https://example.org/examples/orders)" in (tmp_path / "index.md").read_text()
    assert "](https://example.org/examples/greeter)" in (tmp_path / "getting-started.md").read_text()
    assert "](contributing.md#add-a-backend)" in (tmp_path / "architecture.md").read_text()


def test_code_names_pages_that_exist() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.proto"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    files = tracked.stdout.split() or pytest.skip("not a checkout")
    named = {
        (file, page)
        for file in files
        if (ROOT / file).is_file()
        for page in re.findall(r"(?<![\w./-])docs/[\w-]+\.md", (ROOT / file).read_text())
    }
    assert named
    assert not [
        f"{file} names {page}"
        for file, page in sorted(named)
        if page not in PAGES and file != "tests/unit/test_docs.py"
    ]


def test_the_changelog_names_modules_that_exist() -> None:
    unreleased = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    moved = unreleased.split("### Moved modules")[1]
    for row in re.findall(r"^\| `\S+` \| (`.*`) \|$", moved, re.MULTILINE):
        for module in re.findall(r"`([\w.]+)`", row):
            place = (
                ROOT / ("protoc-gen-micro" if module.startswith("protoc_gen_micro") else "") / module.replace(".", "/")
            )
            assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module
