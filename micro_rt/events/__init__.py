"""Events: publishing and handling them, whatever the broker.

Envelope, order per key, concurrency, retries, dead letters and positions are here, the same for every broker.
"""
