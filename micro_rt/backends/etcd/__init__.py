"""etcd: one client for each cluster, on stubs of our own."""
