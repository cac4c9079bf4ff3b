"""docs/go-micro.md says what the programs and tests say: its code is theirs, and its table of errors is the one that is tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import micro_rt as micro
from tests.interop.test_go_micro_client import STATUSES
from tests.interop.test_go_micro_server import CODES

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "go-micro.md").read_text()
BLOCKS = re.findall(r"^```(?:python|go)\n(?:#|//) (examples/\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_service_is_shown_in_both_languages() -> None:
    assert [name for name, _ in BLOCKS] == ["examples/mesh/server.py", "examples/mesh/go/server/main.go"]


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_the_service_is_the_examples(name: str, block: str) -> None:
    program = (ROOT / name).read_text()
    for part in block.strip("\n").split("\n\n"):
        assert part in program


def test_other_go_is_that_of_the_tests() -> None:
    client = re.sub(r"\s+", " ", (ROOT / "tests/interop/go_micro/client.go").read_text())
    (block,) = re.findall(r"^```go\n(if s, ok.*?)^\}\n```", PAGE, re.DOTALL | re.MULTILINE)
    first, *_, take, _, _ = block.splitlines()
    assert first in client
    assert take.strip() in client


def test_the_table_of_errors_is_the_one_that_is_tested() -> None:
    table = {
        int(code): getattr(micro, name) for code, name in re.findall(r"^\| (\d{3}) \| `(\w+)` \|$", PAGE, re.MULTILINE)
    }
    assert table == {code: error for code, error in CODES if error is not micro.Unknown}
    assert {error.code: code for code, error in table.items() if code != 500} == STATUSES
