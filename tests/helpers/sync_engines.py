"""Engines of locks whose shortest ttl is shorter than users may have it, so that tests need not wait."""

from __future__ import annotations

from micro_rt.backends.local.sync import LocalSync
from micro_rt.sync.base import SyncEngine

__all__ = ["local"]


def local(address: str) -> SyncEngine:
    return LocalSync(address)
