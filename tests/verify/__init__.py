"""``make verify``: the long tests in full, part by part. See ``tests.helpers.sizes`` for how a test gets its size."""
