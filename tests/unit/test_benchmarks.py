"""The benchmarks run and say what they measured; how fast anything is, is no matter for a test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def output() -> str:
    done = benchmarks("--quick", "--rounds", "2", "path", "generate")
    assert done.returncode == 0, done.stderr
    assert "round 2 of 2" in done.stderr and "round" not in done.stdout
    return done.stdout


@pytest.mark.parametrize("interceptors", [0, 3])
@pytest.mark.parametrize("nodes", ["3", "1,000"])
def test_the_path_of_a_call_is_told_in_nanoseconds_and_as_a_part_of_the_call(
    output: str, nodes: str, interceptors: int
) -> None:
    row = rf"^client, {nodes} nodes, {interceptors} interceptors +[\d,]+ +-?[\d,]+ \[.*\] +-?[\d.]+% +-?[\d.]+%$"
    assert re.search(row, output, re.MULTILINE)


@pytest.mark.parametrize("nodes", ["3", "1,000"])
def test_resolving_and_selecting_is_told_alone_and_held_against_its_target(output: str, nodes: str) -> None:
    assert re.search(rf"^resolve and select alone, {nodes} nodes +[\d,]+ ", output, re.MULTILINE)
    assert re.search(r"^They cost [\d.]+ % of its client side alone: (it holds|MISSED)\.$", output, re.MULTILINE)


def test_generating_is_compared_with_protoc_and_the_peers(output: str) -> None:
    whole, alone = output.split("the plugins alone")
    for row in (
        "python -c pass",
        "protoc: messages, types",
        "protoc, protoc-gen-micro: messages, types, stubs",
        "protoc, grpclib's plugin: messages, types, stubs",
        "protoc, protoc-gen-mypy: messages, types",
        "micro-rt generate: messages, types, stubs",
    ):
        assert re.search(rf"^{re.escape(row)} +[\d,]+ \[[\d,]+-[\d,]+\] ", whole, re.MULTILINE), row
    for row in ("protoc-gen-micro", "grpclib's plugin", "protoc-gen-mypy"):
        assert re.search(rf"^{re.escape(row)} +[\d,]+ \[[\d,]+-[\d,]+\] ", alone, re.MULTILINE), row


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    done = benchmarks("streems")
    assert done.returncode == 2
    assert "no benchmark 'streems'; there are: unary, streams, engine, connections, path, " in done.stderr
