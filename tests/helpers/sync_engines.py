"""Engines of locks whose shortest ttl is shorter than users may have it, so that tests need not wait."""

from __future__ import annotations

from micro_rt.backends.consul.sync import ConsulSync
from micro_rt.backends.etcd.sync import EtcdSync
from micro_rt.backends.local.sync import LocalSync
from micro_rt.backends.postgresql.sync import PostgreSQLSync
from micro_rt.sync.base import SyncEngine

__all__ = ["consul", "etcd", "local", "postgresql"]


def local(address: str) -> SyncEngine:
    return LocalSync(address)


def etcd(address: str) -> SyncEngine:
    engine = EtcdSync(address)
    engine.min_ttl = 2.0
    return engine


def postgresql(address: str) -> SyncEngine:
    engine = PostgreSQLSync(address)
    engine.min_ttl = 1.0
    return engine


def consul(address: str) -> SyncEngine:
    return ConsulSync(address)
