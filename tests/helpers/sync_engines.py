"""Engines of locks whose shortest ttl is shorter than users may have it, so that tests need not wait.

Processes of tests load this module for one of them, so each is imported where it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from micro_rt.backends.consul.sync import ConsulSync
    from micro_rt.backends.etcd.sync import EtcdSync
    from micro_rt.backends.local.sync import LocalSync
    from micro_rt.backends.postgresql.sync_engine import SqlSync

__all__ = ["consul", "etcd", "local", "sql"]


def local(address: str) -> LocalSync:
    """Makes an engine of ``local:``, which takes short ttls from everybody."""
    from micro_rt.backends.local.sync import LocalSync

    return LocalSync(address)


def etcd(address: str) -> EtcdSync:
    """Makes an engine that grants locks for as short a time as etcd does."""
    from micro_rt.backends.etcd.sync import EtcdSync

    engine = EtcdSync(address)
    engine.min_ttl = 2.0
    return engine


def consul(address: str) -> ConsulSync:
    """Makes an engine of Consul, which takes no ttl below 10 seconds from anybody."""
    from micro_rt.backends.consul.sync import ConsulSync

    return ConsulSync(address)


def sql(address: str) -> SqlSync:
    """Makes an engine of PostgreSQL, or of CockroachDB's dialect, with short ttls and a short margin."""
    from micro_rt.backends.postgresql.sync import CockroachSync, PostgreSQLSync

    engine = CockroachSync(address) if address.startswith("cockroachdb:") else PostgreSQLSync(address)
    engine.min_ttl, engine.margin = 0.5, 0.1
    return engine
