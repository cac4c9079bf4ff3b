"""The page about calls shows the code of its example, and the example does what it says."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.helpers.waiting import soon

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "calls"
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "calls.md").read_text(), re.MULTILINE | re.DOTALL)
CODE = [path.read_text() for path in sorted(EXAMPLE.glob("*.py"))]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_code_on_the_page_is_in_the_example(number: int) -> None:
    lines = BLOCKS[number].splitlines()
    assert any(_holds(code.splitlines(), lines) for code in CODE), BLOCKS[number]


def _holds(code: list[str], block: list[str]) -> bool:
    starts = range(len(code) - len(block) + 1)
    return any(dedent("\n".join(code[start : start + len(block)])) == "\n".join(block) for start in starts)


async def test_the_example_does_what_it_says() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE / "demo.py"),
        env=own,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output = (await soon(demo.communicate()))[0].decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    assert demo.returncode == 0, output
    assert [line.strip() for line in output.splitlines() if line.strip()] == [
        "1. How long a call may take",
        "Dear reader: Faust is yours (at most 2 s for this letter)",
        "Dear reader: Faust is yours (at most 2 s for this letter)",
        "Dear reader: Faust is yours (at most 1 s for this letter)",
        "2. An error with details",
        "not lent: copies: at most 3",
        "3. What goes on from call to call",
        "Dear Ada: Faust is yours (at most 2 s for this letter)",
        "4. What runs around calls",
        "Emma is on the first shelf",
        "'Ulysses' is not here",
        "micro.rate_limited",
        "OK: 1, NOT_FOUND: 1, RESOURCE_EXHAUSTED: 1",
        "5. Messages in JSON",
        "Dear reader: Emma is yours (at most 2 s for this letter)",
        "6. Calls without generated code",
        "Dear reader: Emma is yours (at most 2 s for this letter)",
        "Emma, Faust",
    ]
