"""Protobuf's own conformance suite, on messages of both dialects."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.codegen.conformance.runner import Runner, Unavailable, obtain
from tests.codegen.tools import HERE, protoc
from tests.helpers.missing import missing

TESTEES = HERE / "conformance"
EXPECTED = {"protobuf": 5_500, "betterproto": 2_900}
"""How many tests pass at least; what a dialect cannot hold is skipped."""


@pytest.fixture(scope="session")
def runner() -> Runner:
    try:
        return obtain()
    except Unavailable as error:
        missing(error)


@pytest.fixture(scope="session")
def generated_for_testees(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's .proto files, generated for both dialects.

    They are moved away from ``google/protobuf/``, whose files come with the runtimes.
    """
    protos, out = tmp_path_factory.mktemp("protos"), tmp_path_factory.mktemp("testees")
    for path in runner.protos.rglob("*.proto"):
        shutil.copy(path, protos)
    protoc(out, [protos], sorted(path.name for path in protos.iterdir()))
    held = ["test_messages_proto3.proto", "test_messages_proto3_editions.proto"]
    protoc(out, [protos], held, "--micro_opt=messages=betterproto")
    return out


@pytest.mark.parametrize(("dialect", "recommended"), [("protobuf", False), ("betterproto", True)])
def test_conformance(
    dialect: str, recommended: bool, runner: Runner, generated_for_testees: Path, tmp_path: Path
) -> None:
    program = TESTEES / f"testee_{dialect}.py"
    testee = ["env", f"PYTHONPATH={generated_for_testees}", sys.executable, "-W", "error", str(program)]
    outcome = runner.run(testee, TESTEES / f"failing_{dialect}.txt", tmp_path, recommended=recommended)
    print(f"{dialect}: {outcome.successes} passed, {outcome.known} failed as known, {outcome.skipped} skipped")
    assert not outcome.failures, outcome.text[-5000:]
    assert outcome.ended == 0, outcome.text[-5000:]
    assert outcome.successes >= EXPECTED[dialect]
