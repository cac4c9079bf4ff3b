"""Runs the long tests in full, part by part (``make verify``), and writes the last figures of each part to docs/verify.md.

A part that has passed is not run again until a file changes. Ctrl-C ends the present part in good order; what the parts
before it came to is kept, and the next run goes on after them. The last line tells the commit, the parts and the seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.verify.results import Result, Source, Test, write_page

__all__ = ["main"]

_ROOT = Path(__file__).parent.parent.parent
_KEPT = ".verify"
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs parts.

    Args:
        arguments: of the command line.

    Returns:
        The exit code: 0 if every part that was asked for has passed, 1 if one has failed, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help="what to run; every part, if none is named")
    parser.add_argument("--again", action="store_true", help="also run parts that have passed with these files")
    parser.add_argument("--list", action="store_true", help="list the parts with their last results, and run none")
    parser.add_argument("--root", type=Path, default=_ROOT, metavar="FOLDER", help="the checkout; this one, by default")
    options = parser.parse_args(arguments)
    with Pytest(options.root) as pytest:
        code, found = pytest.run("all", "--collect-only", "-qq", show=False)
        if pytest.interrupted:
            return _INTERRUPTED
        if code:
            print("the tests cannot be collected", file=sys.stderr)
            return 1
        parts: Mapping[str, Any] = found["parts"]
        for part in options.parts:
            if part not in parts:
                parser.error(f"there is no part {part!r}, only {', '.join(parts)}")
        if options.list:
            _list(options.root / _KEPT, parts)
            return 0
        return _run(pytest, list(parts), options.parts or list(parts), options.again)


class Pytest:
    """Runs pytest, and passes Ctrl-C and SIGTERM on to it once each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.interrupted = False
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, part: str, *arguments: str, show: bool = True) -> tuple[int, dict[str, Any]]:
        """Runs the tests of a part.

        Args:
            part: its name, or "all".
            arguments: more options of pytest's.
            show: whether to show what pytest writes while it runs; else that is shown if it fails.

        Returns:
            pytest's exit code, and its report; the report is empty if pytest did not come to its end.
        """
        with tempfile.TemporaryDirectory() as folder:
            report, log = Path(folder) / "report.json", Path(folder) / "log"
            command = [sys.executable, "-m", "pytest", f"--verify={part}", f"--verify-report={report}"]
            command += ["-p", "no:cacheprovider", "-o", "faulthandler_timeout=3600", *arguments]
            with contextlib.nullcontext() if show else log.open("wb") as output:
                self._child = subprocess.Popen(
                    command,
                    cwd=self.root,
                    env={"MICRO_REQUIRE_SERVERS": "1", **os.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,  # Ctrl-C in the terminal comes to this process alone.
                )
            if self.interrupted:  # before there was anything to pass it on to
                self._child.send_signal(signal.SIGINT)
            code = self._child.wait()
            self._child = None
            if code and not show:
                print(log.read_text(errors="replace"), file=sys.stderr)
            return code, json.loads(report.read_text()) if report.exists() else {}

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)


def _run(pytest: Pytest, known: Sequence[str], wanted: Sequence[str], again: bool) -> int:
    root, kept = pytest.root, pytest.root / _KEPT
    source = Source.of(root)
    passed: list[str] = []
    failed: list[str] = []
    begin = time.monotonic()
    for part in wanted:
        before = Result.load(kept, part)
        if before is not None and before.holds_for(source) and not again:
            print(f"{part}: passed at {before.source.commit} on {before.date}; --again runs it once more", flush=True)
            passed.append(part)
            continue
        print(f"{part}: running", flush=True)
        start = time.monotonic()
        code, report = pytest.run(part)
        if pytest.interrupted:
            break
        tests = [
            Test(name, each["outcome"], each["seconds"], each["figures"])
            for name, each in report.get("tests", {}).items()
        ] or [Test(f"pytest ended with {code}", "failed", 0.0, {})]
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        result = Result(part, code == 0, time.monotonic() - start, source, today, tests)
        result.save(kept)
        write_page(root, known, [result])
        (passed if result.passed else failed).append(part)
    rest = [part for part in wanted if part not in passed + failed]
    counts = [("passed", passed), ("failed", failed), ("not run", rest)]
    told = ", ".join(f"{what} {len(parts)}{_named(parts)}" for what, parts in counts if parts or what != "not run")
    print(f"verify {source.commit or 'without a commit'}: {told}; {time.monotonic() - begin:.0f} s", flush=True)
    return _INTERRUPTED if pytest.interrupted else 1 if failed else 0


def _named(parts: Sequence[str]) -> str:
    return f" ({' '.join(parts)})" if parts else ""


def _list(kept: Path, parts: Mapping[str, Any]) -> None:
    for part, found in parts.items():
        last = Result.load(kept, part)
        told = "never run here"
        if last is not None:
            told = (
                f"{'passed' if last.passed else 'failed'} at {last.source.commit} on {last.date}, {last.seconds:.0f} s"
            )
        print(f"{part:<12}{found['title']} ({len(found['tests'])} tests; {told})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
