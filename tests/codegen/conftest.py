from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.tools import NAMES, PROTOS, ROOT, protoc


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all test protos, by the plugin under protoc; only to be read."""
    out = tmp_path_factory.mktemp("generated")
    protoc(out, [PROTOS, ROOT], NAMES)
    return out
