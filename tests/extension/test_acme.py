"""A third party's backends: written from the public modules alone, in a distribution of their own, installed, proven and used.

``acme-micro`` beside this file has a registry, a broker, a selector, a codec and a transport.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_public import PUBLIC

ROOT = Path(__file__).parent.parent.parent
PROJECT = Path(__file__).parent / "acme-micro"
SOURCES = sorted(PROJECT.rglob("*.py"))
PAGE = ROOT / "docs" / "extending.md"


def is_public(module: str) -> bool:
    """Whether a module is one that others may import, by what docs/architecture.md says is public."""
    return module in PUBLIC


def imported(source: str) -> Iterator[tuple[str, list[str]]]:
    """Yields every module that a file imports, with the names that it imports from there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level
            yield node.module, [alias.name for alias in node.names]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, away from this checkout."""
    return shutil.copytree(PROJECT, tmp_path_factory.mktemp("acme") / "acme-micro")


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    """A folder with the distribution installed in it."""
    site = project.parent / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    # Nothing is fetched: what builds it, and what it needs, is in this environment.
    run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site), str(project))
    return site


def run(*command: str, cwd: Path | None = None, path: Path | None = None) -> str:
    """Runs a program that finds micro-rt and what is installed in a folder; returns what it writes."""
    found = os.pathsep.join(str(each) for each in (path, ROOT, ROOT / "protoc-gen-micro") if each is not None)
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}, "PYTHONPATH": found}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, f"{command}\n{done.stdout[-20_000:]}\n{done.stderr[-5000:]}"
    return done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_it_imports_public_names_of_public_modules_alone(path: Path) -> None:
    for module, names in imported(path.read_text()):
        if module.partition(".")[0] == "micro_rt":
            assert is_public(module)
            assert set(names) <= set(importlib.import_module(module).__all__)


def test_what_is_private_is_known() -> None:
    assert SOURCES
    for module in (
        "micro_rt.kit.pipe",
        "micro_rt.registry.watch",
        "micro_rt.backends.memory.broker",
        "micro_rt.service",
    ):
        assert not is_public(module)


@pytest.mark.parametrize(
    "part", ["Registry", "Broker", "LongestIdle or FewestCalls or Codec", "Transport", "folder or link"]
)
def test_its_suites_pass(part: str, project: Path, site: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", part)
    summary = run(*command, cwd=project, path=site).splitlines()[-1]
    assert re.search(r"\d+ passed", summary), summary
    assert "failed" not in summary


def test_services_work_on_its_parts_alone(site: Path, tmp_path: Path) -> None:
    assert "all went well" in run(
        sys.executable, "-m", "tests.extension.whole_service", str(tmp_path), cwd=ROOT, path=site
    )


def test_a_missing_library_is_named_as_the_third_party_declares_it(site: Path) -> None:
    script = """
import asyncio, micro_rt
async def main():
    async with micro_rt.Service("x", registry="memory:", broker="acme-wire:") as service:
        try:
            await service.broker()
        except micro_rt.Error as error:
            print(error.message)
asyncio.run(main())
"""
    message = run(sys.executable, "-c", script, path=site)
    assert message.strip() == (
        "broker='acme-wire' needs acme_wire, which is not installed: pip install \"acme-micro[wire]\""
    )


def test_the_page_shows_code_of_it() -> None:
    """Every block of code in the page is in the project, line by line."""
    shown = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(shown) >= 5
    files = [path.read_text() for path in (*SOURCES, PROJECT / "pyproject.toml")]
    for block in shown:
        # A line of dots stands for what is left out.
        for piece in re.split(r"^ *\.\.\.\n", block, flags=re.MULTILINE):
            assert any(piece.strip("\n") in text for text in files), piece
