"""The cache of programs, and what is built into it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.missing import missing
from tests.helpers.waiting import eventually
from tests.servers.cache import Unobtainable, kept, run
from tests.servers.obtain import go_binary
from tests.servers.process import Guarded, family

ROOT = Path(__file__).parent.parent.parent

DIES = """
import sys, time
from tests.servers.cache import kept

def make(work):
    (work / "half").write_text("ha")
    print("writing", flush=True)
    time.sleep(3600)

kept("thing-1", make, print)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRO_SERVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_what_several_want_is_made_once(cache: Path) -> None:
    made: list[int] = []
    heard: list[str] = []
    waiting = threading.Event()

    def make(work: Path) -> Path:
        made.append(1)
        waiting.wait(60)  # Until another one wants it too.
        (work / "whole").write_text("all of it")
        return work / "whole"

    def say(line: str) -> None:
        heard.append(line)
        waiting.set()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: kept("thing-1", make, say), range(4)))
    assert made == [1]
    assert {path for path, _ in results} == {cache / "thing-1"}
    assert sorted(new for _, new in results) == [False, False, False, True]
    assert set(heard) == {"thing-1: another run is making it, waiting"}
    assert visible(cache) == ["thing-1"]
    assert (cache / "thing-1").read_text() == "all of it"


def test_a_failure_leaves_nothing(cache: Path) -> None:
    def make(work: Path) -> Path:
        (work / "half").write_text("ha")
        raise Unobtainable("no")

    with pytest.raises(Unobtainable):
        kept("thing-1", make, print)
    assert visible(cache) == []


def test_a_run_that_is_killed_leaves_nothing_half_made(cache: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", DIES], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "writing\n"
        child.kill()
        child.wait()
    assert not (cache / "thing-1").exists()
    (stale,) = visible(cache)
    assert stale.startswith(".thing-1-")

    def make(work: Path) -> Path:
        (work / "whole").write_text("all of it")
        return work / "whole"

    assert kept("thing-1", make, print) == (cache / "thing-1", True)
    assert visible(cache) == ["thing-1"]


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(Unobtainable, match="MICRO_SERVER_CACHE names another folder"):
        kept("thing-1", lambda work: work, print)


def test_a_program_that_fails_tells_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(Unobtainable, match=r"^making it failed: the reason$"):
        run("making it", ["sh", "-c", "echo before; echo the reason >&2; exit 3"], print, cwd=tmp_path)
    with pytest.raises(Unobtainable, match="No such file"):
        run("making it", ["/nowhere/program"], print, cwd=tmp_path)


def test_go_builds_follow_their_sources(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "go.mod").write_text("module hello\n\ngo 1.25\n")
    main = folder / "main.go"

    def said(word: str) -> tuple[Path, str]:
        main.write_text(f'package main\n\nfunc main() {{ println("{word}") }}\n')
        binary = go_binary(folder)
        return binary, subprocess.run([binary], capture_output=True, text=True, check=True).stderr

    try:
        first, text = said("one")
    except Unobtainable as reason:
        missing(reason)
    assert text == "one\n"
    second, text = said("two")
    assert text == "two\n"
    assert second != first
    built = first.stat().st_mtime_ns
    assert said("one") == (first, "one\n")
    assert first.stat().st_mtime_ns == built
    assert sorted(path.name for path in folder.iterdir()) == ["go.mod", "main.go"]


def test_a_guarded_program_tells_how_it_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert Guarded(["sh", "-c", "echo out; echo err >&2; exit 7"], log).wait() == 7
    assert log.read_text() == "out\nerr\n"
    killed = Guarded(["sleep", "3600"], log)
    killed.send(signal.SIGKILL)
    assert killed.wait() == 128 + signal.SIGKILL
    with pytest.raises(OSError, match="No such file"):
        Guarded(["/nowhere/program"], log)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor")
def test_what_a_program_leaves_behind_is_gone_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert Guarded(["sh", "-c", "sleep 3600 & echo $!"], log).wait() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_a_guarded_program_ends_with_its_guard(tmp_path: Path) -> None:
    program = Guarded(["sleep", "3600"], tmp_path / "log")
    guard = program._guard.pid
    assert family(guard) == [guard, program.pid]
    os.kill(guard, signal.SIGKILL)
    program.wait()
    await eventually(lambda: program.pid not in family(1))
