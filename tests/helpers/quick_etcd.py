"""Locks on etcd that end sooner than its users may have them, so that tests need not wait."""

from micro_rt.backends.etcd.sync import EtcdSync

__all__ = ["QuickEtcdSync"]


class QuickEtcdSync(EtcdSync):
    """Grants locks for as short a time as etcd itself does."""

    min_ttl = 2.0
