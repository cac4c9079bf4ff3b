"""The protos of the betterproto dialect."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DIALECT", "NAMES", "PROTOS"]

PROTOS = Path(__file__).parent / "protos"
NAMES = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))
DIALECT = "--micro_opt=messages=betterproto"
