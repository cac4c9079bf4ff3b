"""What a part of ``make verify`` came to: kept until the files change, and shown on the page."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["PAGE", "Result", "Source", "Test", "write_page"]

PAGE = "docs/verify.md"
"""The page, which is not one of the files that are tested."""

_HEAD = """\
# What `make verify` measured

`make verify` writes this page; do not edit it. The command runs the long tests in full, part by part, and keeps the last
figures of each part here, with the commit and the date. `make test` runs the same tests at about a hundredth of the size.

- `make verify` runs every part that has not passed with the present files.
- `make verify ARGS=events` runs one part, `make verify ARGS="registry events"` two; `ARGS=--again` runs what has passed, too.
- `make verify ARGS=--list` lists the parts.

Seconds and rates depend on the machine; counts of what was lost do not.

| part | test | figures | seconds | commit | date |
|---|---|---|---:|---|---|
"""


@dataclass(frozen=True)
class Source:
    """The files that are tested."""

    commit: str
    """The last commit's short id, with ``+`` behind it if there are changes; empty outside a repository."""
    tree: str
    """Stands for the files' contents, whatever the commit; empty outside a repository."""

    @classmethod
    def of(cls, root: Path) -> Self:
        """Looks at a checkout; files that git ignores and the page itself do not count."""
        try:
            commit = _git(root, "rev-parse", "--short", "HEAD")
            with tempfile.TemporaryDirectory() as folder:
                index = str(Path(folder) / "index")

                def tree(*read: str) -> str:
                    _git(root, *read, index=index)
                    _git(root, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", PAGE, index=index)
                    return _git(root, "write-tree", index=index)

                clean = tree("read-tree", "HEAD")
                found = tree("add", "--all", "--", ".")
        except (OSError, subprocess.CalledProcessError):
            return cls("", "")
        return cls(commit if found == clean else f"{commit}+", found)


def _git(root: Path, *arguments: str, index: str = "") -> str:
    environment = {**os.environ, "GIT_INDEX_FILE": index} if index else None
    done = subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Test:
    """What became of a test."""

    __test__ = False

    name: str
    outcome: str
    seconds: float
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What became of a part."""

    part: str
    passed: bool
    seconds: float
    source: Source
    date: str
    tests: list[Test]

    @classmethod
    def load(cls, folder: Path, part: str) -> Self | None:
        """Returns the last result of a part, if there is one."""
        try:
            found = json.loads((folder / f"{part}.json").read_text())
        except FileNotFoundError:
            return None
        return cls(**{**found, "source": Source(**found["source"]), "tests": [Test(**each) for each in found["tests"]]})

    def save(self, folder: Path) -> None:
        """Keeps the result as the last one of its part."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.part}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(self), indent=1))
        path.with_suffix(".new").rename(path)

    def holds_for(self, source: Source) -> bool:
        """Returns whether the part has passed with these files."""
        return self.passed and bool(source.tree) and self.source.tree == source.tree


def write_page(root: Path, parts: Iterable[str], results: Iterable[Result]) -> None:
    """Writes the page anew: with new rows for these results, and the rows that it had for other parts."""
    page = root / PAGE
    rows: dict[str, list[str]] = {part: [] for part in parts}
    for line in page.read_text().splitlines() if page.exists() else ():
        part = line.removeprefix("| ").partition(" |")[0]
        if line.startswith("| ") and part in rows:
            rows[part].append(line)
    for result in results:
        rows[result.part] = [_row(result, test) for test in result.tests]
    page.parent.mkdir(exist_ok=True)
    page.write_text(_HEAD + "".join(f"{row}\n" for each in rows.values() for row in each))


def _row(result: Result, test: Test) -> str:
    figures = ", ".join(f"{name} {_shown(value)}" for name, value in test.figures.items())
    if test.outcome != "passed":
        figures = f"**{test.outcome}**{': ' if figures else ''}{figures}"
    cells = [result.part, f"`{test.name}`", figures, f"{test.seconds:.0f}", result.source.commit or "?", result.date]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
