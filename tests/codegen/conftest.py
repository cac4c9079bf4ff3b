from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.tools import FLOOR, NAMES, PROTOS, ROOT, protoc
from tests.helpers.missing import missing
from tests.servers.cache import Unobtainable
from tests.servers.pip import python_with


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all test protos, by the plugin under protoc; only to be read."""
    out = tmp_path_factory.mktemp("generated")
    protoc(out, [PROTOS, ROOT], NAMES)
    return out


@pytest.fixture(scope="session")
def floor() -> Path:
    """A Python with the oldest protobuf that is supported; kept in the user's cache folder."""
    try:
        return python_with("protobuf", FLOOR)
    except Unobtainable as error:
        missing(f"protobuf {FLOOR} cannot be installed: {error}")
