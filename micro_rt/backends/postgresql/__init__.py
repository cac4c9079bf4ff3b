"""``postgresql://`` and ``cockroachdb://``: the connections that every part shares, and the store."""
