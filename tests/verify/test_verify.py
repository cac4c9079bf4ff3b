"""``make verify`` on a small tree of tests: it resumes, keeps figures, runs again what has changed, and says what failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.waiting import eventually
from tests.verify.results import Source

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # They take a second each time, and nothing here needs one.
}

SETTINGS = """
[pytest]
testpaths = long
verify_parts =
    one: the first part
    two: the second part
"""
CONFTEST = """
pytest_plugins = ["tests.helpers.sizes"]
"""
TESTS = """
import pathlib, pytest

LOG = pathlib.Path(__file__).parent.parent / "ignored"

@pytest.mark.verify("one")
@pytest.mark.parametrize("way", ["a|b", "c"])
def test_counts(size, figures, way):
    count = size(10_000, ci=100)
    LOG.open("a").write(f"one {way} {count}\\n")
    figures.add("counted", count)
    figures.add("share", 0.125)

@pytest.mark.verify("two")
def test_waits(size):
    LOG.open("a").write(f"two {size(3.5, ci=0.1)}\\n")

def test_has_one_size():
    LOG.open("a").write("none\\n")
"""
FAILS = """
import pytest

@pytest.mark.verify("two")
def test_fails(figures):
    figures.add("lost", 3)
    assert False
"""
HANGS = """
import pathlib, pytest, time

@pytest.mark.verify("two")
def test_hangs():
    (pathlib.Path(__file__).parent.parent / "ignored").write_text("hangs")
    time.sleep(3600)
"""


class Tree:
    """A checkout with tests of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "ignored"
        (root / "long").mkdir()
        self.write("pytest.ini", SETTINGS)
        self.write("long/conftest.py", CONFTEST)
        self.write("long/test_long.py", TESTS)
        self.write(".gitignore", "ignored\n.verify/\n__pycache__/\n")
        self.git("init", "--quiet")
        self.commit()

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def git(self, *arguments: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *names, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "--short", "HEAD")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.verify", "--root", str(self.root), *arguments],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def verify(self, *arguments: str) -> tuple[int, list[str]]:
        """Returns the exit code and the lines of a run."""
        run = self.start(*arguments)
        output, _ = run.communicate(timeout=120)
        return run.returncode, output.splitlines()

    def test(self) -> Sequence[str]:
        """Runs the tests as ``make test`` does, and returns what they say."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=self.root, env=ENVIRONMENT, capture_output=True, check=True)
        return self.ran()

    def ran(self) -> list[str]:
        """Returns what ran since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def rows(self) -> list[list[str]]:
        """Returns the page's rows, without seconds and dates."""
        lines = (self.root / "docs" / "verify.md").read_text().split("|---|\n")[1].splitlines()
        cells = [line.replace("\\|", "/").strip("| ").split(" | ") for line in lines]
        return [[part, test, figures, commit] for part, test, figures, _, commit, _ in cells]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_make_test_runs_everything_at_the_reduced_size(tree: Tree) -> None:
    assert tree.test() == ["one a|b 100", "one c 100", "two 0.1", "none"]


def test_each_part_runs_in_full_and_keeps_its_figures(tree: Tree) -> None:
    commit = tree.git("rev-parse", "--short", "HEAD")
    code, lines = tree.verify()
    assert (code, tree.ran()) == (0, ["one a|b 10000", "one c 10000", "two 3.5"])
    assert lines[-1].startswith(f"verify {commit}: passed 2 (one two), failed 0; ")
    assert lines[-1].endswith(" s")
    assert tree.rows() == [
        ["one", "`long/test_long.py::test_counts[a/b]`", "size 10,000, counted 10,000, share 0.125", commit],
        ["one", "`long/test_long.py::test_counts[c]`", "size 10,000, counted 10,000, share 0.125", commit],
        ["two", "`long/test_long.py::test_waits`", "size 3.5", commit],
    ]
    assert "writes this page" in (tree.root / "docs" / "verify.md").read_text()


def test_what_has_passed_is_not_run_again_until_a_file_changes(tree: Tree) -> None:
    first = tree.git("rev-parse", "--short", "HEAD")
    code, lines = tree.verify("one")
    assert (code, len(tree.ran())) == (0, 2)
    tree.commit()  # The page is not one of the files.
    code, lines = tree.verify()
    assert (code, tree.ran()) == (0, ["two 3.5"])
    assert lines[0].startswith(f"one: passed at {first} on ")
    assert "passed 2 (one two), failed 0" in lines[-1]
    code, lines = tree.verify("--again", "one")
    assert (code, len(tree.ran())) == (0, 2)
    tree.write("long/other.py", "")
    code, lines = tree.verify("one")
    assert (code, len(tree.ran())) == (0, 2)
    assert lines[-1].split(":")[0].endswith("+")  # It is not what was committed.
    second = tree.commit()
    tree.write("long/other.py", "a = 1")
    third = tree.commit()
    code, _ = tree.verify("two")
    assert (code, tree.ran()) == (0, ["two 3.5"])
    assert second != third
    assert tree.rows()[-1][-1] == third
    assert tree.rows()[0][-1].endswith("+"), "the rows of a part that did not run are not kept"


def test_a_part_that_fails_is_named_and_run_again(tree: Tree) -> None:
    tree.write("long/test_fails.py", FAILS)
    commit = tree.commit()
    code, lines = tree.verify()
    assert code == 1
    assert lines[-1].startswith(f"verify {commit}: passed 1 (one), failed 1 (two); ")
    assert ["two", "`long/test_fails.py::test_fails`", "**failed**: lost 3", commit] in tree.rows()
    tree.ran()
    assert tree.verify()[0] == 1
    assert tree.ran() == ["two 3.5"]


async def test_ctrl_c_keeps_the_parts_that_are_done(tree: Tree) -> None:
    tree.write("long/test_hangs.py", HANGS)
    tree.commit()
    run = tree.start()
    try:
        await eventually(lambda: (tree.log.exists() and "hangs" in tree.log.read_text()) or run.poll() is not None)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130
    assert "passed 1 (one), failed 0, not run 1 (two)" in output.splitlines()[-1]
    assert {part for part, *_ in tree.rows()} == {"one"}
    assert json.loads((tree.root / ".verify" / "one.json").read_text())["passed"]
    assert not (tree.root / ".verify" / "two.json").exists()


def test_parts_are_listed(tree: Tree) -> None:
    tree.verify("two")
    tree.ran()
    code, lines = tree.verify("--list")
    assert (code, tree.ran()) == (0, [])
    assert [line.split("(")[0].split() for line in lines] == [
        ["one", "the", "first", "part"],
        ["two", "the", "second", "part"],
    ]
    assert "2 tests; never run here" in lines[0]
    assert "1 tests; passed at " in lines[1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import pytest\n@pytest.mark.verify('three')\ndef test_it(): pass",
            "there is no part 'three' in verify_parts",
        ),
        ("def test_it(size): pass", "a test with two sizes is marked"),
    ],
)
def test_marks_that_are_wrong_are_told(tree: Tree, source: str, message: str) -> None:
    tree.write("long/test_wrong.py", source)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        tree.test()
    assert message in (raised.value.stdout + raised.value.stderr).decode()


def test_a_part_that_does_not_exist_is_refused(tree: Tree) -> None:
    code, lines = tree.verify("three")
    assert (code, tree.ran()) == (2, [])
    assert "there is no part 'three', only one, two" in lines[-1]


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert Source.of(tmp_path) == Source("", "")
