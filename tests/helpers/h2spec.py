"""Runs h2spec, a conformance suite that others wrote, against a server of HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.helpers.missing import missing
from tests.servers.cache import Unobtainable
from tests.servers.tools import TOOLS

__all__ = ["Report", "h2spec"]

ANSWER = 60
"""Seconds that h2spec waits for a frame. No case waits for what must not come, so it takes no longer if all is well."""
LIMIT = 300
"""Seconds for all of it: some servers never finish a case."""


class Report(NamedTuple):
    """What h2spec says: the names of its cases."""

    passed: Sequence[str]
    failed: Sequence[str]
    skipped: Sequence[str]

    @property
    def cases(self) -> int:
        """How many cases there are, whatever became of them."""
        return len(self.passed) + len(self.failed) + len(self.skipped)


async def h2spec(port: int, folder: Path, path: str = "/") -> Report:
    """Runs all cases, the strict ones included; skips the test, or fails it in CI, if h2spec cannot be had.

    Args:
        port: of the server, on loopback, without TLS.
        folder: to write the report to.
        path: of a GET that the server answers. A few cases are skipped if the answer has fewer than five bytes.
    """
    try:
        program = await asyncio.to_thread(TOOLS["h2spec"].path)
    except Unobtainable as reason:
        missing(reason)
    report, log = folder / "h2spec.xml", folder / "h2spec.log"
    options = ["--strict", "--timeout", str(ANSWER), "--path", path, "--junit-report", str(report)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, "--host", "127.0.0.1", "--port", str(port), *options, stdout=output, stderr=output
        )
        try:
            async with asyncio.timeout(LIMIT):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if not report.exists():
        raise AssertionError(f"h2spec has written no report:\n{log.read_text(errors='replace')[-2_000:]}")
    return _read(report)


def _read(report: Path) -> Report:
    names: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - h2spec has written it
        fault = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        name = f"{case.get('package')}: {case.get('classname')}"
        if fault is None:
            names["passed"].append(name)
        elif fault.tag == "skipped":
            names["skipped"].append(name)
        else:
            names["failed"].append(f"{name}: {' '.join(fault.itertext()).strip()}")
    return Report(**names)
