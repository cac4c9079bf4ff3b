from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.codegen.dialect.tree import DIALECT, NAMES, PROTOS
from tests.codegen.tools import protoc


class Modules(NamedTuple):
    """One .proto in both dialects."""

    ours: ModuleType
    google: ModuleType


@pytest.fixture(scope="session")
def dialect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all protos here in the betterproto dialect; only to be read."""
    out = tmp_path_factory.mktemp("dialect")
    protoc(out, [PROTOS], NAMES, DIALECT)
    return out


@pytest.fixture(scope="session")
def importable(dialect: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets this process import the messages in both dialects: ``everything_pb`` and ``everything_pb2``."""
    google = tmp_path_factory.mktemp("google")
    protoc(google, [PROTOS], ["everything.proto", "till/money.proto"])
    for name in ("money_pb.py", "money_pb_codec.py", "till_pb.py", "till_pb_codec.py", "till_micro.py"):
        (google / "till" / name).write_bytes((dialect / "till" / name).read_bytes())
    sys.path[:0] = [str(google), str(dialect)]
    yield
    sys.path[:] = [place for place in sys.path if place not in (str(google), str(dialect))]


@pytest.fixture(scope="session")
def everything(importable: None) -> Modules:
    return Modules(importlib.import_module("everything_pb"), importlib.import_module("everything_pb2"))
