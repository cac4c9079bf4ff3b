"""Locks that report their loss, leader election and semaphores, over pluggable engines."""
