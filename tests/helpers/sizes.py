"""Sizes for both commands: ``make test`` runs a test at about a hundredth, ``make verify`` at its full size.

A test that counts something large names the part of ``make verify`` that it belongs to, and asks for its size::

    @pytest.mark.verify("events")
    async def test_nothing_is_lost(size: Size, figures: Figures) -> None:
        records = size(10_000, ci=200)
        …
        figures.add("published", published)

Only the size may depend on the command: what the test asserts is the same in both. ``figures`` go to ``docs/verify.md``.
A class that inherits its tests, as of a contract, names those that have a full size: ``verify("events", tests=[…])``.
The parts are listed in ``pyproject.toml`` (``verify_parts``). This module is a pytest plugin: ``tests/conftest.py`` loads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Figures", "Size"]

SLOW = 20.0
"""Seconds that a test may take in ``make test``; the summary names those that took longer."""
ALL = "all"

T = TypeVar("T")
_RECORDER = pytest.StashKey["Recorder"]()


class Size:
    """Returns the size of this run; sizes are numbers, or whatever else grows."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self.full = bool(item.config.getoption("--verify") and _parts(item))
        """Whether this is a run of ``make verify``."""

    @classmethod
    def of(cls, request: pytest.FixtureRequest) -> Self:
        """Does what the fixture ``size`` does, where a test has an argument of that name."""
        if request.node.get_closest_marker("verify") is None:
            pytest.fail("a test with two sizes is marked @pytest.mark.verify(part)", pytrace=False)
        return cls(request.node)

    def __call__(self, full: T, *, ci: T) -> T:
        """Returns ``full`` in ``make verify``, and ``ci`` in ``make test``; a number that is returned is a figure, too."""
        size = full if self.full else ci
        if isinstance(size, int | float):
            self._item.user_properties.append(("size", size))
        return size


class Figures:
    """What a test has counted or measured, for the page that ``make verify`` writes."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def add(self, name: str, value: float | str) -> None:
        """Adds a figure; a later one of the same name replaces it."""
        self._item.user_properties.append(("figure", [name, value]))

    def add_all(self, counts: DataclassInstance) -> None:
        """Adds each field of a dataclass."""
        for name, value in asdict(counts).items():
            self.add(name.replace("_", " "), value)


class Recorder:
    """Hears what becomes of the tests: tells which are slow, and writes the report that ``make verify`` reads."""

    def __init__(self, config: pytest.Config) -> None:
        self._titles = _titles(config)
        self._path: Path | None = config.getoption("--verify-report")
        self._full = bool(config.getoption("--verify"))
        self._parts: dict[str, list[str]] = {part: [] for part in self._titles}
        self._tests: dict[str, dict[str, Any]] = {}

    def found(self, test: str, part: str) -> None:
        """Notes that a test belongs to a part."""
        self._parts[part].append(test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._tests.setdefault(report.nodeid, {"outcome": "passed", "seconds": 0.0, "call": 0.0, "figures": {}})
        test["seconds"] += report.duration
        if report.when == "call":
            test["call"] = report.duration
        if report.outcome != "passed" and test["outcome"] != "failed":
            test["outcome"] = report.outcome
        sizes = [f"{value:,}" for name, value in report.user_properties if name == "size"]
        figures = dict(value for name, value in report.user_properties if name == "figure")
        test["figures"] = {**({"size": " and ".join(sizes)} if sizes else {}), **figures}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._full:
            return
        slow = {test: found["call"] for test, found in self._tests.items() if found["call"] > SLOW}
        for test, seconds in sorted(slow.items(), key=lambda pair: -pair[1]):
            terminalreporter.write_line(f"slow: {test}: {seconds:.0f} s; at most {SLOW:.0f} s, on a quiet machine")

    def pytest_sessionfinish(self) -> None:
        if self._path:
            parts = {part: {"title": self._titles[part], "tests": tests} for part, tests in self._parts.items()}
            self._path.write_text(json.dumps({"parts": parts, "tests": self._tests}))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify", "make verify")
    group.addoption(
        "--verify", metavar="PART", help=f"run the tests of one part at full size, and no others; or {ALL!r}"
    )
    group.addoption("--verify-report", metavar="FILE", type=Path, help="write figures and results as JSON")
    parser.addini("verify_parts", type="linelist", default=[], help="the parts of make verify, as `name: title`")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "verify(part, tests=...): the test, or these of a class, has a full size that a part of make verify runs",
    )
    if not hasattr(config, "workerinput"):  # What a worker of pytest-xdist has to report, the whole run hears.
        config.stash[_RECORDER] = Recorder(config)
        config.pluginmanager.register(config.stash[_RECORDER])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    titles, wanted = _titles(config), config.getoption("--verify")
    if wanted and wanted not in (*titles, ALL):
        raise pytest.UsageError(f"there is no part {wanted!r}, only {', '.join(titles)}")
    recorder = config.stash.get(_RECORDER, None)
    selected: list[pytest.Item] = []
    for item in items:
        parts = _parts(item)
        if unknown := parts - titles.keys():
            raise pytest.UsageError(f"{item.nodeid}: there is no part {unknown.pop()!r} in verify_parts")
        if recorder is not None:
            for part in parts:
                recorder.found(item.nodeid, part)
        if not wanted or wanted in parts or (wanted == ALL and parts):
            selected.append(item)
    if wanted:
        config.hook.pytest_deselected(items=[item for item in items if item not in set(selected)])
        items[:] = selected


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """Gives the size of this run; the test must be marked ``verify``."""
    return Size.of(request)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Takes figures for the page of ``make verify``."""
    return Figures(request.node)


def _parts(item: pytest.Item) -> set[str]:
    """Returns the parts of ``make verify`` that a test belongs to."""
    name = getattr(item, "originalname", item.name)
    return {mark.args[0] for mark in item.iter_markers("verify") if name in mark.kwargs.get("tests", [name])}


def _titles(config: pytest.Config) -> dict[str, str]:
    pairs = (line.partition(":") for line in config.getini("verify_parts"))
    return {name.strip(): title.strip() for name, _, title in pairs}
